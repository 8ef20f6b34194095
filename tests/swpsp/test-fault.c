/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Faults, one by one, in the firmware; what the server does with them is in test-server-fault.c. */
#include "requests.h"

#include "swpsp-names.h"

#include <string.h>

static const uint16_t all_ops[] = {
    SWPSP_OP_HELLO,          SWPSP_OP_PDH_CERT_EXPORT,  SWPSP_OP_LAUNCH_START,
    SWPSP_OP_LAUNCH_FINISH,  SWPSP_OP_DECOMMISSION,     SWPSP_OP_GUEST_STATUS,
    SWPSP_OP_SEND_START,     SWPSP_OP_SEND_UPDATE_DATA, SWPSP_OP_SEND_FINISH,
    SWPSP_OP_SEND_CANCEL,    SWPSP_OP_RECEIVE_START,    SWPSP_OP_RECEIVE_UPDATE_DATA,
    SWPSP_OP_RECEIVE_FINISH,
};

static void
set(TestPlatform *platform, uint16_t op, SwpspFault fault)
{
    g_assert_true(swpsp_firmware_set_fault(platform->firmware, op, &fault));
}

/* After and count, and that a fault stays listed with its hits until it is cleared. */
static void
test_table(void)
{
    static const struct {
        uint64_t after, count;
        const char *strikes; /* of ten commands */
    } rows[] = {
        {0, 1, "x........."}, {2, 1, "..x......."}, {0, 3, "xxx......."},
        {7, 3, ".......xxx"}, {4, 0, "....xxxxxx"}, {10, 1, ".........."},
    };
    g_autoptr(SwpspFaults) faults = swpsp_faults_new();

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const SwpspFault fault = {SWPSP_FAULT_HANG, 0, 0, rows[i].after, rows[i].count};
        char seen[11] = "";
        swpsp_faults_set(faults, SWPSP_OP_HELLO, &fault);
        for (unsigned n = 0; n < 10; n++) {
            g_assert_null(swpsp_faults_take(faults, SWPSP_OP_SEND_START));
            seen[n] = swpsp_faults_take(faults, SWPSP_OP_HELLO) ? 'x' : '.';
        }
        g_assert_cmpstr(seen, ==, rows[i].strikes);
        g_assert_false(swpsp_faults_empty(faults));
    }
    swpsp_faults_set(faults, SWPSP_OP_HELLO, &(SwpspFault){.kind = SWPSP_FAULT_NONE});
    g_assert_true(swpsp_faults_empty(faults));
}

/* Every error can be given to every command; it strikes once and leaves the guest as it was. */
static void
test_errors(void)
{
    g_auto(TestPlatform) a;

    test_platform_init(&a, NULL);
    const uint32_t handle = test_launch(&a, TEST_OWNER, TEST_POLICY);
    for (unsigned status = 1; status < 0x20; status++) {
        if (g_str_equal(swpsp_status_name(status), "UNKNOWN"))
            continue;
        set(&a, SWPSP_OP_GUEST_STATUS, (SwpspFault){SWPSP_FAULT_ERROR, status, 0, 2, 1});
        test_assert_state(&a, handle, SWPSP_GUEST_RUNNING);
        test_assert_state(&a, handle, SWPSP_GUEST_RUNNING);
        g_assert_cmpint(test_step(&a, TEST_OWNER, SWPSP_OP_GUEST_STATUS, handle), ==, (int)status);
        test_assert_state(&a, handle, SWPSP_GUEST_RUNNING);
    }
    const SwpspFault fault = {SWPSP_FAULT_ERROR, SWPSP_INACTIVE, 0, 0, 1};
    g_assert_false(swpsp_firmware_set_fault(a.firmware, SWPSP_OP_STATS, &fault));
    set(&a, SWPSP_OP_GUEST_STATUS, fault);
    swpsp_firmware_clear_faults(a.firmware);
    test_assert_state(&a, handle, SWPSP_GUEST_RUNNING);
}

