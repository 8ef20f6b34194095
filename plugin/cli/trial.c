/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trial.h"

#include <math.h>

#include "decision.h"

typedef struct {
    GArray *decisions;
    gint64 began_us; /* on the controller's clock */
} Observer;

static void
observe(gpointer data, gconstpointer state, const SevmigEvent *event, const SevmigActions *actions)
{
    Observer *self = data;
    SevmigView view;
    if (event->type == SEVMIG_EVENT_START)
        self->began_us = event->now_us;
    sevmig_sim_steered.view(state, &view);
    decision_timeline_add(self->decisions, event->now_us - self->began_us, view.phase, actions);
}

static void
free_row(gpointer data)
{
    TrialRow *row = data;
    g_free(row->policy);
    g_clear_pointer(&row->decisions, g_array_unref);
    g_free(row);
}

static TrialRow *
add_row(Trial *trial, const char *controller, TrialBatch batch, const SevmigControlParams *params)
{
    TrialRow *row = g_new0(TrialRow, 1);
    row->controller = controller;
    row->batch = batch;
    row->params = *params;
    g_ptr_array_add(trial->rows, row);
    return row;
}

/* A policy that leaves the throttle to QEMU means QEMU's auto-converge. */
void
trial_play(const SevmigSimScenario *scenario, const SevmigSimRun *run, TrialRow *row)
{
    SevmigSimScenario played = *scenario;
    played.params = row->params;
    played.auto_converge |= row->params.throttle_mode == SEVMIG_THROTTLE_QEMU;
    sevmig_sim_run(&played, run, &row->result);
}

static void
run_policy(Trial *trial, const char *name, const SevmigControlParams *params, gboolean keep)
{
    TrialRow *row = add_row(trial, sevmig_sim_steered.name, TRIAL_BATCH_CHOSEN, params);
    Observer observer = {0};
    SevmigSimRun run = {.controller = &sevmig_sim_steered};
    row->policy = g_strdup(name);
    if (keep) {
        observer.decisions = row->decisions = g_array_new(FALSE, FALSE, sizeof(Decision));
        run.observer = observe;
        run.observer_data = &observer;
    }
    trial_play(&trial->scenario, &run, row);
}

static void
run_peer(Trial *trial, const SevmigSimController *peer, TrialBatch batch, guint batch_pages)
{
    TrialRow *row = add_row(trial, peer->name, batch, &trial->scenario.params);
    const SevmigSimRun run = {.controller = peer, .batch_pages = batch_pages};
    sevmig_sim_run(&trial->scenario, &run, &row->result);
}

static void
run_policies(Trial *trial, const TrialPlan *plan, Progress *progress)
{
    const char *guest = trial->scenario.name;
    if (plan->policies->len == 0) {
        progress_say(progress, "%s under its own policy", guest);
        run_policy(trial, "", &trial->scenario.params, plan->decisions);
    }
    for (guint i = 0; i < plan->policies->len; i++) {
        const SevmigPolicy *policy = plan->policies->pdata[i];
        const char *name = sevmig_policy_name(policy);
        progress_say(progress, "%s under %s", guest, name);
        run_policy(trial, name, sevmig_policy_params(policy), plan->decisions);
    }
}

Trial *
trial_run(const SevmigSimScenario *scenario, const TrialPlan *plan, Progress *progress)
{
    Trial *trial = g_new0(Trial, 1);
    trial->scenario = *scenario;
    trial->rows = g_ptr_array_new_with_free_func(free_row);
    if (plan->policies->len > 0)
        trial->scenario.params = *sevmig_policy_params(plan->policies->pdata[0]);
    run_policies(trial, plan, progress);
    const TrialRow *first = trial->rows->pdata[0];
    guint largest = first->result.batch_pages;
    if (plan->compare) {
        progress_say(progress, "%s at its best", scenario->name);
        TrialRow *row = add_row(trial, "oracle", TRIAL_BATCH_CHOSEN, &trial->scenario.params);
        sevmig_sim_oracle(&trial->scenario, &row->result);
    }
    for (const SevmigSimController *peer = sevmig_sim_peers; peer->name != NULL; peer++) {
        if (peer != sevmig_sim_peers && !plan->compare)
            break;
        progress_say(progress, "%s under %s", scenario->name, peer->name);
        run_peer(trial, peer, TRIAL_BATCH_ONE, 1);
        if (plan->compare)
            run_peer(trial, peer, TRIAL_BATCH_LARGEST, largest);
    }
    return trial;
}

void
trial_free(Trial *trial)
{
    g_ptr_array_unref(trial->rows);
    g_free(trial);
}

/* --- What became of the goals --- */

guint64
trial_whole(double value)
{
    return value > 0 && isfinite(value) ? (guint64)(value + 0.5) : 0;
}

static guint64
slowdown_percent(const SevmigSimResult *result)
{
    return result->total_s > 0 ? trial_whole(100 * result->lost_s / result->total_s) : 0;
}

guint
trial_goals(const TrialRow *row, TrialGoal goals[TRIAL_MOST_GOALS])
{
    const SevmigControlParams *p = &row->params;
    const SevmigSimResult *r = &row->result;
    const TrialGoal all[TRIAL_MOST_GOALS] = {
        {"downtime", p->downtime_goal_us, trial_whole(r->downtime_ms * 1e3), FALSE, FALSE},
        {"duration", p->duration_goal_us, trial_whole(r->total_s * 1e6), FALSE, FALSE},
        {"slowdown", p->slowdown_goal_percent, slowdown_percent(r), TRUE, FALSE},
    };
    guint n = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++) {
        if (all[i].asked == 0)
            continue;
        goals[n] = all[i];
        goals[n].met = r->completed && all[i].real <= all[i].asked;
        n++;
    }
    return n;
}

gboolean
trial_row_good(const TrialRow *row)
{
    TrialGoal goals[TRIAL_MOST_GOALS];
    guint n = trial_goals(row, goals);
    gboolean good = row->result.completed;
    for (guint i = 0; i < n; i++)
        good = good && goals[i].met;
    return good;
}
