/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * forecast.h - what a migration would be like, as a range
 *
 * What is known of a guest and its firmware becomes a scenario. It is played under several seeds,
 * with the load and the firmware's speed as they are and off by a quarter either way, over a
 * working set from the one given to all memory; the range is what came out.
 */
#ifndef SEVMIGCTL_FORECAST_H
#define SEVMIGCTL_FORECAST_H

#include "trial.h"

/* Where a figure comes from, the best first. */
typedef enum {
    ORIGIN_MEASURED, /* now */
    ORIGIN_DOMAIN,   /* the newest migration of the domain */
    ORIGIN_HOST,     /* the newest of any domain on this host */
    ORIGIN_ASSUMED,
} Origin;

typedef struct {
    double value;
    Origin origin;
} Input;

typedef enum {
    INPUT_PAGES, /* private ones */
    INPUT_VCPUS,
    INPUT_BUSY,              /* share of a CPU that each vCPU takes */
    INPUT_DIRTY_PAGES_PER_S, /* different ones, unthrottled */
    INPUT_WORKING_SET_PAGES, /* the least */
    INPUT_PAGE_US,           /* of the firmware, for a page alone */
    INPUT_COUNT
} InputKind;

typedef struct {
    Input inputs[INPUT_COUNT];
    guint max_command_pages, max_batch_pages; /* 0: the model's */
} ForecastInputs;

/* What so many pages in so many commands and submissions say of a page alone. */
double forecast_page_us(guint64 service_us, guint64 pages, guint64 commands, guint64 submissions);

typedef struct {
    guint64 least, most;
} Span;

typedef struct {
    TrialGoal worst; /* of all runs; its `met` is that of all */
    guint met;       /* runs */
} ForecastGoal;

typedef struct {
    guint runs, ended;
    Span total_us, downtime_us, lost_us, throttle_percent; /* of those that ended */
    ForecastGoal goals[TRIAL_MOST_GOALS];
    guint n_goals;
} Forecast;

/* FALSE and `error` if no scenario can be made of them. */
gboolean forecast_run(const ForecastInputs *inputs, const SevmigPolicy *policy, Progress *progress,
                      Forecast *forecast, GError **error);
/* Every run ended, and met every goal. */
gboolean forecast_good(const Forecast *forecast);

#endif
