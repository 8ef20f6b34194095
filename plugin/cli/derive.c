/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes and limits stand in the record. The firmware's costs are the least squares of service time
 * over submissions and commands on one hand and pages on the other; what the first pass took beyond
 * is QEMU's own work. The load is fitted to what the syncs found (dirty-fit.h). The record does not
 * tell how the dirty pages lie, so they lie at random; and one load stands for the whole time.
 */
#include "derive.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "choose.h"
#include "dirty-fit.h"
#include "sevmig-trace.h"

#define MOST_POINTS 64
#define LEAST_SYNC_US 1000 /* shorter ones belong to the switchover */
#define WRITER_SHARE                                                                               \
    0.05 /* a vCPU that dirties less than this of what the busiest does: no writer */
#define USUAL_FIXED_SHARE 0.5 /* of a page alone, where the record cannot tell */
#define PATIENCE 12           /* what takes so many times as long, and a minute, never ends */
#define DISTINCT 1e-3         /* commands and pages vary apart from each other */

typedef struct {
    DirtyPoint whole;                         /* CPU time of all vCPUs */
    double vcpu_cpu_us[SEVMIG_SIM_MAX_VCPUS]; /* of each, as far as samples tell */
} Sync;

typedef struct {
    gint64 first_us, last_us; /* of all events */
    gboolean started, completed, changed;
    SevmigControlParams params;
    gint64 held_since_us, held_us; /* waiting for its turn at the firmware; 0: it does not */
    gint64 first_pass_held_us;     /* of it */
    gboolean has_sample;
    gint64 sample_us, first_sample_us;
    SevmigSample first, last;
    SevmigVcpuSample vcpus[SEVMIG_SIM_MAX_VCPUS]; /* of the last */
    double sync_cpu_us[SEVMIG_SIM_MAX_VCPUS];     /* at the last sync */
    double xx, xy, yy, xz, yz;                    /* of the least squares */
    double free_cpu_us, free_us;                  /* while nothing was throttled */
    SevmigSample first_pass;                      /* its last sample */
    double end_service_us;                        /* since the last sample before the end */
    gint64 first_pass_us;
    guint64 first_pass_pages;
    Sync syncs[MOST_POINTS];
    guint n_syncs;
} Reading;

/* --- Reading --- */

static void
take_service(Reading *self, const SevmigSample *s)
{
    double x =
        (double)(s->submissions - self->last.submissions + s->commands - self->last.commands);
    double y = (double)(s->pages - self->last.pages);
    double z = (double)(s->service_us - self->last.service_us);

    self->xx += x * x;
    self->xy += x * y;
    self->yy += y * y;
    self->xz += x * z;
    self->yz += y * z;
}

static void
take_vcpus(Reading *self, const SevmigSample *s, gint64 now_us)
{
    guint64 cpu_us = 0, throttled_us = 0;

    for (gsize i = 0; i < s->n_vcpus; i++) {
        cpu_us += s->vcpus[i].cpu_us - self->vcpus[i].cpu_us;
        throttled_us += s->vcpus[i].throttled_us - self->vcpus[i].throttled_us;
    }
    if (throttled_us > 0)
        return;
    self->free_cpu_us += (double)cpu_us;
    self->free_us += (double)(now_us - self->sample_us) * (double)s->n_vcpus;
}

static void
take_sync(Reading *self, const SevmigSample *s)
{
    Sync *sync = &self->syncs[self->n_syncs];

    if (s->sync_count <= self->last.sync_count || s->sync_guest_cpu_us < LEAST_SYNC_US ||
        self->n_syncs == MOST_POINTS)
        return;
    sync->whole = (DirtyPoint){(double)s->sync_guest_cpu_us, (double)s->sync_interval_measured_us,
                               (double)s->sync_dirtied_pages};
    for (gsize i = 0; i < s->n_vcpus; i++) {
        sync->vcpu_cpu_us[i] = (double)s->vcpus[i].cpu_us - self->sync_cpu_us[i];
        self->sync_cpu_us[i] = (double)s->vcpus[i].cpu_us;
    }
    self->n_syncs++;
}

