/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* messages.h - the plant as a controller sees it: samples with noise, lost, late or impossible */
#ifndef SEVMIG_SIM_MESSAGES_H
#define SEVMIG_SIM_MESSAGES_H

#include "plant.h"

typedef struct {
    SevmigSimRandom random;
    guint ticks;
    /* reported so far: noise is on the increments, and counters do not fall */
    double service_us[2];
    double cpu_us[SEVMIG_SIM_MAX_VCPUS][2];
    SevmigSample sample;
    SevmigVcpuSample vcpus[SEVMIG_SIM_MAX_VCPUS];
} SevmigSimMessages;

/* The truth, with the scenario's noise; points into `self`. */
const SevmigSample *sevmig_sim_messages_sample(SevmigSimMessages *self,
                                               const SevmigSimPlant *plant);

/* What arrives at this tick: its type, and its sample if there is one. A lease that expires
 * resets the plant's tune. */
SevmigEventType sevmig_sim_messages_next(SevmigSimMessages *self, SevmigSimPlant *plant,
                                         const SevmigSample **sample);

/* By how much the next tick is late, in ticks. */
guint sevmig_sim_messages_late(SevmigSimMessages *self, const SevmigSimPlant *plant);

#endif
