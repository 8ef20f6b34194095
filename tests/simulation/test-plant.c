/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-plant.c - the law against the model, with numeric bounds
 *
 * Each case runs under several seeds, steered and as migrations run today (batch 1 and QEMU's
 * auto-converge). Bounds are on what a user sees; how the law got there is its own affair.
 */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "course.h"
#include "plant.h"
#include "sim-test.h"

#define SEEDS 3
#define LIMIT_S 60

/* A 256 MiB guest at twenty times the firmware's speed, as in the lab. */
static SevmigSimScenario
lab_guest(const char *name)
{
    SevmigSimScenario s;

    sevmig_sim_scenario_default(&s);
    g_strlcpy(s.name, name, sizeof(s.name));
    s.page_us = 50.15;
    s.device_us = 40000;
    s.outside_us = 0;
    s.max_batch_pages = 1024;
    s.limit_s = LIMIT_S;
    s.params.downtime_max_us = 3000000;
    return s;
}

typedef struct {
    const char *name;
    SevmigSimPhase load;
    guint vcpus;
    SevmigOnStall on_stall;
    SevmigSimBounds bounds;
} Case;

static const Case cases[] = {
    {"idle",
     {.working_set_pages = 200, .writes_per_s = 100, .busy = 0.02},
     1,
     .bounds = {.most_total_share = 0.75, .most_lost_s = 0.3, .completes = TRUE}},
    {"paced",
     {.working_set_pages = 30000, .writes_per_s = 3000, .pace = SEVMIG_SIM_PACED, .busy = 0.1},
     1,
     .bounds = {.most_total_share = 0.8, .most_lost_s = 0.3, .completes = TRUE}},
    /* Ten times faster: it must be throttled beyond the 90 % it sleeps anyway. */
    {"paced-fast",
     {.working_set_pages = 60000, .writes_per_s = 30000, .pace = SEVMIG_SIM_PACED, .busy = 0.1},
     1,
     .bounds = {.most_total_share = 0.4,
                .most_lost_s = 6,
                .most_throttle_percent = 95,
                .least_throttle_percent = 91,
                .completes = TRUE}},
    {"hot-spot",
     {.pattern = SEVMIG_SIM_ZIPF,
      .zipf_exponent = 1.1,
      .working_set_pages = 30000,
      .writes_per_s = 60000,
      .busy = 1},
     1,
     .bounds = {.most_total_share = 0.7,
                .most_lost_s = 1.5,
                .most_throttle_percent = 95,
                .completes = TRUE}},
    {"uniform-flat-out",
     {.working_set_pages = 50000, .writes_per_s = 250000, .busy = 1},
     1,
     /* one of the throttle's stops of 100 ms may come on top of the goal */
     .bounds = {.most_total_share = 0.3,
                .most_lost_s = 6.5,
                .most_throttle_percent = 95,
                .least_throttle_percent = 50,
                .most_downtime_ms = 400,
                .completes = TRUE}},
    /* A third of what throttling all would take. */
    {"one-writer-of-three",
     {.working_set_pages = 50000, .writes_per_s = 120000, .busy = 1},
     3,
     .bounds = {.most_total_share = 0.3,
                .most_lost_s = 2,
                .most_throttle_percent = 95,
                .least_throttle_percent = 50,
                .completes = TRUE}},
    /* DMA: no throttle has an effect, so none may stay, and the goal must give way. */
    {"unresponsive",
     {.working_set_pages = 40000, .writes_per_s = 30000, .pace = SEVMIG_SIM_BY_WALL, .busy = 1},
     1,
     SEVMIG_ON_STALL_RELAX,
     .bounds = {.most_total_s = 120,
                .most_lost_s = 30,
                .most_goal_ms = 3000,
                .most_throttle_percent = 95,
                .completes = TRUE}},
    /* The ceiling of 95 % leaves more than 3 s of downtime: never completes, never for ever
     * throttled. */
    {"beyond-the-ceiling",
     {.working_set_pages = 64000, .writes_per_s = 1000000, .busy = 1},
     1,
     SEVMIG_ON_STALL_CONTINUE,
     .bounds = {.most_lost_s = 60, .most_throttle_percent = 95}},
};

