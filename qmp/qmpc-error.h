/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-error.h - the error domain of the QMP client library
 *
 * Cancellation is reported as G_IO_ERROR_CANCELLED, an error of a socket as a G_IO_ERROR; all else
 * is in this domain. Messages name the command or the member path they are about.
 */
#ifndef QMPC_ERROR_H
#define QMPC_ERROR_H

#include <glib.h>

#define QMPC_ERROR (qmpc_error_quark())

typedef enum {
    QMPC_ERROR_PARSE,    /* not JSON, or not UTF-8 */
    QMPC_ERROR_LIMIT,    /* longer or deeper than this library accepts */
    QMPC_ERROR_PROTOCOL, /* JSON, but not what QMP allows here */
    QMPC_ERROR_MEMBER,   /* a member is missing, of the wrong type or out of range */
    QMPC_ERROR_ARGUMENT, /* the caller's arguments break the command's contract; not sent */
    QMPC_ERROR_COMMAND,  /* QEMU refused the command (any class not named below) */
    QMPC_ERROR_COMMAND_NOT_FOUND, /* QEMU does not know the command */
    QMPC_ERROR_CLOSED,            /* the connection has ended */
    QMPC_ERROR_TIMED_OUT,         /* no answer within the time given */
} QmpcError;

GQuark qmpc_error_quark(void);

#endif
