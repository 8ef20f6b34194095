/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* outlook.c - from the estimators to what is to be expected */
#include "law.h"

#include <math.h>

/* What a switchover costs besides memory. Prior for QEMU's part (stopping the vCPUs, device state,
 * the firmware's finish): measured 5 to 60 ms with emulated guests on a busy host, median 10. And
 * what only a client sees (libvirt's part, the first instructions on the other side): measured 20
 * ms. */
#define FIXED_PRIOR_US 20000
#define OUTSIDE_US 20000

#define ALLOWED_LEAST 8 /* pages; below this the goal is the fixed cost's problem, not memory's */
#define SHORTEST_SYNC_US 20000 /* shorter intervals measure scheduling, not the guest */
#define EXPOSED_LEAST 0.1      /* share of memory that could be seen to be dirtied */
/* An action decided now reaches QEMU with the next call, which is soon, and takes effect at the end
 * of one of its turns of 50 ms. */
#define CALL_US 20000
#define TURN_US 25000
#define SETTLED_US 500000
#define REGROWTH_US 100000 /* a tick */

/* Before, QEMU has not counted the guest's memory. */
static bool
is_known(const SevmigSample *s)
{
    return s->private_pages + s->shared_pages > 0 && s->pass > 0;
}

/* The longest stop of a vCPU by the throttle. */
static double
stop_us(const SevmigControl *self)
{
    double percent = self->throttle.wanted_percent;

    return (double)sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_SLICE, 0) * percent /
           (100 - percent);
}

double
sevmig_outlook_sync_us(const SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;
    double bytes = (double)(s->private_pages + s->shared_pages) * s->page_size_bytes;

    return SEVMIG_SYNC_US_PER_GIB * bytes / (1 << 30);
}

/* Learnt of the host or not, it does not have the last sync: QEMU counts that as memory. */
static double
fixed_us(const SevmigControl *self, double batch, double page_us)
{
    double fixed = self->params.fixed_downtime_us > 0 ? (double)self->params.fixed_downtime_us
                                                      : FIXED_PRIOR_US;

    /* The destination decrypts one submission behind, and the guest runs there only after it: the
     * last one, half full on average. And the switchover may find a throttled vCPU in one of its
     * stops, on average half-way. */
    return fixed + OUTSIDE_US + sevmig_outlook_sync_us(self) + batch / 2 * page_us +
           self->throttle.wanted_percent / 100.0 * stop_us(self) / 2;
}

/* Newly dirtied pages that were clean; those still to be sent anyway cost nothing more. */
static double
dirtied_since_sync(const SevmigControl *self, double later_us)
{
    const SevmigSample *s = &self->intake.last;
    double all = (double)(s->private_pages + s->shared_pages);
    unsigned percent = self->vcpus.throttle_percent;
    double running = self->vcpus.known && percent == 0
                         ? self->vcpus.running
                         : sevmig_vcpus_running(&self->vcpus, percent);

    return sevmig_dirty_pages(&self->dirty, self->dirt.since_sync_us + later_us * running) *
           fmax(0, 1 - (double)s->remaining_pages / all);
}

double
sevmig_outlook_eta_us(const SevmigControl *self)
{
    const SevmigOutlook *o = &self->outlook;
    unsigned percent = self->vcpus.throttle_percent;
    SevmigPlan plan;
    double pages = o->pending_pages, first_us = 0;

    if (!self->intake.valid || !sevmig_dirty_known(&self->dirty))
        return !self->intake.late ? pages * o->bulk_page_us : 0;
    if (!self->intake.late) { /* the rest of the first pass runs at the bulk rate */
        first_us = o->pass_us;
        pages = sevmig_dirty_pages(&self->dirty, first_us * sevmig_vcpus_running(&self->vcpus, 0));
    }
    sevmig_predict_plan(&o->plant, pages, percent, &plan);
    return plan.reaches ? first_us + plan.total_us : 0;
}

/* Guest time since the newest sync: what it has dirtied by now was partly done before a throttle.
 */
void
sevmig_outlook_count(SevmigControl *self)
{
    const SevmigIntake *intake = &self->intake;
    double running = sevmig_vcpus_running(&self->vcpus, self->vcpus.throttle_percent);
    SevmigPassDirt *dirt = &self->dirt;
    double wall_us = fmin(intake->wall_us, (double)(self->now_us - dirt->until_us));

    if (intake->new_sync) {
        double after_us = fmin(wall_us, fmax(0, (double)(self->now_us - intake->sync_at_us)));

        dirt->sync_guest_us = dirt->since_sync_us + (wall_us - after_us) * running;
        dirt->since_sync_us = after_us * running;
    } else if (wall_us == intake->sent.wall_us && self->vcpus.known && !self->vcpus.has_rate) {
        dirt->since_sync_us += self->vcpus.used_us;
    } else {
        dirt->since_sync_us += wall_us * running;
    }
    dirt->until_us = self->now_us;
}

