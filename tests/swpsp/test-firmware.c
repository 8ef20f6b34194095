/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests and answers as they are on the wire, without a socket. */
#include "requests.h"

#include "swpsp-submission.h"
#include "swpsp-version.h"

#include <string.h>

static void
test_hello(void)
{
    g_auto(TestPlatform) platform;
    g_auto(SwpspAnswer) answer = {0};
    struct swpsp_hello hello;

    test_platform_init(&platform, NULL);
    test_exec(&platform, TEST_OWNER, SWPSP_OP_HELLO, NULL, &answer);
    g_assert_cmpuint(answer.len, ==, sizeof(hello));
    memcpy(&hello, answer.payload, sizeof(hello));
    g_assert_cmpuint(hello.api_major, ==, SWPSP_API_MAJOR);
    g_assert_cmpuint(GUINT32_FROM_LE(hello.max_command_bytes), ==, 16384);
    g_assert_cmpuint(GUINT32_FROM_LE(hello.max_submit_commands), ==, 4096);
    g_assert_cmpuint(GUINT32_FROM_LE(hello.backing_page_bytes), ==, 2 * 1024 * 1024);
    g_assert_cmpuint(GUINT32_FROM_LE(hello.send_boundary_bytes), ==, 2 * 1024 * 1024);
    g_assert_cmpuint(GUINT32_FROM_LE(hello.time_scale), ==, 1);

    test_exec(&platform, TEST_OWNER, SWPSP_OP_PDH_CERT_EXPORT, NULL, &answer);
    g_assert_cmpmem(answer.payload, answer.len, swpsp_identity_chain(platform.identity),
                    SWPSP_CERT_SIZE + SWPSP_CHAIN_SIZE + SWPSP_AMD_SIZE);
}

/* Three commands of different lengths in one submission, there and back. */
static void
test_round_trip(void)
{
    g_auto(TestPlatform) a, b;
    g_auto(SwpspAnswer) sent = {0}, received = {0};
    g_autofree uint8_t *plain = test_bytes(9, 6 * TEST_PAGE);
    struct swpsp_command commands[] = {test_command(0, 4 * TEST_PAGE),
                                       test_command(8 * TEST_PAGE, TEST_PAGE),
                                       test_command(64 * TEST_PAGE, TEST_PAGE)};
    uint32_t sender, receiver;

    test_platform_init(&a, NULL);
    test_platform_init(&b, NULL);
    test_start(&a, &b, &sender, &receiver);
    test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
              test_submission(sender, commands, 3, plain, 6 * TEST_PAGE), &sent);
    g_assert_cmpint(sent.status, ==, SWPSP_OK);
    g_assert_cmpuint(test_answer_head(sent.payload).done, ==, 3);
    g_assert_cmpuint(sent.commands, ==, 3);
    g_assert_cmpuint(sent.pages, ==, 6);
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t len = commands[i].guest_len;
        commands[i] = test_answer_command(sent.payload, i);
        g_assert_cmpuint(commands[i].status, ==, SWPSP_OK);
        g_assert_cmpuint(commands[i].guest_len, ==, len);
    }

    test_exec(&b, TEST_OWNER, SWPSP_OP_RECEIVE_UPDATE_DATA,
              test_submission(receiver, commands, 3, test_answer_data(sent.payload), 6 * TEST_PAGE),
              &received);
    g_assert_cmpint(received.status, ==, SWPSP_OK);
    g_assert_cmpmem(test_answer_data(received.payload), 6 * TEST_PAGE, plain, 6 * TEST_PAGE);
    g_assert_cmpint(test_step(&a, TEST_OWNER, SWPSP_OP_SEND_FINISH, sender), ==, SWPSP_OK);
    g_assert_cmpint(test_step(&b, TEST_OWNER, SWPSP_OP_RECEIVE_FINISH, receiver), ==, SWPSP_OK);
    test_assert_state(&a, sender, SWPSP_GUEST_SENT);
    test_assert_state(&b, receiver, SWPSP_GUEST_RUNNING);
}

