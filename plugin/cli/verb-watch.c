/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmigctl watch
 *
 * Polls: a look asks for the running migrations, and once more for each that ran at the look before
 * and does not now, so that its end is told, once. On a terminal all of them are drawn on a screen,
 * where what has ended stays for a while, and is told again on a line of its own when the screen is
 * left; elsewhere each look appends lines.
 */
#include <glib-unix.h>
#include <string.h>
#include <unistd.h>

#include "remote.h"
#include "render.h"
#include "sevmig-error.h"
#include "watch-screen.h"
#include "watch-view.h"

#define LINGER_US (10 * G_USEC_PER_SEC)

typedef struct {
    Cli *cli;
    const char *domain; /* NULL: all */
    GMainLoop *loop;
    GPtrArray
        *watched;      /* of Watched: those that run and, on a screen, those that have just ended */
    Screen *screen;    /* NULL: lines */
    GString *epilogue; /* how those ended that were seen on the screen */
    CliExit result;
} Watch;

static gboolean
concerns(const Watch *watch, const Migration *migration)
{
    return watch->domain == NULL || migration_is(migration, watch->domain);
}

/* --- Showing --- */

static void
put_lines(const Watch *watch, const Migration *migration)
{
    g_autoptr(GString) out = g_string_new(NULL);
    if (watch->cli->json) {
        migration_json(out, migration);
        g_string_append_c(out, '\n');
    } else {
        render_line(out, migration);
    }
    cli_put(out);
}

static void
draw(Watch *watch)
{
    ViewSize size = screen_size(watch->screen);
    g_autoptr(GPtrArray) frame = view_frame(watch->watched, &size);
    screen_draw(watch->screen, frame);
}

static void
show(Watch *watch)
{
    if (watch->screen != NULL) {
        draw(watch);
        return;
    }
    for (guint i = 0; i < watch->watched->len; i++)
        put_lines(watch, ((Watched *)watch->watched->pdata[i])->migration);
}

/* --- Looking --- */

static Watched *
find(const Watch *watch, const char *path)
{
    for (guint i = 0; i < watch->watched->len; i++) {
        Watched *watched = watch->watched->pdata[i];
        if (strcmp(watched->migration->path, path) == 0)
            return watched;
    }
    return NULL;
}

static gboolean
contains(const GPtrArray *list, const char *path)
{
    for (guint i = 0; i < list->len; i++) {
        if (strcmp(((const Migration *)list->pdata[i])->path, path) == 0)
            return TRUE;
    }
    return FALSE;
}

static void
tell_end(Watch *watch, Watched *watched)
{
    watched->ended_us = g_get_monotonic_time();
    if (watch->screen != NULL)
        render_line(watch->epilogue, watched->migration);
    else
        put_lines(watch, watched->migration);
    if (watch->domain == NULL)
        return;
    watch->result = strcmp(watched->migration->phase, "done") == 0 ? CLI_OK : CLI_FAILURE;
    g_main_loop_quit(watch->loop);
}

/* Looks once more at those that are not in `running` any more; a screen keeps them for a while. */
static gboolean
take_ended(Watch *watch, const GPtrArray *running, GError **error)
{
    for (guint i = watch->watched->len; i > 0; i--) {
        Watched *watched = watch->watched->pdata[i - 1];
        if (watched->ended_us == 0 && !contains(running, watched->migration->path)) {
            Migration *last = migration_load(watch->cli, watched->migration->path, error);
            if (last == NULL)
                return FALSE;
            watched_update(watched, last);
            tell_end(watch, watched);
        }
        if (watched->ended_us > 0 &&
            (watch->screen == NULL || watched->ended_us + LINGER_US < g_get_monotonic_time()))
            g_ptr_array_remove_index(watch->watched, i - 1);
    }
    return TRUE;
}

static gboolean
look(Watch *watch, GError **error)
{
    g_autoptr(GPtrArray) running = migration_load_all(watch->cli, FALSE, error);
    if (running == NULL || !take_ended(watch, running, error))
        return FALSE;
    while (running->len > 0) {
        Migration *migration = g_ptr_array_steal_index(running, 0);
        Watched *watched = find(watch, migration->path);
        if (!concerns(watch, migration))
            migration_free(migration);
        else if (watched != NULL)
            watched_update(watched, migration);
        else
            g_ptr_array_add(watch->watched, watched_new(migration));
    }
    return TRUE;
}

