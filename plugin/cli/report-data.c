/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report-data.h"

#include <string.h>

#include "decision.h"
#include "json.h"
#include "sevmig-error.h"

#define MOST_POINTS 4096u /* of a curve; even */
#define MOST_DECISIONS 2000u
#define MOST_SPANS 1000u /* passes, and phases */

typedef struct {
    guint64 at_us;
    guint64 remaining_pages;
    double dirty_pages_per_s;
    double encrypt_pages_per_s;
    guint64 batch_pages;
    guint64 throttle_percent;
    guint64 predicted_downtime_us;
    guint64 downtime_goal_us;
    guint64 guest_lost_us;
} Point;

/* A pass or a phase. */
typedef struct {
    guint64 number;
    gint64 start_us, end_us;
    guint64 remaining_pages; /* when it began */
    guint64 first_pages;     /* encrypted before it */
    guint64 pages;           /* encrypted until its end */
} Span;

struct ReportData {
    SevmigReplay *replay;
    GArray *points; /* of Point */
    guint stride;   /* every so many samples is a point */
    guint samples, missed, events;
    GArray *passes, *phases; /* of Span */
    guint spans_left_out;
    GArray *decisions; /* of Decision */
    guint decisions_left_out;
    guint64 promised_downtime_us;
    SevmigView view; /* the newest */
    SevmigSample sample;
    gint64 end_us;
    GError *problem;
};

/* --- Reading --- */

/* Keeps every second point from now on when there are too many. */
static void
add_point(ReportData *self, const Point *point)
{
    if (self->samples % self->stride != 0)
        return;
    if (self->points->len == MOST_POINTS) {
        for (guint i = 0; i < MOST_POINTS / 2; i++)
            g_array_index(self->points, Point, i) = g_array_index(self->points, Point, 2 * i);
        g_array_set_size(self->points, MOST_POINTS / 2);
        self->stride *= 2;
    }
    g_array_append_val(self->points, *point);
}

/* By the vCPUs, so that what QEMU's own auto-converge does is seen too. */
static guint
throttle_of(const SevmigView *view, const SevmigSample *sample)
{
    guint throttle = MAX(view->throttle_percent, sample->vcpu_throttle_percent);
    for (gsize i = 0; i < sample->n_vcpus; i++)
        throttle = MAX(throttle, sample->vcpus[i].throttle_percent);
    return throttle;
}

static void
take_span(ReportData *self, GArray *spans, guint64 number, gint64 at_us)
{
    Span *newest = spans->len > 0 ? &g_array_index(spans, Span, spans->len - 1) : NULL;
    Span span = {.number = number,
                 .start_us = at_us,
                 .end_us = at_us,
                 .remaining_pages = self->sample.remaining_pages,
                 .first_pages = self->sample.pages,
                 .pages = self->sample.pages};
    if (newest != NULL) {
        newest->end_us = at_us;
        newest->pages = self->sample.pages;
    }
    if (newest != NULL && newest->number == number)
        return;
    if (spans->len == MOST_SPANS)
        self->spans_left_out++;
    else
        g_array_append_val(spans, span);
}

static void
take_sample(ReportData *self, const SevmigSample *sample, gint64 at_us)
{
    const SevmigView *view = &self->view;
    const Point point = {
        .at_us = (guint64)at_us,
        .remaining_pages = sample->remaining_pages,
        .dirty_pages_per_s = view->dirty_pages_per_s,
        .encrypt_pages_per_s = view->encrypt_pages_per_s,
        .batch_pages = view->batch_pages,
        .throttle_percent = throttle_of(view, sample),
        .predicted_downtime_us = view->predicted_downtime_us,
        .downtime_goal_us = view->downtime_goal_us,
        .guest_lost_us = view->guest_lost_us,
    };
    self->sample = *sample;
    self->sample.vcpus = NULL;
    take_span(self, self->passes, sample->pass, at_us);
    add_point(self, &point);
    self->samples++;
}

static void
take_decisions(ReportData *self, const SevmigActions *actions, gint64 at_us)
{
    SevmigActions some = *actions;
    some.n = MIN(actions->n, MOST_DECISIONS - self->decisions->len);
    self->decisions_left_out += (guint)(actions->n - some.n);
    decision_timeline_add(self->decisions, at_us, self->view.phase, &some);
}

