/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure.c - what `lab bench sim` asks of the simulation beyond `sevmigctl simulate`
 *
 * usage: sevmig-simulation-measure --steps FILE.scenario   how long a step of the controller takes
 *        sevmig-simulation-measure --without FILE.scenario  ours whole, and without each of its
 * parts sevmig-simulation-measure --random N SEED         random scenarios, ours against nobody
 *
 * One JSON object a line. Status 1: a random scenario has a problem.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random-check.h"

static int
compare(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int
measure_steps(const char *path)
{
    g_autoptr(GArray) step_ns = g_array_new(FALSE, FALSE, sizeof(double));
    const SevmigSimRun ours = {.controller = &sevmig_sim_steered, .step_ns = step_ns};
    g_autoptr(GError) error = NULL;
    SevmigSimScenario s;
    SevmigSimResult result;

    if (!sevmig_sim_scenario_load(path, &s, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 2;
    }
    sevmig_sim_run(&s, &ours, &result);
    g_array_sort(step_ns, compare);
    printf("{\"step_ns_p50\": %.0f, \"step_ns_p99\": %.0f, \"steps\": %u}\n",
           g_array_index(step_ns, double, step_ns->len / 2),
           g_array_index(step_ns, double, (guint)(step_ns->len * 0.99)), step_ns->len);
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
measure_without(const char *path)
{
    g_autoptr(GError) error = NULL;
    SevmigSimScenario s;

    if (!sevmig_sim_scenario_load(path, &s, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 2;
    }
    print_without(&s, "nothing", 0);
    for (guint i = 0; i < SEVMIG_PART_COUNT; i++)
        print_without(&s, sevmig_part_name((SevmigPart)i), 1u << i);
    return 0;
}

static int
run_random(guint n, guint seed)
{
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

int
main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--random") == 0)
        return run_random((guint)strtoul(argv[2], NULL, 10), (guint)strtoul(argv[3], NULL, 10));
    if (argc == 3 && strcmp(argv[1], "--steps") == 0)
        return measure_steps(argv[2]);
    if (argc == 3 && strcmp(argv[1], "--without") == 0)
        return measure_without(argv[2]);
    fprintf(stderr, "usage: %s --steps|--without FILE.scenario | --random N SEED\n", argv[0]);
    return 2;
}
