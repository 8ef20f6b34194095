/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-cert.h"

#include <stddef.h>
#include <string.h>

/* What a signature covers: everything in front of the first one. */
#define BODY_SIZE offsetof(SwpspCert, signature)

static void
number_store(uint8_t field[SWPSP_CERT_NUMBER_SIZE], const uint8_t number[SWPSP_P384_SIZE])
{
    memset(field, 0, SWPSP_CERT_NUMBER_SIZE);
    for (size_t i = 0; i < SWPSP_P384_SIZE; i++)
        field[i] = number[SWPSP_P384_SIZE - 1 - i];
}

/* False if the number has more than 384 bits. */
static bool
number_load(uint8_t number[SWPSP_P384_SIZE], const uint8_t field[SWPSP_CERT_NUMBER_SIZE])
{
    for (size_t i = SWPSP_P384_SIZE; i < SWPSP_CERT_NUMBER_SIZE; i++) {
        if (field[i] != 0)
            return false;
    }
    for (size_t i = 0; i < SWPSP_P384_SIZE; i++)
        number[SWPSP_P384_SIZE - 1 - i] = field[i];
    return true;
}

static uint32_t
algo_of(uint32_t usage)
{
    return usage == SWPSP_USAGE_PDH ? SWPSP_ALGO_ECDH_SHA256 : SWPSP_ALGO_ECDSA_SHA256;
}

bool
swpsp_cert_init(SwpspCert *cert, uint32_t usage, const SwpspKey *key, SwpspApi api)
{
    uint8_t x[SWPSP_P384_SIZE], y[SWPSP_P384_SIZE];
    if (!swpsp_key_point(key, x, y))
        return false;

    memset(cert, 0, sizeof(*cert));
    cert->version = GUINT32_TO_LE(SWPSP_CERT_VERSION);
    cert->api_major = api.major;
    cert->api_minor = api.minor;
    cert->pubkey_usage = GUINT32_TO_LE(usage);
    cert->pubkey_algo = GUINT32_TO_LE(algo_of(usage));
    cert->pubkey.curve = GUINT32_TO_LE(SWPSP_CURVE_P384);
    number_store(cert->pubkey.qx, x);
    number_store(cert->pubkey.qy, y);
    for (size_t i = 0; i < G_N_ELEMENTS(cert->signature); i++)
        cert->signature[i].usage = GUINT32_TO_LE(SWPSP_USAGE_INVALID);
    return true;
}

bool
swpsp_cert_sign(SwpspCert *cert, unsigned slot, uint32_t issuer_usage, const SwpspKey *issuer)
{
    uint8_t r[SWPSP_P384_SIZE], s[SWPSP_P384_SIZE];
    SwpspCertSignature *signature = &cert->signature[slot];

    if (!swpsp_key_sign(issuer, cert, BODY_SIZE, r, s))
        return false;
    memset(signature, 0, sizeof(*signature));
    signature->usage = GUINT32_TO_LE(issuer_usage);
    signature->algo = GUINT32_TO_LE(SWPSP_ALGO_ECDSA_SHA256);
    number_store(signature->r, r);
    number_store(signature->s, s);
    return true;
}

SwpspKey *
swpsp_cert_key(const SwpspCert *cert, uint32_t usage)
{
    uint8_t x[SWPSP_P384_SIZE], y[SWPSP_P384_SIZE];

    if (GUINT32_FROM_LE(cert->version) != SWPSP_CERT_VERSION ||
        GUINT32_FROM_LE(cert->pubkey_usage) != usage ||
        GUINT32_FROM_LE(cert->pubkey_algo) != algo_of(usage) ||
        GUINT32_FROM_LE(cert->pubkey.curve) != SWPSP_CURVE_P384 ||
        !number_load(x, cert->pubkey.qx) || !number_load(y, cert->pubkey.qy))
        return NULL;
    return swpsp_key_from_point(x, y);
}

SwpspApi
swpsp_cert_api(const SwpspCert *cert)
{
    return (SwpspApi){cert->api_major, cert->api_minor};
}

bool
swpsp_cert_signed_by(const SwpspCert *cert, uint32_t issuer_usage, const SwpspKey *issuer)
{
    for (size_t i = 0; i < G_N_ELEMENTS(cert->signature); i++) {
        const SwpspCertSignature *signature = &cert->signature[i];
        uint8_t r[SWPSP_P384_SIZE], s[SWPSP_P384_SIZE];

        if (GUINT32_FROM_LE(signature->usage) == issuer_usage &&
            GUINT32_FROM_LE(signature->algo) == SWPSP_ALGO_ECDSA_SHA256 &&
            number_load(r, signature->r) && number_load(s, signature->s) &&
            swpsp_key_verify(issuer, cert, BODY_SIZE, r, s))
            return true;
    }
    return false;
}

/* Walks from the leaf to the last issuer, which must be self-signed and equal to `anchor`. */
static bool
path_valid(const SwpspCert *const *path, const uint32_t *usages, size_t n, const SwpspKey *anchor)
{
    for (size_t i = 0; i < n; i++) {
        /* The last one is its own issuer. */
        const size_t issuer = i + 1 < n ? i + 1 : i;
        g_autoptr(SwpspKey) own = swpsp_cert_key(path[i], usages[i]);
        g_autoptr(SwpspKey) key = swpsp_cert_key(path[issuer], usages[issuer]);

        if (!own || !key || !swpsp_cert_signed_by(path[i], usages[issuer], key))
            return false;
        if (issuer == i && !swpsp_key_same_public(own, anchor))
            return false;
    }
    return true;
}

bool
swpsp_cert_chain_genuine(const SwpspCertChain *chain, const SwpspKey *root)
{
    const SwpspCert *path[] = {&chain->pdh, &chain->pek, &chain->cek, &chain->ask, &chain->ark};
    static const uint32_t usages[] = {SWPSP_USAGE_PDH, SWPSP_USAGE_PEK, SWPSP_USAGE_CEK,
                                      SWPSP_USAGE_ASK, SWPSP_USAGE_ARK};
    return path_valid(path, usages, G_N_ELEMENTS(path), root);
}

bool
swpsp_cert_chain_same_domain(const SwpspCertChain *chain, const SwpspKey *oca)
{
    const SwpspCert *path[] = {&chain->pdh, &chain->pek, &chain->oca};
    static const uint32_t usages[] = {SWPSP_USAGE_PDH, SWPSP_USAGE_PEK, SWPSP_USAGE_OCA};
    return path_valid(path, usages, G_N_ELEMENTS(path), oca);
}
