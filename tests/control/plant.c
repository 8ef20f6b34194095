/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "law.h"
#include "sevmig-trace.h"

#define STEP_US 2000.0
#define ITERATION_US 50000.0 /* QEMU's MAX_WAIT */
#define TICK_US 100000.0
#define MAX_COMMAND 4
#define PAGE 4096
#define AUTO_PERIOD_US 1000000.0

typedef struct {
    const PlantConfig *config;
    guint64 random;
    guint8 *bitmap; /* to be sent */
    guint8 *logged; /* dirtied since the sync */
    guint cursor, remaining;
    double now_us, send_credit_us, iteration_us, sync_us, pass_us;
    double sync_cpu_us, cpu_us[8], throttled_us[8];
    guint64 dirtied[8];
    double writes_due;
    /* tune */
    guint batch, gap, throttle, vcpu_throttle[8];
    double slice_us, sync_interval_us, limit_us;
    SevmigSwitchover switchover;
    double bandwidth, bandwidth_from_us; /* bytes/us */
    guint64 bandwidth_bytes;
    /* auto-converge */
    double auto_us;
    guint64 auto_bytes, auto_dirtied;
    guint auto_high;
    SevmigSample sample;
    SevmigVcpuSample vcpus[8];
    gboolean stop;
} Plant;

static guint
plant_random(Plant *p, guint below)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return (guint)((p->random >> 20) % below);
}

static guint
written_page(Plant *p)
{
    const PlantConfig *c = p->config;

    if (c->hot_writes > 0 && plant_random(p, 100) < c->hot_writes)
        return plant_random(p, MAX(1, c->working_set / 100 * c->hot_percent));
    return plant_random(p, MAX(1, c->working_set));
}

static guint
throttle_of(const Plant *p, guint vcpu)
{
    return p->vcpu_throttle[vcpu] > 0 ? p->vcpu_throttle[vcpu] : p->throttle;
}

/* The share of time a throttle leaves. */
static double
left_by(const Plant *p, guint percent)
{
    double stop = percent < 100 ? p->slice_us * percent / (100 - percent) : 0;
    double run = p->slice_us + p->config->slack_us;

    return percent > 0 ? run / (run + stop) : 1;
}

static void
guest_step(Plant *p, double dt)
{
    const PlantConfig *c = p->config;
    gboolean quiet = c->stop_writing_at_s > 0 && p->now_us > c->stop_writing_at_s * 1e6;
    double ran = 0;

    for (guint i = 0; i < c->vcpus; i++) {
        double left = left_by(p, throttle_of(p, i)), used = MIN(c->busy, left) * dt;

        p->cpu_us[i] += used;
        p->throttled_us[i] += (1 - left) * dt;
        p->sync_cpu_us += used;
        if (i == 0)
            ran = c->pace == PLANT_WRITES_BY_WALL ? dt
                  : c->pace == PLANT_WRITES_PACED ? dt * MIN(1, left / c->busy)
                                                  : used;
    }
    if (!quiet)
        p->writes_due += c->writes_per_s * ran / 1e6;
    for (; p->writes_due >= 1; p->writes_due--) {
        p->logged[written_page(p)] = 1;
        p->dirtied[0]++;
    }
}

static void
auto_converge(Plant *p, guint dirtied)
{
    guint64 bytes = p->sample.bytes;

    p->auto_dirtied += dirtied;
    if (!p->config->auto_converge || p->now_us - p->auto_us < AUTO_PERIOD_US)
        return;
    if (p->auto_dirtied * PAGE > (bytes - p->auto_bytes) / 2 && ++p->auto_high >= 2) {
        p->auto_high = 0;
        p->throttle = p->throttle == 0 ? 20 : MIN(99, p->throttle + 10);
    }
    p->auto_dirtied = 0;
    p->auto_bytes = bytes;
    p->auto_us = p->now_us;
}

