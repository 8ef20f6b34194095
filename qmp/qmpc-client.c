/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 *   NEW --open--> GREETING --greeting--> NEGOTIATING --return--> READY
 *    |               |                       |                     |
 *    +---------------+-----------------------+---------------------+--> CLOSED
 *
 * Callbacks may free the client. Whatever may run one holds a reference meanwhile, and so does each
 * outstanding call; qmpc_client_free() only drops the user's.
 */
#include "qmpc-client.h"

#include <gio/gunixsocketaddress.h>
#include <string.h>

#include "qmpc-pending.h"
#include "qmpc-wire.h"

typedef enum {
    STATE_NEW,
    STATE_GREETING,
    STATE_NEGOTIATING,
    STATE_READY,
    STATE_CLOSED,
    STATE_COUNT
} State;

static const bool allowed[STATE_COUNT][STATE_COUNT] = {
    [STATE_NEW] = {[STATE_GREETING] = true, [STATE_CLOSED] = true},
    [STATE_GREETING] = {[STATE_NEGOTIATING] = true, [STATE_CLOSED] = true},
    [STATE_NEGOTIATING] = {[STATE_READY] = true, [STATE_CLOSED] = true},
    [STATE_READY] = {[STATE_CLOSED] = true},
};

struct QmpcClient {
    QmpcTransport transport; /* first: a transport is cast to its client */
    unsigned refs;
    State state;
    GSocket *socket;
    GMainContext *context;
    GSource *readable;
    GSource *writable; /* while `out` is not empty */
    GByteArray *out;
    QmpcFramer *framer;
    QmpcPending *pending;
    uint64_t next_id;
    GTask *open_task;
    GSource *open_timeout;
    GSource *open_cancel;
    unsigned version[3];
    QmpcEventFunc event_func;
    gpointer event_data;
    QmpcClosedFunc closed_func;
    gpointer closed_data;
};

static void close_with(QmpcClient *client, const GError *reason);

static QmpcClient *
client_ref(QmpcClient *client)
{
    client->refs++;
    return client;
}

static void
clear_source(GSource **source)
{
    if (*source == NULL)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static void
client_unref(QmpcClient *client)
{
    if (--client->refs > 0)
        return;
    g_clear_object(&client->socket);
    g_main_context_unref(client->context);
    g_byte_array_unref(client->out);
    qmpc_framer_free(client->framer);
    qmpc_pending_free(client->pending);
    g_free(client);
}

typedef QmpcClient ClientRef;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ClientRef, client_unref)

static void
move(QmpcClient *client, State state)
{
    g_assert(allowed[client->state][state]);
    client->state = state;
}

static GSource *
attach(QmpcClient *client, GSource *source, GSourceFunc func, gpointer data)
{
    g_source_set_callback(source, func, data, NULL);
    g_source_attach(source, client->context);
    return source;
}

/* --- Writing --- */

static gboolean on_writable(GSocket *socket, GIOCondition condition, gpointer data);

static void
flush(QmpcClient *client)
{
    while (client->out->len > 0) {
        g_autoptr(GError) error = NULL;
        gssize n = g_socket_send(client->socket, (const char *)client->out->data, client->out->len,
                                 NULL, &error);
        if (n < 0 && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK)) {
            if (client->writable == NULL)
                client->writable =
                    attach(client, g_socket_create_source(client->socket, G_IO_OUT, NULL),
                           G_SOURCE_FUNC(on_writable), client);
            return;
        }
        if (n < 0) {
            /* What the peer said before it left is still to be read; reading will find the end. */
            g_byte_array_set_size(client->out, 0);
            break;
        }
        g_byte_array_remove_range(client->out, 0, (guint)n);
    }
    clear_source(&client->writable);
}

static gboolean
on_writable(GSocket *socket, GIOCondition condition, gpointer data)
{
    g_autoptr(ClientRef) client = client_ref(data);
    flush(client);
    return G_SOURCE_CONTINUE; /* flush() destroys the source when it has nothing more to do */
}

