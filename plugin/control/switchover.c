/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * switchover.c - when QEMU may stop the guest
 *
 * QEMU stops when what remains, right after a bitmap sync, is below bandwidth x downtime limit. Its
 * bandwidth is the mean of the last 100 ms, which says nothing about the last pass: so it is held
 * until our prediction allows it, and then given the limit that means our allowed remainder at its
 * bandwidth. While it is held the limit is the least there is, because QEMU syncs at every turn
 * when it is below the limit, and sleeps between turns when it is below and held.
 */
#include "law.h"

#include <math.h>

#define LIMIT_LEAST_US 1000
#define LIMIT_MOST_US 2000000000
#define LIMIT_SLACK 1.05  /* QEMU's bandwidth jitters: do not refuse what is meant to pass */
#define LIMIT_CHANGED 1.1 /* a limit in force moves only by more than this */
#define TOO_MUCH 1.3      /* after letting go: so much over the allowed takes it back */
#define PATIENCE_TICKS 8  /* let go, and QEMU still has not stopped the guest */

#define SYNC_LEAST_US 10000000 /* shorter passes end with a sync of their own soon enough */
#define SYNC_US_PER_GIB 50000  /* a sync costs about 1 ms a GiB: 2 % of the time */
#define SYNC_MOST_US 60000000
#define SYNCS_PER_PASS 4
#define SYNC_STEP_US 50000
#define SYNC_ENDS 1.25 /* intervals before its end a pass is left to end with a sync of its own */

static int
ms(double us)
{
    return (int)fmin(1e9, us / 1000 + 0.5);
}

/* The limit by which QEMU, at its own bandwidth, allows the pages we allow. */
static int64_t
matched_limit_us(const SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;
    double page_bytes = s->page_size_bytes > 0 ? s->page_size_bytes : 4096;
    double bandwidth =
        fmax(self->intake.bytes_per_us, page_bytes / self->outlook.plant.page_us / 4);
    double limit = LIMIT_SLACK * self->outlook.plant.allowed_pages * page_bytes / bandwidth;

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
        ms((double)self->goal_us), ms(self->outlook.plant.fixed_us),
        (int)self->outlook.plant.allowed_pages, ms((double)limit));
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
    double pages = fmin(self->outlook.pending_pages, self->outlook.ahead_pages);

    want_limit(self);
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_AUTO,
                      "let go: about %d of %d allowed pages left, predicted downtime %d ms",
                      (int)pages, (int)self->outlook.plant.allowed_pages,
                      ms(sevmig_predict_downtime_us(&self->outlook.plant, pages)));
}

/* Where duration ranks before downtime, the last moment from which it can still be kept. */
static bool
duration_forces(const SevmigControl *self)
{
    return self->params.duration_goal_us > 0 && self->intake.late &&
           sevmig_law_outranks(self, SEVMIG_GOAL_DURATION, SEVMIG_GOAL_DOWNTIME) &&
           sevmig_law_time_left_us(self) <= self->outlook.downtime_us + 2 * self->intake.tick_us;
}

/* Let go already: did QEMU find too much, or does it hesitate? */
static void
watch_let_go(SevmigControl *self, SevmigActions *actions)
{
    const SevmigOutlook *o = &self->outlook;

    if (self->intake.new_sync &&
        (double)self->intake.last.remaining_pages > TOO_MUCH * o->plant.allowed_pages) {
        sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0,
                         "not stopped: %d pages were left, %d are allowed",
                         (int)self->intake.last.remaining_pages, (int)o->plant.allowed_pages);
        if (sevmig_phase_move(&self->phase, SEVMIG_PHASE_CONVERGING))
            hold(self);
        return;
    }
    want_limit(self);
    if (++self->let_go_ticks < PATIENCE_TICKS)
        return;
    if (o->pending_pages <= o->plant.allowed_pages) {
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_NOW,
                          "now: %d pages left, %d allowed, and QEMU has not stopped for %d ticks",
                          (int)o->pending_pages, (int)o->plant.allowed_pages, PATIENCE_TICKS);
    } else if (sevmig_phase_move(&self->phase, SEVMIG_PHASE_CONVERGING)) {
        /* Below the limit QEMU syncs at every turn, so what a turn sends is dirtied again and the
         * pass never ends: only a held pass to its end shows how little can be left. */
        hold(self);
    }
}

/* Steered: hold, let go, watch. */
static void
decide(SevmigControl *self, SevmigActions *actions)
{
    const SevmigOutlook *o = &self->outlook;
    /* Either now, as right after a sync, or when the action arrives. QEMU looks for itself. */
    bool may_go = sevmig_dirty_known(&self->dirty) &&
                  fmin(o->pending_pages, o->ahead_pages) <= o->plant.allowed_pages;

    if (duration_forces(self)) {
        sevmig_phase_move(&self->phase, SEVMIG_PHASE_SWITCHOVER);
        sevmig_knobs_want(
            &self->knobs, SEVMIG_KNOB_SWITCHOVER, SEVMIG_SWITCHOVER_NOW,
            "now: the duration goal ranks first and leaves %d ms, stopping takes %d ms",
            ms(fmax(0, sevmig_law_time_left_us(self))), ms(o->downtime_us));
    } else if (self->phase == SEVMIG_PHASE_SWITCHOVER) {
        watch_let_go(self, actions);
    } else if (may_go) {
        sevmig_phase_move(&self->phase, SEVMIG_PHASE_SWITCHOVER);
        self->let_go_ticks = 0;
        let_go(self);
    } else if (self->phase == SEVMIG_PHASE_STALLED && self->stall.exhausted) {
        let_go(self); /* never hold for ever: QEMU takes the first chance the goal allows */
    } else {
        hold(self);
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
    decide(self, actions);
}

/* Dirty counts arrive only at syncs: ask for some within a long pass, as far as they are cheap. */
void
sevmig_sync_interval_decide(SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;
    double gib = (double)(s->private_pages + s->shared_pages) * s->page_size_bytes / (1 << 30);
    double least = fmax(SYNC_LEAST_US, SYNC_US_PER_GIB * gib);
    double pass_us =
        (double)s->remaining_pages *
        (!self->intake.late ? self->outlook.bulk_page_us : self->outlook.plant.page_us);
    double last = (double)sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_SYNC_INTERVAL, 0);
    double interval = 0;

    if (self->params.throttle_mode == SEVMIG_THROTTLE_QEMU)
        return; /* auto-converge counts syncs: more of them would make it another one */
    if (last > 0 && pass_us < SYNC_ENDS * last) {
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SYNC_INTERVAL, 0,
                          "this pass ends in about %d ms: its own sync shows the rest",
                          ms(pass_us));
        return;
    }
    if (!self->firmware.learnt || !(self->intake.new_pass || self->intake.new_sync || last == 0))
        return;
    if (pass_us >= 2 * least)
        interval = fmin(SYNC_MOST_US, fmax(least, pass_us / SYNCS_PER_PASS));
    interval = floor(interval / SYNC_STEP_US) * SYNC_STEP_US;
    if (interval == last || (interval < 1.5 * last && last < 1.5 * interval))
        return;
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SYNC_INTERVAL, (int64_t)interval,
                      interval > 0
                          ? "this pass takes about %d ms: %d syncs in it show what is dirtied"
                          : "this pass takes about %d ms: one sync at its end is enough",
                      ms(pass_us), SYNCS_PER_PASS);
}