static gboolean
goes_back(const Reading *self, const SevmigSample *s)
{
    const SevmigSample *last = &self->last;

    if (s->pages < last->pages || s->submissions < last->submissions ||
        s->commands < last->commands || s->service_us < last->service_us || s->pass < last->pass ||
        s->sync_count < last->sync_count || s->n_vcpus != last->n_vcpus)
        return TRUE;
    for (gsize i = 0; i < s->n_vcpus; i++) {
        if (s->vcpus[i].cpu_us < self->vcpus[i].cpu_us ||
            s->vcpus[i].throttled_us < self->vcpus[i].throttled_us)
            return TRUE;
    }
    return FALSE;
}

static void
keep_sample(Reading *self, const SevmigSample *s, gint64 now_us)
{
    if (s->pass <= 1) {
        self->first_pass = *s;
        self->first_pass_us = now_us;
    } else if (self->first_pass_pages == 0) {
        self->first_pass_pages = s->pages;
    }
    memcpy(self->vcpus, s->vcpus, s->n_vcpus * sizeof(*s->vcpus));
    self->last = *s;
    self->sample_us = now_us;
}

/* When the first page could be sent: setting up takes as long under any policy. */
static gint64
began_us(const Reading *self)
{
    guint64 sent_us = self->first.pass == 1 ? self->first.pass_elapsed_us : 0;

    return MAX(self->first_us, self->first_sample_us - (gint64)MIN(sent_us, G_MAXINT64));
}

/* One that tells nothing, or what cannot be, is passed over as the controller does. */
static void
take_sample(Reading *self, const SevmigSample *s, gint64 now_us)
{
    if (s->private_pages == 0 || s->pass == 0 || s->n_vcpus > SEVMIG_SIM_MAX_VCPUS)
        return;
    if (!self->has_sample) {
        self->has_sample = TRUE;
        self->first = *s;
        self->first_sample_us = now_us;
        self->held_us = self->first_pass_held_us = 0; /* set up, it had nothing to send */
        if (self->held_since_us > 0)
            self->held_since_us = MAX(self->held_since_us, began_us(self));
        for (gsize i = 0; i < s->n_vcpus; i++)
            self->sync_cpu_us[i] = (double)s->vcpus[i].cpu_us;
    } else {
        if (goes_back(self, s))
            return;
        take_service(self, s);
        take_vcpus(self, s, now_us);
        take_sync(self, s);
    }
    keep_sample(self, s, now_us);
}

/* It says more of its neighbours than of this guest. */
static void
take_turn(Reading *self, const SevmigEvent *event)
{
    if (self->held_since_us > 0)
        self->held_us += event->now_us - self->held_since_us;
    self->held_since_us = event->turn != NULL && !event->turn->sends ? event->now_us : 0;
    if (self->last.pass <= 1)
        self->first_pass_held_us = self->held_us;
}

static void
take_step(Reading *self, const SevmigTraceStep *step)
{
    const SevmigEvent *event = &step->event;

    if (event->type == SEVMIG_EVENT_START && !self->started) {
        self->started = TRUE;
        self->first_us = event->now_us;
        self->params = *event->params;
    }
    self->last_us = event->now_us;
    if (event->type == SEVMIG_EVENT_TURN || event->type == SEVMIG_EVENT_COMPLETED)
        take_turn(self, event);
    if (event->type == SEVMIG_EVENT_COMPLETED && event->sample != NULL)
        self->end_service_us = (double)event->sample->service_us - (double)self->last.service_us;
    self->completed |= event->type == SEVMIG_EVENT_COMPLETED;
    self->changed |= event->type == SEVMIG_EVENT_POLICY;
    if (event->sample != NULL)
        take_sample(self, event->sample, event->now_us);
}

/* --- Deriving --- */

static void
derive_firmware(const Reading *self, SevmigSimScenario *s)
{
    const SevmigSample *last = &self->last;
    double det = self->xx * self->yy - self->xy * self->xy;
    double fixed = -1, page = -1; /* a submission or command; a page */

    if (det > DISTINCT * self->xx * self->yy) {
        fixed = (self->xz * self->yy - self->yz * self->xy) / det;
        page = (self->yz * self->xx - self->xz * self->xy) / det;
    }
    if (fixed < 0 || page <= 0) {
        double parts = USUAL_FIXED_SHARE / 2 * (double)(last->submissions + last->commands) +
                       (1 - USUAL_FIXED_SHARE) * (double)last->pages;
        double alone = (double)last->service_us / fmax(parts, 1);

        fixed = alone * USUAL_FIXED_SHARE / 2;
        page = alone * (1 - USUAL_FIXED_SHARE);
    }
    s->page_us = CLAMP(2 * fixed + page, 1, 1e5);
    s->submit_share = CLAMP(2 * fixed / (2 * fixed + page), 0, 0.99);
    s->max_command_pages = CLAMP(last->max_command_pages, 1, 16);
    s->max_batch_pages = CLAMP(last->max_batch_pages, 1, 65536);
    if (last->service_us > 0)
        s->receive_factor = 1 + (double)last->channel_us / (double)last->service_us;
    if (last->submissions > 0 && last->wait_us > 0) {
        s->others = 1;
        s->others_hold_us = (double)last->wait_us / (double)last->submissions;
    }
}

