/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plant.h - a guest that writes, a firmware that serves, and QEMU's migration loop between them
 *
 * QEMU: submissions one after the other; every 50 ms, or when nothing is left, it compares what
 * remains with its bandwidth times the downtime limit, syncs the bitmap when that looks low, and
 * stops the guest when it still is. What the patched QEMU adds is in the tune.
 */
#ifndef SEVMIG_SIM_PLANT_H
#define SEVMIG_SIM_PLANT_H

#include "memory.h"

#define SEVMIG_SIM_EXACT_MOST_PAGES (1 << 17) /* 512 MiB: below, page by page is fast enough */

typedef struct {
    guint batch_pages, gap_pages;
    guint throttle_percent;
    guint vcpu_throttle_percent[SEVMIG_SIM_MAX_VCPUS];
    double slice_us, sync_interval_us, limit_us;
    SevmigSwitchover switchover;
    gboolean hold_sending;
} SevmigSimTune;

typedef struct {
    const SevmigSimScenario *scenario;
    SevmigSimRandom *random;
    SevmigSimMemory *memory;
    double now_us;
    gboolean stop; /* QEMU stops the guest now */
    SevmigSimTune tune;
    /* the guest */
    double cpu_us[SEVMIG_SIM_MAX_VCPUS], throttled_us[SEVMIG_SIM_MAX_VCPUS];
    double written[SEVMIG_SIM_MAX_VCPUS];
    double sync_cpu_us; /* since the sync */
    /* the firmware and the link */
    SevmigSimTaken sent;
    double bytes, service_us, wait_us, channel_us;
    double longest_hold_us;
    gboolean ran_out;       /* the newest sync found nothing left */
    double last_pages;      /* of the last submission, ... */
    double last_service_us; /* ... which the destination still has to do */
    double submission_us;   /* newest, a submission */
    double link_factor, link_until_us;
    /* QEMU's loop */
    double credit_us; /* time to send with; below 0: a submission is under way */
    double turn_us;   /* when this turn of the loop began */
    double bandwidth, bandwidth_from_us, bandwidth_bytes;
    guint64 sync_count;
    double sync_us, sync_dirtied, sync_interval_us, sync_guest_cpu_us;
    double pass_us, first_pass_us;
    guint64 pass_seen;
    /* auto-converge */
    double auto_us, auto_bytes, auto_dirtied;
    guint auto_high;
} SevmigSimPlant;

void sevmig_sim_plant_init(SevmigSimPlant *self, const SevmigSimScenario *scenario,
                           SevmigSimRandom *random, gboolean exact);
/* What if: goes its own way from here; `random` becomes the clone's. */
void sevmig_sim_plant_clone(const SevmigSimPlant *self, SevmigSimRandom *random,
                            SevmigSimPlant *clone);
void sevmig_sim_plant_clear(SevmigSimPlant *self);

/* Runs until then, or until `stop`. */
void sevmig_sim_plant_advance(SevmigSimPlant *self, double until_us);

/* Stop-and-copy; returns its duration as QEMU measures it. */
double sevmig_sim_plant_finish(SevmigSimPlant *self);

/* What QEMU starts from, and returns to when a lease ends. */
void sevmig_sim_tune_default(SevmigSimTune *tune, const SevmigSimScenario *scenario);

guint sevmig_sim_plant_throttle_of(const SevmigSimPlant *self, guint vcpu);
/* The longest stop of a vCPU under that throttle. */
double sevmig_sim_plant_stun_us(const SevmigSimPlant *self, guint percent);

/*
 * guest.c
 */

/* The guest runs for that long. */
void sevmig_sim_guest_run(SevmigSimPlant *self, double us);
/* When its load changes next; INFINITY: never. */
double sevmig_sim_guest_edge_us(const SevmigSimPlant *self);

/*
 * service.c
 */

/* Takes submissions off the bitmap and returns what they cost. */
double sevmig_sim_serve(SevmigSimPlant *self, double submissions);

#endif
