/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl policy switch, steer: what is changed of a running migration */
#include "migration.h"
#include "remote.h"

/* --- Another policy --- */

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
    g_autoptr(Migration) migration = migration_find_steerable(cli, cli->args[0], &error);
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

/* --- By hand --- */

const char steer_help[] = "Within what the migration's policy allows: a hand makes it gentler, "
                          "never harsher. What is not\n"
                          "named is the policy's again; --auto leaves everything to it.";

void
steer_options(GOptionContext *context, Cli *cli)
{
    CliSteer *steer = &cli->steer;
    const GOptionEntry entries[] = {
        {"throttle", 0, 0, G_OPTION_ARG_INT, &steer->throttle_percent,
         "throttle the guest by at most this; 0: not at all", "PERCENT"},
        {"batch", 0, 0, G_OPTION_ARG_INT, &steer->batch_pages,
         "encrypt this many pages a submission", "PAGES"},
        {"auto", 0, 0, G_OPTION_ARG_NONE, &steer->automatic, "back to what the policy says", NULL},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
    switch_options(context, cli);
}

static CliExit
check_steer(const Cli *cli)
{
    const CliSteer *steer = &cli->steer;
    gboolean given = steer->throttle_percent >= 0 || steer->batch_pages >= 0;
    if (steer->throttle_percent < -1 || steer->throttle_percent > 99)
        return cli_misuse(cli, "--throttle takes 0 to 99 percent, not %d", steer->throttle_percent);
    if (steer->batch_pages < -1 || steer->batch_pages == 0 || steer->batch_pages > 4096)
        return cli_misuse(cli, "--batch takes 1 to 4096 pages, not %d", steer->batch_pages);
    if (given == steer->automatic)
        return cli_misuse(cli, "needs --throttle or --batch, or --auto alone");
    return CLI_OK;
}

static GVariant *
steer_arguments(const Cli *cli)
{
    const CliSteer *steer = &cli->steer;
    GVariantBuilder values;
    g_variant_builder_init(&values, G_VARIANT_TYPE_VARDICT);
    if (steer->throttle_percent >= 0)
        g_variant_builder_add(&values, "{sv}", "throttle-percent",
                              g_variant_new_uint32((guint32)steer->throttle_percent));
    if (steer->batch_pages >= 0)
        g_variant_builder_add(&values, "{sv}", "batch-pages",
                              g_variant_new_uint32((guint32)steer->batch_pages));
    return g_variant_new("(a{sv}s)", &values, cli->reason != NULL ? cli->reason : "");
}

static void
report_steer(const Cli *cli, const Migration *migration)
{
    const CliSteer *steer = &cli->steer;
    g_autoptr(GString) out = g_string_new(NULL);
    if (cli->json) {
        json_open(out, NULL, '{');
        json_string(out, "id", migration->id);
        json_string(out, "domain", migration->domain);
        if (steer->throttle_percent >= 0)
            json_int(out, "throttle_percent", steer->throttle_percent);
        if (steer->batch_pages >= 0)
            json_int(out, "batch_pages", steer->batch_pages);
        json_close(out, '}');
        cli_put_json(out);
        return;
    }
    g_string_append_printf(out, "%s:", migration->domain);
    if (steer->throttle_percent >= 0)
        g_string_append_printf(out, " throttle at most %d %%", steer->throttle_percent);
    if (steer->batch_pages >= 0)
        g_string_append_printf(out, "%s batch of %d pages", steer->throttle_percent >= 0 ? "," : "",
                               steer->batch_pages);
    g_string_append_printf(out, steer->automatic ? " as %s says\n" : ", all else as %s says\n",
                           migration->policy);
    cli_put(out);
}

CliExit
verb_steer(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    CliExit result = check_steer(cli);
    if (result != CLI_OK)
        return result;
    g_autoptr(Migration) migration = migration_find_steerable(cli, cli->args[0], &error);
    if (migration == NULL)
        return cli_fail(cli, error);
    g_autoptr(GVariant) reply =
        remote_call_migration(cli, migration->path, "Steer", steer_arguments(cli), "()", &error);
    if (reply == NULL)
        return cli_fail(cli, error);
    report_steer(cli, migration);
    return CLI_OK;
}
