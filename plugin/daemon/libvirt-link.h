/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt-link.h - the connection to libvirt, opened again whenever it is lost
 *
 *   waiting --(delay)--> opening --ok--> open --closed, dropped--> waiting
 *                           `--failed--> waiting (delay doubles up to ten seconds)
 *
 * Blocking calls are made in threads; every callback comes in the main context. libvirt's own
 * event loop must be the main context (gvir_event_register()) before a link is made.
 */
#ifndef SEVMIGD_LIBVIRT_LINK_H
#define SEVMIGD_LIBVIRT_LINK_H

#include <glib.h>
#include <libvirt/libvirt.h>

typedef struct SevmigLink SevmigLink;

typedef struct {
    /* `connection` belongs to the link; take a reference (virConnectRef) for a thread. */
    void (*opened)(SevmigLink *link, virConnectPtr connection, gpointer user_data);
    /* Once for each `opened`. The connection is unusable; events registered on it are gone. */
    void (*closed)(SevmigLink *link, const char *reason, gpointer user_data);
    /* May be NULL: the state text has changed. */
    void (*state_changed)(SevmigLink *link, gpointer user_data);
} SevmigLinkOps;

/* Does nothing until it is started. */
SevmigLink *sevmig_link_new(const char *uri, const SevmigLinkOps *ops, gpointer user_data);
void sevmig_link_start(SevmigLink *link);
/* No callback comes from within or after this. */
void sevmig_link_free(SevmigLink *link);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigLink, sevmig_link_free)

/* Gives up an open connection that turned out to be of no use, and tries again later. */
void sevmig_link_drop(SevmigLink *link, const char *reason);

/* NULL while not open; belongs to the link. */
virConnectPtr sevmig_link_connection(const SevmigLink *link);
/* "connected", or why not: one line. */
const char *sevmig_link_state(const SevmigLink *link);

/* The delay before attempt `n` (from 0) in milliseconds. */
guint sevmig_link_delay_ms(guint n);

#endif
