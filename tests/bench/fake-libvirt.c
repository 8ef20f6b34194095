/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake-libvirt.c - for LD_PRELOAD under sevmigd: a libvirt with FAKE_DOMAINS that migrate
 *
 * Stands for a libvirtd that runs a thousand QEMUs, which no test machine does. Domains are there
 * and migrate from the beginning; their monitors are sevmig-fake-qemus at FAKE_QEMUS. What sevmigd
 * does not call then is not here, so the real libvirt would be, and would fail.
 *
 * Files beside FAKE_QEMUS make it misbehave: "copied", libvirt's jobs began so many seconds ago,
 * with disks; "job-failures", so many first questions about jobs fail; "standing", the guests stand
 * for their migration, as without --live; "events", so many times a second the QEMU of the first
 * domain says by turns that it is about to switch over and that it is set up.
 *
 * The wall clock is ahead by the seconds that stand in the file "offset" beside FAKE_QEMUS, as no
 * test may set the real one.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <glib.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define XML                                                                                        \
    "<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='GiB'>1</memory>"              \
    "<vcpu>2</vcpu><launchSecurity type='sev'><cbitpos>51</cbitpos></launchSecurity>%s</domain>"

struct _virDomain {
    char name[32];
    char uuid[VIR_UUID_STRING_BUFLEN];
    int fd;
};

struct _virConnect {
    int references;
};

static struct _virConnect the_connection;
static struct _virDomain *domains;
static int n_domains;

/* The number in a file beside FAKE_QEMUS; 0: there is none. */
static long
number_in(const char *name)
{
    const char *qemus = getenv("FAKE_QEMUS");
    char path[256], text[32] = "";
    int fd;

    if (qemus == NULL || strrchr(qemus, '/') == NULL)
        return 0;
    snprintf(path, sizeof(path), "%.*s/%s", (int)(strrchr(qemus, '/') - qemus), qemus, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof(text) - 1) < 0)
        text[0] = '\0';
    close(fd);
    return atol(text);
}

virConnectPtr
virConnectOpen(const char *uri)
{
    n_domains = atoi(g_getenv("FAKE_DOMAINS"));
    domains = g_new0(struct _virDomain, n_domains);
    for (int i = 0; i < n_domains; i++) {
        domains[i].fd = -1;
        g_snprintf(domains[i].name, sizeof(domains[i].name), "guest-%d", i);
        g_snprintf(domains[i].uuid, sizeof(domains[i].uuid), "%08x-0000-4000-8000-000000000000",
                   (unsigned)i);
    }
    return &the_connection;
}

int
virConnectRef(virConnectPtr connection)
{
    return 0;
}

int
virConnectClose(virConnectPtr connection)
{
    return 0;
}

int
virConnectSetKeepAlive(virConnectPtr connection, int interval, unsigned int count)
{
    return 0;
}

int
virConnectRegisterCloseCallback(virConnectPtr connection, virConnectCloseFunc callback,
                                void *opaque, virFreeCallback free_opaque)
{
    return 0;
}

int
virConnectUnregisterCloseCallback(virConnectPtr connection, virConnectCloseFunc callback)
{
    return 0;
}

int
virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain, int event,
                                 virConnectDomainEventGenericCallback callback, void *opaque,
                                 virFreeCallback free_opaque)
{
    return event;
}

int
virConnectDomainEventDeregisterAny(virConnectPtr connection, int id)
{
    return 0;
}

typedef struct {
    virConnectDomainQemuMonitorEventCallback callback;
    void *opaque;
    long said;
    gint64 since_us;
} Talk;

static gboolean
talk(gpointer data)
{
    Talk *self = data;
    long due =
        number_in("events") * (long)((g_get_monotonic_time() - self->since_us) / 1000) / 1000;

    if (due == 0)
        self->since_us = g_get_monotonic_time();
    for (; self->said < due; self->said++)
        self->callback(&the_connection, &domains[0], "MIGRATION", 0, 0,
                       self->said % 2 ? "{\"status\": \"setup\"}"
                                      : "{\"status\": \"pre-switchover\"}",
                       self->opaque);
    return G_SOURCE_CONTINUE;
}

int
virConnectDomainQemuMonitorEventRegister(virConnectPtr connection, virDomainPtr domain,
                                         const char *event,
                                         virConnectDomainQemuMonitorEventCallback callback,
                                         void *opaque, virFreeCallback free_opaque,
                                         unsigned int flags)
{
    Talk *self = g_new0(Talk, 1);

    self->callback = callback;
    self->opaque = opaque;
    self->since_us = g_get_monotonic_time();
    g_timeout_add(5, talk, self);
    return 100;
}

