/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a document to a policy: shape, then each knob, then the RELAX NG, then sense. Each stage
 * collects all it finds; a later one runs only if those before found nothing, since its messages
 * would be consequences.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sevmig-policy-internal.h"
#include "sevmig-policy-issue.h"

const SevmigXmlLimits sevmig_policy_limits = {
    .what = "a policy",
    .max_bytes = SEVMIG_POLICY_MAX_BYTES,
    .max_depth = SEVMIG_POLICY_MAX_DEPTH,
    .max_elements = 4096,
    .max_attributes = 256,
};

/* Nobody reads more, and each has to count lines from the beginning for its position. */
#define MOST_ISSUES 100

gboolean
sevmig_reader_is_full(const SevmigReader *self)
{
    return self->issues->len > MOST_ISSUES;
}

void
sevmig_reader_issue(const SevmigReader *self, gsize offset, const char *format, ...)
{
    g_autofree char *text = NULL;
    unsigned line, column;
    va_list args;

    if (sevmig_reader_is_full(self))
        return;
    va_start(args, format);
    text = self->issues->len < MOST_ISSUES
               ? g_strdup_vprintf(format, args)
               : g_strdup_printf("more than %d faults; expected fewer, the others are not listed",
                                 MOST_ISSUES);
    va_end(args);
    sevmig_xml_position(self->doc, offset, &line, &column);
    sevmig_issue_add(self->issues, self->doc->file, line, column, "%s", text);
}

const SevmigXmlNode *
sevmig_reader_find(const SevmigReader *self, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    const SevmigXmlNode *node = self->root;

    for (char **name = names; *name && node; name++)
        node = sevmig_xml_child(node, SEVMIG_POLICY_NAMESPACE, *name);
    return node;
}

gsize
sevmig_reader_knob_offset(const SevmigReader *self, const SevmigKnob *knob)
{
    const SevmigXmlNode *node = sevmig_reader_find(self, knob->element);

    if (!node)
        return self->root->offset;
    return knob->attribute ? sevmig_xml_attr_offset(self->doc, node, knob->attribute)
                           : sevmig_xml_text_offset(self->doc, node);
}

char *
sevmig_knob_label(const SevmigKnob *knob)
{
    const char *slash = strrchr(knob->element, '/');
    const char *name = slash ? slash + 1 : knob->element;

    return knob->attribute ? g_strdup_printf("<%s %s>", name, knob->attribute)
                           : g_strdup_printf("<%s>", name);
}

gboolean
sevmig_policy_name_valid(const char *name)
{
    gsize length = strlen(name);

    return length >= 1 && length <= 63 && g_ascii_isalnum(name[0]) &&
           strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == length;
}

/* The offending value as it stands in a message after the label. */
static char *
show_value(const char *text, const char *unit)
{
    g_autofree char *quoted = sevmig_quote(text);

    if (!*text)
        return g_strdup("");
    return g_strdup_printf(": %s%s%s", quoted, unit ? " " : "", unit ? unit : "");
}

static void
read_knob(const SevmigReader *self, const SevmigKnob *knob, guint64 bit, SevmigPolicyValues *values,
          guint64 *given)
{
    const SevmigXmlNode *node = sevmig_reader_find(self, knob->element);
    const char *unit = node && knob->units ? sevmig_xml_attr(node, "unit") : NULL;
    g_autofree char *trimmed = unit ? g_strstrip(g_strdup(unit)) : NULL;
    g_autofree char *text = NULL;
    g_autofree char *reason = NULL;

    if (!node || (knob->attribute && !sevmig_xml_attr(node, knob->attribute)))
        return;
    if (trimmed && !sevmig_unit_find(knob->units, trimmed))
        return; /* said already */
    text = knob->attribute ? g_strstrip(g_strdup(sevmig_xml_attr(node, knob->attribute)))
                           : sevmig_xml_text(node);
    reason = sevmig_knob_parse(knob, text, trimmed, values);
    if (reason) {
        g_autofree char *label = sevmig_knob_label(knob);
        g_autofree char *expected = sevmig_knob_expected(knob);
        g_autofree char *shown = show_value(text, trimmed);

        sevmig_reader_issue(self, sevmig_reader_knob_offset(self, knob), "%s%s %s; expected %s",
                            label, shown, reason, expected);
        return;
    }
    *given |= bit;
}

