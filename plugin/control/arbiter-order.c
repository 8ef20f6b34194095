/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arbiter-order.c - who goes first
 *
 * From the end: of all work that remains to be placed, that ends last which nothing forbids. Among
 * those whose deadline lies behind that end, the longest: with deadlines that can all be kept, this
 * keeps them all with the least mean time to the end (Smith's rule for one machine). Where none can
 * be last in time, not all can be kept, and the longest costs the fewest.
 */
#include "sevmig-arbiter.h"

#include <math.h>

typedef struct {
    const SevmigArbiterJob *jobs;
    size_t n;
    bool placed[SEVMIG_ARBITER_MOST];
} Left;

static double
newest_arrival(const Left *left)
{
    double newest = -INFINITY;

    for (size_t i = 0; i < left->n; i++) {
        if (!left->placed[i])
            newest = fmax(newest, left->jobs[i].arrived_us);
    }
    return newest;
}

/* Whether `a` rather than `b` should be last at `end_us`. */
static bool
is_rather_last(const SevmigArbiterJob *a, const SevmigArbiterJob *b, double end_us)
{
    bool a_in_time = a->due_us >= end_us, b_in_time = b->due_us >= end_us;

    if (a->priority != b->priority)
        return a->priority < b->priority;
    if (a_in_time != b_in_time)
        return a_in_time;
    if (a->rank_us < b->rank_us || a->rank_us > b->rank_us)
        return a->rank_us > b->rank_us;
    return a->arrived_us >= b->arrived_us;
}

/* The newest arrival never has another behind its fence, so there always is one. */
static size_t
find_last(const Left *left, double end_us)
{
    double newest = newest_arrival(left);
    size_t last = left->n;

    for (size_t i = 0; i < left->n; i++) {
        const SevmigArbiterJob *job = &left->jobs[i];

        if (left->placed[i] || (newest > job->fence_us && newest > job->arrived_us))
            continue;
        if (last == left->n || is_rather_last(job, &left->jobs[last], end_us))
            last = i;
    }
    return last;
}

void
sevmig_arbiter_order(const SevmigArbiterJob *jobs, size_t n, size_t *order)
{
    Left left = {.jobs = jobs, .n = n};
    double end_us = 0;

    for (size_t i = 0; i < n; i++)
        end_us += jobs[i].work_us;
    for (size_t at = n; at-- > 0;) {
        size_t last = find_last(&left, end_us);

        left.placed[last] = true;
        order[at] = last;
        end_us -= jobs[last].work_us;
    }
}
