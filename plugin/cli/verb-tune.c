/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl tune: needs sevmigd only to be told which records are a domain's */
#include <string.h>

#include "choose.h"
#include "migration.h"
#include "sevmig-error.h"
#include "tune.h"

const char tune_help[] =
    "Proposes a policy from recorded migrations: derives a simulated guest from each, makes sure\n"
    "that it migrates there as it did, changes one goal or limit at a time and shows how many of\n"
    "the migrations would have met their goals, total time and guest time lost (means) and the\n"
    "longest downtime, against those of today's policy. A star marks what -o writes, to be\n"
    "reviewed. A record that the simulation misses by more than a factor of two is left out, and\n"
    "one that takes it more than ten seconds of CPU time.\n\n"
    "Today's policy is the one that all records have in common, unless --policy names another.\n\n"
    "Examples:\n"
    "  sevmigctl tune /var/lib/sevmig/records/*.jsonl --policy default\n"
    "  sevmigctl tune --history db-1 -o db.xml && sevmigctl policy lint db.xml\n\n"
    "Exit status: 1 if no record can be used or nothing is better than today's policy.";

void
tune_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"history", 0, 0, G_OPTION_ARG_STRING, &cli->domain,
         "the records that sevmigd keeps of this domain (name or UUID), the newest 64", "DOMAIN"},
        {"policy", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &cli->trial.policies,
         "today's, to be changed (default: the one that was recorded)", "NAME|FILE"},
        {"policy-dir", 0, 0, G_OPTION_ARG_FILENAME, &cli->trial.policy_dir,
         "where policies are looked up by name, instead of this host's places", "DIR"},
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &cli->output,
         "write the proposal; - for standard output, in place of the tables", "POLICY.xml"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

static CliExit
check_usage(const Cli *cli)
{
    guint n = g_strv_length(cli->args);
    char **policies = cli->trial.policies;
    if ((n > 0) == (cli->domain != NULL))
        return cli_misuse(cli, "needs records, or --history DOMAIN: one of them");
    if (cli->domain != NULL && *cli->domain == '\0')
        return cli_misuse(cli, "--history takes a domain's name or UUID, not an empty word");
    if (n > TUNE_MOST_RECORDS)
        return cli_misuse(cli, "at most %d records, not %u", TUNE_MOST_RECORDS, n);
    if (policies != NULL && policies[1] != NULL)
        return cli_misuse(cli, "one policy can be tuned at a time, not \"%s\" as well",
                          policies[1]);
    if (cli->json && cli->output != NULL && strcmp(cli->output, "-") == 0)
        return cli_misuse(cli, "--json prints the proposal among the rest, -o - is one too many");
    return CLI_OK;
}

/* --- Records --- */

/* Paths, of those kept of a domain's migrations if it is one that was named. */
static char **
find_records(Cli *cli, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autoptr(GPtrArray) list = NULL;
    guint n = 0;
    if (cli->domain == NULL)
        return g_strdupv(cli->args);
    list = migration_load_history(cli, cli->domain, TUNE_MOST_RECORDS, error);
    if (list == NULL)
        return NULL;
    for (guint i = 0; i < list->len; i++) {
        const Migration *migration = list->pdata[i];
        if (*migration->record_file == '\0')
            continue;
        g_strv_builder_add(builder, migration->record_file);
        n++;
    }
    if (n > 0)
        return g_strv_builder_end(builder);
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
                "no record of %s is kept: \"sevmigctl history\" lists what there is", cli->domain);
    return NULL;
}

static GPtrArray *
derive_all(char **paths, Progress *progress, GError **error)
{
    g_autoptr(GPtrArray) records =
        g_ptr_array_new_with_free_func((GDestroyNotify)derive_record_free);
    for (char **path = paths; *path != NULL; path++) {
        progress_say(progress, "deriving a guest from %s", *path);
        DerivedRecord *record = derive_record(*path, error);
        if (record == NULL)
            return NULL;
        g_ptr_array_add(records, record);
    }
    return g_steal_pointer(&records);
}

/* --- Today's policy --- */

static SevmigPolicy *
common_policy(GPtrArray *records, GError **error)
{
    g_autoptr(SevmigPolicy) first = NULL;
    g_autofree char *text = NULL;
    for (guint i = 0; i < records->len; i++) {
        const DerivedRecord *record = records->pdata[i];
        if (record->refused != NULL)
            continue;
        g_autoptr(SevmigPolicy) policy = derive_policy(record, error);
        if (policy == NULL)
            return NULL;
        g_autofree char *is = sevmig_policy_to_xml(policy);
        if (text != NULL && strcmp(text, is) != 0) {
            g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID,
                        "%s was recorded under another policy, or version of it, than those "
                        "before: --policy says which one to tune",
                        record->path);
            return NULL;
        }
        if (text == NULL) {
            text = g_steal_pointer(&is);
            first = g_steal_pointer(&policy);
        }
    }
    if (first == NULL)
        return sevmig_policy_parse("<policy xmlns=\"" SEVMIG_POLICY_NAMESPACE "\" name=\"none\"/>",
                                   -1, "", NULL, error); /* nothing will be tried */
    return g_steal_pointer(&first);
}

/* --- Output --- */

static gboolean
put(const Cli *cli, const Tune *tune, GError **error)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *document = NULL;
    gboolean print = cli->output != NULL && strcmp(cli->output, "-") == 0;
    if (tune->proposal != NULL && (document = tune_document(tune, error)) == NULL)
        return FALSE;
    if (document != NULL && cli->output != NULL && !print &&
        !g_file_set_contents_full(cli->output, document, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644,
                                  error))
        return FALSE;
    if (cli->json) {
        tune_json(out, tune, document);
        cli_put_json(out);
        return TRUE;
    }
    if (print)
        g_string_append(out, document != NULL ? document : "");
    else
        tune_render(out, tune, cli_width());
    cli_put(out);
    return TRUE;
}

CliExit
verb_tune(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigPolicy) today = NULL;
    g_autoptr(GPtrArray) records = NULL;
    g_autoptr(Tune) tune = NULL;
    CliExit usage = check_usage(cli);
    if (usage != CLI_OK)
        return usage;
    g_autoptr(Progress) progress = progress_new();
    g_auto(GStrv) paths = find_records(cli, &error);
    if (paths != NULL)
        records = derive_all(paths, progress, &error);
    if (records != NULL)
        today = cli->trial.policies != NULL
                    ? choose_policy(&cli->trial, cli->trial.policies[0], &error)
                    : common_policy(records, &error);
    if (today == NULL)
        return cli_fail(cli, error);
    tune = tune_run(records, today, progress);
    g_clear_pointer(&progress, progress_free);
    if (!put(cli, tune, &error))
        return cli_fail(cli, error);
    return tune->proposal != NULL ? CLI_OK : CLI_FAILURE;
}