static bool
put_command(QmpcClient *client, const char *command, GTask *task, unsigned timeout_ms,
            GError **error)
{
    g_autofree char *line = qmpc_command_with_id(command, client->next_id, error);
    if (line == NULL)
        return false;
    qmpc_pending_add(client->pending, client->next_id++, task, timeout_ms);
    g_byte_array_append(client->out, (const guint8 *)line, (guint)strlen(line));
    flush(client);
    return true;
}

/* --- Opening --- */

/* Takes the task of open() and disarms what guards it. */
static GTask *
take_open_task(QmpcClient *client)
{
    clear_source(&client->open_timeout);
    clear_source(&client->open_cancel);
    return g_steal_pointer(&client->open_task);
}

static void
on_negotiated(GObject *source, GAsyncResult *result, gpointer data)
{
    g_autoptr(ClientRef) client = data;
    g_autoptr(GError) error = NULL;
    g_autofree char *reply = g_task_propagate_pointer(G_TASK(result), &error);
    g_autofree char *value =
        reply != NULL ? qmpc_reply_parse("qmp_capabilities", reply, &error) : NULL;
    if (client->state != STATE_NEGOTIATING)
        return;
    if (value == NULL) {
        close_with(client, error);
        return;
    }
    move(client, STATE_READY);
    g_autoptr(GTask) task = take_open_task(client);
    g_task_return_boolean(task, TRUE);
}

static void
on_greeting(QmpcClient *client, const QmpcMessage *message)
{
    qmpc_message_version(message, &client->version[0], &client->version[1], &client->version[2]);
    move(client, STATE_NEGOTIATING);
    g_autofree char *command = qmpc_command_build("qmp_capabilities", NULL, NULL);
    g_autoptr(GTask) task = g_task_new(NULL, NULL, on_negotiated, client_ref(client));
    put_command(client, command, task, 0, NULL);
}

static gboolean
on_open_timeout(gpointer data)
{
    g_autoptr(GError) error =
        g_error_new(QMPC_ERROR, QMPC_ERROR_TIMED_OUT, "QEMU's monitor did not %s in time",
                    ((QmpcClient *)data)->state == STATE_GREETING ? "greet" : "negotiate");
    close_with(data, error);
    return G_SOURCE_REMOVE;
}

static gboolean
on_open_cancelled(GCancellable *cancellable, gpointer data)
{
    g_autoptr(GError) error = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
    close_with(data, error);
    return G_SOURCE_REMOVE;
}

/* --- Reading --- */

static GError *
protocol_error(const char *what)
{
    return g_error_new(QMPC_ERROR, QMPC_ERROR_PROTOCOL, "QEMU's monitor sent %s", what);
}

static GError *
take_reply(QmpcClient *client, const QmpcMessage *message, char *json)
{
    uint64_t id;
    g_autofree char *reply = json;
    if (!qmpc_message_id(message, &id))
        return protocol_error("a reply without an id");
    g_autoptr(GTask) task = NULL;
    if (!qmpc_pending_take(client->pending, id, &task))
        return protocol_error("a reply to no command of ours");
    if (task != NULL)
        g_task_return_pointer(task, g_steal_pointer(&reply), g_free);
    return NULL;
}

/* Takes over `json`, the text of the message. NULL if all is well. */
static GError *
take_message(QmpcClient *client, const QmpcMessage *message, char *json)
{
    g_autofree char *text = json;
    QmpcMessageKind kind = qmpc_message_kind(message);
    if (client->state == STATE_GREETING) {
        if (kind != QMPC_MESSAGE_GREETING)
            return protocol_error("something else than its greeting first");
        on_greeting(client, message);
        return NULL;
    }
    switch (kind) {
    case QMPC_MESSAGE_GREETING:
        return protocol_error("a second greeting");
    case QMPC_MESSAGE_EVENT:
        if (client->event_func != NULL)
            client->event_func(qmpc_message_event(message), qmpc_message_data(message),
                               qmpc_message_event_realtime_us(message), client->event_data);
        return NULL;
    case QMPC_MESSAGE_RETURN:
    case QMPC_MESSAGE_ERROR:
        return take_reply(client, message, g_steal_pointer(&text));
    }
    g_return_val_if_reached(NULL);
}

