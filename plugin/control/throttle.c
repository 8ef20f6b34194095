/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * throttle.c - how much of the guest's time to take, and in what slices
 *
 * None in the first pass: work lost early is lost for longer, and only shrinks what that pass
 * leaves behind. From the first sync after it: the least throttle whose passes shrink below what
 * the downtime goal allows (predict.h), at once and not in steps; a throttle below 1 - u of a vCPU
 * that is busy for u has no effect and is never chosen. Above that least, more throttle costs the
 * guest more a second for fewer seconds: the candidates are played through and the cheapest wins.
 */
#include "law.h"

#include <math.h>
#include <stdio.h>

#define SLICE_LEAST_US 200
#define STOP_SHARE 0.05 /* of the downtime goal */
#define STOP_SHARE_LEAKING 0.4
#define LEAKS 1.5
#define SLICE_MOST_US 10000 /* QEMU's own; longer ones only make the stops longer */

/* With a duration goal that is met, finishing earlier is worth next to nothing. */
#define TIME_WORTH_GOAL_MET 0.05
#define MISSED_FIRST 1e6 /* score of missing what ranks first */
#define MISSED_SECOND 1e3

#define LOOK_US 1000000
#define LULLS_MOST 3 /* waited for in vain: then they are too short */
#define WAIT_SHRINKS 0.8
#define KEEP 0.95     /* a change must be better by this */
#define RAISE_MOST 40 /* percent a decision, once throttling */
#define LOWER_MOST 20
#define LOWER_LEAST 5 /* smaller reductions are noise */
#define RAISE_LEAST 3
#define STEP 10 /* what others raise it by */

#define RAISED_FREELY 2
#define RAISE_AGAIN_US 60000000

#define DISTRUST_MOST 30 /* percent */

#define SAME_LENGTH 0.5  /* of the pass without throttle; shorter ones say nothing */
#define CLEARLY_LESS 0.5 /* of the guest's CPU time, for the throttle to be judged at all */
#define EFFECT_NONE                                                                                \
    0.7                   /* of the pages dirtied without throttle; more is no effect: the first   \
                           * pass, which is the reference, counts with an error of a quarter */
#define FALLING 0.95      /* of the rate in the pass before: it begins to help */
#define FREE_EXPONENT 0.8 /* between a uniform writer and a saturated working set */
#define NO_EFFECT_SYNCS 2
#define USELESS_FOR_US 60000000 /* then try again: loads change */

static unsigned
most_percent(const SevmigControl *self)
{
    const SevmigControlParams *params = &self->params;
    double stun = (double)params->stun_us;
    double most = params->throttle_ceiling_percent;

    if (params->throttle_mode == SEVMIG_THROTTLE_QEMU)
        return 0;
    /* longest stop = slice p/(1-p), and no slice is shorter than the least */
    most = fmin(most, floor(100 * stun / (stun + SLICE_LEAST_US)));
    if (sevmig_law_outranks(self, SEVMIG_GOAL_SLOWDOWN, SEVMIG_GOAL_DOWNTIME)) {
        /* the rest of the time budget, spent over the time that has passed once more */
        double elapsed = fmax(1e6, (double)(self->now_us - self->start_us));
        double budget = params->slowdown_goal_percent / 100.0 * 2 * elapsed - self->vcpus.lost_us;

        most = fmin(most, fmax(0, floor(100 * budget / elapsed)));
    }
    return (unsigned)most;
}

static double
slowdown_excess_us(const SevmigControl *self, const SevmigPlan *plan)
{
    double goal = self->params.slowdown_goal_percent / 100.0;
    double elapsed = (double)(self->now_us - self->start_us);

    if (goal <= 0)
        return 0;
    return fmax(0, self->vcpus.lost_us + plan->lost_us - goal * (elapsed + plan->total_us));
}

