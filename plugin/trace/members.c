/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "members.h"

#include <math.h>
#include <string.h>

/* The name functions of the controller take their own enumerations: one adapter each. */
#define ADAPT(function, type)                                                                      \
    static const char *name_of_##type(guint value)                                                 \
    {                                                                                              \
        return function((type)value);                                                              \
    }
ADAPT(sevmig_phase_name, SevmigPhase)
ADAPT(sevmig_event_name, SevmigEventType)
ADAPT(sevmig_action_name, SevmigActionType)
ADAPT(sevmig_goal_name, SevmigGoal)
ADAPT(sevmig_on_stall_name, SevmigOnStall)
ADAPT(sevmig_on_deadline_name, SevmigOnDeadline)
ADAPT(sevmig_throttle_mode_name, SevmigThrottleMode)

#define PARAM(name, type, field)                                                                   \
    {                                                                                              \
        name, MEMBER_##type, G_STRUCT_OFFSET(SevmigControlParams, field)                           \
    }
#define PARAM_ENUM(name, type, field, last)                                                        \
    {                                                                                              \
        name, MEMBER_ENUM, G_STRUCT_OFFSET(SevmigControlParams, field), name_of_##type, (last) + 1 \
    }
static const Member params[] = {
    PARAM("downtime-goal-us", U64, downtime_goal_us),
    PARAM("downtime-max-us", U64, downtime_max_us),
    PARAM("duration-goal-us", U64, duration_goal_us),
    PARAM("slowdown-goal-percent", U32, slowdown_goal_percent),
    PARAM_ENUM("throttle-mode", SevmigThrottleMode, throttle_mode, SEVMIG_THROTTLE_QEMU),
    PARAM("throttle-ceiling-percent", U32, throttle_ceiling_percent),
    PARAM("stun-us", U64, stun_us),
    PARAM("throttle-per-vcpu", BOOL, throttle_per_vcpu),
    PARAM("batch-pages", U32, batch_pages),
    PARAM("batch-hold-us", U64, batch_hold_us),
    PARAM("gap-pages", I32, gap_pages),
    PARAM_ENUM("on-stall", SevmigOnStall, on_stall, SEVMIG_ON_STALL_ABORT),
    PARAM_ENUM("on-deadline", SevmigOnDeadline, on_deadline, SEVMIG_ON_DEADLINE_ABORT),
    PARAM("observe-only", BOOL, observe_only),
    PARAM("fixed-downtime-us", U64, fixed_downtime_us),
};

#define SAMPLE(name, type, field)                                                                  \
    {                                                                                              \
        name, MEMBER_##type, G_STRUCT_OFFSET(SevmigSample, field)                                  \
    }
static const Member sample[] = {
    SAMPLE("max-command-pages", U32, max_command_pages),
    SAMPLE("max-batch-pages", U32, max_batch_pages),
    SAMPLE("batch-pages", U32, batch_pages),
    SAMPLE("batch-gap-pages", U32, batch_gap_pages),
    SAMPLE("vcpu-throttle-percent", U32, vcpu_throttle_percent),
    SAMPLE("throttle-slice-us", U64, throttle_slice_us),
    SAMPLE("sync-interval-us", U64, sync_interval_us),
    SAMPLE("lease-remaining-us", U64, lease_remaining_us),
    {"can-pause", MEMBER_BOOL, G_STRUCT_OFFSET(SevmigSample, can_pause), .optional = TRUE},
    {"paused", MEMBER_BOOL, G_STRUCT_OFFSET(SevmigSample, paused), .optional = TRUE},
    SAMPLE("page-size-bytes", U32, page_size_bytes),
    SAMPLE("private-pages", U64, private_pages),
    SAMPLE("shared-pages", U64, shared_pages),
    SAMPLE("remaining-pages", U64, remaining_pages),
    SAMPLE("pass", U64, pass),
    SAMPLE("pass-elapsed-us", U64, pass_elapsed_us),
    SAMPLE("sync-count", U64, sync_count),
    SAMPLE("sync-dirtied-pages", U64, sync_dirtied_pages),
    SAMPLE("sync-interval-measured-us", U64, sync_interval_measured_us),
    SAMPLE("sync-guest-cpu-us", U64, sync_guest_cpu_us),
    SAMPLE("submissions", U64, submissions),
    SAMPLE("commands", U64, commands),
    SAMPLE("pages", U64, pages),
    SAMPLE("gap-pages", U64, gap_pages),
    SAMPLE("bytes", U64, bytes),
    SAMPLE("service-us", U64, service_us),
    SAMPLE("wait-us", U64, wait_us),
    SAMPLE("channel-us", U64, channel_us),
    SAMPLE("contiguity-splits", U64, contiguity_splits),
    SAMPLE("expected-downtime-us", U64, expected_downtime_us),
    SAMPLE("has-switchover", BOOL, has_switchover),
    SAMPLE("switchover-stop-us", U64, switchover_stop_us),
    SAMPLE("switchover-ram-us", U64, switchover_ram_us),
    SAMPLE("switchover-device-us", U64, switchover_device_us),
    SAMPLE("switchover-finish-us", U64, switchover_finish_us),
    SAMPLE("switchover-downtime-us", U64, switchover_downtime_us),
};

