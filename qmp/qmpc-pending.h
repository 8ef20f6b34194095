/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-pending.h - commands on their way, by id; internal
 *
 * A command whose caller has gone (cancelled, timed out) stays until its reply comes, so that a
 * reply which belongs to no command can be told from one that merely comes late.
 */
#ifndef QMPC_PENDING_H
#define QMPC_PENDING_H

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct QmpcPending QmpcPending;

QmpcPending *qmpc_pending_new(GMainContext *context);
void qmpc_pending_free(QmpcPending *pending); /* without an answer to anybody */

/* `id` is new. Answers the task itself on a timeout (0: none) or when its cancellable fires. */
void qmpc_pending_add(QmpcPending *pending, uint64_t id, GTask *task, unsigned timeout_ms);

/* Removes one. false if there is no such id; *task (the caller's) is NULL if its caller has gone.
 */
bool qmpc_pending_take(QmpcPending *pending, uint64_t id, GTask **task);

/* Empties it; whoever still waits is answered with a copy of `reason`, later. */
void qmpc_pending_fail_all(QmpcPending *pending, const GError *reason);

/* Answers `task` (taken over) from the main loop and not at once: closing promises that no callback
 * comes from within. */
void qmpc_fail_later(GMainContext *context, GTask *task, const GError *reason);

#endif
