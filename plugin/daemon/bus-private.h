/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-private.h - what bus.c (objects, signals, the name) and bus-methods.c (calls) share
 */
#ifndef SEVMIGD_BUS_PRIVATE_H
#define SEVMIGD_BUS_PRIVATE_H

#include "bus.h"
#include "polkit.h"

typedef struct {
    SevmigBus *bus;
    const SevmigInfo *info; /* NULL: the manager */
    char *path;
    guint registration;
    gboolean active;
    gboolean dirty;
    GVariant *published; /* a{sv} as last signalled */
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
    guint flush_timer;
    gint64 flushed_us;
};

extern const GDBusInterfaceVTable SEVMIG_BUS_VTABLE; /* user_data: the SevmigBus */

void sevmig_bus_unref(SevmigBus *self);

/* NULL if no object is (any more) at that path. */
SevmigBusObject *sevmig_bus_find(SevmigBus *self, const char *path);

/* All properties as a{sv}, floating. */
GVariant *sevmig_bus_object_properties(SevmigBusObject *object);

#endif
