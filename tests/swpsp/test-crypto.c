/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Known answers for every primitive, and for the whole of session and packet. */
#include "support.h"

#include "swpsp-crypto.h"
#include "swpsp-key.h"
#include "swpsp-session.h"
#include "swpsp-transport.h"

#include <string.h>

/* Runs a check over all sections of a kind, of which there must be some. */
static void
for_each(const char *kind, void (*check)(GKeyFile *file, const char *group))
{
    g_autoptr(GKeyFile) file = test_vectors();
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    g_autofree char *prefix = g_strdup_printf("%s-", kind);
    unsigned n = 0;

    for (size_t i = 0; groups[i]; i++) {
        if (!g_str_has_prefix(groups[i], prefix))
            continue;
        g_test_message("%s", groups[i]);
        check(file, groups[i]);
        n++;
    }
    g_assert_cmpuint(n, >, 0);
}

static void
check_hmac(GKeyFile *file, const char *group)
{
    g_autoptr(GByteArray) key = test_vector(file, group, "key");
    g_autoptr(GByteArray) message = test_vector(file, group, "message");
    g_autoptr(GByteArray) expected = test_vector(file, group, "mac");
    uint8_t mac[SWPSP_MAC_SIZE];

    /* In two parts, for it must not matter. */
    const SwpspBytes parts[] = {{message->data, 1}, {message->data + 1, message->len - 1}};
    g_assert_true(swpsp_crypto_hmac(key->data, key->len, parts, 2, mac));
    g_assert_cmpmem(mac, sizeof(mac), expected->data, expected->len);
}

static void
check_ctr(GKeyFile *file, const char *group)
{
    g_autoptr(GByteArray) key = test_vector(file, group, "key");
    g_autoptr(GByteArray) iv = test_vector(file, group, "iv");
    g_autoptr(GByteArray) plain = test_vector(file, group, "plain");
    g_autoptr(GByteArray) cipher = test_vector(file, group, "cipher");
    g_autofree uint8_t *out = g_malloc(plain->len);

    g_assert_true(swpsp_crypto_aes_ctr(key->data, iv->data, plain->data, out, plain->len));
    g_assert_cmpmem(out, plain->len, cipher->data, cipher->len);
}

static void
check_kdf(GKeyFile *file, const char *group)
{
    g_autoptr(GByteArray) key = test_vector(file, group, "key");
    g_autoptr(GByteArray) fixed = test_vector(file, group, "fixed");
    g_autoptr(GByteArray) expected = test_vector(file, group, "out");
    g_autofree uint8_t *out = g_malloc(expected->len);
    const SwpspBytes input = {fixed->data, fixed->len};

    g_assert_true(
        swpsp_crypto_kdf(key->data, key->len, &input, SWPSP_COUNTER_BE, out, expected->len));
    g_assert_cmpmem(out, expected->len, expected->data, expected->len);
    g_assert_true(
        swpsp_crypto_kdf(key->data, key->len, &input, SWPSP_COUNTER_LE, out, expected->len));
    g_assert_cmpint(memcmp(out, expected->data, expected->len), !=, 0);
}

static void
check_ecdh(GKeyFile *file, const char *group)
{
    g_autoptr(GByteArray) scalar = test_vector(file, group, "private");
    g_autoptr(GByteArray) x = test_vector(file, group, "peer-x");
    g_autoptr(GByteArray) y = test_vector(file, group, "peer-y");
    g_autoptr(SwpspKey) peer = swpsp_key_from_point(x->data, y->data);

    if (!g_key_file_get_boolean(file, group, "valid", NULL)) {
        g_assert_null(peer);
        return;
    }
    g_autoptr(SwpspKey) own = swpsp_key_from_scalar(scalar->data);
    g_autoptr(GByteArray) own_x = test_vector(file, group, "own-x");
    g_autoptr(GByteArray) own_y = test_vector(file, group, "own-y");
    g_autoptr(GByteArray) expected = test_vector(file, group, "z");
    uint8_t a[SWPSP_P384_SIZE], b[SWPSP_P384_SIZE];

    g_assert_true(swpsp_key_point(own, a, b));
    g_assert_cmpmem(a, sizeof(a), own_x->data, own_x->len);
    g_assert_cmpmem(b, sizeof(b), own_y->data, own_y->len);
    g_assert_true(swpsp_key_agree(own, peer, a));
    g_assert_cmpmem(a, sizeof(a), expected->data, expected->len);
}

static void
check_ecdsa(GKeyFile *file, const char *group)
{
    g_autoptr(GByteArray) message = test_vector(file, group, "message");
    g_autoptr(GByteArray) x = test_vector(file, group, "x");
    g_autoptr(GByteArray) y = test_vector(file, group, "y");
    g_autoptr(GByteArray) r = test_vector(file, group, "r");
    g_autoptr(GByteArray) s = test_vector(file, group, "s");
    const bool expected = g_key_file_get_boolean(file, group, "valid", NULL);

    g_autoptr(SwpspKey) key = swpsp_key_from_point(x->data, y->data);
    const bool valid = key && swpsp_key_verify(key, message->data, message->len, r->data, s->data);
    g_assert_cmpint(valid, ==, expected);
}

