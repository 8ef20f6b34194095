/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-replay.h"

#include <string.h>

/* A century: sums of times and periods are far from overflowing. */
#define MOST_US (G_GINT64_CONSTANT(3155760000) * G_USEC_PER_SEC)

struct SevmigReplay {
    char *path;
    SevmigTraceReader *reader;
    gboolean instead; /* `params` are in force */
    SevmigControlParams params;
    gpointer memory;
    SevmigControl *control;
    SevmigActions actions;
    guint events;
    gint64 first_us, newest_us;
    SevmigTraceStep step; /* large, and the event points into it */
};

SevmigReplay *
sevmig_replay_new(const char *path, const SevmigControlParams *params, GError **error)
{
    SevmigTraceReader *reader = sevmig_trace_reader_new(path, error);
    SevmigReplay *self;

    if (!reader)
        return NULL;
    self = g_new0(SevmigReplay, 1);
    self->path = g_strdup(path);
    self->reader = reader;
    self->memory = g_malloc0(sevmig_control_size());
    self->control = sevmig_control_init(self->memory);
    if (params) {
        self->instead = TRUE;
        self->params = *params;
    }
    return self;
}

void
sevmig_replay_free(SevmigReplay *self)
{
    if (!self)
        return;
    sevmig_trace_reader_free(self->reader);
    g_free(self->memory);
    g_free(self->path);
    g_free(self);
}

const SevmigTraceHeader *
sevmig_replay_header(const SevmigReplay *self)
{
    return sevmig_trace_reader_header(self->reader);
}

static gboolean
refuse(const SevmigReplay *self, const char *why, GError **error)
{
    g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_MEMBER, "%s:%u: %s", self->path,
                sevmig_replay_line(self), why);
    return FALSE;
}

/* What no recorder writes, and what the arithmetic of times could not bear. */
static gboolean
check(SevmigReplay *self, GError **error)
{
    const SevmigEvent *event = &self->step.event;

    if (self->events == 0 && event->type != SEVMIG_EVENT_START)
        return refuse(self, "the first event is not 'start'", error);
    if (event->now_us < 0 || event->now_us > MOST_US)
        return refuse(self, "'t' is out of range", error);
    if (self->events > 0 && event->now_us < self->newest_us)
        return refuse(self, "'t' goes back", error);
    if (self->events == 0)
        self->first_us = event->now_us;
    self->newest_us = event->now_us;
    return TRUE;
}

gboolean
sevmig_replay_next(SevmigReplay *self, GError **error)
{
    SevmigEvent event;

    if (!sevmig_trace_reader_next(self->reader, &self->step, error) || !check(self, error))
        return FALSE;
    event = self->step.event;
    self->actions.n = 0;
    self->actions.wake_us = 0;
    if (self->instead && event.type == SEVMIG_EVENT_START) {
        self->params.fixed_downtime_us = event.params->fixed_downtime_us;
        event.params = &self->params;
    }
    if (!self->instead || event.type != SEVMIG_EVENT_POLICY)
        sevmig_control_step(self->control, &event, &self->actions);
    self->events++;
    return TRUE;
}

const SevmigTraceStep *
sevmig_replay_step(const SevmigReplay *self)
{
    return &self->step;
}

const SevmigActions *
sevmig_replay_actions(const SevmigReplay *self)
{
    return &self->actions;
}

void
sevmig_replay_view(const SevmigReplay *self, SevmigView *view)
{
    sevmig_control_view(self->control, view);
}

guint
sevmig_replay_line(const SevmigReplay *self)
{
    return sevmig_trace_reader_line(self->reader);
}

gint64
sevmig_replay_elapsed_us(const SevmigReplay *self)
{
    return self->newest_us - self->first_us;
}

static gboolean
action_equal(const SevmigAction *a, const SevmigAction *b)
{
    return a->type == b->type && a->value == b->value &&
           (a->type != SEVMIG_ACTION_VCPU_THROTTLE || a->cpu_index == b->cpu_index) &&
           strcmp(a->reason, b->reason) == 0;
}

gboolean
sevmig_replay_identical(const SevmigReplay *self)
{
    const SevmigActions *is = &self->actions, *was = &self->step.actions;

    if (!self->step.has_actions)
        return TRUE;
    if (is->n != was->n || is->wake_us != was->wake_us)
        return FALSE;
    for (gsize i = 0; i < is->n; i++) {
        if (!action_equal(&is->list[i], &was->list[i]))
            return FALSE;
    }
    return TRUE;
}
