/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Points are kept per power of two of guest time and joined by straight lines in log-log scale:
 * between points D is a power of t, which is exact for a uniform writer (exponent 1), for a
 * saturated working set (exponent 0), and close for what lies between.
 *
 * The newest point is the truth. A concave curve from 0 through (t, d) keeps, right of t, between d
 * and the straight line through 0 and (t, d); left of t, between that line and d. Older points are
 * clamped into that cone, so a change of load is followed at once at all time scales, and what
 * older points still know about the curve's shape is kept.
 */
#include "dirty.h"

#include <math.h>
#include <string.h>

#define LEAST_PAGES 0.5 /* stands for "none" where a logarithm is needed */

/* Exponent below the shortest interval seen: nearly linear while one point is all there is; else
 * what the two shortest show, but at least a square root, because every working set is entered
 * page by page: however flat the curve looks, a short enough time dirties little. */
#define EXPONENT_UNKNOWN 0.9
#define EXPONENT_LEAST_BELOW 0.75
#define EXPONENT_ABOVE 0.7 /* beyond the longest interval seen, likewise */

void
sevmig_dirty_init(SevmigDirty *self)
{
    memset(self, 0, sizeof(*self));
    self->most_pages = INFINITY;
}

void
sevmig_dirty_set_most(SevmigDirty *self, double pages)
{
    self->most_pages = pages > 0 ? pages : INFINITY;
}

void
sevmig_dirty_forget(SevmigDirty *self)
{
    self->have = 0;
}

bool
sevmig_dirty_known(const SevmigDirty *self)
{
    return self->have != 0;
}

static int
next_point(const SevmigDirty *self, int from)
{
    uint64_t rest = from < SEVMIG_DIRTY_POINTS ? self->have >> from : 0;

    return rest != 0 ? from + __builtin_ctzll(rest) : -1;
}

/* Pulls every other point into the cone of the one at `at`. */
static void
reconcile(SevmigDirty *self, int at)
{
    const double t = self->log_t[at], d = self->log_d[at];

    for (int i = next_point(self, 0); i >= 0; i = next_point(self, i + 1)) {
        double line = d + self->log_t[i] - t;

        self->log_d[i] = fmin(fmax(self->log_d[i], fmin(d, line)), fmax(d, line));
    }
}

void
sevmig_dirty_learn(SevmigDirty *self, double guest_cpu_us, double pages)
{
    double t, d;
    int at;

    if (!(guest_cpu_us >= 1) || !(pages >= 0))
        return;
    t = log2(guest_cpu_us);
    d = log2(fmin(fmax(pages, LEAST_PAGES), self->most_pages));
    at = (int)fmin(t, SEVMIG_DIRTY_POINTS - 1);
    if (self->have & (UINT64_C(1) << at)) {
        /* the mean of the logarithms: half of the old point outlives each new one */
        t = (t + self->log_t[at]) / 2;
        d = (d + self->log_d[at]) / 2;
    }
    self->have |= UINT64_C(1) << at;
    self->log_t[at] = t;
    self->log_d[at] = d;
    self->points++;
    reconcile(self, at);
}

static double
slope(const SevmigDirty *self, int a, int b)
{
    double width = self->log_t[b] - self->log_t[a];

    if (width < 1e-6)
        return EXPONENT_UNKNOWN;
    return fmin(1, fmax(0, (self->log_d[b] - self->log_d[a]) / width));
}

/* The segment of the curve that holds log-time `t`: it passes through point `*at` with `*exponent`.
 * With `by_pages`, `t` is a logarithm of pages instead. */
static void
find_segment(const SevmigDirty *self, double t, bool by_pages, int *at, double *exponent)
{
    const double *key = by_pages ? self->log_d : self->log_t;
    int first = next_point(self, 0), before = -1, last = -1;

    for (int i = first; i >= 0; i = next_point(self, i + 1)) {
        if (key[i] > t || (!by_pages && key[i] >= t)) {
            int second = next_point(self, i + 1);

            *at = i;
            if (last >= 0)
                *exponent = slope(self, last, i);
            else if (second >= 0)
                *exponent = fmax(EXPONENT_LEAST_BELOW, (1 + slope(self, i, second)) / 2);
            else
                *exponent = EXPONENT_UNKNOWN;
            return;
        }
        before = last;
        last = i;
    }
    *at = last;
    *exponent = before >= 0 ? slope(self, before, last) : EXPONENT_ABOVE;
}

double
sevmig_dirty_pages(const SevmigDirty *self, double guest_cpu_us)
{
    double t, exponent;
    int at;

    if (self->have == 0 || !(guest_cpu_us > 0))
        return 0;
    t = log2(guest_cpu_us);
    find_segment(self, t, false, &at, &exponent);
    return fmin(self->most_pages, exp2(self->log_d[at] + exponent * (t - self->log_t[at])));
}

double
sevmig_dirty_time_us(const SevmigDirty *self, double pages)
{
    double d, exponent;
    int at;

    if (self->have == 0 || pages >= self->most_pages)
        return INFINITY;
    if (!(pages > 0))
        return 0;
    d = log2(pages);
    find_segment(self, d, true, &at, &exponent);
    if (exponent < 1e-3)
        return d < self->log_d[at] ? exp2(self->log_t[at]) : INFINITY;
    return exp2(self->log_t[at] + (d - self->log_d[at]) / exponent);
}
