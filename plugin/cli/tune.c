/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One knob is changed at a time, so that the table says what each does. What policy lint would
 * refuse is not tried.
 */
#include "tune.h"

#include <math.h>

#include "sevmig-policy-knobs.h"
#include "trial.h"

#define MS 1000
#define COSTS_NOTHING 1.02 /* so much more is the simulation's own noise */
#define SAVES 0.9          /* less than that of today's is worth a change */

typedef struct {
    const char *element, *label;
    gboolean share; /* rungs are shares of today's value, in whole milliseconds */
    double rungs[8];
    guint n;
} Ladder;

static const Ladder ladders[] = {
    {"goals/downtime", "downtime goal", TRUE, {0.25, 0.5, 0.75, 1.5, 2, 3, 5, 10}, 8},
    {"throttle/ceiling", "throttle ceiling", FALSE, {0, 30, 50, 70, 80, 90, 95, 99}, 8},
    {"throttle/stun", "stun", FALSE, {20 * MS, 50 * MS, 100 * MS, 200 * MS, 500 * MS}, 5},
    {"batch/hold", "hold", FALSE, {2 * MS, 5 * MS, 10 * MS, 20 * MS}, 4},
};

/* --- Candidates --- */

static void
free_candidate(gpointer data)
{
    TuneCandidate *candidate = data;
    g_free(candidate->name);
    g_free(candidate->element);
    sevmig_policy_unref(candidate->policy);
    g_free(candidate);
}

static void
add_candidate(Tune *tune, char *name, const char *element, SevmigPolicy *policy)
{
    TuneCandidate *candidate = g_new0(TuneCandidate, 1);
    candidate->name = name;
    candidate->element = g_strdup(element);
    candidate->policy = policy;
    g_ptr_array_add(tune->candidates, candidate);
}

static void
add_rung(Tune *tune, const SevmigPolicy *today, const Ladder *ladder, double rung)
{
    gsize n;
    const SevmigKnob *knob = &sevmig_knobs(&n)[sevmig_knob_index(ladder->element, NULL)];
    SevmigPolicyValues values = {.params = *sevmig_policy_params(today)};
    gint64 is = sevmig_knob_get(knob, &values);
    gint64 value = ladder->share ? (gint64)round((double)is * rung / MS) * MS : (gint64)rung;
    if (value == is || (ladder->share && value <= 0))
        return;
    sevmig_knob_set(knob, &values, value);
    SevmigPolicy *policy = sevmig_policy_vary(today, &values.params, NULL);
    if (policy == NULL)
        return;
    g_autofree char *text = sevmig_knob_format(knob, value);
    add_candidate(tune, g_strdup_printf("%s %s", ladder->label, text), ladder->element, policy);
}

static void
add_candidates(Tune *tune, SevmigPolicy *today)
{
    add_candidate(tune, g_strdup("today"), NULL, sevmig_policy_ref(today));
    for (gsize i = 0; i < G_N_ELEMENTS(ladders); i++) {
        for (guint rung = 0; rung < ladders[i].n; rung++)
            add_rung(tune, today, &ladders[i], ladders[i].rungs[rung]);
    }
}

/* --- Trying them --- */

/* What the host had learnt by then is the record's, not the policy's. */
static gboolean
play(const TuneCandidate *candidate, DerivedRecord *record, TrialRow *row)
{
    SevmigSimScenario scenario = record->scenario;
    row->params = *sevmig_policy_params(candidate->policy);
    scenario.params = row->params;
    scenario.params.fixed_downtime_us = record->scenario.params.fixed_downtime_us;
    scenario.auto_converge = row->params.throttle_mode == SEVMIG_THROTTLE_QEMU;
    return derive_play(record, &scenario, &row->result);
}

static void
count(TuneCandidate *candidate, const TrialRow *row)
{
    candidate->ended += row->result.completed;
    candidate->met += trial_row_good(row);
    candidate->total_s += row->result.total_s;
    candidate->lost_s += row->result.lost_s;
    candidate->downtime_ms = fmax(candidate->downtime_ms, row->result.downtime_ms);
}

