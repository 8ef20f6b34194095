/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Positions, limits, and that no mutilated document does more than be refused.
 */
#include <time.h>

#include "policy-test.h"
#include "sevmig-policy-resolve.h"
#include "sevmig-policy-store.h"
#include "sevmig-policy-xml.h"

static const SevmigXmlLimits limits = {
    .what = "a test",
    .max_bytes = 4096,
    .max_depth = 4,
    .max_elements = 8,
    .max_attributes = 4,
};

static SevmigXmlDoc *
parse(const char *text)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    SevmigXmlDoc *doc = sevmig_xml_parse(text, strlen(text), "t", &limits, issues);

    g_assert_cmpuint(issues->len, ==, 0);
    g_assert_nonnull(doc);
    return doc;
}

static void
expect_issue(const char *text, const char *expected)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autofree char *line = NULL;

    g_assert_null(sevmig_xml_parse(text, strlen(text), "t", &limits, issues));
    g_assert_cmpuint(issues->len, ==, 1);
    line = sevmig_policy_issue_format(g_ptr_array_index(issues, 0));
    g_assert_cmpstr(line, ==, expected);
}

static void
expect_at(const SevmigXmlDoc *doc, gsize offset, unsigned line, unsigned column)
{
    unsigned is_line, is_column;

    sevmig_xml_position(doc, offset, &is_line, &is_column);
    g_assert_cmpuint(is_line, ==, line);
    g_assert_cmpuint(is_column, ==, column);
}

static void
test_positions(void)
{
    g_autoptr(SevmigXmlDoc) doc = parse("<?xml version='1.0'?>\n"
                                        "<r><!-- <b> --><a\n"
                                        "   x = \"1>2\"\ty='/>'\n"
                                        "   z=''  >\n"
                                        "  <!-- c --> <?pi <x> ?>\n"
                                        "\tt\xc3\xa4xt <b/></a><c><![CDATA[<&]]></c></r>");
    const SevmigXmlNode *a = doc->root->children;

    g_assert_cmpstr(a->name, ==, "a");
    expect_at(doc, doc->root->offset, 2, 1);
    expect_at(doc, a->offset, 2, 16);
    expect_at(doc, sevmig_xml_attr_offset(doc, a, "x"), 3, 9);
    expect_at(doc, sevmig_xml_attr_offset(doc, a, "y"), 3, 17);
    expect_at(doc, sevmig_xml_attr_offset(doc, a, "z"), 4, 7);
    expect_at(doc, sevmig_xml_attr_offset(doc, a, "absent"), 2, 16);
    expect_at(doc, sevmig_xml_text_offset(doc, a), 6, 2);
    expect_at(doc, a->children->offset, 6, 7);
    expect_at(doc, sevmig_xml_text_offset(doc, a->children), 6, 7); /* none: the element */
    expect_at(doc, sevmig_xml_text_offset(doc, a->next), 6, 27);
    g_assert_cmpstr(sevmig_xml_attr(a, "x"), ==, "1>2");
    g_assert_cmpstr(sevmig_xml_attr(a, "y"), ==, "/>");
    g_assert_cmpstr(a->next->text->str, ==, "<&");
}

static void
test_line_endings(void)
{
    g_autoptr(SevmigXmlDoc) doc = parse("\xef\xbb\xbf<r>\r\n  <a/>\r\n</r>");

    expect_at(doc, doc->root->offset, 1, 1);
    expect_at(doc, doc->root->children->offset, 2, 3);
}

/* libxml2 moves along in long inputs; positions must not. */
static void
test_long_input(void)
{
    g_autofree char *comment = g_strnfill(3000, 'x');
    g_autofree char *text =
        g_strdup_printf("<r>\n<!-- %s -->\n<!-- %.900s -->\n  <a b='c'/></r>", comment, comment);
    g_autoptr(SevmigXmlDoc) doc = parse(text);

    expect_at(doc, doc->root->children->offset, 4, 3);
    expect_at(doc, sevmig_xml_attr_offset(doc, doc->root->children, "b"), 4, 9);
}

static void
test_limits(void)
{
    g_autofree char *large = g_strnfill(5000, ' ');
    g_autoptr(SevmigXmlDoc) deep = parse("<a><b><c><d/></c></b></a>");
    g_autoptr(SevmigXmlDoc) many = parse("<a><b/><b/><b/><b/><b/><b/><b/></a>");

    expect_issue(large, "t: too large; a test has at most 4096 bytes");
    expect_issue("<a><b><c><d><e/></d></c></b></a>",
                 "t:1:13: <e>: elements nest deeper than 4 levels, a test has at most that");
    expect_issue("<a><b/><b/><b/><b/><b/><b/><b/><b/></a>",
                 "t:1:32: <b>: more than 8 elements, a test has at most that");
    expect_issue("<a><b c='' d='' e='' f='' g=''/></a>",
                 "t:1:4: <b>: more than 4 attributes, an element of a test has at most that");
}

