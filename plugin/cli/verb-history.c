/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl history: what sevmigd keeps on disk of migrations that have ended */
#include <string.h>

#include "migration.h"
#include "render.h"

static const TextColumn columns[] = {
    {"STARTED", FALSE, 1}, {"ID", FALSE, 0},   {"DOMAIN", FALSE, 0},  {"POLICY", FALSE, 5},
    {"RESULT", FALSE, 0},  {"TOTAL", TRUE, 6}, {"DOWNTIME", TRUE, 0}, {"PROMISED", TRUE, 4},
    {"GOAL", TRUE, 7},     {"LOST", TRUE, 3},  {"THROTTLE", TRUE, 2},
};

void
history_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"limit", 0, 0, G_OPTION_ARG_INT, &cli->limit, "at most so many (default: 20; 0: all)",
         "N"},
        {"domain", 0, 0, G_OPTION_ARG_STRING, &cli->domain, "only this domain (name or UUID)",
         "DOMAIN"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

static char *
duration_or_dash(guint64 us)
{
    return us > 0 ? text_duration(us) : g_strdup("-");
}

static void
add_row(GPtrArray *rows, const Migration *m)
{
    g_autofree char *started = render_started(m);
    g_ptr_array_add(rows, g_strdup(started != NULL ? started : "-"));
    g_ptr_array_add(rows, g_strdup(m->id));
    g_ptr_array_add(rows, g_strdup(m->domain));
    g_ptr_array_add(rows, g_strdup(*m->policy != '\0' ? m->policy : "-"));
    g_ptr_array_add(rows, g_strdup(m->phase));
    g_ptr_array_add(rows, text_duration(m->elapsed_us));
    g_ptr_array_add(rows, duration_or_dash(m->downtime_us));
    g_ptr_array_add(rows, duration_or_dash(m->promised_downtime_us));
    g_ptr_array_add(rows, duration_or_dash(m->downtime_goal_us));
    g_ptr_array_add(rows, text_duration(m->guest_lost_us));
    g_ptr_array_add(rows, g_strdup_printf("%u %%", m->max_throttle_percent));
}

static void
history_json(GString *out, GPtrArray *list)
{
    json_open(out, NULL, '[');
    for (guint i = 0; i < list->len; i++)
        migration_json(out, list->pdata[i]);
    json_close(out, ']');
    cli_put_json(out);
}

static void
history_text(GString *out, GPtrArray *list)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < list->len; i++)
        add_row(rows, list->pdata[i]);
    if (list->len > 0)
        text_table(out, columns, G_N_ELEMENTS(columns), rows, cli_width());
    else
        g_string_append(out, "no migration has ended\n");
    cli_put(out);
}

CliExit
verb_history(Cli *cli)
{
    const char *domain = cli->domain != NULL ? cli->domain : "";
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GPtrArray) list = NULL;
    if (cli->limit < 0)
        return cli_misuse(cli, "--limit takes 0 (all) or more, not %d", cli->limit);
    if (cli->domain != NULL && *cli->domain == '\0')
        return cli_misuse(cli, "--domain takes a domain's name or UUID, not an empty word");
    list = migration_load_history(cli, domain, (guint)cli->limit, &error);
    if (list == NULL)
        return cli_fail(cli, error);
    if (cli->json)
        history_json(out, list);
    else
        history_text(out, list);
    return CLI_OK;
}
