/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-call.h - what the typed calls share; internal
 *
 * A typed call sends a command that was built (or failed to build) and leaves the parsing of the
 * reply to its finish function.
 */
#ifndef QMPC_CALL_H
#define QMPC_CALL_H

#include "qmpc-transport.h"

/* `command` and `build_error` are taken over; exactly one is not NULL. */
void qmpc_call_async(QmpcTransport *transport, char *command, GError *build_error,
                     unsigned timeout_ms, GCancellable *cancellable, GAsyncReadyCallback callback,
                     gpointer user_data);

/* The whole reply (caller frees). */
char *qmpc_call_finish(GAsyncResult *result, GError **error);

#endif
