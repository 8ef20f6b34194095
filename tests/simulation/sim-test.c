/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim-test.h"

#include <string.h>

#include "law.h"

/* The ranges of QEMU's arguments, and the policy's where they are narrower. */
const char *
sim_test_action_problem(const SevmigAction *action, const SevmigControlParams *params)
{
    const struct {
        gint64 least, most;
    } ranges[SEVMIG_ACTION_COUNT] = {
        [SEVMIG_ACTION_BATCH_PAGES] = {1, G_MAXUINT32},
        [SEVMIG_ACTION_GAP_PAGES] = {0, 16},
        [SEVMIG_ACTION_THROTTLE] = {0, MIN(99, params->throttle_ceiling_percent)},
        [SEVMIG_ACTION_VCPU_THROTTLE] = {0, MIN(99, params->throttle_ceiling_percent)},
        [SEVMIG_ACTION_SLICE_US] = {200, 100000},
        [SEVMIG_ACTION_SYNC_INTERVAL_US] = {0, 60000000},
        [SEVMIG_ACTION_SWITCHOVER] = {SEVMIG_SWITCHOVER_AUTO, SEVMIG_SWITCHOVER_NOW},
        [SEVMIG_ACTION_DOWNTIME_LIMIT_US] = {1000, 2000000000},
        [SEVMIG_ACTION_HOLD_SENDING] = {0, 1},
        [SEVMIG_ACTION_PAUSE] = {0, 1},
        [SEVMIG_ACTION_NOTE] = {G_MININT64, G_MAXINT64},
    };

    if ((guint)action->type >= SEVMIG_ACTION_COUNT)
        return "no such action";
    if (action->value < ranges[action->type].least || action->value > ranges[action->type].most)
        return "value out of range";
    if (action->type == SEVMIG_ACTION_SYNC_INTERVAL_US && action->value > 0 &&
        action->value < 50000)
        return "syncs more often than QEMU can";
    if (!memchr(action->reason, '\0', SEVMIG_REASON_SIZE) || action->reason[0] == '\0')
        return "no reason, or one without end";
    if (strstr(action->reason, "nan") || strstr(action->reason, "inf"))
        return "a reason that names no number";
    return NULL;
}

static void
watch(gpointer data, gconstpointer state, const SevmigEvent *event, const SevmigActions *actions)
{
    const SevmigSimScenario *scenario = data;

    g_assert_cmpstr(sevmig_control_invariant(state), ==, NULL);
    g_assert_cmpuint(actions->n, <=, SEVMIG_MAX_ACTIONS);
    if (event->type == SEVMIG_EVENT_SWITCHOVER || event->type == SEVMIG_EVENT_COMPLETED) {
        g_assert_cmpuint(actions->n, ==, 0);
        g_assert_cmpint(actions->wake_us, ==, 0);
    }
    for (gsize i = 0; i < actions->n; i++) {
        const SevmigAction *action = &actions->list[i];

        g_assert_cmpstr(sim_test_action_problem(action, &scenario->params), ==, NULL);
        if (g_getenv("SIM_VERBOSE"))
            g_printerr("%9.2f %s=%d: %s\n", (double)event->now_us / 1e6 - 1,
                       sevmig_action_name(action->type), (int)action->value, action->reason);
    }
}

static void
report(const char *who, const SevmigSimScenario *s, const SevmigSimResult *r)
{
    g_test_message("%s %s, seed %u: done %d total %.1f s (first pass %.1f) downtime %.0f ms "
                   "(predicted %.0f, goal %.0f) lost %.1f s throttle %u stun %.0f ms turns %u "
                   "stalled %u",
                   who, s->name, s->seed, r->completed, r->total_s, r->first_pass_s, r->downtime_ms,
                   r->predicted_ms, r->goal_ms, r->lost_s, r->max_throttle_percent,
                   r->longest_stun_ms, r->turns, r->stalled_steps);
}

void
sim_test_run(const SevmigSimScenario *scenario, SevmigSimResult *result)
{
    const SevmigSimRun run = {
        .controller = &sevmig_sim_steered,
        .observer = watch,
        .observer_data = (gpointer)scenario,
    };

    sevmig_sim_run(scenario, &run, result);
    report("steered", scenario, result);
}

void
sim_test_run_unsteered(const SevmigSimScenario *scenario, gboolean auto_converge,
                       SevmigSimResult *result)
{
    const SevmigSimRun run = {.controller = &sevmig_sim_peers[auto_converge ? 1 : 0],
                              .batch_pages = 1};

    sevmig_sim_run(scenario, &run, result);
    report(run.controller->name, scenario, result);
}

void
sim_test_check(const SevmigSimScenario *scenario, const SevmigSimResult *result,
               const SevmigSimResult *unsteered)
{
    g_autofree char *broken = sevmig_sim_check(scenario, result, unsteered);

    g_assert_cmpstr(broken, ==, NULL);
}
