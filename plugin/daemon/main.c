/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib-unix.h>
#include <libvirt-glib/libvirt-glib.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "libvirt-error.h"
#include "log.h"
#include "sevmig-names.h"

typedef struct {
    char *uri;
    char *bus;
    char **policy_dirs;
    char *ceiling;
    char *state_dir;
    char *metrics;
    char *log_level;
    gboolean dry_run;
    gboolean no_turns;
    gboolean version;
} Arguments;

static void
arguments_clear(Arguments *a)
{
    g_free(a->uri);
    g_free(a->bus);
    g_strfreev(a->policy_dirs);
    g_free(a->ceiling);
    g_free(a->state_dir);
    g_free(a->metrics);
    g_free(a->log_level);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Arguments, arguments_clear)

static gboolean
arguments_parse(Arguments *a, int *argc, char ***argv, GError **error)
{
    const GOptionEntry entries[] = {
        {"connect", 'c', 0, G_OPTION_ARG_STRING, &a->uri,
         "libvirt connection (" SEVMIG_DEFAULT_URI ")", "URI"},
        {"bus", 0, 0, G_OPTION_ARG_STRING, &a->bus, "D-Bus to serve (system)", "system|ADDRESS"},
        {"policy-dir", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &a->policy_dirs,
         "policies; given twice, the first lies over the second", "DIR"},
        {"ceiling", 0, 0, G_OPTION_ARG_FILENAME, &a->ceiling,
         "limits to the policies that domains bring (" SEVMIG_CEILING_FILE ")", "FILE"},
        {"state-dir", 0, 0, G_OPTION_ARG_FILENAME, &a->state_dir,
         "records and history (" SEVMIG_STATE_DIR ")", "DIR"},
        {"metrics", 0, 0, G_OPTION_ARG_FILENAME, &a->metrics,
         "where figures for Prometheus are written (STATE-DIR/metrics/sevmig.prom)", "FILE|none"},
        {"dry-run", 'n', 0, G_OPTION_ARG_NONE, &a->dry_run, "decide and record, but act on nothing",
         NULL},
        {"no-turns", 0, 0, G_OPTION_ARG_NONE, &a->no_turns,
         "let migrations send side by side, whatever that costs them", NULL},
        {"log-level", 0, 0, G_OPTION_ARG_STRING, &a->log_level,
         "error, warning, message (the default), info or debug", "LEVEL"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &a->version, "print the version", NULL},
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- steer SEV guest migrations");

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, argc, argv, error))
        return FALSE;
    if (*argc > 1) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "unexpected argument %s",
                    (*argv)[1]);
        return FALSE;
    }
    return TRUE;
}

typedef struct {
    GMainLoop *loop;
    SevmigDaemon *daemon;
    int status;
} Run;

static void
on_quit(gboolean ok, gpointer user_data)
{
    Run *run = user_data;

    run->status = ok ? EXIT_SUCCESS : EXIT_FAILURE;
    g_main_loop_quit(run->loop);
}

static gboolean
on_terminate(gpointer user_data)
{
    sevmig_daemon_stop(((Run *)user_data)->daemon);
    return G_SOURCE_CONTINUE;
}

static gboolean
on_hangup(gpointer user_data)
{
    sevmig_daemon_reload(((Run *)user_data)->daemon);
    return G_SOURCE_CONTINUE;
}

/* libvirt's loop is GLib's; this must come before any connection. */
static void
libvirt_prepare(void)
{
    gvir_init(NULL, NULL);
    gvir_event_register();
    sevmig_libvirt_silence();
}

static int
run_daemon(const SevmigDaemonOptions *options)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GError) error = NULL;
    Run run = {.loop = loop, .status = EXIT_FAILURE};
    guint sources[3];

    run.daemon = sevmig_daemon_new(options, on_quit, &run, &error);
    if (run.daemon == NULL) {
        sevmig_log(SEVMIG_MESSAGE_CANNOT_START, NULL, "cannot start: %s", error->message);
        return EXIT_FAILURE;
    }
    sources[0] = g_unix_signal_add(SIGTERM, on_terminate, &run);
    sources[1] = g_unix_signal_add(SIGINT, on_terminate, &run);
    sources[2] = g_unix_signal_add(SIGHUP, on_hangup, &run);
    sevmig_log(SEVMIG_MESSAGE_STARTED, NULL, "sevmigd %s", SEVMIG_VERSION);
    g_main_loop_run(loop);
    for (gsize i = 0; i < G_N_ELEMENTS(sources); i++)
        g_source_remove(sources[i]);
    sevmig_daemon_free(run.daemon);
    return run.status;
}

/* NULL: none are to be written. Caller frees. */
static char *
metrics_file(const Arguments *arguments, const char *state_dir)
{
    if (arguments->metrics == NULL)
        return g_build_filename(state_dir, "metrics", "sevmig.prom", NULL);
    return strcmp(arguments->metrics, "none") != 0 ? g_strdup(arguments->metrics) : NULL;
}

int
main(int argc, char **argv)
{
    g_auto(Arguments) arguments = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *metrics = NULL;
    const char *state_dir;
    GLogLevelFlags level = G_LOG_LEVEL_MESSAGE;

    setlocale(LC_ALL, "");
    if (!arguments_parse(&arguments, &argc, &argv, &error)) {
        fprintf(stderr, "sevmigd: %s\n", error->message);
        return 2;
    }
    if (arguments.version) {
        printf("sevmigd %s\n", SEVMIG_VERSION);
        return EXIT_SUCCESS;
    }
    if (arguments.log_level != NULL && !sevmig_log_level_from_name(arguments.log_level, &level)) {
        fprintf(stderr, "sevmigd: no log level is called %s\n", arguments.log_level);
        return 2;
    }
    sevmig_log_install(level);
    /* polkit's library knows the system bus only, so the bus we serve must be that one. */
    if (arguments.bus != NULL && strcmp(arguments.bus, "system") != 0)
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", arguments.bus, TRUE);
    libvirt_prepare();
    state_dir = arguments.state_dir != NULL ? arguments.state_dir : SEVMIG_STATE_DIR;
    metrics = metrics_file(&arguments, state_dir);
    return run_daemon(&(SevmigDaemonOptions){
        .uri = arguments.uri != NULL ? arguments.uri : SEVMIG_DEFAULT_URI,
        .bus_address = arguments.bus != NULL ? arguments.bus : "system",
        .policy_dirs = (const char *const *)arguments.policy_dirs,
        .ceiling_file = arguments.ceiling,
        .state_dir = state_dir,
        .metrics_file = metrics,
        .dry_run = arguments.dry_run,
        .no_turns = arguments.no_turns,
    });
}
