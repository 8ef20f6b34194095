/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure.c - what `lab bench sim` asks of the simulation beyond `sevmigctl simulate`
 *
 * usage: sevmig-simulation-measure --steps FILE.scenario   how long a step of the controller takes
 *        sevmig-simulation-measure --random N SEED         random scenarios, ours against nobody
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
    fprintf(stderr, "usage: %s --steps FILE.scenario | --random N SEED\n", argv[0]);
    return 2;
}
