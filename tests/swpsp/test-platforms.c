/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which platform a guest may go to: every kind of peer under every policy. */
#include "requests.h"

#include <glib/gstdio.h>
#include <string.h>

/* Platforms as seen from one of the usual root, a domain of its own and the newest version. */
enum { PLAIN, SAME_DOMAIN, FOREIGN, FOREIGN_SAME_DOMAIN, OLD, OLD_SAME_DOMAIN, N_PEERS };

static const char *const peer_names[N_PEERS] = {"plain",           "same domain", "foreign root",
                                                "foreign, domain", "old",         "old, domain"};

#define POLICY_API(major, minor) ((uint32_t)(major) << 16 | (uint32_t)(minor) << 24)

static TestPlatform home, peers[N_PEERS];

static void
set_up(void)
{
    test_platform_init(&home, NULL);
    for (unsigned i = 0; i < N_PEERS; i++) {
        const bool domain = i == SAME_DOMAIN || i == FOREIGN_SAME_DOMAIN || i == OLD_SAME_DOMAIN;
        const SwpspPlatform platform = {
            .domain_ca = domain ? swpsp_identity_oca(home.identity) : NULL,
            .root = i == FOREIGN || i == FOREIGN_SAME_DOMAIN ? "elsewhere" : NULL,
            .api = i == OLD || i == OLD_SAME_DOMAIN ? (SwpspApi){0, 24} : test_newest,
        };
        test_platform_init(&peers[i], &platform);
    }
}

static void
tear_down(void)
{
    test_platform_clear(&home);
    for (unsigned i = 0; i < N_PEERS; i++)
        test_platform_clear(&peers[i]);
}

/* Sends and receives a page: what SEND_START answers, and that the guest arrives if it may. */
static enum swpsp_status
migrate(TestPlatform *from, TestPlatform *to, uint32_t policy)
{
    g_auto(SwpspAnswer) sent = {0}, received = {0};
    g_autofree uint8_t *plain = test_bytes(3, TEST_PAGE);
    struct swpsp_command command = test_command(0, TEST_PAGE);
    const uint32_t sender = test_launch(from, TEST_OWNER, policy);

    test_exec(from, TEST_OWNER, SWPSP_OP_SEND_START,
              test_send_start(sender, swpsp_identity_chain(to->identity)), &sent);
    const enum swpsp_status status = sent.status;
    if (status != SWPSP_OK) {
        test_assert_state(from, sender, SWPSP_GUEST_RUNNING);
    } else {
        test_exec(to, TEST_OWNER, SWPSP_OP_RECEIVE_START,
                  test_receive_start(policy, &swpsp_identity_chain(from->identity)->pdh,
                                     sent.payload + 8),
                  &received);
        g_assert_cmpint(received.status, ==, SWPSP_OK);
        const uint32_t receiver = received.handle;
        test_exec(from, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
                  test_submission(sender, &command, 1, plain, TEST_PAGE), &sent);
        command = test_answer_command(sent.payload, 0);
        test_exec(to, TEST_OWNER, SWPSP_OP_RECEIVE_UPDATE_DATA,
                  test_submission(receiver, &command, 1, test_answer_data(sent.payload), TEST_PAGE),
                  &received);
        g_assert_cmpmem(test_answer_data(received.payload), TEST_PAGE, plain, TEST_PAGE);
        test_step(to, TEST_OWNER, SWPSP_OP_DECOMMISSION, receiver);
    }
    test_step(from, TEST_OWNER, SWPSP_OP_DECOMMISSION, sender);
    return status;
}