/* Lower is better. */
static double
plan_score(const SevmigControl *self, const SevmigPlan *plan)
{
    bool duration = self->params.duration_goal_us > 0;
    bool slowdown_first = sevmig_law_outranks(self, SEVMIG_GOAL_SLOWDOWN, SEVMIG_GOAL_DURATION);
    double late = duration ? fmax(0, plan->total_us - fmax(0, sevmig_law_time_left_us(self))) : 0;
    double worth = duration && late <= 0 ? TIME_WORTH_GOAL_MET : SEVMIG_TIME_WORTH;

    return plan->lost_us + worth * plan->total_us +
           late * (slowdown_first ? MISSED_SECOND : MISSED_FIRST) +
           slowdown_excess_us(self, plan) * (slowdown_first ? MISSED_FIRST : MISSED_SECOND) +
           (plan->reaches ? 0 : MISSED_FIRST * MISSED_FIRST);
}

typedef struct {
    double score;
    unsigned first; /* throttle, of the pass under way */
} Choice;

/* Scores passes under one throttle, which begin when so many pages are left, so long from now. */
static double
play(const SevmigControl *self, double pages, double later_us, unsigned percent)
{
    SevmigPlan plan;

    sevmig_predict_plan(&self->outlook.plant, pages, percent, &plan);
    plan.total_us += later_us;
    return plan_score(self, &plan);
}

/* From now on. */
static Choice
cheapest_throttle(const SevmigControl *self, unsigned least)
{
    const unsigned now = self->throttle.wanted_percent, most = self->throttle.most_percent;
    const unsigned percents[] = {least, least + (most - least) / 3, least + (most - least) * 2 / 3,
                                 most};
    const double pages = self->outlook.pending_pages;
    Choice best = {INFINITY, least};

    if (now > 0 && now >= least && now <= most)
        best = (Choice){KEEP * play(self, pages, 0, now), now};
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        unsigned percent = percents[i];
        double score;

        if (percent == 0 || percent == now || (i > 0 && percent == percents[i - 1]))
            continue;
        score = play(self, pages, 0, percent);
        if (score < best.score)
            best = (Choice){score, percent};
    }
    return best;
}

/* A throttle from now on; or after this pass, which is worth its time only while it shrinks; or
 * none, if the passes shrink by themselves. */
static Choice
cheapest(const SevmigControl *self, unsigned least)
{
    const SevmigPlant *plant = &self->outlook.plant;
    const double pages = self->outlook.pending_pages;
    Choice best = cheapest_throttle(self, least);
    double left = sevmig_predict_pass(plant, pages, 0), later_us, score;

    if (!sevmig_law_has(self, SEVMIG_PART_WAIT) || left >= WAIT_SHRINKS * pages)
        return best;
    later_us = pages * sevmig_predict_page_us(plant, pages);
    if (pages <= plant->allowed_pages) { /* no pass is to come before the guest stops */
        left = pages;
        later_us = 0;
    }
    score = fmin(play(self, left, later_us, best.first), play(self, left, later_us, 0));
    if (self->throttle.wanted_percent == 0)
        score *= KEEP;
    return score <= best.score ? (Choice){score, 0} : best;
}

/* What waiting for the guest's next lull costs, if all that is dirtied by then fits into it. */
static double
lull_score(const SevmigControl *self)
{
    const SevmigPlant *plant = &self->outlook.plant;
    double wait_us, lull_us, pages, pass_us;
    SevmigPlan plan = {.reaches = true};

    if (!sevmig_law_has(self, SEVMIG_PART_LULL) ||
        !sevmig_lull_expected(&self->lull, self->now_us, &wait_us, &lull_us))
        return INFINITY;
    pages = fmax(self->outlook.pending_pages, sevmig_dirty_pages(plant->dirty, wait_us));
    pass_us = pages * sevmig_predict_page_us(plant, pages);
    if (pass_us > lull_us)
        return INFINITY;
    plan.lost_us = plant->fixed_us;
    plan.total_us = wait_us + pass_us + plant->fixed_us;
    return plan_score(self, &plan);
}

