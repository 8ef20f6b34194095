/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scenario-random.c - a scenario by its seed alone: any load, firmware, link and disturbance */
#include "random.h"
#include "sevmig-simulation.h"

#include <math.h>

static double
between(SevmigSimRandom *random, double least, double most)
{
    return least + (most - least) * sevmig_sim_random_unit(random);
}

/* Evenly over the orders of magnitude. */
static double
scale_between(SevmigSimRandom *random, double least, double most)
{
    return least * pow(most / least, sevmig_sim_random_unit(random));
}

static gboolean
one_in(SevmigSimRandom *random, guint n)
{
    return sevmig_sim_random_below(random, n) == 0;
}

static void
draw_load(SevmigSimRandom *random, SevmigSimScenario *s, SevmigSimPhase *phase)
{
    double pages_per_s = 1e6 / s->page_us;

    phase->pattern = (SevmigSimPattern)sevmig_sim_random_below(random, SEVMIG_SIM_PATTERN_COUNT);
    phase->pace = one_in(random, 8)   ? SEVMIG_SIM_BY_WALL
                  : one_in(random, 2) ? SEVMIG_SIM_PACED
                                      : SEVMIG_SIM_BY_CPU;
    phase->working_set_pages =
        (guint64)((double)s->pages * scale_between(random, 0.002, 0.95)) / 16 * 16;
    phase->zipf_exponent = between(random, 0.6, 1.6);
    phase->busy = one_in(random, 2) ? 1 : between(random, 0.02, 1);
    phase->writes_per_s = pages_per_s * scale_between(random, 0.01, 30);
    if (one_in(random, 4)) {
        phase->burst_period_s = scale_between(random, 0.5, 120);
        phase->burst_share = between(random, 0.1, 0.9);
    }
}

static void
draw_guest(SevmigSimRandom *random, SevmigSimScenario *s)
{
    s->pages = (guint64)scale_between(random, 16384, 1 << 21) / 16 * 16; /* 64 MiB to 8 GiB */
    s->vcpus = one_in(random, 2) ? 1 : 1 + (guint)sevmig_sim_random_below(random, 16);
    s->writers = one_in(random, 2) ? 1 : 1 + (guint)sevmig_sim_random_below(random, s->vcpus);
    s->reports_vcpu_dirty = one_in(random, 2);
    s->block_pages = 1u << sevmig_sim_random_below(random, 5);
    s->slack_us = one_in(random, 4) ? between(random, 0, 2000) : 0;
    s->page_us = 1003 / scale_between(random, 1, 20);
    for (guint i = 0; i < s->n_phases; i++)
        draw_load(random, s, &s->phases[i]);
    if (one_in(random, 5)) {
        double pass_s = (double)s->pages * s->page_us / 1e6;

        s->n_phases = 2;
        draw_load(random, s, &s->phases[1]);
        s->phases[1].from_s = pass_s * between(random, 0.2, 1.5);
    }
}

static void
draw_host(SevmigSimRandom *random, SevmigSimScenario *s)
{
    s->submit_share = between(random, 0.2, 0.8);
    s->receive_factor = one_in(random, 3) ? 1.25 : 1;
    s->contiguity = one_in(random, 4) ? between(random, 0, 1) : 1;
    s->device_us = scale_between(random, 5000, 60000);
    if (one_in(random, 4)) {
        s->others = 1 + (guint)sevmig_sim_random_below(random, 3);
        s->others_hold_us = s->page_us * between(random, 1, 8);
        s->others_from_s = between(random, 0, 60);
        s->others_until_s = s->others_from_s + between(random, 10, 300);
    }
    if (one_in(random, 3)) {
        s->link_bytes_per_us = scale_between(random, 125, 3125); /* 1 to 25 Gb/s */
        s->link_jitter = between(random, 0, 0.3);
    }
    s->noise = one_in(random, 2) ? between(random, 0, 0.2) : 0;
    s->lost_share = one_in(random, 3) ? between(random, 0, 0.3) : 0;
    s->late_share = one_in(random, 3) ? between(random, 0, 0.2) : 0;
}

static void
draw_policy(SevmigSimRandom *random, SevmigControlParams *params)
{
    params->downtime_goal_us = (guint64)scale_between(random, 100000, 2000000);
    if (one_in(random, 2))
        params->downtime_max_us =
            (guint64)((double)params->downtime_goal_us * scale_between(random, 1, 50));
    params->throttle_ceiling_percent = one_in(random, 3)
                                           ? (guint32)sevmig_sim_random_below(random, 100)
                                           : params->throttle_ceiling_percent;
    params->stun_us = (guint64)scale_between(random, 2000, 500000);
    params->throttle_per_vcpu = one_in(random, 2);
    params->on_stall = one_in(random, 2) ? SEVMIG_ON_STALL_CONTINUE : SEVMIG_ON_STALL_RELAX;
}

void
sevmig_sim_scenario_random(guint seed, SevmigSimScenario *scenario)
{
    SevmigSimRandom random;

    sevmig_sim_scenario_default(scenario);
    sevmig_sim_random_init(&random, seed);
    for (guint i = 0; i < 8; i++) /* seeds next to each other differ in few bits */
        sevmig_sim_random_next(&random);
    g_snprintf(scenario->name, sizeof(scenario->name), "random-%u", seed);
    scenario->seed = seed;
    draw_guest(&random, scenario);
    draw_host(&random, scenario);
    draw_policy(&random, &scenario->params);
    scenario->limit_s = 30 + 20 * (double)scenario->pages * scenario->page_us / 1e6;
}