/* C: INVALID_CERTIFICATE; P: POLICY_FAILURE; a dot: it goes. */
static void
test_matrix(void)
{
    static const struct {
        uint32_t policy;
        const char *expected; /* by peer */
    } rows[] = {
        {0, "......"},
        {SWPSP_POLICY_SEV, "..CC.."},
        {SWPSP_POLICY_DOMAIN, "C.C.C."},
        {SWPSP_POLICY_SEV | SWPSP_POLICY_DOMAIN, "C.CCC."},
        {POLICY_API(0, 24), "......"},
        {POLICY_API(0, 25), "....PP"},
        {POLICY_API(1, 0), "....PP"},
        {POLICY_API(1, 55), "....PP"},
        {SWPSP_POLICY_SEV | POLICY_API(1, 0), "..CCPP"},
        {SWPSP_POLICY_DOMAIN | POLICY_API(1, 0), "C.C.CP"},
        {SWPSP_POLICY_SEV | SWPSP_POLICY_DOMAIN | POLICY_API(1, 0), "C.CCCP"},
        {SWPSP_POLICY_NOSEND, "PPPPPP"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        for (unsigned peer = 0; peer < N_PEERS; peer++) {
            const char c = rows[i].expected[peer];
            const enum swpsp_status expected = c == 'C'   ? SWPSP_INVALID_CERTIFICATE
                                               : c == 'P' ? SWPSP_POLICY_FAILURE
                                                          : SWPSP_OK;
            g_test_message("policy 0x%08x to %s", rows[i].policy, peer_names[peer]);
            g_assert_cmpint(migrate(&home, &peers[peer], rows[i].policy), ==, expected);
        }
    }
}

/* An old platform neither launches nor takes a guest that demands a newer one. */
static void
test_old(void)
{
    g_auto(SwpspAnswer) answer = {0};
    static const uint8_t session[SWPSP_SESSION_SIZE];
    const uint32_t policy = POLICY_API(1, 0);

    test_exec(&peers[OLD], TEST_OWNER, SWPSP_OP_LAUNCH_START, test_words(policy, 0), &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_POLICY_FAILURE);
    test_exec(&peers[OLD], TEST_OWNER, SWPSP_OP_RECEIVE_START,
              test_receive_start(policy, &swpsp_identity_chain(home.identity)->pdh, session),
              &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_POLICY_FAILURE);

    struct swpsp_hello hello;
    test_exec(&peers[OLD], TEST_OWNER, SWPSP_OP_HELLO, NULL, &answer);
    memcpy(&hello, answer.payload, sizeof(hello));
    g_assert_cmpuint(hello.api_major, ==, 0);
    g_assert_cmpuint(hello.api_minor, ==, 24);
}

/* Of the two certificates that are read, each can be the one that is too old. */
static void
test_old_pek(void)
{
    TestPlatform *to = &peers[PLAIN];
    SwpspCertChain chain = *swpsp_identity_chain(to->identity);
    const uint32_t api = POLICY_API(1, 0);
    const SwpspIdentity *own = home.identity;
    SwpspSession session;

    g_autoptr(SwpspGuest) guest = test_guest_in(own, SWPSP_GUEST_RUNNING, api);
    chain.pek.api_major = 0; /* nobody looks at it without SEV or DOMAIN */
    g_assert_cmpint(swpsp_guest_send_start(guest, own, &chain, &session), ==, SWPSP_OK);
    g_assert_cmpint(swpsp_guest_send_cancel(guest), ==, SWPSP_OK);
    chain.pdh.api_major = 0;
    g_assert_cmpint(swpsp_guest_send_start(guest, own, &chain, &session), ==, SWPSP_POLICY_FAILURE);
}

/* A stored platform keeps its root; an update of the firmware leaves its certificates old. */
static void
test_stored(void)
{
    g_autofree char *dir = g_dir_make_tmp("swpsp-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "identity", NULL);
    const SwpspPlatform old = {.root = "elsewhere", .api = {0, 24}},
                        updated = {.root = "elsewhere"};
    g_autoptr(GError) error = NULL;

    g_autoptr(SwpspIdentity) first = swpsp_identity_load(dir, &old, &error);
    g_assert_no_error(error);
    g_autoptr(SwpspIdentity) second = swpsp_identity_load(dir, &updated, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(swpsp_identity_api(second).major, ==, SWPSP_API_MAJOR);
    g_assert_cmpuint(swpsp_cert_api(&swpsp_identity_chain(second)->pdh).minor, ==, 24);
    g_assert_null(swpsp_identity_load(dir, NULL, &error));
    g_assert_error(error, SWPSP_IDENTITY_ERROR, SWPSP_IDENTITY_ERROR_CORRUPT);
    g_unlink(file);
    g_rmdir(dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/platforms/matrix", test_matrix);
    g_test_add_func("/swpsp/platforms/old", test_old);
    g_test_add_func("/swpsp/platforms/old-pek", test_old_pek);
    g_test_add_func("/swpsp/platforms/stored", test_stored);
    set_up();
    const int status = g_test_run();
    tear_down();
    return status;
}
