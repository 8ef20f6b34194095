/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swpsp-client.h - a plain blocking client, for swpspctl and the tests */
#ifndef SWPSP_CLIENT_H
#define SWPSP_CLIENT_H

#include "swpsp-proto.h"

#include <glib.h>
#include <stdbool.h>

#define SWPSP_CLIENT_ERROR (swpsp_client_error_quark())
GQuark swpsp_client_error_quark(void);

typedef enum {
    SWPSP_CLIENT_ERROR_CONNECT,
    SWPSP_CLIENT_ERROR_LOST,     /* the connection ended */
    SWPSP_CLIENT_ERROR_PROTOCOL, /* an answer that makes no sense */
} SwpspClientError;

typedef struct SwpspClient SwpspClient;

/* Reads and writes give up after timeout_ms. */
SwpspClient *swpsp_client_new(const char *path, unsigned timeout_ms, GError **error);
void swpsp_client_free(SwpspClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspClient, swpsp_client_free)

/* The two halves of a call, so that several can be in flight. */
bool swpsp_client_send(SwpspClient *client, uint16_t op, const void *payload, size_t len,
                       GError **error);
/* The next answer, in order; NULL on error. The payload is followed by a zero byte not counted. */
GByteArray *swpsp_client_receive(SwpspClient *client, enum swpsp_status *status, GError **error);

GByteArray *swpsp_client_call(SwpspClient *client, uint16_t op, const void *payload, size_t len,
                              enum swpsp_status *status, GError **error);

/* The socket, to do wrong things with. */
int swpsp_client_fd(const SwpspClient *client);

#endif
