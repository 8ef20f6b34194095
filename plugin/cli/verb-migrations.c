/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl list, show */
#include "migration.h"
#include "remote.h"
#include "render.h"

static const TextColumn columns[] = {
    {"ID", FALSE, 3},      {"DOMAIN", FALSE, 0},  {"POLICY", FALSE, 4},
    {"PHASE", FALSE, 0},   {"PASS", TRUE, 5},     {"REMAINING", TRUE, 6},
    {"THROTTLE", TRUE, 2}, {"DOWNTIME", TRUE, 0}, {"ELAPSED", TRUE, 1},
};

/* The real one once it is known, else the prediction. */
static char *
downtime_cell(const Migration *m)
{
    if (m->downtime_us > 0)
        return text_duration(m->downtime_us);
    if (m->predicted_downtime_us == 0 || migration_ended(m))
        return g_strdup("-");
    g_autofree char *predicted = text_duration(m->predicted_downtime_us);
    return g_strdup_printf("~%s", predicted);
}

static void
add_row(GPtrArray *rows, const Migration *m)
{
    g_ptr_array_add(rows, g_strdup(m->id));
    g_ptr_array_add(rows, g_strdup(m->domain));
    g_ptr_array_add(rows, g_strdup(m->policy));
    g_ptr_array_add(rows, g_strdup_printf("%s%s%s", m->phase, m->paused_us > 0 ? ", paused" : "",
                                          m->still_us > 0 ? ", still" : ""));
    g_ptr_array_add(rows, g_strdup_printf("%" G_GUINT64_FORMAT, m->pass));
    g_ptr_array_add(rows, text_bytes(m->remaining_pages * m->page_size_bytes));
    g_ptr_array_add(rows, g_strdup_printf("%u %%", m->throttle_percent));
    g_ptr_array_add(rows, downtime_cell(m));
    g_ptr_array_add(rows, text_duration(m->elapsed_us));
}

static void
list_json(GPtrArray *list)
{
    g_autoptr(GString) out = g_string_new(NULL);
    json_open(out, NULL, '[');
    for (guint i = 0; i < list->len; i++)
        migration_json(out, list->pdata[i]);
    json_close(out, ']');
    cli_put_json(out);
}

static void
list_text(GPtrArray *list)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    if (list->len == 0) {
        g_string_append(out, "no migrations\n");
        cli_put(out);
        return;
    }
    for (guint i = 0; i < list->len; i++)
        add_row(rows, list->pdata[i]);
    text_table(out, columns, G_N_ELEMENTS(columns), rows, cli_width());
    cli_put(out);
}

CliExit
verb_list(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = migration_load_all(cli, cli->all, &error);
    /* An empty list means little while sevmigd cannot see any domain. */
    if (list == NULL || !remote_note(cli, "LibvirtState", "connected",
                                     "sevmigd is not connected to libvirt", &error))
        return cli_fail(cli, error);
    if (cli->json)
        list_json(list);
    else
        list_text(list);
    return CLI_OK;
}

CliExit
verb_show(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(Migration) migration = migration_find(cli, cli->args[0], &error);
    if (migration == NULL)
        return cli_fail(cli, error);
    if (cli->json) {
        migration_json(out, migration);
        cli_put_json(out);
    } else {
        render_details(out, migration);
        cli_put(out);
    }
    return CLI_OK;
}
