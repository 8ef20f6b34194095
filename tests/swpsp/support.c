/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support.h"

#include "swpsp-submission.h"

#include <string.h>

const SwpspApi test_newest = {SWPSP_API_MAJOR, SWPSP_API_MINOR};
const SwpspLimits test_limits = {4 * TEST_PAGE, SWPSP_MAX_COMMANDS, {2 * 1024 * 1024}};

GByteArray *
test_hex(const char *text)
{
    GByteArray *bytes = g_byte_array_new();

    g_assert_cmpuint(strlen(text) % 2, ==, 0);
    for (; *text; text += 2) {
        g_assert_true(g_ascii_isxdigit(text[0]) && g_ascii_isxdigit(text[1]));
        const guint8 byte =
            (guint8)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

GKeyFile *
test_vectors(void)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "vectors.ini", NULL);
    g_autoptr(GError) error = NULL;
    GKeyFile *file = g_key_file_new();

    g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error);
    g_assert_no_error(error);
    return file;
}

GByteArray *
test_vector(GKeyFile *file, const char *group, const char *key)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_key_file_get_string(file, group, key, &error);

    g_assert_no_error(error);
    return test_hex(text);
}

void
test_platform_init(TestPlatform *platform, const SwpspPlatform *special)
{
    g_autoptr(GError) error = NULL;
    SwpspCost cost;

    swpsp_cost_init(&cost);
    platform->identity = swpsp_identity_new(special, &error);
    g_assert_no_error(error);
    platform->firmware = swpsp_firmware_new(platform->identity, &test_limits, &cost);
}

void
test_platform_clear(TestPlatform *platform)
{
    swpsp_firmware_free(platform->firmware);
}

static void
must(enum swpsp_status status)
{
    g_assert_cmpint(status, ==, SWPSP_OK);
}

SwpspGuest *
test_guest_in(const SwpspIdentity *own, enum swpsp_guest_state state, uint32_t policy)
{
    const SwpspCertChain *chain = swpsp_identity_chain(own);
    SwpspGuest *guest = swpsp_guest_new();
    SwpspSession session;

    if (state == SWPSP_GUEST_RECEIVING) {
        SwpspGuest *sender = test_guest_in(own, SWPSP_GUEST_RUNNING, policy);
        must(swpsp_guest_send_start(sender, own, chain, &session));
        must(swpsp_guest_receive_start(guest, own, policy, &chain->pdh, &session));
        swpsp_guest_free(sender);
    } else if (state != SWPSP_GUEST_INVALID) {
        must(swpsp_guest_launch_start(guest, swpsp_identity_api(own), policy));
        if (state != SWPSP_GUEST_LAUNCHING)
            must(swpsp_guest_launch_finish(guest));
        if (state == SWPSP_GUEST_SENDING || state == SWPSP_GUEST_SENT)
            must(swpsp_guest_send_start(guest, own, chain, &session));
        if (state == SWPSP_GUEST_SENT)
            must(swpsp_guest_send_finish(guest));
    }
    g_assert_cmpint(swpsp_guest_state(guest), ==, state);
    return guest;
}

GByteArray *
test_submission(uint32_t handle, const struct swpsp_command *commands, uint32_t n_commands,
                const void *data, size_t len)
{
    const struct swpsp_submit head = {GUINT32_TO_LE(handle), GUINT32_TO_LE(n_commands)};
    GByteArray *payload = g_byte_array_new();

    g_byte_array_append(payload, (const guint8 *)&head, sizeof(head));
    for (uint32_t i = 0; i < n_commands; i++) {
        struct swpsp_command command = commands[i];
        command.guest_addr = GUINT64_TO_LE(command.guest_addr);
        command.guest_len = GUINT32_TO_LE(command.guest_len);
        command.trans_len = GUINT32_TO_LE(command.trans_len);
        command.status = 0;
        g_byte_array_append(payload, (const guint8 *)&command, sizeof(command));
    }
    return g_byte_array_append(payload, data, (guint)len);
}

struct swpsp_command
test_command(uint64_t address, uint32_t bytes)
{
    return (struct swpsp_command){.guest_addr = address, .guest_len = bytes, .trans_len = bytes};
}

struct swpsp_submitted
test_answer_head(const uint8_t *payload)
{
    struct swpsp_submitted head;

    memcpy(&head, payload, sizeof(head));
    return (struct swpsp_submitted){
        GUINT32_FROM_LE(head.n_commands),
        GUINT32_FROM_LE(head.done),
        GUINT64_FROM_LE(head.service_us),
        GUINT64_FROM_LE(head.wait_us),
    };
}

struct swpsp_command
test_answer_command(const uint8_t *payload, uint32_t i)
{
    struct swpsp_command command;
    g_assert_cmpuint(i, <, test_answer_head(payload).n_commands);

    memcpy(&command, payload + sizeof(struct swpsp_submitted) + i * sizeof(command),
           sizeof(command));
    command.guest_addr = GUINT64_FROM_LE(command.guest_addr);
    command.guest_len = GUINT32_FROM_LE(command.guest_len);
    command.trans_len = GUINT32_FROM_LE(command.trans_len);
    command.status = GUINT32_FROM_LE(command.status);
    return command;
}

const uint8_t *
test_answer_data(const uint8_t *payload)
{
    return payload + sizeof(struct swpsp_submitted) +
           test_answer_head(payload).n_commands * sizeof(struct swpsp_command);
}

GByteArray *
test_send_start(uint32_t handle, const SwpspCertChain *peer)
{
    const struct swpsp_guest head = {.handle = GUINT32_TO_LE(handle)};
    GByteArray *payload = g_byte_array_new();

    g_byte_array_append(payload, (const guint8 *)&head, sizeof(head));
    return g_byte_array_append(payload, (const guint8 *)peer, sizeof(*peer));
}

GByteArray *
test_receive_start(uint32_t policy, const SwpspCert *peer_pdh, const uint8_t *session)
{
    const struct swpsp_receive head = {
        .policy = GUINT32_TO_LE(policy),
        .pdh_len = GUINT32_TO_LE(SWPSP_CERT_SIZE),
        .session_len = GUINT32_TO_LE(SWPSP_SESSION_SIZE),
    };
    GByteArray *payload = g_byte_array_new();

    g_byte_array_append(payload, (const guint8 *)&head, sizeof(head));
    g_byte_array_append(payload, (const guint8 *)peer_pdh, sizeof(*peer_pdh));
    return g_byte_array_append(payload, session, SWPSP_SESSION_SIZE);
}

uint8_t *
test_bytes(uint8_t seed, size_t len)
{
    uint8_t *bytes = g_malloc(len);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(seed + i * 7 + (i >> 8) * 13);
    return bytes;
}
