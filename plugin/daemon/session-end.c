/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session-private.h"

/* How long to wait for libvirt's word after QEMU's. A failure needs none. A success does: the
   destination has yet to load what is queued and to start the guest, and may still fail. */
#define FAILED_TIMEOUT_MS 3000u
#define COMPLETED_TIMEOUT_MS 60000u
/* libvirt's figures come right behind the end of the domain. */
#define GONE_TIMEOUT_MS 500u
/* The last question may have to wait for libvirt's own business on the monitor. */
#define LAST_TIMEOUT_MS 2500u
/* All of a release, and its own call: the daemon has been told to end. */
#define RELEASE_TIMEOUT_MS 3000u
#define RELEASE_CALL_TIMEOUT_MS 1500u

guint64
sevmig_session_stood(SevmigSession *self)
{
    guint64 us = self->stands ? (guint64)(g_get_monotonic_time() - self->stopped_us) : 0;

    self->stopped_us = 0;
    self->stands = FALSE;
    self->stood_us += us;
    return us;
}

void
sevmig_session_crashed(SevmigSession *self)
{
    if (self->state != SEVMIG_STATE_ENDED)
        self->crashed = TRUE;
}

/* It explains whatever else is known of the end, and a migration may succeed in spite of it. */
static void
session_blame_crash(SevmigSession *self)
{
    g_autofree char *rest = g_strdup(self->info.error);
    gboolean more = rest != NULL && *rest != '\0';
    g_autofree char *error = g_strdup_printf("the domain crashed while it was migrated%s%s",
                                             more ? ": " : "", more ? rest : "");

    sevmig_info_set(&self->info.error, error);
}

/* QEMU's downtime begins with the switchover, and a guest that stands is not throttled. */
static void
session_count_stands(SevmigSession *self)
{
    sevmig_session_stood(self);
    if (self->outcome == SEVMIG_EVENT_COMPLETED)
        self->info.downtime_us += self->down_us;
    self->info.guest_lost_us += self->stood_us;
}

static void
session_end(SevmigSession *self)
{
    if (self->state == SEVMIG_STATE_ENDED)
        return;
    self->state = SEVMIG_STATE_ENDED;
    sevmig_session_place(self, &(SevmigArbiterWord){0});
    g_clear_handle_id(&self->tick, g_source_remove);
    g_clear_handle_id(&self->deadline, g_source_remove);
    g_cancellable_cancel(self->cancellable);
    if (self->end_us == 0)
        self->end_us = g_get_monotonic_time();
    if (self->crashed)
        session_blame_crash(self);
    sevmig_info_set(&self->info.state, "ended");
    sevmig_session_step(self, self->outcome, self->end_us);
    session_count_stands(self);
    sevmig_session_log(self, SEVMIG_MESSAGE_MIGRATION_ENDED,
                       "ended after %" G_GUINT64_FORMAT " ms, downtime %" G_GUINT64_FORMAT
                       " ms%s%s",
                       self->info.elapsed_us / 1000, self->info.downtime_us / 1000,
                       *self->info.error != '\0' ? ": " : "", self->info.error);
    sevmig_steering_record(self->steering, NULL);
    sevmig_session_drop_actuator(self);
    if (self->ops != NULL)
        self->ops->ended(self, self->user_data);
}

static gboolean
session_deadline(gpointer user_data)
{
    SevmigSession *self = user_data;

    self->deadline = 0;
    session_end(self);
    return G_SOURCE_REMOVE;
}

static void
session_set_deadline(SevmigSession *self, guint ms)
{
    g_clear_handle_id(&self->deadline, g_source_remove);
    self->deadline = g_timeout_add(ms, session_deadline, self);
}

static void
session_finish_check(SevmigSession *self)
{
    if (self->state == SEVMIG_STATE_FINISHING && self->knows_last &&
        (self->knows_job || self->outcome != SEVMIG_EVENT_COMPLETED))
        session_end(self);
}

static void
session_last_sample(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_auto(QmpcSevStatus) status = {0};

    if (self->actuator->ops->exchange_finish(self->actuator, result, &status, NULL) &&
        self->state == SEVMIG_STATE_FINISHING) {
        sevmig_steering_take(self->steering, &status);
        sevmig_session_peer(self, &status.peer);
    }
    self->knows_last = TRUE;
    if (self->ops != NULL)
        session_finish_check(self);
    sevmig_session_let_go(self);
}

static void
session_reason_known(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_autofree char *reason = self->actuator->ops->reason_finish(self->actuator, result);

    if (reason != NULL && self->state == SEVMIG_STATE_FINISHING)
        sevmig_info_set(&self->info.error, reason);
    self->knows_last = TRUE;
    if (self->ops != NULL)
        session_finish_check(self);
    sevmig_session_let_go(self);
}

/* One last question: how long the guest stood still, or why it went wrong. */
static void
session_ask_last(SevmigSession *self)
{
    const SevmigActuatorOps *ops = self->actuator->ops;

    if (self->outcome == SEVMIG_EVENT_FAILED)
        ops->reason(self->actuator, LAST_TIMEOUT_MS, self->cancellable, session_reason_known,
                    sevmig_session_hold(self));
    else
        ops->exchange(self->actuator, NULL, LAST_TIMEOUT_MS, self->cancellable, session_last_sample,
                      sevmig_session_hold(self));
}

