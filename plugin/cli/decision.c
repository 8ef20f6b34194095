/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "decision.h"

#include <string.h>

#include "json.h"
#include "text.h"

#define WOULD "would: " /* what an observer's remarks begin with */

typedef enum {
    AS_NUMBER,
    AS_PERCENT,
    AS_TIME,
    AS_ALONE, /* the value says nothing */
} ValueForm;

static const struct {
    const char *words;
    ValueForm form;
} briefs[SEVMIG_ACTION_COUNT] = {
    [SEVMIG_ACTION_BATCH_PAGES] = {"batch", AS_NUMBER},
    [SEVMIG_ACTION_GAP_PAGES] = {"gap", AS_NUMBER},
    [SEVMIG_ACTION_THROTTLE] = {"throttle", AS_PERCENT},
    [SEVMIG_ACTION_VCPU_THROTTLE] = {"throttle of vCPU", AS_PERCENT},
    [SEVMIG_ACTION_SLICE_US] = {"slice", AS_TIME},
    [SEVMIG_ACTION_SYNC_INTERVAL_US] = {"sync every", AS_TIME},
    [SEVMIG_ACTION_SWITCHOVER] = {"switchover", AS_ALONE},
    [SEVMIG_ACTION_DOWNTIME_LIMIT_US] = {"limit", AS_TIME},
    [SEVMIG_ACTION_HOLD_SENDING] = {"sending", AS_ALONE},
    [SEVMIG_ACTION_PAUSE] = {"pause the guest", AS_ALONE},
    [SEVMIG_ACTION_ABORT] = {"abort", AS_ALONE},
};

static const char *const switchovers[] = {
    [SEVMIG_SWITCHOVER_AUTO] = "left to QEMU",
    [SEVMIG_SWITCHOVER_HOLD] = "held",
    [SEVMIG_SWITCHOVER_NOW] = "now",
};

static char *
brief_alone(const SevmigAction *action)
{
    const char *words = briefs[action->type].words;
    if (action->type == SEVMIG_ACTION_HOLD_SENDING)
        return g_strdup_printf("%s %s", words, action->value != 0 ? "held" : "goes on");
    if (action->type == SEVMIG_ACTION_PAUSE && action->value == 0)
        return g_strdup("let the guest run");
    if (action->type == SEVMIG_ACTION_SWITCHOVER && action->value >= 0 &&
        action->value < (gint64)G_N_ELEMENTS(switchovers))
        return g_strdup_printf("%s %s", words, switchovers[action->value]);
    return g_strdup(words);
}

char *
decision_brief(const SevmigAction *action)
{
    const char *words = briefs[action->type].words, *reason = action->reason;
    gint64 value = action->value;
    if (words == NULL) {
        if (!g_str_has_prefix(reason, WOULD))
            return NULL;
        const char *end = strchr(reason + strlen(WOULD), ':');
        g_autofree char *brief =
            end != NULL ? g_strndup(reason, (gsize)(end - reason)) : g_strdup(reason);
        return text_printable(brief);
    }
    g_autofree char *cpu = action->type == SEVMIG_ACTION_VCPU_THROTTLE
                               ? g_strdup_printf(" %u", action->cpu_index)
                               : g_strdup("");
    if (briefs[action->type].form == AS_ALONE)
        return brief_alone(action);
    if (briefs[action->type].form == AS_TIME && value >= 0) {
        g_autofree char *time = text_duration((guint64)value);
        return g_strdup_printf("%s %s", words, time);
    }
    return g_strdup_printf("%s%s %" G_GINT64_FORMAT "%s", words, cpu, value,
                           briefs[action->type].form == AS_PERCENT ? " %" : "");
}

char *
decision_brief_all(const SevmigActions *actions)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (gsize i = 0; i < actions->n; i++) {
        g_autofree char *brief = decision_brief(&actions->list[i]);
        if (brief != NULL)
            g_string_append_printf(out, "%s%s", out->len > 0 ? ", " : "", brief);
    }
    return g_strdup(out->len > 0 ? out->str : "-");
}

static void
put_members(GString *out, const SevmigAction *action)
{
    json_string(out, "action", sevmig_action_name(action->type));
    if (action->type == SEVMIG_ACTION_VCPU_THROTTLE)
        json_uint(out, "cpu_index", action->cpu_index);
    json_int(out, "value", action->value);
    json_string(out, "reason", action->reason);
}

void
decision_json_all(GString *out, const char *key, const SevmigActions *actions)
{
    json_open(out, key, '[');
    for (gsize i = 0; i < actions->n; i++) {
        json_open(out, NULL, '{');
        put_members(out, &actions->list[i]);
        json_close(out, '}');
    }
    json_close(out, ']');
}

void
decision_timeline_add(GArray *decisions, gint64 at_us, SevmigPhase phase,
                      const SevmigActions *actions)
{
    for (gsize i = 0; i < actions->n; i++) {
        Decision decision = {.at_us = at_us, .phase = phase, .action = actions->list[i]};
        g_array_append_val(decisions, decision);
    }
}

void
decision_timeline(GString *out, const GArray *decisions)
{
    if (decisions->len == 0)
        g_string_append(out, "  nothing was decided\n");
    for (guint i = 0; i < decisions->len; i++) {
        const Decision *decision = &g_array_index(decisions, Decision, i);
        g_autofree char *reason = text_printable(decision->action.reason);
        g_string_append_printf(out, "%10.1f s  %-10s  %s\n", (double)decision->at_us / 1e6,
                               sevmig_phase_name(decision->phase), reason);
    }
}

void
decision_timeline_json(GString *out, const char *key, const GArray *decisions)
{
    json_open(out, key, '[');
    for (guint i = 0; i < decisions->len; i++) {
        const Decision *decision = &g_array_index(decisions, Decision, i);
        json_open(out, NULL, '{');
        json_int(out, "at_us", decision->at_us);
        json_string(out, "phase", sevmig_phase_name(decision->phase));
        put_members(out, &decision->action);
        json_close(out, '}');
    }
    json_close(out, ']');
}
