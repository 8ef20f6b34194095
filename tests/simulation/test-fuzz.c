/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-fuzz.c - a million random events, most of them impossible
 *
 * Whatever arrives: no crash (the sanitizers watch), the invariant holds, every action is in its
 * range, no number that a person reads is none.
 */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "law.h"
#include "sim-test.h"

#define EVENTS 1000000
#define STREAM_MOST 400 /* events of one controller */

typedef struct {
    GRand *random;
    SevmigControlParams params;
    SevmigSample sample;
    SevmigVcpuSample vcpus[4];
    gint64 now_us;
} Fuzz;

/* A value at the edge of something, or anything. */
static guint64
odd_value(GRand *random)
{
    static const guint64 edges[] = {0,          1,           2,          4096,
                                    G_MAXINT32, G_MAXUINT32, G_MAXINT64, G_MAXUINT64};
    guint64 any = ((guint64)g_rand_int(random) << 32) | g_rand_int(random);

    if (g_rand_boolean(random))
        return edges[g_rand_int_range(random, 0, G_N_ELEMENTS(edges))];
    return any >> g_rand_int_range(random, 0, 64);
}

static void
draw_params(Fuzz *self)
{
    SevmigControlParams *p = &self->params;
    GRand *r = self->random;

    sevmig_control_params_default(p);
    p->downtime_goal_us = odd_value(r);
    p->downtime_max_us = odd_value(r);
    p->duration_goal_us = odd_value(r);
    p->slowdown_goal_percent = (guint32)odd_value(r);
    for (guint i = 0; i < SEVMIG_GOAL_COUNT; i++)
        p->goal_order[i] = (SevmigGoal)g_rand_int_range(r, 0, SEVMIG_GOAL_COUNT);
    p->throttle_mode =
        g_rand_int_range(r, 0, 4) > 0 ? SEVMIG_THROTTLE_STEERED : SEVMIG_THROTTLE_QEMU;
    p->throttle_ceiling_percent = (guint32)odd_value(r);
    p->stun_us = odd_value(r);
    p->throttle_per_vcpu = g_rand_boolean(r);
    p->batch_hold_us = odd_value(r);
    p->on_stall = (SevmigOnStall)g_rand_int_range(r, 0, SEVMIG_ON_STALL_ABORT + 1);
    p->on_deadline = (SevmigOnDeadline)g_rand_int_range(r, 0, SEVMIG_ON_DEADLINE_ABORT + 1);
    p->observe_only = g_rand_int_range(r, 0, 8) == 0;
    p->fixed_downtime_us = odd_value(r);
}

/* A course of statistics that could be: what one member's lie does is lost in noise alone. */
static void
go_on(Fuzz *self)
{
    SevmigSample *s = &self->sample;
    GRand *r = self->random;
    guint64 sent = (guint64)g_rand_int_range(r, 0, 500);

    s->pages += sent;
    s->commands += sent / 2;
    s->submissions += sent / 8;
    s->bytes += sent * 4160;
    s->service_us += sent * 600;
    s->remaining_pages = sent < s->remaining_pages ? s->remaining_pages - sent : 0;
    s->run_histogram[g_rand_int_range(r, 0, SEVMIG_RUN_BUCKETS)] += sent / 3;
    if (s->remaining_pages == 0 || g_rand_int_range(r, 0, 8) == 0) {
        s->pass += s->remaining_pages == 0;
        s->sync_count++;
        s->sync_dirtied_pages = (guint64)g_rand_int_range(r, 0, 5000);
        s->sync_interval_measured_us = (guint64)g_rand_int_range(r, 1, 3000000);
        s->sync_guest_cpu_us = (guint64)g_rand_int_range(r, 0, 3000000);
        s->remaining_pages = MIN(s->private_pages, s->remaining_pages + s->sync_dirtied_pages);
    }
    for (guint i = 0; i < G_N_ELEMENTS(self->vcpus); i++) {
        self->vcpus[i].cpu_us += (guint64)g_rand_int_range(r, 0, 100000);
        self->vcpus[i].throttled_us += (guint64)g_rand_int_range(r, 0, 50000);
        self->vcpus[i].dirtied_pages += (guint64)g_rand_int_range(r, 0, 5000);
    }
}

/* Any of the sample's 64-bit members, and those of the vCPUs, become anything. */
static void
spoil(Fuzz *self, SevmigSample *sample, SevmigVcpuSample *vcpus)
{
    GRand *r = self->random;
    guint64 *const members[] = {
        &sample->private_pages,
        &sample->shared_pages,
        &sample->remaining_pages,
        &sample->pass,
        &sample->pass_elapsed_us,
        &sample->sync_count,
        &sample->sync_dirtied_pages,
        &sample->sync_interval_measured_us,
        &sample->sync_guest_cpu_us,
        &sample->submissions,
        &sample->commands,
        &sample->pages,
        &sample->gap_pages,
        &sample->bytes,
        &sample->service_us,
        &sample->wait_us,
        &sample->channel_us,
        &sample->run_histogram[0],
        &sample->run_histogram[15],
        &vcpus[0].cpu_us,
        &vcpus[1].throttled_us,
        &vcpus[2].dirtied_pages,
        &vcpus[3].cpu_us,
        &sample->throttle_slice_us,
        &sample->sync_interval_us,
    };
    guint32 *const small[] = {
        &sample->max_command_pages, &sample->max_batch_pages,
        &sample->batch_pages,       &sample->vcpu_throttle_percent,
        &sample->page_size_bytes,   &vcpus[0].throttle_percent,
        &vcpus[1].cpu_index,
    };

    for (int n = g_rand_int_range(r, 0, 4); n > 0; n--)
        *members[g_rand_int_range(r, 0, G_N_ELEMENTS(members))] = odd_value(r);
    if (g_rand_boolean(r))
        *small[g_rand_int_range(r, 0, G_N_ELEMENTS(small))] = (guint32)odd_value(r);
    if (g_rand_int_range(r, 0, 20) == 0)
        sample->n_vcpus = g_rand_boolean(r) ? 0 : (gsize)odd_value(r);
    if (sample->n_vcpus > G_N_ELEMENTS(self->vcpus) && sample->n_vcpus <= SEVMIG_MAX_VCPUS)
        sample->n_vcpus = 1; /* a length the caller vouches for */
    if (g_rand_int_range(r, 0, 50) == 0)
        sample->vcpus = NULL;
}

