/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * worker.h - a blocking call in a thread, with a time limit for the caller
 *
 * libvirt's calls block, and a reply of a stuck QEMU may never come. The caller gets its answer in
 * time; the thread, and what the call holds, live on until the call returns.
 */
#ifndef SEVMIGD_WORKER_H
#define SEVMIGD_WORKER_H

#include <gio/gio.h>

/* Runs in a thread; returns its result, or NULL with `error`. */
typedef gpointer (*SevmigWorkerFunc)(gpointer data, GError **error);

/*
 * `free_data` (may be NULL) is called on `data` in the caller's main context once the thread has
 * ended, be that long after a time-out, and before a `callback` that brings the thread's result;
 * `free_result` on a result nobody took. timeout_ms 0: no
 * limit. `callback` comes exactly once, in the caller's thread-default main context, never from
 * within this call. `what` completes the message "... did not answer within N ms".
 */
void sevmig_worker_run_async(const char *what, SevmigWorkerFunc func, gpointer data,
                             GDestroyNotify free_data, GDestroyNotify free_result, guint timeout_ms,
                             GCancellable *cancellable, GAsyncReadyCallback callback,
                             gpointer user_data);

/* The result, owned by the caller; NULL with SEVMIG_ERROR_TIMED_OUT, G_IO_ERROR_CANCELLED or what
   the function set. */
gpointer sevmig_worker_run_finish(GAsyncResult *result, GError **error);

#endif
