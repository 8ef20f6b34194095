/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * progress.h - what takes longer than a second says how far it is
 *
 * One line on standard error, redrawn from a thread of its own, and only if that is a terminal.
 */
#ifndef SEVMIGCTL_PROGRESS_H
#define SEVMIGCTL_PROGRESS_H

#include <glib.h>

typedef struct Progress Progress;

/* Never NULL. */
Progress *progress_new(void);
/* What is being done now; the time it has taken so far is added. */
void progress_say(Progress *self, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Wipes the line. */
void progress_free(Progress *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Progress, progress_free)

#endif
