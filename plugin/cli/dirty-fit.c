/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A load writes page i of its working set with probability p(i). After w writes it has dirtied
 * D(w) = sum(1 - exp(-w p(i))) distinct pages. For each exponent of p and each size of the working
 * set there is a rate that comes closest to the points, as the sum of squares of log(D / pages);
 * the closest of all is taken. Where several do as well, as one point allows, it is the largest
 * working set: then dirtying is linear in time, which a single point says least against.
 */
#include "dirty-fit.h"

#include <math.h>

#define CLASSES 32      /* of ranks that are written about as often */
#define SIZES 16        /* of the working set, from what was seen at least to all of memory */
#define HALVINGS 24     /* of the interval that holds the rate's logarithm */
#define BETTER 0.95     /* an error this much smaller is worth a smaller working set */
#define PRECISION 1e-4  /* errors below are none */
#define WALL_BETTER 0.5 /* time alone explains it, not CPU time: a device writes */
#define LEAST_PAGES 0.5 /* stands for none where a logarithm is needed */
#define LEAST_RATE 1e-3 /* pages a second */
#define MOST_RATE 1e8

static const double exponents[] = {0, 0.6, 1, 1.4};

typedef struct {
    double pages[CLASSES], share[CLASSES]; /* of writes, to one page of the class */
    guint n;
} Curve;

/* The weight of ranks below `rank`: the integral of r^-exponent. */
static double
weight(double rank, double exponent)
{
    return exponent == 1 ? log(rank) : (pow(rank, 1 - exponent) - 1) / (1 - exponent);
}

static void
curve_init(Curve *self, double pages, double exponent)
{
    double all = weight(pages + 1, exponent), from = 1;

    self->n = exponent == 0 ? 1 : CLASSES;
    for (guint i = 0; i < self->n; i++) {
        double to = pow(pages + 1, (i + 1.0) / self->n);

        self->pages[i] = to - from;
        self->share[i] = (weight(to, exponent) - weight(from, exponent)) / all / (to - from);
        from = to;
    }
}

static double
dirtied(const Curve *self, double writes)
{
    double sum = 0;

    for (guint i = 0; i < self->n; i++)
        sum += self->pages[i] * -expm1(-writes * self->share[i]);
    return fmax(sum, LEAST_PAGES);
}

/* Of that rate, and which way it is wrong in the mean. */
static double
error_of(const Curve *curve, const DirtyPoint *points, guint n, gboolean wall, double rate,
         double *bias)
{
    double sum = 0;

    *bias = 0;
    for (guint i = 0; i < n; i++) {
        double us = wall ? points[i].wall_us : points[i].cpu_us;
        double off = log(dirtied(curve, rate * us / 1e6) / fmax(points[i].pages, LEAST_PAGES));

        sum += off * off;
        *bias += off;
    }
    return sum / n;
}

/* D grows with the rate, so the rate whose mean error of the logarithm is 0 is found by halving. */
static double
find_rate(const Curve *curve, const DirtyPoint *points, guint n, gboolean wall, double *error)
{
    double low = log(LEAST_RATE), high = log(MOST_RATE), bias;

    for (guint i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;

        error_of(curve, points, n, wall, exp(middle), &bias);
        if (bias < 0)
            low = middle;
        else
            high = middle;
    }
    *error = error_of(curve, points, n, wall, exp((low + high) / 2), &bias);
    return exp((low + high) / 2);
}

static double
fit_time(const DirtyPoint *points, guint n, double least, double most, gboolean wall,
         SevmigSimPhase *phase)
{
    double best = INFINITY;

    for (guint e = 0; e < G_N_ELEMENTS(exponents); e++) {
        for (guint i = 0; i < SIZES; i++) {
            double pages = most * pow(least / most, (double)i / (SIZES - 1)), error, rate;
            Curve curve;

            curve_init(&curve, pages, exponents[e]);
            rate = find_rate(&curve, points, n, wall, &error);
            if (error >= BETTER * best - PRECISION && isfinite(best))
                continue;
            best = error;
            phase->pattern = exponents[e] > 0 ? SEVMIG_SIM_ZIPF : SEVMIG_SIM_UNIFORM;
            phase->zipf_exponent = exponents[e] > 0 ? exponents[e] : 1;
            phase->working_set_pages = (guint64)fmin(pages, most);
            phase->writes_per_s = rate;
        }
    }
    return best;
}

void
dirty_fit(const DirtyPoint *points, guint n, guint64 most_pages, SevmigSimPhase *phase)
{
    SevmigSimPhase by_wall = *phase;
    double least = 16, by_cpu;

    if (n == 0)
        return;
    for (guint i = 0; i < n; i++)
        least = fmax(least, points[i].pages);
    least = fmin(least * 1.02, (double)most_pages);
    phase->pace = SEVMIG_SIM_BY_CPU;
    by_wall.pace = SEVMIG_SIM_BY_WALL;
    by_cpu = fit_time(points, n, least, (double)most_pages, FALSE, phase);
    if (fit_time(points, n, least, (double)most_pages, TRUE, &by_wall) + PRECISION <
        WALL_BETTER * by_cpu)
        *phase = by_wall;
}

double
dirty_fit_pages(const SevmigSimPhase *phase, double wall_s)
{
    double busy = phase->pace == SEVMIG_SIM_BY_CPU ? phase->busy : 1;
    Curve curve;

    curve_init(&curve, (double)phase->working_set_pages,
               phase->pattern == SEVMIG_SIM_ZIPF ? phase->zipf_exponent : 0);
    return dirtied(&curve, phase->writes_per_s * busy * wall_s);
}
