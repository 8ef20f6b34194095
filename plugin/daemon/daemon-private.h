/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon-private.h - what daemon.c (sessions, libvirt, life) and daemon-bus.c (what the bus asks
 * for) share
 */
#ifndef SEVMIGD_DAEMON_PRIVATE_H
#define SEVMIGD_DAEMON_PRIVATE_H

#include "arbitration.h"
#include "bus.h"
#include "daemon.h"
#include "history.h"
#include "libvirt-link.h"
#include "metrics.h"
#include "notify.h"
#include "policies.h"
#include "session.h"
#include "watcher.h"

struct SevmigDaemon {
    SevmigDaemonOptions options;
    SevmigDaemonQuitFunc quit;
    gpointer user_data;
    char *records_dir;
    SevmigPolicies *policies;
    SevmigHistory *history;
    SevmigMetrics *metrics;
    SevmigNotify *notify;
    SevmigBus *bus;
    SevmigLink *link;
    SevmigWatcher *watcher;
    GHashTable *running;            /* uuid, the session's -> SevmigSession */
    SevmigArbitration *arbitration; /* NULL: there is none */
    GQueue *ended;                  /* of SevmigSession, oldest first */
    GCancellable *cancellable;
    guint n_ids;
    guint quit_source;
    gboolean stopping;
    gboolean failed; /* it stops because it cannot go on */
};

/* From now on there is a libvirt connection, or one being tried for. */
void sevmig_daemon_open_link(SevmigDaemon *self);

extern const SevmigBusOps SEVMIG_DAEMON_BUS_OPS; /* user_data: the SevmigDaemon */

#endif
