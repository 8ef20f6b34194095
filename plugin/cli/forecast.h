/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * forecast.h - what a migration would be like, as a range
 *
 * What is known of a guest and its host becomes a scenario. It is played under several seeds, with
 * the load and the host's speed as they are and off by a quarter either way; where no record tells
 * the working set, it goes from the one assumed to all memory. The range is what came out.
 */
#ifndef SEVMIGCTL_FORECAST_H
#define SEVMIGCTL_FORECAST_H

#include "trial.h"

/* Where a figure comes from, the best first. */
typedef enum {
    ORIGIN_MEASURED, /* now */
    ORIGIN_RECORD,   /* what was recorded of the domain's newest migration */
    ORIGIN_DOMAIN,   /* the newest migrations of the domain */
    ORIGIN_HOST,     /* those of all domains on this host */
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
    INPUT_WORKING_SET_PAGES, /* the least, where it is assumed */
    INPUT_PAGE_US,           /* of the firmware, for a page alone */
    INPUT_SETUP_US,          /* before the first page is sent */
    INPUT_FIXED_DOWNTIME_US, /* what memory does not take of a downtime, by QEMU's figure */
    INPUT_COUNT
} InputKind;

typedef struct {
    Input inputs[INPUT_COUNT];
    guint max_command_pages, max_batch_pages; /* 0: the model's */
    SevmigSimScenario base;                   /* what is no input: the model's, or recorded */
    gboolean has_load;                        /* the base's load is the domain's own */
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
