/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-transport.h - the way to a QEMU, whatever it is
 *
 * A transport carries one command as JSON text without id (qmpc_command_build() and the typed
 * *_build() functions make it) and brings back QEMU's whole reply as JSON text, be it a return or
 * an error. Ids are the transport's own business. The typed calls work on any transport.
 *
 * To write one: embed QmpcTransport as first member, fill in `ops`, answer with a GTask.
 */
#ifndef QMPC_TRANSPORT_H
#define QMPC_TRANSPORT_H

#include <gio/gio.h>

#include "qmpc-error.h"

typedef struct QmpcTransport QmpcTransport;

typedef struct {
    const char *name; /* "unix", "libvirt"; for messages */
    /*
     * Sends `command` and calls `callback` exactly once, never from within send(), in the
     * thread-default main context of the caller. timeout_ms 0: no limit. A cancelled or timed-out
     * command may still be executed by QEMU.
     */
    void (*send)(QmpcTransport *self, const char *command, unsigned timeout_ms,
                 GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
    /* QEMU's reply (caller frees); NULL with `error` if none came. */
    char *(*send_finish)(QmpcTransport *self, GAsyncResult *result, GError **error);
} QmpcTransportOps;

struct QmpcTransport {
    const QmpcTransportOps *ops;
};

/* The transport must outlive the call. The source object of the result is NULL. */
void qmpc_transport_send(QmpcTransport *self, const char *command, unsigned timeout_ms,
                         GCancellable *cancellable, GAsyncReadyCallback callback,
                         gpointer user_data);
char *qmpc_transport_send_finish(QmpcTransport *self, GAsyncResult *result, GError **error);

#endif
