/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The estimators one by one, on data whose truth is known. */
#include <glib.h>
#include <math.h>

#include "dirty.h"
#include "firmware.h"
#include "intake.h"
#include "lull.h"
#include "phase.h"
#include "predict.h"
#include "vcpus.h"

/*
 * Firmware
 */

static SevmigSent
sent_of(double submissions, double commands, double pages, double a_submit, double a_cmd, double b)
{
    double service = submissions * a_submit + commands * a_cmd + pages * b;

    return (SevmigSent){.wall_us = service * 1.2,
                        .submissions = submissions,
                        .commands = commands,
                        .pages = pages,
                        .service_us = service,
                        .busy = true};
}

static void
test_firmware_scale(void)
{
    SevmigFirmware fw;
    SevmigSent sent = sent_of(10, 100, 400, 12.5, 12.5, 25);

    sevmig_firmware_init(&fw);
    sevmig_firmware_learn(&fw, &sent);
    /* One sample cannot split the cost, but its sum for the same shape is right. */
    g_assert_cmpfloat_with_epsilon(sevmig_firmware_hold_us(&fw, 40, 0.25),
                                   12.5 + 40 * (12.5 * 0.25 + 25), 15);
    g_assert_cmpfloat_with_epsilon(fw.extra_us, 0.2 * sent.service_us / 400, 0.01);
}

static void
test_firmware_split(void)
{
    const struct {
        double a_submit, a_cmd, b;
    } truths[] = {{5, 5, 40}, {12.5, 12.5, 25}, {20, 20, 10}, {0, 30, 20}};

    for (gsize i = 0; i < G_N_ELEMENTS(truths); i++) {
        SevmigFirmware fw;

        sevmig_firmware_init(&fw);
        for (int k = 0; k < 200; k++) {
            double batch = 4 << k % 5, shape = k % 3 == 0 ? 1 : 0.25;
            SevmigSent sent = sent_of(400 / batch, 400 * shape, 400, truths[i].a_submit,
                                      truths[i].a_cmd, truths[i].b);

            sevmig_firmware_learn(&fw, &sent);
        }
        for (int k = 0; k < 9; k++) {
            double batch = 8 << k % 3 * 2, shape = 0.25 + 0.375 * (k / 3);
            double is = truths[i].a_submit + batch * (shape * truths[i].a_cmd + truths[i].b);

            g_assert_cmpfloat_with_epsilon(sevmig_firmware_hold_us(&fw, batch, shape), is,
                                           0.05 * is);
        }
    }
}

static void
test_firmware_nonsense(void)
{
    SevmigFirmware fw, before;
    const SevmigSent nonsense[] = {
        {0}, {.pages = 10}, {.pages = 10, .submissions = 1}, {.submissions = 1, .service_us = 5}};

    sevmig_firmware_init(&fw);
    before = fw;
    for (gsize i = 0; i < G_N_ELEMENTS(nonsense); i++)
        sevmig_firmware_learn(&fw, &nonsense[i]);
    g_assert_cmpmem(&fw, sizeof(fw), &before, sizeof(before));
}

static void
test_firmware_runs(void)
{
    SevmigFirmware fw;
    SevmigSent sent = sent_of(10, 100, 400, 12.5, 12.5, 25);

    sevmig_firmware_init(&fw);
    g_assert_cmpfloat(sevmig_firmware_late_commands_per_page(&fw, 4), ==, 1);
    sent.runs[0] = 100;
    sevmig_firmware_learn(&fw, &sent); /* of the first pass: not about the last */
    g_assert_cmpfloat(fw.runs_total, ==, 0);
    sent.late = true;
    sevmig_firmware_learn(&fw, &sent);
    g_assert_cmpfloat(sevmig_firmware_late_commands_per_page(&fw, 4), ==, 1);
    sent.runs[0] = 0;
    sent.runs[5] = 100; /* long runs: nearly one command for four pages */
    for (int i = 0; i < 50; i++)
        sevmig_firmware_learn(&fw, &sent);
    g_assert_cmpfloat(sevmig_firmware_late_commands_per_page(&fw, 4), <, 0.3);
    g_assert_cmpfloat(sevmig_firmware_late_commands_per_page(&fw, 1), ==, 1);
}