/* A payload that each command accepts as well formed. */
static GByteArray *
payload_for(TestPlatform *a, uint16_t op, uint32_t handle)
{
    static const uint8_t page[TEST_PAGE], session[SWPSP_SESSION_SIZE];
    const SwpspCertChain *chain = swpsp_identity_chain(a->identity);
    const struct swpsp_command command = test_command(0, TEST_PAGE);

    switch (op) {
    case SWPSP_OP_HELLO:
    case SWPSP_OP_PDH_CERT_EXPORT:
        return NULL;
    case SWPSP_OP_SEND_START:
        return test_send_start(handle, chain);
    case SWPSP_OP_RECEIVE_START:
        return test_receive_start(TEST_POLICY, &chain->pdh, session);
    case SWPSP_OP_SEND_UPDATE_DATA:
    case SWPSP_OP_RECEIVE_UPDATE_DATA:
        return test_submission(handle, &command, 1, page, TEST_PAGE);
    default:
        return test_words(handle, 0);
    }
}

/* Every command takes an error, a delay and the marks of a hang and of a crash. */
static void
test_commands(void)
{
    g_auto(TestPlatform) a;
    uint32_t sender, receiver;

    test_platform_init(&a, NULL);
    test_start(&a, &a, &sender, &receiver);
    for (size_t i = 0; i < G_N_ELEMENTS(all_ops); i++) {
        const uint16_t op = all_ops[i];
        /* A submission to no guest is refused before its commands are looked at. */
        const uint32_t handle = op == SWPSP_OP_RECEIVE_UPDATE_DATA ? receiver
                                : op == SWPSP_OP_SEND_UPDATE_DATA  ? sender
                                                                   : 9999;
        g_auto(SwpspAnswer) answer = {0};

        g_test_message("%s", swpsp_op_name(op));
        set(&a, op, (SwpspFault){SWPSP_FAULT_ERROR, SWPSP_INACTIVE, 0, 0, 1});
        test_exec(&a, TEST_OWNER, op, payload_for(&a, op, handle), &answer);
        g_assert_cmpint(answer.status, ==, SWPSP_INACTIVE);
        g_assert_cmpint(answer.fault, ==, SWPSP_FAULT_ERROR);
        const double plain_us = answer.service_us;
        g_assert_cmpfloat(answer.delay_us, ==, 0);

        set(&a, op, (SwpspFault){SWPSP_FAULT_DELAY, 0, 250, 0, 1});
        test_exec(&a, TEST_OWNER, op, payload_for(&a, op, handle), &answer);
        g_assert_cmpint(answer.fault, ==, SWPSP_FAULT_DELAY);
        g_assert_cmpfloat(answer.delay_us, ==, 250000);
        g_assert_cmpfloat(answer.service_us, >=, 250000 + plain_us);

        static const SwpspFaultKind marks[] = {SWPSP_FAULT_HANG, SWPSP_FAULT_CRASH};
        for (size_t j = 0; j < G_N_ELEMENTS(marks); j++) {
            set(&a, op, (SwpspFault){marks[j], 0, 0, 0, 1});
            test_exec(&a, TEST_OWNER, op, payload_for(&a, op, handle), &answer);
            g_assert_cmpint(answer.fault, ==, marks[j]);
        }
        test_exec(&a, TEST_OWNER, op, payload_for(&a, op, handle), &answer);
        g_assert_cmpint(answer.fault, ==, SWPSP_FAULT_NONE);
    }
}

/* In submissions each command counts. */
static void
test_submissions(void)
{
    g_auto(TestPlatform) a;
    g_auto(SwpspAnswer) answer = {0};
    g_autofree uint8_t *plain = test_bytes(9, 2 * TEST_PAGE);
    const struct swpsp_command commands[] = {test_command(0, TEST_PAGE),
                                             test_command(TEST_PAGE, TEST_PAGE)};
    uint32_t sender, receiver;

    test_platform_init(&a, NULL);
    test_start(&a, &a, &sender, &receiver);
    set(&a, SWPSP_OP_SEND_UPDATE_DATA, (SwpspFault){SWPSP_FAULT_ERROR, SWPSP_INACTIVE, 0, 3, 2});
    static const uint32_t done[] = {2, 1, 0, 2};
    for (size_t i = 0; i < G_N_ELEMENTS(done); i++) {
        test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
                  test_submission(sender, commands, 2, plain, 2 * TEST_PAGE), &answer);
        g_assert_cmpuint(test_answer_head(answer.payload).done, ==, done[i]);
        g_assert_cmpint(answer.status, ==, done[i] == 2 ? SWPSP_OK : SWPSP_INACTIVE);
    }
    set(&a, SWPSP_OP_SEND_UPDATE_DATA, (SwpspFault){SWPSP_FAULT_DELAY, 0, 10, 0, 0});
    test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
              test_submission(sender, commands, 2, plain, 2 * TEST_PAGE), &answer);
    g_assert_cmpfloat(answer.delay_us, ==, 20000);
}

