/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One migration under a real controller and real policies, with a QEMU on paper. */
#include "log.h"
#include "session-fixture.h"
#include "sevmig-error.h"
#include "sevmig-replay.h"

static void
test_steered(Fixture *f, gconstpointer data)
{
    guint queries;

    start(f, NULL, TRUE, FALSE);
    g_assert_cmpstr(info(f)->state, ==, "steered");
    wait_for(&f->fake->n_tunes, 20);
    g_assert_cmpuint(f->fake->n_queries, ==, 0);
    g_assert_cmpuint(f->fake->last_tune.present & QMPC_TUNE_LEASE, !=, 0);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, ==, 2000);
    g_assert_cmpuint(info(f)->pages, >, 0);
    queries = f->fake->n_queries;
    complete(f);
    g_assert_cmpuint(f->fake->n_queries, ==, queries + 1);
    g_assert_cmpstr(info(f)->phase, ==, "done");
    g_assert_cmpstr(info(f)->state, ==, "ended");
    g_assert_cmpuint(info(f)->downtime_us, ==, 80000);
    g_assert_cmpstr(info(f)->error, ==, "");
    fake_forbid(f->fake, TRUE);
    run_for(10 * TICK_MS);
    g_assert_cmpuint(f->n_ended, ==, 1);
}

/* What was recorded begins with `start`, ends with `completed`, and replays to the decisions that
 * were made. */
static void
test_recorded(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigReplay) replay = NULL;
    g_autoptr(GError) error = NULL;
    SevmigEventType last = SEVMIG_EVENT_COUNT;
    guint n = 0;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 10);
    complete(f);
    replay = sevmig_replay_new(info(f)->record_file, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(sevmig_replay_header(replay)->domain, ==, "db");
    g_assert_cmpstr(sevmig_replay_header(replay)->policy, ==, "default");
    while (sevmig_replay_next(replay, &error)) {
        if (n++ == 0)
            g_assert_cmpint(sevmig_replay_step(replay)->event.type, ==, SEVMIG_EVENT_START);
        g_assert_true(sevmig_replay_step(replay)->has_actions);
        g_assert_true(sevmig_replay_identical(replay));
        last = sevmig_replay_step(replay)->event.type;
    }
    g_assert_no_error(error);
    g_assert_cmpint(last, ==, SEVMIG_EVENT_COMPLETED);
    g_assert_cmpuint(n, >=, 12);
}

static void
test_no_sev(Fixture *f, gconstpointer data)
{
    SevmigJobResult job = {.downtime_us = 90000};

    fake_forbid(f->fake, TRUE);
    start(f, NULL, FALSE, FALSE);
    run_for(10 * TICK_MS);
    g_assert_cmpstr(info(f)->state, ==, "observed");
    g_assert_cmpstr(info(f)->note, ==, "this guest has no SEV");
    g_assert_cmpstr(info(f)->record_file, ==, "");
    say(f, QMPC_MIGRATION_COMPLETED);
    sevmig_session_job_completed(f->session, &job);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_cmpuint(info(f)->downtime_us, ==, 90000);
}

static void
test_stock_qemu(Fixture *f, gconstpointer data)
{
    fake_fail(f->fake, 1, g_error_new(QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND, "no such command"));
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 1);
    run_for(10 * TICK_MS);
    g_assert_cmpuint(f->fake->n_tunes, ==, 1);
    g_assert_cmpstr(info(f)->state, ==, "observed");
    g_assert_nonnull(strstr(info(f)->note, "no such command"));
    fake_forbid(f->fake, TRUE);
    say(f, QMPC_MIGRATION_CANCELLED);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_cmpstr(info(f)->phase, ==, "cancelled");
}

static void
test_unknown_policy(Fixture *f, gconstpointer data)
{
    start(f, "no-such-policy", TRUE, TRUE);
    wait_for(&f->fake->n_queries, 3);
    g_assert_cmpuint(f->fake->n_tunes, ==, 0);
    g_assert_nonnull(strstr(info(f)->note, "no-such-policy"));
}

static void
test_observed(Fixture *f, gconstpointer data)
{
    start(f, "impatient", TRUE, TRUE);
    wait_for(&f->fake->n_queries, 10);
    g_assert_cmpuint(f->fake->n_tunes, ==, 0);
}

