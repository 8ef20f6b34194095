/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-key.h - keys on the curve P-384: ECDH, ECDSA with SHA-256
 *
 * Numbers (scalars, coordinates, signature halves) are big-endian, SWPSP_P384_SIZE bytes, as
 * OpenSSL and the public standards have them; SEV certificates hold them little-endian and
 * swpsp-cert converts. Functions that return bool return false only for bad input or a failure
 * inside OpenSSL; outputs are then not touched.
 */
#ifndef SWPSP_KEY_H
#define SWPSP_KEY_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWPSP_P384_SIZE 48

typedef struct SwpspKey SwpspKey;

/* A new random key pair; NULL if OpenSSL fails. */
SwpspKey *swpsp_key_generate(void);

/* The key pair of a private scalar; NULL if it is not in 1..n-1. */
SwpspKey *swpsp_key_from_scalar(const uint8_t scalar[SWPSP_P384_SIZE]);

/*
 * The key pair that belongs to a text, the same everywhere. Whoever knows the text can sign with
 * it: for the simulation's own root of trust only.
 */
SwpspKey *swpsp_key_from_label(const char *label);

/* A public key; NULL if the point is not on the curve. */
SwpspKey *swpsp_key_from_point(const uint8_t x[SWPSP_P384_SIZE], const uint8_t y[SWPSP_P384_SIZE]);

/* A key pair from PEM text. The curve must be P-384; NULL otherwise. */
SwpspKey *swpsp_key_from_pem(const char *pem, size_t len);

/* PKCS #8 PEM of a key pair, to be freed with g_free() after wiping; NULL on failure. */
char *swpsp_key_to_pem(const SwpspKey *key);

void swpsp_key_free(SwpspKey *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspKey, swpsp_key_free)

bool swpsp_key_scalar(const SwpspKey *key, uint8_t scalar[SWPSP_P384_SIZE]);
bool swpsp_key_point(const SwpspKey *key, uint8_t x[SWPSP_P384_SIZE], uint8_t y[SWPSP_P384_SIZE]);

/* Whether both have the same public point. */
bool swpsp_key_same_public(const SwpspKey *a, const SwpspKey *b);

/* ECDH: the x coordinate of own private times peer's public. */
bool swpsp_key_agree(const SwpspKey *own, const SwpspKey *peer, uint8_t z[SWPSP_P384_SIZE]);

/* ECDSA over SHA-256 of the message. */
bool swpsp_key_sign(const SwpspKey *key, const void *message, size_t len,
                    uint8_t r[SWPSP_P384_SIZE], uint8_t s[SWPSP_P384_SIZE]);
bool swpsp_key_verify(const SwpspKey *key, const void *message, size_t len,
                      const uint8_t r[SWPSP_P384_SIZE], const uint8_t s[SWPSP_P384_SIZE]);

#endif
