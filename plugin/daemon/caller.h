/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * caller.h - who calls, as records name them
 *
 * The user behind a bus name is the bus's word, its name that of the host's user database, which
 * may be far away and slow: both are asked in a thread.
 */
#ifndef SEVMIGD_CALLER_H
#define SEVMIGD_CALLER_H

#include <gio/gio.h>

/* `sender` is a unique bus name. */
void sevmig_caller_describe_async(GDBusConnection *connection, const char *sender,
                                  GAsyncReadyCallback callback, gpointer user_data);

/* "alice (uid 1000)", "uid 1000" if the user has no name; caller frees. NULL with `error` if the bus
   does not know. */
char *sevmig_caller_describe_finish(GAsyncResult *result, GError **error);

#endif
