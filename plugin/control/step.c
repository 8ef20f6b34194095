/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * step.c - one event in, the actions out
 *
 * A sample goes intake -> estimators -> outlook -> rules -> knobs -> actions, in this order, so
 * that every rule sees one consistent picture. Other events change what is known or the phase, and
 * the same last stage tells QEMU what changed.
 */
#include "law.h"
#include "params.h"

#include <math.h>
#include <string.h>

#define TICK_US 100000
#define HELD_TICK_US 500000        /* nothing happens there, and the word to send comes by itself */
#define SOON_US 20000              /* sevmigd calls no sooner */
#define DOWNTIME_DEFAULT_US 300000 /* QEMU's own default, where no goal is given */
#define DOWNTIME_ENDLESS_US 2000000000
#define TURN_ARRIVES_US 100000 /* the next call brings it, and QEMU acts at the end of its turn */
#define MISSED_MOST                                                                                \
    20 /* ticks, two seconds: a busy host answers late. Then nobody knows what the throttle does   \
        */

size_t
sevmig_control_size(void)
{
    return sizeof(SevmigControl);
}

SevmigControl *
sevmig_control_init(void *memory)
{
    SevmigControl *self = memory;

    memset(self, 0, sizeof(*self));
    self->phase = SEVMIG_PHASE_DETECTED;
    sevmig_params_copy(&self->params, NULL);
    self->goal_us = DOWNTIME_DEFAULT_US;
    self->relax_max_us = DOWNTIME_ENDLESS_US;
    sevmig_intake_init(&self->intake);
    sevmig_firmware_init(&self->firmware);
    sevmig_vcpus_init(&self->vcpus);
    sevmig_dirty_init(&self->dirty);
    sevmig_knobs_init(&self->knobs);
    return self;
}

bool
sevmig_law_has(const SevmigControl *self, SevmigPart part)
{
    return !(self->params.without_parts & (1u << part));
}

bool
sevmig_law_outranks(const SevmigControl *self, SevmigGoal a, SevmigGoal b)
{
    const SevmigControlParams *p = &self->params;
    const bool given[SEVMIG_GOAL_COUNT] = {
        [SEVMIG_GOAL_DOWNTIME] = true, /* there always is one, if only QEMU's default */
        [SEVMIG_GOAL_DURATION] = p->duration_goal_us > 0,
        [SEVMIG_GOAL_SLOWDOWN] = p->slowdown_goal_percent > 0,
    };

    for (int i = 0; i < SEVMIG_GOAL_COUNT && given[a]; i++) {
        if (p->goal_order[i] == a)
            return true;
        if (p->goal_order[i] == b)
            return false;
    }
    return false;
}

double
sevmig_law_time_left_us(const SevmigControl *self)
{
    if (self->params.duration_goal_us == 0)
        return INFINITY;
    return (double)self->params.duration_goal_us - (double)(self->now_us - self->start_us);
}

uint64_t
sevmig_law_hold_us(const SevmigControl *self)
{
    uint64_t policy_us = self->params.batch_hold_us, turn_us = self->turn_hold_us;

    if (policy_us == 0 || (turn_us > 0 && turn_us < policy_us))
        return turn_us;
    return policy_us;
}

void
sevmig_law_send(SevmigControl *self, const char *why)
{
    if (self->held)
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_HOLD_SENDING, 0, "%s", why);
    self->held = false;
}

static void
note(SevmigControl *self, SevmigActions *actions, const char *text, const char *detail)
{
    sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0, "%s%s%s", text,
                     detail ? ": " : "", detail ? detail : "");
}

/*
 * Events
 */

static void
take_params(SevmigControl *self, const SevmigControlParams *params)
{
    sevmig_params_copy(&self->params, params);
    self->goal_us =
        self->params.downtime_goal_us > 0 ? self->params.downtime_goal_us : DOWNTIME_DEFAULT_US;
    /* Without a goal there is no promise to keep: relaxing may go as far as QEMU can. */
    self->relax_max_us =
        self->params.downtime_goal_us > 0 ? self->params.downtime_max_us : DOWNTIME_ENDLESS_US;
    self->knobs.observe_only = self->params.observe_only;
    memset(&self->stall, 0, sizeof(self->stall));
    self->pause.refusal = SEVMIG_PAUSE_ALLOWED;
    self->throttle.due = true;
}

