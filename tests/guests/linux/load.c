/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Linux guest's load generator: runs the load of ../common/workload.h on most of the memory
 * and tells about it on the serial port. Parameters come with the kernel's command line, as the
 * tiny guest's do, and two more, in percent of the memory that is available: fill= is what the load
 * gets (default 80); used= is written and given back before, so that the guest has free memory like
 * one that has been running for a while (default 0).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../common/workload.h"

#define IDLE_US 1000
#define CALIBRATION_ROUNDS 20000u
#define DEFAULT_FILL_PERCENT 80u
#define DEFAULT_USED_PERCENT 0u

static int serial_fd = 2;

static void
die(const char *what)
{
    dprintf(serial_fd, "fatal: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t
clock_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void
serial_write(const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(serial_fd, data, len);

        if (n < 0 && errno != EINTR)
            die("cannot write to the serial port");
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
}

static void
serial_open(const char *path)
{
    struct termios t;
    int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        die(path);
    if (tcgetattr(fd, &t) == 0) {
        cfmakeraw(&t);
        cfsetspeed(&t, B115200);
        tcsetattr(fd, TCSANOW, &t);
    }
    serial_fd = fd;
}

static void
read_file(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    if (n < 0)
        die(path);
    buf[n] = '\0';
    close(fd);
}

/* Pages that a word like "fill=" of the command line asks for. */
static uint32_t
pages_to_use(const char *cmdline, const char *key, unsigned long percent)
{
    char meminfo[4096];
    const char *word = strstr(cmdline, key), *available;
    unsigned long long kib;

    if (word)
        percent = strtoul(word + strlen(key), NULL, 10);
    read_file("/proc/meminfo", meminfo, sizeof(meminfo));
    available = strstr(meminfo, "MemAvailable:");
    errno = EINVAL;
    if (!available || percent > 95)
        die("fill= and used= must be percentages up to 95");
    kib = strtoull(available + 13, NULL, 10) * percent / 100;
    return (uint32_t)(kib * 1024 / WL_PAGE_SIZE);
}

static void *
get_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                   -1, 0);

    if (p == MAP_FAILED)
        die("cannot get the memory");
    return p;
}

static void
use_and_free(size_t bytes)
{
    void *p = bytes ? get_memory(bytes) : NULL;

    if (p) {
        memset(p, 0x5a, bytes);
        munmap(p, bytes);
    }
}

static uint32_t
calibrate_cost(uint32_t cost_us)
{
    uint64_t best_us = UINT64_MAX;

    for (uint32_t i = 0; i < 5; i++) {
        uint64_t start_us = clock_us();
        volatile uint32_t used = wl_burn(CALIBRATION_ROUNDS, i);
        uint64_t took_us = clock_us() - start_us;

        (void)used;
        if (took_us < best_us)
            best_us = took_us;
    }
    return (uint32_t)((uint64_t)cost_us * CALIBRATION_ROUNDS / (best_us ? best_us : 1));
}

static void
run(struct workload *w)
{
    const uint64_t beat_us = (uint64_t)w->p.beat_ms * 1000;
    const struct timespec idle = {.tv_nsec = IDLE_US * 1000L};
    char line[WL_LINE_MAX];
    uint64_t seq = 0, next_beat_us = 0;

    for (;;) {
        uint64_t now_us = clock_us();

        if (now_us >= next_beat_us) {
            serial_write(line, wl_heartbeat(w, line, seq++, now_us));
            next_beat_us += beat_us;
            if (next_beat_us <= now_us)
                next_beat_us = now_us + beat_us;
        }
        if (!wl_step(w, now_us))
            nanosleep(&idle, NULL);
    }
}

int
main(int argc, char **argv)
{
    static struct workload load;
    static char cmdline[4096];
    struct wl_params params;
    const char *bad;
    char line[WL_LINE_MAX];
    uint32_t n_pages;
    uint32_t *pages;

    if (argc != 2) {
        fprintf(stderr, "usage: load SERIAL_PORT\n");
        return 2;
    }
    serial_open(argv[1]);
    read_file("/proc/cmdline", cmdline, sizeof(cmdline));
    wl_defaults(&params);
    if (!wl_parse(&params, cmdline, &bad)) {
        errno = EINVAL;
        die(bad);
    }
    n_pages = pages_to_use(cmdline, "fill=", DEFAULT_FILL_PERCENT);
    use_and_free((size_t)pages_to_use(cmdline, "used=", DEFAULT_USED_PERCENT) * WL_PAGE_SIZE);
    pages = get_memory((size_t)n_pages * WL_PAGE_SIZE);
    params.cost_rounds = calibrate_cost(params.cost_us);
    wl_init(&load, &params, pages, get_memory((size_t)n_pages * sizeof(uint32_t)), n_pages);
    serial_write(line, wl_ready(&load, line));
    run(&load);
}
