/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * intake.h - samples in, believable increments out
 *
 * Statistics come over a monitor from a program that may restart, lag or lie. What cannot be true
 * (a counter that fell, more remaining than there is, time that went back) changes no estimate; if
 * it goes on, the newer values are taken as a new beginning.
 */
#ifndef SEVMIG_INTAKE_H
#define SEVMIG_INTAKE_H

#include "firmware.h"

typedef enum {
    SEVMIG_INTAKE_FIRST,      /* nothing to compare with yet */
    SEVMIG_INTAKE_OK,         /* increments are valid */
    SEVMIG_INTAKE_BRIEF,      /* too soon for rates: they are left to the next sample */
    SEVMIG_INTAKE_IMPOSSIBLE, /* not taken */
} SevmigIntakeVerdict;

typedef struct {
    bool valid;
    int64_t at_us;
    SevmigSample last; /* vcpus is NULL */
    SevmigSample from; /* what increments count from: the newest that was not brief */
    int64_t from_us;
    unsigned impossible_in_a_row;
    const char *problem; /* of the newest impossible sample */
    double wall_us;      /* between the newest two */
    SevmigSent sent;     /* since `from` before it moved; nothing when brief */
    bool new_sync;
    bool new_pass;
    bool late;               /* every page was sent once */
    int64_t late_at_us;      /* since then */
    int64_t sync_at_us;      /* when the newest sync was, as near as the samples tell */
    double rate_pages_per_s; /* newest, smoothed */
    double bytes_per_us;     /* on the channel, smoothed: what QEMU calls its bandwidth */
    double newest_bytes_per_us;
} SevmigIntake;

void sevmig_intake_init(SevmigIntake *self);
SevmigIntakeVerdict sevmig_intake_take(SevmigIntake *self, int64_t now_us,
                                       const SevmigSample *sample);

#endif
