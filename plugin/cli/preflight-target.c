/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt on the destination says of a domain that is to come. Policies and the hook of that
 * host are not seen: sevmigd has no network.
 */
#include <libvirt/virterror.h>
#include <string.h>

#include "capabilities.h"
#include "libvirt-error.h"
#include "preflight.h"

/* What a destination must have of a domain. */
typedef struct {
    char *type, *arch, *machine, *emulator;
    char *cpu; /* as XML; NULL where there is nothing to compare */
} Needs;

static void
needs_clear(Needs *self)
{
    g_free(self->type);
    g_free(self->arch);
    g_free(self->machine);
    g_free(self->emulator);
    g_free(self->cpu);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Needs, needs_clear)

static void
needs_read(const SevmigXmlNode *domain, Needs *self)
{
    const SevmigXmlNode *os = sevmig_xml_child(domain, "", "os");
    const SevmigXmlNode *type = os != NULL ? sevmig_xml_child(os, "", "type") : NULL;
    const SevmigXmlNode *devices = sevmig_xml_child(domain, "", "devices");
    const SevmigXmlNode *emulator =
        devices != NULL ? sevmig_xml_child(devices, "", "emulator") : NULL;
    const SevmigXmlNode *cpu = sevmig_xml_child(domain, "", "cpu");

    self->type = g_strdup(sevmig_xml_attr(domain, "type"));
    self->arch = type != NULL ? g_strdup(sevmig_xml_attr(type, "arch")) : NULL;
    self->machine = type != NULL ? g_strdup(sevmig_xml_attr(type, "machine")) : NULL;
    self->emulator = emulator != NULL ? sevmig_xml_text(emulator) : NULL;
    /* libvirt names the model of a running domain; where the host's own is passed through it has
     * none, and whether two hosts are alike nobody can tell it. */
    if (cpu != NULL && sevmig_xml_child(cpu, "", "model") != NULL)
        self->cpu = sevmig_xml_to_text(cpu);
}

static char *
host_uuid(virConnectPtr connection)
{
    g_autoptr(SevmigXmlDoc) doc = capabilities_read(virConnectGetCapabilities(connection));
    const SevmigXmlNode *host = doc != NULL ? sevmig_xml_child(doc->root, "", "host") : NULL;
    const SevmigXmlNode *uuid = host != NULL ? sevmig_xml_child(host, "", "uuid") : NULL;
    return uuid != NULL ? sevmig_xml_text(uuid) : NULL;
}

static void
check_other_host(Preflight *self, virConnectPtr target)
{
    g_autofree char *here = host_uuid(self->of.connection);
    g_autofree char *there = host_uuid(target);
    if (here == NULL || there == NULL)
        checks_add(self->checks, "another host", CHECK_UNKNOWN,
                   "libvirt does not say which host it is",
                   "compare <uuid> in \"virsh capabilities\" of both");
    else if (strcmp(here, there) == 0)
        checks_add(self->checks, "another host", CHECK_BAD, "both have the same UUID",
                   "name the other host; two that share one need a host_uuid in libvirtd.conf");
    else
        checks_add(self->checks, "another host", CHECK_GOOD, "yes", "");
}

static void
check_name(Preflight *self, virConnectPtr target)
{
    virDomainPtr namesake = virDomainLookupByName(target, self->name);
    virDomainPtr twin = virDomainLookupByUUIDString(target, self->uuid);
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    if (namesake != NULL)
        virDomainGetUUIDString(namesake, uuid);
    gboolean taken = namesake != NULL && strcmp(uuid, self->uuid) != 0;
    gboolean runs = twin != NULL && virDomainIsActive(twin) == 1;
    checks_add(self->checks, "name there", taken || runs ? CHECK_BAD : CHECK_GOOD,
               taken  ? "another domain has it"
               : runs ? "this domain runs there too"
                      : "free",
               taken ? "rename one of them with \"virsh domrename\""
                     : "find out which of the two is the right one before anything else");
    if (namesake != NULL)
        virDomainFree(namesake);
    if (twin != NULL)
        virDomainFree(twin);
}

