/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure.c - what `lab bench sim` asks of the simulation beyond `sevmigctl simulate`
 *
 * usage: sevmig-simulation-measure VERB ARGUMENT...
 *
 *   steps FILE.scenario                    how long a step of the controller takes
 *   without FILE.scenario                  ours whole, and without each of its parts
 *   course FILE.scenario CONTROLLER BATCH  a run, sample by sample
 *   curve FILE.scenario                    distinct pages written in a time
 *   random N SEED                          random scenarios, ours against nobody
 *   fleet N SEED TURNS                     N guests that leave together; TURNS 0 or 1, with the
 * arbiter
 *
 * One JSON object a line. Status 1: a random scenario has a problem.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet-guests.h"
#include "plant.h"
#include "random-check.h"
#include "random.h"

#define LOOK_US 500000
#define CURVE_FROM_US 10000.0
#define CURVE_TO_US 100e6
#define CURVE_STEP 1.5
#define STEP_RUNS 5

static int
compare(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static gboolean
load(const char *path, SevmigSimScenario *s)
{
    g_autoptr(GError) error = NULL;

    if (sevmig_sim_scenario_load(path, s, &error))
        return TRUE;
    fprintf(stderr, "%s\n", error->message);
    return FALSE;
}

/* The same run decides the same each time. What a decision takes is the least of its times: the
 * machine, which does other things as well, only adds to it. */
static int
measure_steps(char **arguments)
{
    g_autoptr(GArray) least_ns = g_array_new(FALSE, FALSE, sizeof(double));
    SevmigSimScenario s;

    if (!load(arguments[0], &s))
        return 2;
    for (int i = 0; i < STEP_RUNS; i++) {
        g_autoptr(GArray) step_ns = g_array_new(FALSE, FALSE, sizeof(double));
        const SevmigSimRun ours = {.controller = &sevmig_sim_steered, .step_ns = step_ns};
        SevmigSimResult result;

        sevmig_sim_run(&s, &ours, &result);
        if (i == 0)
            g_array_append_vals(least_ns, step_ns->data, step_ns->len);
        g_assert(step_ns->len == least_ns->len);
        for (guint k = 0; k < step_ns->len; k++)
            g_array_index(least_ns, double, k) =
                MIN(g_array_index(least_ns, double, k), g_array_index(step_ns, double, k));
    }
    g_array_sort(least_ns, compare);
    printf("{\"step_ns_p50\": %.0f, \"step_ns_p99\": %.0f, \"steps\": %u}\n",
           g_array_index(least_ns, double, least_ns->len / 2),
           g_array_index(least_ns, double, (guint)(least_ns->len * 0.99)), least_ns->len);
    return 0;
}

static void
print_without(const SevmigSimScenario *s, const char *part, guint32 without_parts)
{
    const SevmigSimRun run = {.controller = &sevmig_sim_steered, .without_parts = without_parts};
    SevmigSimResult r;

    sevmig_sim_run(s, &run, &r);
    printf("{\"scenario\": \"%s\", \"without\": \"%s\", \"completed\": %s, \"total_ms\": %.3f, "
           "\"downtime_ms\": %.3f, \"downtime_goal_ms\": %.3f, \"guest_lost_ms\": %.3f}\n",
           s->name, part, r.completed ? "true" : "false", r.total_s * 1e3, r.downtime_ms,
           (double)s->params.downtime_goal_us / 1e3, r.lost_s * 1e3);
}

static int
measure_without(char **arguments)
{
    SevmigSimScenario s;

    if (!load(arguments[0], &s))
        return 2;
    print_without(&s, "nothing", 0);
    for (guint i = 0; i < SEVMIG_PART_COUNT; i++)
        print_without(&s, sevmig_part_name((SevmigPart)i), 1u << i);
    return 0;
}

/* Nobody asks for no samples: for this one somebody looks, and does nothing. */
static SevmigPhase
look_only(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    SevmigPhase phase = sevmig_sim_peers[0].step(state, event, actions);

    if (event->type == SEVMIG_EVENT_START || event->type == SEVMIG_EVENT_SAMPLE)
        actions->wake_us = event->now_us + LOOK_US;
    return phase;
}

static void
print_sample(gpointer data, gconstpointer state, const SevmigEvent *event,
             const SevmigActions *actions)
{
    const SevmigSample *s = event->sample;

    if (event->type != SEVMIG_EVENT_SAMPLE)
        return;
    printf("{\"at_us\": %" G_GINT64_FORMAT ", \"remaining_pages\": %" G_GUINT64_FORMAT
           ", \"throttle_percent\": %u, \"batch_pages\": %u}\n",
           event->now_us, s->remaining_pages, s->vcpu_throttle_percent, s->batch_pages);
}

static gboolean
find_controller(const char *name, SevmigSimController *controller)
{
    const SevmigSimController *found = sevmig_sim_controller_find(name);

    if (!found) {
        fprintf(stderr, "no controller is called %s\n", name);
        return FALSE;
    }
    *controller = *found;
    if (found->step == sevmig_sim_peers[0].step)
        controller->step = look_only;
    return TRUE;
}

static int
measure_course(char **arguments)
{
    SevmigSimController controller;
    const SevmigSimRun run = {.controller = &controller,
                              .batch_pages = (guint)strtoul(arguments[2], NULL, 10),
                              .observer = print_sample};
    SevmigSimScenario s;
    SevmigSimResult r;

    if (!find_controller(arguments[1], &controller) || !load(arguments[0], &s))
        return 2;
    sevmig_sim_run(&s, &run, &r);
    printf(
        "{\"completed\": %s, \"total_us\": %.0f, \"downtime_us\": %.0f, \"guest_lost_us\": %.0f}\n",
        r.completed ? "true" : "false", r.total_s * 1e6, r.downtime_ms * 1e3, r.lost_s * 1e6);
    return 0;
}

/* All is sent first, and nothing afterwards: each sync adds what was not written before. */
static int
measure_curve(char **arguments)
{
    const SevmigSimOrder all = {SEVMIG_SIM_EXACT_MOST_PAGES, 0, 1};
    double pages = 0;
    SevmigSimRandom random;
    SevmigSimScenario s;
    SevmigSimPlant plant;

    if (!load(arguments[0], &s))
        return 2;
    sevmig_sim_random_init(&random, s.seed);
    sevmig_sim_plant_init(&plant, &s, &random, TRUE);
    while (plant.memory->remaining > 0) {
        SevmigSimTaken taken = {0};

        plant.memory->ops->take(plant.memory, &all, &taken);
    }
    for (double to_us = CURVE_FROM_US; to_us <= CURVE_TO_US; to_us *= CURVE_STEP) {
        sevmig_sim_guest_run(&plant, to_us - plant.now_us);
        plant.now_us = to_us;
        pages += plant.memory->ops->sync(plant.memory);
        printf("{\"guest_us\": %.0f, \"pages\": %.0f}\n", to_us, pages);
    }
    sevmig_sim_plant_clear(&plant);
    return 0;
}

static int
run_random(char **arguments)
{
    guint n = (guint)strtoul(arguments[0], NULL, 10);
    guint seed = (guint)strtoul(arguments[1], NULL, 10);
    guint failed = 0;

    for (guint i = 0; i < n; i++) {
        g_autofree char *problem = random_check(seed + i);

        if (problem) {
            printf("{\"seed\": %u, \"problem\": \"%s\"}\n", seed + i, problem);
            fflush(stdout);
            failed++;
        }
    }
    return failed > 0;
}

static int
measure_fleet(char **arguments)
{
    guint n = (guint)strtoul(arguments[0], NULL, 10), lone_met;
    guint seed = (guint)strtoul(arguments[1], NULL, 10);
    SevmigSimScenario scenarios[FLEET_MOST];
    SevmigSimResult results[FLEET_MOST];
    SevmigSimFleetResult sum;
    double lone_busy_s;

    if (n < 1 || n > FLEET_MOST)
        return 2;
    fleet_guests_draw(seed, n, scenarios);
    lone_busy_s = fleet_guests_lone_busy_s(scenarios, n, &lone_met);
    sevmig_sim_fleet_run(scenarios, n, strcmp(arguments[2], "0") != 0, results, &sum);
    printf(
        "{\"n\": %u, \"seed\": %u, \"every_page_once_ms\": %.1f, \"serial_bound_ms\": %.1f, "
        "\"makespan_ms\": %.1f, \"mean_completion_ms\": %.1f, \"goals_met_ratio\": %.4f, "
        "\"guest_lost_ms\": %.1f, \"longest_firmware_wait_ms\": %.2f, \"completed_ratio\": %.4f}\n",
        n, seed, sevmig_sim_fleet_bound_s(scenarios, n) * 1e3, lone_busy_s * 1e3,
        sum.makespan_s * 1e3, sum.mean_completion_s * 1e3,
        lone_met > 0 ? (double)sum.met / lone_met : 1, sum.lost_s * 1e3, sum.longest_wait_ms,
        (double)sum.completed / n);
    return 0;
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int arguments;
        int (*run)(char **arguments);
    } verbs[] = {
        {"steps", 1, measure_steps}, {"without", 1, measure_without}, {"course", 3, measure_course},
        {"curve", 1, measure_curve}, {"random", 2, run_random},       {"fleet", 3, measure_fleet},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++) {
        if (argc == 2 + verbs[i].arguments && strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argv + 2);
    }
    fprintf(stderr, "usage: %s VERB ARGUMENT...; verbs are listed in measure.c\n", argv[0]);
    return 2;
}
