/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two tasks: the inner one is the thread, the outer one is what the caller waits for. Whichever of
 * thread, time-out and cancellation is first answers the outer one and drops it; all three do so in
 * the caller's main context, so nothing needs a lock.
 */
#include "worker.h"

#include "sevmig-error.h"

typedef struct {
    GTask *outer; /* NULL once answered */
    GSource *timeout;
    GSource *cancelled;
    char *what;
    guint timeout_ms;
    SevmigWorkerFunc func;
    gpointer data;
    GDestroyNotify free_data;
    GDestroyNotify free_result;
} Job;

static void
source_drop(GSource **source)
{
    if (*source == NULL)
        return;
    g_source_destroy(*source);
    g_clear_pointer(source, g_source_unref);
}

/* Takes `error` or `value`; the first answer counts. */
static void
job_answer(Job *job, gpointer value, GError *error)
{
    g_autoptr(GTask) outer = g_steal_pointer(&job->outer);

    source_drop(&job->timeout);
    source_drop(&job->cancelled);
    if (outer == NULL) {
        g_clear_error(&error);
        if (value != NULL && job->free_result != NULL)
            job->free_result(value);
        return;
    }
    if (error != NULL)
        g_task_return_error(outer, error);
    else
        g_task_return_pointer(outer, value, job->free_result);
}

static gboolean
job_timed_out(gpointer user_data)
{
    Job *job = user_data;

    job_answer(job, NULL,
               g_error_new(SEVMIG_ERROR, SEVMIG_ERROR_TIMED_OUT, "%s did not answer within %u ms",
                           job->what, job->timeout_ms));
    return G_SOURCE_REMOVE;
}

static gboolean
job_cancelled(GCancellable *cancellable, gpointer user_data)
{
    job_answer(user_data, NULL,
               g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "Operation was cancelled"));
    return G_SOURCE_REMOVE;
}

static void
job_thread(GTask *inner, gpointer source_object, gpointer task_data, GCancellable *cancellable)
{
    Job *job = task_data;
    GError *error = NULL;
    gpointer value = job->func(job->data, &error);

    if (error != NULL)
        g_task_return_error(inner, error);
    else
        g_task_return_pointer(inner, value, job->free_result);
}

static void
job_done(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    Job *job = user_data;
    GError *error = NULL;
    gpointer value = g_task_propagate_pointer(G_TASK(result), &error);

    /* Before the answer: whoever gets it may call again, and what the call held must be free. */
    if (job->free_data != NULL && job->data != NULL)
        job->free_data(job->data);
    job_answer(job, value, error);
    g_free(job->what);
    g_free(job);
}

static GSource *
source_attach(GSource *source, GSourceFunc func, Job *job)
{
    g_source_set_callback(source, func, job, NULL);
    g_source_attach(source, g_main_context_get_thread_default());
    return source;
}

void
sevmig_worker_run_async(const char *what, SevmigWorkerFunc func, gpointer data,
                        GDestroyNotify free_data, GDestroyNotify free_result, guint timeout_ms,
                        GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    Job *job = g_new0(Job, 1);
    g_autoptr(GTask) inner = g_task_new(NULL, NULL, job_done, job);

    job->outer = g_task_new(NULL, NULL, callback, user_data);
    job->what = g_strdup(what);
    job->timeout_ms = timeout_ms;
    job->func = func;
    job->data = data;
    job->free_data = free_data;
    job->free_result = free_result;
    if (timeout_ms > 0)
        job->timeout = source_attach(g_timeout_source_new(timeout_ms), job_timed_out, job);
    if (cancellable != NULL)
        job->cancelled =
            source_attach(g_cancellable_source_new(cancellable), G_SOURCE_FUNC(job_cancelled), job);
    /* Not freed with the task: the thread may hold the last reference to that. */
    g_task_set_task_data(inner, job, NULL);
    g_task_run_in_thread(inner, job_thread);
}

gpointer
sevmig_worker_run_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}