/* The second of three commands fails: one is done, and only its data is in the answer. */
static void
test_partly_done(void)
{
    g_auto(TestPlatform) a;
    g_auto(SwpspAnswer) answer = {0};
    g_autofree uint8_t *plain = test_bytes(9, 3 * TEST_PAGE);
    const struct swpsp_command commands[] = {test_command(0, TEST_PAGE),
                                             test_command(8, TEST_PAGE), /* not aligned */
                                             test_command(TEST_PAGE, TEST_PAGE)};
    uint32_t sender, receiver;

    test_platform_init(&a, NULL);
    test_start(&a, &a, &sender, &receiver);
    test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
              test_submission(sender, commands, 3, plain, 3 * TEST_PAGE), &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_INVALID_ADDRESS);
    g_assert_false(answer.malformed);
    g_assert_cmpuint(test_answer_head(answer.payload).n_commands, ==, 3);
    g_assert_cmpuint(test_answer_head(answer.payload).done, ==, 1);
    g_assert_cmpuint(test_answer_command(answer.payload, 0).status, ==, SWPSP_OK);
    g_assert_cmpuint(test_answer_command(answer.payload, 1).status, ==, SWPSP_INVALID_ADDRESS);
    g_assert_cmpuint(answer.len, ==, swpsp_submission_answer_front(3) + TEST_PAGE);
    /* The submission, the one done and the one that failed. */
    g_assert_cmpfloat_with_epsilon(answer.service_us, 250.75 * 3 + 501.5, 1e-6);
    test_assert_state(&a, sender, SWPSP_GUEST_SENDING);
}

/* Submissions that are refused as a whole. */
static void
test_refused(void)
{
    g_auto(TestPlatform) a;
    g_autofree uint8_t *plain = test_bytes(9, TEST_PAGE);
    const struct swpsp_command command = test_command(0, TEST_PAGE);
    uint32_t sender, receiver;

    test_platform_init(&a, NULL);
    test_start(&a, &a, &sender, &receiver);
    const struct {
        uint64_t owner;
        uint16_t op;
        uint32_t handle, n;
        enum swpsp_status status;
    } rows[] = {
        {TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA, 0, 1, SWPSP_INVALID_GUEST},
        {TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA, 999, 1, SWPSP_INVALID_GUEST},
        {TEST_STRANGER, SWPSP_OP_SEND_UPDATE_DATA, sender, 1, SWPSP_INVALID_GUEST},
        {TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA, receiver, 1, SWPSP_INVALID_GUEST_STATE},
        {TEST_OWNER, SWPSP_OP_RECEIVE_UPDATE_DATA, sender, 1, SWPSP_INVALID_GUEST_STATE},
        {TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA, sender, 0, SWPSP_INVALID_PARAM},
        {TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA, sender, 1, SWPSP_OK},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(SwpspAnswer) answer = {0};
        test_exec(
            &a, rows[i].owner, rows[i].op,
            test_submission(rows[i].handle, &command, rows[i].n, plain, rows[i].n * TEST_PAGE),
            &answer);
        g_assert_false(answer.malformed);
        g_assert_cmpint(answer.status, ==, rows[i].status);
        if (rows[i].status == SWPSP_OK)
            continue;
        g_assert_cmpuint(test_answer_head(answer.payload).done, ==, 0);
        g_assert_cmpuint(answer.len, ==, swpsp_submission_answer_front(rows[i].n));
        if (rows[i].n > 0)
            g_assert_cmpuint(test_answer_command(answer.payload, 0).status, ==, rows[i].status);
    }
}

