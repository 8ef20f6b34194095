/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-guest.h - one guest as the firmware sees it: state, policy, transport keys
 *
 *     INVALID -LAUNCH_START-> LAUNCHING -LAUNCH_FINISH-> RUNNING
 *     INVALID -RECEIVE_START-> RECEIVING -RECEIVE_FINISH-> RUNNING
 *     RUNNING -SEND_START-> SENDING -SEND_FINISH-> SENT
 *     SENDING -SEND_CANCEL-> RUNNING
 *
 * Only DECOMMISSION (freeing the object) leaves SENT. A command in a state that does not allow it
 * is INVALID_GUEST_STATE, found before its parameters are looked at; a refused command changes
 * nothing. Transport keys exist in SENDING and RECEIVING only, and are wiped on the way out.
 * Pure: no I/O, no clock.
 */
#ifndef SWPSP_GUEST_H
#define SWPSP_GUEST_H

#include "swpsp-cert.h"
#include "swpsp-contiguity.h"
#include "swpsp-identity.h"
#include "swpsp-proto.h"
#include "swpsp-session.h"

enum {
    SWPSP_POLICY_NODBG = 1 << 0,
    SWPSP_POLICY_NOKS = 1 << 1,
    SWPSP_POLICY_ES = 1 << 2,
    SWPSP_POLICY_NOSEND = 1 << 3,
    SWPSP_POLICY_DOMAIN = 1 << 4,
    SWPSP_POLICY_SEV = 1 << 5,
    /* Version of the API a platform of the guest must at least have: major 16-23, minor 24-31 */
};

typedef struct {
    uint32_t max_command_bytes;   /* largest guest_len of a command */
    uint32_t max_submit_commands; /* 1..SWPSP_MAX_COMMANDS */
    SwpspContiguity contiguity;
} SwpspLimits;

typedef struct SwpspGuest SwpspGuest;

SwpspGuest *swpsp_guest_new(void); /* INVALID */
void swpsp_guest_free(SwpspGuest *guest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspGuest, swpsp_guest_free)

enum swpsp_guest_state swpsp_guest_state(const SwpspGuest *guest);
uint32_t swpsp_guest_policy(const SwpspGuest *guest);

enum swpsp_status swpsp_guest_launch_start(SwpspGuest *guest, SwpspApi api, uint32_t policy);
enum swpsp_status swpsp_guest_launch_finish(SwpspGuest *guest);

/*
 * Checks the peer as the policy demands, makes new transport keys and wraps them for it. Of the
 * chain only what the policy asks for is read; the PDH always. What is read must have been made by
 * firmware as new as the policy demands: certificates have no dates, this is how they grow too old.
 */
enum swpsp_status swpsp_guest_send_start(SwpspGuest *guest, const SwpspIdentity *own,
                                         const SwpspCertChain *peer, SwpspSession *session);

/*
 * One command: command->guest_len bytes are encrypted, hdr and trans_len of the command filled in.
 * Integers of the command are the host's. Whether its memory is contiguous is not looked at: that
 * is known before a command is issued.
 */
enum swpsp_status swpsp_guest_send_update(SwpspGuest *guest, const SwpspLimits *limits,
                                          struct swpsp_command *command, const uint8_t *plain,
                                          uint8_t *cipher);
enum swpsp_status swpsp_guest_send_finish(SwpspGuest *guest);
enum swpsp_status swpsp_guest_send_cancel(SwpspGuest *guest);

enum swpsp_status swpsp_guest_receive_start(SwpspGuest *guest, const SwpspIdentity *own,
                                            uint32_t policy, const SwpspCert *peer_pdh,
                                            const SwpspSession *session);
enum swpsp_status swpsp_guest_receive_update(SwpspGuest *guest, const SwpspLimits *limits,
                                             const struct swpsp_command *command,
                                             const uint8_t *cipher, uint8_t *plain);
enum swpsp_status swpsp_guest_receive_finish(SwpspGuest *guest);

/* Whether the guest's state allows this command at all; SWPSP_OK or INVALID_GUEST_STATE. */
enum swpsp_status swpsp_guest_allows(const SwpspGuest *guest, enum swpsp_op op);

#endif
