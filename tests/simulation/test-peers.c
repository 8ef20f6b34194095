/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-peers.c - the peers by the constants of their sources, and the oracle as a bound */
#include <glib.h>
#include <string.h>

#include "sim-test.h"

#define S 1000000
#define GIB_PAGES 262144

typedef struct {
    const SevmigSimController *peer;
    gpointer state;
    SevmigControlParams params;
    SevmigSample sample;
    SevmigActions actions;
    gint64 begun_us;
} Fixture;

/* A 4 GiB guest in its first pass; the goal is 300 ms. */
static void
begin(Fixture *f, const char *name)
{
    SevmigEvent event = {.type = SEVMIG_EVENT_START, .now_us = 7 * S, .params = &f->params};

    memset(f, 0, sizeof(*f));
    for (f->peer = sevmig_sim_peers; g_strcmp0(f->peer->name, name) != 0; f->peer++)
        g_assert_nonnull(f->peer->name);
    f->state = g_malloc0(f->peer->size());
    f->begun_us = event.now_us;
    f->sample = (SevmigSample){.private_pages = 4 * GIB_PAGES,
                               .remaining_pages = 4 * GIB_PAGES,
                               .pass = 1,
                               .sync_count = 1};
    sevmig_control_params_default(&f->params);
    f->params.downtime_goal_us = 300000;
    f->peer->init(f->state);
    f->peer->step(f->state, &event, &f->actions);
}

static void
end(Fixture *f)
{
    g_free(f->state);
}

static void
poll(Fixture *f, double at_s)
{
    SevmigEvent event = {.type = SEVMIG_EVENT_SAMPLE,
                         .now_us = f->begun_us + (gint64)(at_s * S),
                         .params = &f->params,
                         .sample = &f->sample};

    f->peer->step(f->state, &event, &f->actions);
}

/* The value of that action, or -1. */
static gint64
said(const Fixture *f, SevmigActionType type)
{
    for (gsize i = 0; i < f->actions.n; i++) {
        if (f->actions.list[i].type == type)
            return f->actions.list[i].value;
    }
    return -1;
}

static gint64
limit(const Fixture *f)
{
    return said(f, SEVMIG_ACTION_DOWNTIME_LIMIT_US);
}

static void
test_none(void)
{
    Fixture f;

    begin(&f, "none");
    g_assert_cmpint(limit(&f), ==, 300000);
    g_assert_cmpint(f.actions.wake_us, ==, 0);
    end(&f);
}

/* Ten steps of 75 s a GiB, from a tenth of the goal; 800 s a GiB end it. */
static void
test_nova(void)
{
    Fixture f;

    begin(&f, "nova");
    g_assert_cmpint(limit(&f), ==, 30000);
    g_assert_cmpint(f.actions.wake_us - f.begun_us, ==, S / 2);
    poll(&f, 299);
    g_assert_cmpint(limit(&f), ==, -1);
    poll(&f, 300);
    g_assert_cmpint(limit(&f), ==, 57000);
    poll(&f, 3001);
    g_assert_cmpint(limit(&f), ==, 300000);
    poll(&f, 3200);
    g_assert_cmpint(said(&f, SEVMIG_ACTION_ABORT), ==, -1);
    poll(&f, 3201);
    g_assert_cmpint(said(&f, SEVMIG_ACTION_ABORT), ==, 0);
    end(&f);
}

static void
test_ovirt(void)
{
    const gint64 limits[] = {150000, 200000, 300000, 400000, -1, 500000};
    Fixture f;

    begin(&f, "ovirt-minimal");
    g_assert_cmpint(limit(&f), ==, 100000);
    poll(&f, 10);
    g_assert_cmpint(limit(&f), ==, -1);
    f.sample.sync_count++; /* one iteration since: the first limit is not yet exceeded */
    poll(&f, 20);
    g_assert_cmpint(limit(&f), ==, -1);
    for (guint i = 0; i < G_N_ELEMENTS(limits); i++) {
        f.sample.sync_count++;
        poll(&f, 30 + 10 * i);
        g_assert_cmpint(limit(&f), ==, limits[i]);
        poll(&f, 35 + 10 * i);
        g_assert_cmpint(limit(&f), ==, -1); /* the iteration has not advanced */
    }
    f.sample.sync_count++;
    poll(&f, 100);
    g_assert_cmpint(said(&f, SEVMIG_ACTION_ABORT), ==, 0);
    end(&f);
}

static void
test_kubevirt(void)
{
    Fixture f;

    begin(&f, "kubevirt");
    for (guint s = 1; s <= 600; s++) {
        f.sample.remaining_pages--;
        poll(&f, s);
        g_assert_cmpint(said(&f, SEVMIG_ACTION_ABORT), ==, -1);
    }
    poll(&f, 601); /* 150 s a GiB */
    g_assert_cmpint(said(&f, SEVMIG_ACTION_ABORT), ==, 0);
    end(&f);
    begin(&f, "kubevirt");
    poll(&f, 1);
    poll(&f, 151);
    g_assert_cmpint(said(&f, SEVMIG_ACTION_ABORT), ==, -1);
    poll(&f, 152); /* no progress */
    g_assert_cmpint(said(&f, SEVMIG_ACTION_ABORT), ==, 0);
    end(&f);
}

