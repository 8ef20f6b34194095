/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-actuator.h"

#define PAGES_PER_S 20000.0

static Fake *
fake_of(SevmigActuator *actuator)
{
    return (Fake *)actuator;
}

/* Time passes: pages are sent, and in each further pass half as many remain. */
static void
fake_advance(Fake *fake)
{
    QmpcSevStatus *s = &fake->status;
    gint64 now_us = g_get_monotonic_time();
    double seconds = (double)(now_us - fake->last_us) / G_USEC_PER_SEC;
    guint64 sent = (guint64)(seconds * PAGES_PER_S);

    if (sent == 0)
        return;
    fake->last_us = now_us;
    sent = s->tune.hold_sending || fake->stuck ? 0 : MIN(sent, s->ram.remaining_pages);
    s->ram.remaining_pages -= sent;
    s->ram.pass_elapsed_us += (guint64)(seconds * G_USEC_PER_SEC);
    s->send.pages += sent;
    s->send.commands += (sent + 3) / 4;
    s->send.submissions += (sent + s->tune.batch_pages - 1) / s->tune.batch_pages;
    s->send.bytes += sent * 4200;
    s->send.service_us += sent * 40;
    s->vcpus[0].cpu_us += (guint64)(seconds * 500000);
    if (s->ram.remaining_pages > 0)
        return;
    s->ram.pass++;
    s->ram.pass_elapsed_us = 0;
    s->ram.sync_count++;
    s->ram.sync_dirtied_pages = s->tune.pause ? 0 : 2000;
    s->ram.sync_interval_us = 500000;
    s->ram.sync_guest_cpu_us = s->tune.pause ? 0 : 250000;
    s->ram.remaining_pages = s->ram.sync_dirtied_pages;
}

static void
fake_apply(Fake *fake, const QmpcTune *tune)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = qmpc_tune_build(tune, &error);
    QmpcSevStatus *s = &fake->status;

    g_assert_no_error(error);
    if (fake->n_tunes == 0)
        fake->first_tune = *tune;
    fake->last_tune = *tune;
    fake->n_tunes++;
    if (fake->n_fail > 0)
        return;
    if (tune->present & QMPC_TUNE_BATCH_PAGES)
        s->tune.batch_pages = tune->batch_pages;
    if (tune->present & QMPC_TUNE_VCPU_THROTTLE)
        s->tune.vcpu_throttle_percent = s->vcpus[0].throttle_percent = tune->vcpu_throttle_percent;
    if (tune->present & QMPC_TUNE_HOLD_SENDING)
        s->tune.hold_sending = tune->hold_sending;
    if (tune->present & QMPC_TUNE_PAUSE) {
        g_assert_true(s->tune.has_pause);
        s->tune.pause = tune->pause;
    }
    if (tune->present & QMPC_TUNE_LEASE)
        s->tune.lease_remaining_ms = tune->lease_ms;
    fake->most_throttle_percent = MAX(fake->most_throttle_percent, s->tune.vcpu_throttle_percent);
    g_assert_cmpuint(s->tune.batch_pages, <=, s->limits.max_batch_pages);
}

/* The task's data is a copy of the status, made when the call is answered. */
static void
status_free(gpointer data)
{
    qmpc_sev_status_clear(data);
    g_free(data);
}

static void
fake_answer(Fake *fake, GTask *task)
{
    QmpcSevStatus *copy;

    if (fake->n_fail > 0) {
        fake->n_fail--;
        g_task_return_error(task, g_error_copy(fake->fail));
        return;
    }
    fake_advance(fake);
    copy = g_memdup2(&fake->status, sizeof(fake->status));
    copy->vcpus = g_memdup2(fake->status.vcpus, fake->status.n_vcpus * sizeof(*copy->vcpus));
    g_task_return_pointer(task, copy, status_free);
}

static gboolean
fake_cancelled(GCancellable *cancellable, gpointer user_data)
{
    GTask *task = user_data;
    Fake *fake = g_task_get_task_data(task);

    if (fake->held != task)
        return G_SOURCE_REMOVE;
    fake->held = NULL;
    g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
    g_object_unref(task);
    return G_SOURCE_REMOVE;
}

static gboolean
fake_answer_idle(gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    Fake *fake = g_task_get_task_data(task);

    if (!fake->hold) {
        fake_answer(fake, task);
        return G_SOURCE_REMOVE;
    }
    g_assert_null(fake->held); /* one outstanding call */
    fake->held = g_steal_pointer(&task);
    if (g_task_get_cancellable(fake->held) != NULL) {
        g_autoptr(GSource) source = g_cancellable_source_new(g_task_get_cancellable(fake->held));

        g_task_attach_source(fake->held, source, G_SOURCE_FUNC(fake_cancelled));
    }
    return G_SOURCE_REMOVE;
}

