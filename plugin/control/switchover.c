/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * switchover.c - when QEMU may stop the guest
 *
 * QEMU stops when what remains, right after a bitmap sync, is below bandwidth x downtime limit. Its
 * bandwidth is the mean of the last 100 ms, which says nothing about the last pass: so it is held
 * until our prediction allows it, and then given the limit that means our allowed remainder at its
 * bandwidth. While it is held the limit is the least there is: below it a QEMU that went by the
 * limit alone would sync at every turn. The patched one does not, whatever the limit.
 */
#include "law.h"

#include <math.h>

#define LIMIT_LEAST_US 1000
#define LIMIT_MOST_US 2000000000
#define LIMIT_SLACK 0.93  /* QEMU's bandwidth jitters: do not refuse what is meant to pass */
#define LIMIT_CHANGED 1.1 /* a limit in force moves only by more than this */
#define DOUBT 0.5
#define REFUSED_MOST 3
#define AIM_AT_LAST 0.95
#define CAUTION_SCORE 4  /* of stall: as many as are one */
#define TOO_MUCH 1.1     /* after letting go: so much over the allowed takes it back */
#define PATIENCE_TICKS 8 /* let go, and QEMU still has not stopped the guest */

#define FORCE_US 200000 /* two ticks: one to decide, one to act */

#define SYNC_SPARED 250       /* so many times what a sync takes: 0.4 % of the time */
#define SYNC_LEAST_US 1000000 /* shorter passes end with a sync of their own soon enough */
#define SYNC_MOST_US 60000000
#define SYNCS_PER_PASS 8
#define SYNC_HELD_US 2000000
#define SYNC_STEP_US 50000
#define SYNC_ENDS 1.25 /* intervals before its end a pass is left to end with a sync of its own */

#define WORTH_WAITING 0.5 /* less downtime for the time that it takes */
#define WAIT_SHARE 0.15   /* of the goal, or of a pass: less is not worth the risk */
#define WAIT_GOALS 1      /* so many times the goal: by then what is left has been sent */

#define COUNT_SHARE 0.15 /* of the downtime: less is not worth a tick */
#define COUNT_TICKS 5    /* then it is told by QEMU, which counts before it stops */

/* How often syncs may be asked for. */
static double
sync_least_us(const SevmigControl *self)
{
    return fmin(SYNC_MOST_US, fmax(SYNC_STEP_US, SYNC_SPARED * sevmig_outlook_sync_us(self)));
}

static int
ms(double us)
{
    return (int)fmin(1e9, us / 1000 + 0.5);
}

/* The limit by which QEMU, at its own bandwidth, allows the pages that the goal allows: more than
 * we aim at, for it is the net below our prediction, not a second opinion on it. */
static int64_t
matched_limit_us(const SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;
    double page_bytes = s->page_size_bytes > 0 ? s->page_size_bytes : 4096;
    double bandwidth = fmin(self->intake.bytes_per_us, self->intake.newest_bytes_per_us);
    double limit = LIMIT_SLACK * self->outlook.most_pages * page_bytes /
                   fmax(bandwidth, page_bytes / self->outlook.plant.page_us / 4);

    return (int64_t)fmin(LIMIT_MOST_US, fmax(LIMIT_LEAST_US, limit));
}

static void
want_limit(SevmigControl *self)
{
    int64_t limit = matched_limit_us(self);
    int64_t last = sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_DOWNTIME_LIMIT, 0);

    if (last > LIMIT_LEAST_US && (double)limit < LIMIT_CHANGED * (double)last &&
        (double)last < LIMIT_CHANGED * (double)limit)
        return;
    sevmig_knobs_want(
        &self->knobs, SEVMIG_KNOB_DOWNTIME_LIMIT, limit,
        "the goal of %d ms, less %d ms that are not memory, allows %d pages; at QEMU's "
        "bandwidth that is %d ms",
        ms((double)self->goal_us), ms(self->outlook.plant.fixed_us), (int)self->outlook.most_pages,
        ms((double)limit));
}

static void
hold(SevmigControl *self)
{
    self->let_go_ticks = 0;
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_DOWNTIME_LIMIT, LIMIT_LEAST_US,
                      "held: no sync at every turn of QEMU");
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_HOLD,
                      "hold: stopping now would take %d ms, the goal is %d ms",
                      ms(self->outlook.downtime_us), ms((double)self->goal_us));
}

static void
let_go(SevmigControl *self)
{
    want_limit(self);
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_AUTO,
                      "let go: about %d of %d allowed pages left, predicted downtime %d ms",
                      (int)self->outlook.ahead_pages, (int)self->outlook.most_pages,
                      ms(self->outlook.downtime_us));
}

