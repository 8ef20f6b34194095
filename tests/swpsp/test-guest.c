/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest's states, checks and limits, one by one. */
#include "support.h"

#include <string.h>

static SwpspIdentity *own, *other;

static enum swpsp_status
run(SwpspGuest *guest, enum swpsp_op op)
{
    const SwpspCertChain *chain = swpsp_identity_chain(own);
    struct swpsp_command command = test_command(0, TEST_PAGE);
    uint8_t in[TEST_PAGE] = {0}, out[TEST_PAGE];
    SwpspSession session;

    switch (op) {
    case SWPSP_OP_LAUNCH_START:
        return swpsp_guest_launch_start(guest, test_newest, TEST_POLICY);
    case SWPSP_OP_LAUNCH_FINISH:
        return swpsp_guest_launch_finish(guest);
    case SWPSP_OP_SEND_START:
        return swpsp_guest_send_start(guest, own, chain, &session);
    case SWPSP_OP_SEND_UPDATE_DATA:
        return swpsp_guest_send_update(guest, &test_limits, &command, in, out);
    case SWPSP_OP_SEND_FINISH:
        return swpsp_guest_send_finish(guest);
    case SWPSP_OP_SEND_CANCEL:
        return swpsp_guest_send_cancel(guest);
    case SWPSP_OP_RECEIVE_START: {
        g_autoptr(SwpspGuest) sender = test_guest_in(own, SWPSP_GUEST_RUNNING, TEST_POLICY);
        g_assert_cmpint(swpsp_guest_send_start(sender, own, chain, &session), ==, SWPSP_OK);
        return swpsp_guest_receive_start(guest, own, TEST_POLICY, &chain->pdh, &session);
    }
    case SWPSP_OP_RECEIVE_UPDATE_DATA:
        /* A packet of nobody: where the state is right the MAC is not. */
        return swpsp_guest_receive_update(guest, &test_limits, &command, in, out);
    case SWPSP_OP_RECEIVE_FINISH:
        return swpsp_guest_receive_finish(guest);
    default:
        g_assert_not_reached();
    }
}

