/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-cert.h - certificates in the SEV format, and the checks on their chains
 *
 * PDH, PEK, OCA and CEK are as the real firmware has them: 2084 bytes, P-384 keys, ECDSA with
 * SHA-256 over everything in front of the first signature; numbers little-endian in 72-byte
 * fields. ASK and ARK are stand-ins in this same format: AMD's own are RSA keys in another
 * encoding, and nothing signed by swpsp's root could pass for them.
 *
 *     ARK (self) <- ASK <- CEK <-+
 *                                +- PEK <- PDH
 *                   OCA (self) <-+
 */
#ifndef SWPSP_CERT_H
#define SWPSP_CERT_H

#include "swpsp-key.h"
#include "swpsp-proto.h"
#include "swpsp-version.h"

/* Key usages, as in the pubkey and signature fields. */
enum {
    SWPSP_USAGE_ARK = 0x0000,
    SWPSP_USAGE_ASK = 0x0013,
    SWPSP_USAGE_INVALID = 0x1000, /* also: no signature in this place */
    SWPSP_USAGE_OCA = 0x1001,
    SWPSP_USAGE_PEK = 0x1002,
    SWPSP_USAGE_PDH = 0x1003,
    SWPSP_USAGE_CEK = 0x1004,
};

enum {
    SWPSP_ALGO_INVALID = 0,
    SWPSP_ALGO_ECDSA_SHA256 = 2,
    SWPSP_ALGO_ECDH_SHA256 = 3,
};

#define SWPSP_CERT_VERSION 1
#define SWPSP_CURVE_P384 2
#define SWPSP_CERT_NUMBER_SIZE 72

typedef struct {
    uint32_t curve;
    uint8_t qx[SWPSP_CERT_NUMBER_SIZE];
    uint8_t qy[SWPSP_CERT_NUMBER_SIZE];
    uint8_t reserved[880];
} SwpspCertPubkey;

typedef struct {
    uint32_t usage; /* of the key that signed */
    uint32_t algo;
    uint8_t r[SWPSP_CERT_NUMBER_SIZE];
    uint8_t s[SWPSP_CERT_NUMBER_SIZE];
    uint8_t reserved[368];
} SwpspCertSignature;

typedef struct {
    uint32_t version;
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t reserved[2];
    uint32_t pubkey_usage;
    uint32_t pubkey_algo;
    SwpspCertPubkey pubkey;
    SwpspCertSignature signature[2]; /* in either order */
} SwpspCert;

_Static_assert(sizeof(SwpspCert) == SWPSP_CERT_SIZE, "size of a SEV certificate");

/* The certificates that a platform shows to others, in the order of PDH_CERT_EXPORT. */
typedef struct {
    SwpspCert pdh;
    SwpspCert pek, oca, cek; /* SWPSP_CHAIN_SIZE */
    SwpspCert ask, ark;      /* SWPSP_AMD_SIZE */
} SwpspCertChain;

_Static_assert(sizeof(SwpspCertChain) == SWPSP_CERT_SIZE + SWPSP_CHAIN_SIZE + SWPSP_AMD_SIZE,
               "PDH, chain and stand-ins follow each other");

/*
 * Writes an unsigned certificate for a key, as firmware of that version does. False if the key
 * cannot be encoded.
 */
bool swpsp_cert_init(SwpspCert *cert, uint32_t usage, const SwpspKey *key, SwpspApi api);

/* Fills signature `slot` (0 or 1) with issuer's. */
bool swpsp_cert_sign(SwpspCert *cert, unsigned slot, uint32_t issuer_usage, const SwpspKey *issuer);

/*
 * The public key of a certificate that is well formed and of that usage: version, algorithm,
 * curve, a point on the curve. NULL otherwise. Signatures are not looked at.
 */
SwpspKey *swpsp_cert_key(const SwpspCert *cert, uint32_t usage);

/* Whether one of the signatures is by this issuer, of this usage. */
bool swpsp_cert_signed_by(const SwpspCert *cert, uint32_t issuer_usage, const SwpspKey *issuer);

/* The version of the firmware that made it. */
SwpspApi swpsp_cert_api(const SwpspCert *cert);

/* PDH <- PEK <- CEK <- ASK <- ARK, and the ARK is `root`. */
bool swpsp_cert_chain_genuine(const SwpspCertChain *chain, const SwpspKey *root);

/* PDH <- PEK <- OCA, and the OCA is `oca`. */
bool swpsp_cert_chain_same_domain(const SwpspCertChain *chain, const SwpspKey *oca);

#endif
