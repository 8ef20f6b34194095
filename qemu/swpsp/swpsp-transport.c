/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-transport.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

/* First byte of the MAC's input: which kind of packet this is. */
#define CONTEXT_TRANSPORT 0x02

#define HEADER_IV 4
#define HEADER_MAC (HEADER_IV + SWPSP_IV_SIZE)

#define IVS_AT_ONCE 64

struct SwpspTransport {
    EVP_CIPHER_CTX *aes;
    EVP_MAC_CTX *hmac;
    /* Random, each used once; asking for many at once costs hardly more than asking for one. */
    uint8_t ivs[IVS_AT_ONCE][SWPSP_IV_SIZE];
    unsigned ivs_left;
};

SwpspTransport *
swpsp_transport_new(const SwpspTransportKeys *keys)
{
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    g_autoptr(SwpspTransport) transport = g_new0(SwpspTransport, 1);
    EVP_CIPHER *aes = EVP_CIPHER_fetch(NULL, "AES-128-CTR", NULL);
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

    transport->aes = EVP_CIPHER_CTX_new();
    transport->hmac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    bool ok = aes && transport->aes && transport->hmac &&
              EVP_EncryptInit_ex2(transport->aes, aes, keys->tek, NULL, NULL) &&
              EVP_MAC_init(transport->hmac, keys->tik, sizeof(keys->tik), params);
    EVP_CIPHER_free(aes); /* the contexts hold references */
    EVP_MAC_free(hmac);
    return ok ? g_steal_pointer(&transport) : NULL;
}

void
swpsp_transport_free(SwpspTransport *transport)
{
    if (!transport)
        return;
    EVP_CIPHER_CTX_free(transport->aes);
    EVP_MAC_CTX_free(transport->hmac);
    g_free(transport);
}

static bool
packet_mac(SwpspTransport *transport, const uint8_t *header, uint32_t guest_len, uint32_t trans_len,
           const uint8_t *cipher, uint8_t mac[SWPSP_MAC_SIZE])
{
    uint8_t front[1 + HEADER_MAC + 4 + 4] = {CONTEXT_TRANSPORT};
    const uint32_t lengths[] = {GUINT32_TO_LE(guest_len), GUINT32_TO_LE(trans_len)};
    size_t len;

    memcpy(front + 1, header, HEADER_MAC);
    memcpy(front + 1 + HEADER_MAC, lengths, sizeof(lengths));
    /* Init without a key starts over with the same one. */
    return EVP_MAC_init(transport->hmac, NULL, 0, NULL) &&
           EVP_MAC_update(transport->hmac, front, sizeof(front)) &&
           EVP_MAC_update(transport->hmac, cipher, trans_len) &&
           EVP_MAC_final(transport->hmac, mac, &len, SWPSP_MAC_SIZE);
}

static bool
apply_ctr(SwpspTransport *transport, const uint8_t *iv, const uint8_t *in, uint8_t *out,
          uint32_t len)
{
    int written;
    return len <= G_MAXINT && EVP_EncryptInit_ex2(transport->aes, NULL, NULL, iv, NULL) &&
           EVP_EncryptUpdate(transport->aes, out, &written, in, (int)len) &&
           (uint32_t)written == len;
}

/* The next IV, or NULL if OpenSSL fails. */
static const uint8_t *
next_iv(SwpspTransport *transport)
{
    if (transport->ivs_left == 0) {
        if (!swpsp_crypto_random(transport->ivs, sizeof(transport->ivs)))
            return NULL;
        transport->ivs_left = IVS_AT_ONCE;
    }
    return transport->ivs[--transport->ivs_left];
}

bool
swpsp_transport_seal(SwpspTransport *transport, const uint8_t *plain, uint32_t len,
                     uint8_t header[SWPSP_PACKET_HEADER_SIZE], uint8_t *cipher)
{
    const uint8_t *iv = next_iv(transport);
    if (!iv)
        return false;
    memset(header, 0, HEADER_IV);
    memcpy(header + HEADER_IV, iv, SWPSP_IV_SIZE);
    return apply_ctr(transport, header + HEADER_IV, plain, cipher, len) &&
           packet_mac(transport, header, len, len, cipher, header + HEADER_MAC);
}

enum swpsp_status
swpsp_transport_open(SwpspTransport *transport, const uint8_t header[SWPSP_PACKET_HEADER_SIZE],
                     uint32_t guest_len, uint32_t trans_len, const uint8_t *cipher, uint8_t *plain)
{
    uint8_t mac[SWPSP_MAC_SIZE];

    if (!packet_mac(transport, header, guest_len, trans_len, cipher, mac))
        return SWPSP_INVALID_PLATFORM_STATE;
    if (!swpsp_crypto_equal(mac, header + HEADER_MAC, sizeof(mac)))
        return SWPSP_BAD_MEASUREMENT;
    return apply_ctr(transport, header + HEADER_IV, cipher, plain, guest_len)
               ? SWPSP_OK
               : SWPSP_INVALID_PLATFORM_STATE;
}