/* Every command in every state: where it is allowed it leads there, elsewhere nothing changes. */
static void
test_states(void)
{
    enum { N = 6 };
    static const enum swpsp_guest_state states[N] = {
        SWPSP_GUEST_INVALID, SWPSP_GUEST_LAUNCHING, SWPSP_GUEST_RUNNING,
        SWPSP_GUEST_SENDING, SWPSP_GUEST_RECEIVING, SWPSP_GUEST_SENT,
    };
    enum { NO = -1, INV = 0, LAU = 1, RUN = 3, SND = 4, RCV = 5, SNT = 6 };
    static const struct {
        enum swpsp_op op;
        int to[N]; /* by state, in the order above */
    } rows[] = {
        {SWPSP_OP_LAUNCH_START, {LAU, NO, NO, NO, NO, NO}},
        {SWPSP_OP_LAUNCH_FINISH, {NO, RUN, NO, NO, NO, NO}},
        {SWPSP_OP_SEND_START, {NO, NO, SND, NO, NO, NO}},
        {SWPSP_OP_SEND_UPDATE_DATA, {NO, NO, NO, SND, NO, NO}},
        {SWPSP_OP_SEND_FINISH, {NO, NO, NO, SNT, NO, NO}},
        {SWPSP_OP_SEND_CANCEL, {NO, NO, NO, RUN, NO, NO}},
        {SWPSP_OP_RECEIVE_START, {RCV, NO, NO, NO, NO, NO}},
        {SWPSP_OP_RECEIVE_UPDATE_DATA, {NO, NO, NO, NO, RCV, NO}},
        {SWPSP_OP_RECEIVE_FINISH, {NO, NO, NO, NO, RUN, NO}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (size_t j = 0; j < N; j++) {
            g_autoptr(SwpspGuest) guest = test_guest_in(own, states[j], TEST_POLICY);
            const bool allowed = rows[i].to[j] != NO;
            const enum swpsp_status granted =
                rows[i].op == SWPSP_OP_RECEIVE_UPDATE_DATA ? SWPSP_BAD_MEASUREMENT : SWPSP_OK;

            g_assert_cmpint(swpsp_guest_allows(guest, rows[i].op), ==,
                            allowed ? SWPSP_OK : SWPSP_INVALID_GUEST_STATE);
            g_assert_cmpint(run(guest, rows[i].op), ==,
                            allowed ? granted : SWPSP_INVALID_GUEST_STATE);
            g_assert_cmpint((int)swpsp_guest_state(guest), ==,
                            allowed ? rows[i].to[j] : (int)states[j]);
        }
    }
}

/* A cancelled guest can be sent again, with other keys. */
static void
test_cancel_and_again(void)
{
    const SwpspCertChain *chain = swpsp_identity_chain(other);
    g_autoptr(SwpspGuest) guest = test_guest_in(own, SWPSP_GUEST_RUNNING, TEST_POLICY);
    SwpspSession first, second;

    g_assert_cmpint(swpsp_guest_send_start(guest, own, chain, &first), ==, SWPSP_OK);
    g_assert_cmpint(swpsp_guest_send_cancel(guest), ==, SWPSP_OK);
    g_assert_cmpint(swpsp_guest_send_start(guest, own, chain, &second), ==, SWPSP_OK);
    g_assert_cmpint(memcmp(&first, &second, sizeof(first)), !=, 0);

    g_autoptr(SwpspGuest) receiver = swpsp_guest_new();
    g_assert_cmpint(swpsp_guest_receive_start(receiver, other, TEST_POLICY,
                                              &swpsp_identity_chain(own)->pdh, &first),
                    ==, SWPSP_OK);
    struct swpsp_command command = test_command(0, 16);
    uint8_t plain[16] = {1}, cipher[16], out[16];
    g_assert_cmpint(swpsp_guest_send_update(guest, &test_limits, &command, plain, cipher), ==,
                    SWPSP_OK);
    g_assert_cmpint(swpsp_guest_receive_update(receiver, &test_limits, &command, cipher, out), ==,
                    SWPSP_BAD_MEASUREMENT);
}

typedef struct {
    uint64_t address;
    uint32_t guest_len, trans_len;
    enum swpsp_status send, receive;
} Limit;

/* Lengths and addresses, for both directions. Limits: 16 KiB a command, 2 MiB backing. */
static void
test_limits_table(void)
{
    enum { KIB = 1024, MIB = 1024 * KIB };
    static const Limit rows[] = {
        {0, 4 * KIB, 4 * KIB, SWPSP_OK, SWPSP_OK},
        {0, 16, 16, SWPSP_OK, SWPSP_OK},
        {0, 16 * KIB, 16 * KIB, SWPSP_OK, SWPSP_OK},
        {16, 4 * KIB, 4 * KIB, SWPSP_OK, SWPSP_OK},
        {2 * MIB - 4 * KIB, 4 * KIB, 4 * KIB, SWPSP_OK, SWPSP_OK},
        {2 * MIB, 16 * KIB, 16 * KIB, SWPSP_OK, SWPSP_OK},
        {UINT64_C(1) << 40, 4 * KIB, 4 * KIB, SWPSP_OK, SWPSP_OK},
        {0, 0, 0, SWPSP_INVALID_LENGTH, SWPSP_INVALID_LENGTH},
        {0, 8, 8, SWPSP_INVALID_LENGTH, SWPSP_INVALID_LENGTH},
        {0, 4 * KIB + 1, 4 * KIB + 1, SWPSP_INVALID_LENGTH, SWPSP_INVALID_LENGTH},
        {0, 16 * KIB + 16, 16 * KIB + 16, SWPSP_INVALID_LENGTH, SWPSP_INVALID_LENGTH},
        {0, UINT32_MAX - 15, UINT32_MAX - 15, SWPSP_INVALID_LENGTH, SWPSP_INVALID_LENGTH},
        /* SEND takes a larger buffer, RECEIVE needs them equal, neither takes a smaller one. */
        {0, 4 * KIB, 8 * KIB, SWPSP_OK, SWPSP_INVALID_LENGTH},
        {0, 4 * KIB, 4 * KIB - 16, SWPSP_INVALID_LENGTH, SWPSP_INVALID_LENGTH},
        {0, 4 * KIB, 4 * KIB + 8, SWPSP_INVALID_LENGTH, SWPSP_INVALID_LENGTH},
        {8, 4 * KIB, 4 * KIB, SWPSP_INVALID_ADDRESS, SWPSP_INVALID_ADDRESS},
        {1, 4 * KIB, 4 * KIB, SWPSP_INVALID_ADDRESS, SWPSP_INVALID_ADDRESS},
        /* Contiguity is known before SEND is issued, and taken on trust from the other side. */
        {2 * MIB - 4 * KIB, 8 * KIB, 8 * KIB, SWPSP_OK, SWPSP_INVALID_ADDRESS},
        {2 * MIB - 16, 32, 32, SWPSP_OK, SWPSP_INVALID_ADDRESS},
        {UINT64_MAX - 15, 32, 32, SWPSP_INVALID_ADDRESS, SWPSP_INVALID_ADDRESS},
    };
    g_autofree uint8_t *in = test_bytes(1, 32 * KIB), *out = g_malloc(32 * KIB);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(SwpspGuest) sender = test_guest_in(own, SWPSP_GUEST_SENDING, TEST_POLICY);
        g_autoptr(SwpspGuest) receiver = test_guest_in(own, SWPSP_GUEST_RECEIVING, TEST_POLICY);
        struct swpsp_command command = {rows[i].address, rows[i].guest_len, rows[i].trans_len};
        /* With the lengths right what is left to fault is the MAC of a packet that is none. */
        const enum swpsp_status expected =
            rows[i].receive == SWPSP_OK ? SWPSP_BAD_MEASUREMENT : rows[i].receive;

        g_test_message("address 0x%" G_GINT64_MODIFIER "x, %u, %u", rows[i].address,
                       rows[i].guest_len, rows[i].trans_len);
        g_assert_cmpint(swpsp_guest_receive_update(receiver, &test_limits, &command, in, out), ==,
                        expected);
        g_assert_cmpint(swpsp_guest_send_update(sender, &test_limits, &command, in, out), ==,
                        rows[i].send);
        if (rows[i].send == SWPSP_OK)
            g_assert_cmpuint(command.trans_len, ==, command.guest_len);
    }
}

