/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session.h"

#include "log.h"
#include "sevmig-error.h"
#include "steering.h"

#define TICK_MS 100u
#define SOONEST_TICK_US 20000
/* Ten missed ticks and the slowest call fit in; a guest whose daemon died is free after this. */
#define LEASE_MS 2000u
#define CALL_TIMEOUT_MS 1000u
/* After the end libvirt's own figures come with an event, and the domain soon goes. */
#define FINISH_TIMEOUT_MS 3000u
#define RELEASE_TIMEOUT_MS 3000u
/* A tune that QEMU refuses this often in a row is dropped: it would be refused for ever. */
#define MOST_REFUSALS 5u

typedef enum {
    STATE_RUNNING,
    STATE_QUIET,
    STATE_FINISHING,
    STATE_RELEASING,
    STATE_ENDED,
} State;

/* Counted by references (g_rc_box): each call under way holds one. */
struct SevmigSession {
    const SevmigSessionOps *ops; /* NULL once freed */
    gpointer user_data;
    SevmigInfo info;
    SevmigActuator *actuator;
    GCancellable *cancellable;
    SevmigSteering *steering;
    State state;
    SevmigEventType outcome; /* how it ended, from FINISHING on */
    gint64 start_us;
    gint64 end_us; /* when the end was heard of; 0: not yet */
    gint64 called_us;
    guint tick_ms;
    guint tick;     /* source id */
    guint deadline; /* source id */
    guint refusals; /* in a row */
    gboolean calling;
    gboolean asks;   /* there is something to ask on this guest's monitor */
    gboolean steers; /* and something to tell it */
    gboolean paused; /* by us */
    gboolean knows_job;
    gboolean knows_last; /* the last question has been answered, or never will be */
    gboolean warned;     /* about an answer that breaks the contract */
};

static void session_schedule(SevmigSession *self, gint64 at_us);
static void session_finish_check(SevmigSession *self);