static void
take_event(ReportData *self)
{
    const SevmigTraceStep *step = sevmig_replay_step(self->replay);
    gint64 at_us = sevmig_replay_elapsed_us(self->replay);

    if (step->has_view)
        self->view = step->view;
    else
        sevmig_replay_view(self->replay, &self->view);
    if (step->event.type == SEVMIG_EVENT_SWITCHOVER) /* foreseen as the guest stops: the promise */
        self->promised_downtime_us = self->view.predicted_downtime_us;
    self->events++;
    self->missed += step->event.type == SEVMIG_EVENT_SAMPLE_MISSED;
    self->end_us = at_us;
    if (step->event.sample != NULL)
        take_sample(self, step->event.sample, at_us);
    take_span(self, self->phases, self->view.phase, at_us);
    take_decisions(self, step->has_actions ? &step->actions : sevmig_replay_actions(self->replay),
                   at_us);
}

ReportData *
report_data_read(const char *path, GError **error)
{
    SevmigReplay *replay = sevmig_replay_new(path, NULL, error);
    g_autoptr(ReportData) self = NULL;
    if (replay == NULL)
        return NULL;
    self = g_new0(ReportData, 1);
    self->replay = replay;
    self->stride = 1;
    self->points = g_array_new(FALSE, FALSE, sizeof(Point));
    self->passes = g_array_new(FALSE, FALSE, sizeof(Span));
    self->phases = g_array_new(FALSE, FALSE, sizeof(Span));
    self->decisions = g_array_new(FALSE, FALSE, sizeof(Decision));
    while (sevmig_replay_next(replay, &self->problem))
        take_event(self);
    if (self->samples > 0)
        return g_steal_pointer(&self);
    if (self->problem != NULL)
        g_propagate_error(error, g_steal_pointer(&self->problem));
    else
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID,
                    "%s: no statistics are on record, so there is nothing to draw", path);
    return NULL;
}

void
report_data_free(ReportData *self)
{
    if (self == NULL)
        return;
    sevmig_replay_free(self->replay);
    g_array_unref(self->points);
    g_array_unref(self->passes);
    g_array_unref(self->phases);
    g_array_unref(self->decisions);
    g_clear_error(&self->problem);
    g_free(self);
}

const char *
report_data_domain(const ReportData *self)
{
    return sevmig_replay_header(self->replay)->domain;
}

const GError *
report_data_problem(const ReportData *self)
{
    return self->problem;
}

/* --- Writing --- */

static const struct {
    const char *key;
    gboolean real; /* a double, not an integer */
    gsize offset;
} curves[] = {
    {"at_us", FALSE, offsetof(Point, at_us)},
    {"remaining_pages", FALSE, offsetof(Point, remaining_pages)},
    {"dirty_pages_per_s", TRUE, offsetof(Point, dirty_pages_per_s)},
    {"encrypt_pages_per_s", TRUE, offsetof(Point, encrypt_pages_per_s)},
    {"batch_pages", FALSE, offsetof(Point, batch_pages)},
    {"throttle_percent", FALSE, offsetof(Point, throttle_percent)},
    {"predicted_downtime_us", FALSE, offsetof(Point, predicted_downtime_us)},
    {"downtime_goal_us", FALSE, offsetof(Point, downtime_goal_us)},
    {"guest_lost_us", FALSE, offsetof(Point, guest_lost_us)},
};

static void
put_curves(GString *out, const ReportData *self)
{
    json_open(out, "curves", '{');
    json_uint(out, "stride", self->stride);
    for (gsize c = 0; c < G_N_ELEMENTS(curves); c++) {
        json_open(out, curves[c].key, '[');
        for (guint i = 0; i < self->points->len; i++) {
            const char *place =
                (const char *)&g_array_index(self->points, Point, i) + curves[c].offset;
            if (curves[c].real)
                json_double(out, NULL, *(const double *)place);
            else
                json_uint(out, NULL, *(const guint64 *)place);
        }
        json_close(out, ']');
    }
    json_close(out, '}');
}