static SevmigSimScenario
scenario_of(const Case *c)
{
    SevmigSimScenario s = lab_guest(c->name);

    s.phases[0] = c->load;
    s.vcpus = c->vcpus;
    s.reports_vcpu_dirty = s.params.throttle_per_vcpu = c->vcpus > 1;
    s.params.on_stall = c->on_stall;
    s.bounds = c->bounds;
    s.bounds.most_turns = 2;
    return s;
}

static void
run_case(gconstpointer data)
{
    const Case *c = data;
    SevmigSimScenario s = scenario_of(c);

    if (!c->bounds.completes)
        s.limit_s = 40;
    for (s.seed = 1; s.seed <= SEEDS; s.seed++) {
        SevmigSimResult steered, unsteered;

        sim_test_run(&s, &steered);
        if (s.bounds.most_total_share > 0)
            sim_test_run_unsteered(&s, TRUE, &unsteered);
        sim_test_check(&s, &steered, s.bounds.most_total_share > 0 ? &unsteered : NULL);
        if (c->bounds.completes)
            g_assert_cmpint(steered.phase, ==, SEVMIG_PHASE_DONE);
        if (s.bounds.most_total_share > 0)
            g_assert_cmpfloat(steered.qemu_downtime_ms, <, unsteered.qemu_downtime_ms);
    }
}

/* A whole migration comes to the same, page by page and by expectation. */
static void
test_agreement(void)
{
    const guint chosen[] = {1, 2, 3, 4, 5};

    for (guint i = 0; i < G_N_ELEMENTS(chosen); i++) {
        SevmigSimScenario s = scenario_of(&cases[chosen[i]]);
        SevmigSimRun run = {.controller = &sevmig_sim_steered};
        SevmigSimResult exact, grouped;

        run.exact = TRUE;
        sevmig_sim_run(&s, &run, &exact);
        run.exact = FALSE;
        run.grouped = TRUE;
        sevmig_sim_run(&s, &run, &grouped);
        g_test_message("%s: %.2f and %.2f s, %.0f and %.0f ms, %.2f and %.2f s lost", s.name,
                       exact.total_s, grouped.total_s, exact.qemu_downtime_ms,
                       grouped.qemu_downtime_ms, exact.throttled_s, grouped.throttled_s);
        g_assert_cmpfloat(fabs(exact.total_s - grouped.total_s), <, 0.1 * exact.total_s);
        g_assert_cmpfloat(fabs(exact.pages - grouped.pages), <, 0.1 * exact.pages);
        g_assert_cmpfloat(fabs(exact.qemu_downtime_ms - grouped.qemu_downtime_ms), <, 60);
        g_assert_cmpfloat(fabs(exact.throttled_s - grouped.throttled_s), <,
                          0.1 + 0.15 * exact.throttled_s);
    }
}

/* The real firmware's speed, a small guest: the priors must not be the lab's. */
static void
test_scale_one(void)
{
    const double shares[] = {0.2, 0.5, 0.8};
    SevmigSimScenario s = lab_guest("scale-1");

    s.pages = 8192;
    s.page_us = 1003;
    s.extra_us = 0;
    s.phases[0] = (SevmigSimPhase){.working_set_pages = 3000, .writes_per_s = 400, .busy = 1};
    for (s.seed = 0; s.seed < G_N_ELEMENTS(shares); s.seed++) {
        SevmigSimResult r;

        s.submit_share = shares[s.seed];
        sim_test_run(&s, &r);
        sim_test_check(&s, &r, NULL);
    }
}

/* One that dirties next to nothing has nothing to lose by waiting until the pass is over, however
 * long the goal would let it stop. */
static void
test_nothing_to_lose(void)
{
    for (int notice_ms = 0; notice_ms < 100; notice_ms += 20) {
        SevmigSimScenario s = lab_guest("nothing-to-lose");
        SevmigSimResult r;

        s.pages = 24576;
        s.page_us = 1003;
        s.device_us = 4200;
        s.notice_us = notice_ms * 1e3;
        s.phases[0] = (SevmigSimPhase){
            .working_set_pages = 2048, .writes_per_s = 10, .pace = SEVMIG_SIM_PACED, .busy = 0.05};
        s.params.downtime_goal_us = 2000000;
        s.params.fixed_downtime_us = 4200;
        sim_test_run(&s, &r);
        g_assert_true(r.completed);
        g_assert_cmpfloat(r.downtime_ms, <, 30);
    }
}

/* As measured with an emulated guest: a vCPU runs on for 1.7 ms in every slice, and its working set
 * is written anew in a tenth of a second. */
