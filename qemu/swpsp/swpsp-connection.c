/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define AHEAD_MAX 8192u /* a page with its message */
#define FIRST_CHUNK (64u * 1024)
#define UNSENT_MAX (8u * 1024 * 1024)
#define READ_MAX (1024u * 1024) /* in one turn, so that no client holds up the others */

typedef struct {
    struct swpsp_msg head; /* little-endian */
    uint8_t *payload;
    size_t len; /* of head and payload */
    size_t sent;
} Outgoing;

typedef struct {
    GSource source;
    SwpspConnection *connection;
} ConnectionSource;

struct SwpspConnection {
    int fd;
    pid_t pid;
    const SwpspConnectionOps *ops;
    void *data;
    GSource *source;
    gpointer tag;
    GIOCondition events; /* that are waited for */
    bool held;
    const char *broken; /* why it has to end, found outside of the main loop */

    /* Bytes that came with others: so that a small message takes one system call, not three. */
    uint8_t ahead[AHEAD_MAX];
    size_t ahead_pos, ahead_len;
    bool drained; /* the socket had no more than was read */

    struct swpsp_msg head; /* being read: the wire's order until complete, then the host's */
    size_t head_have;
    uint8_t *payload;
    size_t payload_have, payload_size;

    GQueue out; /* Outgoing */
    size_t unsent;
};

/* A client that does not take its answers is not given more of them. */
static bool
may_read(const SwpspConnection *c)
{
    return !c->held && c->unsent < UNSENT_MAX;
}

static void
update_events(SwpspConnection *c)
{
    /* G_IO_HUP and G_IO_ERR always come. */
    GIOCondition events = 0;
    if (may_read(c))
        events |= G_IO_IN;
    if (c->unsent > 0)
        events |= G_IO_OUT;
    /* Not for nothing: it wakes the main loop up. */
    if (events != c->events)
        g_source_modify_unix_fd(c->source, c->tag, events);
    c->events = events;
}

/* What was read ahead is nothing the main loop could see. */
static void
look_ahead(SwpspConnection *c)
{
    if (c->ahead_pos < c->ahead_len && may_read(c))
        g_source_set_ready_time(c->source, 0);
}

static bool
head_valid(const struct swpsp_msg *head)
{
    return head->magic == SWPSP_MAGIC && head->version == SWPSP_VERSION && head->status == 0 &&
           head->length <= SWPSP_MAX_PAYLOAD;
}

static void
head_swap(struct swpsp_msg *head)
{
    head->magic = GUINT32_FROM_LE(head->magic);
    head->version = GUINT16_FROM_LE(head->version);
    head->op = GUINT16_FROM_LE(head->op);
    head->length = GUINT32_FROM_LE(head->length);
    head->status = GUINT32_FROM_LE(head->status);
    head->tag = GUINT64_FROM_LE(head->tag);
}

/* Room for more of the payload; false if there is no memory. */
static bool
payload_grow(SwpspConnection *c)
{
    if (c->payload_have < c->payload_size)
        return true;

    const size_t size = MIN(c->head.length, MAX(FIRST_CHUNK, 2 * c->payload_size));
    uint8_t *payload = g_try_realloc(c->payload, size);
    if (!payload)
        return false;
    c->payload = payload;
    c->payload_size = size;
    return true;
}

static const char *
deliver(SwpspConnection *c)
{
    const struct swpsp_msg head = c->head;
    uint8_t *payload = c->payload;

    c->payload = NULL;
    c->payload_have = c->payload_size = 0;
    c->head_have = 0;
    c->ops->message(c->data, &head, payload);
    return c->broken; /* if it is, nothing that follows is looked at */
}

