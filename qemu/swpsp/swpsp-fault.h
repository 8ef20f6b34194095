/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-fault.h - faults to be injected, one for each command of the firmware
 *
 * Each strikes `count` commands after letting `after` pass. Commands of submissions count one by
 * one. A fault that has done its work stays listed, with its hits, until it is replaced or cleared.
 * Says only which fault strikes whom; what it does to a command is for the firmware and the server.
 */
#ifndef SWPSP_FAULT_H
#define SWPSP_FAULT_H

#include "swpsp-proto.h"

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>

#define SWPSP_FAULT_DELAY_MAX_MS 600000u

typedef enum {
    SWPSP_FAULT_NONE,
    SWPSP_FAULT_ERROR,     /* the command is refused */
    SWPSP_FAULT_DELAY,     /* it takes longer, and all others wait for it */
    SWPSP_FAULT_HANG,      /* it never ends, and the firmware serves nobody any more */
    SWPSP_FAULT_CRASH,     /* swpsp is gone, without a word */
    SWPSP_FAULT_WRONG_MAC, /* what it makes carries a wrong MAC; what it takes is found to */
} SwpspFaultKind;

typedef struct {
    SwpspFaultKind kind;
    enum swpsp_status status; /* of an ERROR */
    uint32_t delay_ms;        /* of a DELAY; on the clock, whatever the time scale */
    uint64_t after;
    uint64_t count; /* 0: all from then on */
} SwpspFault;

/* Static strings; NONE has no name that can be read back. */
const char *swpsp_fault_kind_name(SwpspFaultKind kind);
bool swpsp_fault_kind_from_name(const char *name, SwpspFaultKind *kind);

typedef struct SwpspFaults SwpspFaults;

SwpspFaults *swpsp_faults_new(void);
void swpsp_faults_free(SwpspFaults *faults);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspFaults, swpsp_faults_free)

/* Replaces the fault of a command; one of kind NONE removes it. */
void swpsp_faults_set(SwpspFaults *faults, uint16_t op, const SwpspFault *fault);
void swpsp_faults_clear(SwpspFaults *faults);
bool swpsp_faults_empty(const SwpspFaults *faults);

/* Counts one command of this kind. The fault that strikes it, owned by the table, or NULL. */
const SwpspFault *swpsp_faults_take(SwpspFaults *faults, uint16_t op);

/* A list of objects: op, kind, what the kind needs, after and count (what is left of both), hits.
 */
json_object *swpsp_faults_to_json(const SwpspFaults *faults);

#endif
