/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* workload.c - typical guests by name, in any size */
#include "sevmig-simulation.h"

#include <string.h>

#define GIB_PAGES ((double)(1 << 30) / SEVMIG_SIM_PAGE_BYTES)
#define ROUND_PAGES 16

const SevmigSimWorkload sevmig_sim_workloads[] = {
    {"idle",
     "an idle system: timers and logs",
     {1.0 / 128},
     {"load.writes-per-s=50", "load.pace=paced", "load.busy=0.02"}},
    {"paced",
     "a service that sleeps most of the time: throttle bites late",
     {1.0 / 8},
     {"load.writes-per-s=1500", "load.pace=paced", "load.busy=0.15"}},
    {"uniform",
     "writes at random over an eighth of memory, as fast as it can",
     {1.0 / 8},
     {"load.writes-per-s=4000"}},
    {"zipf",
     "a database: few pages are written often, most of half the memory seldom",
     {1.0 / 2},
     {"load.pattern=zipf", "load.zipf-exponent=1.1", "load.writes-per-s=4000"}},
    {"scan",
     "rewrites buffers of 32 KiB over a quarter of memory, one after the other",
     {1.0 / 4},
     {"guest.block-pages=8", "load.pattern=scan", "load.writes-per-s=2000"}},
    {"bursty",
     "five seconds of writing in every twenty",
     {1.0 / 16},
     {"load.writes-per-s=8000", "load.burst-period-s=20", "load.burst-share=0.25"}},
    {"phases",
     "quiet until the first pass is nearly over, then busy",
     {1.0 / 64, 1.0 / 8},
     {"load.writes-per-s=200", "load 2.from-s=120", "load 2.writes-per-s=4000"}},
    {"one-writer",
     "eight busy vCPUs, of which one writes",
     {1.0 / 8},
     {"guest.vcpus=8", "guest.reports-vcpu-dirty=true", "load.writes-per-s=4000"}},
    {"unresponsive",
     "a device writes, whatever the vCPUs do",
     {1.0 / 32},
     {"load.writes-per-s=1500", "load.pace=wall"}},
    {"wide",
     "writes at random over three quarters of memory",
     {3.0 / 4},
     {"load.writes-per-s=3000"}},
    {NULL, NULL, {0}, {NULL}},
};

const SevmigSimWorkload *
sevmig_sim_workload_find(const char *name)
{
    for (const SevmigSimWorkload *row = sevmig_sim_workloads; row->name; row++) {
        if (strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

void
sevmig_sim_workload_fill(const SevmigSimWorkload *self, guint64 pages, SevmigSimScenario *scenario)
{
    sevmig_sim_scenario_default(scenario);
    g_strlcpy(scenario->name, self->name, sizeof(scenario->name));
    scenario->pages = pages;
    for (guint i = 0; self->assignments[i]; i++) {
        g_autoptr(GError) error = NULL;

        if (!sevmig_sim_scenario_assign(scenario, self->assignments[i], &error))
            g_error("workload %s: %s", self->name, error->message); /* the table above */
    }
    for (guint i = 0; i < scenario->n_phases; i++) {
        SevmigSimPhase *phase = &scenario->phases[i];
        guint64 working_set = (guint64)((double)pages * self->working_set_share[i]);

        phase->working_set_pages = MAX(working_set / ROUND_PAGES, 1) * ROUND_PAGES;
        phase->from_s *= (double)pages / GIB_PAGES; /* the table is for 1 GiB */
    }
}
