/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-client.h - a QMP connection over a socket, as a transport
 *
 * Belongs to the main context that was the thread's default when it was created: every function is
 * called, and every callback comes, there. Several commands may be outstanding; replies are matched
 * by id in whatever order they come. When the connection ends, for whatever reason, each
 * outstanding call fails with that reason, then the closed callback comes, once.
 */
#ifndef QMPC_CLIENT_H
#define QMPC_CLIENT_H

#include <stdbool.h>

#include "qmpc-transport.h"

typedef struct QmpcClient QmpcClient;

/* `data` is JSON text or NULL; realtime_us is QEMU's wall clock, -1 where it had none. */
typedef void (*QmpcEventFunc)(const char *event, const char *data, int64_t realtime_us,
                              gpointer user_data);
/* `reason` belongs to the caller. */
typedef void (*QmpcClosedFunc)(const GError *reason, gpointer user_data);

/* Takes over `fd`, a connected stream socket with a QMP server at the other end. */
QmpcClient *qmpc_client_new_fd(int fd, GError **error);
/* Connects to a UNIX socket; does not wait for the greeting. */
QmpcClient *qmpc_client_new_unix(const char *path, GError **error);

/* Closes first; no callback comes from within or after this. */
void qmpc_client_free(QmpcClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpcClient, qmpc_client_free)

void qmpc_client_set_event_func(QmpcClient *client, QmpcEventFunc func, gpointer user_data);
void qmpc_client_set_closed_func(QmpcClient *client, QmpcClosedFunc func, gpointer user_data);

/*
 * Waits for the greeting and negotiates the capabilities. To be called once, before any command;
 * commands sent before it has succeeded fail with QMPC_ERROR_PROTOCOL. If it fails, the connection
 * is closed.
 */
void qmpc_client_open_async(QmpcClient *client, unsigned timeout_ms, GCancellable *cancellable,
                            GAsyncReadyCallback callback, gpointer user_data);
bool qmpc_client_open_finish(QmpcClient *client, GAsyncResult *result, GError **error);

/* After open: QEMU's version. */
void qmpc_client_version(const QmpcClient *client, unsigned *major, unsigned *minor,
                         unsigned *micro);

/* Ends the connection; outstanding calls fail with QMPC_ERROR_CLOSED. Harmless when ended already.
 */
void qmpc_client_close(QmpcClient *client);
bool qmpc_client_is_closed(const QmpcClient *client);

/* The client as a transport; belongs to the client. */
QmpcTransport *qmpc_client_transport(QmpcClient *client);

#endif