#define VCPU(name, type, field)                                                                    \
    {                                                                                              \
        name, MEMBER_##type, G_STRUCT_OFFSET(SevmigVcpuSample, field)                              \
    }
static const Member vcpu[] = {
    VCPU("cpu-index", U32, cpu_index),
    VCPU("throttle-percent", U32, throttle_percent),
    VCPU("cpu-us", U64, cpu_us),
    VCPU("throttled-us", U64, throttled_us),
    VCPU("dirtied-pages", U64, dirtied_pages),
    VCPU("has-dirtied-pages", BOOL, has_dirtied_pages),
};

#define TURN(name, type, field)                                                                    \
    {                                                                                              \
        name, MEMBER_##type, G_STRUCT_OFFSET(SevmigTurn, field)                                    \
    }
static const Member turn[] = {
    TURN("sends", BOOL, sends),
    TURN("most-hold-us", U64, most_hold_us),
};

#define VIEW(name, type, field)                                                                    \
    {                                                                                              \
        name, MEMBER_##type, G_STRUCT_OFFSET(SevmigView, field)                                    \
    }
static const Member view[] = {
    {"phase", MEMBER_ENUM, G_STRUCT_OFFSET(SevmigView, phase), name_of_SevmigPhase,
     SEVMIG_PHASE_COUNT},
    VIEW("pass", U64, pass),
    VIEW("remaining-pages", U64, remaining_pages),
    VIEW("dirty-pages-per-s", DOUBLE, dirty_pages_per_s),
    VIEW("encrypt-pages-per-s", DOUBLE, encrypt_pages_per_s),
    VIEW("batch-pages", U32, batch_pages),
    VIEW("throttle-percent", U32, throttle_percent),
    VIEW("max-throttle-percent", U32, max_throttle_percent),
    VIEW("predicted-downtime-us", U64, predicted_downtime_us),
    VIEW("downtime-goal-us", U64, downtime_goal_us),
    VIEW("eta-us", U64, eta_us),
    VIEW("guest-lost-us", U64, guest_lost_us),
    {"still-us", MEMBER_U64, G_STRUCT_OFFSET(SevmigView, still_us), .optional = TRUE},
    {"paused-us", MEMBER_U64, G_STRUCT_OFFSET(SevmigView, paused_us), .optional = TRUE},
};

const Members sevmig_members_params = {params, G_N_ELEMENTS(params)};
const Members sevmig_members_sample = {sample, G_N_ELEMENTS(sample)};
const Members sevmig_members_turn = {turn, G_N_ELEMENTS(turn)};
const Members sevmig_members_vcpu = {vcpu, G_N_ELEMENTS(vcpu)};
const Members sevmig_members_view = {view, G_N_ELEMENTS(view)};

const Member sevmig_member_event = {"event", MEMBER_ENUM, 0, name_of_SevmigEventType,
                                    SEVMIG_EVENT_COUNT};
const Member sevmig_member_action = {"action", MEMBER_ENUM, 0, name_of_SevmigActionType,
                                     SEVMIG_ACTION_COUNT};
const Member sevmig_member_goal = {"goal-order", MEMBER_ENUM, 0, name_of_SevmigGoal,
                                   SEVMIG_GOAL_COUNT};

static json_object *
write_value(const Member *member, gconstpointer at)
{
    switch (member->type) {
    case MEMBER_U32:
        return json_object_new_uint64(*(const uint32_t *)at);
    case MEMBER_U64:
        return json_object_new_uint64(*(const uint64_t *)at);
    case MEMBER_I32:
        return json_object_new_int64(*(const int32_t *)at);
    case MEMBER_I64:
        return json_object_new_int64(*(const int64_t *)at);
    case MEMBER_BOOL:
        return json_object_new_boolean(*(const bool *)at);
    case MEMBER_DOUBLE:
        return json_object_new_double(isfinite(*(const double *)at) ? *(const double *)at : 0);
    case MEMBER_ENUM:
        return json_object_new_string(member->value_name(*(const guint *)at));
    }
    return NULL;
}

