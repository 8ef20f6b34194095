/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.h - which pages the guest has dirtied, and how they are taken for encryption
 *
 * Two implementations of one interface, which a test holds against each other:
 *   exact    a byte a page. The truth; its cost grows with the writes.
 *   grouped  expectation values for groups of pages that are written alike. Its cost does not
 *            depend on the size of the guest. What it approximates is said in memory-grouped.c.
 *
 * As in QEMU there are two sets: the pages to be sent (the bitmap), and those written since the
 * last sync (the log), which a sync adds to the former. Pages are taken in address order; behind
 * the last one the next pass begins.
 */
#ifndef SEVMIG_SIM_MEMORY_H
#define SEVMIG_SIM_MEMORY_H

#include "random.h"
#include "sevmig-simulation.h"

/* What was taken. Fractions are expectation values. */
typedef struct {
    double submissions;
    double commands;
    double pages; /* gap pages included */
    double gap_pages;
    double runs[SEVMIG_RUN_BUCKETS]; /* dirty runs by length, as QEMU counts them */
} SevmigSimTaken;

typedef struct {
    guint batch_pages;
    guint gap_pages;
    double submissions; /* at most so many */
} SevmigSimOrder;

typedef struct SevmigSimMemory SevmigSimMemory;

typedef struct {
    void (*free)(SevmigSimMemory *self);
    SevmigSimMemory *(*clone)(const SevmigSimMemory *self, SevmigSimRandom *random);
    /* The guest writes so many pages in that phase of the load. */
    void (*write)(SevmigSimMemory *self, guint phase, double pages);
    /* Returns how many pages that were clean are to be sent now. */
    double (*sync)(SevmigSimMemory *self);
    /* Adds to `taken`. At least one submission, unless nothing is left. */
    void (*take)(SevmigSimMemory *self, const SevmigSimOrder *order, SevmigSimTaken *taken);
} SevmigSimMemoryOps;

struct SevmigSimMemory {
    const SevmigSimMemoryOps *ops;
    double remaining; /* pages to be sent */
    guint64 passes;   /* finished */
};

SevmigSimMemory *sevmig_sim_memory_new_exact(const SevmigSimScenario *scenario,
                                             SevmigSimRandom *random);
SevmigSimMemory *sevmig_sim_memory_new_grouped(const SevmigSimScenario *scenario);

/* The continuous Zipf distribution over ranks 1..n both use: its share below `rank`, and back. */
double sevmig_sim_zipf_share(double rank, double n, double exponent);
double sevmig_sim_zipf_rank(double share, double n, double exponent);

#endif