/* What QEMU does beside the firmware: the first pass, which sends all the time, shows it. */
static void
derive_host(const Reading *self, SevmigSimScenario *s)
{
    const SevmigSample *from = &self->first, *to = &self->first_pass, *last = &self->last;
    double us = (double)(self->first_pass_us - self->first_sample_us);
    double pages = (double)(to->pages - from->pages);
    guint64 parts_us =
        last->switchover_stop_us + last->switchover_device_us + last->switchover_finish_us;

    us -= (double)(to->service_us - from->service_us) + (double)(to->wait_us - from->wait_us) +
          (double)(to->channel_us - from->channel_us) + (double)self->first_pass_held_us;
    if (self->first_pass_us > self->first_sample_us && pages > 0)
        s->extra_us = CLAMP(us / pages, 0, 1e4);
    if (parts_us > 0)
        s->device_us = (double)parts_us;
    else if (self->params.fixed_downtime_us > 0)
        s->device_us = (double)self->params.fixed_downtime_us;
    else /* at least, since some was sent before the stop */
        s->device_us =
            fmax(s->device_us, (double)last->switchover_downtime_us - self->end_service_us);
    s->outside_us = 0; /* the record has QEMU's own figure */
}

static gboolean
is_writer(const Reading *self, gsize vcpu)
{
    guint64 most = 0;

    for (gsize i = 0; i < self->last.n_vcpus; i++)
        most = MAX(most, self->vcpus[i].dirtied_pages);
    return (double)self->vcpus[vcpu].dirtied_pages >= WRITER_SHARE * (double)most;
}

static void
derive_load(const Reading *self, SevmigSimScenario *s)
{
    DirtyPoint points[MOST_POINTS];

    s->vcpus = MAX(1, (guint)self->last.n_vcpus);
    s->reports_vcpu_dirty = self->last.n_vcpus > 0 && self->vcpus[0].has_dirtied_pages;
    s->writers = s->reports_vcpu_dirty ? 0 : s->vcpus;
    for (gsize i = 0; s->reports_vcpu_dirty && i < s->vcpus; i++)
        s->writers += is_writer(self, i);
    for (guint n = 0; n < self->n_syncs; n++) {
        double theirs = 0, all = 0;

        points[n] = self->syncs[n].whole;
        for (gsize i = 0; i < s->vcpus; i++) {
            all += self->syncs[n].vcpu_cpu_us[i];
            theirs += is_writer(self, i) ? self->syncs[n].vcpu_cpu_us[i] : 0;
        }
        points[n].cpu_us *= (all > 0 ? theirs / all : 1) / s->writers;
    }
    if (self->free_us > 0)
        s->phases[0].busy = CLAMP(self->free_cpu_us / self->free_us, 0.001, 1);
    dirty_fit(points, self->n_syncs, s->pages, &s->phases[0]);
}

static void
derive(const Reading *self, DerivedRecord *record)
{
    SevmigSimScenario *s = &record->scenario;
    double throttled_us = 0;

    sevmig_sim_scenario_default(s);
    g_strlcpy(s->name, record->domain, sizeof(s->name));
    s->pages = self->last.private_pages;
    if (self->first_pass_pages > 0) /* what the guest had free was never sent */
        s->pages = MIN(s->pages, self->first_pass_pages);
    derive_firmware(self, s);
    derive_host(self, s);
    derive_load(self, s);
    s->params = self->params;
    s->auto_converge = self->params.throttle_mode == SEVMIG_THROTTLE_QEMU;
    for (gsize i = 0; i < self->last.n_vcpus; i++)
        throttled_us += (double)self->vcpus[i].throttled_us / (double)self->last.n_vcpus;
    record->recorded = (DeriveFigures){
        .total_s = (double)(self->last_us - began_us(self) - self->held_us) / 1e6,
        .downtime_ms = (double)self->last.switchover_downtime_us / 1e3,
        .lost_s = (throttled_us + (double)self->last.switchover_downtime_us) / 1e6,
        .pages = (double)self->last.pages,
    };
    s->limit_s = 60 + PATIENCE * record->recorded.total_s;
}

