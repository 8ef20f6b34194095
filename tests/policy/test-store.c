/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib/gstdio.h>
#include <sys/stat.h>

#include "policy-test.h"
#include "sevmig-policy-store-internal.h"

#define NS "xmlns='urn:sevmig:policy:1'"
#define POLICY(name, inside) "<policy " NS " name='" name "'>" inside "</policy>"

typedef struct {
    char *admin;
    char *vendor;
    char *ceiling;
    SevmigPolicyStore *store;
} Fixture;

static void
set_up(Fixture *self, gconstpointer data)
{
    self->admin = test_make_directory();
    self->vendor = test_make_directory();
    self->ceiling = g_build_filename(self->admin, "limits", NULL);
    self->store = sevmig_policy_store_new(self->admin, self->vendor, self->ceiling);
}

static void
tear_down(Fixture *self, gconstpointer data)
{
    sevmig_policy_store_free(self->store);
    test_remove_directory(self->admin);
    test_remove_directory(self->vendor);
    g_free(self->ceiling);
}

static void
reload(Fixture *self)
{
    g_autoptr(GError) error = NULL;
    gboolean ok = sevmig_policy_store_reload(self->store, NULL, &error);

    g_assert_no_error(error);
    g_assert_true(ok);
}

/* A reload that fails with exactly these issues, "FILE:..." with the directories cut off. */
static void
reload_fails(Fixture *self, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autoptr(GString) lines = g_string_new(NULL);
    g_autofree char *admin = g_strconcat(self->admin, "/", NULL);
    g_autofree char *vendor = g_strconcat(self->vendor, "/", NULL);
    g_autofree char *first = NULL;

    g_assert_false(sevmig_policy_store_reload(self->store, issues, &error));
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID);
    for (guint i = 0; i < issues->len; i++) {
        g_autofree char *line = sevmig_policy_issue_format(g_ptr_array_index(issues, i));

        if (i == 0)
            first = g_strdup(line);
        g_string_append_printf(lines, "%s\n", line);
    }
    g_assert_true(g_str_has_prefix(error->message, first));
    g_string_replace(lines, admin, "admin/", 0);
    g_string_replace(lines, vendor, "vendor/", 0);
    g_assert_cmpstr(lines->str, ==, expected);
}

/* "name state priority" of each entry, one a line. */
static char *
listing(const Fixture *self)
{
    GString *out = g_string_new(NULL);
    size_t n;
    const SevmigPolicyEntry *entries = sevmig_policy_store_list(self->store, &n);

    for (size_t i = 0; i < n; i++)
        g_string_append_printf(out, "%s %s %u\n", sevmig_policy_name(entries[i].policy),
                               sevmig_policy_state_name(entries[i].state),
                               sevmig_policy_priority(entries[i].policy));
    return g_string_free(out, FALSE);
}

static void
assert_listing(const Fixture *self, const char *expected)
{
    g_autofree char *actual = listing(self);

    g_assert_cmpstr(actual, ==, expected);
}

static void
test_empty(Fixture *self, gconstpointer data)
{
    assert_listing(self, "default active 50\n");
    reload(self);
    assert_listing(self, "default active 50\n");
    g_assert_cmpuint(sevmig_policy_store_count(self->store), ==, 1);
    g_assert_cmpstr(sevmig_policy_file(sevmig_policy_store_lookup(self->store, "default")), ==,
                    "built-in");
    g_assert_null(sevmig_policy_store_lookup(self->store, "other"));
}

