/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guests that share one firmware: what is conserved, and what taking turns is worth. */
#include <glib.h>
#include <math.h>
#include <stdlib.h>

#include "fleet-guests.h"
#include "sevmig-arbiter.h"

#define SEED 7
#define COMMAND_MS 2.6 /* the least a submission takes: one command of four pages */

typedef struct {
    guint n;
    SevmigSimScenario scenarios[FLEET_MOST];
    SevmigSimResult results[FLEET_MOST];
    SevmigSimFleetResult sum;
    double bound_s, lone_busy_s;
    double lone_mean_s; /* of completion, one after another, the least first: none does better */
    guint lone_met;
} Fixture;

static int
compare_doubles(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void
measure_alone(Fixture *f)
{
    double busy_s[FLEET_MOST];

    for (guint i = 0; i < f->n; i++) {
        guint met;

        busy_s[i] = fleet_guests_lone_busy_s(&f->scenarios[i], 1, &met);
        f->lone_met += met;
    }
    qsort(busy_s, f->n, sizeof(*busy_s), compare_doubles);
    for (guint i = 0; i < f->n; i++) {
        f->lone_busy_s += busy_s[i];
        f->lone_mean_s += f->lone_busy_s / f->n;
    }
}

static void
set_up(Fixture *f, gconstpointer data)
{
    f->n = GPOINTER_TO_UINT(data);
    fleet_guests_draw(SEED, f->n, f->scenarios);
    f->bound_s = sevmig_sim_fleet_bound_s(f->scenarios, f->n);
    measure_alone(f);
    g_assert_cmpuint(f->lone_met, ==, f->n);
    g_assert_cmpfloat(f->bound_s, <=, f->lone_busy_s);
}

static void
run(Fixture *f, gboolean arbitrated)
{
    double least_s = 0;

    sevmig_sim_fleet_run(f->scenarios, f->n, arbitrated, f->results, &f->sum);
    for (guint i = 0; i < f->n; i++)
        least_s = fmax(least_s, sevmig_sim_fleet_bound_s(&f->scenarios[i], 1));
    /* One thing at a time, the last of which may be under way at the limit. */
    g_assert_cmpfloat(f->sum.busy_s, <=, f->sum.makespan_s + 0.1);
    g_assert_cmpfloat(f->sum.makespan_s, >=, f->bound_s);
    g_assert_cmpfloat(f->sum.makespan_s, >=, least_s);
    g_assert_cmpfloat(f->sum.mean_completion_s, <=, f->sum.makespan_s);
}

/* Sharing with nobody is the same as having it alone. */
static void
test_alone(void)
{
    const SevmigSimRun run = {.controller = &sevmig_sim_steered};
    SevmigSimScenario scenarios[6];

    fleet_guests_draw(SEED, G_N_ELEMENTS(scenarios), scenarios);
    for (guint i = 0; i < G_N_ELEMENTS(scenarios); i++) {
        SevmigSimResult lone, member;
        SevmigSimFleetResult sum;

        sevmig_sim_run(&scenarios[i], &run, &lone);
        sevmig_sim_fleet_run(&scenarios[i], 1, TRUE, &member, &sum);
        g_assert_true(member.completed);
        g_assert_cmpfloat(fabs(member.total_s / lone.total_s - 1), <, 0.15);
        g_assert_cmpfloat(fabs(member.pages / lone.pages - 1), <, 0.15);
    }
}

/* The first pass of two equal guests that write nothing takes twice as long, and no longer. */
static void
test_fair(void)
{
    SevmigSimScenario scenarios[2];
    SevmigSimResult results[2];
    SevmigSimFleetResult one, two;

    for (guint i = 0; i < 2; i++) {
        sevmig_sim_scenario_default(&scenarios[i]);
        scenarios[i].params.downtime_goal_us = 300000;
        g_assert_true(sevmig_sim_scenario_check(&scenarios[i], NULL));
    }
    sevmig_sim_fleet_run(scenarios, 1, FALSE, results, &one);
    sevmig_sim_fleet_run(scenarios, 2, FALSE, results, &two);
    g_assert_cmpfloat(fabs(two.busy_s / one.busy_s - 2), <, 0.05);
    g_assert_cmpfloat(fabs(results[0].first_pass_s / results[1].first_pass_s - 1), <, 0.01);
    g_assert_cmpfloat(fabs(two.makespan_s / one.makespan_s - 2), <, 0.05);
}

static void
test_arbitrated(Fixture *f, gconstpointer data)
{
    run(f, TRUE);
    g_test_message("%u guests: every page once %.1f s, lone migrations %.1f s, makespan %.1f s "
                   "(firmware busy %.1f s), mean %.1f s, longest wait %.1f ms",
                   f->n, f->bound_s, f->lone_busy_s, f->sum.makespan_s, f->sum.busy_s,
                   f->sum.mean_completion_s, f->sum.longest_wait_ms);
    g_assert_cmpuint(f->sum.met, ==, f->lone_met);
    g_assert_cmpfloat(f->sum.makespan_s, <=, 1.15 * f->lone_busy_s);
    g_assert_cmpfloat(f->sum.longest_wait_ms, <, SEVMIG_ARBITER_QUEUE_US / 1e3 + f->n * COMMAND_MS);
}

/* What it is for: guests leave sooner, nearly as soon as they can, and none loses more because of
 * the others. */
static void
test_worth(Fixture *f, gconstpointer data)
{
    SevmigSimFleetResult without;

    run(f, FALSE);
    without = f->sum;
    run(f, TRUE);
    g_test_message("mean completion %.1f s, without turns %.1f s, at best %.1f s",
                   f->sum.mean_completion_s, without.mean_completion_s, f->lone_mean_s);
    g_assert_cmpfloat(f->sum.mean_completion_s, <, 0.9 * without.mean_completion_s);
    g_assert_cmpfloat(f->sum.mean_completion_s, <, 1.15 * f->lone_mean_s);
    g_assert_cmpfloat(f->sum.lost_s, <, without.lost_s);
    g_assert_cmpfloat(f->sum.longest_wait_ms, <, without.longest_wait_ms);
    g_assert_cmpuint(f->sum.met, >=, without.met);
}

/* The last guest to go is the largest; without turns the smallest waits for it. */
static void
test_order(Fixture *f, gconstpointer data)
{
    run(f, TRUE);
    for (guint i = 0; i < f->n; i++) {
        for (guint k = 0; k < f->n; k++) {
            if (2 * f->scenarios[i].pages < f->scenarios[k].pages)
                g_assert_cmpfloat(f->results[i].total_s, <, f->results[k].total_s);
        }
    }
}

/* A deadline that the order by work would miss is kept. */
static void
test_deadline(Fixture *f, gconstpointer data)
{
    guint last = 0;
    double before_s;

    run(f, TRUE);
    for (guint i = 0; i < f->n; i++) {
        if (f->results[i].total_s > f->results[last].total_s)
            last = i;
    }
    before_s = f->results[last].total_s;
    f->scenarios[last].params.duration_goal_us = (guint64)(before_s * 0.6 * 1e6);
    run(f, TRUE);
    g_assert_cmpfloat(f->results[last].total_s, <=, before_s * 0.6);
    g_assert_cmpuint(f->sum.met, ==, f->n);
}

#define TEST(name, n, function)                                                                    \
    g_test_add("/fleet/" name, Fixture, GUINT_TO_POINTER(n), set_up, function, NULL)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fleet/alone", test_alone);
    g_test_add_func("/fleet/fair", test_fair);
    TEST("worth-2", 2, test_worth);
    TEST("worth-4", 4, test_worth);
    TEST("worth-8", 8, test_worth);
    TEST("arbitrated-2", 2, test_arbitrated);
    TEST("arbitrated-4", 4, test_arbitrated);
    TEST("arbitrated-8", 8, test_arbitrated);
    TEST("arbitrated-16", 16, test_arbitrated);
    TEST("arbitrated-32", 32, test_arbitrated);
    TEST("order", 8, test_order);
    TEST("deadline", 8, test_deadline);
    return g_test_run();
}