static void
check_session(GKeyFile *file, const char *group)
{
    g_autoptr(GByteArray) scalar = test_vector(file, group, "receiver-scalar");
    g_autoptr(GByteArray) x = test_vector(file, group, "sender-x");
    g_autoptr(GByteArray) y = test_vector(file, group, "sender-y");
    g_autoptr(GByteArray) policy_bytes = test_vector(file, group, "policy");
    g_autoptr(GByteArray) session_bytes = test_vector(file, group, "session");
    g_autoptr(GByteArray) tek = test_vector(file, group, "tek");
    g_autoptr(GByteArray) tik = test_vector(file, group, "tik");
    g_autoptr(GByteArray) plain = test_vector(file, group, "plain");
    g_autoptr(GByteArray) header = test_vector(file, group, "header");
    g_autoptr(GByteArray) cipher = test_vector(file, group, "cipher");
    g_autoptr(SwpspKey) own = swpsp_key_from_scalar(scalar->data);
    g_autoptr(SwpspKey) peer = swpsp_key_from_point(x->data, y->data);
    uint32_t policy;
    SwpspSession session;
    SwpspTransportKeys keys;

    memcpy(&policy, policy_bytes->data, sizeof(policy));
    g_assert_cmpuint(session_bytes->len, ==, sizeof(session));
    memcpy(&session, session_bytes->data, sizeof(session));
    g_assert_cmpint(swpsp_session_unwrap(&session, own, peer, GUINT32_FROM_BE(policy), &keys), ==,
                    SWPSP_OK);
    g_assert_cmpmem(keys.tek, sizeof(keys.tek), tek->data, tek->len);
    g_assert_cmpmem(keys.tik, sizeof(keys.tik), tik->data, tik->len);

    g_autoptr(SwpspTransport) transport = swpsp_transport_new(&keys);
    g_autofree uint8_t *out = g_malloc0(plain->len);
    g_assert_cmpint(
        swpsp_transport_open(transport, header->data, plain->len, cipher->len, cipher->data, out),
        ==, SWPSP_OK);
    g_assert_cmpmem(out, plain->len, plain->data, plain->len);
}

static void
test_kat(gconstpointer kind)
{
    static const struct {
        const char *kind;
        void (*check)(GKeyFile *file, const char *group);
    } checks[] = {
        {"hmac", check_hmac}, {"ctr", check_ctr},     {"kdf", check_kdf},
        {"ecdh", check_ecdh}, {"ecdsa", check_ecdsa}, {"session", check_session},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        if (g_str_equal(checks[i].kind, kind)) {
            for_each(kind, checks[i].check);
            return;
        }
    }
    g_assert_not_reached();
}

static void
test_key_forms(void)
{
    g_autoptr(SwpspKey) key = swpsp_key_generate();
    g_autoptr(SwpspKey) other = swpsp_key_generate();
    g_autofree char *pem = swpsp_key_to_pem(key);
    g_autoptr(SwpspKey) from_pem = swpsp_key_from_pem(pem, strlen(pem));
    uint8_t scalar[SWPSP_P384_SIZE];

    g_assert_true(swpsp_key_scalar(key, scalar));
    g_autoptr(SwpspKey) from_scalar = swpsp_key_from_scalar(scalar);
    g_assert_true(swpsp_key_same_public(key, from_scalar));
    g_assert_true(swpsp_key_same_public(key, from_pem));
    g_assert_false(swpsp_key_same_public(key, other));

    memset(scalar, 0, sizeof(scalar));
    g_assert_null(swpsp_key_from_scalar(scalar));
    memset(scalar, 0xff, sizeof(scalar)); /* above the order */
    g_assert_null(swpsp_key_from_scalar(scalar));
    g_assert_null(swpsp_key_from_pem("no key", 6));
}

static void
test_key_label(void)
{
    g_autoptr(SwpspKey) a = swpsp_key_from_label("a");
    g_autoptr(SwpspKey) again = swpsp_key_from_label("a");
    g_autoptr(SwpspKey) b = swpsp_key_from_label("b");

    g_assert_true(swpsp_key_same_public(a, again));
    g_assert_false(swpsp_key_same_public(a, b));
}

static void
test_sign(void)
{
    g_autoptr(SwpspKey) key = swpsp_key_generate();
    uint8_t r[SWPSP_P384_SIZE], s[SWPSP_P384_SIZE];

    g_assert_true(swpsp_key_sign(key, "message", 7, r, s));
    g_assert_true(swpsp_key_verify(key, "message", 7, r, s));
    g_assert_false(swpsp_key_verify(key, "massage", 7, r, s));
    s[SWPSP_P384_SIZE - 1] ^= 1;
    g_assert_false(swpsp_key_verify(key, "message", 7, r, s));
    memset(r, 0, sizeof(r));
    g_assert_false(swpsp_key_verify(key, "message", 7, r, s));
}

/* Each packet has an IV of its own, or two with equal keys would give away the plaintext. */
static void
test_fresh_iv(void)
{
    const SwpspTransportKeys keys = {{1}, {2}};
    g_autoptr(SwpspTransport) transport = swpsp_transport_new(&keys);
    g_autoptr(GHashTable) seen =
        g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
    uint8_t plain[16] = {0}, cipher[16], header[SWPSP_PACKET_HEADER_SIZE];

    for (unsigned i = 0; i < 1000; i++) {
        g_assert_true(swpsp_transport_seal(transport, plain, sizeof(plain), header, cipher));
        g_assert_true(g_hash_table_add(seen, g_bytes_new(header + 4, SWPSP_IV_SIZE)));
    }
}

int
main(int argc, char **argv)
{
    static const char *const kinds[] = {"hmac", "ctr", "kdf", "ecdh", "ecdsa", "session"};

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/swpsp/crypto/known-answer/%s", kinds[i]);
        g_test_add_data_func(path, kinds[i], test_kat);
    }
    g_test_add_func("/swpsp/crypto/key/forms", test_key_forms);
    g_test_add_func("/swpsp/crypto/key/label", test_key_label);
    g_test_add_func("/swpsp/crypto/sign", test_sign);
    g_test_add_func("/swpsp/crypto/fresh-iv", test_fresh_iv);
    return g_test_run();
}