/* --- Is it like what was recorded? --- */

static double
factor(double a, double b)
{
    return a > 0 && b > 0 ? fmax(a / b, b / a) : INFINITY;
}

static double
thread_cpu_s(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

gboolean
derive_play(DerivedRecord *record, const SevmigSimScenario *scenario, SevmigSimResult *result)
{
    SevmigSimRun run = {.controller = &sevmig_sim_steered};
    double began_s = thread_cpu_s();

    run.most_cpu_s = fmax(DERIVE_MOST_CPU_S - record->cpu_s, 1e-6);
    sevmig_sim_run(scenario, &run, result);
    record->cpu_s += thread_cpu_s() - began_s;
    if (result->given_up && record->refused == NULL)
        record->refused =
            g_strdup_printf("playing it takes more than %g s of CPU time", DERIVE_MOST_CPU_S);
    return !result->given_up;
}

SevmigPolicy *
derive_policy(const DerivedRecord *record, GError **error)
{
    const char *name = sevmig_policy_name_valid(record->policy) ? record->policy : "recorded";
    g_autofree char *text =
        g_strdup_printf("<policy xmlns=\"%s\" name=\"%s\"/>", SEVMIG_POLICY_NAMESPACE, name);
    g_autoptr(SevmigPolicy) bare = sevmig_policy_parse(text, -1, "recorded policy", NULL, error);

    return bare != NULL ? sevmig_policy_vary(bare, &record->scenario.params, error) : NULL;
}

static void
prove(DerivedRecord *record)
{
    SevmigSimResult result;

    if (!derive_play(record, &record->scenario, &result))
        return;
    record->simulated = (DeriveFigures){
        .total_s = result.total_s,
        .downtime_ms = result.qemu_downtime_ms,
        .lost_s = result.throttled_s + result.qemu_downtime_ms / 1e3,
        .pages = result.pages,
    };
    record->off = fmax(factor(record->recorded.total_s, result.total_s),
                       factor(record->recorded.pages, result.pages));
    if (!result.completed)
        record->refused = g_strdup("its guest does not come to an end in the simulation");
    else if (record->off > DERIVE_MOST_OFF)
        record->refused = g_strdup_printf("the simulation is off by a factor of %.1f", record->off);
}

/* What no policy may say was recorded by nobody, and the simulation need not stand it. */
static void
check_policy(DerivedRecord *record)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(SevmigPolicy) policy = derive_policy(record, &problem);

    if (policy == NULL)
        record->refused = g_strdup_printf("no policy may be like its own: %s", problem->message);
}

static const char *
find_fault(const Reading *self)
{
    if (!self->has_sample)
        return "it has no statistics of at most 64 vCPUs";
    if (!self->completed || !self->last.has_switchover)
        return "the migration did not complete";
    return self->changed ? "it was given another policy, or a hand, under way" : NULL;
}

DerivedRecord *
derive_record(const char *path, GError **error)
{
    g_autoptr(SevmigTraceReader) reader = NULL;
    g_autofree SevmigTraceStep *step = g_new0(SevmigTraceStep, 1);
    g_autofree Reading *reading = g_new0(Reading, 1);
    g_autoptr(DerivedRecord) record = g_new0(DerivedRecord, 1);
    g_autoptr(GError) problem = NULL;

    if (choose_check_file(path, error))
        reader = sevmig_trace_reader_new(path, error);
    if (reader == NULL)
        return NULL;
    record->path = g_strdup(path);
    record->domain = g_strdup(sevmig_trace_reader_header(reader)->domain);
    record->policy = g_strdup(sevmig_trace_reader_header(reader)->policy);
    while (sevmig_trace_reader_next(reader, step, &problem))
        take_step(reading, step);
    if (problem != NULL) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return NULL;
    }
    record->refused = g_strdup(find_fault(reading));
    if (record->refused == NULL) {
        derive(reading, record);
        check_policy(record);
    }
    if (record->refused == NULL)
        prove(record);
    return g_steal_pointer(&record);
}

void
derive_record_free(DerivedRecord *record)
{
    g_free(record->path);
    g_free(record->domain);
    g_free(record->policy);
    g_free(record->refused);
    g_free(record);
}
