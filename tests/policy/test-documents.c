/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every document below tests/policy (its README.md says what is where) and every policy that ships,
 * against the parser and against the RELAX NG as other tools use it. Of a valid one, writing and
 * reading again changes nothing; a faulty one gets the messages of its .expected file.
 */
#include "policy-test.h"
#include "sevmig-policy-store.h"

#define POLICY_SCHEMA "sevmig-policy.rng"

typedef void (*DocumentTest)(const char *path);

static void
each(const char *relative, DocumentTest test)
{
    g_autoptr(GPtrArray) documents = test_documents(relative);

    for (guint i = 0; i < documents->len; i++) {
        g_test_message("%s", (const char *)g_ptr_array_index(documents, i));
        test(g_ptr_array_index(documents, i));
    }
}

static void
assert_schema_accepts(const char *path)
{
    gsize size;
    g_autofree char *text = test_read(path, &size);
    g_autofree char *refusal = test_schema_refusal(POLICY_SCHEMA, text, size);

    g_assert_cmpstr(refusal, ==, NULL);
}

/* A message that only says no helps nobody: each says where. */
static void
assert_placed(const SevmigPolicyIssue *issue)
{
    g_assert_cmpuint(issue->line, >, 0);
    g_assert_cmpuint(issue->column, >, 0);
}

static void
assert_lint(const char *path)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autofree char *lines = NULL;
    gboolean clean = sevmig_policy_lint(path, issues);

    lines = test_issue_lines(issues);
    g_assert_cmpint(clean, ==, issues->len == 0);
    g_assert_cmpuint(issues->len, >, 0);
    g_assert_null(strstr(lines, "refused by the schema")); /* the parser must say it better */
    for (guint i = 0; i < issues->len; i++)
        assert_placed(g_ptr_array_index(issues, i));
    test_golden(path, lines);
}

/* Reading what was written gives the same values and the same text. */
static void
assert_round_trip(const SevmigPolicy *policy)
{
    g_autofree char *written = sevmig_policy_to_xml(policy);
    g_autofree char *again = NULL;
    g_autofree char *refusal = test_schema_refusal(POLICY_SCHEMA, written, strlen(written));
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigPolicy) copy = sevmig_policy_parse(written, -1, "written", NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(refusal, ==, NULL);
    g_assert_cmpmem(sevmig_policy_params(policy), sizeof(SevmigControlParams),
                    sevmig_policy_params(copy), sizeof(SevmigControlParams));
    g_assert_cmpstr(sevmig_policy_name(policy), ==, sevmig_policy_name(copy));
    g_assert_cmpstr(sevmig_policy_description(policy), ==, sevmig_policy_description(copy));
    g_assert_cmpuint(sevmig_policy_priority(policy), ==, sevmig_policy_priority(copy));
    g_assert_cmpuint(sevmig_policy_peer(policy), ==, sevmig_policy_peer(copy));
    g_assert_cmpuint(sevmig_policy_incoming(policy), ==, sevmig_policy_incoming(copy));
    again = sevmig_policy_to_xml(copy);
    g_assert_cmpstr(written, ==, again);
}

static void
check_policy(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigPolicy) policy = sevmig_policy_load(path, NULL, &error);

    g_assert_no_error(error);
    assert_schema_accepts(path);
    assert_round_trip(policy);
}

static void
check_valid(const char *path)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autofree char *base = g_path_get_basename(path);

    sevmig_policy_lint(path, issues);
    if (issues->len > 0) {
        g_autofree char *lines = test_issue_lines(issues);
        g_error("%s: %s", path, lines);
    }
    assert_schema_accepts(path);
    if (!g_str_has_prefix(base, "ceiling"))
        check_policy(path);
}

static void
test_valid(void)
{
    each("tests/policy/valid", check_valid);
}

static void
test_shipped(void)
{
    each("policies", check_policy);
}

/* And what was expected there, unless the document is no XML in the first place. */
static void
assert_lint_expects(const char *path)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();

    assert_lint(path);
    sevmig_policy_lint(path, issues);
    for (guint i = 0; i < issues->len; i++) {
        const SevmigPolicyIssue *issue = g_ptr_array_index(issues, i);

        g_assert_nonnull(strstr(issue->text, "; expected "));
    }
}

