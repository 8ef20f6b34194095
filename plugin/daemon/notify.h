/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify.h - tells systemd that sevmigd serves, and again and again that its main loop runs
 */
#ifndef SEVMIGD_NOTIFY_H
#define SEVMIGD_NOTIFY_H

#include <glib.h>

typedef struct SevmigNotify SevmigNotify;

/* By the environment that systemd gives a service (sd_notify(3), sd_watchdog_enabled(3)); where
 * there is none, nothing is told. */
SevmigNotify *sevmig_notify_new(void);
void sevmig_notify_free(SevmigNotify *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigNotify, sevmig_notify_free)

/* What this is for can be done; from now on the watchdog is fed. Once is enough. */
void sevmig_notify_ready(SevmigNotify *self);
/* The end has begun; the watchdog is fed until it is over. */
void sevmig_notify_stopping(SevmigNotify *self);

#endif