/* What libxml2 would take long for is counted before it reads: also where a tag looks odd. */
static void
test_bounds(void)
{
    g_autoptr(GString) declared = g_string_new(NULL);
    g_autofree char *text = NULL;
    g_autoptr(SevmigXmlDoc) beside = NULL;
    g_autoptr(SevmigXmlDoc) doc = parse(
        "<a b = '=======' c\n=\"='='='=\"><!-- d='' d='' d='' d='' --><?e f='' f='' f='' f=''?>"
        "<![CDATA[<g h='' h='' h='' h='' h=''>]]></a>");

    g_assert_nonnull(doc);
    for (guint i = 0; i < 257; i++)
        g_string_append_printf(declared, " xmlns:n%03u='u'", i); /* 15 characters each */
    text = g_strdup_printf("<a><b%s/></a>", declared->str);
    expect_issue(text, "t:1:4: <b>: more than 256 namespaces, a test has at most that in force");
    g_free(text);
    /* Half of them in an element, half in another: together they are in force inside of it only. */
    text = g_strdup_printf("<a%.*s><b%s/></a>", 129 * 15, declared->str, declared->str + 128 * 15);
    expect_issue(text, "t:1:1939: <b>: more than 256 namespaces, a test has at most that in force");
    g_free(text);
    text =
        g_strdup_printf("<a><c%.*s/><b%s/></a>", 129 * 15, declared->str, declared->str + 128 * 15);
    beside = parse(text);
    g_assert_nonnull(beside);
}

#define DOMAIN_HEAD "<domain type='kvm'><name>d</name><launchSecurity type='sev'/><metadata>"
#define DOMAIN_TAIL "</metadata></domain>"
#define POLICY_HEAD DOMAIN_HEAD "<policy xmlns='urn:sevmig:policy:1' name='x'>"
#define POLICY_TAIL "</policy>" DOMAIN_TAIL

/* A megabyte: the head, the unit with its number as often as there is place, the tail. */
static char *
fill(const char *head, const char *unit, const char *tail)
{
    GString *text = g_string_new(head);

    for (guint i = 0; text->len + strlen(unit) + 16 < SEVMIG_DOMAIN_MAX_BYTES - strlen(tail); i++) {
        for (const char *p = unit; *p; p++) {
            if (*p == '@')
                g_string_append_printf(text, "%x", i);
            else
                g_string_append_c(text, *p);
        }
    }
    g_string_append(text, tail);
    return g_string_free(text, FALSE);
}

static double
seconds_to_resolve(const SevmigPolicyStore *store, const char *xml)
{
    clock_t begun = clock();
    g_autoptr(SevmigResolution) resolution = sevmig_policy_resolve(store, xml, -1, NULL);

    return (double)(clock() - begun) / CLOCKS_PER_SEC;
}

/* A domain's owner and every caller choose what is read: no form of it may take much longer than
 * a plain document of the same size. Unbounded, the first form takes libxml2 twelve seconds. */
static void
test_slow_forms(void)
{
    static const char *const forms[][3] = {
        {"<domain><a ", "a@='' ", "/></domain>"},
        {"<domain xmlns:p='u'><a ", "p:a@='' ", "/></domain>"},
        {"<domain><a ", "xmlns:a@='u' ", "/></domain>"},
        {"<domain>", "<a xmlns:a@='u'><a@:b/>", "</domain>"},
        {"<domain>", "<b a='>>>>>>>>'/>", "</domain>"},
        {"<domain>", "<!---->", "</domain>"},
        {"<domain>", "<?a?>", "</domain>"},
        {"<domain><name>", "<![CDATA[]]>", "</name></domain>"},
        {"<domain><name>", "&lt;", "</name></domain>"},
        {POLICY_HEAD "<match>", "<domain nam='a@'/>", "</match>" POLICY_TAIL},
        {POLICY_HEAD, "<goals a='' b='' c='' d='' e='' f='' g='' h='' i='' j='' k=''/>",
         POLICY_TAIL},
        {POLICY_HEAD "<description>", "a ", "</description>" POLICY_TAIL},
    };
    g_autofree char *plain = fill("<domain><name>", "a", "</name></domain>");
    g_autofree char *elements = fill("<domain>", "<a b='cdefghij'/>", "</domain>");
    SevmigPolicyStore *store = sevmig_policy_store_new("/nonexistent", "/nonexistent", NULL);
    double usual = seconds_to_resolve(store, plain) + seconds_to_resolve(store, elements);

    for (gsize i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_autofree char *xml = fill(forms[i][0], forms[i][1], forms[i][2]);
        double seconds = seconds_to_resolve(store, xml);

        g_test_message("%.3f s, usual %.3f s: %.60s", seconds, usual, xml);
        g_assert_cmpfloat(seconds, <, 8 * usual);
    }
    sevmig_policy_store_free(store);
}