/* However long the runs are while much is dirty: a sparse set has the shortest of them. */
static void
test_firmware_sparse(void)
{
    SevmigFirmware fw;
    SevmigSent sent = sent_of(10, 100, 400, 12.5, 12.5, 25);

    sevmig_firmware_init(&fw);
    g_assert_cmpfloat(sevmig_firmware_sparse_commands_per_page(&fw, 4), ==, 1);
    sent.late = true;
    sent.runs[1] = 60; /* of two pages, as they are written */
    sent.runs[4] = 40;
    sevmig_firmware_learn(&fw, &sent);
    g_assert_cmpfloat(sevmig_firmware_sparse_commands_per_page(&fw, 4), ==, 0.5);
    g_assert_cmpfloat(sevmig_firmware_late_commands_per_page(&fw, 4), <, 0.4);
}

/* A set that is one run is told by its commands, and what is left of it lies no other way. */
static void
test_firmware_one_run(void)
{
    SevmigFirmware fw;
    SevmigSent sent = sent_of(100, 1000, 4000, 12.5, 12.5, 25);

    sevmig_firmware_init(&fw);
    g_assert_false(sevmig_firmware_knows_late(&fw));
    sent.late = true;
    sent.runs[12] = 1;
    sevmig_firmware_learn(&fw, &sent);
    g_assert_true(sevmig_firmware_knows_late(&fw));
    g_assert_cmpfloat_with_epsilon(sevmig_firmware_late_commands_per_page(&fw, 4), 0.25, 0.01);
    g_assert_cmpfloat_with_epsilon(sevmig_firmware_sparse_commands_per_page(&fw, 4), 0.25, 0.01);
}

/*
 * Dirty curve
 */

static void
test_dirty_unknown(void)
{
    SevmigDirty dirty;

    sevmig_dirty_init(&dirty);
    g_assert_false(sevmig_dirty_known(&dirty));
    g_assert_cmpfloat(sevmig_dirty_pages(&dirty, 1e6), ==, 0);
    g_assert_true(isinf(sevmig_dirty_time_us(&dirty, 100)));
    sevmig_dirty_learn(&dirty, 0, 100);
    sevmig_dirty_learn(&dirty, NAN, 100);
    sevmig_dirty_learn(&dirty, 1000, -1);
    g_assert_false(sevmig_dirty_known(&dirty));
}

/* D(t) = W (1 - exp(-r t / W)) */
static double
truth(double t_us, double working_set, double per_us)
{
    return working_set * (1 - exp(-per_us * t_us / working_set));
}

static void
test_dirty_curve(void)
{
    SevmigDirty dirty;

    sevmig_dirty_init(&dirty);
    for (int round = 0; round < 8; round++) {
        for (double t = 1e4; t < 2e7; t *= 2)
            sevmig_dirty_learn(&dirty, t, truth(t, 50000, 0.05));
    }
    for (double t = 1.5e4; t < 1e7; t *= 1.7) {
        double is = truth(t, 50000, 0.05);

        g_assert_cmpfloat_with_epsilon(sevmig_dirty_pages(&dirty, t), is, 0.05 * is);
        g_assert_cmpfloat_with_epsilon(sevmig_dirty_time_us(&dirty, is), t, 0.25 * t);
    }
}

/* As far as single precision tells. */
static void
check_concave(const SevmigDirty *dirty)
{
    const double digits = 1e-5;
    double last = 0, last_rate = INFINITY;

    for (double t = 1e3; t < 1e8; t *= 1.3) {
        double d = sevmig_dirty_pages(dirty, t);

        g_assert_cmpfloat(d, >=, last * (1 - digits));
        g_assert_cmpfloat(d / t, <=, last_rate * (1 + digits));
        last = d;
        last_rate = d / t;
    }
}

/* Whatever is measured, the curve stays one that a guest can have. */
static void
test_dirty_shape(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    SevmigDirty dirty;

    sevmig_dirty_init(&dirty);
    sevmig_dirty_set_most(&dirty, 100000);
    for (int i = 0; i < 500; i++) {
        sevmig_dirty_learn(&dirty, exp2(g_rand_double_range(rand, 10, 26)),
                           g_rand_int_range(rand, 0, 200000));
        check_concave(&dirty);
        g_assert_cmpfloat(sevmig_dirty_pages(&dirty, 1e12), <=, 100000);
    }
}