static void session_log(const SevmigSession *self, GLogLevelFlags level, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

static void
session_log(const SevmigSession *self, GLogLevelFlags level, const char *format, ...)
{
    const SevmigLogContext context = {
        .domain = self->info.domain,
        .uuid = self->info.uuid,
        .migration = self->info.id,
        .phase = self->info.phase,
    };
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    sevmig_log(level, &context, "%s", text);
}

static void session_unref(SevmigSession *self);

/* --- Steps and what follows from them --- */

static void
session_commanded(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_autoptr(GError) error = NULL;

    if (!self->actuator->ops->command_finish(self->actuator, result, &error))
        session_log(self, G_LOG_LEVEL_WARNING, "%s", error->message);
    session_unref(self);
}

static void
session_command(SevmigSession *self, SevmigCommand command)
{
    self->actuator->ops->command(self->actuator, command, NULL, session_commanded,
                                 g_rc_box_acquire(self));
}

static void
session_act(SevmigSession *self, const SevmigAction *action)
{
    gboolean note = action->type == SEVMIG_ACTION_NOTE;

    session_log(self, note ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_INFO,
                note ? "%s" : "%s: %s %" G_GINT64_FORMAT, action->reason,
                sevmig_action_name(action->type), (gint64)action->value);
    if (!self->steers || self->state != STATE_RUNNING)
        return;
    if (action->type == SEVMIG_ACTION_PAUSE) {
        session_log(self, G_LOG_LEVEL_MESSAGE, "pausing the guest: %s", action->reason);
        self->paused = TRUE;
        session_command(self, SEVMIG_COMMAND_PAUSE);
    } else if (action->type == SEVMIG_ACTION_ABORT) {
        session_log(self, G_LOG_LEVEL_MESSAGE, "cancelling the migration: %s", action->reason);
        session_command(self, SEVMIG_COMMAND_ABORT);
    }
}

static void
session_step(SevmigSession *self, SevmigEventType type, gint64 now_us)
{
    g_autoptr(GError) error = NULL;
    SevmigPhase before = sevmig_steering_phase(self->steering);
    const SevmigActions *actions = sevmig_steering_step(self->steering, type, now_us, &error);
    SevmigPhase after = sevmig_steering_phase(self->steering);

    if (error != NULL)
        session_log(self, G_LOG_LEVEL_WARNING, "%s, recording no more", error->message);
    self->info.elapsed_us = (guint64)MAX(now_us - self->start_us, 0);
    if (after != before)
        session_log(self, G_LOG_LEVEL_MESSAGE, "phase %s", sevmig_phase_name(after));
    for (size_t i = 0; i < actions->n; i++)
        session_act(self, &actions->list[i]);
    if (self->ops != NULL && self->ops->changed != NULL)
        self->ops->changed(self, self->user_data);
}

static void
session_observe(SevmigSession *self, const char *note)
{
    self->steers = FALSE;
    sevmig_info_set(&self->info.state, "observed");
    sevmig_info_set(&self->info.note, note);
    session_log(self, G_LOG_LEVEL_MESSAGE, "observing only: %s", note);
}

/* --- The call of each tick --- */

/* TRUE if there is no point in asking again. */
static gboolean
session_call_failed(SevmigSession *self, const GError *error)
{
    gboolean refused = g_error_matches(error, QMPC_ERROR, QMPC_ERROR_COMMAND) ||
                       g_error_matches(error, QMPC_ERROR, QMPC_ERROR_ARGUMENT);

    if (g_error_matches(error, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND)) {
        g_autofree char *note =
            g_strdup_printf("the QEMU of this domain cannot be steered: %s", error->message);

        session_observe(self, note);
        self->asks = FALSE;
        return TRUE;
    }
    if ((error->domain == QMPC_ERROR && !refused) || refused != (self->refusals > 0)) {
        session_log(self, self->warned ? G_LOG_LEVEL_DEBUG : G_LOG_LEVEL_WARNING,
                    "no statistics: %s", error->message);
        self->warned = TRUE;
    }
    self->refusals = refused ? self->refusals + 1 : 0;
    if (!self->steers)
        return FALSE;
    if (self->refusals < MOST_REFUSALS)
        sevmig_steering_tune_failed(self->steering);
    else if (self->refusals == MOST_REFUSALS)
        session_log(self, G_LOG_LEVEL_WARNING, "giving up what QEMU refuses: %s", error->message);
    return FALSE;
}

static void session_release_send(SevmigSession *self);
static void session_ask_last(SevmigSession *self);

static void
session_answered(SevmigSession *self, gboolean ok, const GError *error)
{
    gint64 wake_us;

    if (self->state == STATE_RELEASING) {
        session_release_send(self);
        return;
    }
    if (self->state == STATE_FINISHING)
        session_ask_last(self);
    if (self->state != STATE_RUNNING)
        return; /* the sample has been taken; the end makes its own step */
    if (!ok) {
        if (session_call_failed(self, error))
            return;
        self->info.samples_missed++;
        session_step(self, SEVMIG_EVENT_SAMPLE_MISSED, g_get_monotonic_time());
        return;
    }
    self->refusals = 0;
    self->warned = FALSE;
    self->info.samples++;
    session_step(self, SEVMIG_EVENT_SAMPLE, g_get_monotonic_time());
    wake_us = sevmig_steering_wake_us(self->steering);
    if (wake_us > 0 && wake_us < self->called_us + self->tick_ms * 1000)
        session_schedule(self, MAX(wake_us, self->called_us + SOONEST_TICK_US));
}

static void
session_called(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_auto(QmpcSevStatus) status = {0};
    g_autoptr(GError) error = NULL;
    gboolean ok = self->actuator->ops->exchange_finish(self->actuator, result, &status, &error);

    self->calling = FALSE;
    if (self->ops != NULL && self->state != STATE_ENDED) {
        if (ok)
            sevmig_steering_take(self->steering, &status);
        session_answered(self, ok, error);
    }
    session_unref(self);
}

static void
session_call(SevmigSession *self)
{
    QmpcTune tune;

    if (self->steers)
        tune = sevmig_steering_tune(self->steering, LEASE_MS);
    self->calling = TRUE;
    self->called_us = g_get_monotonic_time();
    self->actuator->ops->exchange(self->actuator, self->steers ? &tune : NULL, CALL_TIMEOUT_MS,
                                  self->cancellable, session_called, g_rc_box_acquire(self));
}

static gboolean
session_tick(gpointer user_data)
{
    SevmigSession *self = user_data;
    gint64 now_us = g_get_monotonic_time();

    self->tick = 0;
    if (!self->asks || self->state != STATE_RUNNING)
        return G_SOURCE_REMOVE;
    session_schedule(self, now_us + self->tick_ms * 1000);
    if (!self->calling) {
        session_call(self);
        return G_SOURCE_REMOVE;
    }
    self->info.samples_missed++;
    session_step(self, SEVMIG_EVENT_SAMPLE_MISSED, now_us);
    return G_SOURCE_REMOVE;
}

static void
session_schedule(SevmigSession *self, gint64 at_us)
{
    gint64 delay_us = at_us - g_get_monotonic_time();

    g_clear_handle_id(&self->tick, g_source_remove);
    self->tick = g_timeout_add((guint)MAX((delay_us + 999) / 1000, 0), session_tick, self);
}

/* --- The end --- */

static const struct {
    QmpcMigrationStatus status;
    SevmigEventType outcome;
} outcomes[] = {
    {QMPC_MIGRATION_COMPLETED, SEVMIG_EVENT_COMPLETED},
    {QMPC_MIGRATION_FAILED, SEVMIG_EVENT_FAILED},
    {QMPC_MIGRATION_CANCELLED, SEVMIG_EVENT_CANCELLED},
};

static void
session_end(SevmigSession *self)
{
    if (self->state == STATE_ENDED)
        return;
    self->state = STATE_ENDED;
    g_clear_handle_id(&self->tick, g_source_remove);
    g_clear_handle_id(&self->deadline, g_source_remove);
    g_cancellable_cancel(self->cancellable);
    if (self->end_us == 0)
        self->end_us = g_get_monotonic_time();
    sevmig_info_set(&self->info.state, "ended");
    session_step(self, self->outcome, self->end_us);
    /* libvirt has usually done this itself; a guest must not stay paused because of us. */
    if (self->paused &&
        (self->outcome == SEVMIG_EVENT_FAILED || self->outcome == SEVMIG_EVENT_CANCELLED))
        session_command(self, SEVMIG_COMMAND_RESUME);
    session_log(self, G_LOG_LEVEL_MESSAGE,
                "ended after %" G_GUINT64_FORMAT " ms, downtime %" G_GUINT64_FORMAT " ms%s%s",
                self->info.elapsed_us / 1000, self->info.downtime_us / 1000,
                *self->info.error != '\0' ? ": " : "", self->info.error);
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
session_finish_check(SevmigSession *self)
{
    if (self->state == STATE_FINISHING && self->knows_last &&
        (self->knows_job || self->outcome != SEVMIG_EVENT_COMPLETED))
        session_end(self);
}

static void
session_last_sample(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_auto(QmpcSevStatus) status = {0};

    if (self->actuator->ops->exchange_finish(self->actuator, result, &status, NULL) &&
        self->state == STATE_FINISHING)
        sevmig_steering_take(self->steering, &status);
    self->knows_last = TRUE;
    if (self->ops != NULL)
        session_finish_check(self);
    session_unref(self);
}

static void
session_reason_known(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_autofree char *reason = self->actuator->ops->reason_finish(self->actuator, result);

    if (reason != NULL && self->state == STATE_FINISHING)
        sevmig_info_set(&self->info.error, reason);
    self->knows_last = TRUE;
    if (self->ops != NULL)
        session_finish_check(self);
    session_unref(self);
}

/* One last question: how long the guest stood still, or why it went wrong. */
static void
session_ask_last(SevmigSession *self)
{
    const SevmigActuatorOps *ops = self->actuator->ops;

    if (self->outcome == SEVMIG_EVENT_FAILED)
        ops->reason(self->actuator, CALL_TIMEOUT_MS, self->cancellable, session_reason_known,
                    g_rc_box_acquire(self));
    else
        ops->exchange(self->actuator, NULL, CALL_TIMEOUT_MS, self->cancellable, session_last_sample,
                      g_rc_box_acquire(self));
}

static void
session_finish(SevmigSession *self, SevmigEventType outcome)
{
    self->state = STATE_FINISHING;
    self->outcome = outcome;
    self->end_us = g_get_monotonic_time();
    g_clear_handle_id(&self->tick, g_source_remove);
    g_clear_handle_id(&self->deadline, g_source_remove);
    self->deadline = g_timeout_add(FINISH_TIMEOUT_MS, session_deadline, self);
    if (outcome == SEVMIG_EVENT_CANCELLED)
        sevmig_info_set(&self->info.error, "cancelled");
    else if (outcome == SEVMIG_EVENT_FAILED)
        sevmig_info_set(&self->info.error, "QEMU does not say why");
    if (!self->asks || outcome == SEVMIG_EVENT_CANCELLED)
        self->knows_last = TRUE;
    else if (!self->calling)
        session_ask_last(self);
    session_finish_check(self);
}

static void
session_status(SevmigSession *self, QmpcMigrationStatus status)
{
    for (gsize i = 0; i < G_N_ELEMENTS(outcomes); i++) {
        if (outcomes[i].status == status) {
            session_finish(self, outcomes[i].outcome);
            return;
        }
    }
    switch (status) {
    case QMPC_MIGRATION_PRE_SWITCHOVER:
    case QMPC_MIGRATION_DEVICE:
        if (self->state == STATE_RUNNING)
            session_step(self, SEVMIG_EVENT_SWITCHOVER, g_get_monotonic_time());
        self->state = STATE_QUIET;
        break;
    case QMPC_MIGRATION_CANCELLING:
        self->state = STATE_QUIET; /* a tune would only be refused */
        break;
    case QMPC_MIGRATION_ACTIVE:
        if (self->state == STATE_QUIET) {
            self->state = STATE_RUNNING;
            session_schedule(self, g_get_monotonic_time());
        }
        break;
    case QMPC_MIGRATION_POSTCOPY_ACTIVE:
        sevmig_session_release(self, "the client switched to post-copy", TRUE);
        break;
    default:
        break;
    }
}

void
sevmig_session_migration_event(SevmigSession *self, const QmpcEvent *event)
{
    if (self->state != STATE_RUNNING && self->state != STATE_QUIET)
        return;
    session_log(self, G_LOG_LEVEL_DEBUG, "event %u %s", event->type,
                qmpc_migration_status_name(event->status));
    if (event->type == QMPC_EVENT_MIGRATION) {
        session_status(self, event->status);
    } else if (event->type == QMPC_EVENT_SEV_LEASE_EXPIRED && self->steers) {
        session_log(self, G_LOG_LEVEL_WARNING, "the lease ran out, QEMU is back at its defaults");
        session_step(self, SEVMIG_EVENT_LEASE_EXPIRED, g_get_monotonic_time());
    }
}

void
sevmig_session_job_completed(SevmigSession *self, const SevmigJobResult *result)
{
    if (self->state == STATE_ENDED)
        return;
    self->knows_job = TRUE;
    if (self->info.downtime_us == 0)
        self->info.downtime_us = result->downtime_us;
    session_finish_check(self);
}

void
sevmig_session_domain_gone(SevmigSession *self)
{
    if (self->state == STATE_ENDED)
        return;
    if (self->state != STATE_FINISHING) {
        /* No status was heard, so the guest did not get away. */
        self->outcome = SEVMIG_EVENT_FAILED;
        sevmig_info_set(&self->info.error, "the domain stopped while it was migrated");
    }
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
        session_log(self, G_LOG_LEVEL_WARNING, "not released: %s, the lease will do it",
                    error->message);
    if (self->ops != NULL)
        session_end(self);
    session_unref(self);
}

static void
session_release_send(SevmigSession *self)
{
    QmpcTune tune = sevmig_steering_release_tune(self->steering);

    self->actuator->ops->exchange(self->actuator, &tune, CALL_TIMEOUT_MS, self->cancellable,
                                  session_released, g_rc_box_acquire(self));
}

void
sevmig_session_release(SevmigSession *self, const char *why, gboolean reachable)
{
    gboolean tell = reachable && self->steers && self->asks && self->state == STATE_RUNNING;

    if (self->state == STATE_ENDED || self->state == STATE_RELEASING)
        return;
    session_log(self, G_LOG_LEVEL_MESSAGE, "releasing: %s", why);
    sevmig_info_set(&self->info.error, why);
    if (self->state != STATE_FINISHING)
        self->outcome = SEVMIG_EVENT_RELEASE;
    if (!tell) {
        session_end(self);
        return;
    }
    self->state = STATE_RELEASING;
    g_clear_handle_id(&self->tick, g_source_remove);
    g_clear_handle_id(&self->deadline, g_source_remove);
    self->deadline = g_timeout_add(RELEASE_TIMEOUT_MS, session_deadline, self);
    if (!self->calling)
        session_release_send(self);
}

/* --- Life --- */

/* What this guest allows: decides `asks` and `steers`, and says why not. */
static void
session_admit(SevmigSession *self, const SevmigSessionSetup *setup,
              const SevmigControlParams *params)
{
    const SevmigResolution *resolution = setup->resolution;

    self->asks = resolution->has_sev;
    self->steers = FALSE;
    if (!resolution->has_sev)
        session_observe(self, "this guest has no SEV");
    else if (resolution->policy == NULL)
        session_observe(self, resolution->problem);
    else if (params->observe_only)
        session_observe(self, "the policy says so");
    else if (setup->dry_run)
        session_observe(self, "dry run");
    else
        self->steers = TRUE;
    if (self->steers)
        sevmig_info_set(&self->info.state, "steered");
    /* With a policy in force all the same, it was found without the metadata. */
    if (self->steers && resolution->problem != NULL)
        sevmig_info_set(&self->info.note, resolution->problem);
}

static void
session_fill(SevmigSession *self, const SevmigSessionSetup *setup)
{
    const SevmigResolution *resolution = setup->resolution;
    SevmigControlParams params;

    sevmig_control_params_default(&params);
    params.observe_only = true;
    if (resolution->policy != NULL) {
        params = *sevmig_policy_params(resolution->policy);
        sevmig_info_set(&self->info.policy, sevmig_policy_name(resolution->policy));
        sevmig_info_set(&self->info.policy_source, sevmig_policy_source_name(resolution->source));
    }
    params.fixed_downtime_us = setup->fixed_downtime_us;
    self->info.downtime_goal_us = params.downtime_goal_us;
    self->info.duration_goal_us = params.duration_goal_us;
    self->steering = sevmig_steering_new(&self->info, &params);
    sevmig_info_set(&self->info.phase, sevmig_phase_name(SEVMIG_PHASE_DETECTED));
    session_admit(self, setup, &params);
    if (setup->records_dir != NULL && resolution->has_sev) {
        g_autoptr(GError) error = NULL;
        SevmigTraceHeader header = {self->info.domain, self->info.uuid, self->info.policy, params};
        SevmigRecorder *recorder = sevmig_recorder_new(setup->records_dir, setup->id, &header,
                                                       &SEVMIG_RECORDER_LIMITS, &error);

        if (recorder == NULL) {
            session_log(self, G_LOG_LEVEL_WARNING, "%s, recording nothing", error->message);
            return;
        }
        sevmig_info_set(&self->info.record_file, sevmig_recorder_path(recorder));
        sevmig_steering_record(self->steering, recorder);
    }
}

SevmigSession *
sevmig_session_new(const SevmigSessionSetup *setup, const SevmigSessionOps *ops, gpointer user_data)
{
    SevmigSession *self = g_rc_box_new0(SevmigSession);

    self->ops = ops;
    self->user_data = user_data;
    self->cancellable = g_cancellable_new();
    self->actuator = setup->actuator;
    self->tick_ms = setup->tick_ms > 0 ? setup->tick_ms : TICK_MS;
    self->start_us = g_get_monotonic_time() - (gint64)setup->elapsed_us;
    sevmig_info_init(&self->info);
    sevmig_info_set(&self->info.id, setup->id);
    sevmig_info_set(&self->info.domain, setup->domain);
    sevmig_info_set(&self->info.uuid, setup->uuid);
    self->info.started_realtime_us = (guint64)g_get_real_time() - setup->elapsed_us;
    session_fill(self, setup);
    return self;
}

void
sevmig_session_start(SevmigSession *self)
{
    session_log(self, G_LOG_LEVEL_MESSAGE, "migration found, policy %s (%s)",
                *self->info.policy != '\0' ? self->info.policy : "none",
                *self->info.policy_source != '\0' ? self->info.policy_source : self->info.note);
    session_step(self, SEVMIG_EVENT_START, self->start_us);
    if (self->asks)
        session_schedule(self, g_get_monotonic_time());
}

static void
session_clear(gpointer data)
{
    SevmigSession *self = data;

    sevmig_steering_free(self->steering);
    sevmig_actuator_free(self->actuator);
    g_clear_object(&self->cancellable);
    sevmig_info_clear(&self->info);
}

static void
session_unref(SevmigSession *self)
{
    g_rc_box_release_full(self, session_clear);
}

void
sevmig_session_free(SevmigSession *self)
{
    if (self == NULL)
        return;
    self->ops = NULL;
    self->state = STATE_ENDED;
    g_clear_handle_id(&self->tick, g_source_remove);
    g_clear_handle_id(&self->deadline, g_source_remove);
    g_cancellable_cancel(self->cancellable);
    session_unref(self);
}

const SevmigInfo *
sevmig_session_info(const SevmigSession *self)
{
    return &self->info;
}
