/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * oracle.c - the best plan, found by trying them on the true plant
 *
 * A plan is: the largest batch the policy's hold allows, of full commands or of single pages, as
 * long as no submission is held longer; a gap; syncs between passes or also within them; one
 * throttle, held from the beginning of one of the passes 2..5 to the end; and the first moment at
 * which stopping meets the downtime goal. That moment is not predicted: a copy of the plant is
 * stopped there, and what it needs is the truth. Throttles are tried on a grid of 10 % and then of
 * 2 % around the best, in the slices that stop a vCPU for the shortest.
 *
 * It is the bound for controllers that hold one throttle once they begin, which is what a constant
 * load asks for, and one interval of syncs. One that changes them from pass to pass, or throttles
 * or syncs in the first pass, is not covered; neither is one that gets by with a longer stop than
 * the goal allows.
 */
#include "plant.h"

#include <math.h>
#include <string.h>

#define PASSES_MOST 4 /* candidates for the pass at which throttling begins */
#define COARSE 10
#define FINE 2
#define SLICE_LEAST_US 200.0
#define SLICE_MOST_US 10000.0
#define LOOK_LEAST_US 10000.0
#define LOOK_MOST_US 500000.0
#define SYNC_LEAST_US 50000.0 /* QEMU's range */
#define SYNCS 8               /* in the second pass */
#define HOLD_DEFAULT_US 20000.0
#define HELD 1.01           /* of the hold: rounding */
#define FIRST_PASSES_MOST 5 /* a plan that takes so many times the first pass is none */

typedef struct {
    guint batch_pages, gap_pages;
    guint percent;
    guint64 from_pass;
    double sync_interval_us; /* 0: between passes only */
} Plan;

typedef struct {
    const SevmigSimScenario *scenario;
    const SevmigSimPlant *start; /* the first pass is over */
    Plan plan;                   /* the best */
    double score;
    SevmigSimResult *result;
    gboolean found;
} Search;

static double
hold_us(const SevmigSimScenario *s)
{
    return s->params.batch_hold_us > 0 ? (double)s->params.batch_hold_us : HOLD_DEFAULT_US;
}

static double
lost_us(const SevmigSimPlant *plant)
{
    double sum = 0;

    for (guint i = 0; i < plant->scenario->vcpus; i++)
        sum += plant->throttled_us[i];
    return sum / plant->scenario->vcpus;
}

static void
throttle(SevmigSimPlant *plant, guint percent)
{
    const SevmigSimScenario *s = plant->scenario;
    double slice = percent > 0 ? (double)s->params.stun_us * (100 - percent) / percent : 0;

    /* Only a vCPU that runs on for a while in every slice gains by longer ones. */
    plant->tune.slice_us = CLAMP(s->slack_us > 0 ? slice : 0, SLICE_LEAST_US, SLICE_MOST_US);
    if (!s->params.throttle_per_vcpu) {
        plant->tune.throttle_percent = percent;
        return;
    }
    for (guint i = 0; i < s->writers; i++)
        plant->tune.vcpu_throttle_percent[i] = percent;
}

/* What stopping now would take, as a client sees it. */
static double
downtime_us(const SevmigSimPlant *plant, guint percent)
{
    SevmigSimRandom random;
    SevmigSimPlant copy;
    double us = plant->scenario->outside_us + sevmig_sim_plant_stun_us(plant, percent);

    sevmig_sim_plant_clone(plant, &random, &copy);
    us += sevmig_sim_plant_finish(&copy);
    sevmig_sim_plant_clear(&copy);
    return us;
}

static void
keep(Search *search, const SevmigSimPlant *plant, const Plan *plan, double stop_us)
{
    SevmigSimResult *r = search->result;

    search->found = TRUE;
    search->plan = *plan;
    r->completed = TRUE;
    r->downtime_ms = r->qemu_downtime_ms = stop_us / 1000;
    r->throttled_s = lost_us(plant) / 1e6;
    r->lost_s = r->throttled_s + stop_us / 1e6;
    r->total_s = (plant->now_us + stop_us) / 1e6;
    r->max_throttle_percent = plan->percent;
    r->longest_stun_ms = sevmig_sim_plant_stun_us(plant, plan->percent) / 1000;
    r->batch_pages = plan->batch_pages;
    r->pages = plant->sent.pages;
    r->bytes = plant->bytes;
}

/* Plays a plan until it may stop, or costs more than the best so far. Sending for a while shortens
 * a stop by that while at most: so there is no need to look again before that. */
