/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "session-private.h"

#include "log.h"
#include "sevmig-error.h"

#define TICK_MS 100u

void
sevmig_session_log(const SevmigSession *self, SevmigMessage message, const char *format, ...)
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
    sevmig_log(message, &context, "%s", text);
}

/* --- Steps, and what follows from them --- */

static void
session_commanded(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_autoptr(GError) error = NULL;

    if (!self->actuator->ops->command_finish(self->actuator, result, &error))
        sevmig_session_log(self, SEVMIG_MESSAGE_COMMAND_FAILED, "%s", error->message);
    sevmig_session_let_go(self);
}

void
sevmig_session_command(SevmigSession *self, SevmigCommand command)
{
    self->actuator->ops->command(self->actuator, command, NULL, session_commanded,
                                 sevmig_session_hold(self));
}

static void
session_act(SevmigSession *self, const SevmigAction *action)
{
    gboolean note = action->type == SEVMIG_ACTION_NOTE;

    sevmig_session_log(self, note ? SEVMIG_MESSAGE_DEBUG : SEVMIG_MESSAGE_INFO,
                       note ? "%s" : "%s: %s %" G_GINT64_FORMAT, action->reason,
                       sevmig_action_name(action->type), (gint64)action->value);
    if (!self->steers || self->state != SEVMIG_STATE_RUNNING)
        return;
    if (action->type == SEVMIG_ACTION_PAUSE) {
        sevmig_session_log(self, SEVMIG_MESSAGE_PAUSING, "%s: %s",
                           action->value != 0 ? "pausing the guest" : "no longer paused",
                           action->reason);
    } else if (action->type == SEVMIG_ACTION_ABORT) {
        sevmig_session_log(self, SEVMIG_MESSAGE_CANCELLING, "cancelling the migration: %s",
                           action->reason);
        sevmig_session_command(self, SEVMIG_COMMAND_ABORT);
    }
}

void
sevmig_session_clock(SevmigSession *self, gint64 now_us)
{
    guint64 elapsed_us = (guint64)MAX(now_us - self->start_us, 0);

    if (self->waits)
        self->info.held_us += elapsed_us - MIN(self->info.elapsed_us, elapsed_us);
    self->info.elapsed_us = elapsed_us;
}

void
sevmig_session_step(SevmigSession *self, SevmigEventType type, gint64 now_us)
{
    g_autoptr(GError) error = NULL;
    SevmigPhase before = sevmig_steering_phase(self->steering);
    const SevmigActions *actions = sevmig_steering_step(self->steering, type, now_us, &error);
    SevmigPhase after = sevmig_steering_phase(self->steering);

    if (error != NULL)
        sevmig_session_log(self, SEVMIG_MESSAGE_RECORD_STOPPED, "%s, recording no more",
                           error->message);
    sevmig_session_clock(self, now_us);
    if (after != before)
        sevmig_session_log(self, SEVMIG_MESSAGE_PHASE, "phase %s", sevmig_phase_name(after));
    for (size_t i = 0; i < actions->n; i++)
        session_act(self, &actions->list[i]);
    if (self->ops != NULL && self->ops->changed != NULL)
        self->ops->changed(self, self->user_data);
}

void
sevmig_session_observe(SevmigSession *self, const char *note)
{
    self->steers = FALSE;
    sevmig_info_set(&self->info.state, "observed");
    sevmig_info_set(&self->info.note, note);
    sevmig_session_log(self, SEVMIG_MESSAGE_OBSERVING, "observing only: %s", note);
}

/* --- Events --- */

static const struct {
    QmpcMigrationStatus status;
    SevmigEventType outcome;
} outcomes[] = {
    {QMPC_MIGRATION_COMPLETED, SEVMIG_EVENT_COMPLETED},
    {QMPC_MIGRATION_FAILED, SEVMIG_EVENT_FAILED},
    {QMPC_MIGRATION_CANCELLED, SEVMIG_EVENT_CANCELLED},
};

