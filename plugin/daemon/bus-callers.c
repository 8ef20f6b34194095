/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whoever asks without waiting for answers fills this process and polkit with questions. The bus
 * bounds only what awaits a reply, and a message may say that it wants none. A user may have
 * hundreds of connections, so shares are a user's, not a connection's:
 *
 *   - so many calls under way, and no more;
 *   - one call under way whose answer takes long (sevmig_bus_reader_push()).
 *
 * What is allowed to run waits in one queue. One call is taken from it each time the main loop has
 * nothing else to do: ticks, which renew leases, come first.
 */
#include "bus-private.h"

#include "log.h"
#include "sevmig-error.h"

#define MOST_CALLS 64u /* under way, of one user */
/* Bus names whose user is remembered. The bus gives no name twice, so forgetting costs a question
   and nothing else. */
#define MOST_NAMES 1024u
#define BUSY_LOG_US (60 * G_USEC_PER_SEC)
#define ASK_TIMEOUT_MS 10000

struct SevmigBusUser {
    guint uid;
    guint n_calls;
    gboolean told; /* ever that it asks too much, and when */
    gint64 told_us;
    SevmigBusRun *reader; /* whose answer is being made */
    GQueue waiting;       /* of SevmigBusRun: more of that kind */
};

/* A bus name; until the bus has said whose it is, calls wait here. */
typedef struct {
    SevmigBus *bus;
    char *sender;
    SevmigBusUser *user;
    GQueue waiting; /* of SevmigBusRun */
} Name;

struct SevmigBusRun {
    SevmigBusRunFunc func;
    gpointer data;
};

static SevmigBusRun *
run_new(SevmigBusRunFunc func, gpointer data)
{
    SevmigBusRun *run = g_new0(SevmigBusRun, 1);

    run->func = func;
    run->data = data;
    return run;
}

/* --- Users --- */

static void
user_free(gpointer data)
{
    SevmigBusUser *user = data;

    g_assert(g_queue_is_empty(&user->waiting));
    g_free(user);
}

static SevmigBusUser *
user_of(SevmigBus *self, guint uid)
{
    SevmigBusUser *user = g_hash_table_lookup(self->users, GUINT_TO_POINTER(uid));

    if (user == NULL) {
        user = g_new0(SevmigBusUser, 1);
        user->uid = uid;
        g_queue_init(&user->waiting);
        g_hash_table_insert(self->users, GUINT_TO_POINTER(uid), user);
    }
    return user;
}

static void
user_tell(SevmigBusUser *user, const char *message)
{
    gint64 now_us = g_get_monotonic_time();

    if (user->told && now_us - user->told_us < BUSY_LOG_US)
        return;
    user->told = TRUE;
    user->told_us = now_us;
    sevmig_log(SEVMIG_MESSAGE_CALLER_BUSY, NULL, "refusing calls: %s", message);
}

gboolean
sevmig_bus_user_enter(SevmigBusUser *user, GError **error)
{
    if (user->n_calls < MOST_CALLS) {
        user->n_calls++;
        return TRUE;
    }
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_BUSY,
                "%u calls of uid %u are under way; expected at most that: wait for answers",
                MOST_CALLS, user->uid);
    user_tell(user, (*error)->message);
    return FALSE;
}

void
sevmig_bus_user_leave(SevmigBusUser *user)
{
    user->n_calls--;
}

/* --- Whose name --- */

static void
name_free(gpointer data)
{
    Name *name = data;

    g_free(name->sender);
    g_free(name);
}

static void
name_answer(Name *name, const GError *error)
{
    SevmigBusRun *run;

    while ((run = g_queue_pop_head(&name->waiting)) != NULL) {
        run->func(name->user, error, run->data);
        g_free(run);
    }
}

static void
name_known(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    Name *name = user_data;
    SevmigBus *self = name->bus;
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) reply =
        g_dbus_connection_call_finish(G_DBUS_CONNECTION(source_object), result, &error);
    guint uid;

    if (reply != NULL) {
        g_variant_get(reply, "(u)", &uid);
        name->user = user_of(self, uid);
    }
    name_answer(name, error);
    if (name->user == NULL)
        g_hash_table_remove(self->names, name->sender); /* has gone, most likely */
    sevmig_bus_unref(self);
}