/* Without a backing page size only alignment counts, and the address space. */
static void
test_no_backing(void)
{
    SwpspLimits limits = test_limits;
    g_autoptr(SwpspGuest) guest = test_guest_in(own, SWPSP_GUEST_RECEIVING, TEST_POLICY);
    struct swpsp_command command = test_command(2 * 1024 * 1024 - TEST_PAGE, 2 * TEST_PAGE);
    g_autofree uint8_t *in = test_bytes(1, 2 * TEST_PAGE), *out = g_malloc(2 * TEST_PAGE);

    limits.contiguity.backing_page_bytes = 0;
    g_assert_cmpint(swpsp_guest_receive_update(guest, &limits, &command, in, out), ==,
                    SWPSP_BAD_MEASUREMENT);
    command = test_command(UINT64_MAX - 15, 32); /* beyond the end of all addresses */
    g_assert_cmpint(swpsp_guest_receive_update(guest, &limits, &command, in, out), ==,
                    SWPSP_INVALID_ADDRESS);
}

typedef enum { GENUINE, OTHER_ROOT, BROKEN_PDH, BROKEN_CHAIN, EMPTY_CHAIN } Peer;

/* The chain of a platform under a root that is not the simulation's. */
static void
forge_root(SwpspCertChain *chain)
{
    g_autoptr(SwpspKey) root = swpsp_key_generate();

    g_assert_true(swpsp_cert_init(&chain->ark, SWPSP_USAGE_ARK, root, test_newest));
    g_assert_true(swpsp_cert_sign(&chain->ark, 0, SWPSP_USAGE_ARK, root));
    g_assert_true(swpsp_cert_sign(&chain->ask, 0, SWPSP_USAGE_ARK, root));
}

