/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tuning.h - what the controller wants of QEMU and QEMU has not been told yet
 *
 * Actions are added as they are decided; the next tick takes them as one QmpcTune. If that call
 * fails they are put back beneath whatever was decided since.
 */
#ifndef SEVMIGD_TUNING_H
#define SEVMIGD_TUNING_H

#include <glib.h>

#include "qmpc-sev.h"
#include "sevmig-control.h"

typedef struct {
    guint present;                               /* bit SevmigActionType: a value is to be sent */
    uint32_t values[SEVMIG_ACTION_COUNT];        /* of all but vCPU throttles */
    QmpcSevVcpuThrottle vcpus[SEVMIG_MAX_VCPUS]; /* every override in force, not only new ones */
    gsize n_vcpus;
    uint32_t lease_ms; /* 0: none is asked for */
} SevmigTuning;

/* TRUE if the action is one that QEMU carries out by a tune; then it has been added. Values out of
   the contract's range are brought into it. */
gboolean sevmig_tuning_add(SevmigTuning *self, const SevmigAction *action);

/* The tune to send; its vCPU list is that of `self`. `present` is 0 if there is nothing to say. */
QmpcTune sevmig_tuning_get(const SevmigTuning *self);

/* Forgets what is to be sent, keeps the list of vCPU overrides. */
void sevmig_tuning_clear(SevmigTuning *self);

/* Adds what `failed` holds and `self` does not. */
void sevmig_tuning_put_back(SevmigTuning *self, const SevmigTuning *failed);

/* Every value back to its default: as far as the contract can say it at once, and by a lease that
   runs out at once for the rest. max_command_pages (0: unknown) is the default batch;
   a QEMU that cannot pause would refuse to be told about it. */
void sevmig_tuning_set_defaults(SevmigTuning *self, uint32_t max_command_pages, gboolean can_pause);

#endif