static void
fake_exchange(SevmigActuator *actuator, const QmpcTune *tune, guint timeout_ms,
              GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    Fake *fake = fake_of(actuator);
    GTask *task = g_task_new(NULL, cancellable, callback, user_data);

    g_assert_false(fake->forbidden);
    g_assert_null(fake->held);
    g_assert_cmpuint(timeout_ms, >, 0);
    g_task_set_check_cancellable(task, FALSE);
    g_task_set_task_data(task, fake, NULL);
    if (tune != NULL)
        fake_apply(fake, tune);
    else
        fake->n_queries++;
    g_idle_add(fake_answer_idle, task);
}

static gboolean
fake_exchange_finish(SevmigActuator *actuator, GAsyncResult *result, QmpcSevStatus *status,
                     GError **error)
{
    QmpcSevStatus *answer = g_task_propagate_pointer(G_TASK(result), error);

    if (answer == NULL)
        return FALSE;
    *status = *answer;
    g_free(answer);
    return TRUE;
}

static void
fake_command(SevmigActuator *actuator, SevmigCommand command, GCancellable *cancellable,
             GAsyncReadyCallback callback, gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);

    fake_of(actuator)->n_commands[command]++;
    g_task_return_boolean(task, TRUE);
}

static gboolean
fake_command_finish(SevmigActuator *actuator, GAsyncResult *result, GError **error)
{
    return g_task_propagate_boolean(G_TASK(result), error);
}

static void
fake_reason(SevmigActuator *actuator, guint timeout_ms, GCancellable *cancellable,
            GAsyncReadyCallback callback, gpointer user_data)
{
    Fake *fake = fake_of(actuator);
    g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, user_data);

    g_assert_false(fake->forbidden);
    g_assert_null(fake->held);
    fake->n_reasons++;
    g_task_return_pointer(task, g_strdup(fake->reason), g_free);
}

static char *
fake_reason_finish(SevmigActuator *actuator, GAsyncResult *result)
{
    return g_task_propagate_pointer(G_TASK(result), NULL);
}

static void
fake_actuator_free(SevmigActuator *actuator)
{
    g_assert_false(fake_of(actuator)->freed);
    fake_of(actuator)->freed = TRUE;
}

static const SevmigActuatorOps fake_ops = {
    .name = "fake",
    .exchange = fake_exchange,
    .exchange_finish = fake_exchange_finish,
    .command = fake_command,
    .command_finish = fake_command_finish,
    .reason = fake_reason,
    .reason_finish = fake_reason_finish,
    .free = fake_actuator_free,
};

Fake *
fake_new(void)
{
    Fake *fake = g_new0(Fake, 1);
    QmpcSevStatus *s = &fake->status;

    fake->actuator.ops = &fake_ops;
    fake->last_us = g_get_monotonic_time();
    s->firmware = QMPC_SEV_FIRMWARE_SOFT;
    s->guest_state = QMPC_SEV_GUEST_SENDING;
    s->limits.max_command_pages = 4;
    s->limits.max_batch_pages = 512;
    s->tune.batch_pages = 4;
    s->tune.has_pause = TRUE;
    s->tune.throttle_slice_us = 10000;
    s->ram.page_size_bytes = 4096;
    s->ram.private_pages = 65536;
    s->ram.shared_pages = 1024;
    s->ram.remaining_pages = 65536;
    s->ram.pass = 1;
    s->ram.sync_count = 1;
    s->send.n_run_buckets = 16;
    s->vcpus = g_new0(QmpcSevVcpu, 1);
    s->n_vcpus = 1;
    return fake;
}

void
fake_free(Fake *fake)
{
    g_assert_true(fake->freed);
    g_assert_null(fake->held);
    g_clear_error(&fake->fail);
    g_free(fake->status.vcpus);
    g_free(fake);
}

void
fake_forbid(Fake *fake, gboolean forbidden)
{
    fake->forbidden = forbidden;
}

void
fake_let_go(Fake *fake)
{
    g_autoptr(GTask) task = g_steal_pointer(&fake->held);

    fake->hold = FALSE;
    if (task != NULL)
        fake_answer(fake, task);
}

void
fake_fail(Fake *fake, guint n, GError *error)
{
    g_clear_error(&fake->fail);
    fake->fail = error;
    fake->n_fail = n;
}
