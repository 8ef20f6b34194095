/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* support.h - what several tests of swpsp need */
#ifndef SWPSP_TEST_SUPPORT_H
#define SWPSP_TEST_SUPPORT_H

#include "swpsp-firmware.h"

#define TEST_PAGE 4096u
/* The default version of the API. */
extern const SwpspApi test_newest;

#define TEST_POLICY 0u /* no bits: any peer will do */

/* All functions here end the test on failure. */

/* The bytes of a hexadecimal text. */
GByteArray *test_hex(const char *text);

/* The sections of vectors.ini whose name starts with the prefix; the caller frees the file. */
GKeyFile *test_vectors(void);
GByteArray *test_vector(GKeyFile *file, const char *group, const char *key);

/* One platform: an identity and a firmware of its own (which owns the identity). */
typedef struct {
    SwpspIdentity *identity;
    SwpspFirmware *firmware;
} TestPlatform;

/* `special` may be NULL. */
void test_platform_init(TestPlatform *platform, const SwpspPlatform *special);
void test_platform_clear(TestPlatform *platform);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TestPlatform, test_platform_clear)

extern const SwpspLimits test_limits; /* 4 pages, 4096 commands, 2 MiB */

/* A guest in that state, by the commands that lead there, from and to `own` itself. */
SwpspGuest *test_guest_in(const SwpspIdentity *own, enum swpsp_guest_state state, uint32_t policy);

/* The payload of a submission, little-endian. Commands are the host's, data is appended as it is.
 */
GByteArray *test_submission(uint32_t handle, const struct swpsp_command *commands,
                            uint32_t n_commands, const void *data, size_t len);

/* A command for whole pages at a guest address. */
struct swpsp_command test_command(uint64_t address, uint32_t bytes);

/* The command and the data of a submission's answer. */
struct swpsp_command test_answer_command(const uint8_t *payload, uint32_t i);
const uint8_t *test_answer_data(const uint8_t *payload);
struct swpsp_submitted test_answer_head(const uint8_t *payload);

/* Payloads of SEND_START and RECEIVE_START. */
GByteArray *test_send_start(uint32_t handle, const SwpspCertChain *peer);
GByteArray *test_receive_start(uint32_t policy, const SwpspCert *peer_pdh, const uint8_t *session);

/* `len` bytes that differ with the seed. */
uint8_t *test_bytes(uint8_t seed, size_t len);

#endif
