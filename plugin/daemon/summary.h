/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * summary.h - what became of one migration, as the JSON text that the history keeps
 */
#ifndef SEVMIGD_SUMMARY_H
#define SEVMIGD_SUMMARY_H

#include "info.h"

/* Caller frees. */
char *sevmig_summary_format(const SevmigInfo *info);

/*
 * Reads a summary into `info`, initialised by the caller. Members that are missing or of another
 * type are left as they are: older summaries have fewer.
 * FALSE if the text is no summary; `info` is untouched then.
 */
gboolean sevmig_summary_parse(const char *text, SevmigInfo *info);

#endif
