/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dirty.h - how many distinct pages the guest dirties in a given time of running
 *
 * D(t): distinct private pages dirtied in guest CPU time t. Concave, not falling, D(0) = 0, at most
 * all of memory. Each bitmap sync gives one point of it; throttling moves along the curve, because
 * it takes CPU time from the guest.
 */
#ifndef SEVMIG_DIRTY_H
#define SEVMIG_DIRTY_H

#include "sevmig-control.h"

#define SEVMIG_DIRTY_POINTS 36 /* one per power of two of microseconds: up to 19 hours */

typedef struct {
    float log_t[SEVMIG_DIRTY_POINTS];    /* log2 of guest CPU microseconds */
    float log_d[SEVMIG_DIRTY_POINTS];    /* log2 of pages */
    float exponent[SEVMIG_DIRTY_POINTS]; /* from the point before, or from nothing, to this one */
    float exponent_above;                /* beyond the last one */
    uint64_t have;                       /* bit i: point i exists */
    double most_pages;
    unsigned points; /* taken so far */
} SevmigDirty;

void sevmig_dirty_init(SevmigDirty *self);

/* Pages that exist at all; D never exceeds it. */
void sevmig_dirty_set_most(SevmigDirty *self, double pages);

/* Takes one measured point; the older ones are pulled to where a concave curve through it allows.
 */
void sevmig_dirty_learn(SevmigDirty *self, double guest_cpu_us, double pages);

/* Forgets every point. */
void sevmig_dirty_forget(SevmigDirty *self);

/* False until the first point. */
bool sevmig_dirty_known(const SevmigDirty *self);

/* D(t); 0 while nothing is known. */
double sevmig_dirty_pages(const SevmigDirty *self, double guest_cpu_us);

/* The longest guest CPU time that dirties no more than `pages`; INFINITY while nothing is known. */
double sevmig_dirty_time_us(const SevmigDirty *self, double pages);

#endif
