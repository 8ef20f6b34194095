/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-transport.h - the packets that carry guest memory from platform to platform
 *
 * Packet: header { u32 flags; u8 iv[16]; u8 mac[32] } and ciphertext. Ciphertext is AES-128-CTR
 * under the TEK from a fresh random IV; the MAC is HMAC-SHA256 under the TIK over
 * 0x02 || flags || iv || u32 guest_len || u32 trans_len || ciphertext, integers little-endian.
 * The keyed contexts live as long as the object, so that a page costs microseconds.
 */
#ifndef SWPSP_TRANSPORT_H
#define SWPSP_TRANSPORT_H

#include "swpsp-crypto.h"
#include "swpsp-proto.h"

#include <glib.h>

typedef struct {
    uint8_t tek[SWPSP_AES_KEY_SIZE]; /* encryption */
    uint8_t tik[SWPSP_AES_KEY_SIZE]; /* integrity */
} SwpspTransportKeys;

typedef struct SwpspTransport SwpspTransport;

/* Copies the keys into its contexts; NULL if OpenSSL fails. */
SwpspTransport *swpsp_transport_new(const SwpspTransportKeys *keys);

/* Wipes the keys. */
void swpsp_transport_free(SwpspTransport *transport);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspTransport, swpsp_transport_free)

/* Encrypts `len` bytes and writes the packet header. False if OpenSSL fails. */
bool swpsp_transport_seal(SwpspTransport *transport, const uint8_t *plain, uint32_t len,
                          uint8_t header[SWPSP_PACKET_HEADER_SIZE], uint8_t *cipher);

/*
 * Verifies the MAC over the lengths the command claims and the `trans_len` bytes, then decrypts
 * `guest_len` bytes, which must not be more. Nothing is written to `plain` unless the MAC is right.
 */
enum swpsp_status swpsp_transport_open(SwpspTransport *transport,
                                       const uint8_t header[SWPSP_PACKET_HEADER_SIZE],
                                       uint32_t guest_len, uint32_t trans_len,
                                       const uint8_t *cipher, uint8_t *plain);

#endif
