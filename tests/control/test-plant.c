/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-plant.c - the law against the model, with numeric bounds
 *
 * Each case runs under several seeds, steered and as migrations run today (batch 1 and QEMU's
 * auto-converge). Bounds are on what a user sees; how the law got there is its own affair.
 */
#include <glib.h>
#include <string.h>

#include "plant.h"

#define SEEDS 3
#define LIMIT_S 100

#define GUEST                                                                                      \
    .pages = 65536, .page_us = 50.15, .submit_share = 0.5, .extra_us = 10, .device_us = 40000,     \
    .max_batch = 1024

typedef struct {
    PlantConfig plant;
    double most_total_share; /* of the unsteered run's time */
    double most_total_s;     /* instead, where the unsteered run never ends */
    double most_lost_s;      /* guest time */
    guint most_goal_ms;      /* goal in force at the end; 300 is what was asked */
    guint most_throttle;
    guint least_throttle; /* it was needed and had an effect */
    gboolean never;       /* cannot complete under the policy */
    SevmigOnStall on_stall;
    gboolean per_vcpu;
} Case;

static const Case cases[] = {
    {.plant = {GUEST, .vcpus = 1, .name = "idle", .working_set = 200, .writes_per_s = 100,
               .busy = 0.02},
     .most_total_share = 0.75,
     .most_goal_ms = 300},
    {.plant = {GUEST, .vcpus = 1, .name = "paced", .working_set = 30000, .writes_per_s = 3000,
               .pace = PLANT_WRITES_PACED, .busy = 0.1},
     .most_total_share = 0.8,
     .most_goal_ms = 300},
    /* Ten times faster: it must be throttled beyond the 90 % it sleeps anyway. */
    {.plant = {GUEST, .vcpus = 1, .name = "paced-fast", .working_set = 60000, .writes_per_s = 30000,
               .pace = PLANT_WRITES_PACED, .busy = 0.1},
     .most_total_share = 0.4,
     .most_lost_s = 6,
     .most_goal_ms = 300,
     .most_throttle = 95,
     .least_throttle = 91},
    {.plant = {GUEST, .vcpus = 1, .name = "hot-spot", .working_set = 30000, .hot_percent = 10,
               .hot_writes = 90, .writes_per_s = 60000, .busy = 1},
     .most_total_share = 0.7,
     .most_lost_s = 1,
     .most_goal_ms = 300,
     .most_throttle = 95},
    {.plant = {GUEST, .vcpus = 1, .name = "uniform-flat-out", .working_set = 50000,
               .writes_per_s = 250000, .busy = 1},
     .most_total_share = 0.3,
     .most_lost_s = 6,
     .most_goal_ms = 300,
     .most_throttle = 95,
     .least_throttle = 50},
    {.plant = {GUEST, .name = "one-writer-of-three", .working_set = 50000, .writes_per_s = 120000,
               .busy = 1, .vcpus = 3, .vcpu_dirty = TRUE},
     .most_total_share = 0.3,
     .most_lost_s = 2, /* a third of what throttling all would take */
     .most_goal_ms = 300,
     .most_throttle = 95,
     .least_throttle = 50,
     .per_vcpu = TRUE},
    /* DMA: no throttle has an effect, so none may stay, and the goal must give way. */
    {.plant = {GUEST, .vcpus = 1, .name = "unresponsive", .working_set = 40000,
               .writes_per_s = 30000, .pace = PLANT_WRITES_BY_WALL, .busy = 1},
     .most_total_s = 120,
     .most_lost_s = 30,
     .most_goal_ms = 3000,
     .most_throttle = 95,
     .on_stall = SEVMIG_ON_STALL_RELAX},
    /* The ceiling of 95 % leaves more than 3 s of downtime: never completes, never for ever
     * throttled. */
    {.plant = {GUEST, .vcpus = 1, .name = "beyond-the-ceiling", .working_set = 64000,
               .writes_per_s = 1000000, .busy = 1},
     .never = TRUE,
     .most_lost_s = 60,
     .most_throttle = 95,
     .on_stall = SEVMIG_ON_STALL_CONTINUE},
};

static SevmigControlParams
default_params(void)
{
    SevmigControlParams params;

    sevmig_control_params_default(&params);
    params.downtime_goal_us = 300000;
    params.downtime_max_us = 3000000;
    return params;
}

