/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bus-callers.h - a user's share of calls
 *
 * Sees every message of a connection to a bus, in GDBus's thread, and refuses calls that are over
 * the share of the calling user, or too large. Safe in any thread.
 */
#ifndef SEVMIGD_BUS_CALLERS_H
#define SEVMIGD_BUS_CALLERS_H

#include <gio/gio.h>

typedef struct SevmigBusCallers SevmigBusCallers;

/* Begins at once, until g_dbus_connection_remove_filter(*filter_id). */
SevmigBusCallers *sevmig_bus_callers_new(GDBusConnection *connection, guint *filter_id);
void sevmig_bus_callers_unref(SevmigBusCallers *self);

/* The user behind a unique name; FALSE and G_MAXUINT while the bus has not told. */
gboolean sevmig_bus_callers_user(SevmigBusCallers *self, const char *name, guint *uid);

#endif
