/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-firmware.h - the firmware: decodes a request, runs it, encodes the answer
 *
 * Between the wire and the guests; no sockets, no clock. It says how long the real firmware would
 * have taken, the server makes that come true. Guests belong to an owner, a number that stands for
 * a connection; another owner's guest is INVALID_GUEST.
 */
#ifndef SWPSP_FIRMWARE_H
#define SWPSP_FIRMWARE_H

#include "swpsp-cost.h"
#include "swpsp-fault.h"
#include "swpsp-guest-table.h"
#include "swpsp-identity.h"
#include "swpsp-proto.h"

typedef struct SwpspFirmware SwpspFirmware;

typedef struct {
    bool malformed; /* not well formed: no answer, the connection must end */
    enum swpsp_status status;
    uint32_t handle;  /* the guest it was about, 0 if none */
    uint8_t *payload; /* of the answer; owned, g_free() */
    size_t len;
    uint64_t commands, pages; /* completed in this submission */
    double service_us;        /* what it costs by the model, and the delays of faults */
    double delay_us;          /* of these, faults' delays */
    SwpspFaultKind fault;     /* the last that struck; HANG and CRASH are for the server to do */
} SwpspAnswer;

void swpsp_answer_clear(SwpspAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SwpspAnswer, swpsp_answer_clear)

/* Takes over the identity. */
SwpspFirmware *swpsp_firmware_new(SwpspIdentity *identity, const SwpspLimits *limits,
                                  const SwpspCost *cost);
void swpsp_firmware_free(SwpspFirmware *firmware);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspFirmware, swpsp_firmware_free)

/* The cost model, which may be changed at any time to another valid one. */
SwpspCost *swpsp_firmware_cost(SwpspFirmware *firmware);

/*
 * Runs one request. `answer` must be empty and is filled; clear it afterwards. HELLO included;
 * STATS and CONTROL are the server's, here they are UNSUPPORTED.
 */
void swpsp_firmware_execute(SwpspFirmware *firmware, uint64_t owner, uint16_t op,
                            const uint8_t *payload, size_t len, SwpspAnswer *answer);

/* Fills the times into the answer of a submission; does nothing to others. Microseconds. */
void swpsp_firmware_stamp(uint16_t op, SwpspAnswer *answer, uint64_t service_us, uint64_t wait_us);

/* Decommissions all guests of an owner. */
void swpsp_firmware_disown(SwpspFirmware *firmware, uint64_t owner);

/* Handle and state of the owner's newest guest; untouched if it has none. */
void swpsp_firmware_guest_of(SwpspFirmware *firmware, uint64_t owner, uint32_t *handle,
                             enum swpsp_guest_state *state);

unsigned swpsp_firmware_guests(const SwpspFirmware *firmware);

/* False if this fault cannot be put there: no such command, or none with a MAC. */
bool swpsp_firmware_set_fault(SwpspFirmware *firmware, uint16_t op, const SwpspFault *fault);
void swpsp_firmware_clear_faults(SwpspFirmware *firmware);
const SwpspFaults *swpsp_firmware_faults(const SwpspFirmware *firmware);

#endif
