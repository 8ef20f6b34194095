/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-private.h - what the parts of the bus share: bus.c (migrations, signals, the name),
 * bus-policies.c, bus-methods.c (calls), bus-details.c (what polkit is told), bus-callers.c
 */
#ifndef SEVMIGD_BUS_PRIVATE_H
#define SEVMIGD_BUS_PRIVATE_H

#include "bus-callers.h"
#include "bus.h"
#include "polkit.h"

typedef struct {
    SevmigBus *bus;
    const GDBusInterfaceInfo *interface;
    const SevmigInfo *info; /* of a migration, else NULL */
    char *path;
    guint registration;
    gboolean active;
    gboolean dirty;
    SevmigInfo shown;    /* of a migration: as last signalled, and NULL below */
    GVariant *published; /* a{sv} as last signalled; of a policy: all there is */
} SevmigBusObject;

/* Counted by references (g_rc_box): a call that waits for polkit may outlive the bus. */
struct SevmigBus {
    const SevmigBusOps *ops; /* NULL once the bus is freed */
    gpointer user_data;
    GDBusConnection *connection;
    guint name;
    SevmigPolkit *polkit;
    SevmigBusObject manager;
    GPtrArray *migrations; /* of SevmigBusObject, oldest first */
    GHashTable *policies;  /* of SevmigBusObject, by their paths */
    SevmigBusCallers *callers;
    guint filter;
    GQueue due; /* of requests that may be served */
    guint serving;
    guint flush_timer;
    gint64 flushed_us;
};

extern const GDBusInterfaceVTable SEVMIG_BUS_VTABLE; /* user_data: the SevmigBus */

void sevmig_bus_unref(SevmigBus *self);

/* NULL if no object is (any more) at that path. */
SevmigBusObject *sevmig_bus_find(SevmigBus *self, const char *path);

/* All properties as a{sv}; a reference for the caller. */
GVariant *sevmig_bus_object_properties(SevmigBusObject *object);

/* Puts the object on the bus; `path` is taken over. NULL if it cannot be, which is logged. */
SevmigBusObject *sevmig_bus_object_new(SevmigBus *self, const GDBusInterfaceInfo *interface,
                                       const SevmigInfo *info, char *path);
void sevmig_bus_object_free(gpointer object);
/* From now on `now` is what it shows; signals what has changed. */
void sevmig_bus_object_publish(SevmigBusObject *object, GVariant *now);

/* A signal of the manager about the object at `path`. */
void sevmig_bus_emit_path(SevmigBus *self, const char *signal, const char *path);

/* a{ss}, floating: what a call is about. `object` NULL: it has gone. */
GVariant *sevmig_bus_details(const SevmigBusObject *object, GDBusMethodInvocation *invocation);

/* Forgets the calls that wait to be served; nobody hears an answer. */
void sevmig_bus_drop_calls(SevmigBus *self);

#endif