/* A limit lower than the protocol's: more commands are refused, not malformed. */
static void
test_submit_limit(void)
{
    g_autoptr(SwpspIdentity) identity = swpsp_identity_new(NULL, NULL);
    const SwpspCertChain chain = *swpsp_identity_chain(identity);
    const SwpspLimits limits = {TEST_PAGE, 2, {0}};
    g_autofree uint8_t *plain = test_bytes(9, 3 * TEST_PAGE);
    const struct swpsp_command commands[] = {test_command(0, TEST_PAGE), test_command(0, TEST_PAGE),
                                             test_command(0, TEST_PAGE)};
    g_auto(TestPlatform) a = {0};
    g_auto(SwpspAnswer) answer = {0};
    SwpspCost cost;

    swpsp_cost_init(&cost);
    a.firmware = swpsp_firmware_new(g_steal_pointer(&identity), &limits, &cost);
    const uint32_t handle = test_launch(&a, TEST_OWNER, TEST_POLICY);
    test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_START, test_send_start(handle, &chain), &answer);
    for (uint32_t n = 1; n <= 3; n++) {
        test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
                  test_submission(handle, commands, n, plain, n * TEST_PAGE), &answer);
        g_assert_cmpint(answer.status, ==, n <= 2 ? SWPSP_OK : SWPSP_INVALID_LENGTH);
    }
}

/* Payloads of any other length than the right one. */
static void
test_malformed_length(void)
{
    static const struct {
        uint16_t op;
        size_t len;
    } rows[] = {
        {SWPSP_OP_HELLO, 0},
        {SWPSP_OP_PDH_CERT_EXPORT, 0},
        {SWPSP_OP_LAUNCH_START, 8},
        {SWPSP_OP_LAUNCH_FINISH, 8},
        {SWPSP_OP_DECOMMISSION, 8},
        {SWPSP_OP_GUEST_STATUS, 8},
        {SWPSP_OP_SEND_START, 8 + 2084 + 6252 + 4168},
        {SWPSP_OP_SEND_FINISH, 8},
        {SWPSP_OP_SEND_CANCEL, 8},
        {SWPSP_OP_RECEIVE_FINISH, 8},
    };
    static const uint8_t zeroes[16384];
    g_auto(TestPlatform) a;

    test_platform_init(&a, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const size_t lens[] = {0, rows[i].len - 1, rows[i].len, rows[i].len + 1, sizeof(zeroes)};
        for (size_t j = rows[i].len == 0 ? 2 : 0; j < G_N_ELEMENTS(lens); j++) {
            g_auto(SwpspAnswer) answer = {0};
            swpsp_firmware_execute(a.firmware, TEST_OWNER, rows[i].op, zeroes, lens[j], &answer);
            g_assert_cmpint(answer.malformed, ==, lens[j] != rows[i].len);
        }
    }
}

static bool
malformed(TestPlatform *platform, uint16_t op, GByteArray *payload)
{
    g_auto(SwpspAnswer) answer = {0};

    test_exec(platform, TEST_OWNER, op, payload, &answer);
    return answer.malformed;
}

/* Submissions whose counts do not add up. */
static void
test_malformed_submission(void)
{
    g_auto(TestPlatform) a;
    g_autofree uint8_t *data = test_bytes(0, 2 * TEST_PAGE);
    struct swpsp_command commands[] = {test_command(0, TEST_PAGE), test_command(0, TEST_PAGE)};
    const uint16_t op = SWPSP_OP_SEND_UPDATE_DATA;

    test_platform_init(&a, NULL);
    g_assert_false(malformed(&a, op, test_submission(1, commands, 2, data, 2 * TEST_PAGE)));
    g_autoptr(GByteArray) whole = test_submission(1, commands, 2, data, 2 * TEST_PAGE);
    for (guint len = 0; len < whole->len; len += len < 200 ? 1 : 997)
        g_assert_true(malformed(&a, op, g_byte_array_append(g_byte_array_new(), whole->data, len)));
    g_assert_true(malformed(&a, op, test_submission(1, commands, 1, data, 2 * TEST_PAGE)));
    g_assert_true(malformed(&a, op, test_words(1, 1)));
    g_assert_true(malformed(&a, op, test_words(1, SWPSP_MAX_COMMANDS + 1)));
    g_assert_true(malformed(&a, op, test_words(1, UINT32_MAX)));

    /* Which length counts depends on the direction. */
    commands[0].trans_len = 2 * TEST_PAGE;
    g_assert_false(malformed(&a, op, test_submission(1, commands, 2, data, 2 * TEST_PAGE)));
    g_assert_true(malformed(&a, SWPSP_OP_RECEIVE_UPDATE_DATA,
                            test_submission(1, commands, 2, data, 2 * TEST_PAGE)));
    /* Lengths that would wrap 32 bits to the right sum. */
    commands[0].guest_len = UINT32_MAX;
    commands[1].guest_len = 2 * TEST_PAGE + 1;
    g_assert_true(malformed(&a, op, test_submission(1, commands, 2, data, 2 * TEST_PAGE)));
}

