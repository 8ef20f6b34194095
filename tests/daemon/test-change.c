/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A running migration is given another policy, or steered by hand. */
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
steer(Fixture *f, gboolean has_batch, guint batch_pages)
{
    const SevmigHand hand = {.has_batch = has_batch, .batch_pages = batch_pages};
    g_autoptr(GError) error = NULL;

    g_assert_true(sevmig_session_steer(f->session, &hand, &origin, &error));
    g_assert_no_error(error);
}

/* By hand, back, and by hand until another policy comes; the policy's name stays. */
static void
test_by_hand(Fixture *f, gconstpointer data)
{
    const SevmigHand beyond = {.has_throttle = TRUE, .throttle_percent = 96};
    g_autoptr(GError) error = NULL;
    guint told;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 20);
    told = f->fake->n_tunes;
    steer(f, TRUE, 2);
    wait_for(&f->fake->n_tunes, told + 2);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, ==, 2);
    g_assert_cmpstr(info(f)->policy, ==, "default");
    g_assert_cmpstr(info(f)->note, ==, "batch of 2 pages set by hand by root (uid 0): a test");
    g_assert_false(sevmig_session_steer(f->session, &beyond, &origin, &error));
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED);

    steer(f, FALSE, 0);
    run_for(BATCH_SETTLES_MS);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, >, 2);
    steer(f, TRUE, 2);
    change(f, "single");
    run_for(10 * TICK_MS);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, ==, 1);
}

static const SevmigInfo measured = {.pages = 1000, .service_us = 500000, .batch_pages = 8};

/* Each limit, and that nothing is changed beyond it. */
static void
test_hand_limits(void)
{
    static const struct {
        SevmigHand hand;
        const char *refusal; /* NULL: allowed */
    } rows[] = {
        {{.has_throttle = TRUE, .throttle_percent = 80}, NULL},
        {{.has_throttle = TRUE, .throttle_percent = 0}, NULL},
        {{.has_throttle = TRUE, .throttle_percent = 81}, "at most 80 %"},
        {{.has_batch = TRUE, .batch_pages = 20}, NULL}, /* 10 ms at 500 us a page */
        {{.has_batch = TRUE, .batch_pages = 21}, "expected 1 to 20"},
        {{.has_batch = TRUE, .batch_pages = 0}, "expected 1 to 20"},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        SevmigControlParams params = {.throttle_ceiling_percent = 80, .batch_hold_us = 10000};
        const SevmigControlParams before = params;
        g_autoptr(GError) error = NULL;
        gboolean allowed = sevmig_hand_apply(&rows[i].hand, &measured, &params, &error);

        g_assert_cmpint(allowed, ==, rows[i].refusal == NULL);
        if (allowed)
            continue;
        g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED);
        g_assert_nonnull(strstr(error->message, rows[i].refusal));
        g_assert_cmpmem(&params, sizeof params, &before, sizeof before);
    }
}

/* Policies that leave nothing to a hand, or less. */
static void
test_hand_policies(void)
{
    const SevmigHand batch = {.has_batch = TRUE, .batch_pages = 9};
    const SevmigHand throttle = {.has_throttle = TRUE, .throttle_percent = 1};
    SevmigControlParams params = {.throttle_ceiling_percent = 80, .batch_pages = 8};
    g_autoptr(GError) error = NULL;

    g_assert_false(sevmig_hand_apply(&batch, &measured, &params, &error));
    g_assert_nonnull(strstr(error->message, "expected 1 to 8"));
    g_clear_error(&error);
    params.throttle_mode = SEVMIG_THROTTLE_QEMU;
    g_assert_false(sevmig_hand_apply(&throttle, &measured, &params, &error));
    g_assert_nonnull(strstr(error->message, "to QEMU"));
    g_clear_error(&error);
    params.observe_only = true;
    g_assert_false(sevmig_hand_apply(&batch, &measured, &params, &error));
    g_assert_nonnull(strstr(error->message, "only watches"));
}

static void
test_hand_parse(void)
{
    static const char *const bad[] = {"{'batch-pages': <'4'>}", "{'batch-pages': <4>}",
                                      "{'throttle-percent': <uint32 1>, 'stun': <uint32 1>}"};
    g_autoptr(GVariant) good = g_variant_ref_sink(
        g_variant_new_parsed("{'throttle-percent': <uint32 20>, 'batch-pages': <uint32 4>}"));
    SevmigHand hand;
    g_autofree char *text = NULL;

    g_assert_true(sevmig_hand_parse(&hand, good, NULL));
    text = sevmig_hand_describe(&hand);
    g_assert_cmpstr(text, ==, "throttle at most 20 %, batch of 4 pages");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GVariant) values = g_variant_ref_sink(g_variant_new_parsed(bad[i]));
        g_autoptr(GError) error = NULL;

        g_assert_false(sevmig_hand_parse(&hand, values, &error));
        g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID);
        g_assert_cmpuint(hand.batch_pages, ==, 4); /* as it was */
    }
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
        {"/change/by-hand", test_by_hand},
        {"/change/too-late", test_too_late},
        {"/change/cannot-be-steered", test_cannot_be_steered},
        {"/change/refused-by-metadata", test_refused_by_metadata},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
    g_test_add_func("/hand/limits", test_hand_limits);
    g_test_add_func("/hand/policies", test_hand_policies);
    g_test_add_func("/hand/parse", test_hand_parse);
    return g_test_run();
}