static void
check_invalid(const char *path)
{
    gsize size;
    g_autofree char *text = test_read(path, &size);
    g_autofree char *refusal = test_schema_refusal(POLICY_SCHEMA, text, size);

    g_assert_cmpstr(refusal, !=, NULL);
    assert_lint_expects(path);
}

static void
test_invalid(void)
{
    each("tests/policy/invalid", check_invalid);
}

static void
check_absurd(const char *path)
{
    assert_schema_accepts(path);
    assert_lint_expects(path);
}

static void
test_absurd(void)
{
    each("tests/policy/absurd", check_absurd);
}

static void
test_malformed(void)
{
    each("tests/policy/malformed", assert_lint);
}

static void
test_error_text(void)
{
    g_autofree char *path = test_path("tests/policy/invalid/several.xml");
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autofree char *wanted = g_strconcat(
        path,
        ":3:21: <downtime unit>: \"msec\" is not known; expected one of us, ms, s, min, h "
        "(and 3 more)",
        NULL);

    g_assert_null(sevmig_policy_load(path, issues, &error));
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID);
    g_assert_cmpstr(error->message, ==, wanted);
    g_assert_cmpuint(issues->len, ==, 4);
}

static void
test_values(void)
{
    g_autofree char *path = test_path("tests/policy/valid/full.xml");
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigPolicy) policy = sevmig_policy_load(path, NULL, &error);
    const SevmigControlParams *params;

    g_assert_no_error(error);
    params = sevmig_policy_params(policy);
    g_assert_cmpstr(sevmig_policy_name(policy), ==, "low-downtime.v2_A");
    g_assert_cmpstr(sevmig_policy_file(policy), ==, path);
    g_assert_true(g_str_has_prefix(sevmig_policy_description(policy), "A <full> policy & every"));
    g_assert_cmpuint(params->downtime_goal_us, ==, 300 * 1000);
    g_assert_cmpuint(params->downtime_max_us, ==, 2000 * 1000);
    g_assert_cmpuint(params->duration_goal_us, ==, G_GUINT64_CONSTANT(1800) * 1000 * 1000);
    g_assert_cmpuint(params->slowdown_goal_percent, ==, 60);
    g_assert_cmpuint(params->goal_order[0], ==, SEVMIG_GOAL_SLOWDOWN);
    g_assert_cmpuint(params->goal_order[1], ==, SEVMIG_GOAL_DOWNTIME);
    g_assert_cmpuint(params->goal_order[2], ==, SEVMIG_GOAL_DURATION);
    g_assert_cmpuint(params->throttle_mode, ==, SEVMIG_THROTTLE_STEERED);
    g_assert_cmpuint(params->throttle_ceiling_percent, ==, 80);
    g_assert_cmpuint(params->stun_us, ==, 100 * 1000);
    g_assert_true(params->throttle_per_vcpu);
    g_assert_cmpuint(params->batch_pages, ==, 64);
    g_assert_cmpuint(params->batch_hold_us, ==, 5000);
    g_assert_cmpint(params->gap_pages, ==, 2);
    g_assert_cmpuint(params->on_stall, ==, SEVMIG_ON_STALL_RELAX);
    g_assert_cmpuint(params->on_deadline, ==, SEVMIG_ON_DEADLINE_ABORT);
    g_assert_false(params->observe_only);
    g_assert_cmpuint(sevmig_policy_priority(policy), ==, 70);
    g_assert_cmpuint(sevmig_policy_match_priority(policy), ==, 60);
    g_assert_true(sevmig_policy_has_match(policy));
    g_assert_cmpuint(sevmig_policy_incoming(policy), ==,
                     SEVMIG_INCOMING_SEV_RECEIVE | SEVMIG_INCOMING_SCHEMA);
    g_assert_cmpuint(sevmig_policy_incoming_on_failure(policy), ==, SEVMIG_ON_FAILURE_REFUSE);
}