int
virConnectDomainQemuMonitorEventDeregister(virConnectPtr connection, int id)
{
    return 0;
}

int
virConnectListAllDomains(virConnectPtr connection, virDomainPtr **list, unsigned int flags)
{
    *list = calloc((size_t)n_domains + 1, sizeof(**list));
    for (int i = 0; i < n_domains; i++)
        (*list)[i] = &domains[i];
    return n_domains;
}

int
virDomainRef(virDomainPtr domain)
{
    return 0;
}

int
virDomainFree(virDomainPtr domain)
{
    return 0;
}

const char *
virDomainGetName(virDomainPtr domain)
{
    return domain->name;
}

int
virDomainGetUUIDString(virDomainPtr domain, char *text)
{
    g_strlcpy(text, domain->uuid, VIR_UUID_STRING_BUFLEN);
    return 0;
}

int
virDomainGetState(virDomainPtr domain, int *state, int *reason, unsigned int flags)
{
    gboolean stands = number_in("standing") > 0;

    *state = stands ? VIR_DOMAIN_PAUSED : VIR_DOMAIN_RUNNING;
    if (reason != NULL)
        *reason = stands ? (int)VIR_DOMAIN_PAUSED_MIGRATION : (int)VIR_DOMAIN_RUNNING_BOOTED;
    return 0;
}

int
virDomainGetJobStats(virDomainPtr domain, int *type, virTypedParameterPtr *params, int *n_params,
                     unsigned int flags)
{
    static gint asked;
    int most = 0;

    if (g_atomic_int_add(&asked, 1) < number_in("job-failures"))
        return -1;
    *type = VIR_DOMAIN_JOB_UNBOUNDED;
    *params = NULL;
    *n_params = 0;
    if (virTypedParamsAddULLong(params, n_params, &most, VIR_DOMAIN_JOB_MEMORY_TOTAL, 1 << 30) <
            0 ||
        virTypedParamsAddULLong(params, n_params, &most, VIR_DOMAIN_JOB_TIME_ELAPSED,
                                (unsigned long long)number_in("copied") * 1000) < 0 ||
        virTypedParamsAddULLong(params, n_params, &most, VIR_DOMAIN_JOB_DISK_TOTAL,
                                number_in("copied") > 0 ? 1 << 30 : 0) < 0)
        return -1;
    return virTypedParamsAddInt(params, n_params, &most, VIR_DOMAIN_JOB_OPERATION,
                                VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT);
}

char *
virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
    const char *path = g_getenv("FAKE_METADATA"); /* a file, all domains' */
    g_autofree char *metadata = NULL;

    if (path != NULL && !g_file_get_contents(path, &metadata, NULL, NULL))
        return NULL;
    return g_strdup_printf(XML, domain->name, domain->uuid, metadata != NULL ? metadata : "");
}

static gboolean
monitor_open(virDomainPtr domain)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (domain->fd >= 0)
        return TRUE;
    domain->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(address.sun_path, g_getenv("FAKE_QEMUS"), sizeof(address.sun_path));
    return connect(domain->fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

int
virDomainQemuMonitorCommand(virDomainPtr domain, const char *command, char **result,
                            unsigned int flags)
{
    g_autofree char *line = g_strconcat(command, "\n", NULL);
    ssize_t length = (ssize_t)strlen(line);
    size_t used = 0;

    *result = g_malloc(4096);
    if (!monitor_open(domain) || write(domain->fd, line, (size_t)length) != length)
        return -1;
    while (used == 0 || (*result)[used - 1] != '\n') {
        ssize_t n = read(domain->fd, *result + used, 4095 - used);

        if (n <= 0)
            return -1;
        used += (size_t)n;
    }
    (*result)[used] = '\0';
    return 0;
}

/* --- The clock --- */

int
clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    if (real(clock, now) < 0)
        return -1;
    if (clock == CLOCK_REALTIME)
        now->tv_sec += number_in("offset");
    return 0;
}

int
gettimeofday(struct timeval *now, void *zone)
{
    struct timespec exact;

    clock_gettime(CLOCK_REALTIME, &exact);
    *now = (struct timeval){exact.tv_sec, exact.tv_nsec / 1000};
    return 0;
}