/* A call that hangs is waited for, and each tick meanwhile is a missed sample. */
static void
test_slow(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    f->fake->hold = TRUE;
    run_for(20 * TICK_MS);
    g_assert_nonnull(f->fake->held);
    g_assert_cmpuint(info(f)->samples_missed, >=, 3);
    fake_let_go(f->fake);
    wait_for(&f->fake->n_tunes, 8);
}

/* Until the first sample the controller has nothing to say; what it says then meets `error`. */
static void
start_refusing(Fixture *f, guint n, const char *reason)
{
    f->fake->hold = TRUE;
    start(f, "pinned", TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 1);
    run_for(2 * TICK_MS);
    fake_let_go(f->fake);
    fake_fail(f->fake, n, g_error_new_literal(QMPC_ERROR, QMPC_ERROR_COMMAND, reason));
}

/* Left to QEMU's auto-converge: no lease, which would push that aside. What is refused is told
   again until QEMU takes it. */
static void
test_refused(Fixture *f, gconstpointer data)
{
    start_refusing(f, 3, "not now");
    wait_for(&f->fake->n_tunes, 3);
    g_assert_cmpuint(f->fake->last_tune.present, ==, QMPC_TUNE_BATCH_PAGES);
    g_assert_cmpuint(f->fake->last_tune.batch_pages, ==, 1);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, ==, 4);
    wait_for(&f->fake->n_tunes, 6);
    g_assert_cmpuint(f->fake->status.tune.batch_pages, ==, 1);
}

static void
test_refused_for_ever(Fixture *f, gconstpointer data)
{
    start_refusing(f, 1000, "never");
    wait_for(&f->fake->n_tunes, 12);
    g_assert_cmpuint(f->fake->last_tune.present, ==, 0);
}

static void
test_failed(Fixture *f, gconstpointer data)
{
    f->fake->reason = "the peer's firmware refused the session";
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    say(f, QMPC_MIGRATION_FAILED);
    wait_for(&f->n_ended, 1);
    g_assert_cmpuint(f->fake->n_reasons, ==, 1);
    g_assert_cmpstr(info(f)->phase, ==, "failed");
    g_assert_cmpstr(info(f)->error, ==, f->fake->reason);
}

/* The end comes while a call is under way: the last question waits for its turn. */
static void
test_end_during_call(Fixture *f, gconstpointer data)
{
    SevmigJobResult job = {0};

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    f->fake->hold = TRUE;
    run_for(5 * TICK_MS);
    g_assert_nonnull(f->fake->held);
    say(f, QMPC_MIGRATION_COMPLETED);
    sevmig_session_job_completed(f->session, &job);
    g_assert_cmpuint(f->n_ended, ==, 0);
    fake_let_go(f->fake);
    wait_for(&f->n_ended, 1);
    g_assert_cmpuint(f->fake->n_queries, ==, 1);
}

static void
wait_for_pause(Fixture *f, gboolean paused)
{
    for (guint i = 0; i < 800 && f->fake->status.tune.pause != paused; i++)
        run_for(TICK_MS);
    g_assert_cmpint(f->fake->status.tune.pause, ==, paused);
}

/* Under a lease, which ends a pause that nobody ends. */
static void
test_pause(Fixture *f, gconstpointer data)
{
    start(f, "hurried", TRUE, FALSE);
    wait_for_pause(f, TRUE);
    g_assert_cmpuint(f->fake->last_tune.present & QMPC_TUNE_LEASE, !=, 0);
    g_assert_cmpuint(f->fake->last_tune.lease_ms, <=, 2000);
    say(f, QMPC_MIGRATION_CANCELLED);
    wait_for(&f->n_ended, 1);
}

/* QEMU's downtime begins with its stop; the guest has been down since the pause. */
static void
test_pause_counts(Fixture *f, gconstpointer data)
{
    SevmigJobResult job = {0};

    start(f, "hurried", TRUE, FALSE);
    wait_for_pause(f, TRUE);
    run_for(500);
    say(f, QMPC_MIGRATION_DEVICE);
    f->fake->status.switchover.has_result = TRUE;
    f->fake->status.switchover.downtime_us = 20000;
    say(f, QMPC_MIGRATION_COMPLETED);
    sevmig_session_job_completed(f->session, &job);
    wait_for(&f->n_ended, 1);
    g_assert_cmpuint(sevmig_session_info(f->session)->downtime_us, >, 500000);
    g_assert_cmpuint(sevmig_session_info(f->session)->promised_downtime_us, >, 500000);
}