/* The defaults that stand for a limit shrink with the downtime goal. */
static void
test_settled(void)
{
    g_autoptr(SevmigPolicy) policy = sevmig_policy_parse(
        "<policy xmlns='urn:sevmig:policy:1' name='p'><goals><downtime>4</downtime></goals>"
        "</policy>",
        -1, "p", NULL, NULL);

    g_assert_nonnull(policy);
    g_assert_cmpuint(sevmig_policy_params(policy)->stun_us, ==, 4000);
    g_assert_cmpuint(sevmig_policy_params(policy)->batch_hold_us, ==, 4000);
    g_assert_cmpint(sevmig_policy_params(policy)->gap_pages, ==, -1);
    g_assert_cmpuint(sevmig_policy_params(policy)->throttle_ceiling_percent, ==, 95);
    g_assert_false(sevmig_policy_has_match(policy));
}

static void
test_special_policies(void)
{
    g_autofree char *observe_path = test_path("policies/observe.xml");
    g_autofree char *qemu_path = test_path("tests/policy/valid/throttle-qemu.xml");
    g_autoptr(SevmigPolicy) observe = sevmig_policy_load(observe_path, NULL, NULL);
    g_autoptr(SevmigPolicy) qemu = sevmig_policy_load(qemu_path, NULL, NULL);

    g_assert_true(sevmig_policy_params(observe)->observe_only);
    g_assert_cmpuint(sevmig_policy_params(qemu)->throttle_mode, ==, SEVMIG_THROTTLE_QEMU);
    g_assert_cmpuint(sevmig_policy_params(qemu)->batch_pages, ==, 1);
    g_assert_cmpint(sevmig_policy_params(qemu)->gap_pages, ==, 0);
}

/* Other parameters are stated; what was stated before stays, and what never was is left out. */
static void
test_varied(void)
{
    g_autoptr(SevmigPolicy) policy = sevmig_policy_parse(
        "<policy xmlns='urn:sevmig:policy:1' name='p'><match priority='7'><domain name='db-*'/>"
        "</match><goals><downtime>40</downtime></goals></policy>",
        -1, "p", NULL, NULL);
    SevmigControlParams params = *sevmig_policy_params(policy);
    g_autoptr(SevmigPolicy) varied = NULL, read = NULL;
    g_autofree char *text = NULL;

    params.downtime_goal_us = 60000;
    params.throttle_ceiling_percent = 80;
    params.fixed_downtime_us = 5;
    varied = sevmig_policy_vary(policy, &params, NULL);
    text = sevmig_policy_to_xml(varied);
    read = sevmig_policy_parse(text, -1, "varied", NULL, NULL);
    g_assert_cmpstr(text, ==,
                    "<policy xmlns=\"urn:sevmig:policy:1\" name=\"p\">\n"
                    "  <match priority=\"7\">\n    <domain name=\"db-*\"/>\n  </match>\n"
                    "  <goals>\n    <downtime unit=\"ms\">60</downtime>\n  </goals>\n"
                    "  <throttle>\n    <ceiling unit=\"percent\">80</ceiling>\n  </throttle>\n"
                    "</policy>\n");
    g_assert_nonnull(read);
    g_assert_cmpuint(sevmig_policy_params(varied)->fixed_downtime_us, ==, 0);
    g_assert_cmpuint(sevmig_policy_params(policy)->downtime_goal_us, ==, 40000);
}

/* Parameters may come from a record, that is from anywhere. */
static void
test_varied_absurd(void)
{
    g_autoptr(SevmigPolicy) policy =
        sevmig_policy_parse("<policy xmlns='urn:sevmig:policy:1' name='p'/>", -1, "p", NULL, NULL);
    SevmigControlParams params = *sevmig_policy_params(policy);
    g_autoptr(GError) error = NULL;

    params.gap_pages = 65535;
    g_assert_null(sevmig_policy_vary(policy, &params, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, "gap-pages"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/documents/valid", test_valid);
    g_test_add_func("/policy/documents/shipped", test_shipped);
    g_test_add_func("/policy/documents/invalid", test_invalid);
    g_test_add_func("/policy/documents/absurd", test_absurd);
    g_test_add_func("/policy/documents/malformed", test_malformed);
    g_test_add_func("/policy/documents/error-text", test_error_text);
    g_test_add_func("/policy/documents/values", test_values);
    g_test_add_func("/policy/documents/settled", test_settled);
    g_test_add_func("/policy/documents/special", test_special_policies);
    g_test_add_func("/policy/documents/varied", test_varied);
    g_test_add_func("/policy/documents/varied-absurd", test_varied_absurd);
    return g_test_run();
}