static void
report(const char *who, const PlantResult *r)
{
    g_test_message(
        "%s: done %d total %.1f s (first pass %.1f) downtime %.0f ms (predicted %.0f, goal "
        "%u) lost %.1f s throttle %u stun %.0f ms turns %u stalled %u step %.0f ns",
        who, r->completed, r->total_s, r->first_pass_s, r->downtime_ms, r->predicted_ms,
        (guint)(r->goal_us / 1000), r->lost_s, r->max_throttle, r->longest_stun_ms,
        r->throttle_changes, r->stalled, r->step_ns);
}

static void
check_limits(const Case *c, const SevmigControlParams *params, const PlantResult *r)
{
    g_assert_cmpuint(r->max_throttle, <=, c->most_throttle);
    g_assert_cmpuint(r->max_throttle, >=, c->least_throttle);
    g_assert_cmpfloat(r->longest_stun_ms, <=, (double)params->stun_us / 1000);
    g_assert_cmpuint(r->throttle_changes, <=, 2);
    g_assert_cmpfloat(r->lost_s, <=, c->most_lost_s + 0.001);
}

static void
run_case(gconstpointer data)
{
    const Case *c = data;
    SevmigControlParams params = default_params();

    params.on_stall = c->on_stall;
    params.throttle_per_vcpu = c->per_vcpu;
    for (guint seed = 1; seed <= SEEDS; seed++) {
        PlantConfig today = c->plant;
        PlantResult steered, unsteered;

        plant_run(&c->plant, &params, NULL, seed, LIMIT_S, &steered);
        report("steered", &steered);
        check_limits(c, &params, &steered);
        g_assert_cmpint(steered.completed, ==, !c->never);
        if (c->never)
            continue;
        g_assert_cmpint(steered.phase, ==, SEVMIG_PHASE_DONE);
        g_assert_cmpuint(steered.goal_us, <=, c->most_goal_ms * 1000);
        g_assert_cmpfloat(steered.downtime_ms, <=, (double)steered.goal_us / 1000);
        if (c->most_total_s > 0) {
            g_assert_cmpfloat(steered.total_s, <=, c->most_total_s);
            continue;
        }
        today.auto_converge = TRUE;
        plant_run(&today, NULL, NULL, seed, LIMIT_S, &unsteered);
        report("as today", &unsteered);
        g_assert_cmpfloat(steered.total_s, <=, c->most_total_share * unsteered.total_s);
        g_assert_cmpfloat(steered.downtime_ms, <, unsteered.downtime_ms);
    }
}

/* The real firmware's speed, a small guest: the priors must not be the lab's. */
static void
test_scale_one(void)
{
    const PlantConfig plant = {.name = "scale-1",
                               .pages = 8192,
                               .working_set = 3000,
                               .writes_per_s = 400,
                               .busy = 1,
                               .page_us = 1003,
                               .device_us = 40000,
                               .max_batch = 1024,
                               .vcpus = 1};

    for (guint i = 0; i < 3; i++) {
        const double shares[] = {0.2, 0.5, 0.8};
        SevmigControlParams params = default_params();
        PlantConfig config = plant;
        PlantResult r;

        config.submit_share = shares[i];
        plant_run(&config, &params, NULL, i, LIMIT_S, &r);
        report("scale 1", &r);
        g_assert_true(r.completed);
        g_assert_cmpfloat(r.downtime_ms, <=, 300);
    }
}

/* As measured with an emulated guest: a vCPU runs on for 1.7 ms in every slice, and its working set
 * is written anew in a tenth of a second. */
static void
test_slack(void)
{
    const PlantConfig plant = {.name = "slack",
                               .pages = 24576,
                               .working_set = 16400,
                               .writes_per_s = 170000,
                               .busy = 1,
                               .page_us = 100.3,
                               .submit_share = 0.5,
                               .extra_us = 5,
                               .device_us = 15000,
                               .slack_us = 1700,
                               .max_batch = 1024,
                               .vcpus = 1};

    for (guint seed = 0; seed < 3; seed++) {
        SevmigControlParams params = default_params();
        PlantResult r;

        params.downtime_goal_us = 200000;
        params.fixed_downtime_us = 10000;
        plant_run(&plant, &params, NULL, seed, LIMIT_S, &r);
        report("slack", &r);
        g_assert_true(r.completed);
        g_assert_cmpuint(r.goal_us, ==, 200000);
        g_assert_cmpfloat(r.downtime_ms, <=, 200);
        g_assert_cmpfloat(r.total_s, <=, 12);
    }
}

