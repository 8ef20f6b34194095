/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* requests.h - requests to a firmware as they are on the wire, without a socket */
#ifndef SWPSP_TEST_REQUESTS_H
#define SWPSP_TEST_REQUESTS_H

#include "support.h"

enum { TEST_OWNER = 7, TEST_STRANGER = 8 };

/* All functions here end the test on failure. */

/* Runs a request; frees the payload, which may be NULL. */
void test_exec(TestPlatform *platform, uint64_t owner, uint16_t op, GByteArray *payload,
               SwpspAnswer *answer);

GByteArray *test_words(uint32_t first, uint32_t second);

/* A command that takes a handle and answers with a status. */
enum swpsp_status test_step(TestPlatform *platform, uint64_t owner, uint16_t op, uint32_t handle);

/* A running guest; returns its handle. */
uint32_t test_launch(TestPlatform *platform, uint64_t owner, uint32_t policy);

/* A guest on its way from `from` to `to`. */
void test_start(TestPlatform *from, TestPlatform *to, uint32_t *sender, uint32_t *receiver);

/* A platform with limits of its own, and a guest on it that is on its way to the platform itself.
 */
void test_init_sending(TestPlatform *platform, const SwpspLimits *limits, uint32_t *sender,
                       uint32_t *receiver);

void test_assert_state(TestPlatform *platform, uint32_t handle, enum swpsp_guest_state state);

#endif
