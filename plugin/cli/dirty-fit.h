/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dirty-fit.h - the simulated load that dirties as many pages as were found dirty
 */
#ifndef SEVMIGCTL_DIRTY_FIT_H
#define SEVMIGCTL_DIRTY_FIT_H

#include <glib.h>

#include "sevmig-simulation.h"

/* What one sync of the bitmap found: pages dirtied since the one before, and how long that was. */
typedef struct {
    double cpu_us; /* for each vCPU that writes */
    double wall_us;
    double pages;
} DirtyPoint;

/* The load closest to the points, among those of one range of memory: pattern, exponent, working
 * set of at most `most_pages`, rate and pace of `phase` are set. Without points nothing is written.
 */
void dirty_fit(const DirtyPoint *points, guint n, guint64 most_pages, SevmigSimPhase *phase);

/* Different pages of such a load in that much time of the clock, unthrottled. */
double dirty_fit_pages(const SevmigSimPhase *phase, double wall_s);

#endif
