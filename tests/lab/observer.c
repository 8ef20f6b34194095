/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * observer SOCKET LOG: what a client outside both hosts sees of a guest.
 *
 * Listens on the UNIX socket SOCKET, to which the QEMUs of both hosts connect the guest's serial
 * port, at the same time while a migration runs. Each complete line goes to LOG as
 *   MONOTONIC_US CONNECTION LINE
 * stamped when its last byte was read; connections come and go as lines "+open" and "+close".
 * A line that a migration cut in two stays unfinished on one connection and starts in the middle
 * on the other: readers skip what does not parse, at the price of one heartbeat.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 16
#define LINE_MAX_BYTES 512
#define READ_BYTES 4096

struct connection {
    int fd; /* -1: unused */
    unsigned id;
    size_t len;
    char line[LINE_MAX_BYTES];
};

struct observer {
    int log_fd;
    int listen_fd;
    int epoll_fd;
    unsigned next_id;
    struct connection connections[MAX_CONNECTIONS];
};

static void
die(const char *what, const char *object)
{
    fprintf(stderr, "observer: %s %s: %s\n", what, object, strerror(errno));
    exit(1);
}

static int64_t
now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
log_line(struct observer *o, int64_t at_us, unsigned id, const char *text, size_t len)
{
    char out[LINE_MAX_BYTES + 64];
    int head = snprintf(out, sizeof(out), "%lld %u ", (long long)at_us, id);
    size_t n = (size_t)head;

    for (size_t i = 0; i < len; i++) {
        /* firmware talks in escape sequences; keep the log readable */
        out[n++] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    }
    out[n++] = '\n';
    if (write(o->log_fd, out, n) != (ssize_t)n)
        die("cannot write the log", "");
}

static void
feed(struct observer *o, struct connection *c, const char *data, size_t n, int64_t at_us)
{
    for (size_t i = 0; i < n; i++) {
        if (data[i] == '\n' || c->len == LINE_MAX_BYTES) {
            if (c->len)
                log_line(o, at_us, c->id, c->line, c->len);
            c->len = 0;
        }
        if (data[i] != '\n' && data[i] != '\r')
            c->line[c->len++] = data[i];
    }
}

static void
drop(struct observer *o, struct connection *c)
{
    log_line(o, now_us(), c->id, "+close", 6);
    close(c->fd); /* also leaves the epoll set */
    c->fd = -1;
}

static void
receive(struct observer *o, struct connection *c)
{
    char data[READ_BYTES];
    ssize_t n = read(c->fd, data, sizeof(data));

    if (n > 0)
        feed(o, c, data, (size_t)n, now_us());
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        drop(o, c);
}

static void
admit(struct observer *o)
{
    int fd = accept4(o->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct connection *c = NULL;
    struct epoll_event ev = {.events = EPOLLIN};

    if (fd < 0)
        return;
    for (int i = 0; i < MAX_CONNECTIONS && !c; i++) {
        if (o->connections[i].fd < 0)
            c = &o->connections[i];
    }
    ev.data.ptr = c;
    if (!c || epoll_ctl(o->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
        fprintf(stderr, "observer: too many connections, closing one\n");
        close(fd);
        return;
    }
    *c = (struct connection){.fd = fd, .id = o->next_id++};
    log_line(o, now_us(), c->id, "+open", 5);
}

static void
open_all(struct observer *o, const char *socket_path, const char *log_path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct epoll_event ev = {.events = EPOLLIN};

    if (strlen(socket_path) >= sizeof(addr.sun_path)) {
        errno = ENAMETOOLONG;
        die("cannot listen on", socket_path);
    }
    strcpy(addr.sun_path, socket_path);
    for (int i = 0; i < MAX_CONNECTIONS; i++)
        o->connections[i].fd = -1;
    o->log_fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    if (o->log_fd < 0)
        die("cannot open", log_path);
    o->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(socket_path);
    if (o->listen_fd < 0 || bind(o->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
        listen(o->listen_fd, MAX_CONNECTIONS) < 0)
        die("cannot listen on", socket_path);
    o->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (o->epoll_fd < 0 || epoll_ctl(o->epoll_fd, EPOLL_CTL_ADD, o->listen_fd, &ev) < 0)
        die("cannot wait on", socket_path);
}

int
main(int argc, char **argv)
{
    static struct observer o = {.next_id = 1};
    struct epoll_event events[MAX_CONNECTIONS + 1];

    if (argc != 3) {
        fprintf(stderr, "usage: observer SOCKET LOG\n");
        return 2;
    }
    open_all(&o, argv[1], argv[2]);
    /* The stamps are the measurement: go before the guests that are measured. */
    if (setpriority(PRIO_PROCESS, 0, -15) < 0)
        fprintf(stderr, "observer: cannot raise the priority: %s, ignoring\n", strerror(errno));
    for (;;) {
        int n = epoll_wait(o.epoll_fd, events, MAX_CONNECTIONS + 1, -1);

        if (n < 0 && errno != EINTR)
            die("cannot wait on", argv[1]);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                receive(&o, events[i].data.ptr);
            else
                admit(&o);
        }
    }
}