static SwpspCertChain
make_peer(const SwpspIdentity *identity, Peer peer)
{
    SwpspCertChain chain = *swpsp_identity_chain(identity);

    switch (peer) {
    case GENUINE:
        break;
    case OTHER_ROOT:
        forge_root(&chain);
        break;
    case BROKEN_PDH:
        chain.pdh.pubkey.qx[3] ^= 1; /* off the curve */
        break;
    case BROKEN_CHAIN:
        chain.pek.signature[0].r[0] ^= 1;
        chain.pek.signature[1].r[0] ^= 1;
        break;
    case EMPTY_CHAIN:
        memset(&chain.pek, 0, sizeof(chain) - sizeof(chain.pdh));
        break;
    }
    return chain;
}

/* What each policy bit checks of the peer; `own` and `friend` share an OCA, `other` does not. */
static void
test_policy(void)
{
    enum { NOSEND = SWPSP_POLICY_NOSEND, SEV = SWPSP_POLICY_SEV, DOMAIN = SWPSP_POLICY_DOMAIN };
    static const struct {
        uint32_t policy;
        bool same_domain;
        Peer peer;
        enum swpsp_status status;
    } rows[] = {
        {0, false, GENUINE, SWPSP_OK},
        {0, false, EMPTY_CHAIN, SWPSP_OK},
        {0, false, OTHER_ROOT, SWPSP_OK},
        {0, false, BROKEN_PDH, SWPSP_INVALID_CERTIFICATE},
        {NOSEND, true, GENUINE, SWPSP_POLICY_FAILURE},
        {NOSEND | SEV, true, GENUINE, SWPSP_POLICY_FAILURE},
        {SEV, false, GENUINE, SWPSP_OK},
        {SEV, false, OTHER_ROOT, SWPSP_INVALID_CERTIFICATE},
        {SEV, false, BROKEN_PDH, SWPSP_INVALID_CERTIFICATE},
        {SEV, false, BROKEN_CHAIN, SWPSP_INVALID_CERTIFICATE},
        {SEV, false, EMPTY_CHAIN, SWPSP_INVALID_CERTIFICATE},
        {DOMAIN, true, GENUINE, SWPSP_OK},
        {DOMAIN, true, OTHER_ROOT, SWPSP_OK},
        {DOMAIN, true, BROKEN_CHAIN, SWPSP_INVALID_CERTIFICATE},
        {DOMAIN, false, GENUINE, SWPSP_INVALID_CERTIFICATE},
        {DOMAIN, false, EMPTY_CHAIN, SWPSP_INVALID_CERTIFICATE},
        {DOMAIN | SEV, true, GENUINE, SWPSP_OK},
        {DOMAIN | SEV, false, GENUINE, SWPSP_INVALID_CERTIFICATE},
        {DOMAIN | SEV, true, OTHER_ROOT, SWPSP_INVALID_CERTIFICATE},
    };
    g_autoptr(SwpspIdentity) friend =
        swpsp_identity_new(&(SwpspPlatform){.domain_ca = swpsp_identity_oca(own)}, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const SwpspCertChain peer = make_peer(rows[i].same_domain ? friend : other, rows[i].peer);
        g_autoptr(SwpspGuest) guest = test_guest_in(own, SWPSP_GUEST_RUNNING, rows[i].policy);
        SwpspSession session;

        g_test_message("row %zu", i);
        g_assert_cmpint(swpsp_guest_send_start(guest, own, &peer, &session), ==, rows[i].status);
        g_assert_cmpint(swpsp_guest_state(guest), ==,
                        rows[i].status == SWPSP_OK ? SWPSP_GUEST_SENDING : SWPSP_GUEST_RUNNING);
    }
}