static void
bitmap_sync(Plant *p)
{
    guint dirtied = 0;

    for (guint i = 0; i < p->config->pages; i++) {
        dirtied += p->logged[i] && !p->bitmap[i];
        p->bitmap[i] |= p->logged[i];
    }
    memset(p->logged, 0, p->config->pages);
    p->remaining += dirtied;
    p->sample.sync_count++;
    p->sample.sync_dirtied_pages = dirtied;
    p->sample.sync_interval_measured_us = (guint64)(p->now_us - p->sync_us);
    p->sample.sync_guest_cpu_us = (guint64)p->sync_cpu_us;
    p->sync_cpu_us = 0;
    p->sync_us = p->now_us;
    auto_converge(p, dirtied);
}

/* Takes up to a batch off the bitmap; returns what it costs. */
static double
submit(Plant *p)
{
    const PlantConfig *c = p->config;
    double a = c->page_us * c->submit_share / 2, b = c->page_us * (1 - c->submit_share);
    guint pages = 0, commands = 0, run = 0, in_command = 0;

    while (pages < p->batch && p->remaining > 0) {
        if (p->bitmap[p->cursor]) {
            p->bitmap[p->cursor] = 0;
            p->remaining--;
            pages++;
            run++;
            if (in_command == 0)
                commands++;
            in_command = (in_command + 1) % MAX_COMMAND;
        } else if (run > 0) {
            p->sample.run_histogram[MIN(15, g_bit_storage(run) - 1)]++;
            run = in_command = 0;
        }
        if (++p->cursor == c->pages) {
            p->cursor = 0;
            in_command = 0;
            p->sample.pass++;
            p->pass_us = p->now_us;
        }
    }
    if (run > 0)
        p->sample.run_histogram[MIN(15, g_bit_storage(run) - 1)]++;
    if (pages == 0)
        return 0;
    p->sample.submissions++;
    p->sample.commands += commands;
    p->sample.pages += pages;
    p->sample.bytes += (guint64)pages * (PAGE + 64);
    p->sample.service_us += (guint64)(a + commands * a + pages * b);
    return a + commands * a + pages * (b + c->extra_us);
}

static guint64
threshold(const Plant *p)
{
    return (guint64)(p->bandwidth * p->limit_us);
}

/* QEMU's loop: decide, then send for up to 50 ms. */
static void
migration_step(Plant *p, double dt)
{
    if (p->now_us - p->bandwidth_from_us >= TICK_US) {
        p->bandwidth =
            (double)(p->sample.bytes - p->bandwidth_bytes) / (p->now_us - p->bandwidth_from_us);
        p->bandwidth_bytes = p->sample.bytes;
        p->bandwidth_from_us = p->now_us;
    }
    p->send_credit_us += dt;
    p->iteration_us += dt;
    if (p->sync_interval_us > 0 && p->now_us - p->sync_us >= p->sync_interval_us)
        bitmap_sync(p);
    /* Held with next to nothing left, QEMU sleeps between turns. */
    if (p->iteration_us >= ITERATION_US ||
        (p->remaining == 0 && p->switchover != SEVMIG_SWITCHOVER_HOLD)) {
        gboolean low;

        p->iteration_us = 0;
        low = (guint64)p->remaining * PAGE < threshold(p) || p->remaining == 0;
        if (low)
            bitmap_sync(p);
        low = (guint64)p->remaining * PAGE < threshold(p) || p->remaining == 0;
        p->stop = p->switchover == SEVMIG_SWITCHOVER_NOW ||
                  (p->switchover == SEVMIG_SWITCHOVER_AUTO && low);
    }
    while (p->send_credit_us > 0 && p->remaining > 0 && !p->stop)
        p->send_credit_us -= submit(p);
    p->send_credit_us = MIN(p->send_credit_us, 0);
}

static double
stop_and_copy_us(Plant *p)
{
    double us = p->config->device_us;

    bitmap_sync(p);
    while (p->remaining > 0)
        us += submit(p);
    return us + p->batch * p->config->page_us; /* the destination's last submission */
}

