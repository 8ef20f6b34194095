/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmpc-pending.h"

#include "qmpc-error.h"

struct QmpcPending {
    GMainContext *context; /* borrowed */
    GHashTable *entries;   /* &entry->id -> Entry */
};

typedef struct {
    uint64_t id;
    GTask *task; /* NULL once the caller has gone */
    unsigned timeout_ms;
    GSource *timeout;
    GSource *cancel;
} Entry;

static void
disarm(GSource **source)
{
    if (*source == NULL)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

static GTask *
take_task(Entry *entry)
{
    disarm(&entry->timeout);
    disarm(&entry->cancel);
    return g_steal_pointer(&entry->task);
}

static void
entry_free(gpointer data)
{
    Entry *entry = data;
    g_autoptr(GTask) task = take_task(entry);
    g_free(entry);
}

static gboolean
on_timeout(gpointer data)
{
    Entry *entry = data;
    g_autoptr(GTask) task = take_task(entry);
    g_task_return_new_error(task, QMPC_ERROR, QMPC_ERROR_TIMED_OUT, "no reply within %u ms",
                            entry->timeout_ms);
    return G_SOURCE_REMOVE;
}

static gboolean
on_cancelled(GCancellable *cancellable, gpointer data)
{
    g_autoptr(GTask) task = take_task(data);
    g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
    return G_SOURCE_REMOVE;
}

static GSource *
arm(QmpcPending *pending, GSource *source, GSourceFunc func, Entry *entry)
{
    g_source_set_callback(source, func, entry, NULL);
    g_source_attach(source, pending->context);
    return source;
}

QmpcPending *
qmpc_pending_new(GMainContext *context)
{
    QmpcPending *pending = g_new0(QmpcPending, 1);
    pending->context = context;
    pending->entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, entry_free);
    return pending;
}

void
qmpc_pending_free(QmpcPending *pending)
{
    g_hash_table_unref(pending->entries);
    g_free(pending);
}

void
qmpc_pending_add(QmpcPending *pending, uint64_t id, GTask *task, unsigned timeout_ms)
{
    Entry *entry = g_new0(Entry, 1);
    GCancellable *cancellable = g_task_get_cancellable(task);
    entry->id = id;
    entry->task = g_object_ref(task);
    entry->timeout_ms = timeout_ms;
    if (timeout_ms > 0)
        entry->timeout = arm(pending, g_timeout_source_new(timeout_ms), on_timeout, entry);
    if (cancellable != NULL)
        entry->cancel =
            arm(pending, g_cancellable_source_new(cancellable), G_SOURCE_FUNC(on_cancelled), entry);
    g_hash_table_insert(pending->entries, &entry->id, entry);
}

bool
qmpc_pending_take(QmpcPending *pending, uint64_t id, GTask **task)
{
    Entry *entry = g_hash_table_lookup(pending->entries, &id);
    if (entry == NULL)
        return false;
    *task = take_task(entry);
    g_hash_table_remove(pending->entries, &id);
    return true;
}

void
qmpc_pending_fail_all(QmpcPending *pending, const GError *reason)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, pending->entries);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GTask *task = take_task(value);
        g_hash_table_iter_remove(&iter);
        if (task != NULL)
            qmpc_fail_later(pending->context, task, reason);
    }
}

typedef struct {
    GTask *task;
    GError *error;
} Failure;

static gboolean
fail_task(gpointer data)
{
    Failure *failure = data;
    g_task_return_error(failure->task, failure->error);
    g_object_unref(failure->task);
    g_free(failure);
    return G_SOURCE_REMOVE;
}

void
qmpc_fail_later(GMainContext *context, GTask *task, const GError *reason)
{
    Failure *failure = g_new0(Failure, 1);
    failure->task = task;
    failure->error = g_error_copy(reason);
    g_autoptr(GSource) idle = g_idle_source_new();
    g_source_set_priority(idle, G_PRIORITY_DEFAULT);
    g_source_set_callback(idle, fail_task, failure, NULL);
    g_source_attach(idle, context);
}