static void
test_slack(void)
{
    SevmigSimScenario s = lab_guest("slack");

    s.pages = 24576;
    s.page_us = 100.3;
    s.extra_us = 5;
    s.device_us = 15000;
    s.slack_us = 1700;
    s.phases[0] = (SevmigSimPhase){.working_set_pages = 16400, .writes_per_s = 170000, .busy = 1};
    s.params.downtime_goal_us = 200000;
    s.params.fixed_downtime_us = 10000;
    s.bounds.most_total_s = 12;
    for (s.seed = 0; s.seed < 3; s.seed++) {
        SevmigSimResult r;

        sim_test_run(&s, &r);
        sim_test_check(&s, &r, NULL);
    }
}

/* Broken messages may cost time, never the bounds. */
static void
test_faults(void)
{
    const struct {
        guint miss_every, corrupt_every, lease_expires_at;
    } faults[] = {{3, 0, 0}, {0, 4, 0}, {0, 0, 70}, {5, 7, 60}};
    SevmigSimScenario s = scenario_of(&cases[4]);

    s.bounds = (SevmigSimBounds){.completes = TRUE,
                                 .most_lost_s = NAN,
                                 .most_throttle_percent = 95,
                                 .most_downtime_ms = 400,
                                 .most_total_s = 30,
                                 .most_turns = 99};
    for (s.seed = 0; s.seed < G_N_ELEMENTS(faults); s.seed++) {
        SevmigSimResult r;

        s.miss_every = faults[s.seed].miss_every;
        s.corrupt_every = faults[s.seed].corrupt_every;
        s.lease_expires_at = faults[s.seed].lease_expires_at;
        sim_test_run(&s, &r);
        sim_test_check(&s, &r, NULL);
    }
}

/* A gentle policy: what is not allowed is not done, whatever the goal. */
static void
test_ceiling_and_stun(void)
{
    SevmigSimScenario s = scenario_of(&cases[4]);
    SevmigSimResult r;

    s.params.throttle_ceiling_percent = 30;
    s.params.stun_us = 1000;
    s.params.on_stall = SEVMIG_ON_STALL_RELAX;
    sim_test_run(&s, &r);
    g_assert_cmpuint(r.max_throttle_percent, <=, 30);
    g_assert_cmpfloat(r.longest_stun_ms, <=, 1);
    g_assert_cmpfloat(r.goal_ms, <=, (double)s.params.downtime_max_us / 1000);
}

static void
test_abort_and_pause(void)
{
    SevmigSimScenario s = scenario_of(&cases[7]);
    SevmigSimResult r;

    s.params.downtime_max_us = 0;
    s.params.on_stall = SEVMIG_ON_STALL_ABORT;
    sim_test_run(&s, &r);
    g_assert_true(r.aborted);
    s.params.on_stall = SEVMIG_ON_STALL_PAUSE;
    sim_test_run(&s, &r);
    g_assert_false(r.paused); /* it would take longer than the policy's greatest downtime */
    s.params.downtime_max_us = 60000000;
    sim_test_run(&s, &r);
    g_assert_true(r.paused && r.completed);
    g_assert_cmpfloat(r.downtime_ms, >, r.qemu_downtime_ms + 100); /* it is down since the pause */
    g_assert_cmpfloat(r.downtime_ms, <=, 60000);
    s.params.on_stall = SEVMIG_ON_STALL_CONTINUE;
    s.params.on_deadline = SEVMIG_ON_DEADLINE_PAUSE;
    s.params.duration_goal_us = 20000000;
    sim_test_run(&s, &r);
    g_assert_true(r.paused && r.completed);
    g_assert_cmpfloat(r.total_s, <=, 21);
}

/* Duration before downtime: it stops in time, at whatever downtime. */
static void
test_duration_first(void)
{
    SevmigSimScenario s = scenario_of(&cases[7]);
    SevmigSimResult r;

    s.params.goal_order[0] = SEVMIG_GOAL_DURATION;
    s.params.goal_order[1] = SEVMIG_GOAL_DOWNTIME;
    s.params.duration_goal_us = 20000000;
    s.params.on_stall = SEVMIG_ON_STALL_CONTINUE;
    sim_test_run(&s, &r);
    g_assert_true(r.completed && !r.paused);
    g_assert_cmpfloat(r.total_s, <=, 21);
}