static void
test_missing_directories(void)
{
    g_autoptr(SevmigPolicyStore) store =
        sevmig_policy_store_new("/nonexistent/a", "/nonexistent/b", "/nonexistent/c");
    g_autoptr(GError) error = NULL;

    g_assert_true(sevmig_policy_store_reload(store, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(sevmig_policy_store_count(store), ==, 1);
}

static void
test_overlay(Fixture *self, gconstpointer data)
{
    test_write(self->vendor, "a.xml", POLICY("a", "<priority>1</priority>"));
    test_write(self->vendor, "b.xml", POLICY("b", "<priority>2</priority>"));
    test_write(self->vendor, "d.xml", POLICY("default", "<priority>3</priority>"));
    test_write(self->admin, "other-file-name.xml", POLICY("b", "<priority>4</priority>"));
    test_write(self->admin, "c.xml", POLICY("c", "<priority>5</priority>"));
    test_write(self->admin, ".hidden.xml", "not a policy");
    test_write(self->admin, "c.xml~", "not a policy");
    test_write(self->admin, "README", "not a policy");
    reload(self);
    assert_listing(self, "a active 1\nb active 4\nb replaced 2\nc active 5\ndefault active 3\n");
    g_assert_cmpuint(sevmig_policy_store_count(self->store), ==, 4);
    g_assert_cmpuint(sevmig_policy_priority(sevmig_policy_store_lookup(self->store, "b")), ==, 4);
}

static void
test_removed(Fixture *self, gconstpointer data)
{
    g_autofree char *path = g_build_filename(self->admin, "a.xml", NULL);

    test_write(self->vendor, "a.xml", POLICY("a", "<priority>1</priority>"));
    test_write(self->admin, "a.xml", POLICY("a", "<priority>2</priority>"));
    reload(self);
    assert_listing(self, "a active 2\na replaced 1\ndefault active 50\n");
    g_assert_cmpint(g_remove(path), ==, 0);
    reload(self);
    assert_listing(self, "a active 1\ndefault active 50\n");
}

/* One bad file among good and changed ones: the whole old set stays. */
static void
test_all_or_nothing(Fixture *self, gconstpointer data)
{
    g_autoptr(SevmigPolicy) held = NULL;

    test_write(self->vendor, "a.xml", POLICY("a", "<priority>1</priority>"));
    test_write(self->admin, "b.xml", POLICY("b", "<priority>2</priority>"));
    reload(self);
    held = sevmig_policy_ref(sevmig_policy_store_lookup(self->store, "b"));

    test_write(self->vendor, "a.xml", POLICY("a", "<priority>10</priority>"));
    test_write(self->admin, "b.xml", POLICY("b", "<priority>20</priority>"));
    test_write(self->admin, "c.xml",
               "<policy " NS " name='c'>\n  <priority>900</priority>\n"
               "  <speed/>\n</policy>");
    test_write(self->vendor, "z.xml", "<policy");
    reload_fails(self,
                 "admin/c.xml:2:13: <priority>: \"900\" is out of range; expected a whole number "
                 "from 0 to 100\n"
                 "admin/c.xml:3:3: <policy>: element \"speed\" is not known; expected "
                 "<description>, <match>, <goals>, <control>, <throttle>, <batch>, <priority>, "
                 "<on-stall>, <on-deadline>, <peer>, <incoming>\n"
                 "vendor/z.xml:1:8: not well-formed XML: Couldn't find end of Start Tag policy "
                 "line 1\n");
    assert_listing(self, "a active 1\nb active 2\ndefault active 50\n");
    g_assert_true(sevmig_policy_store_lookup(self->store, "b") == held);

    test_write(self->admin, "c.xml", POLICY("c", ""));
    test_write(self->vendor, "z.xml", POLICY("z", ""));
    reload(self);
    assert_listing(self, "a active 10\nb active 20\nc active 50\ndefault active 50\nz active 50\n");
    g_assert_cmpuint(sevmig_policy_priority(held), ==, 2); /* outlives the set it came from */
}

static void
test_same_name(Fixture *self, gconstpointer data)
{
    g_autofree char *one = g_build_filename(self->admin, "one.xml", NULL);
    g_autofree char *expected = g_strdup_printf("admin/two.xml: policy \"a\" is also in %s; "
                                                "expected one of that name in a directory\n",
                                                "admin/one.xml");

    test_write(self->admin, "one.xml", POLICY("a", ""));
    test_write(self->admin, "two.xml", POLICY("a", ""));
    reload_fails(self, expected);
    assert_listing(self, "default active 50\n");
}

static void
test_not_regular(Fixture *self, gconstpointer data)
{
    g_autofree char *fifo = g_build_filename(self->admin, "fifo.xml", NULL);
    g_autofree char *dangling = g_build_filename(self->admin, "link.xml", NULL);

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_cmpint(symlink("/nonexistent/policy", dangling), ==, 0);
    reload_fails(self, "admin/fifo.xml: is not a regular file\n"
                       "admin/link.xml: cannot be opened: No such file or directory\n");
}

static void
test_huge(Fixture *self, gconstpointer data)
{
    g_autofree char *space = g_strnfill(SEVMIG_POLICY_MAX_BYTES, ' ');
    g_autofree char *text = g_strconcat(POLICY("a", ""), space, NULL);

    test_write(self->admin, "a.xml", text);
    reload_fails(self, "admin/a.xml: too large; a policy has at most 65536 bytes\n");
    text[SEVMIG_POLICY_MAX_BYTES] = '\0';
    test_write(self->admin, "a.xml", text);
    reload(self);
}

static void
test_bad_ceiling(Fixture *self, gconstpointer data)
{
    test_write(self->vendor, "a.xml", POLICY("a", ""));
    reload(self);
    test_write(self->vendor, "b.xml", POLICY("b", ""));
    test_write(self->admin, "limits", "<ceiling " NS "><goals/></ceiling>");
    reload_fails(self, "admin/limits:1:38: <ceiling>: element \"goals\" is not known; expected "
                       "<throttle>, <batch>, <priority>\n");
    assert_listing(self, "a active 50\ndefault active 50\n");
    test_write(self->admin, "limits", POLICY("p", ""));
    reload_fails(self, "admin/limits:1:1: element <policy>; expected <ceiling>\n");
    test_write(self->admin, "limits", "<ceiling " NS "/>");
    reload(self);
    assert_listing(self, "a active 50\nb active 50\ndefault active 50\n");
}

static void
test_lint_directory(Fixture *self, gconstpointer data)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autoptr(GPtrArray) reloaded = sevmig_policy_issues_new();

    test_write(self->vendor, "a.xml", POLICY("a", ""));
    g_assert_true(sevmig_policy_lint(self->vendor, issues));
    test_write(self->vendor, "b.xml", POLICY("b", "<priority>x</priority>"));
    test_write(self->vendor, "c.xml", POLICY("a", ""));
    g_assert_false(sevmig_policy_lint(self->vendor, issues));
    g_assert_false(sevmig_policy_store_reload(self->store, reloaded, NULL));
    g_assert_cmpuint(issues->len, ==, 2);
    g_assert_cmpuint(reloaded->len, ==, 2);
    for (guint i = 0; i < issues->len; i++) {
        g_autofree char *one = sevmig_policy_issue_format(g_ptr_array_index(issues, i));
        g_autofree char *other = sevmig_policy_issue_format(g_ptr_array_index(reloaded, i));

        g_assert_cmpstr(one, ==, other);
    }
    g_assert_false(sevmig_policy_lint("/nonexistent/file.xml", issues));
}

/* At a start there is no older set: what ships is in force, and nothing of the other directory,
 * until that is good. */
static void
test_bad_at_start(Fixture *self, gconstpointer data)
{
    test_write(self->admin, "broken.xml", "<policy");
    test_write(self->admin, "mine.xml", POLICY("mine", ""));
    test_write(self->vendor, "default.xml",
               POLICY("default", "<goals><downtime>200</downtime></goals>"));
    test_write(self->vendor, "gentle.xml", POLICY("gentle", ""));
    test_write(self->admin, "limits",
               "<ceiling " NS "><throttle><ceiling>40</ceiling></throttle></ceiling>");
    g_assert_false(sevmig_policy_store_reload(self->store, NULL, NULL));
    g_assert_cmpuint(sevmig_policy_store_count(self->store), ==, 2);
    g_assert_nonnull(sevmig_policy_store_lookup(self->store, "gentle"));
    g_assert_null(sevmig_policy_store_lookup(self->store, "mine"));
    g_assert_nonnull(sevmig_policy_store_ceiling(self->store));
    g_assert_cmpuint(
        sevmig_policy_params(sevmig_policy_store_lookup(self->store, "default"))->downtime_goal_us,
        ==, 200000);
    test_write(self->admin, "broken.xml", POLICY("mended", ""));
    reload(self);
    g_assert_cmpuint(sevmig_policy_store_count(self->store), ==, 4);
    test_write(self->admin, "broken.xml", "<policy");
    g_assert_false(sevmig_policy_store_reload(self->store, NULL, NULL));
    g_assert_cmpuint(sevmig_policy_store_count(self->store), ==, 4);
}

/* Nor is half of what ships in force where a fault is in that. */
static void
test_bad_shipped(Fixture *self, gconstpointer data)
{
    test_write(self->vendor, "broken.xml", "<policy");
    test_write(self->vendor, "gentle.xml", POLICY("gentle", ""));
    g_assert_false(sevmig_policy_store_reload(self->store, NULL, NULL));
    g_assert_null(sevmig_policy_store_lookup(self->store, "gentle"));
    g_assert_nonnull(sevmig_policy_store_lookup(self->store, "default"));
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/policy/store/empty", test_empty},
        {"/policy/store/overlay", test_overlay},
        {"/policy/store/removed", test_removed},
        {"/policy/store/all-or-nothing", test_all_or_nothing},
        {"/policy/store/same-name", test_same_name},
        {"/policy/store/not-regular", test_not_regular},
        {"/policy/store/huge", test_huge},
        {"/policy/store/bad-ceiling", test_bad_ceiling},
        {"/policy/store/lint-directory", test_lint_directory},
        {"/policy/store/bad-at-start", test_bad_at_start},
        {"/policy/store/bad-shipped", test_bad_shipped},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
    g_test_add_func("/policy/store/missing-directories", test_missing_directories);
    return g_test_run();
}