/* The API version and ES bits of a policy, at launch (and the same at RECEIVE_START). */
static void
test_policy_version(void)
{
    static const struct {
        uint32_t policy;
        enum swpsp_status status;
    } rows[] = {
        {0, SWPSP_OK},
        {1u << 16 | 55u << 24, SWPSP_OK},
        {0u << 16 | 255u << 24, SWPSP_OK},
        {1u << 16 | 56u << 24, SWPSP_POLICY_FAILURE},
        {2u << 16, SWPSP_POLICY_FAILURE},
        {SWPSP_POLICY_ES, SWPSP_UNSUPPORTED},
    };
    SwpspSession session = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(SwpspGuest) guest = swpsp_guest_new();
        g_autoptr(SwpspGuest) receiver = swpsp_guest_new();

        g_assert_cmpint(swpsp_guest_launch_start(guest, test_newest, rows[i].policy), ==,
                        rows[i].status);
        /* An empty session is found out later than the policy. */
        g_assert_cmpint(swpsp_guest_receive_start(receiver, own, rows[i].policy,
                                                  &swpsp_identity_chain(other)->pdh, &session),
                        ==, rows[i].status == SWPSP_OK ? SWPSP_BAD_MEASUREMENT : rows[i].status);
    }
}

/* Each part of the session changed by a bit, the policy, the peer, the platform. */
static void
test_session_tampered(void)
{
    static const struct {
        size_t offset;
        enum swpsp_status status;
    } rows[] = {
        {0, SWPSP_BAD_MEASUREMENT},  /* nonce */
        {16, SWPSP_BAD_MEASUREMENT}, /* wrapped TEK */
        {47, SWPSP_BAD_MEASUREMENT}, /* wrapped TIK */
        {48, SWPSP_POLICY_FAILURE},  /* wrap_iv: gives another TIK */
        {64, SWPSP_BAD_MEASUREMENT}, /* wrap_mac */
        {96, SWPSP_POLICY_FAILURE},  /* policy_mac */
        {127, SWPSP_POLICY_FAILURE},
    };
    const SwpspCert *pdh = &swpsp_identity_chain(own)->pdh;
    g_autoptr(SwpspGuest) sender = test_guest_in(own, SWPSP_GUEST_RUNNING, TEST_POLICY);
    SwpspSession good;

    g_assert_cmpint(swpsp_guest_send_start(sender, own, swpsp_identity_chain(other), &good), ==,
                    SWPSP_OK);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(SwpspGuest) guest = swpsp_guest_new();
        SwpspSession bad = good;
        ((uint8_t *)&bad)[rows[i].offset] ^= 1;
        g_assert_cmpint(swpsp_guest_receive_start(guest, other, TEST_POLICY, pdh, &bad), ==,
                        rows[i].status);
        g_assert_cmpint(swpsp_guest_state(guest), ==, SWPSP_GUEST_INVALID);
    }

    g_autoptr(SwpspGuest) guest = swpsp_guest_new();
    g_assert_cmpint(
        swpsp_guest_receive_start(guest, other, TEST_POLICY | SWPSP_POLICY_NODBG, pdh, &good), ==,
        SWPSP_POLICY_FAILURE);
    g_assert_cmpint(swpsp_guest_receive_start(guest, own, TEST_POLICY, pdh, &good), ==,
                    SWPSP_BAD_MEASUREMENT);
    g_assert_cmpint(swpsp_guest_receive_start(guest, other, TEST_POLICY,
                                              &swpsp_identity_chain(other)->pdh, &good),
                    ==, SWPSP_BAD_MEASUREMENT);
    SwpspCert no_pdh = *pdh;
    no_pdh.version = 0;
    g_assert_cmpint(swpsp_guest_receive_start(guest, other, TEST_POLICY, &no_pdh, &good), ==,
                    SWPSP_INVALID_CERTIFICATE);
    g_assert_cmpint(swpsp_guest_receive_start(guest, other, TEST_POLICY, pdh, &good), ==, SWPSP_OK);
}

