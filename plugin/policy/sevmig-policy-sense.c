/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What no schema can say: values that contradict each other, and the host's ceiling.
 */
#include "sevmig-policy-internal.h"
#include "sevmig-policy-issue.h"

/* QEMU does not run a vCPU for less than this between two stops, so a stop of s lets the throttle
 * rise to s / (s + 200 us) and no further. */
#define SLICE_MIN_US 200

typedef struct {
    const SevmigReader *reader;
    const SevmigPolicy *policy;
} Check;

static const SevmigKnob *
knob_at(const char *element, const char *attribute)
{
    gsize n;

    return &sevmig_knobs(&n)[sevmig_knob_index(element, attribute)];
}

static gboolean
is_given(const SevmigPolicy *policy, const SevmigKnob *knob)
{
    gsize n;

    return (policy->given >> (knob - sevmig_knobs(&n))) & 1;
}

static gint64
value_of(const Check *check, const SevmigKnob *knob)
{
    return sevmig_knob_get(knob, &check->policy->values);
}

static void G_GNUC_PRINTF(3, 4)
    contradiction(const Check *check, const SevmigKnob *knob, const char *format, ...)
{
    g_autofree char *label = sevmig_knob_label(knob);
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    sevmig_reader_issue(check->reader, sevmig_reader_knob_offset(check->reader, knob), "%s%s",
                        label, text);
}

/* Rows: the left value must not exceed the right one, where both are stated. */
static const struct {
    const char *left[2];
    const char *right[2];
    const char *why;
} at_most[] = {
    {{"match/memory", "min"}, {"match/memory", "max"}, "no domain could match"},
    {{"goals/downtime", NULL}, {"goals/downtime", "max"}, "the goal may only grow"},
    {{"goals/downtime", NULL}, {"goals/duration", NULL}, "the downtime is part of the duration"},
    {{"throttle/stun", NULL}, {"goals/downtime", NULL}, "each stop would be longer than the goal"},
    {{"batch/hold", NULL}, {"goals/downtime", NULL}, "one submission would miss the goal"},
};

static void
check_order(const Check *check)
{
    for (gsize i = 0; i < G_N_ELEMENTS(at_most); i++) {
        const SevmigKnob *left = knob_at(at_most[i].left[0], at_most[i].left[1]);
        const SevmigKnob *right = knob_at(at_most[i].right[0], at_most[i].right[1]);
        g_autofree char *is = sevmig_knob_format(left, value_of(check, left));
        g_autofree char *limit = sevmig_knob_format(right, value_of(check, right));
        g_autofree char *label = sevmig_knob_label(right);

        if (is_given(check->policy, left) && is_given(check->policy, right) &&
            value_of(check, left) > value_of(check, right))
            contradiction(check, left, ": %s is more than %s of %s, %s; expected at most %s", is,
                          label, limit, at_most[i].why, limit);
    }
}

static void
check_stun(const Check *check)
{
    const SevmigKnob *stun = knob_at("throttle/stun", NULL);
    const SevmigKnob *ceiling = knob_at("throttle/ceiling", NULL);
    guint64 stun_us = check->policy->values.params.stun_us;
    guint64 reach = stun_us * 100 / (stun_us + SLICE_MIN_US);
    guint64 wanted = check->policy->values.params.throttle_ceiling_percent;

    if (!is_given(check->policy, stun) || !is_given(check->policy, ceiling) || reach >= wanted)
        return;
    contradiction(check, ceiling,
                  ": %u percent cannot be reached with stops of at most %" G_GUINT64_FORMAT
                  " us; expected at most %u percent, or a longer <stun>",
                  (unsigned)wanted, stun_us, (unsigned)reach);
}

static void
check_actions(const Check *check)
{
    const SevmigControlParams *params = &check->policy->values.params;

    if (params->on_stall == SEVMIG_ON_STALL_RELAX &&
        params->downtime_max_us <= params->downtime_goal_us)
        contradiction(check, knob_at("on-stall", NULL),
                      ": relax has nowhere to go; expected <downtime max> above the downtime goal");
    if (params->on_deadline != SEVMIG_ON_DEADLINE_CONTINUE && params->duration_goal_us == 0)
        contradiction(check, knob_at("on-deadline", NULL),
                      ": there is no deadline; expected <duration> among the goals");
}

static void
check_mode(const Check *check)
{
    static const char *const steered[] = {"throttle/ceiling", "throttle/stun", "throttle/scope"};

    if (check->policy->values.params.throttle_mode == SEVMIG_THROTTLE_STEERED)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(steered); i++) {
        const SevmigKnob *knob = knob_at(steered[i], NULL);

        if (is_given(check->policy, knob))
            contradiction(check, knob,
                          " has no effect on QEMU's own throttle; expected none with "
                          "<throttle mode=\"qemu\">");
    }
}

void
sevmig_sense_check(const SevmigReader *self, const SevmigPolicy *policy)
{
    Check check = {.reader = self, .policy = policy};

    check_order(&check);
    check_stun(&check);
    check_actions(&check);
    check_mode(&check);
}

static void
apply_limit(const Check *check, SevmigPolicy *policy, const SevmigKnob *knob,
            const SevmigCeiling *ceiling)
{
    gint64 limit = sevmig_knob_get(knob, &ceiling->values);
    gint64 value = sevmig_knob_get(knob, &policy->values);
    g_autofree char *is = sevmig_knob_format(knob, value);
    g_autofree char *allowed = sevmig_knob_format(knob, limit);
    gsize n;

    if (value <= limit)
        return;
    if (is_given(policy, knob)) {
        contradiction(check, knob, ": %s is looser than this host allows; expected at most %s (%s)",
                      is, allowed, ceiling->file);
        return;
    }
    sevmig_knob_set(knob, &policy->values, limit);
    policy->given |= G_GUINT64_CONSTANT(1) << (knob - sevmig_knobs(&n));
}

void
sevmig_ceiling_apply(const SevmigReader *self, const SevmigCeiling *ceiling, SevmigPolicy *policy)
{
    Check check = {.reader = self, .policy = policy};
    guint64 throttle_limits = G_GUINT64_CONSTANT(1) << sevmig_knob_index("throttle/ceiling", NULL) |
                              G_GUINT64_CONSTANT(1) << sevmig_knob_index("throttle/stun", NULL);
    gboolean by_qemu = policy->values.params.throttle_mode == SEVMIG_THROTTLE_QEMU;
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    if (by_qemu && (ceiling->given & throttle_limits))
        contradiction(&check, knob_at("throttle", "mode"),
                      ": qemu is looser than this host allows; expected steered (%s)",
                      ceiling->file);
    for (gsize i = 0; i < n; i++) {
        guint64 bit = G_GUINT64_CONSTANT(1) << i;

        if (!(ceiling->given & bit) || (by_qemu && (bit & throttle_limits)))
            continue;
        apply_limit(&check, policy, &knobs[i], ceiling);
    }
}
