/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes, offsets and codes against what the Linux headers say, and the tables of names. */
#include "swpsp-cert.h"
#include "swpsp-names.h"
#include "swpsp-session.h"

#include <glib.h>
#include <linux/psp-sev.h>
#include <stddef.h>

/* From <linux/psp-sev.h>: the firmware's errors. */
static void
test_errors(void)
{
    static const struct {
        enum swpsp_status ours;
        sev_ret_code theirs;
    } codes[] = {
        {SWPSP_OK, SEV_RET_SUCCESS},
        {SWPSP_INVALID_PLATFORM_STATE, SEV_RET_INVALID_PLATFORM_STATE},
        {SWPSP_INVALID_GUEST_STATE, SEV_RET_INVALID_GUEST_STATE},
        {SWPSP_INVALID_LENGTH, SEV_RET_INVALID_LEN},
        {SWPSP_INVALID_CERTIFICATE, SEV_RET_INVALID_CERTIFICATE},
        {SWPSP_POLICY_FAILURE, SEV_RET_POLICY_FAILURE},
        {SWPSP_INACTIVE, SEV_RET_INACTIVE},
        {SWPSP_INVALID_ADDRESS, SEV_RET_INVALID_ADDRESS},
        {SWPSP_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT},
        {SWPSP_INVALID_GUEST, SEV_RET_INVALID_GUEST},
        {SWPSP_UNSUPPORTED, SEV_RET_UNSUPPORTED},
        {SWPSP_INVALID_PARAM, SEV_RET_INVALID_PARAM},
        {SWPSP_RESOURCE_LIMIT, SEV_RET_RESOURCE_LIMIT},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
        g_assert_cmpint((int)codes[i].ours, ==, (int)codes[i].theirs);
}

/* No padding anywhere: what is on the wire is the sum of the members. */
static void
test_wire(void)
{
    g_assert_cmpuint(sizeof(struct swpsp_msg), ==, 24);
    g_assert_cmpuint(sizeof(struct swpsp_hello), ==, 24);
    g_assert_cmpuint(sizeof(struct swpsp_launch), ==, 8);
    g_assert_cmpuint(sizeof(struct swpsp_guest), ==, 8);
    g_assert_cmpuint(sizeof(struct swpsp_guest_status), ==, 16);
    g_assert_cmpuint(sizeof(struct swpsp_send_started), ==, 8 + 128);
    g_assert_cmpuint(sizeof(struct swpsp_receive), ==, 16);
    g_assert_cmpuint(sizeof(struct swpsp_submit), ==, 8);
    g_assert_cmpuint(sizeof(struct swpsp_command), ==, 8 + 3 * 4 + 52);
    g_assert_cmpuint(sizeof(struct swpsp_submitted), ==, 24);
    g_assert_cmpuint(offsetof(struct swpsp_command, hdr), ==, 20);
    g_assert_cmpmem("SWSP", 4, &(uint32_t){GUINT32_TO_LE(SWPSP_MAGIC)}, 4);
}

static void
test_certificate(void)
{
    g_assert_cmpuint(offsetof(SwpspCert, pubkey_usage), ==, 0x008);
    g_assert_cmpuint(offsetof(SwpspCert, pubkey_algo), ==, 0x00c);
    g_assert_cmpuint(offsetof(SwpspCert, pubkey), ==, 0x010);
    g_assert_cmpuint(offsetof(SwpspCert, signature[0].usage), ==, 0x414);
    g_assert_cmpuint(offsetof(SwpspCert, signature[0].r), ==, 0x41c);
    g_assert_cmpuint(offsetof(SwpspCert, signature[1].usage), ==, 0x61c);
    g_assert_cmpuint(sizeof(SwpspCert), ==, 0x824);
    g_assert_cmpuint(SWPSP_CHAIN_SIZE, ==, 6252);
}

static void
test_session(void)
{
    g_assert_cmpuint(offsetof(SwpspSession, wrap_tk), ==, 16);
    g_assert_cmpuint(offsetof(SwpspSession, wrap_iv), ==, 48);
    g_assert_cmpuint(offsetof(SwpspSession, wrap_mac), ==, 64);
    g_assert_cmpuint(offsetof(SwpspSession, policy_mac), ==, 96);
    g_assert_cmpuint(sizeof(SwpspSession), ==, 128);
}

/* Each name leads back to its value, and there is one for each command and error. */
static void
test_names(void)
{
    unsigned ops = 0, statuses = 0;

    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        uint16_t op = 0;
        enum swpsp_status status = 0;
        if (swpsp_op_from_name(swpsp_op_name((uint16_t)i), &op)) {
            g_assert_cmpuint(op, ==, i);
            ops++;
        }
        if (swpsp_status_from_name(swpsp_status_name(i), &status)) {
            g_assert_cmpuint(status, ==, i);
            statuses++;
        }
    }
    g_assert_cmpuint(ops, ==, 15);
    g_assert_cmpuint(statuses, ==, 13);
    g_assert_cmpstr(swpsp_status_name(SWPSP_NOT_CONTIGUOUS), ==, "NOT_CONTIGUOUS");
    g_assert_cmpstr(swpsp_state_name(SWPSP_GUEST_SENT), ==, "sent");
    g_assert_cmpstr(swpsp_op_name(0x42), ==, "UNKNOWN"); /* SEND_UPDATE_VMSA */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/layout/errors", test_errors);
    g_test_add_func("/swpsp/layout/wire", test_wire);
    g_test_add_func("/swpsp/layout/certificate", test_certificate);
    g_test_add_func("/swpsp/layout/session", test_session);
    g_test_add_func("/swpsp/layout/names", test_names);
    return g_test_run();
}