static void
read_knobs(const SevmigReader *self, SevmigPolicyValues *values, guint64 *given)
{
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    g_assert(n <= 64);
    sevmig_policy_knobs_init(values);
    *given = 0;
    for (gsize i = 0; i < n; i++)
        read_knob(self, &knobs[i], G_GUINT64_CONSTANT(1) << i, values, given);
}

/* A stop or a submission longer than the downtime promised would break the promise by itself, so
 * the initial values shrink with the goal; stated ones are checked instead. */
static void
settle(SevmigPolicy *policy)
{
    static const char *const bounded[][2] = {{"throttle/stun", NULL}, {"batch/hold", NULL}};
    guint64 goal_us = policy->values.params.downtime_goal_us;
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    for (gsize i = 0; goal_us && i < G_N_ELEMENTS(bounded); i++) {
        gsize index = sevmig_knob_index(bounded[i][0], bounded[i][1]);

        if (!(policy->given & (G_GUINT64_CONSTANT(1) << index)) &&
            (guint64)sevmig_knob_get(&knobs[index], &policy->values) > goal_us)
            sevmig_knob_set(&knobs[index], &policy->values, (gint64)goal_us);
    }
}

#define DESCRIPTION_MAX 1000
#define SPACE " \t\r\n"

static char *
read_description(const SevmigReader *self)
{
    const SevmigXmlNode *node = sevmig_reader_find(self, "description");
    g_autofree char *text = node ? sevmig_xml_text(node) : g_strdup("");
    GString *out = g_string_new(NULL);

    for (const char *p = text + strspn(text, SPACE); *p; p += strspn(p, SPACE)) {
        gsize length = strcspn(p, SPACE);

        if (out->len)
            g_string_append_c(out, ' ');
        g_string_append_len(out, p, (gssize)length);
        p += length;
    }
    if (g_utf8_strlen(out->str, -1) > DESCRIPTION_MAX)
        sevmig_reader_issue(self, sevmig_xml_text_offset(self->doc, node),
                            "<description> is too long; expected at most %d characters",
                            DESCRIPTION_MAX);
    return g_string_free(out, FALSE);
}

static char *
read_name(const SevmigReader *self)
{
    const char *name = sevmig_xml_attr(self->root, "name");

    if (name && !sevmig_policy_name_valid(name)) {
        g_autofree char *shown = sevmig_quote(name);

        sevmig_reader_issue(self, sevmig_xml_attr_offset(self->doc, self->root, "name"),
                            "<policy name>: %s is not a policy name; expected %s", shown,
                            SEVMIG_POLICY_NAME_EXPECTED);
    }
    return g_strdup(name ? name : "");
}

/* How many there are below and with `node`; stops counting beyond `most`. */
static guint
count_elements(const SevmigXmlNode *node, guint most)
{
    guint n = 1;

    for (const SevmigXmlNode *child = node->children; child && n <= most; child = child->next)
        n += count_elements(child, most - n);
    return n;
}

/* A policy that stands in a domain is no larger than one that stands alone. */
static gboolean
is_too_large(const SevmigReader *self)
{
    guint most = sevmig_policy_limits.max_elements;

    if (count_elements(self->root, most) <= most)
        return FALSE;
    sevmig_reader_issue(self, self->root->offset,
                        "<%s>: more than %u elements, %s has at most that", self->root->name, most,
                        sevmig_policy_limits.what);
    return TRUE;
}

static void
read_policy(const SevmigReader *reader, SevmigPolicy *self, const SevmigCeiling *ceiling)
{
    const SevmigXmlNode *root = reader->root;

    if (is_too_large(reader))
        return;
    if (strcmp(root->name, "policy"))
        sevmig_reader_issue(reader, root->offset, "element <%s>; expected <policy>", root->name);
    else
        sevmig_structure_check(reader);
    self->name = read_name(reader);
    self->description = read_description(reader);
    read_knobs(reader, &self->values, &self->given);
    sevmig_match_read(reader, &self->match);
    if (reader->issues->len == 0)
        sevmig_schema_check(reader);
    if (reader->issues->len == 0)
        sevmig_sense_check(reader, self);
    settle(self);
    if (reader->issues->len == 0 && ceiling)
        sevmig_ceiling_apply(reader, ceiling, self);
}