static void
test_malformed_receive_start(void)
{
    g_auto(TestPlatform) a;
    static const struct {
        uint32_t pdh_len, session_len;
        bool malformed; /* else INVALID_LENGTH */
    } rows[] = {
        {SWPSP_CERT_SIZE, SWPSP_SESSION_SIZE + 1, true},
        {UINT32_MAX, SWPSP_CERT_SIZE + SWPSP_SESSION_SIZE + 1, true},
        {SWPSP_CERT_SIZE - 4, SWPSP_SESSION_SIZE + 4, false},
        {0, SWPSP_CERT_SIZE + SWPSP_SESSION_SIZE, false},
    };
    static const uint8_t session[SWPSP_SESSION_SIZE];

    test_platform_init(&a, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_auto(SwpspAnswer) answer = {0};
        GByteArray *payload =
            test_receive_start(0, &swpsp_identity_chain(a.identity)->pdh, session);
        const uint32_t lens[] = {GUINT32_TO_LE(rows[i].pdh_len),
                                 GUINT32_TO_LE(rows[i].session_len)};
        memcpy(payload->data + 4, lens, sizeof(lens));
        test_exec(&a, TEST_OWNER, SWPSP_OP_RECEIVE_START, payload, &answer);
        g_assert_cmpint(answer.malformed, ==, rows[i].malformed);
        if (!rows[i].malformed)
            g_assert_cmpint(answer.status, ==, SWPSP_INVALID_LENGTH);
    }
}

static void
test_unknown_op(void)
{
    static const uint16_t ops[] = {
        0, 0x42, 0x52, 0x60, UINT16_MAX, SWPSP_OP_STATS, SWPSP_OP_CONTROL};
    g_auto(TestPlatform) a;

    test_platform_init(&a, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        g_auto(SwpspAnswer) answer = {0};
        test_exec(&a, TEST_OWNER, ops[i], test_words(1, 2), &answer);
        g_assert_cmpint(answer.status, ==, SWPSP_UNSUPPORTED);
        g_assert_false(answer.malformed);
    }
}

/* Guests are their owner's, and go with it. */
static void
test_owners(void)
{
    static const uint16_t ops[] = {SWPSP_OP_LAUNCH_FINISH, SWPSP_OP_DECOMMISSION,
                                   SWPSP_OP_GUEST_STATUS,  SWPSP_OP_SEND_FINISH,
                                   SWPSP_OP_SEND_CANCEL,   SWPSP_OP_RECEIVE_FINISH};
    g_auto(TestPlatform) a;

    test_platform_init(&a, NULL);
    const uint32_t handle = test_launch(&a, TEST_OWNER, TEST_POLICY);
    const uint32_t foreign = test_launch(&a, TEST_STRANGER, TEST_POLICY);
    g_assert_cmpuint(handle, !=, foreign);
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++)
        g_assert_cmpint(test_step(&a, TEST_STRANGER, ops[i], handle), ==, SWPSP_INVALID_GUEST);

    g_auto(SwpspAnswer) answer = {0};
    test_exec(&a, TEST_STRANGER, SWPSP_OP_SEND_START,
              test_send_start(handle, swpsp_identity_chain(a.identity)), &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_INVALID_GUEST);

    swpsp_firmware_disown(a.firmware, TEST_OWNER);
    g_assert_cmpint(test_step(&a, TEST_OWNER, SWPSP_OP_GUEST_STATUS, handle), ==,
                    SWPSP_INVALID_GUEST);
    g_assert_cmpuint(test_launch(&a, TEST_OWNER, TEST_POLICY), >,
                     foreign); /* a handle not used before */
    g_assert_cmpint(test_step(&a, TEST_STRANGER, SWPSP_OP_DECOMMISSION, foreign), ==, SWPSP_OK);
    g_assert_cmpint(test_step(&a, TEST_STRANGER, SWPSP_OP_GUEST_STATUS, foreign), ==,
                    SWPSP_INVALID_GUEST);
}