static bool
can_bite(const SevmigControl *self, unsigned percent)
{
    return sevmig_vcpus_running(&self->vcpus, percent) <
           0.98 * sevmig_vcpus_running(&self->vcpus, 0);
}

/* Jumps from rest, moves in bounded steps once throttling, ignores what is within the noise. */
static unsigned
slew(unsigned now, unsigned target, unsigned least, unsigned most)
{
    if (now > most)
        return most;
    if (now == 0 || target == now)
        return target;
    if (target > now) {
        if (target - now < RAISE_LEAST && now >= least)
            return now;
        return target < now + RAISE_MOST ? target : now + RAISE_MOST;
    }
    if (target == 0)
        return 0;
    if (now - target < LOWER_LEAST)
        return now;
    return now - target < LOWER_MOST ? target : now - LOWER_MOST;
}

/* Raised often enough to know better: what comes and goes with a load that comes and goes helps
 * little, and the guest feels every turn. */
static bool
is_fickle(const SevmigControl *self)
{
    return self->throttle.raised >= RAISED_FREELY && self->throttle.lowered_at_us > 0 &&
           self->now_us - self->throttle.lowered_at_us < RAISE_AGAIN_US;
}

/*
 * Longest stop = slice p/(1-p). It must keep to the policy's stun, and be short against the
 * downtime goal, because a stop just before the switchover adds to what a client sees (measured: 96
 * ms more than QEMU's own figure with stops of 100 ms). But not shorter than that asks for: each
 * stop costs the guest some microseconds of its work beyond what was asked; and where vCPUs are
 * seen to be left much more than what was asked, only longer stops help.
 */
static double
slice_us(const SevmigControl *self, unsigned percent)
{
    double share = self->throttle.leaks ? STOP_SHARE_LEAKING : STOP_SHARE;
    double stop = fmin((double)self->params.stun_us, share * (double)self->goal_us);
    double slice = floor(stop * (100 - percent) / percent);

    return fmin(SLICE_MOST_US, fmax(SLICE_LEAST_US, slice));
}

static bool
is_per_vcpu(const SevmigControl *self)
{
    return self->params.throttle_per_vcpu && self->vcpus.has_rate &&
           sevmig_law_has(self, SEVMIG_PART_VCPU);
}

/* What all vCPUs are told, where not each is told its own. */
static unsigned
for_all(const SevmigControl *self, unsigned percent)
{
    return is_per_vcpu(self) ? 0 : percent;
}

void
sevmig_throttle_want(SevmigControl *self, unsigned percent, const char *why)
{
    unsigned now = self->throttle.wanted_percent;
    bool per_vcpu = is_per_vcpu(self);

    for (size_t i = 0; i < self->vcpus.n; i++) {
        bool chosen = per_vcpu && sevmig_vcpus_is_writer(&self->vcpus, i);

        self->knobs.vcpu_want[i] = (uint8_t)(chosen ? percent : 0);
    }
    if (percent > 0) {
        double slice = slice_us(self, percent);

        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_SLICE, (int64_t)slice,
                          "slice %d us: at %u %% a vCPU then stops for %d us at most", (int)slice,
                          percent, (int)(slice * percent / (100 - percent)));
    }
    self->throttle.wanted_percent = percent;
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_THROTTLE, for_all(self, percent),
                      "throttle %u -> %u %%: %s", now, percent, why);
}

/* As soon as it is seen, for until then the guest has more time than anybody reckons with; and from
 * then on, for with longer slices it is seen no more. */
static void
watch_leak(SevmigControl *self)
{
    if (self->throttle.leaks || self->vcpus.leak < LEAKS)
        return;
    self->throttle.leaks = true;
    self->stall.score = 0; /* what was seen until now tells nothing of longer ones */
    if (self->throttle.wanted_percent > 0)
        sevmig_throttle_want(self, self->throttle.wanted_percent, "as it is");
}

