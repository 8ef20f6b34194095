/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl policy switch */
#include "migration.h"
#include "remote.h"

const char switch_help[] =
    "The policy is in force within a tick, a tenth of a second; the same verb goes back.\n"
    "The migration's record tells who did it, and the reason.";

void
switch_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"reason", 0, 0, G_OPTION_ARG_STRING, &cli->reason, "why, for the record", "TEXT"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

static void
report(const Cli *cli, const Migration *migration)
{
    g_autoptr(GString) out = g_string_new(NULL);
    if (cli->json) {
        json_open(out, NULL, '{');
        json_string(out, "id", migration->id);
        json_string(out, "domain", migration->domain);
        json_string(out, "before", migration->policy);
        json_string(out, "policy", cli->args[1]);
        json_close(out, '}');
        cli_put_json(out);
        return;
    }
    g_string_append_printf(out, "%s: %s from now on, %s before\n", migration->domain, cli->args[1],
                           migration->policy);
    cli_put(out);
}

CliExit
verb_policy_switch(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Migration) migration = migration_find(cli, cli->args[0], &error);
    if (migration == NULL)
        return cli_fail(cli, error);
    GVariant *arguments =
        g_variant_new("(ss)", cli->args[1], cli->reason != NULL ? cli->reason : "");
    g_autoptr(GVariant) reply =
        remote_call_migration(cli, migration->path, "SetPolicy", arguments, "()", &error);
    if (reply == NULL)
        return cli_fail(cli, error);
    report(cli, migration);
    return CLI_OK;
}