static void
fill_sample(Plant *p)
{
    const PlantConfig *c = p->config;
    SevmigSample *s = &p->sample;

    s->max_command_pages = MAX_COMMAND;
    s->max_batch_pages = c->max_batch;
    s->batch_pages = p->batch;
    s->batch_gap_pages = p->gap;
    s->vcpu_throttle_percent = p->throttle;
    s->throttle_slice_us = (guint64)p->slice_us;
    s->page_size_bytes = PAGE;
    s->private_pages = c->pages;
    s->remaining_pages = p->remaining;
    s->pass_elapsed_us = (guint64)(p->now_us - p->pass_us);
    s->vcpus = p->vcpus;
    s->n_vcpus = c->vcpus;
    for (guint i = 0; i < c->vcpus; i++) {
        p->vcpus[i] = (SevmigVcpuSample){.cpu_index = i,
                                         .throttle_percent = throttle_of(p, i),
                                         .cpu_us = (guint64)p->cpu_us[i],
                                         .throttled_us = (guint64)p->throttled_us[i],
                                         .dirtied_pages = c->vcpu_dirty ? p->dirtied[i] : 0,
                                         .has_dirtied_pages = c->vcpu_dirty};
    }
}

static void
apply(Plant *p, const SevmigAction *action, PlantResult *result)
{
    switch (action->type) {
    case SEVMIG_ACTION_BATCH_PAGES:
        p->batch = (guint)action->value;
        break;
    case SEVMIG_ACTION_GAP_PAGES:
        p->gap = (guint)action->value;
        break;
    case SEVMIG_ACTION_THROTTLE:
        p->throttle = (guint)action->value;
        memset(p->vcpu_throttle, 0, sizeof(p->vcpu_throttle));
        break;
    case SEVMIG_ACTION_VCPU_THROTTLE:
        p->vcpu_throttle[action->cpu_index] = (guint)action->value;
        break;
    case SEVMIG_ACTION_SLICE_US:
        p->slice_us = (double)action->value;
        break;
    case SEVMIG_ACTION_SYNC_INTERVAL_US:
        p->sync_interval_us = (double)action->value;
        break;
    case SEVMIG_ACTION_SWITCHOVER:
        p->switchover = (SevmigSwitchover)action->value;
        break;
    case SEVMIG_ACTION_DOWNTIME_LIMIT_US:
        p->limit_us = (double)action->value;
        break;
    case SEVMIG_ACTION_PAUSE:
        result->paused = TRUE;
        p->stop = TRUE;
        break;
    case SEVMIG_ACTION_ABORT:
        result->aborted = TRUE;
        break;
    case SEVMIG_ACTION_HOLD_SENDING:
    case SEVMIG_ACTION_NOTE:
    case SEVMIG_ACTION_COUNT:
        break;
    }
}

static void
forget_tune(Plant *p)
{
    p->batch = MAX_COMMAND;
    p->gap = p->throttle = 0;
    memset(p->vcpu_throttle, 0, sizeof(p->vcpu_throttle));
    p->slice_us = 10000;
    p->sync_interval_us = 0;
    p->limit_us = 300000;
    p->switchover = SEVMIG_SWITCHOVER_AUTO;
}

/*
 * The controller's side
 */

typedef struct {
    SevmigControl *control;
    gpointer memory;
    const PlantFaults *faults;
    SevmigActions actions;
    int direction; /* of the last change of throttle */
    guint last_throttle;
} Steering;

static double
elapsed_ns(const struct timespec *a, const struct timespec *b)
{
    return (double)(b->tv_sec - a->tv_sec) * 1e9 + (double)(b->tv_nsec - a->tv_nsec);
}

