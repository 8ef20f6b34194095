/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * record.c - writes the golden traces that come from the plant model
 *
 * usage: record DIRECTORY
 *
 * Run by hand, when the set of scenarios changes; the files are then kept current with
 * `replay --update`. Golden traces from real migrations are simply recorder files.
 */
#include <glib.h>
#include <stdio.h>

#include "plant.h"

#define GUEST                                                                                      \
    .pages = 32768, .page_us = 50.15, .submit_share = 0.5, .extra_us = 10, .device_us = 40000,     \
    .max_batch = 1024

static const struct {
    PlantConfig plant;
    SevmigOnStall on_stall;
    gboolean per_vcpu, observe;
    guint64 downtime_max_us;
    PlantFaults faults;
} scenarios[] = {
    {.plant = {GUEST, .name = "idle", .vcpus = 1, .working_set = 100, .writes_per_s = 50,
               .busy = 0.02}},
    {.plant = {GUEST, .name = "paced-biting", .vcpus = 1, .working_set = 30000,
               .writes_per_s = 30000, .pace = PLANT_WRITES_PACED, .busy = 0.18}},
    {.plant = {GUEST, .name = "flat-out", .vcpus = 1, .working_set = 25000, .writes_per_s = 120000,
               .busy = 1}},
    {.plant = {GUEST, .name = "one-writer-of-three", .vcpus = 3, .working_set = 25000,
               .writes_per_s = 60000, .busy = 1, .vcpu_dirty = TRUE},
     .per_vcpu = TRUE},
    {.plant = {GUEST, .name = "unresponsive-relaxed", .vcpus = 1, .working_set = 20000,
               .writes_per_s = 30000, .pace = PLANT_WRITES_BY_WALL, .busy = 1},
     .on_stall = SEVMIG_ON_STALL_RELAX,
     .downtime_max_us = 3000000},
    {.plant = {GUEST, .name = "hopeless-aborted", .vcpus = 1, .working_set = 32000,
               .writes_per_s = 2000000, .busy = 1},
     .on_stall = SEVMIG_ON_STALL_ABORT},
    {.plant = {GUEST, .name = "observed", .vcpus = 1, .working_set = 3000, .writes_per_s = 4000,
               .busy = 0.5},
     .observe = TRUE},
    {.plant = {GUEST, .name = "bad-messages", .vcpus = 1, .working_set = 25000,
               .writes_per_s = 60000, .busy = 1},
     .faults = {.miss_every = 5, .corrupt_every = 7, .lease_expires_at = 25}},
};

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(scenarios); i++) {
        g_autofree char *path = g_strdup_printf("%s/%s.trace", argv[1], scenarios[i].plant.name);
        PlantFaults faults = scenarios[i].faults;
        SevmigControlParams params;
        PlantResult result;

        sevmig_control_params_default(&params);
        params.downtime_goal_us = 300000;
        params.downtime_max_us = scenarios[i].downtime_max_us;
        params.on_stall = scenarios[i].on_stall;
        params.throttle_per_vcpu = scenarios[i].per_vcpu;
        params.observe_only = scenarios[i].observe;
        faults.record = fopen(path, "w");
        if (!faults.record) {
            perror(path);
            return 1;
        }
        plant_run(&scenarios[i].plant, &params, &faults, 1, 20, &result);
        fclose(faults.record);
        printf("%s: %u steps, %s\n", path, result.steps, sevmig_phase_name(result.phase));
    }
    return 0;
}
