/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GDBus queues whatever comes for the main loop, and the bus bounds only what awaits a reply. So
 * calls are counted as they arrive, in GDBus's own thread, until their answers leave it: every call
 * is made to have an answer, and one that nobody waits for is dropped on its way out. What is over
 * a user's share is refused there and costs the main loop nothing. The shares are a user's, not a
 * connection's: a user may have hundreds of these.
 */
#include "bus-callers.h"

#include "log.h"
#include "sevmig-error.h"

#define MOST_CALLS 64u /* under way, of one user */
/* Of one connection until the bus has said whose it is. */
#define MOST_OF_STRANGER 8u
/* Of all users. With MOST_BYTES 32 MiB, in what MemoryMax leaves. */
#define MOST_IN_ALL 256u
/* ExplainXml has the largest arguments, 64 KiB. */
#define MOST_BYTES (128u * 1024u)
#define MOST_REMEMBERED 1024u /* connections, and users, without calls */
#define TELL_INTERVAL_US (60 * G_USEC_PER_SEC)
#define ASK_TIMEOUT_MS 5000
#define REFUSAL "sevmig-refusal"

typedef struct {
    guint uid;
    guint n_calls;
} User;

typedef struct {
    User *user; /* NULL: not known */
    guint n_calls;
    gboolean asked;
} Sender;

typedef struct {
    Sender *sender;
    gboolean wants_answer;
} Call;

/* Counted by references (g_atomic_rc_box). */
struct SevmigBusCallers {
    GMutex lock;
    GHashTable *senders; /* unique name -> Sender */
    GHashTable *users;   /* uid -> User */
    GHashTable *calls;   /* sender and serial -> Call */
    gint64 told_us;      /* when the log last heard of a refusal */
};

static void
callers_clear(gpointer data)
{
    SevmigBusCallers *self = data;

    g_hash_table_unref(self->calls);
    g_hash_table_unref(self->senders);
    g_hash_table_unref(self->users);
    g_mutex_clear(&self->lock);
}

void
sevmig_bus_callers_unref(SevmigBusCallers *self)
{
    g_atomic_rc_box_release_full(self, callers_clear);
}

static char *
call_key(const char *name, guint32 serial)
{
    return g_strdup_printf("%s %u", name, serial);
}

/* --- Whose a connection is --- */

typedef struct {
    SevmigBusCallers *callers;
    char *name;
} Question;

static gboolean
is_idle_sender(gpointer key, gpointer value, gpointer user_data)
{
    return ((Sender *)value)->n_calls == 0;
}

/* Names are never given again, so that what is remembered is never wrong. */
static Sender *
sender_of(SevmigBusCallers *self, const char *name)
{
    Sender *sender = g_hash_table_lookup(self->senders, name);

    if (sender != NULL)
        return sender;
    if (g_hash_table_size(self->senders) >= MOST_REMEMBERED)
        g_hash_table_foreach_remove(self->senders, is_idle_sender, NULL);
    sender = g_new0(Sender, 1);
    g_hash_table_insert(self->senders, g_strdup(name), sender);
    return sender;
}

static User *
user_of(SevmigBusCallers *self, guint uid)
{
    User *user = g_hash_table_lookup(self->users, GUINT_TO_POINTER(uid));

    if (user == NULL) {
        user = g_new0(User, 1);
        user->uid = uid;
        g_hash_table_insert(self->users, GUINT_TO_POINTER(uid), user);
    }
    return user;
}

static void
user_told(GObject *source, GAsyncResult *result, gpointer user_data)
{
    Question *question = user_data;
    SevmigBusCallers *self = question->callers;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, NULL);
    Sender *sender;
    guint uid;

    g_mutex_lock(&self->lock);
    sender = g_hash_table_lookup(self->senders, question->name);
    if (sender != NULL && reply == NULL) {
        sender->asked = FALSE;
    } else if (sender != NULL && sender->user == NULL) {
        g_variant_get(reply, "(u)", &uid);
        sender->user = user_of(self, uid);
        sender->user->n_calls += sender->n_calls;
    }
    g_mutex_unlock(&self->lock);
    sevmig_bus_callers_unref(self);
    g_free(question->name);
    g_free(question);
}

static void
ask_for_user(SevmigBusCallers *self, GDBusConnection *connection, const char *name)
{
    Question *question = g_new0(Question, 1);

    question->callers = g_atomic_rc_box_acquire(self);
    question->name = g_strdup(name);
    g_dbus_connection_call(connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "GetConnectionUnixUser",
                           g_variant_new("(s)", name), G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NONE, ASK_TIMEOUT_MS, NULL, user_told, question);
}

gboolean
sevmig_bus_callers_user(SevmigBusCallers *self, const char *name, guint *uid)
{
    const Sender *sender;
    gboolean known;

    g_mutex_lock(&self->lock);
    sender = g_hash_table_lookup(self->senders, name);
    known = sender != NULL && sender->user != NULL;
    *uid = known ? sender->user->uid : G_MAXUINT;
    g_mutex_unlock(&self->lock);
    return known;
}

/* --- Messages --- */

