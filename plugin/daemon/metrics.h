/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metrics.h - what a monitoring system scrapes, in a file
 *
 * A file for the textfile collector of Prometheus's node exporter, not a socket of our own: so
 * sevmigd stays without network and parses nothing from whoever scrapes. It is written whole or not
 * at all, every five seconds while a guest moves, each minute otherwise, and when one begins or
 * ends; its age therefore tells whether sevmigd lives.
 *
 * Totals count from the daemon's start, and never fall until its end. Only running migrations have
 * series of their own, at most 64 at a time: what has ended leaves none behind.
 */
#ifndef SEVMIGD_METRICS_H
#define SEVMIGD_METRICS_H

#include "info.h"

#define SEVMIG_METRICS_MOST_LISTED 64u

typedef enum {
    SEVMIG_METRICS_TEXT,        /* the collector's: text format 0.0.4 */
    SEVMIG_METRICS_OPENMETRICS, /* OpenMetrics 1.0 */
} SevmigMetricsFormat;

typedef struct SevmigMetrics SevmigMetrics;

/* `path` is in the text format if it ends in ".prom", as the collector wants it, else in
   OpenMetrics; NULL: counts, but writes nothing. Its directory is made if it is missing. */
SevmigMetrics *sevmig_metrics_new(const char *path);
/* Once this is the host's only sevmigd: writes from now on. */
void sevmig_metrics_start(SevmigMetrics *self);
/* Writes once more if it was started, with nothing running. */
void sevmig_metrics_free(SevmigMetrics *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigMetrics, sevmig_metrics_free)

/* `info` stays the caller's and must live, and be kept current, until it has ended. */
void sevmig_metrics_begun(SevmigMetrics *self, const SevmigInfo *info);
void sevmig_metrics_ended(SevmigMetrics *self, const SevmigInfo *info);
void sevmig_metrics_set_connected(SevmigMetrics *self, gboolean connected); /* with libvirt */

/* The file's text; caller frees. */
char *sevmig_metrics_format(SevmigMetrics *self, SevmigMetricsFormat format);

#endif