/* The emulator must be there, know the machine, and find firmware. */
static void
check_emulator(Preflight *self, virConnectPtr target, const Needs *needs)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = g_strdup_printf("%s, %s", needs->emulator, needs->machine);
    char *text = virConnectGetDomainCapabilities(target, needs->emulator, needs->arch,
                                                 needs->machine, needs->type, 0);
    if (text == NULL) {
        sevmig_libvirt_error_set(&error, "%s", needs->emulator);
        checks_add(self->checks, "emulator there", CHECK_BAD, error->message,
                   "install the patched QEMU there under the same path");
        return;
    }
    g_autoptr(SevmigXmlDoc) doc = capabilities_read(text);
    gboolean supported = capabilities_have_sev(doc);
    checks_add(self->checks, "emulator there", CHECK_GOOD, found, "");
    checks_add(self->checks, "SEV there", supported ? CHECK_GOOD : CHECK_BAD,
               supported ? "yes" : "that QEMU finds no SEV firmware",
               "look at \"virsh domcapabilities\" there, and at /dev/sev; libvirt asks again "
               "after a restart");
}

static void
check_cpu(Preflight *self, virConnectPtr target, const Needs *needs)
{
    g_autoptr(GError) error = NULL;
    int result = virConnectCompareHypervisorCPU(target, needs->emulator, needs->arch,
                                                needs->machine, needs->type, needs->cpu,
                                                VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
    if (result > VIR_CPU_COMPARE_INCOMPATIBLE) {
        checks_add(self->checks, "CPU there", CHECK_GOOD, "has what the domain's CPU has", "");
        return;
    }
    gboolean lacks = virGetLastErrorCode() == VIR_ERR_CPU_INCOMPATIBLE;
    sevmig_libvirt_error_set(&error, "the domain's CPU");
    checks_add(self->checks, "CPU there", lacks ? CHECK_BAD : CHECK_UNKNOWN, error->message,
               "give the domain a CPU model that both hosts have "
               "(\"virsh hypervisor-cpu-baseline\")");
}

/* What is free, and what the kernel gives back for the asking. 0: not told. */
static guint64
available_bytes(virConnectPtr target)
{
    virNodeMemoryStatsPtr stats;
    guint64 kib = 0;
    int n = 0;
    if (virNodeGetMemoryStats(target, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &n, 0) < 0 || n <= 0)
        return 0;
    stats = g_new0(virNodeMemoryStats, n);
    if (virNodeGetMemoryStats(target, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &n, 0) < 0)
        n = 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL) != 0)
            kib += stats[i].value;
    }
    g_free(stats);
    return kib * 1024;
}

static void
check_memory(Preflight *self, virConnectPtr target)
{
    guint64 wanted = (guint64)virDomainGetMaxMemory(self->of.domain) * 1024;
    guint64 there = available_bytes(target);
    g_autofree char *of = text_bytes(wanted);
    g_autofree char *free_there = text_bytes(there);
    g_autofree char *found = g_strdup_printf("%s to be had, %s needed", free_there, of);
    if (there == 0)
        checks_add(self->checks, "memory there", CHECK_UNKNOWN, "libvirt does not say",
                   "\"virsh nodememstats\" there");
    else
        checks_add(self->checks, "memory there", there > wanted ? CHECK_GOOD : CHECK_BAD, found,
                   "move or stop other guests there");
}

static gboolean
check_connection(Preflight *self, virConnectPtr target, const char *uri)
{
    g_autoptr(GError) error = NULL;
    if (target == NULL) {
        sevmig_libvirt_error_set(&error, "%s", uri);
        checks_add(self->checks, "destination", CHECK_BAD, error->message,
                   "name it as for \"virsh migrate\"; libvirtd must run there and let this "
                   "user in");
        return FALSE;
    }
    g_autofree char *version = capabilities_libvirt_version(target, NULL);
    g_autofree char *found = g_strdup_printf("libvirt %s", version);
    checks_add(self->checks, "destination", CHECK_GOOD, found, "");
    return TRUE;
}

void
preflight_check_target(Preflight *self, const SevmigDomain *domain, const char *uri)
{
    virConnectPtr target = virConnectOpenAuth(uri, virConnectAuthPtrDefault, 0);
    if (check_connection(self, target, uri)) {
        g_auto(Needs) needs = {0};
        check_other_host(self, target);
        check_name(self, target);
        check_memory(self, target);
        /* Without a document the launch security could not be told either. */
        if (domain != NULL)
            needs_read(domain->doc->root, &needs);
        if (needs.emulator != NULL)
            check_emulator(self, target, &needs);
        if (needs.emulator != NULL && needs.cpu != NULL)
            check_cpu(self, target, &needs);
        if (domain != NULL)
            preflight_check_peer(self, domain, target);
        virConnectClose(target);
    }
}
