/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watcher.h - tells of outgoing migrations on one libvirt connection
 *
 * Listens to QEMU's MIGRATION and X_SEV events and to libvirt's lifecycle and job events. A domain
 * that says it migrates is first looked at (detect.h); what it says meanwhile is kept and told
 * after `found`, so that nobody misses an event. Where libvirt cannot say, it is asked again until
 * it does. A domain's migrations are told of at most once a second, and one job of libvirt's is one
 * migration, whatever the QEMU says. Lasts as long as one connection.
 */
#ifndef SEVMIGD_WATCHER_H
#define SEVMIGD_WATCHER_H

#include <glib.h>
#include <libvirt/libvirt.h>

#include "qmpc-migration.h"
#include "session.h"

typedef struct {
    virDomainPtr domain; /* the watcher's */
    const char *name;
    const char *uuid;
    const char *xml;
    guint64 elapsed_us; /* how long its memory has been sent already */
    gboolean stands;    /* the vCPUs do, for this migration */
} SevmigOutgoing;

typedef struct {
    /* Listening; migrations that were running before have been told of. */
    void (*ready)(gpointer user_data);
    /* The connection is of no use to us. */
    void (*failed)(const GError *error, gpointer user_data);
    /* Whether someone follows that domain's migration already. */
    gboolean (*follows)(const char *uuid, gpointer user_data);
    /* One of those who follow is told that another migration of that domain begins. */
    void (*superseded)(const char *uuid, gpointer user_data);
    void (*found)(const SevmigOutgoing *outgoing, gpointer user_data);
    /* The following for domains that are followed only. */
    void (*event)(const char *uuid, const QmpcEvent *event, gpointer user_data);
    void (*job_completed)(const char *uuid, const SevmigJobResult *result, gpointer user_data);
    /* The guest, or its QEMU. Where the guest did, the domain may stay, and its migration go on. */
    void (*crashed)(const char *uuid, gpointer user_data);
    void (*gone)(const char *uuid, gpointer user_data);
    void (*suspended)(const char *uuid, gpointer user_data);
    void (*resumed)(const char *uuid, gpointer user_data);
} SevmigWatcherOps;

typedef struct SevmigWatcher SevmigWatcher;

/* Begins at once; takes a reference to `connection`. */
SevmigWatcher *sevmig_watcher_new(virConnectPtr connection, const SevmigWatcherOps *ops,
                                  gpointer user_data);
/* No callback comes from within or after this. */
void sevmig_watcher_free(SevmigWatcher *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigWatcher, sevmig_watcher_free)

#endif
