/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report-data.h - what a recorded migration's page shows, as one JSON object
 *
 * Bounded whatever the record's length: curves are thinned evenly and lists cut, and the object
 * says so.
 */
#ifndef SEVMIGCTL_REPORT_DATA_H
#define SEVMIGCTL_REPORT_DATA_H

#include "sevmig-replay.h"

typedef struct ReportData ReportData;

/*
 * Reads the record to its end, or to its first fault, which is then told among the data. Decisions
 * and figures are those on record; where a trace has none they are the controller's of today. NULL
 * if there is nothing to show.
 */
ReportData *report_data_read(const char *path, GError **error);
void report_data_free(ReportData *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ReportData, report_data_free)

/* Owned by the data. */
const char *report_data_domain(const ReportData *self);
/* What ended the reading early; NULL: nothing. */
const GError *report_data_problem(const ReportData *self);

void report_data_json(GString *out, const ReportData *self);

#endif
