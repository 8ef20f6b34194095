/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-server.h - the one serial firmware that all clients share
 *
 * Requests of all clients are served first come, first served, one at a time, each for as long as
 * the cost model says. The firmware's own clock makes this exact: a request starts when it has
 * arrived and the one before it is due to end, whatever the real clock did meanwhile, and its
 * answer is sent when it is due to end. Real encryption is part of that time, not added to it; if
 * it takes longer than the model allows, the firmware is that much slower.
 */
#ifndef SWPSP_SERVER_H
#define SWPSP_SERVER_H

#include "swpsp-firmware.h"
#include "swpsp-stats.h"

#include <glib.h>

typedef struct {
    const char *path; /* of the socket */
    unsigned mode;    /* of the socket, as chmod() */
    gid_t group;      /* of the socket; (gid_t)-1: leave it */
    unsigned max_clients;
} SwpspServerConfig;

typedef struct SwpspServer SwpspServer;

#define SWPSP_SERVER_ERROR (swpsp_server_error_quark())
GQuark swpsp_server_error_quark(void);

typedef enum {
    SWPSP_SERVER_ERROR_SOCKET,
    SWPSP_SERVER_ERROR_IN_USE, /* another process serves that socket */
} SwpspServerError;

/*
 * Takes over the firmware. Everything is ready but the socket does not appear yet. NULL on error
 * (one is: another process serves that path); the firmware is then freed.
 */
SwpspServer *swpsp_server_new(SwpspFirmware *firmware, const SwpspServerConfig *config,
                              GError **error);

/* The most address space a server may need. */
size_t swpsp_server_memory_bytes(unsigned max_clients);

/* Lets the socket appear, listening. */
bool swpsp_server_open(SwpspServer *server, GError **error);

/* Removes the socket, drops all clients. */
void swpsp_server_free(SwpspServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspServer, swpsp_server_free)

#endif
