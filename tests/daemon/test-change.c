/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A running migration is given another policy. */
#include "session-fixture.h"
#include "sevmig-error.h"
#include "sevmig-replay.h"

/* The controller leaves this much time between two batches of its own choice, and as much again. */
#define BATCH_SETTLES_MS 600u

static const SevmigTraceOrigin origin = {
    .policy = "single", .who = "root (uid 0)", .why = "a test"};

static SevmigPolicy *
policy(Fixture *f, const char *name)
{
    SevmigPolicy *found = sevmig_policy_store_lookup(f->store, name);

    g_assert_nonnull(found);
    return found;
}

static void
change(Fixture *f, const char *name)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(sevmig_session_set_policy(f->session, policy(f, name), &origin, &error));
    g_assert_no_error(error);
}

static void
refused(Fixture *f, const char *expected)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(sevmig_session_set_policy(f->session, policy(f, "single"), &origin, &error));
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, expected));
}

/* In force with the next call, which comes at once; and back. */
static void
test_takes_effect(Fixture *f, gconstpointer data)
{
    guint told;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 20);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, >, 1);
    g_assert_cmpuint(info(f)->downtime_goal_us, ==, 300000);
    told = f->fake->n_tunes;
    change(f, "single");
    wait_for(&f->fake->n_tunes, told + 2);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, ==, 1);
    g_assert_cmpstr(info(f)->policy, ==, "single");
    g_assert_cmpstr(info(f)->policy_source, ==, "operator");
    g_assert_cmpstr(info(f)->note, ==, "policy single by root (uid 0): a test");

    change(f, "default");
    run_for(BATCH_SETTLES_MS);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, >, 1);
    g_assert_cmpuint(info(f)->downtime_goal_us, ==, 300000);
    complete(f);
}

/* The record says who, why and what, and still replays to the decisions made. */
static void
test_recorded(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigReplay) replay = NULL;
    g_autoptr(GError) error = NULL;
    guint changes = 0;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 10);
    change(f, "single");
    wait_for(&f->fake->n_tunes, 20);
    complete(f);
    replay = sevmig_replay_new(info(f)->record_file, NULL, &error);
    g_assert_no_error(error);
    while (sevmig_replay_next(replay, &error)) {
        const SevmigTraceStep *step = sevmig_replay_step(replay);

        g_assert_true(sevmig_replay_identical(replay));
        g_assert_true(step->has_origin == (step->event.type == SEVMIG_EVENT_POLICY));
        if (!step->has_origin)
            continue;
        changes++;
        g_assert_cmpmem(&step->origin, sizeof origin, &origin, sizeof origin);
        g_assert_cmpuint(step->event.params->batch_pages, ==, 1);
    }
    g_assert_no_error(error);
    g_assert_cmpuint(changes, ==, 1);
}

/* To watching: all is given back at once, and nothing told from then on. */
static void
test_to_observing(Fixture *f, gconstpointer data)
{
    guint told, asked;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 20);
    told = f->fake->n_tunes;
    change(f, "watching");
    g_assert_cmpstr(info(f)->state, ==, "observed");
    wait_for(&f->fake->n_tunes, told + 1);
    g_assert_cmpuint(f->fake->last_tune.vcpu_throttle_percent, ==, 0);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, ==, 100);
    told = f->fake->n_tunes;
    asked = f->fake->n_queries;
    wait_for(&f->fake->n_queries, asked + 5);
    g_assert_cmpuint(f->fake->n_tunes, ==, told);

    change(f, "single");
    g_assert_cmpstr(info(f)->state, ==, "steered");
    wait_for(&f->fake->n_tunes, told + 1);
    g_assert_cmpuint(f->fake->last_tune.batch_pages, ==, 1);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, ==, 2000);
}

/* What began by being watched can be steered. */
static void
test_from_observing(Fixture *f, gconstpointer data)
{
    start(f, "watching", TRUE, FALSE);
    wait_for(&f->fake->n_queries, 10);
    g_assert_cmpuint(f->fake->n_tunes, ==, 0);
    change(f, "single");
    wait_for(&f->fake->n_tunes, 1);
    g_assert_cmpuint(f->fake->last_tune.batch_pages, ==, 1);
}

/* A call is under way: the change goes with the one after it. */
static void
test_during_call(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 10);
    f->fake->hold = TRUE;
    run_for(5 * TICK_MS);
    g_assert_nonnull(f->fake->held);
    change(f, "single");
    fake_let_go(f->fake);
    wait_for(&f->fake->n_tunes, 13);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, ==, 1);
}

static void
test_too_late(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 10);
    say(f, QMPC_MIGRATION_PRE_SWITCHOVER);
    refused(f, "is about to end");
    g_assert_cmpstr(info(f)->policy, ==, "default");
    complete(f);
    refused(f, "has ended");
}

static void
test_cannot_be_steered(Fixture *f, gconstpointer data)
{
    start(f, NULL, FALSE, FALSE);
    refused(f, "cannot be steered: this guest has no SEV");
}

static void
test_refused_by_metadata(Fixture *f, gconstpointer data)
{
    start(f, "no-such-policy' on-failure='refuse", TRUE, TRUE);
    refused(f, "no-such-policy");
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/change/takes-effect", test_takes_effect},
        {"/change/recorded", test_recorded},
        {"/change/to-observing", test_to_observing},
        {"/change/from-observing", test_from_observing},
        {"/change/during-call", test_during_call},
        {"/change/too-late", test_too_late},
        {"/change/cannot-be-steered", test_cannot_be_steered},
        {"/change/refused-by-metadata", test_refused_by_metadata},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
    return g_test_run();
}
