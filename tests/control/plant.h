/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plant.h - a small model of what the controller steers: guest, firmware, QEMU's migration loop
 *
 * Page by page and seeded: a guest that writes, a bitmap that is synced, a firmware that serves
 * submissions one after the other, and QEMU's decision to switch over (bandwidth x limit after a
 * sync). Compact on purpose; it is no substitute for the lab.
 */
#ifndef TEST_PLANT_H
#define TEST_PLANT_H

#include <glib.h>
#include <stdio.h>

#include "sevmig-control.h"

typedef enum {
    PLANT_WRITES_BY_CPU,  /* writes_per_s of CPU time */
    PLANT_WRITES_PACED,   /* writes_per_s of wall time while the CPU left allows it (busy share) */
    PLANT_WRITES_BY_WALL, /* whatever the vCPUs do: DMA */
} PlantPace;

typedef struct {
    const char *name;
    guint pages;
    guint working_set; /* pages written to */
    guint hot_percent; /* of the working set, ... */
    guint hot_writes;  /* ... takes this share of the writes, percent; 0: uniform */
    PlantPace pace;
    double writes_per_s; /* at full speed */
    double busy;         /* share of a CPU that each vCPU wants */
    guint vcpus;         /* only the first writes */
    double page_us;      /* 1.003 ms over the time scale */
    double submit_share; /* f: fixed cost's share, halved between submission and command */
    double extra_us;     /* QEMU's own work per page */
    double device_us;    /* of a switchover, beside memory */
    guint max_batch;
    gboolean auto_converge;
    double slack_us;          /* a vCPU runs on for so long in every slice */
    gboolean vcpu_dirty;      /* report dirtied pages per vCPU */
    double stop_writing_at_s; /* the load changes phase: 0 never */
} PlantConfig;

typedef struct {
    gboolean completed, aborted, paused;
    double total_s;
    double first_pass_s;
    double downtime_ms;
    double predicted_ms; /* at the last sample */
    double lost_s;       /* time kept from running, mean over vCPUs, without downtime */
    guint max_throttle;
    double longest_stun_ms;
    double longest_hold_ms;
    guint throttle_changes; /* raises after a lowering and the reverse */
    guint64 goal_us;        /* in force at the end */
    double pages_sent;
    guint steps;
    double step_ns; /* mean */
    double step_worst_ns;
    SevmigPhase phase;
    guint notes;
    guint stalled; /* steps spent so */
} PlantResult;

/* What a run does to the messages between plant and controller. */
typedef struct {
    guint miss_every;       /* every n-th tick has no sample; 0: none */
    guint corrupt_every;    /* every n-th sample is impossible */
    guint lease_expires_at; /* tick; 0: never */
    FILE *record;           /* NULL, or where every step is written as a trace */
} PlantFaults;

/* One migration under these parameters (NULL: nobody steers), at most limit_s of model time. */
void plant_run(const PlantConfig *config, const SevmigControlParams *params,
               const PlantFaults *faults, guint seed, double limit_s, PlantResult *result);

#endif
