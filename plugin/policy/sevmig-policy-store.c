/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "sevmig-config.h"
#include "sevmig-policy-issue.h"
#include "sevmig-policy-store-internal.h"

#define DEFAULT_NAME "default"
#define BUILT_IN_DEFAULT "<policy xmlns=\"" SEVMIG_POLICY_NAMESPACE "\" name=\"" DEFAULT_NAME "\"/>"
#define MAX_FILES 1024

struct SevmigPolicyStore {
    char *admin_dir;
    char *vendor_dir;
    char *ceiling_file;
    /* Of SevmigPolicyEntry, in the order of sevmig_policy_store_list(); shared with snapshots, so a
     * reload puts another in its place. */
    GArray *entries;
    gboolean loaded; /* a whole set is in force, or was */
    SevmigCeiling *ceiling;
};

static void
clear_entry(gpointer data)
{
    sevmig_policy_unref(((SevmigPolicyEntry *)data)->policy);
}

static GArray *
entries_new(void)
{
    GArray *entries = g_array_new(FALSE, FALSE, sizeof(SevmigPolicyEntry));

    g_array_set_clear_func(entries, clear_entry);
    return entries;
}

static SevmigPolicyEntry *
entry_at(const GArray *entries, guint index)
{
    return &g_array_index(entries, SevmigPolicyEntry, index);
}

static SevmigPolicyEntry *
find_active(const GArray *entries, const char *name)
{
    for (guint i = 0; i < entries->len; i++) {
        SevmigPolicyEntry *entry = entry_at(entries, i);

        if (entry->state == SEVMIG_POLICY_ACTIVE &&
            !strcmp(sevmig_policy_name(entry->policy), name))
            return entry;
    }
    return NULL;
}

static gint
compare_entries(gconstpointer a, gconstpointer b)
{
    const SevmigPolicyEntry *left = a, *right = b;
    int by_name = strcmp(sevmig_policy_name(left->policy), sevmig_policy_name(right->policy));

    return by_name ? by_name : (int)left->state - (int)right->state;
}

static gint
compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The policy files of a directory, by name. A directory that is not there holds none. */
static GPtrArray *
list_files(const char *directory, GPtrArray *issues)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autoptr(GDir) dir = g_dir_open(directory, 0, &error);
    const char *name;

    if (!dir && g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return g_steal_pointer(&files);
    if (!dir) {
        sevmig_issue_add(issues, directory, 0, 0, "cannot be read: %s", error->message);
        return g_steal_pointer(&files);
    }
    while ((name = g_dir_read_name(dir)) && files->len <= MAX_FILES) {
        if (name[0] != '.' && g_str_has_suffix(name, ".xml"))
            g_ptr_array_add(files, g_build_filename(directory, name, NULL));
    }
    if (files->len > MAX_FILES)
        sevmig_issue_add(issues, directory, 0, 0, "more than %d policies; expected at most that",
                         MAX_FILES);
    g_ptr_array_sort(files, compare_names);
    return g_steal_pointer(&files);
}

/* Two policies of one name in one directory leave it to chance which is meant. */
static void
add_policy(GArray *entries, SevmigPolicy *policy, GPtrArray *issues)
{
    const SevmigPolicyEntry *same = find_active(entries, sevmig_policy_name(policy));
    SevmigPolicyEntry entry = {.policy = policy, .state = SEVMIG_POLICY_ACTIVE};

    if (same)
        sevmig_issue_add(issues, sevmig_policy_file(policy), 0, 0,
                         "policy \"%s\" is also in %s; expected one of that name in a directory",
                         sevmig_policy_name(policy), sevmig_policy_file(same->policy));
    g_array_append_val(entries, entry);
}

static GArray *
load_directory(const char *directory, GPtrArray *issues)
{
    GArray *entries = entries_new();
    g_autoptr(GPtrArray) files = list_files(directory, issues);

    for (guint i = 0; i < files->len; i++) {
        SevmigPolicy *policy = sevmig_policy_load(g_ptr_array_index(files, i), issues, NULL);

        if (policy)
            add_policy(entries, policy, issues);
    }
    return entries;
}

/* Lays the upper set over the lower one; takes the entries of both. */
static GArray *
overlay(GArray *upper, GArray *lower)
{
    guint n = upper->len;

    for (guint i = 0; i < lower->len; i++) {
        SevmigPolicyEntry entry = *entry_at(lower, i);

        sevmig_policy_ref(entry.policy);
        for (guint j = 0; j < n; j++) {
            if (!strcmp(sevmig_policy_name(entry_at(upper, j)->policy),
                        sevmig_policy_name(entry.policy)))
                entry.state = SEVMIG_POLICY_REPLACED;
        }
        g_array_append_val(upper, entry);
    }
    g_array_unref(lower);
    return upper;
}

static void
add_built_in(GArray *entries)
{
    SevmigPolicyEntry entry = {.state = SEVMIG_POLICY_ACTIVE};

    if (find_active(entries, DEFAULT_NAME))
        return;
    entry.policy = sevmig_policy_parse(BUILT_IN_DEFAULT, -1, "built-in", NULL, NULL);
    g_assert(entry.policy);
    g_array_append_val(entries, entry);
}