/* Whoever stops sevmigd lets the guest run at once. */
static void
test_pause_released(Fixture *f, gconstpointer data)
{
    start(f, "hurried", TRUE, FALSE);
    wait_for_pause(f, TRUE);
    sevmig_session_release(f->session, "sevmigd stops", TRUE);
    wait_for(&f->n_ended, 1);
    g_assert_false(f->fake->status.tune.pause);
}

/* The guest of a QEMU that knows no lease for it is not paused at all: the deadline is missed. */
static void
test_pause_unknown(Fixture *f, gconstpointer data)
{
    f->fake->status.tune.has_pause = FALSE; /* a pause fails the test then */
    start(f, "hurried", TRUE, FALSE);
    run_for(1500);
    g_assert_nonnull(strstr(sevmig_session_info(f->session)->last_decision, "goes on"));
    say(f, QMPC_MIGRATION_CANCELLED);
    wait_for(&f->n_ended, 1);
}

static void
test_pause_ends_while_nothing_moves(Fixture *f, gconstpointer data)
{
    start(f, "hurried", TRUE, FALSE);
    wait_for_pause(f, TRUE);
    f->fake->status.ram.remaining_pages = 20000;
    f->fake->stuck = TRUE;
    wait_for_pause(f, FALSE);
    g_assert_nonnull(strstr(sevmig_session_info(f->session)->last_decision, "nothing moves"));
    say(f, QMPC_MIGRATION_CANCELLED);
    wait_for(&f->n_ended, 1);
}

static void
test_abort(Fixture *f, gconstpointer data)
{
    start(f, "impatient", TRUE, FALSE);
    wait_for(&f->fake->n_commands[SEVMIG_COMMAND_ABORT], 1);
    say(f, QMPC_MIGRATION_CANCELLING);
    fake_forbid(f->fake, TRUE);
    run_for(10 * TICK_MS);
    say(f, QMPC_MIGRATION_CANCELLED);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_cmpuint(f->fake->n_commands[SEVMIG_COMMAND_ABORT], ==, 1);
}

static void
test_release(Fixture *f, gconstpointer data)
{
    const unsigned must = QMPC_TUNE_VCPU_THROTTLE | QMPC_TUNE_VCPU_THROTTLES |
                          QMPC_TUNE_HOLD_SENDING | QMPC_TUNE_SWITCHOVER | QMPC_TUNE_LEASE;
    const QmpcTune *last = &f->fake->last_tune;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    f->fake->hold = TRUE;
    run_for(5 * TICK_MS);
    sevmig_session_release(f->session, "sevmigd stops", TRUE);
    g_assert_cmpuint(f->n_ended, ==, 0);
    fake_let_go(f->fake);
    wait_for(&f->n_ended, 1);
    g_assert_cmpuint(last->present & must, ==, must);
    g_assert_cmpuint(last->vcpu_throttle_percent, ==, 0);
    g_assert_cmpuint(last->n_vcpu_throttles, ==, 0);
    g_assert_cmpuint(last->batch_pages, ==, f->fake->status.limits.max_command_pages);
    g_assert_cmpuint(last->lease_ms, ==, 100);
    g_assert_cmpstr(info(f)->phase, ==, "released");
}

static void
test_libvirt_gone(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    fake_forbid(f->fake, TRUE);
    sevmig_session_release(f->session, "the connection to libvirt was lost", FALSE);
    g_assert_cmpuint(f->n_ended, ==, 1);
    run_for(5 * TICK_MS);
}

static void
test_domain_gone(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    fake_forbid(f->fake, TRUE);
    sevmig_session_domain_gone(f->session);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_cmpstr(info(f)->phase, ==, "failed");
    say(f, QMPC_MIGRATION_FAILED);
    run_for(5 * TICK_MS);
    g_assert_cmpuint(f->n_ended, ==, 1);
}

static void
set_vcpus(Fixture *f, size_t n)
{
    QmpcSevStatus *status = &f->fake->status;

    g_free(status->vcpus);
    status->vcpus = g_new0(QmpcSevVcpu, n);
    status->n_vcpus = n;
    for (size_t i = 0; i < n; i++)
        status->vcpus[i].cpu_index = (uint32_t)i;
}

static void
test_many_vcpus(Fixture *f, gconstpointer data)
{
    set_vcpus(f, SEVMIG_MAX_VCPUS);
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 5);
    g_assert_cmpstr(info(f)->state, ==, "steered");
    say(f, QMPC_MIGRATION_CANCELLED);
    wait_for(&f->n_ended, 1);
}

