/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake-qemus.c - the monitors of many QEMUs whose guests migrate, for `lab bench daemon`
 *
 * usage: sevmig-fake-qemus SOCKET
 *
 * Each connection is one QEMU; each line is a command, and each is answered as x-sev-migration-tune
 * is in pre-copy, with counters that go on with time. Ticks are timed where they arrive: how much
 * later than a tick after the one before; guests that are told to pause, and to run again, are
 * counted. SIGUSR1 begins to count; SIGTERM prints JSON and ends.
 */
#include <glib-unix.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TICK_US 100000
#define MOST_SAMPLES (1u << 22)
#define PAGES_PER_S 1600
#define PAGES 262144u

typedef struct {
    int fd;
    gint64 begun_us;
    gint64 newest_us;
    gboolean paused;
} Monitor;

typedef struct {
    float *late_ms;
    guint n;
    gboolean counts;
    gint64 since_us;
    guint pauses; /* that were begun */
    guint paused; /* guests that are now */
} Ticks;

/* A guest in its second pass, which dirties as fast as it is sent. */
static int
answer_format(char *text, size_t size, gint64 elapsed_us, gboolean paused)
{
    guint64 pages = (guint64)elapsed_us * PAGES_PER_S / G_USEC_PER_SEC;
    guint64 syncs = 2 + (guint64)elapsed_us / 5000000;
    guint64 counters[] = {pages / 16, pages / 4, pages, pages * 4180};

    return snprintf(
        text, size,
        "{\"return\": {\"firmware\": \"soft\", \"guest-state\": \"sending\", \"limits\": "
        "{\"max-command-pages\": 4, \"max-batch-pages\": 512}, \"tune\": {\"batch-pages\": 16, "
        "\"batch-gap-pages\": 0, \"vcpu-throttle\": 20, \"throttle-slice-us\": 10000, "
        "\"sync-interval-ms\": 0, \"switchover\": \"hold\", \"hold-sending\": false, \"pause\": "
        "%s, "
        "\"lease-ms\": "
        "2000, \"lease-remaining-ms\": 2000}, \"ram\": {\"page-size\": 4096, \"private-pages\": "
        "%u, "
        "\"shared-pages\": 512, \"remaining-pages\": %u, \"pass\": 2, \"pass-elapsed-us\": "
        "%" G_GINT64_FORMAT ", \"sync-count\": %" G_GUINT64_FORMAT
        ", \"sync-dirtied-pages\": 9000, "
        "\"sync-interval-us\": 5000000, \"sync-guest-cpu-us\": 4000000}, \"send\": "
        "{\"submissions\": %" G_GUINT64_FORMAT ", \"commands\": %" G_GUINT64_FORMAT
        ", \"pages\": %" G_GUINT64_FORMAT ", \"gap-pages\": 0, \"bytes\": %" G_GUINT64_FORMAT
        ", \"service-us\": %" G_GINT64_FORMAT ", \"wait-us\": 0, \"channel-us\": 100, "
        "\"contiguity-splits\": 3, \"run-histogram\": [10, 20, 30, 40, 50, 60, 0, 0]}, "
        "\"receive\": {\"submissions\": 0, \"commands\": 0, \"pages\": 0, \"gap-pages\": 0, "
        "\"bytes\": 0, \"service-us\": 0, \"wait-us\": 0, \"channel-us\": 0, "
        "\"contiguity-splits\": 0, \"run-histogram\": []}, \"vcpus\": [{\"cpu-index\": 0, "
        "\"throttle\": 20, \"cpu-us\": %" G_GINT64_FORMAT ", \"throttled-us\": %" G_GINT64_FORMAT
        ", \"dirtied-pages\": %" G_GUINT64_FORMAT "}, {\"cpu-index\": 1, \"throttle\": 20, "
        "\"cpu-us\": 1000, \"throttled-us\": 100, \"dirtied-pages\": 5}], \"switchover\": "
        "{\"expected-us\": 900000}}}\n",
        paused ? "true" : "false", PAGES, PAGES / 2, elapsed_us, syncs, counters[0], counters[1],
        counters[2], counters[3], elapsed_us / 2, elapsed_us * 4 / 5, elapsed_us / 5, pages);
}

