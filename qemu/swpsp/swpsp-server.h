/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-server.h - the one serial firmware that all clients share
 *
 * Requests of all clients are served first come, first served, one at a time, each for as long as
 * the cost model says. The firmware's own clock makes this exact: a request starts when it has
 * arrived and the one before it is due to end, whatever the real clock did meanwhile, and its
 * answer is sent when it is due to end. Real encryption is part of that time, not added to it; if
 * it takes longer than the model allows, the firmware is that much slower.
 *
 * There are two sockets: the firmware's, for guests, and one beside it for its owner alone, which
 * takes control commands, too.
 */
#ifndef SWPSP_SERVER_H
#define SWPSP_SERVER_H

#include "swpsp-firmware.h"
#include "swpsp-stats.h"

#include <glib.h>

typedef struct {
    const char *path; /* of the firmware's socket; control's is this with SWPSP_CONTROL_SUFFIX */
    unsigned mode;    /* of the firmware's socket, as chmod(); control's is 0600 */
    gid_t group;      /* of the firmware's socket; (gid_t)-1: leave it */
    unsigned max_clients;
} SwpspServerConfig;

typedef struct SwpspServer SwpspServer;

/*
 * Takes over the firmware. Everything is ready but the sockets do not appear yet. NULL on error
 * (one is: another process serves that path); the firmware is then freed.
 */
SwpspServer *swpsp_server_new(SwpspFirmware *firmware, const SwpspServerConfig *config,
                              GError **error);

/* The most address space a server may need. */
size_t swpsp_server_memory_bytes(unsigned max_clients);

/* Takes over a connected, non-blocking socket, as if it had come by that of the firmware or of
 * control. */
void swpsp_server_accept(SwpspServer *server, int fd, bool control);

/* Lets the sockets appear, listening. */
bool swpsp_server_open(SwpspServer *server, GError **error);

/* Removes the sockets, drops all clients. */
void swpsp_server_free(SwpspServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspServer, swpsp_server_free)

#endif
