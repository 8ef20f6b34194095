/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-memory.c - memory by expectation agrees with memory page by page */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "memory.h"

#define PAGES 32768

typedef struct {
    const char *name;
    SevmigSimPhase load;
    guint block_pages;
    guint batch_pages, gap_pages;
    double contiguity;
    double pass_writes; /* pages written between two syncs */
} Case;

static const Case cases[] = {
    {"uniform-sparse", {.working_set_pages = 20000}, 1, 64, 0, 1, 1000},
    {"uniform-dense", {.working_set_pages = 20000}, 1, 64, 0, 1, 30000},
    {"single-pages", {.working_set_pages = 20000}, 1, 1, 0, 1, 5000},
    {"small-batch", {.working_set_pages = 20000}, 1, 6, 0, 1, 20000},
    {"gaps", {.working_set_pages = 20000}, 1, 128, 1, 1, 8000},
    {"blocks-of-two", {.working_set_pages = 20000}, 2, 64, 0, 1, 8000},
    {"blocks-of-eight", {.working_set_pages = 20000}, 8, 64, 0, 1, 8000},
    {"scattered-on-the-host", {.working_set_pages = 20000}, 1, 64, 0, 0.5, 20000},
    {"zipf",
     {.working_set_pages = 30000, .pattern = SEVMIG_SIM_ZIPF, .zipf_exponent = 1.1},
     1,
     64,
     0,
     1,
     20000},
    {"zipf-steep",
     {.working_set_pages = 30000, .pattern = SEVMIG_SIM_ZIPF, .zipf_exponent = 1.5},
     1,
     64,
     0,
     1,
     5000},
    {"scan", {.working_set_pages = 24000, .pattern = SEVMIG_SIM_SCAN}, 1, 64, 0, 1, 7000},
};

static SevmigSimScenario
scenario_of(const Case *c)
{
    SevmigSimScenario s;

    sevmig_sim_scenario_default(&s);
    s.pages = PAGES;
    s.block_pages = c->block_pages;
    s.contiguity = c->contiguity;
    s.phases[0] = c->load;
    s.phases[0].first_page = 1024;
    return s;
}

static void
assert_near(const char *name, const char *what, double exact, double grouped, double share,
            double pages)
{
    if (fabs(exact - grouped) > share * fabs(exact) + pages)
        g_error("%s: %s is %g page by page, %g by expectation", name, what, exact, grouped);
}

/* Passes that are sent half, synced, sent to the end: what both find and take is compared. */
static void
run_case(gconstpointer data)
{
    const Case *c = data;
    SevmigSimScenario s = scenario_of(c);
    SevmigSimRandom random;
    SevmigSimMemory *both[2];
    SevmigSimOrder order = {c->batch_pages, c->gap_pages, 0};

    sevmig_sim_random_init(&random, 1);
    both[0] = sevmig_sim_memory_new_exact(&s, &random);
    both[1] = sevmig_sim_memory_new_grouped(&s);
    for (guint pass = 0; pass < 6; pass++) {
        double found[2];
        SevmigSimTaken taken[2] = {0};

        order.submissions = floor(both[0]->remaining / 2 / c->batch_pages);
        for (guint i = 0; i < 2; i++) {
            both[i]->ops->write(both[i], 0, c->pass_writes);
            both[i]->ops->take(both[i], &order, &taken[i]);
            found[i] = both[i]->ops->sync(both[i]);
        }
        assert_near(c->name, "pages found half-way", found[0], found[1], 0.04, 60);
        order.submissions = 1e6;
        for (guint i = 0; i < 2; i++) {
            both[i]->ops->write(both[i], 0, c->pass_writes);
            both[i]->ops->take(both[i], &order, &taken[i]);
            g_assert_cmpfloat(both[i]->remaining, ==, 0);
            found[i] = both[i]->ops->sync(both[i]);
        }
        assert_near(c->name, "pages found at the end", found[0], found[1], 0.03, 60);
        assert_near(c->name, "pages taken", taken[0].pages, taken[1].pages, 0.03, 60);
        assert_near(c->name, "commands", taken[0].commands, taken[1].commands, 0.05, 60);
        assert_near(c->name, "gap pages", taken[0].gap_pages, taken[1].gap_pages, 0.05, 60);
        assert_near(c->name, "submissions", taken[0].submissions, taken[1].submissions, 0.05, 60);
        for (guint i = 0; i < 3 && pass > 0; i++)
            assert_near(c->name, "runs", taken[0].runs[i], taken[1].runs[i], 0.08, 60);
    }
    both[0]->ops->free(both[0]);
    both[1]->ops->free(both[1]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/memory/", cases[i].name, NULL);

        g_test_add_data_func(path, &cases[i], run_case);
    }
    return g_test_run();
}
