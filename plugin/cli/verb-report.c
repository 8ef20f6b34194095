/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl report: needs neither sevmigd nor a bus if it is given the record */
#include <string.h>

#include "choose.h"
#include "migration.h"
#include "report-page.h"
#include "sevmig-error.h"

#define RECORD_ENDING ".jsonl"

const char report_help[] =
    "Writes one HTML page that shows how a migration went: what remained, dirty against "
    "encryption\n"
    "rate, throttle, batch, the downtime predicted against the goal, each decision with its "
    "reason,\n"
    "and what was promised against what came of it. The page needs nothing but a browser: no\n"
    "network, no other file.\n\n"
    "A word with a slash or that ends in .jsonl is a record's file, any other is looked up as\n"
    "\"sevmigctl show\" does. --json prints the page's data instead.\n\n"
    "Examples:\n"
    "  sevmigctl report db-1 -o db-1.html\n"
    "  sevmigctl report /var/lib/sevmig/records/ID.jsonl -o night.html";

void
report_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &cli->output, "the page; - for standard output",
         "FILE"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

/* The record's path, which the caller frees. */
static char *
find_record(Cli *cli, const char *word, GError **error)
{
    g_autoptr(Migration) migration = NULL;
    if (strchr(word, '/') != NULL || g_str_has_suffix(word, RECORD_ENDING))
        return g_strdup(word);
    migration = migration_find(cli, word, error);
    if (migration == NULL)
        return NULL;
    if (*migration->record_file != '\0')
        return g_strdup(migration->record_file);
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
                "%s of %s has no record: nothing was recorded, or it has made room for newer ones",
                migration->id, migration->domain);
    return NULL;
}

static gboolean
put_page(const char *output, const ReportData *data, GError **error)
{
    g_autoptr(GString) page = report_page(data);
    g_autoptr(GError) failure = NULL;
    if (strcmp(output, "-") == 0) {
        cli_put(page);
        return TRUE;
    }
    if (g_file_set_contents_full(output, page->str, (gssize)page->len,
                                 G_FILE_SET_CONTENTS_CONSISTENT, 0644, &failure))
        return TRUE;
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "%s", failure->message);
    return FALSE;
}

static gboolean
put_report(const Cli *cli, const ReportData *data, GError **error)
{
    g_autoptr(GString) out = NULL;
    if (!cli->json)
        return put_page(cli->output, data, error);
    out = g_string_new(NULL);
    report_data_json(out, data);
    cli_put_json(out);
    return TRUE;
}

CliExit
verb_report(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    g_autoptr(ReportData) data = NULL;
    if (cli->output == NULL && !cli->json)
        return cli_misuse(cli, "where to? -o FILE names the page");
    if (cli->output != NULL && cli->json)
        return cli_misuse(cli, "--json prints the data, -o FILE writes the page: one of them");
    path = find_record(cli, cli->args[0], &error);
    if (path != NULL && choose_check_file(path, &error))
        data = report_data_read(path, &error);
    if (data == NULL || !put_report(cli, data, &error))
        return cli_fail(cli, error);
    if (report_data_problem(data) != NULL) {
        g_set_error(&error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID, "%s; the report ends there",
                    report_data_problem(data)->message);
        return cli_fail(cli, error);
    }
    return CLI_OK;
}
