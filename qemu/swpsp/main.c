/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* main.c - swpsp: log, pid file, signals, main loop */
#define G_LOG_DOMAIN "swpsp"

#include "sevmig-config.h"
#include "swpsp-options.h"
#include "swpsp-sandbox.h"
#include "swpsp-server.h"

#include <glib-unix.h>
#include <glib/gstdio.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * Where log lines go: standard error unless --log. The time zone is looked up once: in the sandbox
 * it cannot be.
 */
static FILE *log_file;
static GTimeZone *log_zone;

static GLogWriterOutput
log_write(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer verbose)
{
    if (level & G_LOG_LEVEL_DEBUG && !*(const gboolean *)verbose)
        return G_LOG_WRITER_HANDLED;

    const char *message = "";
    g_autoptr(GDateTime) now = g_date_time_new_now(log_zone);
    g_autofree char *stamp = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%f");
    for (gsize i = 0; i < n_fields; i++) {
        if (g_str_equal(fields[i].key, "MESSAGE"))
            message = fields[i].value;
    }
    fprintf(log_file, "%s swpsp[%d]: %s\n", stamp, (int)getpid(), message);
    fflush(log_file);
    return G_LOG_WRITER_HANDLED;
}

static SwpspFirmware *
make_firmware(const SwpspOptions *options, GError **error)
{
    SwpspLimits limits;
    SwpspCost cost;
    SwpspPlatform platform;
    g_autoptr(SwpspKey) domain_ca = NULL;

    if (!swpsp_options_limits(options, &limits, error) ||
        !swpsp_options_cost(options, &cost, error) ||
        !swpsp_options_platform(options, &platform, error))
        return NULL;
    if (options->domain_ca &&
        !(domain_ca = swpsp_identity_load_domain_ca(options->domain_ca, error)))
        return NULL;

    platform.domain_ca = domain_ca;
    g_autoptr(SwpspIdentity) identity = swpsp_identity_load(options->state, &platform, error);
    return identity ? swpsp_firmware_new(g_steal_pointer(&identity), &limits, &cost) : NULL;
}

/* To the service manager, if there is one that wants to know (sd_notify(3)); otherwise -1. */
static int
manager_connect(void)
{
    const char *path = g_getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!path || strlen(path) >= sizeof(address.sun_path))
        return -1;
    strcpy(address.sun_path, path);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const void *)&address, sizeof(address)) != 0) {
        g_warning("%s: the service manager does not listen, ignoring", path);
        close(fd);
        return -1;
    }
    return fd;
}

static void
manager_tell_ready(int fd)
{
    static const char ready[] = "READY=1";

    if (fd < 0)
        return;
    if (write(fd, ready, strlen(ready)) < 0)
        g_warning("the service manager was not told that it is ready, ignoring");
    close(fd);
}

/* The order matters: see swpsp-sandbox.h. */
static SwpspServer *
start(const SwpspOptions *options, GError **error)
{
    SwpspServerConfig config;

    if (!swpsp_options_server(options, &config, error) ||
        (options->user && !swpsp_sandbox_become(options->user, error)))
        return NULL;
    swpsp_sandbox_protect_memory();
    SwpspFirmware *firmware = make_firmware(options, error);
    g_autoptr(SwpspServer) server = firmware ? swpsp_server_new(firmware, &config, error) : NULL;
    if (!server)
        return NULL;

    /* Not before it is known that no other one serves that socket; the socket itself comes last. */
    if (options->pid_file) {
        g_autofree char *pid = g_strdup_printf("%ld\n", (long)getpid());
        if (!g_file_set_contents(options->pid_file, pid, -1, error))
            return NULL;
    }
    if (!swpsp_sandbox_has_filter())
        g_warning("built without libseccomp: system calls are not restricted");
    g_message("serving %s, time scale %d", options->socket, options->time_scale);
    const int manager_fd = manager_connect();
    if (!swpsp_sandbox_enter(config.max_clients, swpsp_server_memory_bytes(config.max_clients),
                             error) ||
        !swpsp_server_open(server, error))
        return NULL;
    manager_tell_ready(manager_fd);
    return g_steal_pointer(&server);
}

static gboolean
on_signal(gint fd, GIOCondition condition, gpointer loop)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) == sizeof(info))
        g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

/*
 * Signals come through a descriptor: GLib's own way is a thread, and with one thread there is
 * nothing for the sandbox to forget.
 */
static int
watch_signals(GMainLoop *loop)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    const int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd >= 0)
        g_unix_fd_add(fd, G_IO_IN, on_signal, loop);
    return fd;
}

static int
serve(const SwpspOptions *options)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    const int signal_fd = watch_signals(loop);
    g_autoptr(SwpspServer) server = start(options, &error);

    if (signal_fd < 0 || !server) {
        g_warning("%s", error ? error->message : "cannot watch signals");
        return EXIT_FAILURE;
    }
    g_main_loop_run(loop);
    g_message("stopping");
    if (options->pid_file)
        (void)g_unlink(options->pid_file);
    close(signal_fd);
    return EXIT_SUCCESS;
}

/* What is only printed. */
static int
print(SwpspOptions *options)
{
    if (options->version) {
        printf("swpsp %s\n", SEVMIG_VERSION);
    } else {
        g_autofree char *text = swpsp_options_to_text(options);
        fputs(text, stdout);
    }
    return EXIT_SUCCESS;
}

/*
 * Buffers of megabytes come and go with each request. By default each would be a new mapping, and
 * faulting its pages in costs several times what encrypting them does. Who has set it in the
 * environment has the last word: where memory that is free goes back at once, a leak shows.
 */
static void
keep_memory(void)
{
#ifdef __GLIBC__
    if (g_getenv("MALLOC_MMAP_THRESHOLD_"))
        return;
    mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024); /* the most it takes */
    mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
#endif
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_auto(SwpspOptions) options = {0};

    setlocale(LC_ALL, "");
    keep_memory();
    log_file = stderr;
    if (!swpsp_options_parse(&options, argv, &error)) {
        fprintf(stderr, "swpsp: %s\n", error->message);
        return 2;
    }
    if (options.version || options.print_config)
        return print(&options);
    if (options.log && !(log_file = fopen(options.log, "ae"))) {
        perror(options.log);
        return EXIT_FAILURE;
    }
    log_zone = g_time_zone_new_local();
    g_log_set_writer_func(log_write, &options.verbose, NULL);
    return serve(&options);
}