static SevmigCeiling *
load_ceiling(const char *path, GPtrArray *issues)
{
    g_autofree char *text = NULL;
    struct stat info;
    gsize size;

    if (stat(path, &info) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return NULL;
    text = sevmig_file_read(path, SEVMIG_POLICY_MAX_BYTES, &size, issues);
    return text ? sevmig_ceiling_parse(text, size, path, issues) : NULL;
}

SevmigPolicyStore *
sevmig_policy_store_new(const char *admin_dir, const char *vendor_dir, const char *ceiling_file)
{
    SevmigPolicyStore *self = g_new0(SevmigPolicyStore, 1);

    self->admin_dir = g_strdup(admin_dir ? admin_dir : SEVMIG_POLICY_DIR_ADMIN);
    self->vendor_dir = g_strdup(vendor_dir ? vendor_dir : SEVMIG_POLICY_DIR_VENDOR);
    self->ceiling_file = g_strdup(ceiling_file ? ceiling_file : SEVMIG_CEILING_FILE);
    self->entries = entries_new();
    add_built_in(self->entries);
    return self;
}

SevmigPolicyStore *
sevmig_policy_store_snapshot(const SevmigPolicyStore *self)
{
    SevmigPolicyStore *snapshot = g_new0(SevmigPolicyStore, 1);

    snapshot->admin_dir = g_strdup(self->admin_dir);
    snapshot->vendor_dir = g_strdup(self->vendor_dir);
    snapshot->ceiling_file = g_strdup(self->ceiling_file);
    snapshot->entries = g_array_ref(self->entries);
    snapshot->ceiling = self->ceiling ? g_atomic_rc_box_acquire(self->ceiling) : NULL;
    return snapshot;
}

void
sevmig_policy_store_free(SevmigPolicyStore *self)
{
    g_array_unref(self->entries);
    if (self->ceiling)
        sevmig_ceiling_unref(self->ceiling);
    g_free(self->admin_dir);
    g_free(self->vendor_dir);
    g_free(self->ceiling_file);
    g_free(self);
}

/* Takes the entries of both, and the ceiling. */
static void
put_in_force(SevmigPolicyStore *self, GArray *upper, GArray *lower, SevmigCeiling *ceiling)
{
    g_array_unref(self->entries);
    self->entries = overlay(upper, lower);
    add_built_in(self->entries);
    g_array_sort(self->entries, compare_entries);
    if (self->ceiling)
        sevmig_ceiling_unref(self->ceiling);
    self->ceiling = ceiling;
}

gboolean
sevmig_policy_store_reload(SevmigPolicyStore *self, GPtrArray *issues, GError **error)
{
    g_autoptr(GPtrArray) own = sevmig_policy_issues_new();
    g_autoptr(SevmigCeiling) ceiling = load_ceiling(self->ceiling_file, own);
    g_autoptr(GArray) upper = load_directory(self->admin_dir, own);
    guint before = own->len;
    g_autoptr(GArray) lower = load_directory(self->vendor_dir, own);

    if (own->len > 0) {
        /* At a start there is no older set; what ships is one by itself. */
        if (!self->loaded && own->len == before)
            put_in_force(self, entries_new(), g_steal_pointer(&lower), g_steal_pointer(&ceiling));
        sevmig_issues_to_error(own, 0, SEVMIG_ERROR_INVALID, error);
        sevmig_issues_move(own, issues);
        return FALSE;
    }
    put_in_force(self, g_steal_pointer(&upper), g_steal_pointer(&lower), g_steal_pointer(&ceiling));
    self->loaded = TRUE;
    return TRUE;
}

unsigned
sevmig_policy_store_count(const SevmigPolicyStore *self)
{
    unsigned count = 0;

    for (guint i = 0; i < self->entries->len; i++)
        count += entry_at(self->entries, i)->state == SEVMIG_POLICY_ACTIVE;
    return count;
}

SevmigPolicy *
sevmig_policy_store_lookup(const SevmigPolicyStore *self, const char *name)
{
    const SevmigPolicyEntry *entry = find_active(self->entries, name);

    return entry ? entry->policy : NULL;
}

const SevmigPolicyEntry *
sevmig_policy_store_list(const SevmigPolicyStore *self, size_t *n)
{
    *n = self->entries->len;
    return (const SevmigPolicyEntry *)(const void *)self->entries->data;
}

const SevmigCeiling *
sevmig_policy_store_ceiling(const SevmigPolicyStore *self)
{
    return self->ceiling;
}

const char *
sevmig_policy_state_name(SevmigPolicyState state)
{
    return state == SEVMIG_POLICY_ACTIVE ? "active" : "replaced";
}

/* Which of the two documents a file is meant to be. */
static gboolean
is_ceiling_file(const char *text, gsize size)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autoptr(SevmigXmlDoc) doc = sevmig_xml_parse(text, size, "", &sevmig_policy_limits, issues);

    return doc && !strcmp(doc->root->name, "ceiling");
}

gboolean
sevmig_policy_lint(const char *path, GPtrArray *issues)
{
    guint before = issues->len;
    g_autofree char *text = NULL;
    gsize size;

    if (g_file_test(path, G_FILE_TEST_IS_DIR)) {
        g_array_unref(load_directory(path, issues));
        return issues->len == before;
    }
    text = sevmig_file_read(path, SEVMIG_POLICY_MAX_BYTES, &size, issues);
    if (text && is_ceiling_file(text, size)) {
        g_autoptr(SevmigCeiling) ceiling = sevmig_ceiling_parse(text, size, path, issues);
    } else if (text) {
        g_autoptr(SevmigPolicy) policy =
            sevmig_policy_parse(text, (gssize)size, path, issues, NULL);
    }
    return issues->len == before;
}
