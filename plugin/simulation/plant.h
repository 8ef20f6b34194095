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
    gboolean paused;
} SevmigSimTune;

/* The firmware of a host, where several plants share it: one queue, first come first served. Its
 * users must come in the order of time. */
typedef struct {
    double free_us;      /* when all that has come so far is served */
    double busy_us;      /* so much it has served */
    double most_wait_us; /* the longest that anyone coming would have had to wait */
} SevmigSimFirmware;

typedef struct {
    const SevmigSimScenario *scenario;
    SevmigSimFirmware *shared; /* NULL: a firmware of its own */
    SevmigSimRandom *random;
    SevmigSimMemory *memory;
    double now_us;
    gboolean stop; /* QEMU stops the guest now */
    SevmigSimTune tune;
    /* the guest */
    double cpu_us[SEVMIG_SIM_MAX_VCPUS], throttled_us[SEVMIG_SIM_MAX_VCPUS];
    double written[SEVMIG_SIM_MAX_VCPUS];
    double paused_us;
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

/* The guest stops, and what it dirtied is found; sevmig_sim_plant_finish() begins with it. */
void sevmig_sim_plant_halt(SevmigSimPlant *self);

/* What follows the last submission of a stop-and-copy. */
double sevmig_sim_plant_rest_us(const SevmigSimPlant *self);

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

/* Takes submissions off the bitmap, the first at that time, and returns what they cost. One at a
 * time where the firmware is shared. */
double sevmig_sim_serve(SevmigSimPlant *self, double submissions, double at_us);

#endif
