/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-session.h - how the transport keys get from one platform to the other
 *
 *     z      = ECDH(own PDH, peer's PDH)
 *     master = KDF(z, "sev-master-secret", nonce)
 *     kek, kik = KDF(master, "sev-kek"), KDF(master, "sev-kik")
 *     wrap_tk  = AES-128-CTR(kek, wrap_iv, TEK || TIK);  wrap_mac = HMAC(kik, wrap_tk)
 *     policy_mac = HMAC(TIK, policy)
 */
#ifndef SWPSP_SESSION_H
#define SWPSP_SESSION_H

#include "swpsp-key.h"
#include "swpsp-proto.h"
#include "swpsp-transport.h"

typedef struct {
    uint8_t nonce[16];
    uint8_t wrap_tk[sizeof(SwpspTransportKeys)];
    uint8_t wrap_iv[SWPSP_IV_SIZE];
    uint8_t wrap_mac[SWPSP_MAC_SIZE];
    uint8_t policy_mac[SWPSP_MAC_SIZE];
} SwpspSession;

_Static_assert(sizeof(SwpspSession) == SWPSP_SESSION_SIZE, "size of a SEV session");

/* Wraps the keys for the peer. False if OpenSSL fails. */
bool swpsp_session_wrap(SwpspSession *session, const SwpspKey *own, const SwpspKey *peer,
                        uint32_t policy, const SwpspTransportKeys *keys);

/*
 * Unwraps the keys. BAD_MEASUREMENT: not made for us by that peer, or changed on the way;
 * POLICY_FAILURE: made for another policy than this. The keys are untouched unless it is OK.
 */
enum swpsp_status swpsp_session_unwrap(const SwpspSession *session, const SwpspKey *own,
                                       const SwpspKey *peer, uint32_t policy,
                                       SwpspTransportKeys *keys);

#endif