static void
tick_count(Ticks *ticks, Monitor *monitor, gint64 now_us)
{
    gint64 late_us = now_us - monitor->newest_us - TICK_US;

    if (ticks->counts && monitor->newest_us >= ticks->since_us && ticks->n < MOST_SAMPLES)
        ticks->late_ms[ticks->n++] = (float)MAX(late_us, 0) / 1000;
    monitor->newest_us = now_us;
}

static void
pause_take(Ticks *ticks, Monitor *monitor, const char *command)
{
    gboolean on = strstr(command, "\"pause\":true") != NULL;

    if (!on && strstr(command, "\"pause\":false") == NULL)
        return;
    if (strstr(command, "\"lease-ms\"") == NULL) {
        fprintf(stderr, "a pause without a lease\n");
        exit(1);
    }
    ticks->pauses += on && !monitor->paused;
    ticks->paused += (guint)on - (guint)monitor->paused;
    monitor->paused = on;
}

/* FALSE: the other side has hung up. One command at a time is under way on a monitor. */
static gboolean
monitor_serve(Monitor *monitor, Ticks *ticks)
{
    gint64 now_us = g_get_monotonic_time();
    char text[4096];
    ssize_t n = read(monitor->fd, text, sizeof(text));
    int length;

    if (n <= 0)
        return FALSE;
    if (text[n - 1] != '\n') {
        fprintf(stderr, "a command in parts, or too long\n");
        exit(1);
    }
    text[n - 1] = '\0';
    tick_count(ticks, monitor, now_us);
    pause_take(ticks, monitor, text);
    length = answer_format(text, sizeof(text), now_us - monitor->begun_us, monitor->paused);
    return write(monitor->fd, text, (size_t)length) == length;
}

static int
compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static void
report(Ticks *ticks)
{
    guint missed = 0;

    qsort(ticks->late_ms, ticks->n, sizeof(float), compare);
    for (guint i = 0; i < ticks->n; i++)
        missed +=
            (guint)(ticks->late_ms[i] / (TICK_US / 1000)); /* whole ticks that were left out */
    printf("{\"ticks\": %u, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"worst_ms\": %.3f, "
           "\"missed\": %u, \"pauses\": %u, \"paused\": %u, \"us\": "
           "%" G_GINT64_FORMAT "}\n",
           ticks->n, ticks->n ? ticks->late_ms[ticks->n / 2] : 0,
           ticks->n ? ticks->late_ms[(gsize)ticks->n * 99 / 100] : 0,
           ticks->n ? ticks->late_ms[ticks->n - 1] : 0, missed, ticks->pauses, ticks->paused,
           g_get_monotonic_time() - ticks->since_us);
}

static int
listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof(address.sun_path));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1024) < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

static void
watch(int epoll, Monitor *monitor)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = monitor};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, monitor->fd, &event) < 0) {
        perror("epoll");
        exit(1);
    }
}

static Monitor *
monitor_new(int fd)
{
    Monitor *monitor = g_new0(Monitor, 1);

    monitor->fd = fd;
    monitor->begun_us = g_get_monotonic_time();
    return monitor;
}

/* FALSE: it is over. */
static gboolean
take_signal(int fd, Ticks *ticks)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGUSR1)
        return FALSE;
    ticks->counts = TRUE;
    ticks->since_us = g_get_monotonic_time();
    ticks->n = 0;
    return TRUE;
}

int
main(int argc, char **argv)
{
    Ticks ticks = {.late_ms = g_new(float, MOST_SAMPLES)};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event;
    sigset_t set;
    Monitor *listener, *signals;

    if (argc != 2)
        return 2;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    listener = monitor_new(listen_at(argv[1]));
    signals = monitor_new(signalfd(-1, &set, SFD_CLOEXEC));
    watch(epoll, listener);
    watch(epoll, signals);
    while (epoll_wait(epoll, &event, 1, -1) == 1) {
        Monitor *monitor = event.data.ptr;

        if (monitor == listener)
            watch(epoll, monitor_new(accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC)));
        else if (monitor == signals && !take_signal(signals->fd, &ticks))
            break;
        else if (monitor != signals && !monitor_serve(monitor, &ticks))
            close(monitor->fd);
    }
    report(&ticks);
    return 0;
}