static uint64_t
sweep_left(const SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;
    const SevmigSweep *sweep = &self->sweep;
    uint64_t sent = s->pages - sweep->sent;
    uint64_t left = sweep->pages - (sent < sweep->pages ? sent : sweep->pages);

    return left < s->remaining_pages ? left : s->remaining_pages;
}

static void
count_sweep(SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;
    bool first = self->sweep.since_us == 0;

    if (!first && s->pages >= self->sweep.sent && sweep_left(self) > 0)
        return;
    self->sweep = (SevmigSweep){self->now_us, first, s->pages, s->remaining_pages};
}

/* If the guest stops so long after the newest sample. What is left of a sweep lies as that does
 * which it has sent, once that is enough to tell; what it has found behind itself, and what was
 * dirtied since the newest sync, lies scattered. */
static void
foresee_stop(SevmigControl *self, double lag_us)
{
    const SevmigSample *s = &self->intake.last;
    SevmigOutlook *o = &self->outlook;
    double batch = (double)sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_BATCH, s->batch_pages);
    double remaining = (double)s->remaining_pages, swept = (double)sweep_left(self);
    double late_us = sevmig_predict_page_us(&o->plant, remaining);
    bool settled = self->sweep.first || self->now_us - self->sweep.since_us >= SETTLED_US;
    double page_us = settled ? o->bulk_page_us : late_us;
    double dirtied = dirtied_since_sync(self, lag_us), ahead_us, sent, stop;

    o->pass_us = swept * page_us + (remaining - swept) * late_us;
    /* A submission under way is among what remains, and half done on average. */
    sent = fmin(remaining, lag_us / (swept > 0 ? page_us : late_us) + batch / 2);
    swept = fmax(0, swept - sent);
    o->ahead_pages = remaining - sent + dirtied;
    o->dirtied_us = dirtied * o->plant.page_us;
    o->regrowth =
        (dirtied_since_sync(self, lag_us + REGROWTH_US) - dirtied) * o->plant.page_us / REGROWTH_US;
    ahead_us = swept * page_us + (remaining - sent - swept) * late_us + o->dirtied_us;
    o->downtime_us = o->plant.fixed_us + ahead_us;
    /* Half a stop of a throttled vCPU is reckoned with already. The switchover may find it at its
     * beginning; once QEMU has found too much for that, in five cases of six is sure enough. */
    stop = stop_us(self) / (self->stall.refused > 0 ? 3 : 2);
    o->most_pages = ((double)self->goal_us - o->plant.fixed_us - stop) /
                    (ahead_us > 0 ? ahead_us / o->ahead_pages : o->plant.page_us);
    o->most_pages = fmax(ALLOWED_LEAST, o->most_pages);
    /* The last submission holds no more than there is. */
    o->downtime_us -= fmax(0, batch / 2 - o->ahead_pages) * o->plant.page_us;
}

void
sevmig_outlook_update(SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;
    SevmigOutlook *o = &self->outlook;
    double batch = (double)sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_BATCH, s->batch_pages);
    double shape = sevmig_firmware_late_commands_per_page(&self->firmware, s->max_command_pages);
    double sparse = fmax(
        shape, sevmig_firmware_sparse_commands_per_page(&self->firmware, s->max_command_pages));
    double page_us, lag_us;

    if (!sevmig_law_has(self, SEVMIG_PART_PRICE))
        shape = sparse = self->firmware.commands_per_page;
    /* The set that is left at the end is sparser than the one seen, so its runs are shorter. */
    o->plant.dense_us = sevmig_firmware_page_us(&self->firmware, batch, shape);
    if (self->now_us - self->intake.sync_at_us >= SETTLED_US)
        o->plant.dense_pages = o->sync_pages;
    if (o->plant.allowed_pages > 0 && o->plant.dense_pages > o->plant.allowed_pages)
        shape = sparse - (sparse - shape) *
                             pow(o->plant.allowed_pages / o->plant.dense_pages, SEVMIG_SPARSER);
    page_us = sevmig_firmware_page_us(&self->firmware, batch, shape);
    o->known = is_known(s);
    if (!o->known)
        return;
    o->plant.dirty = &self->dirty;
    o->plant.vcpus = &self->vcpus;
    o->plant.page_us = page_us;
    o->plant.fixed_us = fixed_us(self, batch, page_us);
    o->plant.allowed_pages =
        fmax(ALLOWED_LEAST, (SEVMIG_AIM * (double)self->goal_us - o->plant.fixed_us) / page_us);
    o->bulk_page_us =
        sevmig_firmware_page_us(&self->firmware, batch, self->firmware.commands_per_page);
    if (self->intake.new_sync || o->sync_pages <= 0) /* what was sent since was there as well */
        o->sync_pages = (double)s->remaining_pages +
                        fmax(0, (double)(self->now_us - self->intake.sync_at_us)) / o->bulk_page_us;
    o->pending_pages = (double)s->remaining_pages + dirtied_since_sync(self, 0);
    count_sweep(self);
    /* The guest runs on while QEMU looks whether it may stop. */
    lag_us = TURN_US + sevmig_outlook_sync_us(self);
    foresee_stop(self, self->phase == SEVMIG_PHASE_SWITCHOVER ? lag_us : CALL_US + lag_us);
}

