/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swpsp-sandbox-private.h - what the files of the sandbox have in common */
#ifndef SWPSP_SANDBOX_PRIVATE_H
#define SWPSP_SANDBOX_PRIVATE_H

#include "swpsp-sandbox.h"

/* The sanitizers' run time needs more of everything, and its leak check traces the process. */
#if defined(__SANITIZE_ADDRESS__)
#define SWPSP_SANITIZED 1
#else
#define SWPSP_SANITIZED 0
#endif

/* Sets an error; false. */
bool swpsp_sandbox_refused(GError **error, const char *what, int code);

/* Restricts the system calls; does nothing if built without libseccomp. */
bool swpsp_seccomp_load(GError **error);

#endif