/* Where duration ranks before downtime, the last moment from which it can still be kept. */
static bool
duration_forces(const SevmigControl *self)
{
    /* A pause can be taken back, a stop-and-copy cannot. */
    if (sevmig_pause_still(self) ||
        (self->params.on_deadline == SEVMIG_ON_DEADLINE_PAUSE && self->intake.last.can_pause))
        return false;
    return self->params.duration_goal_us > 0 && self->intake.late &&
           sevmig_law_outranks(self, SEVMIG_GOAL_DURATION, SEVMIG_GOAL_DOWNTIME) &&
           sevmig_law_time_left_us(self) <= self->outlook.downtime_us + FORCE_US;
}

/* Let go already: did QEMU find too much, or does it hesitate? */
static void
watch_let_go(SevmigControl *self, SevmigActions *actions)
{
    const SevmigOutlook *o = &self->outlook;

    if (self->intake.new_sync &&
        (double)self->intake.last.remaining_pages > TOO_MUCH * o->most_pages) {
        self->stall.refused++;
        sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0,
                         "not stopped: %d pages were left, %d are allowed",
                         (int)self->intake.last.remaining_pages, (int)o->most_pages);
        if (sevmig_phase_move(&self->phase, SEVMIG_PHASE_CONVERGING) && !self->stall.exhausted)
            hold(self);
        return;
    }
    want_limit(self);
    if (++self->let_go_ticks < PATIENCE_TICKS)
        return;
    if (o->downtime_us <= (double)self->goal_us) {
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_NOW,
                          "now: %d pages left, %d allowed, and QEMU has not stopped for %d ticks",
                          (int)o->ahead_pages, (int)o->most_pages, PATIENCE_TICKS);
    } else if (sevmig_phase_move(&self->phase, SEVMIG_PHASE_CONVERGING) && !self->stall.exhausted) {
        /* Below the limit QEMU syncs at every turn, so what a turn sends is dirtied again and the
         * pass never ends: only a held pass to its end shows how little can be left. */
        hold(self);
    }
}

/* What was dirtied since the newest sync is an estimate. While waiting wins something, more is
 * reckoned with; when it no longer does, it is left to QEMU, which counts before it stops. */
static bool
may_go(const SevmigControl *self)
{
    const SevmigOutlook *o = &self->outlook;
    bool tried = self->stall.refused >= REFUSED_MOST; /* QEMU has counted often enough */
    double caution = tried ? 1 : fmax(0, 1 - self->stall.score / CAUTION_SCORE);
    double aim = AIM_AT_LAST - (AIM_AT_LAST - SEVMIG_AIM) * caution;

    return sevmig_dirty_known(&self->dirty) &&
           o->downtime_us + (DOUBT * caution - (1 - caution)) * o->dirtied_us <=
               aim * (double)self->goal_us;
}

/* What the guest dirtied since the newest sync is a guess, and so is then the downtime that is
 * promised: where it is much, it is counted first. Not while stalled: each count lets more of the
 * pages that are sent be dirtied again before the pass is over. */
static bool
wants_count(SevmigControl *self)
{
    double since_us = (double)(self->now_us - self->intake.sync_at_us);
    bool wants = self->outlook.dirtied_us > COUNT_SHARE * self->outlook.downtime_us &&
                 since_us >= sync_least_us(self) && self->stall.score < 1 &&
                 self->counting < COUNT_TICKS && sevmig_law_has(self, SEVMIG_PART_SYNCS);

    self->counting = wants ? self->counting + 1 : 0;
    return wants;
}

/* What it costs if a chance to stop passes: one more pass, like this one; after the first over what
 * was dirtied in that. */
static double
another_pass_us(const SevmigControl *self)
{
    double pages = self->intake.late ? (double)self->dirt.first_remaining : self->dirt.pages;

    return pages * sevmig_predict_page_us(&self->outlook.plant, pages);
}

/* Put off for a microsecond, the stop is shorter by what is sent meanwhile, less what is dirtied
 * anew, r, which is sent later. So while r is small the guest is not stopped for as long as the
 * goal allows. Not for long: a chance to stop may pass. */
static bool
waiting_wins(SevmigControl *self)
{
    const SevmigOutlook *o = &self->outlook;
    double risk_us = fmin((double)self->goal_us, another_pass_us(self));
    double lost = self->vcpus.throttle_percent / 100.0;
    double gain = 1 - (1 + SEVMIG_TIME_WORTH) * o->regrowth - lost;
    double left_us = o->downtime_us - o->plant.fixed_us - o->dirtied_us; /* of this pass */

    if (self->could_stop_us == 0)
        self->could_stop_us = self->now_us;
    return gain > WORTH_WAITING && left_us > WAIT_SHARE * risk_us && self->stall.score < 1 &&
           self->now_us - self->could_stop_us < (int64_t)(WAIT_GOALS * (double)self->goal_us);
}

