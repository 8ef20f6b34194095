/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shape of a policy document: which elements stand in which, what attributes they have. What
 * the knob table knows (attributes and text that are knobs, units) is not repeated here.
 */
#include "sevmig-policy-internal.h"
#include "sevmig-policy-issue.h"

typedef struct {
    const char *path; /* below the root; "" is the root */
    gboolean free_text;
    gboolean repeats;
    gboolean in_ceiling;
    const char *needs; /* the element must hold something: what to say where it is empty */
} Element;

static const Element elements[] = {
    {"", .in_ceiling = TRUE},
    {"description", .free_text = TRUE},
    {"match", .needs = "domain, launch-security, memory or nova"},
    {"match/domain", .repeats = TRUE},
    {"match/launch-security"},
    {"match/memory", .needs = "min or max"},
    {"match/nova", .needs = "flavor, project or extra-spec"},
    {"match/nova/extra-spec", .repeats = TRUE},
    {"goals"},
    {"goals/downtime"},
    {"goals/duration"},
    {"goals/slowdown"},
    {"control"},
    {"throttle", .in_ceiling = TRUE},
    {"throttle/ceiling", .in_ceiling = TRUE},
    {"throttle/stun", .in_ceiling = TRUE},
    {"throttle/scope"},
    {"batch", .in_ceiling = TRUE},
    {"batch/pages"},
    {"batch/hold", .in_ceiling = TRUE},
    {"batch/gap-pages"},
    {"priority", .in_ceiling = TRUE},
    {"on-stall"},
    {"on-deadline"},
    {"peer"},
    {"incoming"},
};

typedef struct {
    const char *path;
    const char *name;
    gboolean required;
    const char *expected; /* what it holds; NULL: as the knob says */
} Attribute;

/* Those that are not knobs, and knobs without which their element means nothing. */
static const Attribute attributes[] = {
    {"", "name", TRUE, SEVMIG_POLICY_NAME_EXPECTED},
    {"match/domain", "name", TRUE, SEVMIG_MATCH_STRING_EXPECTED},
    {"match/launch-security", "type", TRUE, "sev"},
    {"match/nova", "flavor"},
    {"match/nova", "project"},
    {"match/nova/extra-spec", "name", TRUE, SEVMIG_MATCH_STRING_EXPECTED},
    {"match/nova/extra-spec", "value", TRUE, SEVMIG_MATCH_STRING_EXPECTED},
    {"peer", "require", TRUE},
    {"incoming", "require", TRUE},
};

static gboolean
is_ceiling(const SevmigReader *self)
{
    return !strcmp(self->root->name, "ceiling");
}

static const Element *
find_element(const SevmigReader *self, const char *path)
{
    for (gsize i = 0; i < G_N_ELEMENTS(elements); i++) {
        if (!strcmp(elements[i].path, path))
            return is_ceiling(self) && !elements[i].in_ceiling ? NULL : &elements[i];
    }
    return NULL;
}

/* The part of `path` that is a direct child of `parent`, or NULL. */
static const char *
child_name(const char *path, const char *parent)
{
    gsize length = strlen(parent);

    if (length > 0 && (strncmp(path, parent, length) || path[length] != '/'))
        return NULL;
    path += length > 0 ? length + 1 : 0;
    return *path && !strchr(path, '/') ? path : NULL;
}

static char *
list_children(const SevmigReader *self, const char *parent)
{
    GString *out = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(elements); i++) {
        const char *name = child_name(elements[i].path, parent);

        if (name && find_element(self, elements[i].path))
            g_string_append_printf(out, "%s<%s>", out->len ? ", " : "", name);
    }
    if (out->len == 0)
        g_string_append(out, "no elements");
    return g_string_free(out, FALSE);
}

static void
add_name(GString *names, const char *name)
{
    g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
}

/* The attributes of an element, and the units that its values may have (NULL: none). */
static char *
list_attributes(const SevmigReader *self, const char *path, const SevmigUnit **units)
{
    GString *out = g_string_new(NULL);
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    *units = NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(attributes); i++) {
        if (!strcmp(attributes[i].path, path) && strcmp(attributes[i].name, "require") &&
            !(is_ceiling(self) && !*path))
            add_name(out, attributes[i].name);
    }
    for (gsize i = 0; i < n; i++) {
        if (strcmp(knobs[i].element, path))
            continue;
        if (knobs[i].attribute && !is_ceiling(self))
            add_name(out, knobs[i].attribute);
        if (knobs[i].units)
            *units = knobs[i].units;
    }
    if (*units)
        add_name(out, "unit");
    return g_string_free(out, FALSE);
}

static gboolean
list_has(const char *list, const char *name)
{
    g_auto(GStrv) names = g_strsplit(list, ", ", -1);

    return g_strv_contains((const char *const *)names, name);
}

static void
check_unit(const SevmigReader *self, const SevmigXmlNode *node, const SevmigUnit *units)
{
    const char *unit = sevmig_xml_attr(node, "unit");
    g_autofree char *trimmed = unit ? g_strstrip(g_strdup(unit)) : NULL;

    if (unit && units && !sevmig_unit_find(units, trimmed)) {
        g_autofree char *list = sevmig_units_list(units);
        g_autofree char *shown = sevmig_quote(trimmed);

        sevmig_reader_issue(self, sevmig_xml_attr_offset(self->doc, node, "unit"),
                            "<%s unit>: %s is not known; expected one of %s", node->name, shown,
                            list);
    }
}