/* It is told, and what the first tune may have set is taken back. */
static void
test_too_many_vcpus(Fixture *f, gconstpointer data)
{
    guint n_tunes;

    set_vcpus(f, SEVMIG_MAX_VCPUS + 1);
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 2);
    g_assert_cmpstr(info(f)->state, ==, "observed");
    g_assert_cmpstr(info(f)->note, ==,
                    "this guest has 513 vCPUs, guests of at most 512 are steered");
    n_tunes = f->fake->n_tunes;
    run_for(5 * TICK_MS);
    g_assert_cmpuint(f->fake->n_tunes, ==, n_tunes);
    say(f, QMPC_MIGRATION_CANCELLED);
    wait_for(&f->n_ended, 1);
}

/* A panic, or the end of QEMU: libvirt says that it crashed, and then that it is gone. */
static void
test_domain_crashed(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    sevmig_session_crashed(f->session);
    run_for(2 * TICK_MS);
    g_assert_cmpuint(f->n_ended, ==, 0);
    sevmig_session_domain_gone(f->session);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_cmpstr(info(f)->phase, ==, "failed");
    g_assert_cmpstr(info(f)->error, ==, "the domain crashed while it was migrated");
}

/* QEMU tells of a panic, and what is left of the guest gets across. */
static void
test_panicked(Fixture *f, gconstpointer data)
{
    const QmpcEvent panic = {.type = QMPC_EVENT_GUEST_PANICKED};
    SevmigJobResult job = {.downtime_us = 70000};

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    sevmig_session_migration_event(f->session, &panic);
    say(f, QMPC_MIGRATION_COMPLETED);
    sevmig_session_job_completed(f->session, &job);
    wait_for(&f->n_ended, 1);
    g_assert_cmpstr(info(f)->phase, ==, "done");
    g_assert_cmpstr(info(f)->error, ==, "the domain crashed while it was migrated");
}

/* No answer to the last question and no word of libvirt but that the domain is gone. */
static void
test_end_without_answers(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    say(f, QMPC_MIGRATION_DEVICE);
    run_for(5 * TICK_MS);
    f->fake->hold = TRUE;
    say(f, QMPC_MIGRATION_COMPLETED);
    run_for(5 * TICK_MS);
    sevmig_session_domain_gone(f->session);
    wait_for(&f->n_ended, 1);
    g_assert_cmpstr(info(f)->phase, ==, "done");
}

/* libvirt tells of the end of the domain first, of its figures after that. */
static void
test_gone_before_job(Fixture *f, gconstpointer data)
{
    SevmigJobResult job = {.downtime_us = 70000};

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    fake_fail(f->fake, 1, g_error_new(SEVMIG_ERROR, SEVMIG_ERROR_UNAVAILABLE, "too late"));
    run_for(TICK_MS);
    say(f, QMPC_MIGRATION_COMPLETED);
    sevmig_session_domain_gone(f->session);
    g_assert_cmpuint(f->n_ended, ==, 0);
    sevmig_session_job_completed(f->session, &job);
    wait_for(&f->n_ended, 1);
    g_assert_cmpstr(info(f)->phase, ==, "done");
    g_assert_cmpuint(info(f)->downtime_us, ==, 70000);
}

/* All was sent, but the destination could not start the guest, and libvirt resumed it here. */
static void
test_resumed_at_source(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    sevmig_session_resumed(f->session); /* of no concern while it runs */
    g_assert_cmpuint(f->n_ended, ==, 0);
    say(f, QMPC_MIGRATION_COMPLETED);
    run_for(5 * TICK_MS);
    sevmig_session_resumed(f->session);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_cmpstr(info(f)->phase, ==, "failed");
    g_assert_nonnull(strstr(info(f)->error, "destination"));
}

/* A client pauses the guest, to have the migration end. QEMU counts from the switchover only. */
static void
test_paused_by_client(Fixture *f, gconstpointer data)
{
    const guint64 paused_us = 40 * TICK_MS * 1000;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    sevmig_session_suspended(f->session);
    run_for(20 * TICK_MS);
    sevmig_session_resumed(f->session);
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 2);
    sevmig_session_suspended(f->session);
    run_for(40 * TICK_MS);
    complete(f);
    wait_for(&f->n_ended, 1);
    g_assert_cmpuint(info(f)->downtime_us, >=, 80000 + paused_us);
    g_assert_cmpuint(info(f)->guest_lost_us, >=, info(f)->downtime_us + paused_us / 2);
    g_assert_cmpuint(info(f)->fixed_downtime_us, ==, 30000);
}

