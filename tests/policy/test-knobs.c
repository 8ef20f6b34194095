/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The knob table, the RELAX NG, the manual page and the documents of tests/policy say the same.
 * What one knows and another does not, in either direction, fails here.
 */
#include <libxml/parser.h>

#include "policy-test.h"
#include "sevmig-policy-internal.h"
#include "sevmig-policy-store.h"

#define NS "urn:sevmig:policy:1"
#define RNG_NS "http://relaxng.org/ns/structure/1.0"

typedef void (*KnobTest)(const SevmigKnob *knob);

static void
each_knob(KnobTest test)
{
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    for (gsize i = 0; i < n; i++) {
        g_test_message("%s %s", knobs[i].element, knobs[i].attribute ? knobs[i].attribute : "");
        test(&knobs[i]);
    }
}

/* A document that sets one knob, and beside it only what its element cannot be without. */
static char *
document(const SevmigKnob *knob, const char *value, const char *unit)
{
    g_auto(GStrv) names = g_strsplit(knob->element, "/", -1);
    GString *out = g_string_new("<policy xmlns=\"" NS "\" name=\"p\">");
    guint last = g_strv_length(names) - 1;

    for (guint i = 0; i < last; i++)
        g_string_append_printf(out, "<%s>", names[i]);
    g_string_append_printf(out, "<%s", names[last]);
    if (unit)
        g_string_append_printf(out, " unit=\"%s\"", unit);
    if (knob->attribute)
        g_string_append_printf(out, " %s=\"%s\"", knob->attribute, value);
    if (!strcmp(knob->element, "incoming") && strcmp(knob->attribute, "require"))
        g_string_append(out, " require=\"schema\"");
    g_string_append_c(out, '>');
    if (!knob->attribute)
        g_string_append(out, value);
    else if (!strcmp(knob->element, "goals/downtime"))
        g_string_append(out, "1");
    else if (!strcmp(knob->element, "match"))
        g_string_append(out, "<domain name=\"x\"/>");
    for (guint i = last + 1; i > 0; i--)
        g_string_append_printf(out, "</%s>", names[i - 1]);
    g_string_append(out, "</policy>");
    return g_string_free(out, FALSE);
}

/* Schema and table must give the same answer about a value. */
static void
agree(const SevmigKnob *knob, const char *value, const char *unit, gboolean accepted)
{
    g_autofree char *text = document(knob, value, unit);
    g_autofree char *refusal = test_schema_refusal("sevmig-policy.rng", text, strlen(text));
    SevmigPolicyValues values;
    gboolean unit_known = !unit || (knob->units && sevmig_unit_find(knob->units, unit));
    g_autofree char *reason = NULL;

    sevmig_policy_knobs_init(&values);
    reason = unit_known ? sevmig_knob_parse(knob, value, unit, &values) : g_strdup("unit");
    if ((refusal == NULL) != accepted || (reason == NULL) != accepted)
        g_error("%s: schema: %s; table: %s", text, refusal ? refusal : "accepts",
                reason ? reason : "accepts");
}

static void
agree_number(const SevmigKnob *knob, guint64 value, const char *unit, gboolean accepted)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, value);

    agree(knob, text, unit, accepted);
}

/* Where there is no scaling the schema knows the range as well. */
static void
check_plain_range(const SevmigKnob *knob)
{
    const char *unit = knob->units ? knob->unit : NULL;

    agree_number(knob, knob->min, unit, TRUE);
    agree_number(knob, knob->max, unit, TRUE);
    agree_number(knob, knob->max + 1, unit, FALSE);
    if (knob->min > 0)
        agree_number(knob, knob->min - 1, unit, FALSE);
    agree(knob, "-1", unit, FALSE);
    agree(knob, "+1", unit, FALSE);
}

static void
check_units(const SevmigKnob *knob)
{
    for (const SevmigUnit *unit = knob->units; unit && unit->name; unit++) {
        g_autofree char *text = document(knob, "1", unit->name);
        g_autofree char *refusal = test_schema_refusal("sevmig-policy.rng", text, strlen(text));

        g_assert_cmpstr(refusal, ==, NULL); /* one hour may be too much, but hours are known */
        if (knob->max >= unit->factor)
            agree_number(knob, knob->max / unit->factor, unit->name, TRUE);
    }
    agree_number(knob, knob->min, "furlong", FALSE);
}

