/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "random-check.h"

#include <math.h>

/* Turns of the throttle's direction: a few while the load is learnt or changes, and then two a
 * minute for what the law tries again a minute after it gave up. */
#define TURNS_FREE 4
#define TURN_EVERY_S 30
#define TICKS_TO_SEE 20 /* two seconds */
#define TICK_S 0.1
#define WORSE 1.05 /* and the accuracy of the model */

/* The longest downtime the policy puts up with. */
static double
most_downtime_ms(const SevmigSimScenario *s)
{
    gboolean relaxes = s->params.on_stall == SEVMIG_ON_STALL_RELAX;

    return (double)MAX(s->params.downtime_goal_us, relaxes ? s->params.downtime_max_us : 0) / 1000;
}

static char *
check_limits(const SevmigSimScenario *s, const SevmigSimResult *r)
{
    if (r->max_throttle_percent > s->params.throttle_ceiling_percent)
        return g_strdup_printf("throttle %u above the ceiling %u", r->max_throttle_percent,
                               s->params.throttle_ceiling_percent);
    if (r->longest_stun_ms > (double)s->params.stun_us / 1000)
        return g_strdup_printf("stopped for %g ms", r->longest_stun_ms);
    if (r->goal_ms > most_downtime_ms(s))
        return g_strdup_printf("goal relaxed to %g ms of %g", r->goal_ms, most_downtime_ms(s));
    if (r->turns > TURNS_FREE + r->total_s / TURN_EVERY_S)
        return g_strdup_printf("throttle turned %u times in %g s", r->turns, r->total_s);
    return NULL;
}

/* Against nobody at all, who has QEMU's default batch and the same downtime limit. What ends with a
 * longer downtime than the policy allows is no example. */
static char *
check_against_none(const SevmigSimScenario *s, const SevmigSimResult *ours,
                   const SevmigSimResult *none)
{
    double see_s = TICKS_TO_SEE * TICK_S;

    if (!none->completed || none->downtime_ms > most_downtime_ms(s))
        return NULL;
    if (!ours->completed)
        return g_strdup_printf("never ends; without control it does in %g s", none->total_s);
    if (ours->total_s > WORSE * none->total_s + see_s &&
        ours->downtime_ms > WORSE * none->downtime_ms)
        return g_strdup_printf("%g s and %g ms; without control %g s and %g ms", ours->total_s,
                               ours->downtime_ms, none->total_s, none->downtime_ms);
    return NULL;
}

char *
random_check(guint seed)
{
    const SevmigSimRun ours = {.controller = &sevmig_sim_steered};
    const SevmigSimRun none = {.controller = &sevmig_sim_peers[0]};
    SevmigSimResult steered, unsteered;
    SevmigSimScenario s;
    char *problem;

    sevmig_sim_scenario_random(seed, &s);
    sevmig_sim_run(&s, &ours, &steered);
    problem = check_limits(&s, &steered);
    if (problem)
        return problem;
    sevmig_sim_run(&s, &none, &unsteered);
    return check_against_none(&s, &steered, &unsteered);
}
