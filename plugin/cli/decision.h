/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decision.h - what the controller decided, for people and programs
 */
#ifndef SEVMIGCTL_DECISION_H
#define SEVMIGCTL_DECISION_H

#include <glib.h>

#include "sevmig-control.h"

/* One action, when it was taken and in which phase that left the controller. */
typedef struct {
    gint64 at_us; /* since the migration began */
    SevmigPhase phase;
    SevmigAction action;
} Decision;

/* The action in a few words, without its reason: "throttle 35 %", "let go"; NULL for a remark. */
char *decision_brief(const SevmigAction *action);
/* All of them, "-" if there is none but remarks. */
char *decision_brief_all(const SevmigActions *actions);

/* An array of objects with action, value and reason. */
void decision_json_all(GString *out, const char *key, const SevmigActions *actions);

/* An array of Decision with times and phases, as lines or as an array of objects. */
void decision_timeline(GString *out, const GArray *decisions);
void decision_timeline_json(GString *out, const char *key, const GArray *decisions);
/* Appends one for each action. */
void decision_timeline_add(GArray *decisions, gint64 at_us, SevmigPhase phase,
                           const SevmigActions *actions);

#endif
