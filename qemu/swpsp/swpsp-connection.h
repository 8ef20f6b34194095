/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-connection.h - one client's socket: bytes to messages and back, never blocking
 *
 * Memory is bounded by what has arrived, not by what a header claims: a payload's buffer grows with
 * its bytes; no requests are taken while many bytes of answers wait to be. Works on the default
 * main context; one thread.
 */
#ifndef SWPSP_CONNECTION_H
#define SWPSP_CONNECTION_H

#include "swpsp-proto.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct SwpspConnection SwpspConnection;

typedef struct {
    /*
     * A whole request has arrived; integers of `head` are the host's. The payload (NULL if empty)
     * is the callee's to g_free(). Must not free the connection; close_later is what it can do.
     */
    void (*message)(void *data, const struct swpsp_msg *head, uint8_t *payload);
    /*
     * The connection is over, for the reason given. Called once, from the main loop; must free it.
     */
    void (*closed)(void *data, const char *reason);
} SwpspConnectionOps;

/* Takes over the socket. */
SwpspConnection *swpsp_connection_new(int fd, const SwpspConnectionOps *ops, void *data);
void swpsp_connection_free(SwpspConnection *connection);

/* The peer's process id by SO_PEERCRED; 0 if unknown. */
pid_t swpsp_connection_pid(const SwpspConnection *connection);

/* Sends an answer, or queues what the socket does not take. Takes over the payload (g_free()). */
void swpsp_connection_send(SwpspConnection *connection, const struct swpsp_msg *head,
                           uint8_t *payload);

/* Ends the connection from the main loop, as if the peer had. */
void swpsp_connection_close_later(SwpspConnection *connection, const char *reason);

/* Stops or resumes taking requests. */
void swpsp_connection_hold(SwpspConnection *connection, bool hold);

#endif