static void
measure_throttle(const Plant *p, Steering *s, PlantResult *result)
{
    guint throttle = p->throttle;
    int direction;

    for (guint i = 0; i < p->config->vcpus; i++)
        throttle = MAX(throttle, p->vcpu_throttle[i]);
    result->max_throttle = MAX(result->max_throttle, throttle);
    if (throttle > 0)
        result->longest_stun_ms =
            MAX(result->longest_stun_ms, p->slice_us * throttle / (100 - throttle) / 1000);
    if (throttle == s->last_throttle)
        return;
    direction = throttle > s->last_throttle ? 1 : -1;
    if (s->direction != 0 && direction != s->direction)
        result->throttle_changes++;
    s->direction = direction;
    s->last_throttle = throttle;
}

static void
step(Plant *p, Steering *s, SevmigEvent *event, PlantResult *result)
{
    struct timespec before, after;
    const char *broken;
    SevmigView view;
    double ns;

    event->now_us = (gint64)p->now_us + 1000000;
    clock_gettime(CLOCK_MONOTONIC, &before);
    result->phase = sevmig_control_step(s->control, event, &s->actions);
    clock_gettime(CLOCK_MONOTONIC, &after);
    ns = elapsed_ns(&before, &after);
    result->step_ns += ns;
    result->step_worst_ns = MAX(result->step_worst_ns, ns);
    result->steps++;
    result->stalled += result->phase == SEVMIG_PHASE_STALLED;
    broken = sevmig_control_invariant(s->control);
    g_assert_cmpstr(broken, ==, NULL);
    g_assert_cmpuint(s->actions.n, <=, SEVMIG_MAX_ACTIONS);
    sevmig_control_view(s->control, &view);
    result->goal_us = view.downtime_goal_us;
    if (view.predicted_downtime_us > 0)
        result->predicted_ms = (double)view.predicted_downtime_us / 1000;
    for (gsize i = 0; i < s->actions.n; i++) {
        g_assert_cmpuint(strnlen(s->actions.list[i].reason, SEVMIG_REASON_SIZE), <,
                         SEVMIG_REASON_SIZE);
        g_assert_cmpuint(strlen(s->actions.list[i].reason), >, 0);
        result->notes += s->actions.list[i].type == SEVMIG_ACTION_NOTE;
        if (g_getenv("PLANT_VERBOSE"))
            g_printerr("%8.2f %-10s r=%-6u pass=%-3u %s=%d: %s\n", p->now_us / 1e6,
                       sevmig_phase_name(result->phase), p->remaining, (guint)p->sample.pass,
                       sevmig_action_name(s->actions.list[i].type), (int)s->actions.list[i].value,
                       s->actions.list[i].reason);
    }
    if (s->faults && s->faults->record) {
        g_autofree char *line = sevmig_trace_format_step(event, &s->actions, &view);

        fputs(line, s->faults->record);
    }
}

static void
corrupt(SevmigSample *sample, guint tick)
{
    switch (tick % 4) {
    case 0:
        sample->remaining_pages = sample->private_pages * 2 + 1;
        break;
    case 1:
        sample->pages /= 2;
        sample->gap_pages = 0;
        break;
    case 2:
        sample->service_us = 0;
        break;
    default:
        sample->pass = 0;
        sample->sync_count = 0;
        break;
    }
}

/* One tick: what the step before decided takes effect, then statistics are taken and judged. */
static void
tick(Plant *p, Steering *s, guint number, PlantResult *result)
{
    SevmigEvent event = {.type = SEVMIG_EVENT_SAMPLE};
    const PlantFaults *f = s->faults;
    SevmigSample sample;

    for (gsize i = 0; i < s->actions.n; i++)
        apply(p, &s->actions.list[i], result);
    s->actions.n = 0;
    measure_throttle(p, s, result);
    if (f && f->lease_expires_at > 0 && number == f->lease_expires_at) {
        forget_tune(p);
        event.type = SEVMIG_EVENT_LEASE_EXPIRED;
    } else if (f && f->miss_every > 0 && number % f->miss_every == 0) {
        event.type = SEVMIG_EVENT_SAMPLE_MISSED;
    } else {
        fill_sample(p);
        sample = p->sample;
        if (f && f->corrupt_every > 0 && number % f->corrupt_every == 0)
            corrupt(&sample, number / f->corrupt_every);
        event.sample = &sample;
    }
    step(p, s, &event, result);
}