/* Sends the page; returns the command of the answer and the ciphertext. */
static struct swpsp_command
send_page(TestPlatform *a, uint32_t sender, const uint8_t *plain, SwpspAnswer *answer)
{
    const struct swpsp_command command = test_command(0, TEST_PAGE);

    test_exec(a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
              test_submission(sender, &command, 1, plain, TEST_PAGE), answer);
    g_assert_cmpint(answer->status, ==, SWPSP_OK);
    return test_answer_command(answer->payload, 0);
}

static enum swpsp_status
receive_page(TestPlatform *a, uint32_t receiver, const struct swpsp_command *command,
             const SwpspAnswer *sent)
{
    g_auto(SwpspAnswer) answer = {0};

    test_exec(a, TEST_OWNER, SWPSP_OP_RECEIVE_UPDATE_DATA,
              test_submission(receiver, command, 1, test_answer_data(sent->payload), TEST_PAGE),
              &answer);
    return answer.status;
}

/* A packet that leaves with a wrong MAC is refused; a good one is, where the fault is set. */
static void
test_wrong_mac_packet(void)
{
    static const SwpspFault fault = {SWPSP_FAULT_WRONG_MAC, 0, 0, 0, 1};
    g_auto(TestPlatform) a;
    g_auto(SwpspAnswer) sent = {0};
    g_autofree uint8_t *plain = test_bytes(9, TEST_PAGE);
    uint32_t sender, receiver;

    test_platform_init(&a, NULL);
    test_start(&a, &a, &sender, &receiver);
    set(&a, SWPSP_OP_SEND_UPDATE_DATA, fault);
    struct swpsp_command command = send_page(&a, sender, plain, &sent);
    g_assert_cmpint(receive_page(&a, receiver, &command, &sent), ==, SWPSP_BAD_MEASUREMENT);

    command = send_page(&a, sender, plain, &sent);
    set(&a, SWPSP_OP_RECEIVE_UPDATE_DATA, fault);
    g_assert_cmpint(receive_page(&a, receiver, &command, &sent), ==, SWPSP_BAD_MEASUREMENT);
    g_assert_cmpint(receive_page(&a, receiver, &command, &sent), ==, SWPSP_OK);
}

/* The same of a session; and there is none in commands without one. */
static void
test_wrong_mac_session(void)
{
    static const SwpspFault fault = {SWPSP_FAULT_WRONG_MAC, 0, 0, 0, 1};
    g_auto(TestPlatform) a;
    const uint16_t ops[] = {SWPSP_OP_SEND_START, SWPSP_OP_RECEIVE_START, 0};

    test_platform_init(&a, NULL);
    const SwpspCertChain *chain = swpsp_identity_chain(a.identity);
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
        g_auto(SwpspAnswer) sent = {0}, received = {0};
        const uint32_t handle = test_launch(&a, TEST_OWNER, TEST_POLICY);
        if (ops[i] != 0)
            set(&a, ops[i], fault);
        test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_START, test_send_start(handle, chain), &sent);
        g_assert_cmpint(sent.status, ==, SWPSP_OK);
        test_exec(&a, TEST_OWNER, SWPSP_OP_RECEIVE_START,
                  test_receive_start(TEST_POLICY, &chain->pdh, sent.payload + 8), &received);
        g_assert_cmpint(received.status, ==, ops[i] == 0 ? SWPSP_OK : SWPSP_BAD_MEASUREMENT);
    }
    g_assert_false(swpsp_firmware_set_fault(a.firmware, SWPSP_OP_SEND_FINISH, &fault));
    g_assert_false(swpsp_firmware_set_fault(a.firmware, SWPSP_OP_HELLO, &fault));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/fault/table", test_table);
    g_test_add_func("/swpsp/fault/errors", test_errors);
    g_test_add_func("/swpsp/fault/commands", test_commands);
    g_test_add_func("/swpsp/fault/submissions", test_submissions);
    g_test_add_func("/swpsp/fault/wrong-mac/packet", test_wrong_mac_packet);
    g_test_add_func("/swpsp/fault/wrong-mac/session", test_wrong_mac_session);
    return g_test_run();
}