void
sevmig_outlook_stopped(SevmigControl *self)
{
    if (self->outlook.known)
        foresee_stop(self, (double)(self->now_us - self->intake.at_us));
}

/* Guest CPU time of the newest sync's interval, in the terms of c(p). */
static double
sync_guest_us(const SevmigControl *self, double wall_us)
{
    const SevmigSample *s = &self->intake.last;
    double most_us = wall_us * (self->vcpus.n > 0 ? (double)self->vcpus.n : 1);
    unsigned percent = self->vcpus.throttle_percent;

    if (self->vcpus.has_rate && self->vcpus.known) /* c(p) is weighted by who dirties */
        return fmin(most_us, self->dirt.sync_guest_us);
    if (s->sync_guest_cpu_us > 0)
        return fmin(most_us, (double)s->sync_guest_cpu_us);
    if (self->vcpus.known)
        return wall_us * self->vcpus.running;
    return wall_us * sevmig_vcpus_running(&self->vcpus, percent);
}

static void
begin_pass(SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;

    self->dirt = (SevmigPassDirt){
        .since_sync_us = self->dirt.since_sync_us,
        .until_us = self->dirt.until_us,
        .sync_guest_us = self->dirt.sync_guest_us,
        .begun = true,
        .over = self->dirt.over,
        .first_sent = s->pages,
        .first_remaining = s->remaining_pages,
        .exposed_start =
            fmax(0, 1 - (double)s->remaining_pages / (double)(s->private_pages + s->shared_pages)),
    };
}

/* As much was sent as was there when the pass began: whatever QEMU counts, it is another one. */
static bool
pass_is_over(const SevmigControl *self)
{
    return self->intake.new_pass ||
           self->intake.last.pages - self->dirt.first_sent >= self->dirt.first_remaining;
}

/*
 * A sync counts only pages that were clean, so a page that is written again and again is found
 * once a pass: the syncs of one pass are summed, and their sum is the number of distinct pages.
 * Pages the pass has yet to send hide what happens to them; those sent were exposed since then. So
 * the sum is that of the share exposed by now, over the mean time that share was exposed.
 */
static void
learn_sync(SevmigControl *self, SevmigActions *actions)
{
    const SevmigSample *s = &self->intake.last;
    double all = (double)(s->private_pages + s->shared_pages);
    double wall_us = (double)s->sync_interval_measured_us;
    SevmigPassDirt *dirt = &self->dirt;
    double exposed, guest_us, pages;

    dirt->pages += (double)s->sync_dirtied_pages;
    dirt->wall_us += wall_us;
    dirt->guest_us += sync_guest_us(self, wall_us);
    exposed = 1 - fmax(0, (double)s->remaining_pages - dirt->pages) / all;
    if (dirt->wall_us < SHORTEST_SYNC_US || exposed < EXPOSED_LEAST)
        return;
    self->outlook.dirty_pages_per_s = dirt->pages * 1e6 / dirt->wall_us;
    sevmig_dirty_set_most(&self->dirty, all);
    guest_us = dirt->guest_us * fmin(1, (dirt->exposed_start + exposed) / 2 / exposed);
    pages = dirt->pages / exposed;
    if (dirt->exposed_start < EXPOSED_LEAST) /* all of one growing sum, scaled ever better: the
                                                newest replaces the rest */
        sevmig_dirty_forget(&self->dirty);
    /* What a later pass has yet to send is what the guest writes most: until the pass ends its sum
     * only shows that there is more than was known. */
    if (self->intake.late && !pass_is_over(self) &&
        pages <= sevmig_dirty_pages(&self->dirty, guest_us))
        return;
    sevmig_dirty_learn(&self->dirty, fmax(1, guest_us), pages);
    sevmig_throttle_observe(self, guest_us, dirt->wall_us, pages, actions);
}

void
sevmig_outlook_learn_sync(SevmigControl *self, SevmigActions *actions)
{
    if (!is_known(&self->intake.last))
        return;
    if (self->held) { /* nothing is sent, so nothing becomes clean: the pass begins with its turn */
        self->dirt.begun = false;
        return;
    }
    if (!self->dirt.begun || (self->intake.new_pass && !self->intake.new_sync))
        begin_pass(self);
    if (!self->intake.new_sync)
        return;
    self->dirt.over = pass_is_over(self);
    learn_sync(self, actions);
    /* The sync that ends a pass belongs to it. Passes of next to nothing are summed up. */
    if (self->dirt.over && self->dirt.wall_us >= SHORTEST_SYNC_US)
        begin_pass(self);
}