static void
on_start(SevmigControl *self, const SevmigEvent *event, SevmigActions *actions)
{
    if (self->started) {
        note(self, actions, "started twice, ignoring", NULL);
        return;
    }
    self->started = true;
    self->start_us = event->now_us;
    take_params(self, event->params);
}

/* Neither throttled nor held; what was never touched stays untouched. */
static void
let_loose(SevmigControl *self, const char *why)
{
    if (self->throttle.wanted_percent > 0)
        sevmig_throttle_want(self, 0, why);
    if (sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_AUTO) !=
        SEVMIG_SWITCHOVER_AUTO)
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_AUTO, "%s", why);
    sevmig_law_send(self, why);
    sevmig_pause_end(self, why);
}

/* A guest that is held gains nothing from being slow. */
static void
on_turn(SevmigControl *self, const SevmigEvent *event, SevmigActions *actions)
{
    const SevmigTurn *turn = event->turn;

    if (!turn || self->ending != SEVMIG_ENDING_NOT)
        return;
    self->turn_waits = !turn->sends;
    if (self->pause.on) /* the sooner it has sent all, the better */
        return;
    if (self->held == turn->sends) {
        self->held = !turn->sends;
        self->turn_us = self->now_us;
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_HOLD_SENDING, self->held, "%s", turn->reason);
        self->throttle.due = turn->sends;
    } else {
        note(self, actions, "turn", turn->reason);
    }
    self->turn_hold_us = turn->most_hold_us;
    if (self->held && self->throttle.wanted_percent > 0)
        sevmig_throttle_want(self, 0, "a guest that is held is not throttled");
}

static void
on_policy(SevmigControl *self, const SevmigEvent *event, SevmigActions *actions)
{
    take_params(self, event->params);
    sevmig_pause_end(self, "another policy holds");
    self->batch_changed_us = 0; /* the batch of another policy need not settle first */
    sevmig_knobs_forget(&self->knobs);
    note(self, actions, "other policy from now on", NULL);
    if (self->params.throttle_mode == SEVMIG_THROTTLE_QEMU)
        let_loose(self, "the policy leaves throttling to QEMU");
    else
        sevmig_throttle_limit(self);
}

static void
advance_phase(SevmigControl *self)
{
    SevmigPhase to = self->intake.late ? SEVMIG_PHASE_CONVERGING : SEVMIG_PHASE_BULK;

    if (self->phase == SEVMIG_PHASE_DETECTED || self->phase == SEVMIG_PHASE_BULK)
        sevmig_phase_move(&self->phase, to);
}

static void
decide(SevmigControl *self, SevmigActions *actions)
{
    sevmig_batch_decide(self);
    sevmig_sync_interval_decide(self);
    sevmig_deadline_decide(self, actions);
    if (self->ending != SEVMIG_ENDING_NOT || self->held)
        return;
    if (!self->pause.on) {
        sevmig_throttle_decide(self);
        sevmig_stall_decide(self, actions);
    }
    if (self->ending == SEVMIG_ENDING_NOT)
        sevmig_switchover_decide(self, actions);
}

static void
on_sample(SevmigControl *self, const SevmigEvent *event, SevmigActions *actions)
{
    int64_t before_us = self->intake.from_us;
    SevmigIntakeVerdict verdict = sevmig_intake_take(&self->intake, event->now_us, event->sample);

    if (verdict == SEVMIG_INTAKE_IMPOSSIBLE) {
        if (self->intake.impossible_in_a_row == 1)
            note(self, actions, "impossible sample, ignoring", self->intake.problem);
        return;
    }
    if (self->missed >= MISSED_MOST)
        self->throttle.due = true;
    self->missed = 0;
    if (verdict != SEVMIG_INTAKE_BRIEF &&
        !sevmig_vcpus_learn(&self->vcpus, event->sample,
                            verdict == SEVMIG_INTAKE_OK && !self->pause.on && !event->sample->paused
                                ? (double)(event->now_us - before_us)
                                : 0))
        note(self, actions, "impossible vCPU times, ignoring", NULL);
    if (self->vcpus.throttle_percent > self->throttle.max_percent)
        self->throttle.max_percent = self->vcpus.throttle_percent;
    sevmig_knobs_check(&self->knobs, event->sample);
    if (self->held || (self->turn_us > 0 && before_us < self->turn_us + TURN_ARRIVES_US))
        self->intake.sent.busy = false; /* that time was not spent on pages */
    sevmig_firmware_learn(&self->firmware, &self->intake.sent);
    if (self->vcpus.throttle_percent > 0 || self->pause.on || !self->vcpus.known)
        sevmig_lull_interrupt(&self->lull);
    else if (verdict == SEVMIG_INTAKE_OK)
        sevmig_lull_learn(&self->lull, event->now_us, self->vcpus.running);
    sevmig_outlook_count(self);
    sevmig_outlook_learn_sync(self, actions);
    sevmig_outlook_update(self);
    sevmig_pause_watch(self, actions);
    if (!self->outlook.known || self->ending == SEVMIG_ENDING_QEMU)
        return;
    advance_phase(self);
    if (self->ending == SEVMIG_ENDING_NOT)
        decide(self, actions);
}