/* Under every candidate or none, or they could not be compared. */
static void
try_record(Tune *tune, guint number, Progress *progress)
{
    DerivedRecord *record = tune->records->pdata[number];
    guint n = tune->candidates->len;
    g_autofree TrialRow *rows = g_new0(TrialRow, n);
    for (guint i = 0; i < n; i++) {
        const TuneCandidate *candidate = tune->candidates->pdata[i];
        progress_say(progress, "record %u of %u, %s (%u of %u)", number + 1, tune->records->len,
                     candidate->name, i + 1, n);
        if (!play(candidate, record, &rows[i]))
            return;
    }
    for (guint i = 0; i < n; i++)
        count(tune->candidates->pdata[i], &rows[i]);
    tune->used++;
}

static void
try_candidates(Tune *tune, Progress *progress)
{
    for (guint i = 0; i < tune->records->len; i++) {
        if (((const DerivedRecord *)tune->records->pdata[i])->refused == NULL)
            try_record(tune, i, progress);
    }
    for (guint i = 0; i < tune->candidates->len; i++) {
        TuneCandidate *candidate = tune->candidates->pdata[i];
        candidate->total_s /= MAX(tune->used, 1);
        candidate->lost_s /= MAX(tune->used, 1);
    }
}

/* --- Choosing --- */

static guint64
goal_of(const TuneCandidate *candidate)
{
    return sevmig_policy_params(candidate->policy)->downtime_goal_us;
}

/* A goal that is met is not bettered at the cost of another. */
static gboolean
is_better_than_today(const TuneCandidate *candidate, const TuneCandidate *today)
{
    if (candidate->met != today->met)
        return candidate->met > today->met;
    if (candidate->lost_s > COSTS_NOTHING * today->lost_s ||
        candidate->total_s > COSTS_NOTHING * today->total_s || goal_of(candidate) > goal_of(today))
        return FALSE;
    return (candidate->met > 0 && goal_of(candidate) < goal_of(today)) ||
           candidate->lost_s < SAVES * today->lost_s || candidate->total_s < SAVES * today->total_s;
}

/* Most migrations that meet their goals, then the shortest downtime goal, then the least guest time
 * lost, then the shortest. */
static gboolean
comes_before(const TuneCandidate *a, const TuneCandidate *b)
{
    if (a->met != b->met)
        return a->met > b->met;
    if (goal_of(a) != goal_of(b))
        return goal_of(a) < goal_of(b);
    return a->lost_s != b->lost_s ? a->lost_s < b->lost_s : a->total_s < b->total_s;
}

static void
choose(Tune *tune)
{
    const TuneCandidate *today = tune->candidates->pdata[0];
    for (guint i = 1; i < tune->candidates->len; i++) {
        const TuneCandidate *candidate = tune->candidates->pdata[i];
        if (is_better_than_today(candidate, today) &&
            (tune->proposal == NULL || comes_before(candidate, tune->proposal)))
            tune->proposal = candidate;
    }
}

static guint
count_usable(const GPtrArray *records)
{
    guint n = 0;
    for (guint i = 0; i < records->len; i++)
        n += ((const DerivedRecord *)records->pdata[i])->refused == NULL;
    return n;
}

Tune *
tune_run(GPtrArray *records, SevmigPolicy *today, Progress *progress)
{
    Tune *tune = g_new0(Tune, 1);
    tune->records = g_ptr_array_ref(records);
    tune->candidates = g_ptr_array_new_with_free_func(free_candidate);
    if (count_usable(records) == 0)
        return tune;
    add_candidates(tune, today);
    try_candidates(tune, progress);
    if (tune->used > 0)
        choose(tune);
    else
        g_ptr_array_set_size(tune->candidates, 0);
    return tune;
}

void
tune_free(Tune *tune)
{
    g_ptr_array_unref(tune->records);
    g_ptr_array_unref(tune->candidates);
    g_free(tune);
}
