/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session-private.h"

#define SOONEST_TICK_US 20000
#define SKIPPED_US 100000 /* of a law that sleeps so much longer than a tick means it */
/* Many missed ticks fit in; a guest whose daemon died is free after this. */
#define LEASE_MS 2000u
/* No second call can be made while one is under way, and a late answer is still news, so there is
   nothing to gain by giving up soon: the ticks meanwhile count as missed. */
#define CALL_TIMEOUT_MS 10000u
/* A tune that QEMU refuses this often in a row is dropped: it would be refused for ever. */
#define MOST_REFUSALS 5u

/* What QEMU tells of the further ones would be lost, and what is decided without them wrong. */
static void
session_check_size(SevmigSession *self, const QmpcSevStatus *status)
{
    g_autofree char *note = NULL;

    if (!self->steers || status->n_vcpus <= SEVMIG_MAX_VCPUS)
        return;
    note = g_strdup_printf("this guest has %zu vCPUs, guests of at most %u are steered",
                           status->n_vcpus, SEVMIG_MAX_VCPUS);
    sevmig_session_observe(self, note);
    self->could = FALSE;
    self->forgoes = TRUE; /* what has been set meanwhile */
}

/* TRUE if there is no point in asking again. */
static gboolean
session_call_failed(SevmigSession *self, const GError *error)
{
    gboolean refused = g_error_matches(error, QMPC_ERROR, QMPC_ERROR_COMMAND) ||
                       g_error_matches(error, QMPC_ERROR, QMPC_ERROR_ARGUMENT);

    if (g_error_matches(error, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND)) {
        g_autofree char *note =
            g_strdup_printf("the QEMU of this domain cannot be steered: %s", error->message);

        sevmig_session_observe(self, note);
        self->asks = FALSE;
        return TRUE;
    }
    if ((error->domain == QMPC_ERROR && !refused) || refused != (self->refusals > 0)) {
        sevmig_session_log(self, self->warned ? SEVMIG_MESSAGE_DEBUG : SEVMIG_MESSAGE_NO_STATISTICS,
                           "no statistics: %s", error->message);
        self->warned = TRUE;
    }
    self->refusals = refused ? self->refusals + 1 : 0;
    if (!self->steers)
        return FALSE;
    if (self->refusals < MOST_REFUSALS)
        sevmig_steering_tune_failed(self->steering);
    else if (self->refusals == MOST_REFUSALS)
        sevmig_session_log(self, SEVMIG_MESSAGE_TUNE_REFUSED, "giving up what QEMU refuses: %s",
                           error->message);
    return FALSE;
}

/* Ticks come by the clock, whatever an answer takes, unless the law wants the next one sooner or
 * can do without some. */
static void
session_reschedule(SevmigSession *self)
{
    gint64 due_us = self->called_us + self->tick_ms * 1000;
    gint64 wake_us = self->hurries ? self->called_us : sevmig_steering_wake_us(self->steering);

    self->hurries = FALSE;
    if (wake_us > 0 && (wake_us < due_us || wake_us > due_us + SKIPPED_US))
        sevmig_session_schedule(self, MAX(wake_us, self->called_us + SOONEST_TICK_US));
}

static void
session_answered(SevmigSession *self, gboolean ok, const GError *error)
{
    if (self->state != SEVMIG_STATE_RUNNING) {
        /* The sample has been taken; the end makes its own step. */
        sevmig_session_call_returned(self);
        return;
    }
    if (!ok) {
        if (session_call_failed(self, error))
            return;
        self->info.samples_missed++;
        sevmig_session_step(self, SEVMIG_EVENT_SAMPLE_MISSED, g_get_monotonic_time());
        return;
    }
    self->refusals = 0;
    self->warned = FALSE;
    self->info.samples++;
    sevmig_session_step(self, SEVMIG_EVENT_SAMPLE, g_get_monotonic_time());
    session_reschedule(self);
}

static void
session_called(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_auto(QmpcSevStatus) status = {0};
    g_autoptr(GError) error = NULL;
    gboolean ok = self->actuator->ops->exchange_finish(self->actuator, result, &status, &error);

    self->calling = FALSE;
    if (self->ops != NULL && self->state != SEVMIG_STATE_ENDED) {
        sevmig_session_clock(self, g_get_monotonic_time());
        if (ok) {
            session_check_size(self, &status);
            sevmig_steering_take(self->steering, &status);
            sevmig_session_peer(self, &status.peer);
            self->sampled_us = g_get_monotonic_time();
            /* Nothing is asked in a switchover, which QEMU tells of right after its stop. */
            self->stands = self->stopped_us > 0 && self->called_us > self->stopped_us;
        }
        session_answered(self, ok, error);
    }
    sevmig_session_let_go(self);
}

static void
session_call(SevmigSession *self)
{
    gboolean tells = self->steers || self->forgoes;
    QmpcTune tune;

    if (self->steers)
        tune = sevmig_steering_tune(self->steering, LEASE_MS);
    else if (self->forgoes) /* should this be lost, the lease does it */
        tune = sevmig_steering_release_tune(self->steering);
    self->forgoes = FALSE;
    self->calling = TRUE;
    self->called_us = g_get_monotonic_time();
    self->actuator->ops->exchange(self->actuator, tells ? &tune : NULL, CALL_TIMEOUT_MS,
                                  self->cancellable, session_called, sevmig_session_hold(self));
}

static gboolean
session_tick(gpointer user_data)
{
    SevmigSession *self = user_data;
    gint64 now_us = g_get_monotonic_time();

    self->tick = 0;
    if (!self->asks || self->state != SEVMIG_STATE_RUNNING)
        return G_SOURCE_REMOVE;
    sevmig_session_schedule(self, now_us + self->tick_ms * 1000);
    if (!self->calling) {
        session_call(self);
        return G_SOURCE_REMOVE;
    }
    self->info.samples_missed++;
    sevmig_session_step(self, SEVMIG_EVENT_SAMPLE_MISSED, now_us);
    return G_SOURCE_REMOVE;
}

void
sevmig_session_schedule(SevmigSession *self, gint64 at_us)
{
    gint64 delay_us = at_us - g_get_monotonic_time();

    g_clear_handle_id(&self->tick, g_source_remove);
    self->tick = g_timeout_add((guint)MAX((delay_us + 999) / 1000, 0), session_tick, self);
}
