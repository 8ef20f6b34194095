/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vcpus.h - how much each vCPU wants to run, and what a throttle would leave it
 *
 * A vCPU that is busy for a fraction u of the time loses nothing to a throttle below 1 - u: it
 * sleeps anyway. So the guest runs at the rate
 *     c(p) = sum of min(u_i, 1 - p)
 * in CPU seconds a second, each vCPU weighted by its share of the dirtied pages where that is known
 * (a busy vCPU that writes nothing is no reason to throttle).
 */
#ifndef SEVMIG_VCPUS_H
#define SEVMIG_VCPUS_H

#include "sevmig-control.h"

#define SEVMIG_PERCENTS 100

typedef struct {
    bool known; /* two samples seen */
    size_t n;
    uint32_t cpu_index[SEVMIG_MAX_VCPUS]; /* QEMU's; may have holes */
    uint64_t cpu_us[SEVMIG_MAX_VCPUS];
    uint64_t throttled_us[SEVMIG_MAX_VCPUS];
    uint64_t dirtied_pages[SEVMIG_MAX_VCPUS];
    float busy[SEVMIG_MAX_VCPUS]; /* u: 0..1 */
    float rate[SEVMIG_MAX_VCPUS]; /* pages a second, smoothed; 0 where not known */
    bool has_rate;                /* every vCPU reports its dirtied pages */
    double first_throttled_us;    /* sum at the first sample */
    double lost_us;               /* mean over the vCPUs of the time kept from running since then */
    double used_us;               /* CPU time of all between the newest two samples */
    double running;               /* measured c, smoothed */
    double most_busy;
    unsigned throttle_percent;       /* the highest in force, whoever set it */
    double gain;                     /* measured over computed c under throttle */
    double leak;                     /* time left over time asked to be left, under throttle */
    double rate_at[SEVMIG_PERCENTS]; /* c(p), gain not applied */
} SevmigVcpus;

void sevmig_vcpus_init(SevmigVcpus *self);

/* Takes a sample that is `interval_us` younger than the one before (0: no rate can be computed).
 * False when a counter fell: nothing was taken. */
bool sevmig_vcpus_learn(SevmigVcpus *self, const SevmigSample *sample, double interval_us);

/* c(p) in CPU seconds a second; 1 - p of one always busy vCPU while nothing is known. */
double sevmig_vcpus_running(const SevmigVcpus *self, unsigned percent);

/* The least percent below which no vCPU loses anything. */
unsigned sevmig_vcpus_biting_percent(const SevmigVcpus *self);

/* True for those that dirty a noticeable share; all when that is not known. */
bool sevmig_vcpus_is_writer(const SevmigVcpus *self, size_t index);

#endif
