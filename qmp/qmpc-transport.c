/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmpc-transport.h"

#include "qmpc-call.h"

void
qmpc_transport_send(QmpcTransport *self, const char *command, unsigned timeout_ms,
                    GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    self->ops->send(self, command, timeout_ms, cancellable, callback, user_data);
}

char *
qmpc_transport_send_finish(QmpcTransport *self, GAsyncResult *result, GError **error)
{
    return self->ops->send_finish(self, result, error);
}

static void
on_reply(GObject *source, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    GError *error = NULL;
    char *reply = qmpc_transport_send_finish(g_task_get_task_data(task), result, &error);
    if (reply == NULL)
        g_task_return_error(task, error);
    else
        g_task_return_pointer(task, reply, g_free);
}

void
qmpc_call_async(QmpcTransport *transport, char *command, GError *build_error, unsigned timeout_ms,
                GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    g_autofree char *text = command;
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    /* A reply that is here wins over a cancellation that comes while it is on its way to the
     * caller. */
    g_task_set_check_cancellable(task, FALSE);
    g_task_set_task_data(task, transport, NULL);
    if (build_error != NULL) {
        g_task_return_error(task, build_error);
        g_object_unref(task);
        return;
    }
    qmpc_transport_send(transport, text, timeout_ms, cancellable, on_reply, task);
}

char *
qmpc_call_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