void
sevmig_throttle_limit(SevmigControl *self)
{
    unsigned now = self->throttle.wanted_percent, most = most_percent(self);

    if (now > 0) /* the slice too is to keep to the new limits */
        sevmig_throttle_want(self, now < most ? now : most, "what the other policy allows");
}

/*
 * Did it work? The guest got less than half the CPU time it would have had, and yet dirtied as much
 * as in a pass of the same length without throttle: then either something else writes, or even the
 * little it got is enough to dirty all it ever does. Both ways the throttle buys nothing. Only
 * passes of about the same length are compared, because the curve's shape is not known beforehand;
 * passes that get shorter are proof enough that something helps.
 */
void
sevmig_throttle_observe(SevmigControl *self, double guest_us, double wall_us, double pages,
                        SevmigActions *actions)
{
    SevmigThrottle *t = &self->throttle;
    unsigned percent = self->vcpus.throttle_percent;
    double full_us = wall_us * sevmig_vcpus_running(&self->vcpus, 0), without;
    bool falling;

    if (!sevmig_law_has(self, SEVMIG_PART_EFFECT))
        return;
    if (percent == 0) {
        t->free_us = guest_us / fmax(1e-3, sevmig_vcpus_running(&self->vcpus, 0));
        t->free_pages = self->dirt.pages;
        t->no_effect = 0;
        t->last_rate = 0;
        return;
    }
    if (percent != t->wanted_percent || t->free_us <= 0 || wall_us < SAME_LENGTH * t->free_us ||
        guest_us > CLEARLY_LESS * full_us)
        return;
    falling = t->last_rate > 0 && pages / wall_us < FALLING * t->last_rate;
    t->last_rate = pages / wall_us;
    without = t->free_pages * pow(fmin(1, wall_us / t->free_us), FREE_EXPONENT);
    if (pages < EFFECT_NONE * without || without < 2 || falling) {
        t->no_effect = 0;
        if (percent <= t->useless_percent)
            t->useless_percent = 0;
        return;
    }
    if (++t->no_effect < NO_EFFECT_SYNCS)
        return; /* once may be chance */
    t->no_effect = 0;
    t->useless_percent = percent;
    t->useless_goal_us = 0;
    t->useless_until_us = self->now_us + USELESS_FOR_US;
    /* What writes was not slowed: its curve is one of the time in which nobody is. */
    sevmig_dirty_forget(&self->dirty);
    sevmig_dirty_learn(&self->dirty, full_us, pages);
    sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, percent,
                     "throttle %u %% has no measured effect: %d pages dirtied in %d ms with it, %d "
                     "without",
                     percent, (int)pages, (int)(wall_us / 1000), (int)without);
}

static void
explain(const SevmigControl *self, unsigned percent, unsigned least, char *why, size_t size)
{
    const SevmigPlant *plant = &self->outlook.plant;
    unsigned biting = sevmig_vcpus_biting_percent(&self->vcpus);
    int allowed = (int)plant->allowed_pages;
    int left = (int)fmin(1e9, sevmig_predict_pass(plant, self->outlook.pending_pages, percent));

    if (self->throttle.waits)
        snprintf(why, size, "the guest works in bursts: a lull is near, and long enough");
    else if (percent == 0 && self->throttle.useless_percent > 0)
        snprintf(why, size, "no throttle up to %u %% has an effect",
                 self->throttle.useless_percent);
    else if (percent == 0 && least == 0)
        snprintf(why, size, "the passes shrink by themselves to the %d pages allowed", allowed);
    else if (percent == 0 && !self->throttle.reaches)
        snprintf(why, size, "none that is allowed reaches the %d pages the goal allows", allowed);
    else if (percent == 0)
        snprintf(why, size, "this pass shrinks enough without; later ones may need %u %%", least);
    else if (!self->throttle.reaches)
        snprintf(why, size, "the most allowed; the next pass leaves %d pages, %d are allowed", left,
                 allowed);
    else if (biting > 1)
        snprintf(
            why, size,
            "the guest uses %u %% of its vCPU, less than %u %% has no effect; next pass leaves %d "
            "pages, %d allowed",
            100 - biting, biting, left, allowed);
    else
        snprintf(why, size,
                 "the next pass leaves %d pages, %d are allowed; %u %% is the least that "
                 "converges",
                 left, allowed, least);
}

