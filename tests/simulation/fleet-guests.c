/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fleet-guests.h"

#include "random.h"

#define MIB_PAGES ((1 << 20) / SEVMIG_SIM_PAGE_BYTES)
#define LEAST_MIB 64
#define MOST_MIB 512
#define GOAL_US 300000

void
fleet_guests_draw(guint seed, guint n, SevmigSimScenario *scenarios)
{
    static const char *const names[] = {"idle", "paced", "uniform", "zipf", "scan", "one-writer"};
    SevmigSimRandom random;

    sevmig_sim_random_init(&random, seed);
    for (guint i = 0; i < n; i++) {
        const char *name = names[sevmig_sim_random_below(&random, G_N_ELEMENTS(names))];
        guint64 mib = LEAST_MIB + sevmig_sim_random_below(&random, MOST_MIB - LEAST_MIB + 1);
        g_autoptr(GError) error = NULL;

        sevmig_sim_workload_fill(sevmig_sim_workload_find(name), mib * MIB_PAGES, &scenarios[i]);
        scenarios[i].params.downtime_goal_us = GOAL_US;
        scenarios[i].seed = seed + i;
        if (!sevmig_sim_scenario_check(&scenarios[i], &error))
            g_error("%s: %s", name, error->message);
    }
}

double
fleet_guests_lone_busy_s(const SevmigSimScenario *scenarios, guint n, guint *met)
{
    double busy_s = 0;

    *met = 0;
    for (guint i = 0; i < n; i++) {
        SevmigSimFleetResult one;
        SevmigSimResult result;

        sevmig_sim_fleet_run(&scenarios[i], 1, FALSE, &result, &one);
        busy_s += one.busy_s;
        *met += one.met;
    }
    return busy_s;
}
