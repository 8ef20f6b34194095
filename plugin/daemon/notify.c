/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The protocol is one datagram with a line of text, and stable by systemd's own promise. GIO has
 * all that it takes, so that sevmigd does not load libsystemd for it.
 *
 * The watchdog is fed by a timer of the main loop with the priority of the ticks: when it is not
 * fed, leases are not renewed either.
 */
#include "notify.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* Fed that many times in the time after which systemd gives up. */
#define FEEDS 4

struct SevmigNotify {
    GSocket *socket; /* NULL: there is nobody to tell */
    GSocketAddress *address;
    guint64 watchdog_us; /* 0: nobody watches */
    guint feeding;       /* a source */
};

/* A path, or with @ a name in the abstract space. */
static GSocketAddress *
address_of(const char *name)
{
    if (*name == '@')
        return g_unix_socket_address_new_with_type(name + 1, -1, G_UNIX_SOCKET_ADDRESS_ABSTRACT);
    return *name == '/' ? g_unix_socket_address_new(name) : NULL;
}

/* 0 where systemd watches nobody, or another process than this one. */
static guint64
watchdog_us(void)
{
    const char *us = g_getenv("WATCHDOG_USEC");
    const char *pid = g_getenv("WATCHDOG_PID");

    if (us == NULL || (pid != NULL && g_ascii_strtoull(pid, NULL, 10) != (guint64)getpid()))
        return 0;
    return g_ascii_strtoull(us, NULL, 10);
}

SevmigNotify *
sevmig_notify_new(void)
{
    SevmigNotify *self = g_new0(SevmigNotify, 1);
    const char *name = g_getenv("NOTIFY_SOCKET");

    self->address = name != NULL ? address_of(name) : NULL;
    if (self->address == NULL)
        return self;
    self->socket = g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_DATAGRAM,
                                G_SOCKET_PROTOCOL_DEFAULT, NULL);
    if (self->socket != NULL)
        g_socket_set_blocking(self->socket, FALSE); /* a full queue must not hold the ticks */
    self->watchdog_us = watchdog_us();
    return self;
}

void
sevmig_notify_free(SevmigNotify *self)
{
    if (self == NULL)
        return;
    g_clear_handle_id(&self->feeding, g_source_remove);
    g_clear_object(&self->socket);
    g_clear_object(&self->address);
    g_free(self);
}

static void
tell(SevmigNotify *self, const char *state)
{
    g_autoptr(GError) error = NULL;

    if (self->socket != NULL && g_socket_send_to(self->socket, self->address, state, strlen(state),
                                                 NULL, &error) < 0)
        sevmig_log(SEVMIG_MESSAGE_DEBUG, NULL, "systemd was not told %s: %s, ignoring", state,
                   error->message);
}

static gboolean
feed(gpointer user_data)
{
    tell(user_data, "WATCHDOG=1");
    return G_SOURCE_CONTINUE;
}

void
sevmig_notify_ready(SevmigNotify *self)
{
    tell(self, "READY=1");
    if (self->watchdog_us == 0 || self->feeding != 0)
        return;
    self->feeding = g_timeout_add((guint)MAX(self->watchdog_us / 1000 / FEEDS, 1), feed, self);
    feed(self);
}

void
sevmig_notify_stopping(SevmigNotify *self)
{
    tell(self, "STOPPING=1");
}
