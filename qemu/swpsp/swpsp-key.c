/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <string.h>

#define POINT_SIZE (1 + 2 * SWPSP_P384_SIZE) /* uncompressed: 04 || x || y */

struct SwpspKey {
    EVP_PKEY *pkey;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIGNUM, BN_clear_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EC_GROUP, EC_GROUP_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EC_POINT, EC_POINT_clear_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ECDSA_SIG, ECDSA_SIG_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD_CTX, EVP_MD_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY, EVP_PKEY_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM, OSSL_PARAM_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIO, BIO_vfree)

static SwpspKey *
key_wrap(EVP_PKEY *pkey)
{
    if (!pkey)
        return NULL;

    SwpspKey *key = g_new0(SwpspKey, 1);
    key->pkey = pkey;
    return key;
}

SwpspKey *
swpsp_key_generate(void)
{
    return key_wrap(EVP_EC_gen("P-384"));
}

/* Builds a key from its parts; scalar may be NULL for a public key. */
static SwpspKey *
key_from_parts(BIGNUM *scalar, const uint8_t point[POINT_SIZE])
{
    g_autoptr(OSSL_PARAM_BLD) builder = OSSL_PARAM_BLD_new();
    if (!builder ||
        !OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-384", 0) ||
        !OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, POINT_SIZE))
        return NULL;
    if (scalar && !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, scalar))
        return NULL;

    g_autoptr(OSSL_PARAM) params = OSSL_PARAM_BLD_to_param(builder);
    g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY *pkey = NULL;
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &pkey, scalar ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) <= 0)
        return NULL;
    return key_wrap(pkey);
}

static SwpspKey *
key_from_bignum(const EC_GROUP *group, BIGNUM *scalar)
{
    g_autoptr(EC_POINT) point = EC_POINT_new(group);
    uint8_t encoded[POINT_SIZE];

    BN_set_flags(scalar, BN_FLG_CONSTTIME);
    if (!point || !EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) ||
        EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, encoded, sizeof(encoded),
                           NULL) != sizeof(encoded))
        return NULL;
    return key_from_parts(scalar, encoded);
}

SwpspKey *
swpsp_key_from_scalar(const uint8_t bytes[SWPSP_P384_SIZE])
{
    g_autoptr(EC_GROUP) group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    g_autoptr(BIGNUM) scalar = BN_secure_new(); /* so that copies of it are wiped, too */
    if (!group || !scalar || !BN_bin2bn(bytes, SWPSP_P384_SIZE, scalar) || BN_is_zero(scalar) ||
        BN_cmp(scalar, EC_GROUP_get0_order(group)) >= 0)
        return NULL;
    return key_from_bignum(group, scalar);
}

SwpspKey *
swpsp_key_from_label(const char *label)
{
    uint8_t digest[SHA384_DIGEST_LENGTH];
    g_autoptr(EC_GROUP) group = EC_GROUP_new_by_curve_name(NID_secp384r1);
    g_autoptr(BIGNUM) order_less_1 = group ? BN_dup(EC_GROUP_get0_order(group)) : NULL;
    g_autoptr(BIGNUM) scalar = BN_new();
    BN_CTX *ctx = BN_CTX_new();
    bool ok = order_less_1 && scalar && ctx &&
              EVP_Q_digest(NULL, "SHA384", NULL, label, strlen(label), digest, NULL) &&
              BN_bin2bn(digest, sizeof(digest), scalar) && BN_sub_word(order_less_1, 1) &&
              BN_mod(scalar, scalar, order_less_1, ctx) && BN_add_word(scalar, 1);
    BN_CTX_free(ctx);
    return ok ? key_from_bignum(group, scalar) : NULL;
}

SwpspKey *
swpsp_key_from_point(const uint8_t x[SWPSP_P384_SIZE], const uint8_t y[SWPSP_P384_SIZE])
{
    uint8_t encoded[POINT_SIZE] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(encoded + 1, x, SWPSP_P384_SIZE);
    memcpy(encoded + 1 + SWPSP_P384_SIZE, y, SWPSP_P384_SIZE);

    g_autoptr(SwpspKey) key = key_from_parts(NULL, encoded);
    if (!key)
        return NULL;
    g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
    if (!ctx || EVP_PKEY_public_check(ctx) <= 0)
        return NULL;
    return g_steal_pointer(&key);
}

static bool
is_p384(EVP_PKEY *pkey)
{
    char group[64];
    return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) &&
           strcmp(group, SN_secp384r1) == 0;
}

