/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lull.h - does the guest work in bursts?
 *
 * A guest that was quiet for a while, and then busy, is likely to be quiet again: a pass that fits
 * into such a lull needs no throttle. Spells are told by the CPU time used, and only while nobody
 * takes any from the guest.
 */
#ifndef SEVMIG_LULL_H
#define SEVMIG_LULL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    double most_running; /* CPU seconds a second, the highest seen; fades */
    bool quiet;
    bool whole; /* the spell under way was seen to begin */
    int64_t since_us;
    int64_t quiet_us; /* the newest whole spell of each kind; 0: none seen */
    int64_t busy_us;
} SevmigLull;

void sevmig_lull_learn(SevmigLull *self, int64_t now_us, double running);

/* The guest is throttled or nothing is known: the spell under way tells nothing. */
void sevmig_lull_interrupt(SevmigLull *self);

/* How long the next lull, or what is left of this one, is to last, and how long it is until then.
 * False when none is to be expected. */
bool sevmig_lull_expected(const SevmigLull *self, int64_t now_us, double *wait_us, double *lull_us);

#endif
