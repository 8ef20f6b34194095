/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-replay.h - a recorded migration put to the controller once more
 *
 * The same events give the same decisions. With other parameters the answer is what those would
 * have asked for in each recorded situation, not what would have come of it: the events are those
 * that followed from the decisions on record, and nothing here reacts.
 */
#ifndef SEVMIG_REPLAY_H
#define SEVMIG_REPLAY_H

#include "sevmig-trace.h"

typedef struct SevmigReplay SevmigReplay;

/*
 * Opens a trace. `params` NULL: as recorded; else these are in force from the first event to the
 * last, recorded changes of policy are passed over, and what the host had learnt of its own
 * (fixed_downtime_us) stays as recorded.
 */
SevmigReplay *sevmig_replay_new(const char *path, const SevmigControlParams *params,
                                GError **error);
void sevmig_replay_free(SevmigReplay *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigReplay, sevmig_replay_free)

const SevmigTraceHeader *sevmig_replay_header(const SevmigReplay *self);

/*
 * The next event, and the controller's answer to it. FALSE at the end (`error` unset) and on
 * failure (set): what the reader refuses, a trace that does not begin with `start`, or one whose
 * time is out of range or goes back. Everything before has been replayed by then.
 */
gboolean sevmig_replay_next(SevmigReplay *self, GError **error);

/* Of the newest event; owned by the replay. */
const SevmigTraceStep *sevmig_replay_step(const SevmigReplay *self);
const SevmigActions *sevmig_replay_actions(const SevmigReplay *self);
void sevmig_replay_view(const SevmigReplay *self, SevmigView *view);
guint sevmig_replay_line(const SevmigReplay *self);
gint64 sevmig_replay_elapsed_us(const SevmigReplay *self); /* since the first event */
/* Whether the answer is the one on record, to the word and to the moment of waking; TRUE where
 * none is on record. */
gboolean sevmig_replay_identical(const SevmigReplay *self);

#endif