/* NULL: it may come. Sets `tell` if the log has not been told of this lately. */
static GError *
call_refusal(SevmigBusCallers *self, const Sender *sender, GDBusMessage *message, gboolean *tell)
{
    GVariant *body = g_dbus_message_get_body(message);
    gint64 now_us = g_get_monotonic_time();
    GError *error = NULL;

    if (body != NULL && g_variant_get_size(body) > MOST_BYTES)
        return g_error_new(SEVMIG_ERROR, SEVMIG_ERROR_INVALID,
                           "the arguments have %" G_GSIZE_FORMAT " bytes; expected at most %u",
                           g_variant_get_size(body), MOST_BYTES);
    if (sender->user != NULL && sender->user->n_calls >= MOST_CALLS)
        error = g_error_new(SEVMIG_ERROR, SEVMIG_ERROR_BUSY,
                            "%u calls of uid %u are under way; expected at most that: wait for "
                            "answers",
                            MOST_CALLS, sender->user->uid);
    else if (sender->user == NULL && sender->n_calls >= MOST_OF_STRANGER)
        error = g_error_new(SEVMIG_ERROR, SEVMIG_ERROR_BUSY,
                            "%u calls of a new connection are under way; expected at most that: "
                            "wait for answers",
                            MOST_OF_STRANGER);
    else if (g_hash_table_size(self->calls) >= MOST_IN_ALL)
        error = g_error_new(SEVMIG_ERROR, SEVMIG_ERROR_BUSY,
                            "%u calls of all users are under way; expected at most that: try again",
                            MOST_IN_ALL);
    *tell = error != NULL && (self->told_us == 0 || now_us - self->told_us > TELL_INTERVAL_US);
    if (*tell)
        self->told_us = now_us;
    return error;
}

static void
refuse(GDBusConnection *connection, GDBusMessage *message, GError *error)
{
    g_autoptr(GError) owned = error;
    g_autoptr(GDBusMessage) answer = NULL;

    if (g_dbus_message_get_flags(message) & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED)
        return;
    answer = g_dbus_message_new_method_error_literal(
        message, sevmig_error_bus_name((SevmigErrorCode)error->code), error->message);
    g_object_set_data(G_OBJECT(answer), REFUSAL, connection);
    g_dbus_connection_send_message(connection, answer, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
}

/* Under the lock. Messages that have come are locked, so that a change needs a copy. */
static GDBusMessage *
call_enter(SevmigBusCallers *self, Sender *sender, char *key, GDBusMessage *message)
{
    GDBusMessageFlags flags = g_dbus_message_get_flags(message);
    Call *call = g_new0(Call, 1);
    GDBusMessage *copy;

    call->sender = sender;
    call->wants_answer = !(flags & G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    sender->n_calls++;
    if (sender->user != NULL)
        sender->user->n_calls++;
    g_hash_table_insert(self->calls, key, call);
    if (call->wants_answer)
        return message;
    copy = g_dbus_message_copy(message, NULL);
    g_dbus_message_set_flags(copy, flags & ~G_DBUS_MESSAGE_FLAGS_NO_REPLY_EXPECTED);
    g_object_unref(message);
    return copy;
}

static GDBusMessage *
call_arrives(SevmigBusCallers *self, GDBusConnection *connection, GDBusMessage *message)
{
    const char *name = g_dbus_message_get_sender(message);
    g_autofree char *key = call_key(name, g_dbus_message_get_serial(message));
    gboolean ask = FALSE, tell = FALSE, twice;
    GError *error = NULL;
    Sender *sender;

    g_mutex_lock(&self->lock);
    sender = sender_of(self, name);
    twice = g_hash_table_contains(self->calls, key);
    if (!twice)
        error = call_refusal(self, sender, message, &tell);
    ask = sender->user == NULL && !sender->asked;
    sender->asked = TRUE;
    if (!twice && error == NULL)
        message = call_enter(self, sender, g_steal_pointer(&key), message);
    g_mutex_unlock(&self->lock);

    if (ask)
        ask_for_user(self, connection, name);
    if (tell)
        sevmig_log(SEVMIG_MESSAGE_CALLER_BUSY, NULL, "refusing calls: %s", error->message);
    if (!twice && error == NULL)
        return message;
    /* A serial that is in use again breaks the protocol: an answer would be taken for the other's.
     */
    if (error != NULL)
        refuse(connection, message, error);
    g_object_unref(message);
    return NULL;
}

static GDBusMessage *
answer_leaves(SevmigBusCallers *self, GDBusMessage *message)
{
    const char *name = g_dbus_message_get_destination(message);
    g_autofree char *key = NULL;
    gboolean wanted = TRUE;
    const Call *call;

    if (name == NULL || g_object_get_data(G_OBJECT(message), REFUSAL) != NULL)
        return message;
    key = call_key(name, g_dbus_message_get_reply_serial(message));
    g_mutex_lock(&self->lock);
    call = g_hash_table_lookup(self->calls, key);
    if (call != NULL) {
        wanted = call->wants_answer;
        call->sender->n_calls--;
        if (call->sender->user != NULL)
            call->sender->user->n_calls--;
        g_hash_table_remove(self->calls, key);
    }
    g_mutex_unlock(&self->lock);
    if (wanted)
        return message;
    g_object_unref(message);
    return NULL;
}

static GDBusMessage *
filter(GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
    GDBusMessageType type = g_dbus_message_get_message_type(message);

    if (incoming && type == G_DBUS_MESSAGE_TYPE_METHOD_CALL &&
        g_dbus_message_get_sender(message) != NULL)
        return call_arrives(user_data, connection, message);
    if (!incoming &&
        (type == G_DBUS_MESSAGE_TYPE_METHOD_RETURN || type == G_DBUS_MESSAGE_TYPE_ERROR))
        return answer_leaves(user_data, message);
    return message;
}

static void
filter_unref(gpointer data)
{
    sevmig_bus_callers_unref(data);
}

SevmigBusCallers *
sevmig_bus_callers_new(GDBusConnection *connection, guint *filter_id)
{
    SevmigBusCallers *self = g_atomic_rc_box_new0(SevmigBusCallers);

    g_mutex_init(&self->lock);
    self->senders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    self->calls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    *filter_id = g_dbus_connection_add_filter(connection, filter, g_atomic_rc_box_acquire(self),
                                              filter_unref);
    return self;
}
