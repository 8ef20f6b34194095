/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "actuator.h"

typedef struct {
    SevmigActuator parent;
    SevmigActuator *inner;
} ObserveActuator;

static SevmigActuator *
inner_of(SevmigActuator *self)
{
    return ((ObserveActuator *)self)->inner;
}

static void
observe_exchange(SevmigActuator *self, const QmpcTune *tune, guint timeout_ms,
                 GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    inner_of(self)->ops->exchange(inner_of(self), NULL, timeout_ms, cancellable, callback,
                                  user_data);
}

static gboolean
observe_exchange_finish(SevmigActuator *self, GAsyncResult *result, QmpcSevStatus *status,
                        GError **error)
{
    return inner_of(self)->ops->exchange_finish(inner_of(self), result, status, error);
}

static void
observe_command(SevmigActuator *self, SevmigCommand command, GCancellable *cancellable,
                GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);

    g_task_return_boolean(task, TRUE);
}

static gboolean
observe_command_finish(SevmigActuator *self, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

static void
observe_reason(SevmigActuator *self, guint timeout_ms, GCancellable *cancellable,
               GAsyncReadyCallback callback, gpointer user_data)
{
    inner_of(self)->ops->reason(inner_of(self), timeout_ms, cancellable, callback, user_data);
}

static char *
observe_reason_finish(SevmigActuator *self, GAsyncResult *result)
{
    return inner_of(self)->ops->reason_finish(inner_of(self), result);
}

static void
observe_free(SevmigActuator *self)
{
    sevmig_actuator_free(inner_of(self));
    g_free(self);
}

static const SevmigActuatorOps observe_ops = {
    .name = "observe",
    .exchange = observe_exchange,
    .exchange_finish = observe_exchange_finish,
    .command = observe_command,
    .command_finish = observe_command_finish,
    .reason = observe_reason,
    .reason_finish = observe_reason_finish,
    .free = observe_free,
};

SevmigActuator *
sevmig_actuator_new_observe(SevmigActuator *inner)
{
    ObserveActuator *self = g_new0(ObserveActuator, 1);

    self->parent.ops = &observe_ops;
    self->inner = inner;
    return &self->parent;
}

void
sevmig_actuator_free(SevmigActuator *self)
{
    if (self != NULL)
        self->ops->free(self);
}
