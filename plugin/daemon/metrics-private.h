/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metrics-private.h - what metrics.c (counting, the file) and metrics-format.c (its text) share
 */
#ifndef SEVMIGD_METRICS_PRIVATE_H
#define SEVMIGD_METRICS_PRIVATE_H

#include "metrics.h"

#define SEVMIG_METRICS_BUCKETS 12u /* the last is open */

/* Sums over migrations. */
typedef struct {
    guint64 throttled_us;
    guint64 pages;
    guint64 bytes;
    guint64 service_us;
    guint64 wait_us;
} SevmigMetricsSums;

typedef enum {
    SEVMIG_RESULT_DONE,
    SEVMIG_RESULT_FAILED,
    SEVMIG_RESULT_CANCELLED,
    SEVMIG_RESULT_RELEASED,
    SEVMIG_RESULT_COUNT
} SevmigMetricsResult;

struct SevmigMetrics {
    char *path;
    GPtrArray *running; /* of const SevmigInfo, oldest first */
    gboolean connected;
    guint64 results[SEVMIG_RESULT_COUNT];
    guint64 buckets[SEVMIG_METRICS_BUCKETS]; /* downtimes, each in one */
    guint64 downtime_us;                     /* their sum */
    guint64 goals_missed;
    SevmigMetricsSums ended;
    SevmigMetricsSums shown; /* with those that run; never falls */
    gboolean started;
    guint timer;
    gboolean failing; /* the file could not be written, and that was said */
};

extern const SevmigPhase SEVMIG_METRICS_RESULT_PHASES[SEVMIG_RESULT_COUNT];
/* Upper bounds; the last is G_MAXUINT64. */
extern const guint64 SEVMIG_METRICS_BOUNDS_US[SEVMIG_METRICS_BUCKETS];

/* Brings `shown` up to date. */
void sevmig_metrics_sum(SevmigMetrics *self);

#endif