static void
steering_begin(Plant *p, Steering *s, const SevmigControlParams *params, const PlantFaults *faults,
               PlantResult *result)
{
    SevmigEvent event = {.type = SEVMIG_EVENT_START, .params = params};

    s->memory = g_malloc(sevmig_control_size());
    s->control = sevmig_control_init(s->memory);
    s->faults = faults;
    if (faults && faults->record) {
        SevmigTraceHeader header = {.domain = (char *)p->config->name,
                                    .policy = (char *)"test",
                                    .uuid = (char *)"",
                                    .params = *params};
        g_autofree char *line = sevmig_trace_format_header(&header);

        fputs(line, faults->record);
    }
    step(p, s, &event, result);
}

static void
plant_init(Plant *p, const PlantConfig *config, guint seed)
{
    memset(p, 0, sizeof(*p));
    g_assert_cmpuint(config->vcpus, >=, 1);
    g_assert_cmpuint(config->vcpus, <=, G_N_ELEMENTS(p->vcpus));
    p->config = config;
    p->random = G_GUINT64_CONSTANT(0x9E3779B97F4A7C15) * (seed + 1);
    p->bitmap = g_malloc(config->pages);
    p->logged = g_malloc0(config->pages);
    memset(p->bitmap, 1, config->pages);
    p->remaining = config->pages;
    p->sample.pass = 1;
    p->sample.sync_count = 1;
    forget_tune(p);
}

static void
finish(Plant *p, Steering *s, PlantResult *result)
{
    const SevmigEventType end[] = {SEVMIG_EVENT_SWITCHOVER, SEVMIG_EVENT_COMPLETED};
    double downtime_us = stop_and_copy_us(p);

    result->completed = TRUE;
    result->downtime_ms = downtime_us / 1000;
    p->now_us += downtime_us;
    p->sample.has_switchover = TRUE;
    p->sample.switchover_downtime_us = (guint64)downtime_us;
    fill_sample(p);
    for (guint i = 0; i < G_N_ELEMENTS(end) && s->control; i++) {
        SevmigEvent event = {.type = end[i], .sample = &p->sample};

        if (event.type == SEVMIG_EVENT_SWITCHOVER)
            event.sample = NULL;
        step(p, s, &event, result);
        g_assert_cmpuint(s->actions.n, ==, 0);
        g_assert_cmpint(s->actions.wake_us, ==, 0);
    }
}

void
plant_run(const PlantConfig *config, const SevmigControlParams *params, const PlantFaults *faults,
          guint seed, double limit_s, PlantResult *result)
{
    Steering steering = {0};
    double next_tick_us = 0;
    guint number = 0;
    Plant p;

    memset(result, 0, sizeof(*result));
    plant_init(&p, config, seed);
    if (params)
        steering_begin(&p, &steering, params, faults, result);
    else
        p.batch = 1; /* as migrations run today */
    while (!p.stop && !result->aborted && p.now_us < limit_s * 1e6) {
        if (params && p.now_us >= next_tick_us) {
            tick(&p, &steering, ++number, result);
            next_tick_us += TICK_US;
        }
        if (p.stop)
            break;
        guest_step(&p, STEP_US);
        migration_step(&p, STEP_US);
        p.now_us += STEP_US;
        if (!params)
            measure_throttle(&p, &steering, result);
        if (p.sample.pass == 1)
            result->first_pass_s = p.now_us / 1e6;
    }
    for (guint i = 0; i < config->vcpus; i++)
        result->lost_s += p.throttled_us[i] / 1e6 / config->vcpus;
    if (p.stop)
        finish(&p, &steering, result);
    result->total_s = p.now_us / 1e6;
    result->pages_sent = (double)p.sample.pages;
    if (result->steps > 0)
        result->step_ns /= result->steps;
    g_free(steering.memory);
    g_free(p.bitmap);
    g_free(p.logged);
}
