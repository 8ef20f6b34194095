/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stall.c - when nothing that is allowed gets there: say so, and do what the policy says
 *
 * A sync is hopeless when the model finds no admissible throttle that reaches the goal, and the
 * remainder is in fact no smaller than before. Remainders are compared at syncs only: between them
 * they are a saw-tooth. Several hopeless syncs in a row, each at least half a pass after the one
 * before, are a stall. Without the model's verdict, many more without progress are one too.
 */
#include "law.h"

#include <math.h>

#define STALL_SCORE 4    /* hopeless syncs in a row */
#define STALL_AGAIN 2    /* then, between two relaxations */
#define DOUBT 0.34       /* what a sync without progress counts when the model has hope */
#define DISTRUST_STEP 10 /* percent of throttle, each time the model's promise is not kept */
#define PROGRESS 0.95    /* less than this share of the best remainder so far is progress */
#define COUNT_LEAST_US 300000
#define USELESS_FOR_US 60000000

#define RELAX_LEAST 1.25 /* a step of the downtime goal */
#define RELAX_MOST 2.0
#define RELAX_SPARE 1.1
#define RELAX_UNLIMITED_US                                                                         \
    2000000000 /* no goal was given, so no promise is broken; QEMU's own end */

static int
ms(double us)
{
    return (int)fmin(1e9, us / 1000 + 0.5);
}

void
sevmig_ending_abort(SevmigControl *self, SevmigActions *actions, const char *why)
{
    if (self->ending != SEVMIG_ENDING_NOT)
        return;
    self->ending = SEVMIG_ENDING_ABORTED;
    sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_ABORT, 0, "abort: %s", why);
    sevmig_throttle_want(self, 0, "the migration is given up");
}

/* What passes come down to: as is seen under the most that is allowed or has an effect, else as the
 * model has it. */
static double
floor_us(const SevmigControl *self)
{
    SevmigPlant plant = self->outlook.plant;
    unsigned percent = self->throttle.most_percent;
    SevmigPlan plan;

    if (percent <= self->throttle.useless_percent || percent <= self->vcpus.throttle_percent)
        return sevmig_predict_downtime_us(&plant, self->outlook.sync_pages);
    plant.allowed_pages = 0;
    sevmig_predict_plan(&plant, self->outlook.pending_pages, percent, &plan);
    return sevmig_predict_downtime_us(&plant, plan.last_pages);
}

/* One step up: to what can be kept, within a factor. */
static void
relax(SevmigControl *self, SevmigActions *actions)
{
    double goal = (double)self->goal_us;
    double next = RELAX_SPARE * floor_us(self) / SEVMIG_AIM;

    next = fmin(fmax(next, RELAX_LEAST * goal), RELAX_MOST * goal);
    next = fmin(next, (double)self->relax_max_us);
    if (next <= goal) {
        self->stall.exhausted = true;
        sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0,
                         "downtime goal stays %d ms: it may not be relaxed further", ms(goal));
        return;
    }
    self->goal_us = (uint64_t)next;
    self->stall.relaxed++;
    self->stall.refused = 0;
    self->stall.score = STALL_SCORE - STALL_AGAIN;
    self->throttle.due = true;
    sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, (int64_t)next,
                     "downtime goal relaxed %d -> %d ms (step %u): nothing allowed reaches it",
                     ms(goal), ms(next), self->stall.relaxed);
}

/* A pause that may not be leaves the policy's other word, or to go on. */
static void
pause_or_next(SevmigControl *self, SevmigActions *actions)
{
    bool too_long;

    if (sevmig_pause_begin(self, actions, "nothing allowed makes the remainder shrink"))
        return;
    too_long = self->pause.refusal == SEVMIG_PAUSE_TOO_LONG;
    self->stall.exhausted = too_long || self->pause.refusal == SEVMIG_PAUSE_UNKNOWN;
}

static void
act_on_stall(SevmigControl *self, SevmigActions *actions)
{
    switch (self->params.on_stall) {
    case SEVMIG_ON_STALL_CONTINUE:
        self->stall.exhausted = true;
        break;
    case SEVMIG_ON_STALL_RELAX:
        relax(self, actions);
        break;
    case SEVMIG_ON_STALL_PAUSE:
        pause_or_next(self, actions);
        break;
    case SEVMIG_ON_STALL_ABORT:
        sevmig_ending_abort(self, actions, "nothing allowed makes the remainder shrink");
        break;
    }
}

/* True for syncs far enough apart to compare. */
static bool
count_sync(SevmigControl *self, double pages)
{
    double apart = fmax(COUNT_LEAST_US, pages * self->outlook.plant.page_us / 2);

    if (!self->intake.new_sync || !self->intake.late ||
        (double)(self->now_us - self->stall.counted_at_us) < apart)
        return false;
    self->stall.counted_at_us = self->now_us;
    return true;
}