/* Steered: hold, let go, watch. */
static void
decide(SevmigControl *self, SevmigActions *actions)
{
    if (self->pause.on) {
        let_go(self); /* the sooner the better, and QEMU counts what is left */
    } else if (duration_forces(self)) {
        sevmig_phase_move(&self->phase, SEVMIG_PHASE_SWITCHOVER);
        sevmig_knobs_want(
            &self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_NOW,
            "now: the duration goal ranks first and leaves %d ms, stopping takes %d ms",
            ms(fmax(0, sevmig_law_time_left_us(self))), ms(self->outlook.downtime_us));
    } else if (self->phase == SEVMIG_PHASE_SWITCHOVER) {
        watch_let_go(self, actions);
    } else if (!may_go(self)) {
        self->could_stop_us = 0;
        self->counting = 0;
        if (self->stall.exhausted)
            let_go(self); /* never hold for ever: QEMU takes the first chance the goal allows */
        else
            hold(self);
    } else if (waiting_wins(self) || wants_count(self)) {
        hold(self);
    } else {
        sevmig_phase_move(&self->phase, SEVMIG_PHASE_SWITCHOVER);
        self->let_go_ticks = 0;
        let_go(self);
    }
}

void
sevmig_switchover_decide(SevmigControl *self, SevmigActions *actions)
{
    if (self->params.throttle_mode == SEVMIG_THROTTLE_QEMU) {
        /* A lease would make auto-converge stand aside, and switchover needs one: leave both. */
        if (self->params.downtime_goal_us > 0)
            want_limit(self);
        return;
    }
    if (!sevmig_law_has(self, SEVMIG_PART_STOP)) {
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_DOWNTIME_LIMIT, (int64_t)self->goal_us,
                          "the goal of %d ms", ms((double)self->goal_us));
        return;
    }
    decide(self, actions);
}

/* What a guest dirties while it is held is in the bitmap already, most of it. A sync at the end of
 * the pass would find it all, and it would be sent again: syncs before its turn leave that one
 * little. */
static void
sync_while_held(SevmigControl *self)
{
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SYNC_INTERVAL,
                      (int64_t)fmax(SYNC_HELD_US, sync_least_us(self)),
                      "held: what it dirties before its turn need not be found later");
}

/* In a pass, for two reasons: dirty counts arrive only at syncs; and what is written before it is
 * sent need not be sent again, if a sync forgets the former. */
static double
interval_in_pass_us(const SevmigControl *self, double pass_us)
{
    double least = fmax(SYNC_LEAST_US, sync_least_us(self)), interval;

    if (pass_us < 2 * least)
        return 0;
    interval = fmin(SYNC_MOST_US, fmax(least, pass_us / SYNCS_PER_PASS));
    return floor(interval / SYNC_STEP_US) * SYNC_STEP_US;
}

void
sevmig_sync_interval_decide(SevmigControl *self)
{
    double pass_us = self->outlook.pass_us;
    double last = (double)sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_SYNC_INTERVAL, 0);
    double interval;

    if (self->params.throttle_mode == SEVMIG_THROTTLE_QEMU)
        return; /* auto-converge counts syncs: more of them would make it another one */
    if (self->held) {
        sync_while_held(self);
        return;
    }
    if (!sevmig_law_has(self, SEVMIG_PART_SYNCS))
        return;
    if (self->counting > 0 && !self->intake.new_sync) {
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SYNC_INTERVAL, (int64_t)sync_least_us(self),
                          "what was dirtied is counted before the guest stops");
        return;
    }
    if (last > 0 && pass_us < SYNC_ENDS * last) {
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SYNC_INTERVAL, 0,
                          "this pass ends in about %d ms: its own sync shows the rest",
                          ms(pass_us));
        return;
    }
    if (!self->firmware.learnt || !(self->intake.new_pass || self->intake.new_sync || last == 0))
        return;
    interval = interval_in_pass_us(self, pass_us);
    if (interval == last || (interval < 1.5 * last && last < 1.5 * interval))
        return;
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SYNC_INTERVAL, (int64_t)interval,
                      interval > 0
                          ? "this pass takes about %d ms: %d syncs in it save what is written twice"
                          : "this pass takes about %d ms: one sync at its end is enough",
                      ms(pass_us), SYNCS_PER_PASS);
}