void
sevmig_session_finish(SevmigSession *self, SevmigEventType outcome)
{
    self->state = SEVMIG_STATE_FINISHING;
    self->outcome = outcome;
    self->end_us = g_get_monotonic_time();
    g_clear_handle_id(&self->tick, g_source_remove);
    session_set_deadline(self, outcome == SEVMIG_EVENT_COMPLETED ? COMPLETED_TIMEOUT_MS
                                                                 : FAILED_TIMEOUT_MS);
    if (outcome == SEVMIG_EVENT_CANCELLED)
        sevmig_info_set(&self->info.error, self->peer_refusal ? self->peer_refusal : "cancelled");
    else if (outcome == SEVMIG_EVENT_FAILED)
        sevmig_info_set(&self->info.error, "QEMU does not say why");
    if (!self->asks || outcome == SEVMIG_EVENT_CANCELLED)
        self->knows_last = TRUE;
    else if (!self->calling)
        session_ask_last(self);
    session_finish_check(self);
}

void
sevmig_session_job_completed(SevmigSession *self, const SevmigJobResult *result)
{
    if (self->state == SEVMIG_STATE_ENDED)
        return;
    self->knows_job = TRUE;
    if (self->info.downtime_us == 0)
        self->info.downtime_us = result->downtime_us;
    session_finish_check(self);
}

void
sevmig_session_domain_gone(SevmigSession *self)
{
    if (self->state == SEVMIG_STATE_ENDED)
        return;
    if (self->state == SEVMIG_STATE_FINISHING) {
        session_set_deadline(self, GONE_TIMEOUT_MS);
        return;
    }
    /* No status was heard, so the guest did not get away. */
    self->outcome = SEVMIG_EVENT_FAILED;
    if (!self->crashed)
        sevmig_info_set(&self->info.error, "the domain stopped while it was migrated");
    session_end(self);
}

void
sevmig_session_superseded(SevmigSession *self)
{
    if (self->state == SEVMIG_STATE_QUIET) {
        self->outcome = SEVMIG_EVENT_FAILED;
        sevmig_info_set(&self->info.error, "its end was not heard of, and another one began");
    } else if (self->state != SEVMIG_STATE_FINISHING) {
        return;
    }
    session_end(self);
}

void
sevmig_session_suspended(SevmigSession *self)
{
    if (self->state == SEVMIG_STATE_RUNNING && self->stopped_us == 0)
        self->stopped_us = g_get_monotonic_time();
}

void
sevmig_session_resumed(SevmigSession *self)
{
    sevmig_session_stood(self);
    if (self->state != SEVMIG_STATE_FINISHING || self->outcome != SEVMIG_EVENT_COMPLETED)
        return;
    self->outcome = SEVMIG_EVENT_FAILED;
    sevmig_info_set(&self->info.error,
                    "everything was sent, but the destination did not take over");
    session_end(self);
}

/* --- Release --- */

static void
session_released(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_auto(QmpcSevStatus) status = {0};
    g_autoptr(GError) error = NULL;

    if (!self->actuator->ops->exchange_finish(self->actuator, result, &status, &error) &&
        self->ops != NULL)
        sevmig_session_log(self, SEVMIG_MESSAGE_NOT_RELEASED,
                           "not released: %s, the lease will do it", error->message);
    if (self->ops != NULL)
        session_end(self);
    sevmig_session_let_go(self);
}

static void
session_release_send(SevmigSession *self)
{
    QmpcTune tune = sevmig_steering_release_tune(self->steering);

    self->actuator->ops->exchange(self->actuator, &tune, RELEASE_CALL_TIMEOUT_MS, self->cancellable,
                                  session_released, sevmig_session_hold(self));
}

void
sevmig_session_release(SevmigSession *self, const char *why, gboolean reachable)
{
    gboolean tell = reachable && self->steers && self->asks && self->state == SEVMIG_STATE_RUNNING;

    if (self->state == SEVMIG_STATE_ENDED || self->state == SEVMIG_STATE_RELEASING)
        return;
    sevmig_session_log(self, SEVMIG_MESSAGE_RELEASING, "releasing: %s", why);
    if (self->state != SEVMIG_STATE_FINISHING) {
        self->outcome = SEVMIG_EVENT_RELEASE;
        sevmig_info_set(&self->info.error, why);
    }
    if (!tell) {
        session_end(self);
        return;
    }
    self->state = SEVMIG_STATE_RELEASING;
    g_clear_handle_id(&self->tick, g_source_remove);
    session_set_deadline(self, RELEASE_TIMEOUT_MS);
    if (!self->calling)
        session_release_send(self);
}

void
sevmig_session_call_returned(SevmigSession *self)
{
    if (self->state == SEVMIG_STATE_RELEASING)
        session_release_send(self);
    else if (self->state == SEVMIG_STATE_FINISHING && !self->knows_last)
        session_ask_last(self);
}
