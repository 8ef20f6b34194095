/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-session.h"

typedef struct {
    uint8_t kek[SWPSP_AES_KEY_SIZE];
    uint8_t kik[SWPSP_AES_KEY_SIZE];
} WrapKeys;

static bool
derive_wrap_keys(const SwpspKey *own, const SwpspKey *peer, const uint8_t nonce[16], WrapKeys *wrap)
{
    uint8_t z[SWPSP_P384_SIZE], master[SWPSP_AES_KEY_SIZE];
    const SwpspBytes context = {nonce, 16};

    bool ok =
        swpsp_key_agree(own, peer, z) &&
        swpsp_crypto_kdf_sev(z, sizeof(z), "sev-master-secret", &context, master, sizeof(master)) &&
        swpsp_crypto_kdf_sev(master, sizeof(master), "sev-kek", NULL, wrap->kek,
                             sizeof(wrap->kek)) &&
        swpsp_crypto_kdf_sev(master, sizeof(master), "sev-kik", NULL, wrap->kik, sizeof(wrap->kik));
    swpsp_crypto_wipe(z, sizeof(z));
    swpsp_crypto_wipe(master, sizeof(master));
    return ok;
}

static bool
wrap_mac(const WrapKeys *wrap, const SwpspSession *session, uint8_t mac[SWPSP_MAC_SIZE])
{
    const SwpspBytes part = {session->wrap_tk, sizeof(session->wrap_tk)};
    return swpsp_crypto_hmac(wrap->kik, sizeof(wrap->kik), &part, 1, mac);
}

static bool
policy_mac(const SwpspTransportKeys *keys, uint32_t policy, uint8_t mac[SWPSP_MAC_SIZE])
{
    const uint32_t le = GUINT32_TO_LE(policy);
    const SwpspBytes part = {&le, sizeof(le)};
    return swpsp_crypto_hmac(keys->tik, sizeof(keys->tik), &part, 1, mac);
}

bool
swpsp_session_wrap(SwpspSession *session, const SwpspKey *own, const SwpspKey *peer,
                   uint32_t policy, const SwpspTransportKeys *keys)
{
    WrapKeys wrap;
    bool ok = swpsp_crypto_random(session->nonce, sizeof(session->nonce)) &&
              swpsp_crypto_random(session->wrap_iv, sizeof(session->wrap_iv)) &&
              derive_wrap_keys(own, peer, session->nonce, &wrap) &&
              swpsp_crypto_aes_ctr(wrap.kek, session->wrap_iv, keys, session->wrap_tk,
                                   sizeof(session->wrap_tk)) &&
              wrap_mac(&wrap, session, session->wrap_mac) &&
              policy_mac(keys, policy, session->policy_mac);
    swpsp_crypto_wipe(&wrap, sizeof(wrap));
    return ok;
}

static enum swpsp_status
unwrap(const SwpspSession *session, const WrapKeys *wrap, uint32_t policy, SwpspTransportKeys *keys)
{
    uint8_t mac[SWPSP_MAC_SIZE];

    if (!wrap_mac(wrap, session, mac))
        return SWPSP_INVALID_PLATFORM_STATE;
    if (!swpsp_crypto_equal(mac, session->wrap_mac, sizeof(mac)))
        return SWPSP_BAD_MEASUREMENT;
    if (!swpsp_crypto_aes_ctr(wrap->kek, session->wrap_iv, session->wrap_tk, keys, sizeof(*keys)) ||
        !policy_mac(keys, policy, mac))
        return SWPSP_INVALID_PLATFORM_STATE;
    /*
     * wrap_mac does not cover wrap_iv: a changed IV gives wrong keys, and is found here too, since
     * the policy's MAC is under one of them.
     */
    return swpsp_crypto_equal(mac, session->policy_mac, sizeof(mac)) ? SWPSP_OK
                                                                     : SWPSP_POLICY_FAILURE;
}

enum swpsp_status
swpsp_session_unwrap(const SwpspSession *session, const SwpspKey *own, const SwpspKey *peer,
                     uint32_t policy, SwpspTransportKeys *keys)
{
    WrapKeys wrap;
    SwpspTransportKeys found;
    enum swpsp_status status = SWPSP_INVALID_PLATFORM_STATE;

    if (derive_wrap_keys(own, peer, session->nonce, &wrap))
        status = unwrap(session, &wrap, policy, &found);
    if (status == SWPSP_OK)
        *keys = found;
    swpsp_crypto_wipe(&wrap, sizeof(wrap));
    swpsp_crypto_wipe(&found, sizeof(found));
    return status;
}
