/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon.h - sevmigd: ties libvirt, policies, sessions, history and the bus together
 */
#ifndef SEVMIGD_DAEMON_H
#define SEVMIGD_DAEMON_H

#include <glib.h>

/* What the command line says; strings are the caller's and outlive the daemon. */
typedef struct {
    const char *uri;
    const char *bus_address;        /* "system" or a D-Bus address */
    const char *const *policy_dirs; /* the first lies over the second; NULL: the installed ones */
    const char *ceiling_file;       /* NULL: the installed one */
    const char *state_dir;
    const char *metrics_file; /* NULL: none */
    gboolean dry_run;
    gboolean no_turns; /* migrations share the firmware as it comes */
} SevmigDaemonOptions;

typedef struct SevmigDaemon SevmigDaemon;

/* `quit` is called once when the daemon is to end: by sevmig_daemon_stop() when all is released, or
   by itself when it cannot go on (`ok` FALSE; the log says why). */
typedef void (*SevmigDaemonQuitFunc)(gboolean ok, gpointer user_data);

SevmigDaemon *sevmig_daemon_new(const SevmigDaemonOptions *options, SevmigDaemonQuitFunc quit,
                                gpointer user_data, GError **error);
void sevmig_daemon_free(SevmigDaemon *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigDaemon, sevmig_daemon_free)

/* As SIGHUP: a set of policies that cannot be loaded leaves the old one in force. */
void sevmig_daemon_reload(SevmigDaemon *self);

/* As SIGTERM: releases every guest, then quits. A second call quits at once. */
void sevmig_daemon_stop(SevmigDaemon *self);

#endif