static void
on_missed(SevmigControl *self, SevmigActions *actions)
{
    if (++self->missed != MISSED_MOST)
        return;
    note(self, actions, "no statistics for several ticks: the throttle is released", NULL);
    sevmig_pause_end(self, "nobody sees whether data moves");
    if (self->throttle.wanted_percent > 0)
        sevmig_throttle_want(self, 0, "its effect cannot be seen");
}

static void
on_lease_expired(SevmigControl *self, SevmigActions *actions)
{
    note(self, actions, "the lease ran out: everything is told again", NULL);
    sevmig_knobs_forget(&self->knobs);
}

static void
on_release(SevmigControl *self)
{
    sevmig_phase_move(&self->phase, SEVMIG_PHASE_RELEASED);
    let_loose(self, "control is given up");
}

static void
on_completed(SevmigControl *self, const SevmigEvent *event)
{
    if (event->sample && event->sample->has_switchover)
        self->downtime_us = event->sample->switchover_downtime_us;
    sevmig_phase_move(&self->phase, SEVMIG_PHASE_DONE);
}

static void
dispatch(SevmigControl *self, const SevmigEvent *event, SevmigActions *actions)
{
    switch (event->type) {
    case SEVMIG_EVENT_START:
        on_start(self, event, actions);
        break;
    case SEVMIG_EVENT_SAMPLE:
        if (event->sample)
            on_sample(self, event, actions);
        else
            on_missed(self, actions);
        break;
    case SEVMIG_EVENT_SAMPLE_MISSED:
        on_missed(self, actions);
        break;
    case SEVMIG_EVENT_LEASE_EXPIRED:
        on_lease_expired(self, actions);
        break;
    case SEVMIG_EVENT_POLICY:
        on_policy(self, event, actions);
        break;
    case SEVMIG_EVENT_TURN:
        on_turn(self, event, actions);
        break;
    case SEVMIG_EVENT_SWITCHOVER:
        self->ending = SEVMIG_ENDING_QEMU;
        sevmig_outlook_stopped(self);
        sevmig_phase_move(&self->phase, SEVMIG_PHASE_SWITCHOVER);
        break;
    case SEVMIG_EVENT_COMPLETED:
        on_completed(self, event);
        break;
    case SEVMIG_EVENT_FAILED:
        sevmig_phase_move(&self->phase, SEVMIG_PHASE_FAILED);
        break;
    case SEVMIG_EVENT_CANCELLED:
        sevmig_phase_move(&self->phase, SEVMIG_PHASE_CANCELLED);
        break;
    case SEVMIG_EVENT_RELEASE:
        on_release(self);
        break;
    case SEVMIG_EVENT_COUNT:
        break;
    }
}

/*
 * The step
 */

/* QEMU resets its values when a migration ends and refuses tunes then: nothing is told afterwards,
 * except on release, when the migration goes on without us. */
static bool
may_tell(const SevmigControl *self, const SevmigEvent *event)
{
    if (self->phase == SEVMIG_PHASE_RELEASED)
        return event->type == SEVMIG_EVENT_RELEASE;
    return !sevmig_phase_is_final(self->phase) && self->ending != SEVMIG_ENDING_QEMU;
}

/* The call that takes actions to QEMU brings the next sample: it should be soon, but a law that
 * changes its mind at every sample must not call for ever. Likewise where a goal was relaxed: what
 * is left may be little enough for it already. */