static void
play(Search *search, const Plan *plan)
{
    const SevmigSimScenario *s = search->scenario;
    double goal_us = (double)s->params.downtime_goal_us;
    double end_us = fmin(s->limit_s * 1e6, FIRST_PASSES_MOST * search->start->now_us);
    SevmigSimRandom random;
    SevmigSimPlant plant;

    sevmig_sim_plant_clone(search->start, &random, &plant);
    plant.longest_hold_us = 0;
    plant.tune.batch_pages = plan->batch_pages;
    plant.tune.gap_pages = plan->gap_pages;
    plant.tune.sync_interval_us = plan->sync_interval_us;
    while (plant.now_us < end_us) {
        double score = lost_us(&plant) + SEVMIG_SIM_TIME_WORTH * plant.now_us;
        double pass_us = plant.memory->remaining * s->page_us * (1 - s->submit_share), stop_us;

        if (plan->percent > 0 && plant.memory->passes + 1 >= plan->from_pass)
            throttle(&plant, plan->percent);
        stop_us = downtime_us(&plant, plan->percent);
        if (score >= search->score || plant.longest_hold_us > HELD * hold_us(s))
            break;
        if (stop_us <= goal_us) {
            score += (1 + SEVMIG_SIM_TIME_WORTH) * stop_us;
            if (score < search->score)
                keep(search, &plant, plan, stop_us);
            search->score = fmin(search->score, score);
            break;
        }
        plant.stop =
            FALSE; /* nothing was left: as good a moment as any, but not QEMU's to choose */
        sevmig_sim_plant_advance(&plant, plant.now_us +
                                             fmax(LOOK_LEAST_US, fmin(stop_us - goal_us, pass_us)));
    }
    sevmig_sim_plant_clear(&plant);
}

/* From the strongest down: what it costs ends the weaker ones early. */
static void
try_percents(Search *search, Plan plan, int from, int to, int step)
{
    double stun = (double)search->scenario->params.stun_us;
    int most = (int)MIN(99, search->scenario->params.throttle_ceiling_percent);

    most = MIN(most, (int)(100 * stun / (stun + SLICE_LEAST_US)));
    for (int percent = MIN(most, to); percent > MAX(0, from - 1); percent -= step) {
        plan.percent = (guint)percent;
        play(search, &plan);
    }
    if (from <= 0) {
        plan.percent = 0;
        play(search, &plan);
    }
}

/* Within the hold, in commands of so many pages. */
static guint
largest_batch(const SevmigSimScenario *s, guint command_pages)
{
    double a = s->page_us * s->submit_share / 2, b = s->page_us * (1 - s->submit_share);
    double pages = fmin(s->max_batch_pages, (hold_us(s) - a) / (a / command_pages + b));
    guint commands = (guint)fmax(1, pages / command_pages);

    return commands * command_pages;
}

/* Clean pages between dirty ones are worth it only where a command costs more than a page. */
static guint
widest_gap(const SevmigSimScenario *s)
{
    return s->submit_share / 2 > 1 - s->submit_share ? 1 : 0;
}

static void
try_passes(Search *search, Plan plan)
{
    for (plan.from_pass = 2; plan.from_pass <= PASSES_MOST + 1; plan.from_pass++)
        try_percents(search, plan, 0, 99, COARSE);
}

static void
search_all(Search *search)
{
    const SevmigSimScenario *s = search->scenario;
    const guint batches[] = {largest_batch(s, s->max_command_pages), largest_batch(s, 1)};
    double pass_us = search->start->memory->remaining * s->page_us;
    Plan best;

    for (guint gap = 0; gap <= widest_gap(s); gap++) {
        for (guint i = 0; i < G_N_ELEMENTS(batches); i++) {
            Plan plan = {.batch_pages = batches[i], .gap_pages = gap};

            try_passes(search, plan);
            plan.sync_interval_us = fmax(SYNC_LEAST_US, pass_us / SYNCS);
            try_passes(search, plan);
        }
    }
    if (!search->found)
        return;
    best = search->plan;
    try_percents(search, best, (int)best.percent - COARSE, (int)best.percent + COARSE, FINE);
}

gboolean
sevmig_sim_oracle(const SevmigSimScenario *scenario, SevmigSimResult *result)
{
    gboolean exact = scenario->pages <= SEVMIG_SIM_EXACT_MOST_PAGES;
    Search search = {.scenario = scenario, .score = INFINITY, .result = result};
    SevmigSimRandom random;
    SevmigSimPlant start;

    memset(result, 0, sizeof(*result));
    result->goal_ms = (double)scenario->params.downtime_goal_us / 1000;
    sevmig_sim_random_init(&random, scenario->seed);
    sevmig_sim_plant_init(&start, scenario, &random, exact);
    start.tune.batch_pages = largest_batch(scenario, scenario->max_command_pages);
    start.tune.limit_us = 0; /* each pass ends and the next begins, unless nothing is left */
    while (start.memory->passes == 0 && start.memory->remaining > 0 &&
           start.now_us < scenario->limit_s * 1e6)
        sevmig_sim_plant_advance(&start, start.now_us +
                                             CLAMP(start.memory->remaining * scenario->page_us / 8,
                                                   LOOK_LEAST_US, LOOK_MOST_US));
    result->first_pass_s = start.now_us / 1e6;
    search.start = &start;
    search_all(&search);
    sevmig_sim_plant_clear(&start);
    return search.found;
}
