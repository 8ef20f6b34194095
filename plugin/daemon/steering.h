/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * steering.h - a controller at work: events in, decisions recorded, a tune to be sent
 *
 * Synchronous: no call to QEMU, no timer, no log.
 */
#ifndef SEVMIGD_STEERING_H
#define SEVMIGD_STEERING_H

#include "info.h"
#include "recorder.h"
#include "tuning.h"

typedef struct SevmigSteering SevmigSteering;

/* `info` is kept current with every step; it must outlive the steering. */
SevmigSteering *sevmig_steering_new(SevmigInfo *info, const SevmigControlParams *params);
void sevmig_steering_free(SevmigSteering *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigSteering, sevmig_steering_free)

/* Records every further step; takes `recorder` over. */
void sevmig_steering_record(SevmigSteering *self, SevmigRecorder *recorder);

/*
 * One step of the controller. Time that goes back is held at the newest. The actions, the caller's
 * to carry out as far as they are not tunes, are valid until the next step. `error` (may be NULL)
 * is set if recording had to stop; the step has been made all the same.
 */
const SevmigActions *sevmig_steering_step(SevmigSteering *self, SevmigEventType type, gint64 now_us,
                                          GError **error);

/* Other parameters, on behalf of `origin`: the next step, a POLICY event, puts them in force. What
 * was learnt of the host (fixed_downtime_us) stays. */
void sevmig_steering_change(SevmigSteering *self, const SevmigControlParams *params,
                            const SevmigTraceOrigin *origin);

/* The arbiter's word: the next step, a TURN event, puts it in force. */
void sevmig_steering_turn(SevmigSteering *self, const SevmigTurn *turn);

/* The newest statistics; the next SAMPLE or COMPLETED event carries them. */
void sevmig_steering_take(SevmigSteering *self, const QmpcSevStatus *status);

/* For how long the guest has been paused by us, at the newest step; 0: it is not. */
guint64 sevmig_steering_paused_us(const SevmigSteering *self);

SevmigPhase sevmig_steering_phase(const SevmigSteering *self);

/* When the controller wants the next event, monotonic; 0: whenever one is due. */
gint64 sevmig_steering_wake_us(const SevmigSteering *self);

/* The tune to send now; counts as sent. Its lists are valid until the next call of any function. */
QmpcTune sevmig_steering_tune(SevmigSteering *self, guint32 lease_ms);
/* The tune sent last did not arrive: it is to be sent again, beneath what was decided since. */
void sevmig_steering_tune_failed(SevmigSteering *self);
/* The tune that gives everything back. */
QmpcTune sevmig_steering_release_tune(SevmigSteering *self);

#endif
