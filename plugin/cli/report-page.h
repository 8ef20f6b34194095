/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * report-page.h - a migration's report as one HTML page
 *
 * The page holds all that it needs. Its content security policy names the digests of its two
 * scripts and its style sheet and allows nothing else: no network, no other script. What came from
 * the guest or its administrator (names, reasons) is data to the script, which puts it on the page
 * as text.
 */
#ifndef SEVMIGCTL_REPORT_PAGE_H
#define SEVMIGCTL_REPORT_PAGE_H

#include "report-data.h"

/* The whole page; caller frees with g_string_free(). */
GString *report_page(const ReportData *data);

#endif
