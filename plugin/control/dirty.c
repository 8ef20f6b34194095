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

#include <float.h>
#include <math.h>
#include <string.h>

#define LEAST_PAGES 0.5 /* stands for "none" where a logarithm is needed */

/* Exponent below the shortest interval seen: nearly linear while one point is all there is; else
 * what the two shortest show, but at least a square root, because every working set is entered
 * page by page: however flat the curve looks, a short enough time dirties little. */
#define EXPONENT_UNKNOWN 0.9F
#define EXPONENT_LEAST_BELOW 0.75F
#define EXPONENT_ABOVE 0.7F /* beyond the longest interval seen, likewise */

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
    const float t = self->log_t[at], d = self->log_d[at];

    for (int i = next_point(self, 0); i >= 0; i = next_point(self, i + 1)) {
        float line = d + self->log_t[i] - t;

        self->log_d[i] = fminf(fmaxf(self->log_d[i], fminf(d, line)), fmaxf(d, line));
    }
}

static float
slope(const SevmigDirty *self, int a, int b)
{
    float width = self->log_t[b] - self->log_t[a];

    if (width < 1e-4F)
        return EXPONENT_UNKNOWN;
    return fminf(1, fmaxf(0, (self->log_d[b] - self->log_d[a]) / width));
}

/* The exponents of the curve's segments, as the points are now. */
static void
join_points(SevmigDirty *self)
{
    int first = next_point(self, 0), second = next_point(self, first + 1);

    self->exponent[first] = EXPONENT_UNKNOWN;
    self->exponent_above = EXPONENT_ABOVE;
    if (second >= 0)
        self->exponent[first] = fmaxf(EXPONENT_LEAST_BELOW, (1 + slope(self, first, second)) / 2);
    for (int last = first, i = second; i >= 0; last = i, i = next_point(self, i + 1)) {
        self->exponent[i] = slope(self, last, i);
        self->exponent_above = self->exponent[i];
    }
}

/* Single precision: its seven digits are more than any point has, and a plan asks often. */
static float
log2_of(double value)
{
    return log2f((float)fmin(FLT_MAX, fmax(FLT_MIN, value)));
}

void
sevmig_dirty_learn(SevmigDirty *self, double guest_cpu_us, double pages)
{
    float t, d;
    int at;

    if (!(guest_cpu_us >= 1) || !(pages >= 0))
        return;
    t = log2_of(guest_cpu_us);
    d = log2_of(fmin(fmax(pages, LEAST_PAGES), self->most_pages));
    at = (int)fminf(t, SEVMIG_DIRTY_POINTS - 1);
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
    join_points(self);
}

/* The segment of the curve that holds log-time `t`: it passes through point `*at` with `*exponent`.
 * With `by_pages`, `t` is a logarithm of pages instead. */
static void
find_segment(const SevmigDirty *self, float t, bool by_pages, int *at, float *exponent)
{
    const float *key = by_pages ? self->log_d : self->log_t;

    for (int i = next_point(self, 0); i >= 0; i = next_point(self, i + 1)) {
        *at = i;
        if (key[i] > t || (!by_pages && key[i] >= t)) {
            *exponent = self->exponent[i];
            return;
        }
    }
    *exponent = self->exponent_above;
}

double
sevmig_dirty_pages(const SevmigDirty *self, double guest_cpu_us)
{
    float t, exponent;
    int at;

    if (self->have == 0 || !(guest_cpu_us > 0))
        return 0;
    t = log2_of(guest_cpu_us);
    find_segment(self, t, false, &at, &exponent);
    return fmin(self->most_pages, exp2f(self->log_d[at] + exponent * (t - self->log_t[at])));
}

double
sevmig_dirty_time_us(const SevmigDirty *self, double pages)
{
    float d, exponent;
    int at;

    if (self->have == 0 || pages >= self->most_pages)
        return INFINITY;
    if (!(pages > 0))
        return 0;
    d = log2_of(pages);
    find_segment(self, d, true, &at, &exponent);
    if (exponent < 1e-3F)
        return d < self->log_d[at] ? exp2f(self->log_t[at]) : INFINITY;
    return exp2f(self->log_t[at] + (d - self->log_d[at]) / exponent);
}
