/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * actuator.h - how a session acts on the domain it steers
 *
 * Calls are asynchronous; callbacks come in the main context, exactly once, never from within the
 * call. A call must be finished or cancelled before the actuator is freed; a cancelled one may
 * still take effect.
 */
#ifndef SEVMIGD_ACTUATOR_H
#define SEVMIGD_ACTUATOR_H

#include <gio/gio.h>
#include <libvirt/libvirt.h>

#include "qmpc-sev.h"

typedef struct SevmigActuator SevmigActuator;

typedef enum {
    SEVMIG_COMMAND_ABORT, /* cancel the migration */
    SEVMIG_COMMAND_COUNT
} SevmigCommand;

typedef struct {
    const char *name; /* for messages */
    /* Applies `tune` (NULL: nothing) and returns what x-query-sev-migration would. */
    void (*exchange)(SevmigActuator *self, const QmpcTune *tune, guint timeout_ms,
                     GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
    gboolean (*exchange_finish)(SevmigActuator *self, GAsyncResult *result, QmpcSevStatus *status,
                                GError **error);
    void (*command)(SevmigActuator *self, SevmigCommand command, GCancellable *cancellable,
                    GAsyncReadyCallback callback, gpointer user_data);
    gboolean (*command_finish)(SevmigActuator *self, GAsyncResult *result, GError **error);
    /* Why the migration failed, in QEMU's words; NULL if it does not say. */
    void (*reason)(SevmigActuator *self, guint timeout_ms, GCancellable *cancellable,
                   GAsyncReadyCallback callback, gpointer user_data);
    char *(*reason_finish)(SevmigActuator *self, GAsyncResult *result);
    void (*free)(SevmigActuator *self);
} SevmigActuatorOps;

struct SevmigActuator {
    const SevmigActuatorOps *ops;
};

void sevmig_actuator_free(SevmigActuator *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigActuator, sevmig_actuator_free)

/* QMP through libvirt's monitor passthrough; takes a reference to `domain`. */
SevmigActuator *sevmig_actuator_new_libvirt(virDomainPtr domain);

/* The dry run: reads through `inner`, which it takes over, and carries nothing out. */
SevmigActuator *sevmig_actuator_new_observe(SevmigActuator *inner);

#endif
