/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * shape.h - what commands and runs come of pages that are dirty at random with a given density
 *
 * Going up from a dirty block, the next one is dirty with probability q (the density), so lengths
 * of runs are geometric. A command ends after max_command pages, at a gap wider than allowed, at a
 * neighbour that is elsewhere on the host, and with its submission. The recursion over what is left
 * of submission and command is exact for such memory.
 */
#ifndef SEVMIG_SIM_SHAPE_H
#define SEVMIG_SIM_SHAPE_H

#include "memory.h"

#define SEVMIG_SIM_DENSITIES 257

typedef struct {
    double dirty; /* pages a submission takes off the bitmap */
    double commands;
    double gap_pages;
    gboolean known;
} SevmigSimShape;

/* Shapes by density, computed as they are needed; empty for another order. */
typedef struct {
    guint batch_pages, gap_pages;
    SevmigSimShape list[SEVMIG_SIM_DENSITIES];
} SevmigSimShapes;

const SevmigSimShape *sevmig_sim_shape(SevmigSimShapes *self, const SevmigSimScenario *scenario,
                                       const SevmigSimOrder *order, double density);

/* Adds the runs of `pages` dirty pages at that density. */
void sevmig_sim_shape_runs(const SevmigSimScenario *scenario, double density, double pages,
                           double *runs);

#endif
