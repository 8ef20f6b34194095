/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recorder.h - the flight recorder: one file for each migration, in the trace format
 *
 * Files are named by the migration's id: a sortable time, the domain's UUID, a number. When there
 * are too many, the domain with the most loses its oldest; never one that is being written. A
 * recorder never fails a migration: when the disk is full or the file has reached its limit, the
 * file ends with the last whole line and recording stops.
 */
#ifndef SEVMIGD_RECORDER_H
#define SEVMIGD_RECORDER_H

#include <glib.h>

#include "sevmig-trace.h"

typedef struct {
    guint files;        /* most files kept */
    guint64 bytes;      /* of all files */
    guint64 file_bytes; /* of one file */
} SevmigRecorderLimits;

extern const SevmigRecorderLimits SEVMIG_RECORDER_LIMITS; /* what the daemon uses */

typedef struct SevmigRecorder SevmigRecorder;

/* Makes `directory` if it is missing, removes old files, creates ID.jsonl with its header. */
SevmigRecorder *sevmig_recorder_new(const char *directory, const char *id,
                                    const SevmigTraceHeader *header,
                                    const SevmigRecorderLimits *limits, GError **error);
void sevmig_recorder_free(SevmigRecorder *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigRecorder, sevmig_recorder_free)

/* `origin`: who asked for the event, NULL: nobody. FALSE with `error` once, when recording stops;
 * TRUE and nothing done ever after. */
gboolean sevmig_recorder_step(SevmigRecorder *self, const SevmigEvent *event,
                              const SevmigTraceOrigin *origin, const SevmigActions *actions,
                              const SevmigView *view, GError **error);

const char *sevmig_recorder_path(const SevmigRecorder *self);

#endif