/* Hands on each complete message; stops when a callback has closed the client. */
static void
drain(QmpcClient *client)
{
    while (client->state != STATE_CLOSED) {
        GError *failure = NULL;
        char *json = NULL;
        if (qmpc_framer_next(client->framer, &json, &failure)) {
            if (json == NULL)
                return;
            g_autoptr(QmpcMessage) message = qmpc_message_parse(json, &failure);
            if (message != NULL)
                failure = take_message(client, message, json);
            else
                g_free(json);
        }
        if (failure != NULL) {
            close_with(client, failure);
            g_error_free(failure);
        }
    }
}

static void
on_end(QmpcClient *client, const GError *error)
{
    bool truncated = qmpc_framer_pending_bytes(client->framer) > 0;
    g_autoptr(GError) reason =
        g_error_new(QMPC_ERROR, QMPC_ERROR_CLOSED, "QEMU closed its monitor%s%s%s",
                    truncated ? " in the middle of a message" : "", error != NULL ? ": " : "",
                    error != NULL ? error->message : "");
    close_with(client, reason);
}

static gboolean
on_readable(GSocket *socket, GIOCondition condition, gpointer data)
{
    g_autoptr(ClientRef) client = client_ref(data);
    g_autoptr(GError) error = NULL;
    char bytes[16 * 1024];
    gssize n = g_socket_receive(socket, bytes, sizeof(bytes), NULL, &error);
    if (n < 0 && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        return G_SOURCE_CONTINUE;
    if (n <= 0) {
        on_end(client, error);
        return G_SOURCE_CONTINUE;
    }
    qmpc_framer_push(client->framer, bytes, (size_t)n);
    drain(client);
    return G_SOURCE_CONTINUE; /* close_with() destroys the source */
}

/* --- Closing --- */

typedef struct {
    QmpcClient *client;
    GError *reason;
} Farewell;

static gboolean
say_closed(gpointer data)
{
    Farewell *farewell = data;
    QmpcClient *client = farewell->client;
    if (client->closed_func != NULL)
        client->closed_func(farewell->reason, client->closed_data);
    client_unref(client);
    g_error_free(farewell->reason);
    g_free(farewell);
    return G_SOURCE_REMOVE;
}

static void
close_with(QmpcClient *client, const GError *reason)
{
    if (client->state == STATE_CLOSED)
        return;
    move(client, STATE_CLOSED);
    clear_source(&client->readable);
    clear_source(&client->writable);
    g_socket_close(client->socket, NULL);

    GTask *open_task = take_open_task(client);
    if (open_task != NULL)
        qmpc_fail_later(client->context, open_task, reason);
    qmpc_pending_fail_all(client->pending, reason);

    Farewell *farewell = g_new0(Farewell, 1);
    farewell->client = client_ref(client);
    farewell->reason = g_error_copy(reason);
    g_autoptr(GSource) idle = g_idle_source_new();
    g_source_set_priority(idle, G_PRIORITY_DEFAULT);
    attach(client, idle, say_closed, farewell);
}

/* --- The transport --- */

static void
transport_send(QmpcTransport *transport, const char *command, unsigned timeout_ms,
               GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    QmpcClient *client = (QmpcClient *)transport;
    GError *error = NULL;
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);
    g_task_set_check_cancellable(task, FALSE); /* qmpc-pending.c reports it */
    g_task_set_task_data(task, client_ref(client), (GDestroyNotify)client_unref);

    if (g_cancellable_set_error_if_cancelled(cancellable, &error))
        g_task_return_error(task, error);
    else if (client->state == STATE_CLOSED)
        g_task_return_new_error(task, QMPC_ERROR, QMPC_ERROR_CLOSED,
                                "the monitor connection is closed");
    else if (client->state != STATE_READY)
        g_task_return_new_error(task, QMPC_ERROR, QMPC_ERROR_PROTOCOL,
                                "the monitor connection is not open yet");
    else if (!put_command(client, command, task, timeout_ms, &error))
        g_task_return_error(task, error);
}

