/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-listener.h - a socket that clients connect to
 *
 * The socket exists under a name of its own first, and appears at its path with the right mode and
 * group, listening: the path is never there without somebody who answers. Works on the default main
 * context; one thread.
 */
#ifndef SWPSP_LISTENER_H
#define SWPSP_LISTENER_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct SwpspListener SwpspListener;

/* A client has connected; the callee owns `fd`, which does not block. */
typedef void (*SwpspAcceptFunc)(void *data, int fd);

#define SWPSP_LISTENER_ERROR (swpsp_listener_error_quark())
GQuark swpsp_listener_error_quark(void);

typedef enum {
    SWPSP_LISTENER_ERROR_SOCKET,
    SWPSP_LISTENER_ERROR_IN_USE, /* another process serves that socket */
} SwpspListenerError;

/* `mode` as chmod(); `group` (gid_t)-1: leave it. Nothing appears at `path` yet. */
SwpspListener *swpsp_listener_new(const char *path, unsigned mode, gid_t group,
                                  SwpspAcceptFunc accepted, void *data, GError **error);

/* Lets the socket appear. */
bool swpsp_listener_open(SwpspListener *listener, GError **error);

const char *swpsp_listener_path(const SwpspListener *listener);

/* Removes the socket. */
void swpsp_listener_free(SwpspListener *listener);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspListener, swpsp_listener_free)

#endif