static gboolean
on_tick(gpointer data)
{
    Watch *watch = data;
    g_autoptr(GError) error = NULL;
    if (look(watch, &error)) {
        show(watch);
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&watch->screen, screen_free);
    watch->result = cli_fail(watch->cli, error);
    g_main_loop_quit(watch->loop);
    return G_SOURCE_CONTINUE;
}

/* --- What the user does --- */

static gboolean
on_signal(gpointer data)
{
    g_main_loop_quit(data);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_resize(gpointer data)
{
    Watch *watch = data;
    if (watch->screen != NULL) {
        screen_resize(watch->screen);
        draw(watch);
    }
    return G_SOURCE_CONTINUE;
}

static gboolean
on_key(int fd, GIOCondition condition, gpointer data)
{
    Watch *watch = data;
    if (watch->screen == NULL || (condition & (G_IO_HUP | G_IO_ERR)) != 0 ||
        screen_wants_out(watch->screen))
        g_main_loop_quit(watch->loop);
    return G_SOURCE_CONTINUE;
}

/* --- The verb --- */

static CliExit
watch_once(Watch *watch)
{
    const ViewSize size = {.width = cli_width(), .blocks = g_get_charset(NULL)};
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) frame = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    if (!look(watch, &error))
        return cli_fail(watch->cli, error);
    if (watch->watched->len == 0 && watch->domain != NULL) {
        g_set_error(&error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
                    "no migration of \"%s\" is running", watch->domain);
        return cli_fail(watch->cli, error);
    }
    if (watch->cli->json) {
        show(watch);
        return CLI_OK;
    }
    frame = view_frame(watch->watched, &size);
    view_put(out, frame, cli_on_terminal() && cli_wants_colour());
    cli_put(out);
    return CLI_OK;
}

static void
watch_until_end(Watch *watch)
{
    GArray *sources = g_array_new(FALSE, FALSE, sizeof(guint));
    guint ids[] = {
        g_timeout_add((guint)(watch->cli->interval_s * 1000), on_tick, watch),
        g_unix_signal_add(SIGINT, on_signal, watch->loop),
        g_unix_signal_add(SIGTERM, on_signal, watch->loop),
        g_unix_signal_add(SIGHUP, on_signal, watch->loop),
        g_unix_signal_add(SIGWINCH, on_resize, watch),
    };
    g_array_append_vals(sources, ids, G_N_ELEMENTS(ids));
    if (watch->screen != NULL) {
        guint keys = g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP | G_IO_ERR, on_key, watch);
        g_array_append_val(sources, keys);
    }
    on_tick(watch);
    if (watch->watched->len == 0 && watch->result == CLI_OK && watch->screen == NULL)
        cli_note("waiting for a migration%s%s; Ctrl-C ends", watch->domain != NULL ? " of " : "",
                 watch->domain != NULL ? watch->domain : "");
    if (watch->result == CLI_OK)
        g_main_loop_run(watch->loop);
    for (guint i = 0; i < sources->len; i++)
        g_source_remove(g_array_index(sources, guint, i));
    g_array_unref(sources);
}

CliExit
verb_watch(Cli *cli)
{
    gboolean terminal = cli_on_terminal() && isatty(STDIN_FILENO) == 1 && !cli->json &&
                        !cli->once && cli_can_draw();
    Watch watch = {
        .cli = cli,
        .domain = cli->args[0],
        .watched = g_ptr_array_new_with_free_func((GDestroyNotify)watched_free),
        .epilogue = g_string_new(NULL),
        .loop = g_main_loop_new(NULL, FALSE),
    };
    if (terminal)
        watch.screen = screen_new(cli_wants_colour());
    if (cli->once)
        watch.result = watch_once(&watch);
    else
        watch_until_end(&watch);
    g_clear_pointer(&watch.screen, screen_free);
    cli_put(watch.epilogue);
    g_string_free(watch.epilogue, TRUE);
    g_ptr_array_unref(watch.watched);
    g_main_loop_unref(watch.loop);
    return watch.result;
}