static int64_t
next_wake_us(SevmigControl *self, bool told)
{
    if (sevmig_phase_is_final(self->phase) || self->ending == SEVMIG_ENDING_QEMU)
        return 0; /* a poll while the guest is stopped would be downtime */
    if (!self->intake.valid && self->missed == 0)
        return self->now_us > 0 ? self->now_us : 1; /* the first sample at once */
    self->hurried = told && !self->hurried && sevmig_law_has(self, SEVMIG_PART_HURRY);
    if (self->hurried)
        return self->now_us + SOON_US;
    return self->now_us + (self->held ? HELD_TICK_US : TICK_US);
}

SevmigPhase
sevmig_control_step(SevmigControl *self, const SevmigEvent *event, SevmigActions *actions)
{
    const char *broken;
    unsigned relaxed = self->stall.relaxed;
    bool released = false;
    size_t before;

    actions->n = 0;
    actions->wake_us = 0;
    if (sevmig_phase_is_final(self->phase)) {
        if (self->afterwards++ == 0)
            note(self, actions, "event after the end, ignoring", sevmig_event_name(event->type));
        return self->phase;
    }
    if (event->now_us < self->now_us)
        note(self, actions, "time went back, ignoring", NULL);
    else
        self->now_us = event->now_us;
    dispatch(self, event, actions);
    broken = sevmig_control_invariant(self);
    if (broken) { /* a bug of ours must not cost the guest: let everything loose */
        note(self, actions, "internal error, control is given up", broken);
        released = true;
        on_release(self);
    }
    before = actions->n;
    if (may_tell(self, event) || released)
        sevmig_knobs_tell(&self->knobs, actions, self->vcpus.cpu_index, self->vcpus.n);
    actions->wake_us = next_wake_us(self, actions->n > before || self->stall.relaxed != relaxed);
    return self->phase;
}

const char *
sevmig_control_invariant(const SevmigControl *self)
{
    int64_t percent = self->throttle.wanted_percent;
    int64_t slice = sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_SLICE, 0);
    int64_t hold = sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_SWITCHOVER, -1);

    if ((unsigned)self->phase >= SEVMIG_PHASE_COUNT)
        return "phase out of range";
    if (percent > self->params.throttle_ceiling_percent ||
        sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_THROTTLE, 0) > percent)
        return "throttle above the ceiling";
    if (percent > 0 && slice * percent / (100 - percent) > (int64_t)self->params.stun_us)
        return "a vCPU may be stopped for longer than the policy's stun";
    if (percent > 0 && self->held)
        return "throttled although it is held";
    if (percent > 0 && self->params.throttle_mode == SEVMIG_THROTTLE_QEMU)
        return "throttle that was to be left to QEMU";
    if (self->phase == SEVMIG_PHASE_SWITCHOVER && self->ending == SEVMIG_ENDING_NOT &&
        hold == SEVMIG_SWITCHOVER_HOLD)
        return "switchover held after it was let go";
    if (self->goal_us > self->relax_max_us)
        return "downtime goal relaxed beyond its maximum";
    return NULL;
}

void
sevmig_control_view(const SevmigControl *self, SevmigView *view)
{
    const SevmigOutlook *o = &self->outlook;
    const SevmigSample *last = &self->intake.last;
    bool final = sevmig_phase_is_final(self->phase);

    memset(view, 0, sizeof(*view));
    view->phase = self->phase;
    view->pass = last->pass;
    view->remaining_pages = last->remaining_pages;
    view->dirty_pages_per_s = o->dirty_pages_per_s;
    view->encrypt_pages_per_s = self->intake.rate_pages_per_s;
    view->batch_pages = last->batch_pages;
    view->throttle_percent = final ? 0 : self->vcpus.throttle_percent;
    view->max_throttle_percent = self->throttle.max_percent;
    view->downtime_goal_us = self->goal_us;
    view->guest_lost_us = (uint64_t)self->vcpus.lost_us + self->downtime_us;
    if (!final && sevmig_pause_still(self))
        view->still_us = (uint64_t)(self->now_us - self->pause.moved_us);
    if (!final && self->pause.on)
        view->paused_us = (uint64_t)(self->now_us - self->pause.since_us + 1);
    if (o->known && !final) {
        view->predicted_downtime_us = (uint64_t)fmin(o->downtime_us, 1e15);
        view->eta_us = (uint64_t)fmin(sevmig_outlook_eta_us(self), 1e15);
    }
}
