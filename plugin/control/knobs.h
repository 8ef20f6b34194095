/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * knobs.h - what is wanted of QEMU, what it was told, and the actions that close the gap
 *
 * The law states what it wants, with the reason; only changes become actions. Everything is told
 * again after the lease ran out, and a value that QEMU is seen not to have.
 */
#ifndef SEVMIG_KNOBS_H
#define SEVMIG_KNOBS_H

#include "sevmig-control.h"

typedef enum {
    SEVMIG_KNOB_BATCH,
    SEVMIG_KNOB_GAP,
    SEVMIG_KNOB_THROTTLE,
    SEVMIG_KNOB_SLICE,
    SEVMIG_KNOB_SYNC_INTERVAL,
    SEVMIG_KNOB_DOWNTIME_LIMIT,
    SEVMIG_KNOB_SWITCHOVER,
    SEVMIG_KNOB_HOLD_SENDING,
    SEVMIG_KNOB_PAUSE,
    SEVMIG_KNOB_COUNT
} SevmigKnob;

typedef struct {
    bool wanted;
    bool told;
    int64_t want;
    int64_t last;     /* what QEMU was told */
    unsigned differs; /* samples in a row that show another value in force */
    unsigned retold;
    char reason[SEVMIG_REASON_SIZE];
} SevmigKnobState;

typedef struct {
    SevmigKnobState list[SEVMIG_KNOB_COUNT];
    uint8_t vcpu_want[SEVMIG_MAX_VCPUS]; /* percent; only with a throttle per vCPU */
    uint8_t vcpu_told[SEVMIG_MAX_VCPUS];
    bool observe_only;
} SevmigKnobs;

void sevmig_knobs_init(SevmigKnobs *self);

/* States a wish; the reason (printf-like) is kept only when the value changes. */
__attribute__((format(printf, 4, 5))) void
sevmig_knobs_want(SevmigKnobs *self, SevmigKnob knob, int64_t value, const char *format, ...);

/* The value wanted last, or `otherwise`. */
int64_t sevmig_knobs_wanted(const SevmigKnobs *self, SevmigKnob knob, int64_t otherwise);

/* Compares with what a sample shows in force; a lasting difference is told again. */
void sevmig_knobs_check(SevmigKnobs *self, const SevmigSample *sample);

/* QEMU has forgotten everything. */
void sevmig_knobs_forget(SevmigKnobs *self);

/* Appends the actions that are due; `cpu_index` has QEMU's number of each vCPU. */
void sevmig_knobs_tell(SevmigKnobs *self, SevmigActions *actions, const uint32_t *cpu_index,
                       size_t n_vcpus);

/* Appends one action, as a NOTE when only observing. */
__attribute__((format(printf, 5, 6))) void sevmig_knobs_act(const SevmigKnobs *self,
                                                            SevmigActions *actions,
                                                            SevmigActionType type, int64_t value,
                                                            const char *format, ...);

#endif
