/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "caller.h"

#include <pwd.h>

#include "worker.h"

#define TIMEOUT_MS 5000
#define ENTRY_BYTES 16384

typedef struct {
    GDBusConnection *connection;
    char *sender;
} Caller;

static void
caller_free(gpointer data)
{
    Caller *caller = data;

    g_object_unref(caller->connection);
    g_free(caller->sender);
    g_free(caller);
}

static char *
user_text(guint32 uid)
{
    g_autofree char *buffer = g_malloc(ENTRY_BYTES);
    struct passwd entry, *found = NULL;

    if (getpwuid_r(uid, &entry, buffer, ENTRY_BYTES, &found) != 0 || found == NULL)
        return g_strdup_printf("uid %u", uid);
    return g_strdup_printf("%s (uid %u)", found->pw_name, uid);
}

static gpointer
caller_thread(gpointer data, GError **error)
{
    const Caller *caller = data;
    g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
        caller->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "GetConnectionUnixUser", g_variant_new("(s)", caller->sender), G_VARIANT_TYPE("(u)"),
        G_DBUS_CALL_FLAGS_NONE, TIMEOUT_MS, NULL, error);
    guint32 uid;

    if (reply == NULL)
        return NULL;
    g_variant_get(reply, "(u)", &uid);
    return user_text(uid);
}

void
sevmig_caller_describe_async(GDBusConnection *connection, const char *sender,
                             GAsyncReadyCallback callback, gpointer user_data)
{
    Caller *caller = g_new0(Caller, 1);

    caller->connection = g_object_ref(connection);
    caller->sender = g_strdup(sender);
    sevmig_worker_run_async("the user database", caller_thread, caller, caller_free, g_free,
                            TIMEOUT_MS, NULL, callback, user_data);
}

char *
sevmig_caller_describe_finish(GAsyncResult *result, GError **error)
{
    return sevmig_worker_run_finish(result, error);
}