/* Broken messages may cost time, never the bounds. */
static void
test_faults(void)
{
    const PlantFaults faults[] = {{.miss_every = 3},
                                  {.corrupt_every = 4},
                                  {.lease_expires_at = 70},
                                  {.miss_every = 5, .corrupt_every = 7, .lease_expires_at = 60}};
    const Case *c = &cases[4];

    for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
        SevmigControlParams params = default_params();
        PlantResult r;

        g_assert_cmpstr(c->plant.name, ==, "uniform-flat-out");
        plant_run(&c->plant, &params, &faults[i], i, LIMIT_S, &r);
        report("faults", &r);
        g_assert_true(r.completed);
        g_assert_cmpuint(r.max_throttle, <=, 95);
        g_assert_cmpfloat(r.longest_stun_ms, <=, 100);
        g_assert_cmpfloat(r.downtime_ms, <=, 400);
        g_assert_cmpfloat(r.total_s, <=, 30);
    }
}

/* A gentle policy: what is not allowed is not done, whatever the goal. */
static void
test_ceiling_and_stun(void)
{
    SevmigControlParams params = default_params();
    PlantResult r;

    params.throttle_ceiling_percent = 30;
    params.stun_us = 1000;
    params.on_stall = SEVMIG_ON_STALL_RELAX;
    plant_run(&cases[4].plant, &params, NULL, 1, LIMIT_S, &r);
    report("gentle", &r);
    g_assert_cmpuint(r.max_throttle, <=, 30);
    g_assert_cmpfloat(r.longest_stun_ms, <=, 1);
    g_assert_cmpuint(r.goal_us, <=, params.downtime_max_us);
}

static void
test_abort_and_pause(void)
{
    const PlantConfig *plant = &cases[7].plant;
    SevmigControlParams params = default_params();
    PlantResult r;

    params.downtime_max_us = 0;
    params.on_stall = SEVMIG_ON_STALL_ABORT;
    plant_run(plant, &params, NULL, 1, LIMIT_S, &r);
    g_assert_true(r.aborted);
    params.on_stall = SEVMIG_ON_STALL_PAUSE;
    plant_run(plant, &params, NULL, 1, LIMIT_S, &r);
    g_assert_true(r.paused && r.completed);
    params.on_stall = SEVMIG_ON_STALL_CONTINUE;
    params.on_deadline = SEVMIG_ON_DEADLINE_PAUSE;
    params.duration_goal_us = 20000000;
    plant_run(plant, &params, NULL, 1, LIMIT_S, &r);
    report("deadline", &r);
    g_assert_true(r.paused && r.completed);
    g_assert_cmpfloat(r.total_s, <=, 21);
}

/* Duration before downtime: it stops in time, at whatever downtime. */
static void
test_duration_first(void)
{
    SevmigControlParams params = default_params();
    PlantResult r;

    params.goal_order[0] = SEVMIG_GOAL_DURATION;
    params.goal_order[1] = SEVMIG_GOAL_DOWNTIME;
    params.duration_goal_us = 20000000;
    params.on_stall = SEVMIG_ON_STALL_CONTINUE;
    plant_run(&cases[7].plant, &params, NULL, 1, LIMIT_S, &r);
    report("duration first", &r);
    g_assert_true(r.completed && !r.paused);
    g_assert_cmpfloat(r.total_s, <=, 21);
}

/* Left to QEMU: no throttle, no switchover, the batch the policy fixes. */
static void
test_left_to_qemu(void)
{
    SevmigControlParams params = default_params();
    PlantConfig plant = cases[3].plant;
    PlantResult r;

    params.throttle_mode = SEVMIG_THROTTLE_QEMU;
    params.downtime_goal_us = 0;
    params.batch_pages = 1;
    params.on_stall = SEVMIG_ON_STALL_CONTINUE;
    plant.auto_converge = TRUE;
    plant_run(&plant, &params, NULL, 1, LIMIT_S, &r);
    report("left to QEMU", &r);
    g_assert_true(r.completed);
    g_assert_cmpfloat(r.total_s, >, 4); /* batch 1 */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *path = g_strconcat("/plant/", cases[i].plant.name, NULL);

        g_test_add_data_func(path, &cases[i], run_case);
    }
    g_test_add_func("/plant/scale-one", test_scale_one);
    g_test_add_func("/plant/slack", test_slack);
    g_test_add_func("/plant/faults", test_faults);
    g_test_add_func("/plant/ceiling-and-stun", test_ceiling_and_stun);
    g_test_add_func("/plant/abort-and-pause", test_abort_and_pause);
    g_test_add_func("/plant/duration-first", test_duration_first);
    g_test_add_func("/plant/left-to-qemu", test_left_to_qemu);
    return g_test_run();
}