static void
update_score(SevmigControl *self, double pages)
{
    SevmigStall *stall = &self->stall;
    bool progress = stall->best_pages <= 0 || pages < PROGRESS * stall->best_pages;

    if (stall->best_pages <= 0 || pages < stall->best_pages)
        stall->best_pages = pages;
    if (progress) {
        stall->score = 0;
        self->throttle.distrust_percent /= 2;
        return;
    }
    stall->score += self->throttle.reaches || self->throttle.waits ? DOUBT : 1;
    if (self->throttle.reaches && self->throttle.distrust_percent < 100)
        self->throttle.distrust_percent += DISTRUST_STEP;
}

static void
leave_stall(SevmigControl *self, SevmigActions *actions)
{
    self->stall.exhausted = false;
    self->stall.best_pages = 0;
    self->stall.score = 0;
    if (sevmig_phase_move(&self->phase, SEVMIG_PHASE_CONVERGING))
        sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0,
                         "no longer stalled: %u %% throttle reaches the goal of %d ms",
                         self->throttle.least_percent, ms((double)self->goal_us));
}

/* Nothing more is to be done about the stall, so time taken from the guest buys nothing; it is
 * tried again later, as with any throttle that has shown no effect. */
static void
give_up_throttle(SevmigControl *self)
{
    self->stall.score = 0;
    if (self->now_us < self->throttle.useless_until_us)
        return; /* given up already: what is left alone proves nothing new */
    self->throttle.useless_percent = self->throttle.most_percent;
    self->throttle.useless_goal_us = self->goal_us;
    self->throttle.useless_until_us = self->now_us + USELESS_FOR_US;
    if (self->throttle.wanted_percent > 0)
        sevmig_throttle_want(self, 0, "it has not helped, and will be tried again in a minute");
}

static void
tell_goal(SevmigControl *self, SevmigActions *actions)
{
    if (self->stall.goal_told || self->outlook.plant.fixed_us < (double)self->goal_us)
        return;
    self->stall.goal_told = true;
    sevmig_knobs_act(
        &self->knobs, actions, SEVMIG_ACTION_NOTE, 0,
        "the downtime goal of %d ms is below what a switchover costs without any memory "
        "(%d ms)",
        ms((double)self->goal_us), ms(self->outlook.plant.fixed_us));
}

void
sevmig_stall_decide(SevmigControl *self, SevmigActions *actions)
{
    double pages = self->outlook.sync_pages;

    if (self->phase != SEVMIG_PHASE_CONVERGING && self->phase != SEVMIG_PHASE_STALLED)
        return;
    tell_goal(self, actions);
    if (!count_sync(self, pages))
        return;
    update_score(self, pages);
    if (self->phase == SEVMIG_PHASE_STALLED && self->throttle.reaches && self->stall.score < 1) {
        leave_stall(self, actions);
        return;
    }
    if (self->stall.score < STALL_SCORE)
        return;
    if (self->stall.exhausted) {
        if (self->params.on_stall == SEVMIG_ON_STALL_PAUSE)
            pause_or_next(self, actions);
        if (!self->pause.on)
            give_up_throttle(self);
        return;
    }
    if (sevmig_phase_allows(self->phase, SEVMIG_PHASE_STALLED) &&
        self->phase != SEVMIG_PHASE_STALLED) {
        self->phase = SEVMIG_PHASE_STALLED;
        sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0,
                         "stalled: %d pages remain at each sync, %d are allowed, at %u %% of %u %% "
                         "throttle",
                         (int)pages, (int)self->outlook.plant.allowed_pages,
                         self->vcpus.throttle_percent, self->throttle.most_percent);
    }
    act_on_stall(self, actions);
}

/* A pause that ends in time needs what is left to be sent; in the first pass that is too long to
 * take on prediction alone. */
static bool
is_time_to_pause(const SevmigControl *self)
{
    bool late_pass = self->phase == SEVMIG_PHASE_CONVERGING || self->phase == SEVMIG_PHASE_STALLED;

    return sevmig_law_time_left_us(self) <= (late_pass ? self->outlook.downtime_us : 0);
}

void
sevmig_deadline_decide(SevmigControl *self, SevmigActions *actions)
{
    SevmigOnDeadline word = self->params.on_deadline;

    if (self->ending != SEVMIG_ENDING_NOT || self->pause.on)
        return;
    if (word == SEVMIG_ON_DEADLINE_PAUSE && is_time_to_pause(self) &&
        sevmig_pause_begin(self, actions, "the duration goal cannot be kept otherwise"))
        return;
    if (sevmig_law_time_left_us(self) > 0)
        return;
    if (word == SEVMIG_ON_DEADLINE_ABORT ||
        (word == SEVMIG_ON_DEADLINE_PAUSE && self->params.on_stall == SEVMIG_ON_STALL_ABORT))
        sevmig_ending_abort(self, actions, "the duration goal is missed");
    else if (!self->stall.deadline_told)
        sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0,
                         "the duration goal of %d s is missed; the migration goes on",
                         (int)(self->params.duration_goal_us / 1000000));
    self->stall.deadline_told = true;
}