/* One read from the socket. 1: got some; 0: nothing there; -1: the end, with a reason. */
static int
read_socket(SwpspConnection *c, void *buffer, size_t len, size_t *have, const char **reason)
{
    if (c->drained)
        return 0;

    ssize_t n = recv(c->fd, buffer, len, 0);
    if (n > 0) {
        *have += (size_t)n;
        c->drained = (size_t)n < len;
        return 1;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    *reason = n == 0 ? "closed by the client" : "read error";
    return -1;
}

/* The same, of the bytes that are there already first. */
static int
read_some(SwpspConnection *c, void *buffer, size_t len, size_t *have, const char **reason)
{
    if (c->ahead_pos == c->ahead_len) {
        if (len >= AHEAD_MAX)
            return read_socket(c, buffer, len, have, reason);
        c->ahead_pos = c->ahead_len = 0;
        const int got = read_socket(c, c->ahead, AHEAD_MAX, &c->ahead_len, reason);
        if (got <= 0)
            return got;
    }
    const size_t n = MIN(len, c->ahead_len - c->ahead_pos);
    memcpy(buffer, c->ahead + c->ahead_pos, n);
    c->ahead_pos += n;
    *have += n;
    return 1;
}

/* `drained`: only what was read ahead is to be looked at. */
static const char *
on_readable(SwpspConnection *c, bool drained)
{
    const char *reason = NULL;
    size_t total = 0;

    c->drained = drained;
    while (may_read(c) && total < READ_MAX) {
        int got;
        total += sizeof(c->head);
        if (c->head_have < sizeof(c->head)) {
            got = read_some(c, (uint8_t *)&c->head + c->head_have, sizeof(c->head) - c->head_have,
                            &c->head_have, &reason);
            if (got <= 0)
                return reason;
            if (c->head_have < sizeof(c->head))
                continue;
            head_swap(&c->head);
            if (!head_valid(&c->head))
                return "malformed header";
        }
        if (c->payload_have < c->head.length) {
            if (!payload_grow(c))
                return "out of memory";
            const size_t before = c->payload_have;
            got = read_some(c, c->payload + before, c->payload_size - before, &c->payload_have,
                            &reason);
            if (got <= 0)
                return reason;
            total += c->payload_have - before;
        }
        if (c->payload_have == c->head.length && (reason = deliver(c)) != NULL)
            return reason;
    }
    return NULL;
}

static void
outgoing_free(Outgoing *out)
{
    g_free(out->payload);
    g_free(out);
}

static const char *
flush_out(SwpspConnection *c)
{
    Outgoing *out;

    while ((out = g_queue_peek_head(&c->out)) != NULL) {
        struct iovec iov[2];
        unsigned n_iov = 0;
        if (out->sent < sizeof(out->head))
            iov[n_iov++] =
                (struct iovec){(uint8_t *)&out->head + out->sent, sizeof(out->head) - out->sent};
        const size_t done = out->sent > sizeof(out->head) ? out->sent - sizeof(out->head) : 0;
        if (out->len > sizeof(out->head))
            iov[n_iov++] = (struct iovec){out->payload + done, out->len - sizeof(out->head) - done};

        const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n_iov};
        ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? NULL : "write error";
        out->sent += (size_t)n;
        c->unsent -= (size_t)n;
        if (out->sent == out->len) {
            g_queue_pop_head(&c->out);
            outgoing_free(out);
        }
    }
    return NULL;
}

static gboolean
dispatch(GSource *source, GSourceFunc callback, gpointer user_data)
{
    SwpspConnection *c = ((ConnectionSource *)source)->connection;
    const GIOCondition events = g_source_query_unix_fd(source, c->tag);
    const char *reason = c->broken;

    g_source_set_ready_time(source, -1);
    if (!reason && events & G_IO_OUT)
        reason = flush_out(c);
    if (!reason && (events & G_IO_IN || c->ahead_pos < c->ahead_len))
        reason = on_readable(c, !(events & G_IO_IN));
    /* A peer that is gone cannot take answers: what it sent and we have not read is void. */
    if (!reason && events & (G_IO_HUP | G_IO_ERR | G_IO_NVAL))
        reason = "closed by the client";
    if (reason) {
        c->ops->closed(c->data, reason);
        return G_SOURCE_REMOVE;
    }
    update_events(c);
    look_ahead(c);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs source_funcs = {.dispatch = dispatch};

SwpspConnection *
swpsp_connection_new(int fd, const SwpspConnectionOps *ops, void *data)
{
    SwpspConnection *c = g_new0(SwpspConnection, 1);
    struct ucred cred;
    socklen_t len = sizeof(cred);

    c->fd = fd;
    c->ops = ops;
    c->data = data;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
        c->pid = cred.pid;
    g_queue_init(&c->out);
    c->source = g_source_new(&source_funcs, sizeof(ConnectionSource));
    ((ConnectionSource *)c->source)->connection = c;
    c->events = G_IO_IN;
    c->tag = g_source_add_unix_fd(c->source, fd, c->events);
    g_source_attach(c->source, NULL);
    return c;
}

void
swpsp_connection_free(SwpspConnection *c)
{
    if (!c)
        return;
    g_source_destroy(c->source);
    g_source_unref(c->source);
    g_queue_clear_full(&c->out, (GDestroyNotify)outgoing_free);
    g_free(c->payload);
    close(c->fd);
    g_free(c);
}

pid_t
swpsp_connection_pid(const SwpspConnection *c)
{
    return c->pid;
}

void
swpsp_connection_close_later(SwpspConnection *c, const char *reason)
{
    if (!c->broken)
        c->broken = reason;
    g_source_set_ready_time(c->source, 0);
}

void
swpsp_connection_send(SwpspConnection *c, const struct swpsp_msg *head, uint8_t *payload)
{
    Outgoing *out = g_new0(Outgoing, 1);

    out->head = *head;
    head_swap(&out->head);
    out->payload = payload;
    out->len = sizeof(out->head) + head->length;
    g_queue_push_tail(&c->out, out);
    c->unsent += out->len;

    const char *reason = flush_out(c);
    if (reason)
        swpsp_connection_close_later(c, reason);
    update_events(c);
}

void
swpsp_connection_hold(SwpspConnection *c, bool hold)
{
    if (c->held == hold)
        return;
    c->held = hold;
    update_events(c);
    look_ahead(c);
}