static void
check_against_schema(const SevmigKnob *knob)
{
    agree(knob, "", NULL, FALSE);
    agree(knob, "nonsense", NULL, FALSE);
    if (knob->word)
        agree(knob, knob->word, NULL, TRUE);
    else
        agree(knob, "auto", NULL, FALSE);
    for (const SevmigChoice *choice = knob->choices; choice && choice->name; choice++)
        agree(knob, choice->name, NULL, TRUE);
    if (knob->kind != SEVMIG_KNOB_NUMBER)
        return;
    agree(knob, "1.5", NULL, FALSE);
    agree(knob, "1234567890123456", NULL, FALSE);
    if (!knob->units || !knob->units[1].name)
        check_plain_range(knob);
    check_units(knob);
}

static void
test_schema(void)
{
    each_knob(check_against_schema);
}

static void
learn(GHashTable *set, const char *name)
{
    g_hash_table_add(set, g_strdup(name));
}

static void
learn_knob(GHashTable *names, GHashTable *values, const SevmigKnob *knob)
{
    g_auto(GStrv) path = g_strsplit(knob->element, "/", -1);

    for (char **name = path; *name; name++)
        learn(names, *name);
    if (knob->attribute)
        learn(names, knob->attribute);
    if (knob->units)
        learn(names, "unit");
    if (knob->word)
        learn(values, knob->word);
    for (const SevmigUnit *unit = knob->units; unit && unit->name; unit++)
        learn(values, unit->name);
    for (const SevmigChoice *choice = knob->choices; choice && choice->name; choice++)
        learn(values, choice->name);
}

/* Every name and literal value of the schema must be known; what is left in the sets afterwards is
 * missing from the schema. */
static void
cross_out(xmlNodePtr node, GHashTable *names, GHashTable *values)
{
    for (; node; node = node->next) {
        g_autofree char *name = NULL, *value = NULL;
        xmlChar *text;

        if (node->type != XML_ELEMENT_NODE)
            continue;
        if (!strcmp((const char *)node->name, "element") ||
            !strcmp((const char *)node->name, "attribute")) {
            text = xmlGetProp(node, (const xmlChar *)"name");
            name = g_strdup((const char *)text);
            xmlFree(text);
            if (!g_hash_table_contains(names, name))
                g_error("the schema has \"%s\", which no knob has", name);
            g_hash_table_replace(names, g_steal_pointer(&name), names); /* seen */
        } else if (!strcmp((const char *)node->name, "value")) {
            text = xmlNodeGetContent(node);
            value = g_strdup((const char *)text);
            xmlFree(text);
            if (!g_hash_table_contains(values, value))
                g_error("the schema has the value \"%s\", which no knob has", value);
            g_hash_table_replace(values, g_steal_pointer(&value), values);
        }
        cross_out(node->children, names, values);
    }
}

static void
assert_all_seen(GHashTable *set)
{
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        if (value != set)
            g_error("the schema has no \"%s\"", (const char *)key);
    }
}

static void
test_schema_names(void)
{
    static const char *const other_names[] = {
        "policy", "ceiling", "name",   "description", "domain",     "launch-security",
        "type",   "nova",    "flavor", "project",     "extra-spec", "value"};
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *path = test_path("xml-schemas/sevmig-policy.rng");
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);
    xmlDocPtr doc = xmlReadFile(path, NULL, XML_PARSE_NONET);

    for (gsize i = 0; i < G_N_ELEMENTS(other_names); i++)
        learn(names, other_names[i]);
    learn(values, "sev");
    for (gsize i = 0; i < n; i++)
        learn_knob(names, values, &knobs[i]);
    g_assert_nonnull(doc);
    cross_out(xmlDocGetRootElement(doc), names, values);
    assert_all_seen(names);
    assert_all_seen(values);
    xmlFreeDoc(doc);
}

static char *
initial_text(const SevmigKnob *knob)
{
    if (knob->kind == SEVMIG_KNOB_ORDER)
        return g_strdup("downtime duration slowdown");
    return knob->has_initial ? sevmig_knob_format(knob, knob->initial) : g_strdup("none");
}

/* The two lines with which the manual page must describe a knob. */
static char *
manual_entry(const SevmigKnob *knob)
{
    g_autofree char *expected = sevmig_knob_expected(knob);
    g_autofree char *initial = initial_text(knob);
    g_autofree char *unit =
        knob->units ? g_strdup_printf(" Without a unit: %s.", knob->unit) : g_strdup("");

    return g_strdup_printf(".B %s%s%s\nValue: %s.%s Default: %s.\n", knob->element,
                           knob->attribute ? "/@" : "", knob->attribute ? knob->attribute : "",
                           expected, unit, initial);
}

