/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-sandbox.h - what a server that parses hostile input gives up
 *
 * Three steps of one process, in this order, each before the next sort of thing is touched:
 *
 *   become    another user, before anything of the platform is opened
 *   protect   memory, before there are keys in it: no core dumps, not to be looked at by others of
 *             the same user, not swapped as far as the limits allow
 *   enter     when all files and sockets are there and before anybody can connect: no privileges,
 *             none to be had again, bounded resources, and only those system calls that serving
 *             needs. Whoever makes another one is killed.
 *
 * The process has to be single-threaded, and must not need a new file or socket afterwards.
 */
#ifndef SWPSP_SANDBOX_H
#define SWPSP_SANDBOX_H

#include <glib.h>
#include <stdbool.h>

#define SWPSP_SANDBOX_ERROR (swpsp_sandbox_error_quark())
GQuark swpsp_sandbox_error_quark(void);

typedef enum {
    SWPSP_SANDBOX_ERROR_USER,
    SWPSP_SANDBOX_ERROR_KERNEL, /* refuses something that was asked for */
} SwpspSandboxError;

bool swpsp_sandbox_become(const char *user, GError **error);

/* What fails is logged and ignored: these are the machine's limits. */
void swpsp_sandbox_protect_memory(void);

/* max_clients: connections there may be. memory_bytes: of address space. */
bool swpsp_sandbox_enter(unsigned max_clients, size_t memory_bytes, GError **error);

/*
 * What an error number means, in English: g_strerror() opens message catalogues and tables of
 * character sets, which in the sandbox is the end.
 */
const char *swpsp_sandbox_strerror(int code);

/* Whether system calls are restricted at all: not if built without libseccomp. */
bool swpsp_sandbox_has_filter(void);

#endif
