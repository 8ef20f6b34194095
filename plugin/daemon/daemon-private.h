/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon-private.h - what daemon.c (sessions, libvirt, life), daemon-found.c (until a session
 * begins) and daemon-bus.c (what the bus asks for) share
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
#include "reading.h"
#include "session.h"
#include "watcher.h"

struct SevmigDaemon {
    SevmigDaemonOptions options;
    SevmigDaemonQuitFunc quit;
    gpointer user_data;
    char *records_dir;
    SevmigPolicies *policies;
    SevmigReading *reading;
    SevmigHistory *history;
    SevmigMetrics *metrics;
    SevmigNotify *notify;
    SevmigBus *bus;
    SevmigLink *link;
    SevmigWatcher *watcher;
    GHashTable *running;            /* uuid, the session's -> SevmigSession */
    GHashTable *found;              /* uuid -> what daemon-found.c holds of it */
    SevmigArbitration *arbitration; /* NULL: there is none */
    GQueue *ended;                  /* of SevmigSession, oldest first */
    GCancellable *cancellable;
    guint n_ids;
    guint quit_source;
    gboolean stopping;
    gboolean failed; /* it stops because it cannot go on */
};

extern const SevmigWatcherOps SEVMIG_DAEMON_WATCHER_OPS;

/* What the watcher tells of a migration. */
typedef struct {
    enum {
        SEVMIG_TOLD_EVENT,
        SEVMIG_TOLD_COMPLETED,
        SEVMIG_TOLD_SUSPENDED,
        SEVMIG_TOLD_RESUMED,
    } what;
    QmpcEvent event;
    SevmigJobResult result;
} SevmigTold;

/* A migration has been found: has its policy looked for, then begins its session. */
void sevmig_daemon_found(SevmigDaemon *self, const SevmigOutgoing *outgoing);
void sevmig_daemon_begin(SevmigDaemon *self, const SevmigOutgoing *outgoing,
                         const SevmigResolution *resolution);
/* Each FALSE if no policy is being looked for. `told` comes once the session has begun. */
gboolean sevmig_daemon_keep(SevmigDaemon *self, const char *uuid, const SevmigTold *told);
/* Another migration of the domain has begun: forgets what was told. */
gboolean sevmig_daemon_begin_again(SevmigDaemon *self, const char *uuid);
/* No session is to begin. */
gboolean sevmig_daemon_drop(SevmigDaemon *self, const char *uuid);
void sevmig_daemon_drop_all(SevmigDaemon *self);

/* From now on there is a libvirt connection, or one being tried for. */
void sevmig_daemon_open_link(SevmigDaemon *self);

extern const SevmigBusOps SEVMIG_DAEMON_BUS_OPS; /* user_data: the SevmigDaemon */

#endif
