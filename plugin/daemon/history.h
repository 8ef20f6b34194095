/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * history.h - what became of past migrations, one small JSON file each
 *
 * ID.json holds promised against actual figures. The newest ones teach the controller what a
 * switchover on this host costs besides memory, and all that are kept can be asked for, those of an
 * earlier daemon too.
 */
#ifndef SEVMIGD_HISTORY_H
#define SEVMIGD_HISTORY_H

#include "info.h"

typedef struct SevmigHistory SevmigHistory;

/* Reads what is there; a directory that is missing or a file that is not ours is no error. */
SevmigHistory *sevmig_history_new(const char *directory);
void sevmig_history_free(SevmigHistory *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigHistory, sevmig_history_free)

/* Writes the summary (whole or not at all), removes the oldest, learns. What was learnt and what
   sevmig_history_list() tells is there even if the file could not be written. */
gboolean sevmig_history_add(SevmigHistory *self, const SevmigInfo *info, GError **error);

/* Median of what the last switchovers cost besides memory; 0: none is known. */
guint64 sevmig_history_fixed_downtime_us(const SevmigHistory *self);

/*
 * aa{sv} (floating) of properties as sevmig_info_properties() gives them, newest first, at most
 * `limit` (0: all). `which` is an id, or a domain's name or UUID; "": any. A record file that has
 * been removed since is not named.
 */
GVariant *sevmig_history_list(SevmigHistory *self, const char *which, guint limit);

#endif