static void
test_stopped_for_switchover(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    sevmig_session_suspended(f->session);
    complete(f);
    wait_for(&f->n_ended, 1);
    g_assert_cmpuint(info(f)->downtime_us, ==, 80000);
}

/* A client that tries again at once must not wait for our books. */
static void
test_superseded(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    sevmig_session_superseded(f->session); /* its own beginning, heard of late */
    g_assert_cmpuint(f->n_ended, ==, 0);
    f->fake->hold = TRUE;
    run_for(5 * TICK_MS);
    say(f, QMPC_MIGRATION_FAILED);
    g_assert_cmpuint(f->n_ended, ==, 0);
    sevmig_session_superseded(f->session);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_cmpstr(info(f)->phase, ==, "failed");
}

/* What is remembered holds neither the domain nor a file. */
static void
test_lets_go(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    f->fake->hold = TRUE;
    run_for(5 * TICK_MS);
    say(f, QMPC_MIGRATION_CANCELLED);
    g_assert_cmpuint(f->n_ended, ==, 1);
    g_assert_false(f->fake->freed); /* a call is under way */
    run_for(5 * TICK_MS);
    g_assert_true(f->fake->freed);
}

static void
test_back_to_active(Fixture *f, gconstpointer data)
{
    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 3);
    say(f, QMPC_MIGRATION_PRE_SWITCHOVER);
    run_for(5 * TICK_MS);
    say(f, QMPC_MIGRATION_ACTIVE);
    wait_for(&f->fake->n_tunes, f->fake->n_tunes + 3);
}

static void
test_lease_expired(Fixture *f, gconstpointer data)
{
    QmpcEvent event = {.type = QMPC_EVENT_SEV_LEASE_EXPIRED};
    guint before;

    start(f, NULL, TRUE, FALSE);
    wait_for(&f->fake->n_tunes, 10);
    before = f->fake->n_tunes;
    f->fake->status.tune.batch_pages = f->fake->status.limits.max_command_pages;
    sevmig_session_migration_event(f->session, &event);
    wait_for(&f->fake->n_tunes, before + 5);
    /* The controller has asked for its batch again. */
    g_assert_cmpuint(f->fake->status.tune.batch_pages, >, f->fake->status.limits.max_command_pages);
}

#define CASE(name, func)                                                                           \
    g_test_add("/session/" name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    sevmig_log_install(G_LOG_LEVEL_CRITICAL);
    CASE("steered", test_steered);
    CASE("recorded", test_recorded);
    CASE("no-sev", test_no_sev);
    CASE("stock-qemu", test_stock_qemu);
    CASE("unknown-policy", test_unknown_policy);
    CASE("observed", test_observed);
    CASE("slow", test_slow);
    CASE("refused", test_refused);
    CASE("refused-for-ever", test_refused_for_ever);
    CASE("failed", test_failed);
    CASE("end-during-call", test_end_during_call);
    CASE("pause", test_pause);
    CASE("pause-counts", test_pause_counts);
    CASE("pause-released", test_pause_released);
    CASE("pause-unknown", test_pause_unknown);
    CASE("pause-ends-while-nothing-moves", test_pause_ends_while_nothing_moves);
    CASE("abort", test_abort);
    CASE("release", test_release);
    CASE("libvirt-gone", test_libvirt_gone);
    CASE("domain-gone", test_domain_gone);
    CASE("many-vcpus", test_many_vcpus);
    CASE("too-many-vcpus", test_too_many_vcpus);
    CASE("domain-crashed", test_domain_crashed);
    CASE("panicked", test_panicked);
    CASE("end-without-answers", test_end_without_answers);
    CASE("gone-before-job", test_gone_before_job);
    CASE("resumed-at-source", test_resumed_at_source);
    CASE("paused-by-client", test_paused_by_client);
    CASE("stopped-for-switchover", test_stopped_for_switchover);
    CASE("superseded", test_superseded);
    CASE("lets-go", test_lets_go);
    CASE("back-to-active", test_back_to_active);
    CASE("lease-expired", test_lease_expired);
    return g_test_run();
}
