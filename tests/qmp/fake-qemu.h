/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake-qemu.h - a strict QMP server for the test's end of a socket pair
 *
 * It knows what the client is to say next, in order. A command it does not expect, other arguments,
 * a repeated id, or an expectation that is left over at the end fails the test. It does nothing on
 * its own: each reply, event or end is the test's own step.
 */
#ifndef FAKE_QEMU_H
#define FAKE_QEMU_H

#include <gio/gio.h>
#include <stdint.h>

typedef struct FakeQemu FakeQemu;

/* *client_fd is the other end. */
FakeQemu *fake_qemu_new(int *client_fd);
/* Fails the test if an expected command never came. */
void fake_qemu_free(FakeQemu *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FakeQemu, fake_qemu_free)

/* Bytes as they are. */
void fake_qemu_send(FakeQemu *fake, const char *text);
/* The greeting now, and qmp_capabilities expected and answered. */
void fake_qemu_greet(FakeQemu *fake);

/*
 * The next command must be this one, with these arguments (JSON text; NULL: none). `reply`, if any,
 * is {"return": reply}, sent at once; NULL: the test replies when it wants to.
 */
void fake_qemu_expect(FakeQemu *fake, const char *command, const char *arguments,
                      const char *reply);

/* Waits until n commands in all have come, qmp_capabilities not counted. */
void fake_qemu_wait(FakeQemu *fake, unsigned n);
/* Replies to the n-th of them (from 1): `member` is "return" or "error". */
void fake_qemu_reply(FakeQemu *fake, unsigned n, const char *member, const char *value);

void fake_qemu_hang_up(FakeQemu *fake);

#endif
