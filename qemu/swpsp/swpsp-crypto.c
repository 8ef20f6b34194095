/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-crypto.h"

#include <glib.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_CIPHER, EVP_CIPHER_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MAC, EVP_MAC_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MAC_CTX, EVP_MAC_CTX_free)

bool
swpsp_crypto_random(void *out, size_t len)
{
    return len <= INT_MAX && RAND_priv_bytes(out, (int)len) == 1;
}

bool
swpsp_crypto_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void
swpsp_crypto_wipe(void *data, size_t len)
{
    OPENSSL_cleanse(data, len);
}

bool
swpsp_crypto_hmac(const void *key, size_t key_len, const SwpspBytes *parts, size_t n_parts,
                  uint8_t mac[SWPSP_MAC_SIZE])
{
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    g_autoptr(EVP_MAC) hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    g_autoptr(EVP_MAC_CTX) ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    if (!ctx || !EVP_MAC_init(ctx, key, key_len, params))
        return false;

    for (size_t i = 0; i < n_parts; i++) {
        if (!EVP_MAC_update(ctx, parts[i].data, parts[i].len))
            return false;
    }
    size_t len;
    return EVP_MAC_final(ctx, mac, &len, SWPSP_MAC_SIZE) && len == SWPSP_MAC_SIZE;
}

bool
swpsp_crypto_aes_ctr(const uint8_t key[SWPSP_AES_KEY_SIZE], const uint8_t iv[SWPSP_IV_SIZE],
                     const void *in, void *out, size_t len)
{
    g_autoptr(EVP_CIPHER) aes = EVP_CIPHER_fetch(NULL, "AES-128-CTR", NULL);
    g_autoptr(EVP_CIPHER_CTX) ctx = EVP_CIPHER_CTX_new();
    int written;
    return aes && ctx && len <= INT_MAX && EVP_EncryptInit_ex2(ctx, aes, key, iv, NULL) &&
           EVP_EncryptUpdate(ctx, out, &written, in, (int)len) && (size_t)written == len;
}

static uint32_t
counter_encode(uint32_t i, SwpspCounterOrder order)
{
    return order == SWPSP_COUNTER_LE ? GUINT32_TO_LE(i) : GUINT32_TO_BE(i);
}

bool
swpsp_crypto_kdf(const void *key, size_t key_len, const SwpspBytes *fixed, SwpspCounterOrder order,
                 uint8_t *out, size_t out_len)
{
    uint8_t block[SWPSP_MAC_SIZE];
    bool ok = true;

    for (uint32_t i = 1; ok && out_len > 0; i++) {
        const uint32_t counter = counter_encode(i, order);
        const SwpspBytes parts[] = {{&counter, sizeof(counter)}, *fixed};
        const size_t n = MIN(out_len, sizeof(block));

        ok = swpsp_crypto_hmac(key, key_len, parts, G_N_ELEMENTS(parts), block);
        if (ok)
            memcpy(out, block, n);
        out += n;
        out_len -= n;
    }
    swpsp_crypto_wipe(block, sizeof(block));
    return ok;
}

bool
swpsp_crypto_kdf_sev(const void *key, size_t key_len, const char *label, const SwpspBytes *context,
                     uint8_t *out, size_t out_len)
{
    const uint32_t bits = GUINT32_TO_LE((uint32_t)out_len * 8);
    g_autoptr(GByteArray) input = g_byte_array_new();

    /* The label's terminating zero is the separator. */
    g_byte_array_append(input, (const guint8 *)label, (guint)strlen(label) + 1);
    if (context)
        g_byte_array_append(input, context->data, (guint)context->len);
    g_byte_array_append(input, (const guint8 *)&bits, sizeof(bits));

    const SwpspBytes fixed = {input->data, input->len};
    return swpsp_crypto_kdf(key, key_len, &fixed, SWPSP_COUNTER_LE, out, out_len);
}
