/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reading.h"

#include <string.h>

#include "worker.h"

#define MOST_AT_A_TIME 2u

typedef struct {
    SevmigPolicyStore *store;
    char *xml;
    char *name; /* NULL: a document */
    char *uuid;
} Document;

typedef struct {
    SevmigReading *reading;
    guint64 user;
    Document *document; /* NULL once it is being read */
    GTask *task;
} Job;

/* Counted by references (g_rc_box): a job that is being read holds one. */
struct SevmigReading {
    GQueue waiting; /* of Job */
    GQueue running; /* of Job */
};

static void
document_free(gpointer data)
{
    Document *self = data;

    sevmig_policy_store_free(self->store);
    g_free(self->xml);
    g_free(self->name);
    g_free(self->uuid);
    g_free(self);
}

static void
job_free(gpointer data)
{
    Job *job = data;

    g_clear_pointer(&job->document, document_free);
    g_object_unref(job->task);
    g_free(job);
}

static void
job_cancel(gpointer data)
{
    Job *job = data;

    g_task_return_new_error_literal(job->task, G_IO_ERROR, G_IO_ERROR_CANCELLED,
                                    "Operation was cancelled");
    job_free(job);
}

static gpointer
read_thread(gpointer data, GError **error)
{
    const Document *self = data;

    if (self->name != NULL)
        return sevmig_policy_resolve_domain(self->store, self->xml, self->name, self->uuid);
    return sevmig_policy_resolve(self->store, self->xml, -1, error);
}

static gboolean
may_run(const SevmigReading *self, const Job *job)
{
    for (GList *item = self->running.head; item != NULL; item = item->next) {
        if (((Job *)item->data)->user == job->user && job->user != SEVMIG_READING_MIGRATES)
            return FALSE;
    }
    return TRUE;
}

static void reading_go_on(SevmigReading *self);

static void
job_done(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    Job *job = user_data;
    SevmigReading *self = job->reading;
    GError *error = NULL;
    SevmigResolution *resolution = sevmig_worker_run_finish(result, &error);

    g_queue_remove(&self->running, job);
    if (resolution != NULL)
        g_task_return_pointer(job->task, resolution, (GDestroyNotify)sevmig_resolution_free);
    else
        g_task_return_error(job->task, error);
    job_free(job);
    reading_go_on(self);
    g_rc_box_release(self);
}

static void
reading_go_on(SevmigReading *self)
{
    GList *item = self->waiting.head;

    while (item != NULL && self->running.length < MOST_AT_A_TIME) {
        GList *next = item->next;
        Job *job = item->data;

        if (may_run(self, job)) {
            g_queue_delete_link(&self->waiting, item);
            g_queue_push_tail(&self->running, job);
            g_rc_box_acquire(self);
            sevmig_worker_run_async("a reader of XML", read_thread, g_steal_pointer(&job->document),
                                    document_free, (GDestroyNotify)sevmig_resolution_free, 0, NULL,
                                    job_done, job);
        }
        item = next;
    }
}

SevmigReading *
sevmig_reading_new(void)
{
    return g_rc_box_new0(SevmigReading);
}

void
sevmig_reading_free(SevmigReading *self)
{
    if (self == NULL)
        return;
    g_queue_clear_full(&self->waiting, job_cancel);
    g_rc_box_release(self);
}

void
sevmig_reading_run_async(SevmigReading *self, guint64 user, const SevmigPolicyStore *store,
                         const char *xml, const char *name, const char *uuid,
                         GAsyncReadyCallback callback, gpointer user_data)
{
    Document *document = g_new0(Document, 1);
    Job *job = g_new0(Job, 1);

    document->store = sevmig_policy_store_snapshot(store);
    document->xml = g_strdup(xml);
    document->name = g_strdup(name);
    document->uuid = g_strdup(uuid);
    job->reading = self;
    job->user = user;
    job->document = document;
    job->task = g_task_new(NULL, NULL, callback, user_data);
    if (user == SEVMIG_READING_MIGRATES)
        g_queue_push_head(&self->waiting, job);
    else
        g_queue_push_tail(&self->waiting, job);
    reading_go_on(self);
}

SevmigResolution *
sevmig_reading_run_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
