/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-private.h - what the parts of the bus share: bus.c (migrations, signals, the name),
 * bus-policies.c, bus-methods.c (calls), bus-details.c (what polkit is told), bus-callers.c
 */
#ifndef SEVMIGD_BUS_PRIVATE_H
#define SEVMIGD_BUS_PRIVATE_H

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

/* One who calls, and has a share (bus-callers.c) */
typedef struct SevmigBusUser SevmigBusUser;
typedef struct SevmigBusRun SevmigBusRun;

/* `user` is NULL where none was asked for, or with `error`. */
typedef void (*SevmigBusRunFunc)(SevmigBusUser *user, const GError *error, gpointer data);

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
    GHashTable *names;     /* of those who call: whose they are (bus-callers.c) */
    GHashTable *users;     /* of SevmigBusUser, by uid */
    GQueue runs;           /* of SevmigBusRun: calls that are allowed */
    guint run_source;
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

void sevmig_bus_callers_init(SevmigBus *self);
/* Whoever waits is called a last time, with the bus left. */
void sevmig_bus_callers_stop(SevmigBus *self);
void sevmig_bus_callers_clear(SevmigBus *self);

/* Calls `func` once, now or later, with the user behind a bus name. FALSE, and never, if too many
   wait for that already. */
gboolean sevmig_bus_find_user(SevmigBus *self, const char *sender, SevmigBusRunFunc func,
                              gpointer data, GError **error);

/* One more call of `user` is under way: FALSE if these are too many, and then it is not. */
gboolean sevmig_bus_user_enter(SevmigBusUser *user, GError **error);
void sevmig_bus_user_leave(SevmigBusUser *user);

/* Calls `func` when the main loop has nothing else to do, one a turn. */
void sevmig_bus_run_later(SevmigBus *self, SevmigBusRunFunc func, gpointer data);

/* Calls `func`, to begin what takes long, now or when all else of this kind that `user` began is
   done; it says so by sevmig_bus_reader_done(). */
void sevmig_bus_reader_push(SevmigBusUser *user, SevmigBusRunFunc func, gpointer data);
void sevmig_bus_reader_done(SevmigBusUser *user);

#endif