static void
test_dirty_follows(void)
{
    SevmigDirty dirty;

    sevmig_dirty_init(&dirty);
    for (double t = 1e4; t < 2e7; t *= 2)
        sevmig_dirty_learn(&dirty, t, truth(t, 50000, 0.05));
    for (int i = 0; i < 6; i++) /* the load stops */
        sevmig_dirty_learn(&dirty, 1e6, 0);
    g_assert_cmpfloat(sevmig_dirty_pages(&dirty, 5e6), <, 100);
}

/*
 * vCPUs
 */

static void
learn_busy(SevmigVcpus *vcpus, const double *busy, guint n, guint percent, guint samples,
           SevmigVcpuSample *list)
{
    SevmigSample sample = {.vcpus = list, .n_vcpus = n, .vcpu_throttle_percent = percent};

    for (guint k = 0; k < samples; k++) {
        for (guint i = 0; i < n; i++) {
            list[i].cpu_index = i;
            list[i].cpu_us += (guint64)(1e5 * MIN(busy[i], (100 - percent) / 100.0));
            list[i].throttled_us += 1000 * percent;
        }
        g_assert_true(sevmig_vcpus_learn(vcpus, &sample, 1e5));
    }
}

static void
test_vcpus_biting(void)
{
    SevmigVcpus vcpus;
    SevmigVcpuSample list[2] = {0};
    const double busy[] = {0.18, 0.02};

    sevmig_vcpus_init(&vcpus);
    learn_busy(&vcpus, busy, 2, 0, 20, list);
    g_assert_cmpuint(sevmig_vcpus_biting_percent(&vcpus), ==, 82);
    g_assert_cmpfloat_with_epsilon(sevmig_vcpus_running(&vcpus, 0), 0.2, 0.001);
    g_assert_cmpfloat_with_epsilon(sevmig_vcpus_running(&vcpus, 80), 0.2, 0.001);
    g_assert_cmpfloat_with_epsilon(sevmig_vcpus_running(&vcpus, 90), 0.12, 0.002);
    learn_busy(&vcpus, busy, 2, 50, 20, list); /* a throttle that does not bite hides nothing */
    g_assert_cmpuint(sevmig_vcpus_biting_percent(&vcpus), ==, 82);
    learn_busy(&vcpus, busy, 2, 95, 5, list); /* one that bites does: the old value stays */
    g_assert_cmpuint(sevmig_vcpus_biting_percent(&vcpus), <=, 82);
    g_assert_cmpuint(sevmig_vcpus_biting_percent(&vcpus), >=, 75);
}

static void
test_vcpus_fell(void)
{
    SevmigVcpus vcpus;
    SevmigVcpuSample list[1] = {0};
    SevmigSample sample = {.vcpus = list, .n_vcpus = 1};
    const double busy[] = {0.5};

    sevmig_vcpus_init(&vcpus);
    g_assert_cmpfloat(sevmig_vcpus_running(&vcpus, 30), ==, 0.7);
    learn_busy(&vcpus, busy, 1, 0, 5, list);
    list[0].cpu_us = 1;
    g_assert_false(sevmig_vcpus_learn(&vcpus, &sample, 1e5));
}

/*
 * Prediction
 */

static void
test_predict_least(void)
{
    SevmigVcpus vcpus;
    SevmigVcpuSample list[1] = {0};
    SevmigDirty dirty;
    SevmigPlant plant = {
        .dirty = &dirty, .vcpus = &vcpus, .page_us = 50, .fixed_us = 60000, .allowed_pages = 4000};
    const double busy[] = {1};
    unsigned least;
    SevmigPlan plan;

    sevmig_vcpus_init(&vcpus);
    learn_busy(&vcpus, busy, 1, 0, 5, list);
    sevmig_dirty_init(&dirty);
    for (double t = 1e3; t < 2e7; t *= 2) /* 60000 pages a second against 20000 */
        sevmig_dirty_learn(&dirty, t, 0.06 * t);
    least = sevmig_predict_least_percent(&plant, 95);
    g_assert_cmpuint(least, >=, 70); /* 1 - 0.8/3 */
    g_assert_cmpuint(least, <=, 76);
    sevmig_predict_plan(&plant, 100000, least, &plan);
    g_assert_true(plan.reaches || plan.last_pages < 10000);
    sevmig_predict_plan(&plant, 100000, 95, &plan);
    g_assert_true(plan.reaches);
    sevmig_predict_plan(&plant, 100000, 0, &plan);
    g_assert_false(plan.reaches);
    g_assert_cmpuint(sevmig_predict_least_percent(&plant, 50), ==, 51); /* none */
}

