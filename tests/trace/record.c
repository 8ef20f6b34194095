/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * record.c - writes the golden traces that come from the simulation
 *
 * usage: record DIRECTORY
 *
 * Run by hand, when the set of scenarios changes; the files are then kept current with
 * `replay --update`. Golden traces from real migrations are simply recorder files.
 */
#include <glib.h>
#include <stdio.h>

#include "sevmig-simulation.h"
#include "sevmig-trace.h"

static const struct {
    const char *name;
    SevmigSimPhase load;
    guint vcpus;
    SevmigOnStall on_stall;
    bool observe;
    guint64 downtime_max_us;
    gboolean faults;
} courses[] = {
    {"idle", {.working_set_pages = 100, .writes_per_s = 50, .busy = 0.02}, 1},
    {"paced-biting",
     {.working_set_pages = 30000, .writes_per_s = 30000, .pace = SEVMIG_SIM_PACED, .busy = 0.18},
     1},
    {"flat-out", {.working_set_pages = 25000, .writes_per_s = 120000, .busy = 1}, 1},
    {"one-writer-of-three", {.working_set_pages = 25000, .writes_per_s = 60000, .busy = 1}, 3},
    {"unresponsive-relaxed",
     {.working_set_pages = 20000, .writes_per_s = 30000, .pace = SEVMIG_SIM_BY_WALL, .busy = 1},
     1,
     SEVMIG_ON_STALL_RELAX,
     .downtime_max_us = 3000000},
    {"hopeless-aborted",
     {.working_set_pages = 32000, .writes_per_s = 2000000, .busy = 1},
     1,
     SEVMIG_ON_STALL_ABORT},
    {"hopeless-paused",
     {.working_set_pages = 32000, .writes_per_s = 2000000, .busy = 1},
     1,
     SEVMIG_ON_STALL_PAUSE,
     .downtime_max_us = 60000000},
    {"observed",
     {.working_set_pages = 3000, .writes_per_s = 4000, .busy = 0.5},
     1,
     .observe = true},
    {"bad-messages",
     {.working_set_pages = 25000, .writes_per_s = 60000, .busy = 1},
     1,
     .faults = TRUE},
};

static void
record(gpointer data, gconstpointer state, const SevmigEvent *event, const SevmigActions *actions)
{
    g_autofree char *line = NULL;
    SevmigView view;

    sevmig_control_view(state, &view);
    line = sevmig_trace_format_step(event, actions, &view);
    fputs(line, data);
}

static void
run(gsize i, FILE *file)
{
    SevmigSimRun run = {
        .controller = &sevmig_sim_steered, .observer = record, .observer_data = file};
    SevmigTraceHeader header = {
        .domain = (char *)courses[i].name, .policy = (char *)"test", .uuid = (char *)""};
    g_autofree char *line = NULL;
    SevmigSimScenario s;
    SevmigSimResult result;

    sevmig_sim_scenario_default(&s);
    s.pages = 32768;
    s.page_us = 50.15;
    s.max_batch_pages = 1024;
    s.device_us = 40000;
    s.limit_s = 20;
    s.phases[0] = courses[i].load;
    s.vcpus = courses[i].vcpus;
    s.reports_vcpu_dirty = s.params.throttle_per_vcpu = s.vcpus > 1;
    s.params.on_stall = courses[i].on_stall;
    s.params.downtime_max_us = courses[i].downtime_max_us;
    s.params.observe_only = courses[i].observe;
    if (courses[i].faults) {
        s.miss_every = 5;
        s.corrupt_every = 7;
        s.lease_expires_at = 25;
    }
    header.params = s.params;
    line = sevmig_trace_format_header(&header);
    fputs(line, file);
    sevmig_sim_run(&s, &run, &result);
    printf("%s: %u steps, %s\n", courses[i].name, result.steps, sevmig_phase_name(result.phase));
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(courses); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s.trace", argv[1], courses[i].name);
        FILE *file = fopen(path, "w");

        if (!file) {
            perror(path);
            return 1;
        }
        run(i, file);
        fclose(file);
    }
    return 0;
}
