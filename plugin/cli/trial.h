/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trial.h - one guest under policies, nobody and the peers, in simulation
 */
#ifndef SEVMIGCTL_TRIAL_H
#define SEVMIGCTL_TRIAL_H

#include <glib.h>

#include "progress.h"
#include "sevmig-policy.h"
#include "sevmig-simulation.h"

/* Who chose the pages of a submission. */
typedef enum {
    TRIAL_BATCH_ONE,     /* nobody: one, as migrations run today */
    TRIAL_BATCH_LARGEST, /* given: what the first policy's run ended with */
    TRIAL_BATCH_CHOSEN,  /* the controller */
} TrialBatch;

typedef struct {
    const char *controller; /* "sevmig", "oracle" or a peer's */
    char *policy;           /* of sevmig, "" for the scenario's own; NULL: no policy decides */
    TrialBatch batch;
    SevmigControlParams params; /* the goals it is held against */
    SevmigSimResult result;
    GArray *decisions; /* of Decision; NULL where none were kept */
} TrialRow;

typedef struct {
    SevmigSimScenario scenario;
    GPtrArray *rows; /* of TrialRow: the policies, then the others */
} Trial;

typedef struct {
    GPtrArray *policies; /* of SevmigPolicy; empty: the scenario's own */
    gboolean compare;    /* with the peers and the bound, not with nobody alone */
    gboolean decisions;  /* keep those of the policies */
} TrialPlan;

/* The others are told the downtime goal of the first policy. */
Trial *trial_run(const SevmigSimScenario *scenario, const TrialPlan *plan, Progress *progress);
void trial_free(Trial *trial);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trial, trial_free)

/* Plays the scenario under the goals and limits of the row, into its result. */
void trial_play(const SevmigSimScenario *scenario, const SevmigSimRun *run, TrialRow *row);

/* Rounded; 0 for what is negative or no number. */
guint64 trial_whole(double value);

/* A goal of a policy, and what came of it. */
typedef struct {
    const char *name; /* "downtime" */
    guint64 asked, real;
    gboolean percent; /* else microseconds */
    gboolean met;     /* FALSE where the migration did not end */
} TrialGoal;

#define TRIAL_MOST_GOALS 3
/* Those that were given, in `goals`; returns how many. */
guint trial_goals(const TrialRow *row, TrialGoal goals[TRIAL_MOST_GOALS]);
/* Whether it ended and met every goal. */
gboolean trial_row_good(const TrialRow *row);

/* A paragraph, and an array element for each row. */
void trial_render(GString *out, const Trial *trial, guint width);
void trial_json(GString *out, const Trial *trial);

#endif