/*
 * Phases
 */

static void
test_phase_table(void)
{
    for (int from = 0; from < SEVMIG_PHASE_COUNT; from++) {
        bool leaves = false;

        for (int to = 0; to < SEVMIG_PHASE_COUNT; to++) {
            SevmigPhase phase = (SevmigPhase)from;
            bool moved = sevmig_phase_move(&phase, (SevmigPhase)to);

            g_assert_cmpint(phase, ==, moved ? to : from);
            leaves |= moved && to != from;
            if (to < from && from <= (int)SEVMIG_PHASE_SWITCHOVER)
                g_assert_true(!moved || to == (int)SEVMIG_PHASE_CONVERGING);
        }
        g_assert_cmpint(leaves, ==, !sevmig_phase_is_final((SevmigPhase)from));
    }
    g_assert_false(sevmig_phase_allows((SevmigPhase)99, SEVMIG_PHASE_DONE));
    g_assert_cmpstr(sevmig_phase_name((SevmigPhase)99), ==, "?");
}

/*
 * Intake
 */

static void
test_intake_rebase(void)
{
    SevmigSample sample = {
        .private_pages = 1000, .remaining_pages = 500, .pages = 100, .submissions = 10, .pass = 1};
    SevmigIntake intake;

    sevmig_intake_init(&intake);
    g_assert_cmpint(sevmig_intake_take(&intake, 1000, &sample), ==, SEVMIG_INTAKE_FIRST);
    g_assert_cmpint(sevmig_intake_take(&intake, 101000, &sample), ==, SEVMIG_INTAKE_OK);
    sample.pages = 50;
    for (int i = 0; i < 4; i++)
        g_assert_cmpint(sevmig_intake_take(&intake, 200000 + i, &sample), ==,
                        SEVMIG_INTAKE_IMPOSSIBLE);
    /* It stays so: the counters began anew. */
    g_assert_cmpint(sevmig_intake_take(&intake, 300000, &sample), ==, SEVMIG_INTAKE_OK);
    sample.remaining_pages = 1001;
    g_assert_cmpint(sevmig_intake_take(&intake, 400000, &sample), ==, SEVMIG_INTAKE_IMPOSSIBLE);
    g_assert_nonnull(intake.problem);
}

/* A sample soon after another brings news, but no rates: those come with the next. */
/* When a sync was: as long after the one before as it says, but between the newest two samples;
 * when a pass began with it; half an interval ago. */
static void
test_intake_sync_time(void)
{
    const struct {
        guint64 syncs, passes, interval_us, pass_elapsed_us;
        gint64 at_us;
    } cases[] = {{1, 0, 30000, 0, 1030000},     {1, 1, 30000, 60000, 1030000},
                 {1, 0, 250000, 0, 1100000},    {2, 1, 30000, 60000, 1040000},
                 {2, 0, 30000, 0, 1085000},     {2, 0, 900000, 0, 1050000},
                 {2, 1, 30000, 900000, 1000000}};

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        SevmigSample sample = {.private_pages = 1000, .pass = 2, .sync_count = 1};
        SevmigIntake intake;

        sevmig_intake_init(&intake);
        sevmig_intake_take(&intake, 1000000, &sample);
        sample.sync_count += cases[i].syncs;
        sample.pass += cases[i].passes;
        sample.sync_interval_measured_us = cases[i].interval_us;
        sample.pass_elapsed_us = cases[i].pass_elapsed_us;
        sevmig_intake_take(&intake, 1100000, &sample);
        g_assert_cmpint(intake.sync_at_us, ==, cases[i].at_us);
    }
}