static SevmigEventType
draw_type(GRand *random)
{
    static const SevmigEventType seldom[] = {
        SEVMIG_EVENT_START,  SEVMIG_EVENT_SAMPLE_MISSED, SEVMIG_EVENT_LEASE_EXPIRED,
        SEVMIG_EVENT_POLICY, SEVMIG_EVENT_SAMPLE_MISSED, SEVMIG_EVENT_TURN,
    };
    static const SevmigEventType last[] = {
        SEVMIG_EVENT_SWITCHOVER, SEVMIG_EVENT_COMPLETED, SEVMIG_EVENT_FAILED,
        SEVMIG_EVENT_CANCELLED,  SEVMIG_EVENT_RELEASE,   SEVMIG_EVENT_COUNT,
    };
    int dice = g_rand_int_range(random, 0, 1000);

    if (dice < 950)
        return SEVMIG_EVENT_SAMPLE;
    if (dice < 995)
        return seldom[g_rand_int_range(random, 0, G_N_ELEMENTS(seldom))];
    return last[g_rand_int_range(random, 0, G_N_ELEMENTS(last))];
}

static void
check_view(const SevmigControl *control)
{
    SevmigView view;

    sevmig_control_view(control, &view);
    g_assert_true(isfinite(view.dirty_pages_per_s) && view.dirty_pages_per_s >= 0);
    g_assert_true(isfinite(view.encrypt_pages_per_s) && view.encrypt_pages_per_s >= 0);
    g_assert_cmpuint(view.phase, <, SEVMIG_PHASE_COUNT);
}

static void
check(const Fuzz *self, const SevmigControl *control, const SevmigActions *actions, guint event)
{
    const char *broken = sevmig_control_invariant(control);

    if (broken)
        g_error("event %u: %s", event, broken);
    g_assert_cmpuint(actions->n, <=, SEVMIG_MAX_ACTIONS);
    for (gsize i = 0; i < actions->n; i++) {
        const char *problem = sim_test_action_problem(&actions->list[i], &self->params);

        if (problem)
            g_error("event %u: %s=%" G_GINT64_FORMAT " (%s): %s", event,
                    sevmig_action_name(actions->list[i].type), actions->list[i].value,
                    actions->list[i].reason, problem);
        if (strstr(actions->list[i].reason, "internal error"))
            g_error("event %u: %s", event, actions->list[i].reason);
    }
    check_view(control);
}

static void
begin(Fuzz *self)
{
    draw_params(self);
    self->sample = (SevmigSample){
        .max_command_pages = 4,
        .max_batch_pages = 4094,
        .batch_pages = 4,
        .page_size_bytes = 4096,
        .private_pages = 1u << g_rand_int_range(self->random, 8, 27),
        .pass = 1,
        .sync_count = 1,
        .n_vcpus = G_N_ELEMENTS(self->vcpus),
    };
    self->sample.remaining_pages = self->sample.private_pages;
    memset(self->vcpus, 0, sizeof(self->vcpus));
    self->now_us = (gint64)(odd_value(self->random) >> 2);
}

static void
step(Fuzz *self, SevmigControl *control, SevmigEventType type, guint number)
{
    SevmigEvent event = {.type = type, .now_us = self->now_us};
    SevmigVcpuSample vcpus[G_N_ELEMENTS(self->vcpus)];
    SevmigSample sample = self->sample;
    SevmigTurn turn = {g_rand_boolean(self->random), odd_value(self->random), "fuzz"};
    SevmigActions actions;

    memcpy(vcpus, self->vcpus, sizeof(vcpus));
    sample.vcpus = vcpus;
    if (g_rand_int_range(self->random, 0, 3) == 0)
        spoil(self, &sample, vcpus);
    if (type == SEVMIG_EVENT_POLICY)
        draw_params(self);
    event.params = &self->params;
    if (g_rand_int_range(self->random, 0, 30) > 0)
        event.sample = &sample;
    if (type == SEVMIG_EVENT_TURN)
        event.turn = &turn;
    if (g_rand_int_range(self->random, 0, 200) == 0)
        event.now_us = (gint64)(odd_value(self->random) >> 2);
    sevmig_control_step(control, &event, &actions);
    check(self, control, &actions, number);
}

static void
test_fuzz(void)
{
    g_autofree gpointer memory = g_malloc(sevmig_control_size());
    Fuzz fuzz = {.random = g_rand_new_with_seed(20)};
    guint number = 0;

    while (number < EVENTS) {
        SevmigControl *control = sevmig_control_init(memory);
        int length = g_rand_int_range(fuzz.random, 1, STREAM_MOST);

        begin(&fuzz);
        step(&fuzz, control, SEVMIG_EVENT_START, number++);
        for (int i = 0; i < length; i++) {
            fuzz.now_us += g_rand_int_range(fuzz.random, 0, 200000);
            go_on(&fuzz);
            step(&fuzz, control, draw_type(fuzz.random), number++);
        }
    }
    g_rand_free(fuzz.random);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuzz/million", test_fuzz);
    return g_test_run();
}
