/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Migrations that share the firmware: told to send or to wait, one by one and by the arbiter. */
#include "arbitration.h"
#include "session-fixture.h"
#include "sevmig-replay.h"

static void
turn(Fixture *f, gboolean sends)
{
    const SevmigArbiterWord word = {.sends = sends, .reason = "a word"};
    guint told = f->fake->n_tunes;

    sevmig_session_turn(f->session, &word);
    wait_for(&f->fake->n_tunes, told + 2);
}

static void
test_held(Fixture *f, gconstpointer data)
{
    guint64 sent;
    guint told;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 10);
    turn(f, FALSE);
    g_assert_true(f->fake->status.tune.hold_sending);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, ==, 2000);
    g_assert_cmpuint(f->fake->status.tune.vcpu_throttle_percent, ==, 0);
    sent = f->fake->status.send.pages;
    told = f->fake->n_tunes;
    run_for(240 * TICK_MS);
    g_assert_cmpuint(f->fake->n_tunes, >, told);     /* its lease is renewed */
    g_assert_cmpuint(f->fake->n_tunes, <, told + 8); /* and nothing else is to be done */
    g_assert_cmpuint(f->fake->status.send.pages, ==, sent);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, ==, 2000);
    turn(f, TRUE);
    g_assert_false(f->fake->status.tune.hold_sending);
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 5);
    g_assert_cmpuint(f->fake->status.send.pages, >, sent);
    complete(f);
}

/* A policy that leaves throttling to QEMU needs no lease, but while it is held. */
static void
test_held_lease(Fixture *f, gconstpointer data)
{
    start(f, "pinned", TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 5);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, ==, 0);
    turn(f, FALSE);
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 5);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, ==, 2000);
    turn(f, TRUE);
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 2);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, ==, 0);
}

/* What is held when sevmigd is told to stop must not stay so. */
static void
test_released(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 10);
    turn(f, FALSE);
    sevmig_session_release(f->session, "a test", TRUE);
    wait_for(&f->n_ended, 1);
    g_assert_false(f->fake->status.tune.hold_sending);
}

static void
test_recorded(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigReplay) replay = NULL;
    g_autoptr(GError) error = NULL;
    guint words = 0;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 10);
    turn(f, FALSE);
    turn(f, TRUE);
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 10);
    complete(f);
    replay = sevmig_replay_new(info(f)->record_file, NULL, &error);
    g_assert_no_error(error);
    while (sevmig_replay_next(replay, &error)) {
        const SevmigEvent *event = &sevmig_replay_step(replay)->event;

        g_assert_true(sevmig_replay_identical(replay));
        if (event->type != SEVMIG_EVENT_TURN)
            continue;
        g_assert_cmpint(event->turn->sends, ==, words == 1);
        g_assert_cmpstr(event->turn->reason, ==, "a word");
        words++;
    }
    g_assert_no_error(error);
    g_assert_cmpuint(words, ==, 2);
}

static void
test_described(Fixture *f, gconstpointer data)
{
    SevmigArbiterGuest guest;

    start(f, "hurried", TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 5);
    g_assert_true(sevmig_session_describe(f->session, &guest));
    g_assert_cmpuint(guest.id, !=, 0);
    g_assert_cmpint(guest.deadline_us, ==, guest.arrived_us + 1000000);
    g_assert_cmpuint(guest.priority, ==, 50);
    g_assert_cmpuint(guest.pages, >, 0);
    g_assert_cmpint(guest.sampled_us, >, guest.arrived_us);
    say(f, QMPC_MIGRATION_DEVICE);
    g_assert_true(sevmig_session_describe(f->session, &guest));
    g_assert_cmpint(guest.phase, ==, SEVMIG_PHASE_SWITCHOVER);
    fake_forbid(f->fake, TRUE); /* nobody is told anything then */
    sevmig_session_turn(f->session, &(SevmigArbiterWord){.sends = FALSE});
    run_for(10 * TICK_MS);
    fake_forbid(f->fake, FALSE);
    complete(f);
    g_assert_false(sevmig_session_describe(f->session, &guest));
}

static void
test_observed(Fixture *f, gconstpointer data)
{
    SevmigArbiterGuest guest;

    start(f, "watching", TRUE, FALSE);
    wait_for(&f->fake->n_queries, 3);
    g_assert_false(sevmig_session_describe(f->session, &guest));
}

/* Two, of which the larger waits, and goes when the other fails. */
static void
test_arbitrated(Fixture *f, gconstpointer data)
{
    g_autoptr(GHashTable) sessions = g_hash_table_new(g_str_hash, g_str_equal);
    SevmigArbitration *arbitration = sevmig_arbitration_new(sessions);
    Fixture other = {0};

    fixture_set_up(&other, NULL);
    other.number = f->number = 1;
    other.number++;
    f->fake->status.ram.remaining_pages *= 4;
    f->fake->status.ram.private_pages *= 4;
    start(f, NULL, TRUE, FALSE);
    start(&other, NULL, TRUE, FALSE);
    g_hash_table_insert(sessions, (gpointer) "larger", f->session);
    g_hash_table_insert(sessions, (gpointer) "smaller", other.session);
    wait_for(&other.fake->n_tunes, 2);
    g_assert_cmpuint(info(f)->turn_place, ==, 0);
    sevmig_arbitration_wake(arbitration);
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 3);
    g_assert_true(f->fake->status.tune.hold_sending);
    g_assert_false(other.fake->status.tune.hold_sending);
    g_assert_cmpuint(info(f)->turn_place, ==, 2);
    g_assert_cmpuint(info(f)->turn_begins_us, >, 0);
    g_assert_cmpuint(info(f)->turn_ends_us, >, info(f)->turn_begins_us);
    g_assert_cmpuint(info(f)->held_us, >, 0);
    g_assert_cmpuint(info(f)->held_us, <, info(f)->elapsed_us);
    g_assert_cmpuint(info(&other)->turn_place, ==, 1);
    g_assert_cmpuint(info(&other)->turn_begins_us, ==, 0);
    g_assert_cmpuint(info(&other)->held_us, ==, 0);
    say(&other, QMPC_MIGRATION_FAILED);
    sevmig_arbitration_wake(arbitration);
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 3);
    g_assert_false(f->fake->status.tune.hold_sending);
    g_assert_cmpuint(info(f)->turn_place, ==, 0); /* alone again */
    sevmig_arbitration_wake(arbitration);         /* freed with a decision to come */
    sevmig_arbitration_free(arbitration);
    complete(f);
    fixture_tear_down(&other, NULL);
}

int
main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Fixture *, gconstpointer);
    } tests[] = {
        {"/turn/held", test_held},
        {"/turn/held-lease", test_held_lease},
        {"/turn/released", test_released},
        {"/turn/recorded", test_recorded},
        {"/turn/described", test_described},
        {"/turn/observed", test_observed},
        {"/turn/arbitrated", test_arbitrated},
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
    return g_test_run();
}