/* However much is wrong, the list of it ends. */
static void
test_many_faults(void)
{
    g_autoptr(GString) text = g_string_new("<policy xmlns='urn:sevmig:policy:1' name='p'>");
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    const SevmigPolicyIssue *last;

    for (guint i = 0; i < 1000; i++)
        g_string_append(text, "<a/>");
    g_string_append(text, "</policy>");
    g_assert_null(sevmig_policy_parse(text->str, -1, "t", issues, NULL));
    g_assert_cmpuint(issues->len, ==, 101);
    last = g_ptr_array_index(issues, 100);
    g_assert_cmpstr(last->text, ==,
                    "more than 100 faults; expected fewer, the others are not listed");
}

static void
test_entities(void)
{
    g_autoptr(SevmigXmlDoc) doc = parse("<a b='&lt;&quot;&amp;&#38;lt;'>&amp;&#x41;&#66;</a>");

    g_assert_cmpstr(sevmig_xml_attr(doc->root, "b"), ==, "<\"&&lt;");
    g_assert_cmpstr(doc->root->text->str, ==, "&AB");
    expect_issue("<a>&b;</a>", "t:1:7: not well-formed XML: Entity 'b' not defined");
    expect_issue("<!DOCTYPE a><a/>", "t:1:1: a document type declaration is not allowed here; "
                                     "expected none, and no entities");
}

/* What a message quotes cannot move the cursor or fake a second message. */
static void
test_printable(void)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autofree char *line = NULL;

    g_assert_null(sevmig_policy_parse("<policy xmlns='urn:sevmig:policy:1' name='p'><control>\n"
                                      "x&#13;\xc2\x9b"
                                      "2Jy&#10;</control></policy>",
                                      -1, "a\nb\x1b[2J", issues, NULL));
    line = sevmig_policy_issue_format(g_ptr_array_index(issues, 0));
    g_assert_cmpstr(line, ==,
                    "a\\u000ab\\u001b[2J:2:1: <control>: \"x\\u000d\\u009b2Jy\" is not known; "
                    "expected one of steer, observe");
}

/* Each byte of a full policy changed in several ways, and each prefix of it: always either a policy
 * or at least one issue, and never a crash. */
static void
test_mutations(void)
{
    static const char replacements[] = {'\0', '<', '&', '"', '/', '\xff'};
    g_autofree char *path = test_path("tests/policy/valid/full.xml");
    gsize size;
    g_autofree char *text = test_read(path, &size);

    for (gsize i = 0; i < size; i++) {
        char kept = text[i];

        for (gsize j = 0; j < sizeof replacements; j++) {
            g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
            g_autoptr(SevmigPolicy) policy = NULL;

            text[i] = replacements[j];
            policy = sevmig_policy_parse(text, (gssize)size, "t", issues, NULL);
            g_assert_cmpint(policy != NULL, ==, issues->len == 0);
        }
        text[i] = kept;
        if (i + 1 < size - 1)
            g_assert_null(sevmig_policy_parse(text, (gssize)i, "t", NULL, NULL));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/xml/positions", test_positions);
    g_test_add_func("/policy/xml/line-endings", test_line_endings);
    g_test_add_func("/policy/xml/long-input", test_long_input);
    g_test_add_func("/policy/xml/limits", test_limits);
    g_test_add_func("/policy/xml/bounds", test_bounds);
    g_test_add_func("/policy/xml/slow-forms", test_slow_forms);
    g_test_add_func("/policy/xml/many-faults", test_many_faults);
    g_test_add_func("/policy/xml/entities", test_entities);
    g_test_add_func("/policy/xml/printable", test_printable);
    g_test_add_func("/policy/xml/mutations", test_mutations);
    return g_test_run();
}