static void
put_passes(GString *out, const ReportData *self)
{
    json_open(out, "passes", '[');
    for (guint i = 0; i < self->passes->len; i++) {
        const Span *pass = &g_array_index(self->passes, Span, i);
        json_open(out, NULL, '{');
        json_uint(out, "pass", pass->number);
        json_int(out, "start_us", pass->start_us);
        json_int(out, "end_us", pass->end_us);
        json_uint(out, "remaining_pages", pass->remaining_pages);
        json_uint(out, "pages", pass->pages - MIN(pass->first_pages, pass->pages));
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void
put_phases(GString *out, const ReportData *self)
{
    json_open(out, "phases", '[');
    for (guint i = 0; i < self->phases->len; i++) {
        const Span *phase = &g_array_index(self->phases, Span, i);
        json_open(out, NULL, '{');
        json_string(out, "phase", sevmig_phase_name((SevmigPhase)phase->number));
        json_int(out, "start_us", phase->start_us);
        json_int(out, "end_us", phase->end_us);
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void
put_decisions(GString *out, const ReportData *self)
{
    json_open(out, "decisions", '[');
    for (guint i = 0; i < self->decisions->len; i++) {
        const Decision *decision = &g_array_index(self->decisions, Decision, i);
        g_autofree char *brief = decision_brief(&decision->action);
        json_open(out, NULL, '{');
        json_int(out, "at_us", decision->at_us);
        json_string(out, "phase", sevmig_phase_name(decision->phase));
        json_string(out, "action", sevmig_action_name(decision->action.type));
        json_int(out, "value", decision->action.value);
        json_string(out, "brief", brief != NULL ? brief : "");
        json_string(out, "reason", decision->action.reason);
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void
put_goals(GString *out, const SevmigControlParams *params)
{
    json_open(out, "goals", '{');
    json_uint(out, "downtime_us", params->downtime_goal_us);
    json_uint(out, "duration_us", params->duration_goal_us);
    json_uint(out, "slowdown_percent", params->slowdown_goal_percent);
    json_close(out, '}');
}

static void
put_switchover(GString *out, const SevmigSample *sample)
{
    if (!sample->has_switchover)
        return;
    json_open(out, "switchover", '{');
    json_uint(out, "stop_us", sample->switchover_stop_us);
    json_uint(out, "ram_us", sample->switchover_ram_us);
    json_uint(out, "device_us", sample->switchover_device_us);
    json_uint(out, "finish_us", sample->switchover_finish_us);
    json_uint(out, "downtime_us", sample->switchover_downtime_us);
    json_close(out, '}');
}

static void
put_totals(GString *out, const ReportData *self)
{
    const SevmigSample *sample = &self->sample;
    json_open(out, "totals", '{');
    json_int(out, "duration_us", self->end_us);
    json_uint(out, "guest_lost_us", self->view.guest_lost_us);
    json_uint(out, "max_throttle_percent", self->view.max_throttle_percent);
    json_uint(out, "passes", sample->pass);
    json_uint(out, "private_pages", sample->private_pages);
    json_uint(out, "page_size_bytes", sample->page_size_bytes);
    json_uint(out, "pages", sample->pages);
    json_uint(out, "commands", sample->commands);
    json_uint(out, "submissions", sample->submissions);
    json_uint(out, "bytes", sample->bytes);
    json_uint(out, "service_us", sample->service_us);
    json_uint(out, "wait_us", sample->wait_us);
    json_uint(out, "samples", self->samples);
    json_uint(out, "samples_missed", self->missed);
    json_close(out, '}');
}

void
report_data_json(GString *out, const ReportData *self)
{
    const SevmigTraceHeader *header = sevmig_replay_header(self->replay);
    json_open(out, NULL, '{');
    json_string(out, "domain", header->domain);
    json_string(out, "uuid", header->uuid);
    json_string(out, "policy", header->policy);
    json_bool(out, "observed", header->params.observe_only);
    json_string(out, "result", sevmig_phase_name(self->view.phase));
    json_string(out, "problem", self->problem != NULL ? self->problem->message : "");
    put_goals(out, &header->params);
    json_uint(out, "promised_downtime_us", self->promised_downtime_us);
    put_switchover(out, &self->sample);
    put_totals(out, self);
    put_curves(out, self);
    put_passes(out, self);
    put_phases(out, self);
    json_uint(out, "spans_left_out", self->spans_left_out);
    put_decisions(out, self);
    json_uint(out, "decisions_left_out", self->decisions_left_out);
    json_close(out, '}');
}