static void
test_too_many_guests(void)
{
    g_auto(TestPlatform) a;
    g_auto(SwpspAnswer) answer = {0};
    uint32_t last = 0;

    test_platform_init(&a, NULL);
    for (unsigned i = 0; i < SWPSP_MAX_GUESTS_PER_OWNER; i++)
        last = test_launch(&a, TEST_OWNER, TEST_POLICY);
    test_exec(&a, TEST_OWNER, SWPSP_OP_LAUNCH_START, test_words(TEST_POLICY, 0), &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_RESOURCE_LIMIT);
    test_launch(&a, TEST_STRANGER, TEST_POLICY);
    g_assert_cmpint(test_step(&a, TEST_OWNER, SWPSP_OP_DECOMMISSION, last), ==, SWPSP_OK);
    test_launch(&a, TEST_OWNER, TEST_POLICY);

    for (uint64_t owner = 100; swpsp_firmware_guests(a.firmware) < SWPSP_MAX_GUESTS; owner++)
        test_launch(&a, owner, TEST_POLICY);
    test_exec(&a, 1, SWPSP_OP_LAUNCH_START, test_words(TEST_POLICY, 0), &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_RESOURCE_LIMIT);
}

/* What requests cost, and that a submission's answer carries its times. */
static void
test_times(void)
{
    g_auto(TestPlatform) a;
    g_auto(SwpspAnswer) answer = {0};
    g_autofree uint8_t *plain = test_bytes(9, 4 * TEST_PAGE);
    const struct swpsp_command command = test_command(0, 4 * TEST_PAGE);
    uint32_t sender, receiver;

    test_platform_init(&a, NULL);
    test_start(&a, &a, &sender, &receiver);
    test_exec(&a, TEST_OWNER, SWPSP_OP_LAUNCH_START, test_words(TEST_POLICY, 0), &answer);
    g_assert_cmpfloat(answer.service_us, ==, 20000);
    test_exec(&a, TEST_OWNER, SWPSP_OP_GUEST_STATUS, test_words(sender, 0), &answer);
    g_assert_cmpfloat(answer.service_us, ==, 0);

    swpsp_firmware_cost(a.firmware)->time_scale = 10;
    test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
              test_submission(sender, &command, 1, plain, 4 * TEST_PAGE), &answer);
    g_assert_cmpfloat_with_epsilon(answer.service_us, 250.75, 1e-6);
    swpsp_firmware_stamp(SWPSP_OP_SEND_UPDATE_DATA, &answer, 251, 17);
    g_assert_cmpuint(test_answer_head(answer.payload).service_us, ==, 251);
    g_assert_cmpuint(test_answer_head(answer.payload).wait_us, ==, 17);
    g_assert_cmpuint(test_answer_head(answer.payload).done, ==, 1);

    test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_CANCEL, test_words(sender, 0), &answer);
    g_assert_cmpfloat(answer.service_us, ==, 100);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/firmware/hello", test_hello);
    g_test_add_func("/swpsp/firmware/round-trip", test_round_trip);
    g_test_add_func("/swpsp/firmware/partly-done", test_partly_done);
    g_test_add_func("/swpsp/firmware/refused", test_refused);
    g_test_add_func("/swpsp/firmware/submit-limit", test_submit_limit);
    g_test_add_func("/swpsp/firmware/malformed/length", test_malformed_length);
    g_test_add_func("/swpsp/firmware/malformed/submission", test_malformed_submission);
    g_test_add_func("/swpsp/firmware/malformed/receive-start", test_malformed_receive_start);
    g_test_add_func("/swpsp/firmware/unknown-op", test_unknown_op);
    g_test_add_func("/swpsp/firmware/owners", test_owners);
    g_test_add_func("/swpsp/firmware/too-many-guests", test_too_many_guests);
    g_test_add_func("/swpsp/firmware/times", test_times);
    return g_test_run();
}
