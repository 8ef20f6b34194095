/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "steering.h"

#include "sample.h"

struct SevmigSteering {
    SevmigInfo *info;
    SevmigControlParams params;
    SevmigTraceOrigin origin; /* of a change of them */
    SevmigTurn turn;
    gboolean held;    /* by it, in force */
    gint64 paused_us; /* since then no vCPU is to run; 0: they are */
    SevmigControl *control;
    SevmigPhase phase;
    SevmigActions actions; /* of the newest step */
    SevmigRecorder *recorder;
    SevmigSample sample;
    SevmigVcpuSample vcpus[SEVMIG_MAX_VCPUS];
    gboolean has_sample;
    SevmigTuning tuning; /* to be sent */
    SevmigTuning sent;   /* with the newest call */
    gint64 newest_us;
};

SevmigSteering *
sevmig_steering_new(SevmigInfo *info, const SevmigControlParams *params)
{
    SevmigSteering *self = g_new0(SevmigSteering, 1);

    self->info = info;
    self->params = *params;
    self->control = sevmig_control_init(g_malloc0(sevmig_control_size()));
    return self;
}

void
sevmig_steering_free(SevmigSteering *self)
{
    if (self == NULL)
        return;
    sevmig_recorder_free(self->recorder);
    g_free(self->control);
    g_free(self);
}

void
sevmig_steering_record(SevmigSteering *self, SevmigRecorder *recorder)
{
    sevmig_recorder_free(self->recorder);
    self->recorder = recorder;
}

static void
actions_take(SevmigSteering *self)
{
    for (size_t i = 0; i < self->actions.n; i++) {
        const SevmigAction *action = &self->actions.list[i];

        sevmig_tuning_add(&self->tuning, action);
        if (action->type == SEVMIG_ACTION_PAUSE)
            self->paused_us = action->value != 0 ? self->newest_us : 0;
        self->info->decisions += action->type != SEVMIG_ACTION_NOTE;
        sevmig_info_set(&self->info->last_decision, action->reason);
    }
}

const SevmigActions *
sevmig_steering_step(SevmigSteering *self, SevmigEventType type, gint64 now_us, GError **error)
{
    gboolean with_sample =
        self->has_sample && (type == SEVMIG_EVENT_SAMPLE || type == SEVMIG_EVENT_COMPLETED);
    gboolean with_params = type == SEVMIG_EVENT_START || type == SEVMIG_EVENT_POLICY;
    SevmigEvent event = {
        .type = type,
        .now_us = MAX(now_us, self->newest_us),
        .params = with_params ? &self->params : NULL,
        .sample = with_sample ? &self->sample : NULL,
        .turn = type == SEVMIG_EVENT_TURN ? &self->turn : NULL,
    };
    SevmigView view;

    self->newest_us = event.now_us;
    self->phase = sevmig_control_step(self->control, &event, &self->actions);
    sevmig_control_view(self->control, &view);
    sevmig_info_take_view(self->info, &view);
    if (type == SEVMIG_EVENT_SWITCHOVER) /* what is foreseen as the guest stops is the promise */
        self->info->promised_downtime_us =
            view.predicted_downtime_us + sevmig_steering_paused_us(self);
    actions_take(self);
    if (self->recorder != NULL)
        sevmig_recorder_step(self->recorder, &event,
                             type == SEVMIG_EVENT_POLICY ? &self->origin : NULL, &self->actions,
                             &view, error);
    return &self->actions;
}

void
sevmig_steering_change(SevmigSteering *self, const SevmigControlParams *params,
                       const SevmigTraceOrigin *origin)
{
    guint64 fixed_downtime_us = self->params.fixed_downtime_us;

    self->params = *params;
    self->params.fixed_downtime_us = fixed_downtime_us;
    self->origin = *origin;
}

void
sevmig_steering_turn(SevmigSteering *self, const SevmigTurn *turn)
{
    self->turn = *turn;
    self->held = !turn->sends;
}

void
sevmig_steering_take(SevmigSteering *self, const QmpcSevStatus *status)
{
    sevmig_sample_fill(&self->sample, self->vcpus, status);
    self->has_sample = TRUE;
    sevmig_info_take_sample(self->info, &self->sample);
}

guint64
sevmig_steering_paused_us(const SevmigSteering *self)
{
    return self->paused_us > 0 ? (guint64)(self->newest_us - self->paused_us) : 0;
}

SevmigPhase
sevmig_steering_phase(const SevmigSteering *self)
{
    return self->phase;
}

gint64
sevmig_steering_wake_us(const SevmigSteering *self)
{
    return self->actions.wake_us;
}

/* While a lease is held QEMU's auto-converge stands aside. A policy that leaves throttling to it
   must therefore hold none, unless something else that it asks for needs one. */
static gboolean
wants_lease(const SevmigSteering *self)
{
    const guint leased = 1u << SEVMIG_ACTION_THROTTLE | 1u << SEVMIG_ACTION_VCPU_THROTTLE |
                         1u << SEVMIG_ACTION_SWITCHOVER | 1u << SEVMIG_ACTION_HOLD_SENDING |
                         1u << SEVMIG_ACTION_PAUSE;

    return self->params.throttle_mode == SEVMIG_THROTTLE_STEERED || self->held ||
           self->paused_us > 0 || (self->tuning.present & leased) != 0;
}

QmpcTune
sevmig_steering_tune(SevmigSteering *self, guint32 lease_ms)
{
    self->tuning.lease_ms = wants_lease(self) ? lease_ms : 0;
    self->sent = self->tuning;
    sevmig_tuning_clear(&self->tuning);
    return sevmig_tuning_get(&self->sent);
}

void
sevmig_steering_tune_failed(SevmigSteering *self)
{
    sevmig_tuning_put_back(&self->tuning, &self->sent);
}

QmpcTune
sevmig_steering_release_tune(SevmigSteering *self)
{
    sevmig_tuning_set_defaults(&self->sent, self->has_sample ? self->sample.max_command_pages : 0,
                               self->has_sample && self->sample.can_pause);
    return sevmig_tuning_get(&self->sent);
}