/* The least useful throttle, and whether it exists, for this sync. */
static unsigned
find_least(SevmigControl *self)
{
    SevmigThrottle *t = &self->throttle;
    unsigned least;

    if (self->now_us >= t->useless_until_us)
        t->useless_percent = 0;
    t->most_percent = most_percent(self);
    least = sevmig_predict_least_percent(&self->outlook.plant, t->most_percent);
    if (t->useless_goal_us > 0 && self->goal_us != t->useless_goal_us && least <= t->most_percent)
        t->useless_percent =
            0; /* no use for the goal before; the model has learnt, this one differs */
    if (least > 0 && least <= t->useless_percent)
        least = t->useless_percent + 1;
    t->reaches = least <= t->most_percent;
    if (t->reaches && t->distrust_percent > 0) {
        least += t->distrust_percent;
        /* at the most allowed there is nothing to add: then the model is simply wrong */
        if (least > t->most_percent && t->wanted_percent == t->most_percent &&
            t->distrust_percent > DISTRUST_MOST)
            t->reaches = false;
        else if (least > t->most_percent)
            least = t->most_percent;
    }
    t->least_percent = least;
    return least;
}

/* What is best now; how fast to get there is another question. */
static unsigned
choose(SevmigControl *self, unsigned least)
{
    SevmigThrottle *t = &self->throttle;
    Choice best = {.score = INFINITY};
    unsigned target;
    bool waits;

    if (t->reaches)
        best = cheapest(self, least);
    waits = t->waited < LULLS_MOST && lull_score(self) < best.score;
    if (waits && !self->lull.quiet && t->waited_since_us != self->lull.since_us) {
        t->waited_since_us = self->lull.since_us;
        t->waited++;
    }
    t->waits = waits;
    if (t->waits)
        target = 0;
    else if (t->reaches)
        target = best.first;
    else /* the prediction gives no hope; the strongest allowed shows whether it is right */
        target = t->most_percent > t->useless_percent ? t->most_percent : 0;
    return can_bite(self, target) ? target : 0;
}

/* Until some of it was sent, nobody knows what the pages of a later pass cost. */
static bool
is_too_early(const SevmigControl *self)
{
    return !sevmig_firmware_knows_late(&self->firmware) && self->throttle.wanted_percent == 0 &&
           self->now_us - self->intake.late_at_us < LOOK_US;
}

void
sevmig_throttle_decide(SevmigControl *self)
{
    SevmigThrottle *t = &self->throttle;
    unsigned now = t->wanted_percent;
    unsigned least, target;
    char why[120] = "";

    watch_leak(self);
    if (!self->intake.late || !sevmig_dirty_known(&self->dirty) ||
        !(self->intake.new_sync || t->due))
        return;
    t->due = is_too_early(self);
    if (t->due)
        return;
    least = find_least(self);
    if (self->params.throttle_mode == SEVMIG_THROTTLE_QEMU)
        return;
    target = choose(self, least);
    if (target > 0 || t->useless_percent == 0) /* what has no effect goes at once */
        target = slew(now, target, least, t->most_percent);
    if (target > now + STEP && !sevmig_law_has(self, SEVMIG_PART_JUMP))
        target = now + STEP;
    if (target > now && is_fickle(self))
        return;
    /* What a pass has yet to send hides what the guest does to it: that less would do is known when
     * the pass is over. */
    if (target < now && !self->dirt.over && t->useless_percent == 0 && !t->waits)
        return;
    if (target < now)
        t->lowered_at_us = self->now_us;
    t->raised += target > now;
    /* only what is told needs a reason */
    if (sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_THROTTLE, -1) != for_all(self, target))
        explain(self, target, least, why, sizeof(why));
    sevmig_throttle_want(self, target, why);
}