static void
session_status(SevmigSession *self, QmpcMigrationStatus status)
{
    for (gsize i = 0; i < G_N_ELEMENTS(outcomes); i++) {
        if (outcomes[i].status == status) {
            sevmig_session_finish(self, outcomes[i].outcome);
            return;
        }
    }
    switch (status) {
    case QMPC_MIGRATION_PRE_SWITCHOVER:
    case QMPC_MIGRATION_DEVICE:
        if (self->state == SEVMIG_STATE_RUNNING) {
            self->down_us = sevmig_session_stood(self);
            sevmig_session_step(self, SEVMIG_EVENT_SWITCHOVER, g_get_monotonic_time());
            self->down_us = MAX(self->down_us, sevmig_steering_paused_us(self->steering));
        }
        self->state = SEVMIG_STATE_QUIET;
        break;
    case QMPC_MIGRATION_CANCELLING:
        self->state = SEVMIG_STATE_QUIET; /* a tune would only be refused */
        break;
    case QMPC_MIGRATION_ACTIVE:
        if (self->state == SEVMIG_STATE_QUIET) {
            self->state = SEVMIG_STATE_RUNNING;
            sevmig_session_schedule(self, g_get_monotonic_time());
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
    if (event->type == QMPC_EVENT_GUEST_PANICKED)
        sevmig_session_crashed(self);
    if (self->state != SEVMIG_STATE_RUNNING && self->state != SEVMIG_STATE_QUIET)
        return;
    sevmig_session_log(self, SEVMIG_MESSAGE_DEBUG, "event %u %s", event->type,
                       qmpc_migration_status_name(event->status));
    if (event->type == QMPC_EVENT_MIGRATION) {
        session_status(self, event->status);
    } else if (event->type == QMPC_EVENT_SEV_LEASE_EXPIRED && self->steers) {
        sevmig_session_log(self, SEVMIG_MESSAGE_LEASE_EXPIRED,
                           "the lease ran out, QEMU is back at its defaults");
        sevmig_session_step(self, SEVMIG_EVENT_LEASE_EXPIRED, g_get_monotonic_time());
    }
}

/* --- Life --- */

/* What this guest allows: decides `asks` and `steers`, and says why not. */
static void
session_admit(SevmigSession *self, const SevmigSessionSetup *setup,
              const SevmigControlParams *params)
{
    const SevmigResolution *resolution = setup->resolution;

    self->asks = resolution->has_sev;
    self->could = resolution->has_sev && resolution->policy != NULL && !setup->dry_run;
    self->steers = FALSE;
    if (!resolution->has_sev)
        sevmig_session_observe(self, "this guest has no SEV");
    else if (resolution->policy == NULL)
        sevmig_session_observe(self, resolution->problem);
    else if (params->observe_only)
        sevmig_session_observe(self, "the policy says so");
    else if (setup->dry_run)
        sevmig_session_observe(self, "dry run");
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
        self->priority = sevmig_policy_priority(resolution->policy);
        self->peer_required = sevmig_policy_peer(resolution->policy);
        sevmig_info_set(&self->info.policy, sevmig_policy_name(resolution->policy));
        sevmig_info_set(&self->info.policy_source, sevmig_policy_source_name(resolution->source));
    }
    params.fixed_downtime_us = setup->fixed_downtime_us;
    self->info.downtime_goal_us = params.downtime_goal_us;
    self->info.duration_goal_us = params.duration_goal_us;
    self->params = params;
    self->steering = sevmig_steering_new(&self->info, &params);
    sevmig_info_set(&self->info.phase, sevmig_phase_name(SEVMIG_PHASE_DETECTED));
    session_admit(self, setup, &params);
    if (setup->records_dir != NULL && resolution->has_sev) {
        g_autoptr(GError) error = NULL;
        SevmigTraceHeader header = {self->info.domain, self->info.uuid, self->info.policy, params};
        SevmigRecorder *recorder = sevmig_recorder_new(setup->records_dir, setup->id, &header,
                                                       &SEVMIG_RECORDER_LIMITS, &error);

        if (recorder == NULL) {
            sevmig_session_log(self, SEVMIG_MESSAGE_RECORD_STOPPED, "%s, recording nothing",
                               error->message);
            return;
        }
        sevmig_info_set(&self->info.record_file, sevmig_recorder_path(recorder));
        sevmig_steering_record(self->steering, recorder);
    }
}

char *
sevmig_session_new_id(const char *uuid, guint number)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *stamp = g_date_time_format(now, "%Y%m%dT%H%M%S");

    return g_strdup_printf("%s.%06d-%.8s-%u", stamp, g_date_time_get_microsecond(now), uuid,
                           number);
}

SevmigSession *
sevmig_session_new(const SevmigSessionSetup *setup, const SevmigSessionOps *ops, gpointer user_data)
{
    SevmigSession *self = g_rc_box_new0(SevmigSession);

    self->ops = ops;
    self->user_data = user_data;
    self->number = setup->number;
    self->memory_bytes = setup->resolution->memory_bytes;
    self->cancellable = g_cancellable_new();
    self->actuator = setup->actuator;
    self->tick_ms = setup->tick_ms > 0 ? setup->tick_ms : TICK_MS;
    self->start_us = g_get_monotonic_time() - (gint64)setup->elapsed_us;
    self->stopped_us = setup->stands ? g_get_monotonic_time() : 0;
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
    sevmig_session_log(self, SEVMIG_MESSAGE_MIGRATION_FOUND, "migration found, policy %s (%s)",
                       *self->info.policy != '\0' ? self->info.policy : "none",
                       *self->info.policy_source != '\0' ? self->info.policy_source
                                                         : self->info.note);
    sevmig_session_step(self, SEVMIG_EVENT_START, self->start_us);
    if (self->asks)
        sevmig_session_schedule(self, g_get_monotonic_time());
}

static void
session_clear(gpointer data)
{
    SevmigSession *self = data;

    sevmig_steering_free(self->steering);
    sevmig_actuator_free(self->actuator);
    g_clear_object(&self->cancellable);
    g_free(self->peer_refusal);
    sevmig_info_clear(&self->info);
}

SevmigSession *
sevmig_session_hold(SevmigSession *self)
{
    self->n_calls++;
    return g_rc_box_acquire(self);
}

void
sevmig_session_drop_actuator(SevmigSession *self)
{
    if (self->n_calls == 0)
        g_clear_pointer(&self->actuator, sevmig_actuator_free);
}

void
sevmig_session_let_go(SevmigSession *self)
{
    self->n_calls--;
    if (self->state == SEVMIG_STATE_ENDED)
        sevmig_session_drop_actuator(self);
    g_rc_box_release_full(self, session_clear);
}

void
sevmig_session_free(SevmigSession *self)
{
    if (self == NULL)
        return;
    self->ops = NULL;
    self->state = SEVMIG_STATE_ENDED;
    g_clear_handle_id(&self->tick, g_source_remove);
    g_clear_handle_id(&self->deadline, g_source_remove);
    g_cancellable_cancel(self->cancellable);
    g_rc_box_release_full(self, session_clear);
}

const SevmigInfo *
sevmig_session_info(const SevmigSession *self)
{
    return &self->info;
}
