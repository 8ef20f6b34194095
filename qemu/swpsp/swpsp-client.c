/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

struct SwpspClient {
    int fd;
    uint64_t sent, received; /* tags */
};

G_DEFINE_QUARK(swpsp - client - error - quark, swpsp_client_error)

SwpspClient *
swpsp_client_new(const char *path, unsigned timeout_ms, GError **error)
{
    const struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                                    .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autoptr(SwpspClient) client = g_new0(SwpspClient, 1);

    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (strlen(path) >= sizeof(address.sun_path))
        errno = ENAMETOOLONG;
    else if (client->fd >= 0) {
        strcpy(address.sun_path, path);
        if (setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0 &&
            setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
            connect(client->fd, (const void *)&address, sizeof(address)) == 0)
            return g_steal_pointer(&client);
    }
    g_set_error(error, SWPSP_CLIENT_ERROR, SWPSP_CLIENT_ERROR_CONNECT, "cannot connect to %s: %s",
                path, g_strerror(errno));
    return NULL;
}

void
swpsp_client_free(SwpspClient *client)
{
    if (!client)
        return;
    if (client->fd >= 0)
        close(client->fd);
    g_free(client);
}

int
swpsp_client_fd(const SwpspClient *client)
{
    return client->fd;
}

static bool
lost(GError **error, const char *reason)
{
    g_set_error(error, SWPSP_CLIENT_ERROR, SWPSP_CLIENT_ERROR_LOST, "connection to swpsp: %s",
                reason);
    return false;
}

static bool
write_all(int fd, const void *data, size_t len, GError **error)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lost(error, g_strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool
read_all(int fd, void *data, size_t len, GError **error)
{
    uint8_t *p = data;

    while (len > 0) {
        ssize_t n = recv(fd, p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return lost(error, n == 0 ? "closed" : g_strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool
swpsp_client_send(SwpspClient *client, uint16_t op, const void *payload, size_t len, GError **error)
{
    const struct swpsp_msg head = {
        .magic = GUINT32_TO_LE(SWPSP_MAGIC),
        .version = GUINT16_TO_LE(SWPSP_VERSION),
        .op = GUINT16_TO_LE(op),
        .length = GUINT32_TO_LE((uint32_t)len),
        .tag = GUINT64_TO_LE(++client->sent),
    };
    /* In one go, or swpsp is woken for the head alone. */
    struct iovec iov[] = {{(void *)&head, sizeof(head)}, {(void *)payload, len}};
    const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = G_N_ELEMENTS(iov)};
    ssize_t n;
    do
        n = sendmsg(client->fd, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return lost(error, g_strerror(errno));
    const size_t of_head = MIN((size_t)n, sizeof(head)), of_payload = (size_t)n - of_head;
    return write_all(client->fd, (const uint8_t *)&head + of_head, sizeof(head) - of_head, error) &&
           write_all(client->fd, (const uint8_t *)payload + of_payload, len - of_payload, error);
}

GByteArray *
swpsp_client_receive(SwpspClient *client, enum swpsp_status *status, GError **error)
{
    struct swpsp_msg head;

    if (!read_all(client->fd, &head, sizeof(head), error))
        return NULL;
    const uint32_t len = GUINT32_FROM_LE(head.length);
    if (GUINT32_FROM_LE(head.magic) != SWPSP_MAGIC ||
        GUINT16_FROM_LE(head.version) != SWPSP_VERSION ||
        GUINT64_FROM_LE(head.tag) != ++client->received || len > 2 * SWPSP_MAX_PAYLOAD) {
        g_set_error_literal(error, SWPSP_CLIENT_ERROR, SWPSP_CLIENT_ERROR_PROTOCOL,
                            "not an answer of swpsp");
        return NULL;
    }

    g_autoptr(GByteArray) payload = g_byte_array_sized_new(len + 1);
    g_byte_array_set_size(payload, len + 1);
    if (!read_all(client->fd, payload->data, len, error))
        return NULL;
    payload->data[len] = 0;
    g_byte_array_set_size(payload, len);
    *status = GUINT32_FROM_LE(head.status);
    return g_steal_pointer(&payload);
}

GByteArray *
swpsp_client_call(SwpspClient *client, uint16_t op, const void *payload, size_t len,
                  enum swpsp_status *status, GError **error)
{
    return swpsp_client_send(client, op, payload, len, error)
               ? swpsp_client_receive(client, status, error)
               : NULL;
}
