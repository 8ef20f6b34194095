/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "requests.h"

#include <string.h>

void
test_exec(TestPlatform *platform, uint64_t owner, uint16_t op, GByteArray *payload,
          SwpspAnswer *answer)
{
    swpsp_answer_clear(answer);
    swpsp_firmware_execute(platform->firmware, owner, op, payload ? payload->data : NULL,
                           payload ? payload->len : 0, answer);
    g_clear_pointer(&payload, g_byte_array_unref);
}

GByteArray *
test_words(uint32_t first, uint32_t second)
{
    const uint32_t le[] = {GUINT32_TO_LE(first), GUINT32_TO_LE(second)};
    return g_byte_array_append(g_byte_array_new(), (const guint8 *)le, sizeof(le));
}

enum swpsp_status
test_step(TestPlatform *platform, uint64_t owner, uint16_t op, uint32_t handle)
{
    g_auto(SwpspAnswer) answer = {0};

    test_exec(platform, owner, op, test_words(handle, 0), &answer);
    g_assert_false(answer.malformed);
    if (answer.status != SWPSP_OK)
        g_assert_cmpuint(answer.len, ==, 0);
    return answer.status;
}

uint32_t
test_launch(TestPlatform *platform, uint64_t owner, uint32_t policy)
{
    g_auto(SwpspAnswer) answer = {0};

    test_exec(platform, owner, SWPSP_OP_LAUNCH_START, test_words(policy, 0), &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_OK);
    g_assert_cmpuint(answer.len, ==, sizeof(struct swpsp_guest));
    const uint32_t handle = answer.handle;
    g_assert_cmpint(test_step(platform, owner, SWPSP_OP_LAUNCH_FINISH, handle), ==, SWPSP_OK);
    return handle;
}

void
test_start(TestPlatform *from, TestPlatform *to, uint32_t *sender, uint32_t *receiver)
{
    g_auto(SwpspAnswer) answer = {0};
    struct swpsp_send_started started;

    *sender = test_launch(from, TEST_OWNER, SWPSP_POLICY_SEV);
    test_exec(from, TEST_OWNER, SWPSP_OP_SEND_START,
              test_send_start(*sender, swpsp_identity_chain(to->identity)), &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_OK);
    g_assert_cmpuint(answer.len, ==, sizeof(started));
    memcpy(&started, answer.payload, sizeof(started));
    g_assert_cmpuint(GUINT32_FROM_LE(started.policy), ==, SWPSP_POLICY_SEV);
    test_exec(to, TEST_OWNER, SWPSP_OP_RECEIVE_START,
              test_receive_start(SWPSP_POLICY_SEV, &swpsp_identity_chain(from->identity)->pdh,
                                 started.session),
              &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_OK);
    *receiver = answer.handle;
}

void
test_assert_state(TestPlatform *platform, uint32_t handle, enum swpsp_guest_state state)
{
    g_auto(SwpspAnswer) answer = {0};
    struct swpsp_guest_status status;

    test_exec(platform, TEST_OWNER, SWPSP_OP_GUEST_STATUS, test_words(handle, 0), &answer);
    g_assert_cmpint(answer.status, ==, SWPSP_OK);
    g_assert_cmpuint(answer.len, ==, sizeof(status));
    memcpy(&status, answer.payload, sizeof(status));
    g_assert_cmpuint(GUINT32_FROM_LE(status.handle), ==, handle);
    g_assert_cmpuint(GUINT32_FROM_LE(status.state), ==, state);
}

void
test_init_sending(TestPlatform *platform, const SwpspLimits *limits, uint32_t *sender,
                  uint32_t *receiver)
{
    SwpspCost cost;

    swpsp_cost_init(&cost);
    platform->identity = swpsp_identity_new(NULL, NULL);
    platform->firmware = swpsp_firmware_new(platform->identity, limits, &cost);
    test_start(platform, platform, sender, receiver);
}