static void
test_manual(void)
{
    g_autofree char *path = test_path("plugin/man/sevmig-policy.5");
    g_autofree char *page = test_read(path, NULL);
    g_autoptr(GString) text = g_string_new(page);
    g_autoptr(GString) missing = g_string_new(NULL);
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    g_string_replace(text, "\\-", "-", 0);
    for (gsize i = 0; i < n; i++) {
        g_autofree char *entry = manual_entry(&knobs[i]);

        if (!strstr(text->str, entry))
            g_string_append(missing, entry);
    }
    g_assert_cmpstr(missing->str, ==, "");
}

/* A manual that lists what is no knob promises too much. */
static void
test_manual_no_more(void)
{
    g_autofree char *path = test_path("plugin/man/sevmig-policy.5");
    g_autofree char *page = test_read(path, NULL);
    gsize n, entries = 0;

    sevmig_knobs(&n);
    for (const char *at = page; (at = strstr(at, " Default: ")); at++)
        entries++;
    g_assert_cmpuint(entries, ==, n);
}

/* What the valid documents set, as bits. */
static guint64
given_by_documents(void)
{
    g_autoptr(GPtrArray) documents = test_documents("tests/policy/valid");
    guint64 given = 0;

    for (guint i = 0; i < documents->len; i++) {
        g_autoptr(SevmigPolicy) policy =
            sevmig_policy_load(g_ptr_array_index(documents, i), NULL, NULL);

        given |= policy ? policy->given : 0; /* the others are ceilings */
    }
    return given;
}

static void
lint_all(const char *relative, GPtrArray *issues)
{
    g_autoptr(GPtrArray) documents = test_documents(relative);

    for (guint i = 0; i < documents->len; i++)
        sevmig_policy_lint(g_ptr_array_index(documents, i), issues);
}

/* Whether one of the faults is that of a value of this knob. */
static gboolean
is_faulted(const SevmigKnob *knob, const GPtrArray *issues)
{
    g_autofree char *label = sevmig_knob_label(knob);
    g_autofree char *start = g_strconcat(label, ": \"", NULL);

    for (guint i = 0; i < issues->len; i++) {
        const SevmigPolicyIssue *issue = g_ptr_array_index(issues, i);

        if (g_str_has_prefix(issue->text, start))
            return TRUE;
    }
    return FALSE;
}

/* No knob without a document that sets it and one that gets it wrong. */
static void
test_documents_of_each(void)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    guint64 given = given_by_documents();
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    lint_all("tests/policy/invalid", issues);
    lint_all("tests/policy/absurd", issues);
    for (gsize i = 0; i < n; i++) {
        g_autofree char *label = sevmig_knob_label(&knobs[i]);

        g_test_message("%s %s", knobs[i].element, label);
        g_assert_true((given >> i) & 1);
        g_assert_true(is_faulted(&knobs[i], issues));
    }
}

static void
check_row(const SevmigKnob *knob)
{
    SevmigPolicyValues values;

    sevmig_policy_knobs_init(&values);
    if (knob->kind == SEVMIG_KNOB_NUMBER) {
        g_assert_cmpuint(knob->min, <=, knob->max);
        if (knob->units)
            g_assert_nonnull(sevmig_unit_find(knob->units, knob->unit));
        if (knob->has_initial && !knob->word) {
            g_assert_cmpint(knob->initial, >=, (gint64)knob->min);
            g_assert_cmpint(knob->initial, <=, (gint64)knob->max);
        }
    } else {
        g_assert_nonnull(knob->choices);
    }
    if (knob->kind != SEVMIG_KNOB_ORDER)
        g_assert_cmpint(sevmig_knob_get(knob, &values), ==, knob->initial);
    g_assert_cmpuint(knob->offset, <, sizeof values);
    g_assert_cmpuint(sevmig_knob_index(knob->element, knob->attribute), <, 64);
}

static void
test_rows(void)
{
    each_knob(check_row);
}

/* A value that is refused leaves the values as they were. */
static void
check_untouched(const SevmigKnob *knob)
{
    SevmigPolicyValues before, after;
    g_autofree char *reason = NULL;

    sevmig_policy_knobs_init(&before);
    sevmig_policy_knobs_init(&after);
    reason = sevmig_knob_parse(knob, "nonsense", NULL, &after);
    g_assert_nonnull(reason);
    g_assert_cmpmem(&before, sizeof before, &after, sizeof after);
}

static void
test_untouched(void)
{
    each_knob(check_untouched);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/knobs/rows", test_rows);
    g_test_add_func("/policy/knobs/untouched", test_untouched);
    g_test_add_func("/policy/knobs/schema", test_schema);
    g_test_add_func("/policy/knobs/schema-names", test_schema_names);
    g_test_add_func("/policy/knobs/manual", test_manual);
    g_test_add_func("/policy/knobs/manual-no-more", test_manual_no_more);
    g_test_add_func("/policy/knobs/documents", test_documents_of_each);
    return g_test_run();
}
