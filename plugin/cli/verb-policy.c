/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl policy list, show, lint, reload */
#include "remote.h"
#include "sevmig-policy-store.h"

/* --- list --- */

static void
list_text(GVariant *policies)
{
    static const TextColumn columns[] = {
        {"NAME", FALSE, 0}, {"STATE", FALSE, 3},       {"PRIORITY", TRUE, 1},
        {"FILE", FALSE, 2}, {"DESCRIPTION", FALSE, 0},
    };
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GString) out = g_string_new(NULL);
    for (gsize i = 0; i < g_variant_n_children(policies); i++) {
        g_autoptr(GVariant) policy = g_variant_get_child_value(policies, i);
        guint32 priority = 0;
        g_variant_lookup(policy, "priority", "u", &priority);
        g_ptr_array_add(rows, text_member(policy, "name"));
        g_ptr_array_add(rows, text_member(policy, "state"));
        g_ptr_array_add(rows, g_strdup_printf("%u", priority));
        g_ptr_array_add(rows, text_member(policy, "file"));
        g_ptr_array_add(rows, text_member(policy, "description"));
    }
    text_table(out, columns, G_N_ELEMENTS(columns), rows, cli_width());
    cli_put(out);
}

CliExit
verb_policy_list(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GVariant) reply = remote_call(cli, "ListPolicies", NULL, "(aa{sv})", &error);
    /* A reload that failed leaves the old set in force: whoever looks at the list should know. */
    if (reply == NULL ||
        !remote_note(cli, "PolicyError", "", "the last reload failed and changed nothing", &error))
        return cli_fail(cli, error);
    g_autoptr(GVariant) policies = g_variant_get_child_value(reply, 0);
    if (cli->json) {
        json_variants(out, NULL, policies);
        cli_put_json(out);
    } else {
        list_text(policies);
    }
    return CLI_OK;
}

/* --- show --- */

CliExit
verb_policy_show(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    const char *xml;
    g_autoptr(GVariant) reply =
        remote_call(cli, "GetPolicy", g_variant_new("(s)", cli->args[0]), "(s)", &error);
    if (reply == NULL)
        return cli_fail(cli, error);
    g_variant_get(reply, "(&s)", &xml);
    if (cli->json) {
        json_open(out, NULL, '{');
        json_string(out, "name", cli->args[0]);
        json_string(out, "xml", xml);
        json_close(out, '}');
        cli_put_json(out);
    } else {
        g_string_append_printf(out, "%s%s", xml, g_str_has_suffix(xml, "\n") ? "" : "\n");
        cli_put(out);
    }
    return CLI_OK;
}

/* --- lint --- */

static void
lint_json(GPtrArray *issues)
{
    g_autoptr(GString) out = g_string_new(NULL);
    json_open(out, NULL, '[');
    for (guint i = 0; i < issues->len; i++) {
        const SevmigPolicyIssue *issue = issues->pdata[i];
        json_open(out, NULL, '{');
        json_string(out, "file", issue->file);
        json_uint(out, "line", issue->line);
        json_uint(out, "column", issue->column);
        json_string(out, "text", issue->text);
        json_close(out, '}');
    }
    json_close(out, ']');
    cli_put_json(out);
}

/* Works without sevmigd: the same library reads the files. */
CliExit
verb_policy_lint(Cli *cli)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autoptr(GString) out = g_string_new(NULL);
    gboolean good = TRUE;
    for (char **file = cli->args; *file != NULL; file++) {
        guint before = issues->len;
        if (sevmig_policy_lint(*file, issues)) {
            g_autofree char *name = text_printable(*file);
            g_string_append_printf(out, "%s: good\n", name);
            continue;
        }
        good = FALSE;
        for (guint i = before; i < issues->len; i++) {
            g_autofree char *line = sevmig_policy_issue_format(issues->pdata[i]);
            g_string_append_printf(out, "%s\n", line);
        }
    }
    if (cli->json)
        lint_json(issues);
    else
        cli_put(out);
    return good ? CLI_OK : CLI_FAILURE;
}

/* --- reload --- */

CliExit
verb_policy_reload(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    guint count = 0;
    g_autoptr(GVariant) reply = remote_call(cli, "ReloadPolicies", NULL, "(u)", &error);
    if (reply == NULL)
        return cli_fail(cli, error);
    g_variant_get(reply, "(u)", &count);
    if (cli->json) {
        json_open(out, NULL, '{');
        json_uint(out, "count", count);
        json_close(out, '}');
        cli_put_json(out);
    } else {
        g_string_append_printf(out, "%u policies in force\n", count);
        cli_put(out);
    }
    return CLI_OK;
}
