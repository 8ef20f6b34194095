/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* names.c - the words for the controller's enumerations, in one place */
#include "sevmig-control.h"

#define NAME(table, value)                                                                         \
    ((size_t)(value) < sizeof(table) / sizeof((table)[0]) ? (table)[(value)] : "?")

static const char *const phases[SEVMIG_PHASE_COUNT] = {
    [SEVMIG_PHASE_DETECTED] = "detected",     [SEVMIG_PHASE_BULK] = "bulk",
    [SEVMIG_PHASE_CONVERGING] = "converging", [SEVMIG_PHASE_STALLED] = "stalled",
    [SEVMIG_PHASE_SWITCHOVER] = "switchover", [SEVMIG_PHASE_DONE] = "done",
    [SEVMIG_PHASE_FAILED] = "failed",         [SEVMIG_PHASE_CANCELLED] = "cancelled",
    [SEVMIG_PHASE_RELEASED] = "released",
};

static const char *const events[SEVMIG_EVENT_COUNT] = {
    [SEVMIG_EVENT_START] = "start",
    [SEVMIG_EVENT_SAMPLE] = "sample",
    [SEVMIG_EVENT_SAMPLE_MISSED] = "sample-missed",
    [SEVMIG_EVENT_LEASE_EXPIRED] = "lease-expired",
    [SEVMIG_EVENT_POLICY] = "policy",
    [SEVMIG_EVENT_TURN] = "turn",
    [SEVMIG_EVENT_SWITCHOVER] = "switchover",
    [SEVMIG_EVENT_COMPLETED] = "completed",
    [SEVMIG_EVENT_FAILED] = "failed",
    [SEVMIG_EVENT_CANCELLED] = "cancelled",
    [SEVMIG_EVENT_RELEASE] = "release",
};

static const char *const actions[SEVMIG_ACTION_COUNT] = {
    [SEVMIG_ACTION_BATCH_PAGES] = "batch-pages",
    [SEVMIG_ACTION_GAP_PAGES] = "gap-pages",
    [SEVMIG_ACTION_THROTTLE] = "throttle",
    [SEVMIG_ACTION_VCPU_THROTTLE] = "vcpu-throttle",
    [SEVMIG_ACTION_SLICE_US] = "slice-us",
    [SEVMIG_ACTION_SYNC_INTERVAL_US] = "sync-interval-us",
    [SEVMIG_ACTION_SWITCHOVER] = "switchover",
    [SEVMIG_ACTION_DOWNTIME_LIMIT_US] = "downtime-limit-us",
    [SEVMIG_ACTION_HOLD_SENDING] = "hold-sending",
    [SEVMIG_ACTION_PAUSE] = "pause",
    [SEVMIG_ACTION_ABORT] = "abort",
    [SEVMIG_ACTION_NOTE] = "note",
};

static const char *const switchovers[] = {
    [SEVMIG_SWITCHOVER_AUTO] = "auto",
    [SEVMIG_SWITCHOVER_HOLD] = "hold",
    [SEVMIG_SWITCHOVER_NOW] = "now",
};

static const char *const goals[SEVMIG_GOAL_COUNT] = {
    [SEVMIG_GOAL_DOWNTIME] = "downtime",
    [SEVMIG_GOAL_DURATION] = "duration",
    [SEVMIG_GOAL_SLOWDOWN] = "slowdown",
};

static const char *const on_stalls[] = {
    [SEVMIG_ON_STALL_CONTINUE] = "continue",
    [SEVMIG_ON_STALL_RELAX] = "relax",
    [SEVMIG_ON_STALL_PAUSE] = "pause",
    [SEVMIG_ON_STALL_ABORT] = "abort",
};

static const char *const on_deadlines[] = {
    [SEVMIG_ON_DEADLINE_CONTINUE] = "continue",
    [SEVMIG_ON_DEADLINE_PAUSE] = "pause",
    [SEVMIG_ON_DEADLINE_ABORT] = "abort",
};

static const char *const parts[] = {
    [SEVMIG_PART_BATCH] = "batch",   [SEVMIG_PART_GAP] = "gap",     [SEVMIG_PART_PRICE] = "price",
    [SEVMIG_PART_JUMP] = "jump",     [SEVMIG_PART_WAIT] = "wait",   [SEVMIG_PART_LULL] = "lull",
    [SEVMIG_PART_EFFECT] = "effect", [SEVMIG_PART_VCPU] = "vcpu",   [SEVMIG_PART_SYNCS] = "syncs",
    [SEVMIG_PART_STOP] = "stop",     [SEVMIG_PART_HURRY] = "hurry",
};
static const char *const throttle_modes[] = {
    [SEVMIG_THROTTLE_STEERED] = "steered",
    [SEVMIG_THROTTLE_QEMU] = "qemu",
};

const char *
sevmig_phase_name(SevmigPhase phase)
{
    return NAME(phases, phase);
}

const char *
sevmig_event_name(SevmigEventType type)
{
    return NAME(events, type);
}

const char *
sevmig_action_name(SevmigActionType type)
{
    return NAME(actions, type);
}

const char *
sevmig_switchover_name(SevmigSwitchover value)
{
    return NAME(switchovers, value);
}

const char *
sevmig_goal_name(SevmigGoal goal)
{
    return NAME(goals, goal);
}

const char *
sevmig_on_stall_name(SevmigOnStall value)
{
    return NAME(on_stalls, value);
}

const char *
sevmig_on_deadline_name(SevmigOnDeadline value)
{
    return NAME(on_deadlines, value);
}

const char *
sevmig_part_name(SevmigPart value)
{
    return NAME(parts, value);
}

const char *
sevmig_throttle_mode_name(SevmigThrottleMode value)
{
    return NAME(throttle_modes, value);
}