/* Stalled for 40 s: stopped where that takes no more than 1.5 times the goal, else given up. */
static void
test_kubevirt_stall(void)
{
    const struct {
        guint64 remaining_pages;
        SevmigActionType action;
        gint64 value;
    } cases[] = {{400, SEVMIG_ACTION_PAUSE, 1}, {600, SEVMIG_ACTION_ABORT, 0}};
    Fixture f;

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        begin(&f, "kubevirt-stall");
        g_assert_cmpint(limit(&f), ==, 150000);
        f.sample.remaining_pages = cases[i].remaining_pages;
        for (guint s = 1; s <= 43; s++) {
            f.sample.bytes += 1000 * SEVMIG_SIM_PAGE_BYTES; /* a page a millisecond */
            poll(&f, s);
            g_assert_cmpint(said(&f, cases[i].action), ==, s == 43 ? cases[i].value : -1);
        }
        end(&f);
    }
    begin(&f, "kubevirt-stall");
    f.sample.sync_count = 4;
    poll(&f, 11);
    g_assert_cmpint(limit(&f), ==, 150000 + 150000 / 7);
    end(&f);
}

static void
test_proxmox(void)
{
    Fixture f;

    begin(&f, "proxmox");
    g_assert_true(f.peer->auto_converge);
    g_assert_cmpint(limit(&f), ==, 100000);
    f.sample.remaining_pages = 1000;
    for (guint s = 1; s <= 6; s++) {
        f.sample.remaining_pages++;
        poll(&f, s);
        g_assert_cmpint(limit(&f), ==, -1);
    }
    f.sample.remaining_pages++;
    poll(&f, 7);
    g_assert_cmpint(limit(&f), ==, 200000);
    end(&f);
}

static void
test_cloud_hypervisor(void)
{
    const gint64 percents[] = {-1, -1, -1, 10, -1, 20, -1, 30};
    Fixture f;

    begin(&f, "cloud-hypervisor");
    g_assert_cmpint(limit(&f), ==, 300000);
    for (guint i = 0; i < G_N_ELEMENTS(percents); i++) {
        f.sample.pass = i + 1;
        poll(&f, i + 1);
        g_assert_cmpint(said(&f, SEVMIG_ACTION_THROTTLE), ==, percents[i]);
        if (percents[i] > 0) /* of a window of 100 ms */
            g_assert_cmpint(said(&f, SEVMIG_ACTION_SLICE_US), ==, 1000 * (100 - percents[i]));
    }
    poll(&f, 3601);
    g_assert_cmpint(said(&f, SEVMIG_ACTION_ABORT), ==, 0);
    end(&f);
}

static SevmigSimScenario
small_guest(SevmigSimPace pace)
{
    SevmigSimScenario s;

    sevmig_sim_scenario_default(&s);
    s.pages = 16384;
    s.phases[0] =
        (SevmigSimPhase){.working_set_pages = 4096, .writes_per_s = 3000, .busy = 1, .pace = pace};
    s.limit_s = 300;
    return s;
}

static double
cost_s(const SevmigSimResult *r)
{
    return r->lost_s + SEVMIG_SIM_TIME_WORTH * r->total_s;
}

/* Nobody who meets the goal does better by what the oracle optimises. */
static void
test_oracle(void)
{
    SevmigSimScenario s = small_guest(SEVMIG_SIM_BY_CPU);
    double goal_ms = (double)s.params.downtime_goal_us / 1000;
    SevmigSimResult oracle, other;
    guint met = 0;

    g_assert_true(sevmig_sim_oracle(&s, &oracle));
    g_assert_cmpfloat(oracle.downtime_ms, <=, goal_ms);
    sim_test_run(&s, &other);
    g_assert_true(other.completed && other.downtime_ms <= goal_ms);
    g_assert_cmpfloat(cost_s(&oracle), <, cost_s(&other));
    for (const SevmigSimController *peer = sevmig_sim_peers; peer->name; peer++) {
        const SevmigSimRun run = {.controller = peer, .batch_pages = 8};

        sevmig_sim_run(&s, &run, &other);
        if (!other.completed || other.downtime_ms > goal_ms)
            continue;
        met++;
        g_assert_cmpfloat(cost_s(&oracle), <, cost_s(&other));
    }
    g_test_message("the oracle: %.1f s, %.1f s lost; %u peers meet the goal", oracle.total_s,
                   oracle.lost_s, met);
}

/* What a device writes cannot be throttled: there is no plan, and it says so. */
static void
test_oracle_hopeless(void)
{
    SevmigSimScenario s = small_guest(SEVMIG_SIM_BY_WALL);
    SevmigSimResult result;

    s.limit_s = 30;
    g_assert_false(sevmig_sim_oracle(&s, &result));
    g_assert_false(result.completed);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peers/none", test_none);
    g_test_add_func("/peers/nova", test_nova);
    g_test_add_func("/peers/ovirt", test_ovirt);
    g_test_add_func("/peers/kubevirt", test_kubevirt);
    g_test_add_func("/peers/kubevirt-stall", test_kubevirt_stall);
    g_test_add_func("/peers/proxmox", test_proxmox);
    g_test_add_func("/peers/cloud-hypervisor", test_cloud_hypervisor);
    g_test_add_func("/oracle/bound", test_oracle);
    g_test_add_func("/oracle/hopeless", test_oracle_hopeless);
    return g_test_run();
}
