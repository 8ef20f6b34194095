/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * simulate.c - scenarios under every controller, one JSON object a line
 *
 * usage: sevmig-simulate FILE.scenario...    each under ours, the oracle and the peers
 *        sevmig-simulate --random N [SEED]   random ones, ours against nobody; says which fail
 *        sevmig-simulate --seed SEED         one of them under every controller
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random-check.h"

static double
number(double value)
{
    return isfinite(value) ? value : 0;
}

static void
print(const SevmigSimScenario *s, const char *controller, const char *batch,
      const SevmigSimResult *r)
{
    printf("{\"scenario\": \"%s\", \"controller\": \"%s\", \"batch\": \"%s\", \"completed\": %s, "
           "\"total_ms\": %.1f, \"first_pass_ms\": %.1f, \"downtime_ms\": %.1f, "
           "\"downtime_goal_ms\": %.1f, \"downtime_predicted_ms\": %.1f, \"guest_lost_ms\": %.1f, "
           "\"longest_stun_ms\": %.2f, \"longest_hold_ms\": %.2f, \"throttle_percent\": %u, "
           "\"batch_pages\": %u, \"bytes\": %.0f}\n",
           s->name, controller, batch, r->completed ? "true" : "false", number(r->total_s * 1e3),
           number(r->first_pass_s * 1e3), number(r->downtime_ms),
           (double)s->params.downtime_goal_us / 1000, number(r->predicted_ms),
           number(r->lost_s * 1e3), number(r->longest_stun_ms), number(r->longest_hold_ms),
           r->max_throttle_percent, r->batch_pages, number(r->bytes));
    fflush(stdout);
}

static void
run_all(const SevmigSimScenario *s, GArray *step_ns)
{
    const SevmigSimRun ours = {.controller = &sevmig_sim_steered, .step_ns = step_ns};
    SevmigSimResult result;
    guint largest;

    sevmig_sim_run(s, &ours, &result);
    print(s, "sevmig", "chosen", &result);
    largest = result.batch_pages;
    sevmig_sim_oracle(s, &result);
    print(s, "oracle", "chosen", &result);
    for (const SevmigSimController *peer = sevmig_sim_peers; peer->name; peer++) {
        const SevmigSimRun runs[] = {{.controller = peer, .batch_pages = 1},
                                     {.controller = peer, .batch_pages = largest}};

        for (guint i = 0; i < G_N_ELEMENTS(runs); i++) {
            sevmig_sim_run(s, &runs[i], &result);
            print(s, peer->name, i == 0 ? "1" : "largest", &result);
        }
    }
}

static int
compare(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static int
run_files(int n, char **paths)
{
    g_autoptr(GArray) step_ns = g_array_new(FALSE, FALSE, sizeof(double));

    for (int i = 0; i < n; i++) {
        g_autoptr(GError) error = NULL;
        SevmigSimScenario s;

        if (!sevmig_sim_scenario_load(paths[i], &s, &error)) {
            fprintf(stderr, "%s\n", error->message);
            return 2;
        }
        run_all(&s, step_ns);
    }
    if (step_ns->len == 0)
        return 2;
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
    printf("{\"random\": %u, \"first_seed\": %u, \"failed\": %u}\n", n, seed, failed);
    return failed > 0;
}

int
main(int argc, char **argv)
{
    if (argc >= 3 && strcmp(argv[1], "--random") == 0)
        return run_random((guint)strtoul(argv[2], NULL, 10),
                          argc > 3 ? (guint)strtoul(argv[3], NULL, 10) : 1);
    if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
        SevmigSimScenario s;

        sevmig_sim_scenario_random((guint)strtoul(argv[2], NULL, 10), &s);
        run_all(&s, NULL);
        return 0;
    }
    if (argc < 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: %s FILE.scenario... | --random N [SEED] | --seed SEED\n", argv[0]);
        return 2;
    }
    return run_files(argc - 1, argv + 1);
}
