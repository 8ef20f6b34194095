/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmigctl watch
 *
 * Polls: a tick asks for the running migrations, and once more for each that ran at the tick before
 * and does not now, so that its end is told, once. On a terminal the running ones are redrawn in
 * place below what has ended; elsewhere each tick appends lines.
 */
#include <glib-unix.h>
#include <string.h>

#include "migration.h"
#include "remote.h"
#include "render.h"
#include "sevmig-error.h"

typedef struct {
    Cli *cli;
    const char *domain; /* NULL: all */
    GMainLoop *loop;
    GPtrArray *running; /* object paths of the tick before */
    guint drawn_lines;  /* to be overwritten by the next tick */
    gboolean in_place;
    gboolean colour;
    CliExit result;
} Watch;

static void
draw(Watch *watch, GString *out, const Migration *migration)
{
    if (watch->cli->json) {
        migration_json(out, migration);
        g_string_append_c(out, '\n');
    } else if (watch->in_place || watch->cli->once) {
        watch->drawn_lines += render_live(out, migration, cli_width(), watch->colour);
    } else {
        render_line(out, migration);
    }
}

static void
put(GString *line)
{
    cli_put(line);
    g_string_truncate(line, 0);
}

static void
erase(Watch *watch)
{
    g_autoptr(GString) out = g_string_new(NULL);
    if (watch->in_place && watch->drawn_lines > 0) {
        g_string_printf(out, "\033[%uA\r\033[J", watch->drawn_lines);
        put(out);
    }
    watch->drawn_lines = 0;
}

static gboolean
concerns(const Watch *watch, const Migration *migration)
{
    return watch->domain == NULL || migration_is(migration, watch->domain);
}

static gboolean
contains(GPtrArray *paths, const char *path)
{
    return g_ptr_array_find_with_equal_func(paths, path, g_str_equal, NULL);
}

/* Tells the end of those that ran and do not any more. */
static gboolean
tell_ended(Watch *watch, GPtrArray *still, GError **error)
{
    for (guint i = 0; i < watch->running->len; i++) {
        const char *path = watch->running->pdata[i];
        g_autoptr(GString) out = g_string_new(NULL);
        if (contains(still, path))
            continue;
        g_autoptr(Migration) migration = migration_load(watch->cli, path, error);
        if (migration == NULL)
            return FALSE;
        draw(watch, out, migration);
        put(out);
        watch->drawn_lines = 0; /* what has ended stays on the screen */
        if (watch->domain != NULL) {
            watch->result = strcmp(migration->phase, "done") == 0 ? CLI_OK : CLI_FAILURE;
            g_main_loop_quit(watch->loop);
        }
    }
    return TRUE;
}

static void
draw_running(Watch *watch, GPtrArray *list)
{
    for (guint i = 0; i < list->len; i++) {
        g_autoptr(GString) out = g_string_new(NULL);
        if (!concerns(watch, list->pdata[i]))
            continue;
        draw(watch, out, list->pdata[i]);
        put(out);
    }
}

static gboolean
tick_once(Watch *watch, GError **error)
{
    g_autoptr(GPtrArray) list = migration_load_all(watch->cli, FALSE, error);
    if (list == NULL)
        return FALSE;
    GPtrArray *still = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < list->len; i++) {
        const Migration *migration = list->pdata[i];
        if (concerns(watch, migration))
            g_ptr_array_add(still, g_strdup(migration->path));
    }
    erase(watch);
    gboolean ok = tell_ended(watch, still, error);
    g_ptr_array_unref(watch->running);
    watch->running = still;
    if (ok)
        draw_running(watch, list);
    return ok;
}

static gboolean
on_tick(gpointer data)
{
    Watch *watch = data;
    g_autoptr(GError) error = NULL;
    if (tick_once(watch, &error))
        return G_SOURCE_CONTINUE;
    watch->result = cli_fail(watch->cli, error);
    g_main_loop_quit(watch->loop);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_signal(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_CONTINUE;
}

static CliExit
watch_once(Watch *watch)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new("no migrations\n");
    if (!tick_once(watch, &error))
        return cli_fail(watch->cli, error);
    if (watch->running->len > 0)
        return CLI_OK;
    if (watch->domain != NULL) {
        g_set_error(&error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
                    "no migration of \"%s\" is running", watch->domain);
        return cli_fail(watch->cli, error);
    }
    if (!watch->cli->json)
        cli_put(out);
    return CLI_OK;
}

static void
watch_until_end(Watch *watch)
{
    guint sources[] = {
        g_timeout_add((guint)(watch->cli->interval_s * 1000), on_tick, watch),
        g_unix_signal_add(SIGINT, on_signal, watch->loop),
        g_unix_signal_add(SIGTERM, on_signal, watch->loop),
    };
    if (on_tick(watch) && watch->running->len == 0 && watch->result == CLI_OK)
        cli_note("waiting for a migration%s%s; Ctrl-C ends", watch->domain != NULL ? " of " : "",
                 watch->domain != NULL ? watch->domain : "");
    if (watch->result == CLI_OK)
        g_main_loop_run(watch->loop);
    for (gsize i = 0; i < G_N_ELEMENTS(sources); i++)
        g_source_remove(sources[i]);
}

CliExit
verb_watch(Cli *cli)
{
    gboolean terminal = cli_on_terminal() && !cli->json && !cli->once;
    const char *term = g_getenv("TERM");
    gboolean dumb = term == NULL || strcmp(term, "dumb") == 0;
    Watch watch = {
        .cli = cli,
        .domain = cli->args[0],
        .in_place = terminal && !dumb,
        .colour = cli_on_terminal() && !dumb && g_getenv("NO_COLOR") == NULL,
        .running = g_ptr_array_new_with_free_func(g_free),
        .loop = g_main_loop_new(NULL, FALSE),
    };
    if (cli->once)
        watch.result = watch_once(&watch);
    else
        watch_until_end(&watch);
    g_ptr_array_unref(watch.running);
    g_main_loop_unref(watch.loop);
    return watch.result;
}