SwpspKey *
swpsp_key_from_pem(const char *pem, size_t len)
{
    if (len > 16 * 1024)
        return NULL;

    g_autoptr(BIO) bio = BIO_new_mem_buf(pem, (int)len);
    /* An empty passphrase instead of a callback: never ask on a terminal. */
    g_autoptr(EVP_PKEY) pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"") : NULL;
    if (!pkey || !is_p384(pkey))
        return NULL;
    return key_wrap(g_steal_pointer(&pkey));
}

char *
swpsp_key_to_pem(const SwpspKey *key)
{
    g_autoptr(BIO) bio = BIO_new(BIO_s_secmem());
    char *text = NULL;
    if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL))
        return NULL;
    long len = BIO_get_mem_data(bio, &text);
    return g_strndup(text, (gsize)len);
}

void
swpsp_key_free(SwpspKey *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    g_free(key);
}

static bool
get_number(const SwpspKey *key, const char *name, uint8_t out[SWPSP_P384_SIZE])
{
    BIGNUM *number = NULL;
    bool ok = EVP_PKEY_get_bn_param(key->pkey, name, &number) &&
              BN_bn2binpad(number, out, SWPSP_P384_SIZE) == SWPSP_P384_SIZE;
    BN_clear_free(number);
    return ok;
}

bool
swpsp_key_scalar(const SwpspKey *key, uint8_t scalar[SWPSP_P384_SIZE])
{
    return get_number(key, OSSL_PKEY_PARAM_PRIV_KEY, scalar);
}

bool
swpsp_key_point(const SwpspKey *key, uint8_t x[SWPSP_P384_SIZE], uint8_t y[SWPSP_P384_SIZE])
{
    uint8_t tmp[SWPSP_P384_SIZE];
    if (!get_number(key, OSSL_PKEY_PARAM_EC_PUB_X, tmp) ||
        !get_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, y))
        return false;
    memcpy(x, tmp, sizeof(tmp));
    return true;
}

bool
swpsp_key_same_public(const SwpspKey *a, const SwpspKey *b)
{
    return EVP_PKEY_eq(a->pkey, b->pkey) == 1;
}

bool
swpsp_key_agree(const SwpspKey *own, const SwpspKey *peer, uint8_t z[SWPSP_P384_SIZE])
{
    size_t len = SWPSP_P384_SIZE;
    g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new(own->pkey, NULL);
    return ctx && EVP_PKEY_derive_init(ctx) > 0 && EVP_PKEY_derive_set_peer(ctx, peer->pkey) > 0 &&
           EVP_PKEY_derive(ctx, z, &len) > 0 && len == SWPSP_P384_SIZE;
}

bool
swpsp_key_sign(const SwpspKey *key, const void *message, size_t len, uint8_t r[SWPSP_P384_SIZE],
               uint8_t s[SWPSP_P384_SIZE])
{
    uint8_t der[160];
    const uint8_t *p = der;
    size_t der_len = sizeof(der);
    g_autoptr(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key->pkey, NULL) <= 0 ||
        EVP_DigestSign(ctx, der, &der_len, message, len) <= 0)
        return false;

    g_autoptr(ECDSA_SIG) sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
    return sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), r, SWPSP_P384_SIZE) == SWPSP_P384_SIZE &&
           BN_bn2binpad(ECDSA_SIG_get0_s(sig), s, SWPSP_P384_SIZE) == SWPSP_P384_SIZE;
}

bool
swpsp_key_verify(const SwpspKey *key, const void *message, size_t len,
                 const uint8_t r[SWPSP_P384_SIZE], const uint8_t s[SWPSP_P384_SIZE])
{
    g_autoptr(ECDSA_SIG) sig = ECDSA_SIG_new();
    BIGNUM *r_bn = BN_bin2bn(r, SWPSP_P384_SIZE, NULL);
    BIGNUM *s_bn = BN_bin2bn(s, SWPSP_P384_SIZE, NULL);
    if (!sig || !r_bn || !s_bn || !ECDSA_SIG_set0(sig, r_bn, s_bn)) {
        BN_free(r_bn);
        BN_free(s_bn);
        return false;
    }

    uint8_t *der = NULL;
    int der_len = i2d_ECDSA_SIG(sig, &der);
    g_autoptr(EVP_MD_CTX) ctx = EVP_MD_CTX_new();
    bool ok = der_len > 0 && ctx &&
              EVP_DigestVerifyInit_ex(ctx, NULL, "SHA256", NULL, NULL, key->pkey, NULL) > 0 &&
              EVP_DigestVerify(ctx, der, (size_t)der_len, message, len) == 1;
    OPENSSL_free(der);
    return ok;
}