static void
test_intake_brief(void)
{
    SevmigSample sample = {.private_pages = 1000, .remaining_pages = 500, .pass = 1};
    SevmigIntake intake;

    sevmig_intake_init(&intake);
    sevmig_intake_take(&intake, 0, &sample);
    sample.pages = 30;
    sample.remaining_pages = 470;
    sample.sync_count = 1;
    g_assert_cmpint(sevmig_intake_take(&intake, 20000, &sample), ==, SEVMIG_INTAKE_BRIEF);
    g_assert_true(intake.new_sync);
    g_assert_cmpuint(intake.last.remaining_pages, ==, 470);
    g_assert_cmpfloat(intake.sent.pages, ==, 0);
    sample.pages = 100;
    g_assert_cmpint(sevmig_intake_take(&intake, 100000, &sample), ==, SEVMIG_INTAKE_OK);
    g_assert_false(intake.new_sync);
    g_assert_cmpfloat(intake.sent.pages, ==, 100);
    g_assert_cmpfloat(intake.sent.wall_us, ==, 100000);
    g_assert_cmpfloat(intake.wall_us, ==, 80000);
}

/*
 * Lulls
 */

/* Busy for 5 s in every 20, as told by ten samples a second. */
static void
play_bursts(SevmigLull *lull, int64_t from_us, int64_t to_us)
{
    for (int64_t now_us = from_us; now_us < to_us; now_us += 100000)
        sevmig_lull_learn(lull, now_us, now_us % 20000000 < 5000000 ? 2.0 : 0.1);
}

static void
test_lull(void)
{
    SevmigLull lull = {0};
    double wait_us, lull_us;

    play_bursts(&lull, 100000, 19000000);
    g_assert_false(sevmig_lull_expected(&lull, 19000000, &wait_us, &lull_us)); /* none is whole */
    play_bursts(&lull, 19000000, 42000000);
    g_assert_true(sevmig_lull_expected(&lull, 42000000, &wait_us, &lull_us));
    g_assert_cmpfloat_with_epsilon(wait_us, 3e6, 2e5);
    g_assert_cmpfloat_with_epsilon(lull_us, 15e6, 2e5);
    play_bursts(&lull, 42000000, 50000000);
    g_assert_true(sevmig_lull_expected(&lull, 50000000, &wait_us, &lull_us));
    g_assert_cmpfloat(wait_us, ==, 0);
    g_assert_cmpfloat_with_epsilon(lull_us, 10e6, 2e5);
    /* This burst does not end: there is nothing to wait for. */
    play_bursts(&lull, 50000000, 60000000);
    for (int64_t now_us = 60000000; now_us < 68000000; now_us += 100000)
        sevmig_lull_learn(&lull, now_us, 2.0);
    g_assert_false(sevmig_lull_expected(&lull, 68000000, &wait_us, &lull_us));
    sevmig_lull_interrupt(&lull);
    g_assert_false(sevmig_lull_expected(&lull, 68000000, &wait_us, &lull_us));
}

static void
test_lull_steady(void)
{
    SevmigLull lull = {0};
    double wait_us, lull_us;

    for (int64_t now_us = 100000; now_us < 60000000; now_us += 100000)
        sevmig_lull_learn(&lull, now_us, now_us / 100000 % 3 == 0 ? 0.7 : 1.0);
    g_assert_false(sevmig_lull_expected(&lull, 60000000, &wait_us, &lull_us));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/firmware/scale", test_firmware_scale);
    g_test_add_func("/firmware/split", test_firmware_split);
    g_test_add_func("/firmware/nonsense", test_firmware_nonsense);
    g_test_add_func("/firmware/runs", test_firmware_runs);
    g_test_add_func("/firmware/sparse", test_firmware_sparse);
    g_test_add_func("/firmware/one-run", test_firmware_one_run);
    g_test_add_func("/dirty/unknown", test_dirty_unknown);
    g_test_add_func("/dirty/curve", test_dirty_curve);
    g_test_add_func("/dirty/shape", test_dirty_shape);
    g_test_add_func("/dirty/follows", test_dirty_follows);
    g_test_add_func("/vcpus/biting", test_vcpus_biting);
    g_test_add_func("/vcpus/fell", test_vcpus_fell);
    g_test_add_func("/predict/least", test_predict_least);
    g_test_add_func("/phase/table", test_phase_table);
    g_test_add_func("/intake/rebase", test_intake_rebase);
    g_test_add_func("/intake/sync-time", test_intake_sync_time);
    g_test_add_func("/intake/brief", test_intake_brief);
    g_test_add_func("/lull/bursts", test_lull);
    g_test_add_func("/lull/steady", test_lull_steady);
    return g_test_run();
}
