/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "swpsp"

#include "swpsp-listener.h"

#include "swpsp-sandbox.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct SwpspListener {
    char *path, *tmp_path; /* tmp_path until it is opened */
    bool open;
    int fd;
    guint source;
    SwpspAcceptFunc accepted;
    void *data;
};

G_DEFINE_QUARK(swpsp - listener - error - quark, swpsp_listener_error)

static bool
fail(GError **error, const char *what, const char *path)
{
    g_set_error(error, SWPSP_LISTENER_ERROR, SWPSP_LISTENER_ERROR_SOCKET, "%s %s: %s", what, path,
                swpsp_sandbox_strerror(errno));
    return false;
}

static gboolean
on_accept(gint fd, GIOCondition condition, gpointer data)
{
    SwpspListener *listener = data;
    int client_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (client_fd >= 0) {
        listener->accepted(listener->data, client_fd);
    } else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
        g_warning("accept: %s, ignoring", swpsp_sandbox_strerror(errno));
        g_usleep(10000); /* out of descriptors: do not spin */
    }
    return G_SOURCE_CONTINUE;
}

static bool
set_address(struct sockaddr_un *address, const char *path, GError **error)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) < sizeof(address->sun_path)) {
        strcpy(address->sun_path, path);
        return true;
    }
    errno = ENAMETOOLONG;
    return fail(error, "socket", path);
}

/* Whether somebody answers at that path. */
static bool
in_use(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answered = connect(fd, (const void *)address, sizeof(*address)) == 0;
    close(fd);
    return answered;
}

static bool
listen_hidden(SwpspListener *listener, unsigned mode, gid_t group, GError **error)
{
    struct sockaddr_un address;

    if (!set_address(&address, listener->path, error))
        return false;
    if (in_use(&address)) {
        g_set_error(error, SWPSP_LISTENER_ERROR, SWPSP_LISTENER_ERROR_IN_USE,
                    "%s: another process serves this socket", listener->path);
        return false;
    }
    if (!set_address(&address, listener->tmp_path, error))
        return false;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return fail(error, "socket", listener->path);

    (void)unlink(listener->tmp_path);
    const mode_t mask = umask(0177);
    const bool bound = bind(listener->fd, (const void *)&address, sizeof(address)) == 0;
    umask(mask);
    if (!bound || listen(listener->fd, 16) != 0 ||
        (group != (gid_t)-1 && chown(listener->tmp_path, (uid_t)-1, group) != 0) ||
        chmod(listener->tmp_path, mode) != 0)
        return fail(error, "cannot listen at", listener->path);
    return true;
}

SwpspListener *
swpsp_listener_new(const char *path, unsigned mode, gid_t group, SwpspAcceptFunc accepted,
                   void *data, GError **error)
{
    g_autoptr(SwpspListener) listener = g_new0(SwpspListener, 1);

    listener->fd = -1;
    listener->path = g_strdup(path);
    listener->tmp_path = g_strdup_printf("%s.%ld", path, (long)getpid());
    listener->accepted = accepted;
    listener->data = data;
    if (!listen_hidden(listener, mode, group, error))
        return NULL;
    listener->source = g_unix_fd_add(listener->fd, G_IO_IN, on_accept, listener);
    return g_steal_pointer(&listener);
}

bool
swpsp_listener_open(SwpspListener *listener, GError **error)
{
    if (rename(listener->tmp_path, listener->path) != 0)
        return fail(error, "cannot listen at", listener->path);
    listener->open = true;
    return true;
}

const char *
swpsp_listener_path(const SwpspListener *listener)
{
    return listener->path;
}

void
swpsp_listener_free(SwpspListener *listener)
{
    if (!listener)
        return;
    if (listener->fd >= 0) {
        (void)unlink(listener->open ? listener->path : listener->tmp_path);
        close(listener->fd);
    }
    g_clear_handle_id(&listener->source, g_source_remove);
    g_free(listener->path);
    g_free(listener->tmp_path);
    g_free(listener);
}
