/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The load found for dirty counts that a known load would have left, summed page by page here. */
#include "dirty-fit.h"

#include <math.h>

#define MEMORY_PAGES 65536u

typedef struct {
    double exponent, set, rate;
} Load;

static const double seconds[] = {0.05, 0.2, 0.5, 1, 3, 10};

/* Of writes to ranks below `rank`, not normalised; as the simulation draws them. */
static double
weight_below(double rank, double exponent)
{
    return exponent == 1 ? log(rank) : (pow(rank, 1 - exponent) - 1) / (1 - exponent);
}

/* Different pages after so many seconds, in expectation. */
static double
dirtied(const Load *load, double s)
{
    double all = weight_below(load->set + 1, load->exponent), sum = 0;

    for (guint rank = 1; rank <= (guint)load->set; rank++) {
        double share =
            (weight_below(rank + 1, load->exponent) - weight_below(rank, load->exponent)) / all;

        sum -= expm1(-load->rate * s * share);
    }
    return sum;
}

static Load
found(const SevmigSimPhase *phase)
{
    return (Load){
        .exponent = phase->pattern == SEVMIG_SIM_ZIPF ? phase->zipf_exponent : 0,
        .set = (double)phase->working_set_pages,
        .rate = phase->writes_per_s,
    };
}

static void
assert_within(double value, double expected, double share)
{
    if (fabs(value / expected - 1) > share)
        g_error("%g is not within %g %% of %g", value, 100 * share, expected);
}

static void
make_points(const Load *load, DirtyPoint *points)
{
    for (guint i = 0; i < G_N_ELEMENTS(seconds); i++) {
        points[i].cpu_us = points[i].wall_us = seconds[i] * 1e6;
        points[i].pages = dirtied(load, seconds[i]);
    }
}

static void
test_found_again(void)
{
    static const Load loads[] = {
        {0, 2000, 5000}, {0, 20000, 3000}, {0, 60000, 100}, {1, 20000, 8000}, {1.4, 4000, 20000},
    };

    for (guint i = 0; i < G_N_ELEMENTS(loads); i++) {
        DirtyPoint points[G_N_ELEMENTS(seconds)];
        SevmigSimPhase phase = {0};

        make_points(&loads[i], points);
        dirty_fit(points, G_N_ELEMENTS(points), MEMORY_PAGES, &phase);
        Load load = found(&phase);
        g_test_message("exponent %g, %g pages, %g writes/s: found %g, %g, %g", loads[i].exponent,
                       loads[i].set, loads[i].rate, load.exponent, load.set, load.rate);
        g_assert_cmpint(phase.pace, ==, SEVMIG_SIM_BY_CPU);
        for (double s = 0.1; s < 10; s *= 2)
            assert_within(dirtied(&load, s), dirtied(&loads[i], s), 0.1);
    }
}

/* That the counts grow no more tells how large the set is, whatever its pattern. */
static void
test_saturated(void)
{
    const Load load = {0, 3000, 30000};
    DirtyPoint points[G_N_ELEMENTS(seconds)];
    SevmigSimPhase phase = {0};

    make_points(&load, points);
    dirty_fit(points, G_N_ELEMENTS(points), MEMORY_PAGES, &phase);
    assert_within((double)phase.working_set_pages, load.set, 0.1);
}

static void
test_one_point(void)
{
    const DirtyPoint point = {1e6, 1e6, 500};
    SevmigSimPhase phase = {0};

    dirty_fit(&point, 1, MEMORY_PAGES, &phase);
    g_assert_cmpint(phase.pattern, ==, SEVMIG_SIM_UNIFORM);
    g_assert_cmpuint(phase.working_set_pages, ==, MEMORY_PAGES);
    assert_within(phase.writes_per_s, 500, 0.05);
}

/* Throttled more and more, a device goes on writing by the clock. */
static void
test_by_wall(void)
{
    const Load load = {0, 20000, 3000};
    DirtyPoint points[G_N_ELEMENTS(seconds)];
    SevmigSimPhase phase = {0};

    make_points(&load, points);
    for (guint i = 0; i < G_N_ELEMENTS(points); i++)
        points[i].cpu_us /= 1 << (i % 3 * 2);
    dirty_fit(points, G_N_ELEMENTS(points), MEMORY_PAGES, &phase);
    g_assert_cmpint(phase.pace, ==, SEVMIG_SIM_BY_WALL);
    assert_within(dirtied(&(Load){0, (double)phase.working_set_pages, phase.writes_per_s}, 1),
                  dirtied(&load, 1), 0.1);
}

static void
test_nothing(void)
{
    SevmigSimPhase phase = {.working_set_pages = 7, .writes_per_s = 3};

    dirty_fit(NULL, 0, MEMORY_PAGES, &phase);
    g_assert_cmpuint(phase.working_set_pages, ==, 7);
    g_assert_cmpfloat(phase.writes_per_s, ==, 3);
}

/* Counts of another guest, or of none: what comes out is a load still. */
static void
test_odd(void)
{
    static const DirtyPoint odd[][2] = {
        {{1e6, 1e6, 0}, {2e6, 2e6, 0}},
        {{1, 1, 1e12}, {1e12, 1e12, 1}},
        {{1e-3, 1e15, 1e9}, {1e15, 1e-3, 1e9}},
    };

    for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
        for (guint64 pages = 1; pages <= MEMORY_PAGES; pages *= 256) {
            SevmigSimPhase phase = {0};

            dirty_fit(odd[i], 2, pages, &phase);
            g_assert_true(isfinite(phase.writes_per_s) && phase.writes_per_s >= 0);
            g_assert_cmpuint(phase.working_set_pages, >=, 1);
            g_assert_cmpuint(phase.working_set_pages, <=, pages);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty-fit/found-again", test_found_again);
    g_test_add_func("/dirty-fit/saturated", test_saturated);
    g_test_add_func("/dirty-fit/one-point", test_one_point);
    g_test_add_func("/dirty-fit/by-wall", test_by_wall);
    g_test_add_func("/dirty-fit/nothing", test_nothing);
    g_test_add_func("/dirty-fit/odd", test_odd);
    return g_test_run();
}
