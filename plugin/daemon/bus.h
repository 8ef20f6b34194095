/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus.h - org.sevmig1 on D-Bus
 *
 * Every method, reads of properties included, has a row with its polkit action, made from the
 * interface; what has no row is refused. polkit's rules are told what a call is about. A user may
 * have so many calls under way and no more; they are served when nothing else is due. Changes of a
 * migration's properties are signalled at most four times a second.
 */
#ifndef SEVMIGD_BUS_H
#define SEVMIGD_BUS_H

#include <gio/gio.h>

#include "hand.h"
#include "info.h"
#include "sevmig-trace.h"

typedef struct SevmigBus SevmigBus;

typedef struct {
    /* Properties of the manager; strings belong to the callee. */
    const char *(*libvirt_state)(gpointer user_data);
    const char *(*policy_error)(gpointer user_data);
    /* aa{sv}, floating; of an active one with its path (sevmig_bus_path()) */
    GVariant *(*list_policies)(gpointer user_data);
    GVariant *(*list_history)(const char *which, guint limit, gpointer user_data);
    /* Caller frees. */
    char *(*get_policy)(const char *name, gpointer user_data, GError **error);
    gboolean (*reload_policies)(guint *count, gpointer user_data, GError **error);
    /* Answers (saa{sv}), a reference for the caller. */
    void (*explain)(const char *domain, guint uid, GAsyncReadyCallback callback,
                    gpointer callback_data, gpointer user_data);
    /* Answers (a{sv}), what sevmig_outgoing_probe() finds. */
    void (*probe)(const char *domain, GAsyncReadyCallback callback, gpointer callback_data,
                  gpointer user_data);
    /* What explain answers, of a domain's XML. */
    void (*explain_xml)(const char *xml, guint uid, GAsyncReadyCallback callback,
                        gpointer callback_data, gpointer user_data);
    /* Of any of these. */
    GVariant *(*ask_finish)(GAsyncResult *result, GError **error);
    /* Another policy for a running migration, on behalf of `origin`. */
    gboolean (*set_policy)(const SevmigInfo *migration, const char *policy,
                           const SevmigTraceOrigin *origin, gpointer user_data, GError **error);
    /* The same for what is set by hand. */
    gboolean (*steer)(const SevmigInfo *migration, const SevmigHand *hand,
                      const SevmigTraceOrigin *origin, gpointer user_data, GError **error);
    /* The name is ours (TRUE), or another's or the bus gone (FALSE): then nothing works any more.
     */
    void (*name_changed)(gboolean owned, gpointer user_data);
} SevmigBusOps;

/* "system", or a D-Bus address. Connects, exports the manager and asks for the name. */
SevmigBus *sevmig_bus_new(const char *address, const SevmigBusOps *ops, gpointer user_data,
                          GError **error);
void sevmig_bus_free(SevmigBus *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigBus, sevmig_bus_free)

/* A migration appears. `info` stays the caller's and must live until it is removed. */
void sevmig_bus_add(SevmigBus *self, const SevmigInfo *info, gboolean active);
/* `info` has other values now. */
void sevmig_bus_changed(SevmigBus *self, const SevmigInfo *info);
/* It is over; it stays listed among "all" until it is removed. */
void sevmig_bus_ended(SevmigBus *self, const SevmigInfo *info);
void sevmig_bus_remove(SevmigBus *self, const SevmigInfo *info);

/* LibvirtState, PolicyError or the number of migrations may have changed. */
void sevmig_bus_manager_changed(SevmigBus *self);
/* Other policies are in force. */
void sevmig_bus_policies_changed(SevmigBus *self);

/* The polkit action that a method needs; NULL: there is no row, nobody may call it. */
const char *sevmig_bus_method_action(const char *interface, const char *method);

/* PREFIX and NAME with what a path cannot hold escaped; caller frees. */
char *sevmig_bus_path(const char *prefix, const char *name);

#endif