SevmigPolicy *
sevmig_policy_from_node(const SevmigXmlDoc *doc, const SevmigXmlNode *root,
                        const SevmigCeiling *ceiling, GPtrArray *issues)
{
    g_autoptr(GPtrArray) own = sevmig_policy_issues_new();
    g_autoptr(SevmigPolicy) self = g_new0(SevmigPolicy, 1);
    SevmigReader reader = {.doc = doc, .root = root, .issues = own};

    g_atomic_ref_count_init(&self->refs);
    self->file = g_strdup(doc->file);
    read_policy(&reader, self, ceiling);
    if (own->len == 0)
        return g_steal_pointer(&self);
    sevmig_issues_sort(own);
    sevmig_issues_move(own, issues);
    return NULL;
}

static SevmigPolicy *
parse_sized(const char *text, gsize size, const char *file, GPtrArray *issues, GError **error)
{
    g_autoptr(GPtrArray) own = sevmig_policy_issues_new();
    g_autoptr(SevmigXmlDoc) doc = sevmig_xml_parse(text, size, file, &sevmig_policy_limits, own);
    SevmigPolicy *self = doc ? sevmig_policy_from_node(doc, doc->root, NULL, own) : NULL;

    if (!self) {
        sevmig_issues_to_error(own, 0, SEVMIG_ERROR_INVALID, error);
        sevmig_issues_move(own, issues);
    }
    return self;
}

SevmigPolicy *
sevmig_policy_parse(const char *text, gssize length, const char *file, GPtrArray *issues,
                    GError **error)
{
    return parse_sized(text, length < 0 ? strlen(text) : (gsize)length, file, issues, error);
}

SevmigPolicy *
sevmig_policy_load(const char *path, GPtrArray *issues, GError **error)
{
    g_autoptr(GPtrArray) own = sevmig_policy_issues_new();
    g_autofree char *text = NULL;
    gsize size;

    text = sevmig_file_read(path, SEVMIG_POLICY_MAX_BYTES, &size, own);
    if (!text) {
        sevmig_issues_to_error(own, 0, SEVMIG_ERROR_IO, error);
        sevmig_issues_move(own, issues);
        return NULL;
    }
    return parse_sized(text, size, path, issues, error);
}

SevmigCeiling *
sevmig_ceiling_parse(const char *text, gsize size, const char *file, GPtrArray *issues)
{
    g_autoptr(GPtrArray) own = sevmig_policy_issues_new();
    g_autoptr(SevmigXmlDoc) doc = sevmig_xml_parse(text, size, file, &sevmig_policy_limits, own);
    g_autoptr(SevmigCeiling) self = g_atomic_rc_box_new0(SevmigCeiling);
    SevmigReader reader = {.doc = doc, .root = doc ? doc->root : NULL, .issues = own};

    self->file = g_strdup(file);
    if (doc && strcmp(doc->root->name, "ceiling")) {
        sevmig_reader_issue(&reader, doc->root->offset, "element <%s>; expected <ceiling>",
                            doc->root->name);
    } else if (doc) {
        sevmig_structure_check(&reader);
        read_knobs(&reader, &self->values, &self->given);
    }
    if (own->len == 0)
        sevmig_schema_check(&reader);
    if (own->len == 0)
        return g_steal_pointer(&self);
    sevmig_issues_sort(own);
    sevmig_issues_move(own, issues);
    return NULL;
}

static void
ceiling_clear(gpointer data)
{
    g_free(((SevmigCeiling *)data)->file);
}

void
sevmig_ceiling_unref(SevmigCeiling *self)
{
    g_atomic_rc_box_release_full(self, ceiling_clear);
}

/* O_NONBLOCK: a FIFO put in the directory must not hang the reader. */
static int
open_regular(const char *path, GPtrArray *issues)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat info;

    if (fd < 0) {
        sevmig_issue_add(issues, path, 0, 0, "cannot be opened: %s", g_strerror(errno));
        return -1;
    }
    if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
        sevmig_issue_add(issues, path, 0, 0, "is not a regular file");
        close(fd);
        return -1;
    }
    return fd;
}

char *
sevmig_file_read(const char *path, gsize max, gsize *size, GPtrArray *issues)
{
    int fd = open_regular(path, issues);
    g_autofree char *text = NULL;
    gsize used = 0;

    if (fd < 0)
        return NULL;
    text = g_malloc(max + 1);
    while (used <= max) {
        ssize_t n = read(fd, text + used, max + 1 - used);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            sevmig_issue_add(issues, path, 0, 0, "cannot be read: %s", g_strerror(errno));
            close(fd);
            return NULL;
        }
        if (n == 0)
            break;
        used += (gsize)n;
    }
    close(fd);
    *size = used;
    return g_steal_pointer(&text);
}