/* Each part of a packet changed by a bit; after all that the good one is still taken. */
static void
test_packet_tampered(void)
{
    static const struct {
        size_t offset; /* in the header */
        enum swpsp_status status;
    } rows[] = {
        {0, SWPSP_UNSUPPORTED},                                   /* flags bit 0: compressed */
        {1, SWPSP_INVALID_PARAM},    {4, SWPSP_BAD_MEASUREMENT},  /* IV */
        {19, SWPSP_BAD_MEASUREMENT}, {20, SWPSP_BAD_MEASUREMENT}, /* MAC */
        {51, SWPSP_BAD_MEASUREMENT},
    };
    g_autoptr(SwpspGuest) sender = test_guest_in(own, SWPSP_GUEST_RUNNING, TEST_POLICY);
    g_autoptr(SwpspGuest) receiver = swpsp_guest_new();
    g_autofree uint8_t *plain = test_bytes(3, 2 * TEST_PAGE);
    uint8_t cipher[2 * TEST_PAGE], out[2 * TEST_PAGE] = {0}, untouched[2 * TEST_PAGE] = {0};
    struct swpsp_command good = test_command(TEST_PAGE, 2 * TEST_PAGE);
    SwpspSession session;

    g_assert_cmpint(swpsp_guest_send_start(sender, own, swpsp_identity_chain(other), &session), ==,
                    SWPSP_OK);
    g_assert_cmpint(swpsp_guest_receive_start(receiver, other, TEST_POLICY,
                                              &swpsp_identity_chain(own)->pdh, &session),
                    ==, SWPSP_OK);
    g_assert_cmpint(swpsp_guest_send_update(sender, &test_limits, &good, plain, cipher), ==,
                    SWPSP_OK);
    g_assert_cmpint(memcmp(plain, cipher, sizeof(cipher)), !=, 0);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct swpsp_command bad = good;
        bad.hdr[rows[i].offset] ^= 1;
        g_assert_cmpint(swpsp_guest_receive_update(receiver, &test_limits, &bad, cipher, out), ==,
                        rows[i].status);
    }
    cipher[sizeof(cipher) - 1] ^= 0x80;
    g_assert_cmpint(swpsp_guest_receive_update(receiver, &test_limits, &good, cipher, out), ==,
                    SWPSP_BAD_MEASUREMENT);
    cipher[sizeof(cipher) - 1] ^= 0x80;
    /* Half of it: a packet cannot be split, its length is in the MAC. */
    struct swpsp_command half = good;
    half.guest_len = half.trans_len = TEST_PAGE;
    g_assert_cmpint(swpsp_guest_receive_update(receiver, &test_limits, &half, cipher, out), ==,
                    SWPSP_BAD_MEASUREMENT);

    g_assert_cmpmem(out, sizeof(out), untouched, sizeof(untouched));
    g_assert_cmpint(swpsp_guest_receive_update(receiver, &test_limits, &good, cipher, out), ==,
                    SWPSP_OK);
    g_assert_cmpmem(out, sizeof(out), plain, sizeof(out));
    g_assert_cmpint(swpsp_guest_receive_finish(receiver), ==, SWPSP_OK);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    own = swpsp_identity_new(NULL, NULL);
    other = swpsp_identity_new(NULL, NULL);
    g_test_add_func("/swpsp/guest/states", test_states);
    g_test_add_func("/swpsp/guest/cancel-and-again", test_cancel_and_again);
    g_test_add_func("/swpsp/guest/limits", test_limits_table);
    g_test_add_func("/swpsp/guest/no-backing", test_no_backing);
    g_test_add_func("/swpsp/guest/policy", test_policy);
    g_test_add_func("/swpsp/guest/policy-version", test_policy_version);
    g_test_add_func("/swpsp/guest/session-tampered", test_session_tampered);
    g_test_add_func("/swpsp/guest/packet-tampered", test_packet_tampered);
    int status = g_test_run();
    swpsp_identity_free(own);
    swpsp_identity_free(other);
    return status;
}