static void
forget_names(SevmigBus *self)
{
    GHashTableIter iter;
    gpointer name;

    g_hash_table_iter_init(&iter, self->names);
    while (g_hash_table_iter_next(&iter, NULL, &name)) {
        if (((Name *)name)->user != NULL) /* else it waits for the bus */
            g_hash_table_iter_remove(&iter);
    }
}

static Name *
name_new(SevmigBus *self, const char *sender)
{
    Name *name = g_new0(Name, 1);

    if (g_hash_table_size(self->names) >= MOST_NAMES)
        forget_names(self);
    name->bus = g_rc_box_acquire(self);
    name->sender = g_strdup(sender);
    g_queue_init(&name->waiting);
    g_hash_table_insert(self->names, name->sender, name);
    g_dbus_connection_call(self->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                           "org.freedesktop.DBus", "GetConnectionUnixUser",
                           g_variant_new("(s)", sender), G_VARIANT_TYPE("(u)"),
                           G_DBUS_CALL_FLAGS_NONE, ASK_TIMEOUT_MS, NULL, name_known, name);
    return name;
}

gboolean
sevmig_bus_find_user(SevmigBus *self, const char *sender, SevmigBusRunFunc func, gpointer data,
                     GError **error)
{
    Name *name = g_hash_table_lookup(self->names, sender);

    if (name == NULL)
        name = name_new(self, sender);
    if (name->user != NULL) {
        func(name->user, NULL, data);
        return TRUE;
    }
    if (g_queue_get_length(&name->waiting) >= MOST_CALLS) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_BUSY,
                    "%u calls of %s are under way; expected at most that: wait for answers",
                    MOST_CALLS, sender);
        return FALSE;
    }
    g_queue_push_tail(&name->waiting, run_new(func, data));
    return TRUE;
}

/* --- What may run --- */

static gboolean
run_one(gpointer user_data)
{
    SevmigBus *self = user_data;
    SevmigBusRun *run = g_queue_pop_head(&self->runs);

    if (g_queue_is_empty(&self->runs))
        self->run_source = 0;
    run->func(NULL, NULL, run->data); /* may free the bus, but not within this call */
    g_free(run);
    return self->run_source != 0;
}

void
sevmig_bus_run_later(SevmigBus *self, SevmigBusRunFunc func, gpointer data)
{
    g_queue_push_tail(&self->runs, run_new(func, data));
    if (self->run_source == 0)
        self->run_source = g_idle_add_full(G_PRIORITY_LOW, run_one, self, NULL);
}

/* --- Answers that take long --- */

void
sevmig_bus_reader_push(SevmigBusUser *user, SevmigBusRunFunc func, gpointer data)
{
    SevmigBusRun *run = run_new(func, data);

    if (user->reader != NULL) {
        g_queue_push_tail(&user->waiting, run);
        return;
    }
    user->reader = run;
    func(user, NULL, data);
}

void
sevmig_bus_reader_done(SevmigBusUser *user)
{
    g_clear_pointer(&user->reader, g_free);
    user->reader = g_queue_pop_head(&user->waiting);
    if (user->reader != NULL)
        user->reader->func(user, NULL, user->reader->data);
}

void
sevmig_bus_callers_init(SevmigBus *self)
{
    self->users = g_hash_table_new_full(NULL, NULL, NULL, user_free);
    self->names = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, name_free);
    g_queue_init(&self->runs);
}

static void
run_all(GQueue *runs)
{
    SevmigBusRun *run;

    while ((run = g_queue_pop_head(runs)) != NULL) {
        run->func(NULL, NULL, run->data);
        g_free(run);
    }
}

/* Each finds that the bus has been left, and lets go of what it holds. */
void
sevmig_bus_callers_stop(SevmigBus *self)
{
    GHashTableIter iter;
    gpointer user;

    g_clear_handle_id(&self->run_source, g_source_remove);
    run_all(&self->runs);
    g_hash_table_iter_init(&iter, self->users);
    while (g_hash_table_iter_next(&iter, NULL, &user))
        run_all(&((SevmigBusUser *)user)->waiting);
}

void
sevmig_bus_callers_clear(SevmigBus *self)
{
    g_clear_pointer(&self->names, g_hash_table_unref);
    g_clear_pointer(&self->users, g_hash_table_unref);
}