static void
report_missing(const SevmigReader *self, const SevmigXmlNode *node, const Attribute *attribute)
{
    g_autofree char *expected = NULL;
    gsize n;

    if (attribute->expected)
        expected = g_strdup(attribute->expected);
    else
        expected = sevmig_knob_expected(
            &sevmig_knobs(&n)[sevmig_knob_index(attribute->path, attribute->name)]);
    sevmig_reader_issue(self, node->offset, "<%s>: attribute \"%s\" is missing; expected %s",
                        node->name, attribute->name, expected);
}

static void
check_attributes(const SevmigReader *self, const SevmigXmlNode *node, const char *path)
{
    const SevmigUnit *units;
    g_autofree char *known = list_attributes(self, path, &units);

    for (const SevmigXmlAttr *attr = node->attrs; attr && !sevmig_reader_is_full(self);
         attr = attr->next) {
        g_autofree char *shown = sevmig_quote(attr->name);

        if (!list_has(known, attr->name))
            sevmig_reader_issue(self, sevmig_xml_attr_offset(self->doc, node, attr->name),
                                "<%s>: attribute %s is not known; expected %s", node->name, shown,
                                *known ? known : "no attributes");
    }
    for (gsize i = 0; i < G_N_ELEMENTS(attributes); i++) {
        if (attributes[i].required && !strcmp(attributes[i].path, path) &&
            list_has(known, attributes[i].name) && !sevmig_xml_attr(node, attributes[i].name))
            report_missing(self, node, &attributes[i]);
    }
    check_unit(self, node, units);
}

static gboolean
takes_text(const char *path)
{
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    for (gsize i = 0; i < n; i++) {
        if (!strcmp(knobs[i].element, path) && !knobs[i].attribute)
            return TRUE;
    }
    return FALSE;
}

/* Whether it has neither elements nor attributes, beyond those that only qualify others. */
static gboolean
says_nothing(const SevmigXmlNode *node)
{
    for (const SevmigXmlAttr *attr = node->attrs; attr; attr = attr->next) {
        if (strcmp(attr->name, "unit") && strcmp(attr->name, "priority"))
            return FALSE;
    }
    return !node->children;
}

static void
check_text(const SevmigReader *self, const SevmigXmlNode *node, const Element *element)
{
    g_autofree char *text = sevmig_xml_text(node);

    if (*text && !element->free_text && !takes_text(element->path)) {
        g_autofree char *shown = sevmig_quote(text);
        g_autofree char *expected = list_children(self, element->path);

        sevmig_reader_issue(self, sevmig_xml_text_offset(self->doc, node),
                            "<%s>: text %s is not allowed; expected %s", node->name, shown,
                            expected);
    }
    if (element->needs && says_nothing(node))
        sevmig_reader_issue(self, node->offset, "<%s> holds no condition; expected %s", node->name,
                            element->needs);
}

static gboolean
is_repeated(const SevmigXmlNode *node)
{
    return sevmig_xml_child(node->parent, node->ns, node->name) != node;
}

static void check_child(const SevmigReader *self, const SevmigXmlNode *node,
                        const char *parent_path);

static void
check_node(const SevmigReader *self, const SevmigXmlNode *node, const Element *element)
{
    check_attributes(self, node, element->path);
    check_text(self, node, element);
    for (const SevmigXmlNode *child = node->children; child && !sevmig_reader_is_full(self);
         child = child->next)
        check_child(self, child, element->path);
}

static void
check_child(const SevmigReader *self, const SevmigXmlNode *node, const char *parent_path)
{
    g_autofree char *path =
        *parent_path ? g_strdup_printf("%s/%s", parent_path, node->name) : g_strdup(node->name);
    const Element *element =
        !strcmp(node->ns, SEVMIG_POLICY_NAMESPACE) ? find_element(self, path) : NULL;

    if (!element) {
        g_autofree char *shown = sevmig_quote(node->name);
        g_autofree char *expected = list_children(self, parent_path);

        sevmig_reader_issue(
            self, node->offset, "<%s>: element %s is not known%s; expected %s", node->parent->name,
            shown, strcmp(node->ns, SEVMIG_POLICY_NAMESPACE) ? " in its namespace" : "", expected);
        return;
    }
    if (!element->repeats && is_repeated(node))
        sevmig_reader_issue(self, node->offset, "<%s> is given twice; expected once", node->name);
    check_node(self, node, element);
}

void
sevmig_structure_check(const SevmigReader *self)
{
    const SevmigXmlNode *root = self->root;

    if (strcmp(root->ns, SEVMIG_POLICY_NAMESPACE)) {
        g_autofree char *shown = sevmig_quote(root->ns);

        sevmig_reader_issue(self, root->offset, "<%s>: namespace %s; expected \"%s\"", root->name,
                            shown, SEVMIG_POLICY_NAMESPACE);
        return;
    }
    check_node(self, root, &elements[0]);
}
