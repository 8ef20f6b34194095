/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "knobs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIFFERS_MOST 3 /* one round trip to arrive, one to be seen, one to spare */
#define RETOLD_MOST 3  /* then QEMU has its reasons */

/* The order of the table is the order of telling. */
static const SevmigActionType action_of[SEVMIG_KNOB_COUNT] = {
    [SEVMIG_KNOB_BATCH] = SEVMIG_ACTION_BATCH_PAGES,
    [SEVMIG_KNOB_GAP] = SEVMIG_ACTION_GAP_PAGES,
    [SEVMIG_KNOB_THROTTLE] = SEVMIG_ACTION_THROTTLE,
    [SEVMIG_KNOB_SLICE] = SEVMIG_ACTION_SLICE_US,
    [SEVMIG_KNOB_SYNC_INTERVAL] = SEVMIG_ACTION_SYNC_INTERVAL_US,
    [SEVMIG_KNOB_DOWNTIME_LIMIT] = SEVMIG_ACTION_DOWNTIME_LIMIT_US,
    [SEVMIG_KNOB_SWITCHOVER] = SEVMIG_ACTION_SWITCHOVER,
    [SEVMIG_KNOB_HOLD_SENDING] = SEVMIG_ACTION_HOLD_SENDING,
    [SEVMIG_KNOB_PAUSE] = SEVMIG_ACTION_PAUSE,
};

void
sevmig_knobs_init(SevmigKnobs *self)
{
    memset(self, 0, sizeof(*self));
}

void
sevmig_knobs_want(SevmigKnobs *self, SevmigKnob knob, int64_t value, const char *format, ...)
{
    SevmigKnobState *state = &self->list[knob];
    va_list args;

    if (state->wanted && state->want == value)
        return;
    state->wanted = true;
    state->want = value;
    state->differs = 0;
    state->retold = 0;
    va_start(args, format);
    vsnprintf(state->reason, sizeof(state->reason), format, args);
    va_end(args);
}

int64_t
sevmig_knobs_wanted(const SevmigKnobs *self, SevmigKnob knob, int64_t otherwise)
{
    return self->list[knob].wanted ? self->list[knob].want : otherwise;
}

void
sevmig_knobs_check(SevmigKnobs *self, const SevmigSample *sample)
{
    const struct {
        SevmigKnob knob;
        int64_t in_force;
    } seen[] = {
        {SEVMIG_KNOB_BATCH, sample->batch_pages},
        {SEVMIG_KNOB_THROTTLE, sample->vcpu_throttle_percent},
        {SEVMIG_KNOB_PAUSE, sample->paused},
    };

    if (self->observe_only)
        return;
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
        SevmigKnobState *state = &self->list[seen[i].knob];

        if (!state->told || state->last == seen[i].in_force || state->retold >= RETOLD_MOST) {
            state->differs = 0;
        } else if (++state->differs >= DIFFERS_MOST) {
            state->told = false;
            state->differs = 0;
            state->retold++;
            snprintf(state->reason, sizeof(state->reason), "told again: QEMU shows %lld in force",
                     (long long)seen[i].in_force);
        }
    }
}

void
sevmig_knobs_forget(SevmigKnobs *self)
{
    for (int i = 0; i < SEVMIG_KNOB_COUNT; i++)
        self->list[i].told = false;
    memset(self->vcpu_told, 0, sizeof(self->vcpu_told));
}

static SevmigAction *
append(const SevmigKnobs *self, SevmigActions *actions, SevmigActionType type, int64_t value)
{
    SevmigAction *action;

    if (actions->n >= SEVMIG_MAX_ACTIONS)
        return NULL;
    action = &actions->list[actions->n++];
    action->type = self->observe_only ? SEVMIG_ACTION_NOTE : type;
    action->cpu_index = 0;
    action->value = self->observe_only ? 0 : value;
    action->reason[0] = '\0';
    return action;
}

static void
set_reason(const SevmigKnobs *self, SevmigAction *action, SevmigActionType type, int64_t value,
           const char *reason)
{
    if (self->observe_only && type != SEVMIG_ACTION_NOTE)
        snprintf(action->reason, sizeof(action->reason), "would: %s %lld: %.120s",
                 sevmig_action_name(type), (long long)value, reason);
    else
        snprintf(action->reason, sizeof(action->reason), "%s", reason);
}

void
sevmig_knobs_act(const SevmigKnobs *self, SevmigActions *actions, SevmigActionType type,
                 int64_t value, const char *format, ...)
{
    SevmigAction *action = append(self, actions, type, value);
    char reason[SEVMIG_REASON_SIZE];
    va_list args;

    if (!action)
        return;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    set_reason(self, action, type, value, reason);
}

/* Overrides that do not fit into this step's actions follow in the next. */
static void
tell_vcpus(SevmigKnobs *self, SevmigActions *actions, const uint32_t *cpu_index, size_t n_vcpus)
{
    for (size_t i = 0; i < n_vcpus && actions->n < SEVMIG_MAX_ACTIONS; i++) {
        SevmigAction *action;

        if (self->vcpu_want[i] == self->vcpu_told[i])
            continue;
        action = append(self, actions, SEVMIG_ACTION_VCPU_THROTTLE, self->vcpu_want[i]);
        action->cpu_index = cpu_index[i];
        set_reason(self, action, SEVMIG_ACTION_VCPU_THROTTLE, self->vcpu_want[i],
                   self->vcpu_want[i] > 0 ? "this vCPU dirties the memory"
                                          : "this vCPU dirties little, or no throttle is needed");
        self->vcpu_told[i] = self->vcpu_want[i];
    }
}

void
sevmig_knobs_tell(SevmigKnobs *self, SevmigActions *actions, const uint32_t *cpu_index,
                  size_t n_vcpus)
{
    for (int i = 0; i < SEVMIG_KNOB_COUNT; i++) {
        SevmigKnobState *state = &self->list[i];
        SevmigAction *action;

        if (!state->wanted || (state->told && state->last == state->want))
            continue;
        action = append(self, actions, action_of[i], state->want);
        if (!action)
            return;
        set_reason(self, action, action_of[i], state->want, state->reason);
        state->told = true;
        state->last = state->want;
        if (i == SEVMIG_KNOB_THROTTLE) /* a value for all ends the overrides */
            memset(self->vcpu_told, 0, sizeof(self->vcpu_told));
    }
    tell_vcpus(self, actions, cpu_index, n_vcpus);
}