static char *
transport_send_finish(QmpcTransport *transport, GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static const QmpcTransportOps client_ops = {
    .name = "unix",
    .send = transport_send,
    .send_finish = transport_send_finish,
};

/* --- The public rest --- */

static QmpcClient *
client_new(GSocket *socket)
{
    QmpcClient *client = g_new0(QmpcClient, 1);
    g_socket_set_blocking(socket, FALSE);
    client->transport.ops = &client_ops;
    client->refs = 1;
    client->socket = socket;
    client->context = g_main_context_ref_thread_default();
    client->out = g_byte_array_new();
    client->framer = qmpc_framer_new(0, 0);
    client->pending = qmpc_pending_new(client->context);
    client->next_id = 1;
    return client;
}

QmpcClient *
qmpc_client_new_fd(int fd, GError **error)
{
    GSocket *socket = g_socket_new_from_fd(fd, error);
    return socket != NULL ? client_new(socket) : NULL;
}

QmpcClient *
qmpc_client_new_unix(const char *path, GError **error)
{
    g_autoptr(GSocket) socket =
        g_socket_new(G_SOCKET_FAMILY_UNIX, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, error);
    g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
    if (socket == NULL)
        return NULL;
    if (!g_socket_connect(socket, address, NULL, error)) {
        g_prefix_error(error, "%s: ", path);
        return NULL;
    }
    return client_new(g_steal_pointer(&socket));
}

void
qmpc_client_free(QmpcClient *client)
{
    if (client == NULL)
        return;
    client->event_func = NULL;
    client->closed_func = NULL;
    qmpc_client_close(client);
    client_unref(client);
}

void
qmpc_client_set_event_func(QmpcClient *client, QmpcEventFunc func, gpointer user_data)
{
    client->event_func = func;
    client->event_data = user_data;
}

void
qmpc_client_set_closed_func(QmpcClient *client, QmpcClosedFunc func, gpointer user_data)
{
    client->closed_func = func;
    client->closed_data = user_data;
}

void
qmpc_client_open_async(QmpcClient *client, unsigned timeout_ms, GCancellable *cancellable,
                       GAsyncReadyCallback callback, gpointer user_data)
{
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);
    g_task_set_check_cancellable(task, FALSE);
    g_task_set_task_data(task, client_ref(client), (GDestroyNotify)client_unref);
    if (client->state != STATE_NEW) {
        g_task_return_new_error(task, QMPC_ERROR, QMPC_ERROR_PROTOCOL,
                                "the monitor connection was opened before, or is closed");
        g_object_unref(task);
        return;
    }
    client->open_task = task;
    move(client, STATE_GREETING);
    if (timeout_ms > 0)
        client->open_timeout =
            attach(client, g_timeout_source_new(timeout_ms), on_open_timeout, client);
    if (cancellable != NULL)
        client->open_cancel = attach(client, g_cancellable_source_new(cancellable),
                                     G_SOURCE_FUNC(on_open_cancelled), client);
    client->readable = attach(client, g_socket_create_source(client->socket, G_IO_IN, NULL),
                              G_SOURCE_FUNC(on_readable), client);
}

bool
qmpc_client_open_finish(QmpcClient *client, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

void
qmpc_client_version(const QmpcClient *client, unsigned *major, unsigned *minor, unsigned *micro)
{
    *major = client->version[0];
    *minor = client->version[1];
    *micro = client->version[2];
}

void
qmpc_client_close(QmpcClient *client)
{
    g_autoptr(GError) reason =
        g_error_new_literal(QMPC_ERROR, QMPC_ERROR_CLOSED, "the monitor connection was closed");
    close_with(client, reason);
}

bool
qmpc_client_is_closed(const QmpcClient *client)
{
    return client->state == STATE_CLOSED;
}

QmpcTransport *
qmpc_client_transport(QmpcClient *client)
{
    return &client->transport;
}