void
sevmig_members_write(const Members *members, gconstpointer structure, json_object *to)
{
    for (gsize i = 0; i < members->n; i++) {
        const Member *member = &members->members[i];

        json_object_object_add_ex(to, member->name,
                                  write_value(member, (const char *)structure + member->offset),
                                  JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY);
    }
}

static gboolean
fail(GError **error, const char *where, const char *name, const char *what)
{
    g_set_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_MEMBER, "%s%s'%s' %s", where,
                where[0] ? ": " : "", name, what);
    return FALSE;
}

static gboolean
read_integer(const Member *member, json_object *value, const char *where, gpointer to,
             GError **error)
{
    gint64 number = json_object_get_int64(value);

    if (!json_object_is_type(value, json_type_int))
        return fail(error, where, member->name, "is not an integer");
    if ((member->type == MEMBER_U32 && (number < 0 || number > G_MAXUINT32)) ||
        (member->type == MEMBER_U64 && number < 0) ||
        (member->type == MEMBER_I32 && (number < G_MININT32 || number > G_MAXINT32)) ||
        (member->type == MEMBER_I64 && number == G_MAXINT64 &&
         json_object_get_uint64(value) > G_MAXINT64))
        return fail(error, where, member->name, "is out of range");
    if (member->type == MEMBER_U32)
        *(uint32_t *)to = (uint32_t)number;
    else if (member->type == MEMBER_U64)
        *(uint64_t *)to = json_object_get_uint64(value);
    else if (member->type == MEMBER_I32)
        *(int32_t *)to = (int32_t)number;
    else
        *(int64_t *)to = number;
    return TRUE;
}

static gboolean
read_enum(const Member *member, json_object *value, const char *where, gpointer to, GError **error)
{
    const char *text = json_object_get_string(value);

    if (!json_object_is_type(value, json_type_string))
        return fail(error, where, member->name, "is not a string");
    for (guint i = 0; i < member->n_values; i++) {
        if (strcmp(member->value_name(i), text) == 0) {
            *(guint *)to = i;
            return TRUE;
        }
    }
    return fail(error, where, member->name, "has no such value");
}

gboolean
sevmig_member_read_value(const Member *member, json_object *value, const char *where, gpointer to,
                         GError **error)
{
    switch (member->type) {
    case MEMBER_U32:
    case MEMBER_U64:
    case MEMBER_I32:
    case MEMBER_I64:
        return read_integer(member, value, where, to, error);
    case MEMBER_BOOL:
        if (!json_object_is_type(value, json_type_boolean))
            return fail(error, where, member->name, "is not a boolean");
        *(bool *)to = json_object_get_boolean(value);
        return TRUE;
    case MEMBER_DOUBLE:
        if (!json_object_is_type(value, json_type_double) &&
            !json_object_is_type(value, json_type_int))
            return fail(error, where, member->name, "is not a number");
        *(double *)to = json_object_get_double(value);
        return isfinite(*(double *)to) ? TRUE : fail(error, where, member->name, "is out of range");
    case MEMBER_ENUM:
        return read_enum(member, value, where, to, error);
    }
    return FALSE;
}

static gboolean
is_known(const Members *members, const char *const *others, const char *name)
{
    for (gsize i = 0; i < members->n; i++) {
        if (strcmp(members->members[i].name, name) == 0)
            return TRUE;
    }
    return others && g_strv_contains(others, name);
}

gboolean
sevmig_members_read(const Members *members, json_object *object, const char *where,
                    const char *const *others, gpointer structure, GError **error)
{
    if (!json_object_is_type(object, json_type_object))
        return fail(error, "", where, "is not an object");
    json_object_object_foreach(object, key, unused)
    {
        (void)unused;
        if (!is_known(members, others, key))
            return fail(error, where, key, "is unknown");
    }
    for (gsize i = 0; i < members->n; i++) {
        const Member *member = &members->members[i];
        json_object *value;

        if (!json_object_object_get_ex(object, member->name, &value)) {
            if (member->optional)
                continue;
            return fail(error, where, member->name, "is missing");
        }
        if (!sevmig_member_read_value(member, value, where, (char *)structure + member->offset,
                                      error))
            return FALSE;
    }
    return TRUE;
}

json_object *
sevmig_members_get(json_object *object, const char *where, const char *name, json_type type,
                   GError **error)
{
    json_object *value;

    if (!json_object_object_get_ex(object, name, &value)) {
        fail(error, where, name, "is missing");
        return NULL;
    }
    if (!json_object_is_type(value, type)) {
        g_autofree char *what = g_strdup_printf("is not of type %s", json_type_to_name(type));

        fail(error, where, name, what);
        return NULL;
    }
    return value;
}
