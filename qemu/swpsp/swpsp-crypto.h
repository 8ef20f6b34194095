/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-crypto.h - the symmetric primitives of the SEV transport: HMAC-SHA256, AES-128-CTR, KDF
 *
 * One-shot functions, for session set-up; the pages go through swpsp-transport, which keeps keyed
 * contexts. All return false only if OpenSSL fails.
 */
#ifndef SWPSP_CRYPTO_H
#define SWPSP_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWPSP_AES_KEY_SIZE 16
#define SWPSP_IV_SIZE 16
#define SWPSP_MAC_SIZE 32

/* A piece of a message that is hashed without being copied together. */
typedef struct {
    const void *data;
    size_t len;
} SwpspBytes;

typedef enum {
    SWPSP_COUNTER_LE, /* what SEV uses */
    SWPSP_COUNTER_BE, /* what the NIST test vectors use */
} SwpspCounterOrder;

bool swpsp_crypto_random(void *out, size_t len);

/* Equal, in time that depends only on the length. */
bool swpsp_crypto_equal(const void *a, const void *b, size_t len);

void swpsp_crypto_wipe(void *data, size_t len);

bool swpsp_crypto_hmac(const void *key, size_t key_len, const SwpspBytes *parts, size_t n_parts,
                       uint8_t mac[SWPSP_MAC_SIZE]);

/* Encrypts and decrypts; in and out may be the same. The whole IV is the counter block. */
bool swpsp_crypto_aes_ctr(const uint8_t key[SWPSP_AES_KEY_SIZE], const uint8_t iv[SWPSP_IV_SIZE],
                          const void *in, void *out, size_t len);

/* SP 800-108 in counter mode over HMAC-SHA256: K(i) = HMAC(key, counter32(i) || fixed). */
bool swpsp_crypto_kdf(const void *key, size_t key_len, const SwpspBytes *fixed,
                      SwpspCounterOrder order, uint8_t *out, size_t out_len);

/*
 * The same with SEV's fixed input: label || 0x00 || context || bits of output (32, little-endian).
 * The context may be NULL.
 */
bool swpsp_crypto_kdf_sev(const void *key, size_t key_len, const char *label,
                          const SwpspBytes *context, uint8_t *out, size_t out_len);

#endif