/* Left to QEMU: no throttle, no switchover, the batch the policy fixes. */
static void
test_left_to_qemu(void)
{
    SevmigSimScenario s = scenario_of(&cases[3]);
    SevmigSimResult r;

    s.params.throttle_mode = SEVMIG_THROTTLE_QEMU;
    s.params.downtime_goal_us = 0;
    s.params.batch_pages = 1;
    s.params.on_stall = SEVMIG_ON_STALL_CONTINUE;
    s.auto_converge = TRUE;
    sim_test_run(&s, &r);
    g_assert_true(r.completed);
    g_assert_cmpfloat(r.total_s, >, 4); /* batch 1 */
}

/* How long after the migration began there was the first sample; `data` is 0 until then. */
static void
note_first_sample(gpointer data, gconstpointer state, const SevmigEvent *event,
                  const SevmigActions *actions)
{
    gint64 *after_us = data;

    if (event->type == SEVMIG_EVENT_SAMPLE && *after_us == 0)
        *after_us = event->now_us - SEVMIG_SIM_CLOCK_US;
}

static gint64
first_sample_us(double notice_us)
{
    SevmigSimScenario s = lab_guest("notice");
    gint64 after_us = 0;
    const SevmigSimRun run = {.controller = &sevmig_sim_steered,
                              .observer = note_first_sample,
                              .observer_data = &after_us};
    SevmigSimResult r;

    s.notice_us = notice_us;
    sevmig_sim_run(&s, &run, &r);
    g_assert_true(r.completed);
    return after_us;
}

static void
test_notice(void)
{
    gint64 at_once_us = first_sample_us(0);

    g_assert_cmpint(at_once_us, <, 30000);
    g_assert_cmpint(first_sample_us(70000), >=, 70000);
    g_assert_cmpint(first_sample_us(70000), <, 100000);
}

/* A second under that throttle of one that writes 1000 pages a second in a fiftieth of a CPU, and
 * uses a twentieth for other things. */
static void
run_second(guint percent, double *cpu_us, double *written)
{
    SevmigSimScenario s = lab_guest("idle-busy");
    SevmigSimRandom random;
    SevmigSimPlant plant;

    s.idle_busy = 0.05;
    s.phases[0] = (SevmigSimPhase){
        .working_set_pages = 4096, .writes_per_s = 1000, .pace = SEVMIG_SIM_PACED, .busy = 0.02};
    sevmig_sim_random_init(&random, 1);
    sevmig_sim_plant_init(&plant, &s, &random, TRUE);
    plant.tune.slice_us = 1000;
    plant.tune.throttle_percent = percent;
    sevmig_sim_guest_run(&plant, 1e6);
    *cpu_us = plant.cpu_us[0];
    *written = plant.written[0];
    sevmig_sim_plant_clear(&plant);
}

/* What a throttle takes first is what nobody waits for. */
static void
test_idle_busy(void)
{
    double cpu_us, written;

    run_second(0, &cpu_us, &written);
    g_assert_cmpfloat_with_epsilon(cpu_us, 70000, 1);
    g_assert_cmpfloat_with_epsilon(written, 1000, 1e-3);
    run_second(95, &cpu_us, &written);
    g_assert_cmpfloat_with_epsilon(cpu_us, 20000 + 0.05 * 50000, 1);
    g_assert_cmpfloat_with_epsilon(written, 1000, 1e-3);
    run_second(99, &cpu_us, &written);
    g_assert_cmpfloat_with_epsilon(cpu_us, 10000, 1);
    g_assert_cmpfloat_with_epsilon(written, 500, 1e-3);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/plant/", cases[i].name, NULL);

        g_test_add_data_func(path, &cases[i], run_case);
    }
    g_test_add_func("/plant/agreement", test_agreement);
    g_test_add_func("/plant/scale-one", test_scale_one);
    g_test_add_func("/plant/nothing-to-lose", test_nothing_to_lose);
    g_test_add_func("/plant/slack", test_slack);
    g_test_add_func("/plant/faults", test_faults);
    g_test_add_func("/plant/notice", test_notice);
    g_test_add_func("/plant/idle-busy", test_idle_busy);
    g_test_add_func("/plant/ceiling-and-stun", test_ceiling_and_stun);
    g_test_add_func("/plant/abort-and-pause", test_abort_and_pause);
    g_test_add_func("/plant/duration-first", test_duration_first);
    g_test_add_func("/plant/left-to-qemu", test_left_to_qemu);
    return g_test_run();
}
