/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-turns.c - the model's QEMU looks at what is left when QEMU does: every 50 ms, and once a
 * pass has run out of pages */
#include <glib.h>
#include <math.h>

#include "plant.h"
#include "random.h"

#define TURN_US 50000.0
#define BATCHES 12
#define BATCH(data) (GPOINTER_TO_UINT(data) / 2)

typedef struct {
    SevmigSimScenario scenario;
    SevmigSimRandom random;
    SevmigSimPlant plant;
} Fixture;

/* About three seconds of a first pass, page by page or by expectation, in batches of any size. */
static void
set_up(Fixture *f, gconstpointer data)
{
    sevmig_sim_scenario_default(&f->scenario);
    f->scenario.pages = 4096;
    f->scenario.limit_s = 60;
    f->scenario.phases[0] =
        (SevmigSimPhase){.working_set_pages = 1024, .writes_per_s = 500, .busy = 1};
    sevmig_sim_random_init(&f->random, 1);
    sevmig_sim_plant_init(&f->plant, &f->scenario, &f->random, GPOINTER_TO_UINT(data) % 2);
    f->plant.tune.batch_pages = BATCH(data);
    f->plant.tune.limit_us = 0; /* each pass runs out */
    f->plant.tune.switchover = SEVMIG_SWITCHOVER_HOLD;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    sevmig_sim_plant_clear(&f->plant);
}

/* Wherever in a pass it is told to stop, it does so within a turn and the submission under way. */
static void
test_stops(Fixture *f, gconstpointer data)
{
    for (guint i = 1; i <= 60; i++) {
        SevmigSimRandom random;
        SevmigSimPlant copy;
        double told_us;

        sevmig_sim_plant_advance(&f->plant, i * 97000.0);
        sevmig_sim_plant_clone(&f->plant, &random, &copy);
        copy.tune.switchover = SEVMIG_SWITCHOVER_NOW;
        told_us = copy.now_us;
        sevmig_sim_plant_advance(&copy, told_us + 1e6);
        g_assert_true(copy.stop);
        g_assert_cmpfloat(copy.now_us - told_us, <=, TURN_US + BATCH(data) * f->scenario.page_us);
        sevmig_sim_plant_clear(&copy);
    }
}

/* What is sent in a while is what the firmware can serve in it, right after a pass has ended too.
 */
static void
test_pace(Fixture *f, gconstpointer data)
{
    double least_us = f->scenario.page_us * (1 - f->scenario.submit_share); /* a page at its best */

    for (guint i = 1; i <= 600; i++) {
        double before = f->plant.sent.pages, from_us = f->plant.now_us;

        sevmig_sim_plant_advance(&f->plant, i * 10000.0);
        g_assert_cmpfloat((f->plant.sent.pages - before) * least_us, <=,
                          f->plant.now_us - from_us + BATCH(data) * f->scenario.page_us);
    }
}

/* A pass that has run out of pages is followed by one that began with that sync. */
static void
test_pass(Fixture *f, gconstpointer data)
{
    guint64 seen = 0;

    for (guint i = 1; i <= 600; i++) {
        sevmig_sim_plant_advance(&f->plant, i * 10000.0);
        if (f->plant.memory->passes == seen)
            continue;
        seen = f->plant.memory->passes;
        g_assert_cmpfloat(f->plant.pass_us, ==, f->plant.sync_us);
    }
    g_assert_cmpuint(seen, >=, 3);
}

static const struct {
    const char *name;
    void (*run)(Fixture *f, gconstpointer data);
} tests[] = {
    {"stops", test_stops},
    {"pace", test_pace},
    {"pass", test_pass},
};

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 2; i <= 2 * BATCHES + 1; i++) {
        const char *kind = i % 2 ? "exact" : "grouped";
        gpointer data = GUINT_TO_POINTER(i);

        for (gsize j = 0; j < G_N_ELEMENTS(tests); j++) {
            g_autofree char *path =
                g_strdup_printf("/turns/%s/%s/%u", tests[j].name, kind, BATCH(data));

            g_test_add(path, Fixture, data, set_up, tests[j].run, tear_down);
        }
    }
    return g_test_run();
}
