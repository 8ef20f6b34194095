/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "outgoing.h"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdlib.h>

#include "detect.h"
#include "libvirt-error.h"
#include "libvirt-lookup.h"
#include "log.h"
#include "qmpc-migration.h"
#include "qmpc-sev.h"
#include "sevmig-error.h"

#define US_PER_MS 1000

void
sevmig_found_free(SevmigFound *found)
{
    if (found == NULL)
        return;
    virDomainFree(found->domain);
    g_free(found->name);
    g_free(found->xml);
    g_free(found);
}

typedef struct {
    gint64 began_us; /* monotonic */
    guint64 elapsed_us;
    gboolean has_memory;
    gboolean has_disks;
} Job;

/* The first question: costs no lock in libvirt. */
static SevmigSide
ask_state(virDomainPtr domain, gboolean *stands, GError **error)
{
    const char *name = virDomainGetName(domain);
    int state, reason;

    if (virDomainGetState(domain, &state, &reason, 0) >= 0) {
        *stands = state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION;
        return sevmig_detect_side_of_state(state, reason);
    }
    if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        return SEVMIG_SIDE_NONE;
    sevmig_libvirt_error_set(error, "state of domain %s", name);
    return SEVMIG_SIDE_UNKNOWN;
}

static guint64
param_of(virTypedParameterPtr params, int n_params, const char *name)
{
    unsigned long long value = 0;

    virTypedParamsGetULLong(params, n_params, name, &value);
    return value;
}

/* The second: takes a job, except at a destination. UNKNOWN: libvirt's error says why. */
static SevmigSide
ask_job(virDomainPtr domain, Job *job)
{
    virTypedParameterPtr params = NULL;
    int n_params = 0, type = VIR_DOMAIN_JOB_NONE, operation = -1;

    if (virDomainGetJobStats(domain, &type, &params, &n_params, 0) < 0)
        return sevmig_detect_side_of_error(virGetLastErrorCode());
    virTypedParamsGetInt(params, n_params, VIR_DOMAIN_JOB_OPERATION, &operation);
    job->elapsed_us = param_of(params, n_params, VIR_DOMAIN_JOB_TIME_ELAPSED) * US_PER_MS;
    job->began_us = g_get_monotonic_time() - (gint64)job->elapsed_us;
    job->has_memory = param_of(params, n_params, VIR_DOMAIN_JOB_MEMORY_TOTAL) > 0;
    job->has_disks = param_of(params, n_params, VIR_DOMAIN_JOB_DISK_TOTAL) > 0;
    virTypedParamsFree(params, n_params);
    return sevmig_detect_side_of_job(type, operation);
}

int
sevmig_outgoing_is_source(virDomainPtr domain)
{
    Job job = {0};
    SevmigSide side = ask_job(domain, &job);

    return side == SEVMIG_SIDE_UNKNOWN ? -1 : side == SEVMIG_SIDE_SOURCE;
}

/* Both, as far as needed. */
static SevmigSide
ask(virDomainPtr domain, Job *job, gboolean *stands, GError **error)
{
    g_autoptr(GError) local = NULL;
    SevmigSide side = ask_state(domain, stands, &local);

    if (local == NULL && side == SEVMIG_SIDE_UNKNOWN) {
        side = ask_job(domain, job);
        if (side == SEVMIG_SIDE_UNKNOWN)
            sevmig_libvirt_error_set(&local, "job of domain %s", virDomainGetName(domain));
    }
    if (local != NULL)
        g_propagate_error(error, g_steal_pointer(&local));
    return side;
}

static char *
describe(virDomainPtr domain, GError **error)
{
    const char *name = virDomainGetName(domain);
    char *xml = virDomainGetXMLDesc(domain, 0);
    char *copy = g_strdup(xml);

    if (xml == NULL)
        sevmig_libvirt_error_set(error, "description of domain %s", name);
    free(xml);
    return copy;
}

static SevmigFound *
found_new(virDomainPtr domain, const Job *job)
{
    SevmigFound *found = g_new0(SevmigFound, 1);

    virDomainRef(domain);
    found->domain = domain;
    found->name = g_strdup(virDomainGetName(domain));
    virDomainGetUUIDString(domain, found->uuid);
    found->job_began_us = job->began_us;
    found->elapsed_us = job->has_disks ? 0 : job->elapsed_us;
    found->begun = job->has_memory;
    return found;
}

SevmigFound *
sevmig_outgoing_look(virDomainPtr domain, GError **error)
{
    g_autoptr(GError) local = NULL;
    gboolean stands = FALSE;
    Job job = {0};
    SevmigSide side = ask(domain, &job, &stands, &local);
    SevmigFound *found;
    char *xml;

    if (local != NULL) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    if (side != SEVMIG_SIDE_SOURCE)
        return NULL;
    xml = describe(domain, error);
    if (xml == NULL)
        return NULL;
    found = found_new(domain, &job);
    found->xml = xml;
    found->stands = stands;
    return found;
}

GPtrArray *
sevmig_outgoing_list(virConnectPtr connection, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)sevmig_found_free);
    virDomainPtr *domains = NULL;
    int n = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);

    if (n < 0) {
        sevmig_libvirt_error_set(error, "cannot list domains");
        return NULL;
    }
    for (int i = 0; i < n; i++) {
        g_autoptr(GError) local = NULL;
        SevmigFound *found = sevmig_outgoing_look(domains[i], &local);

        if (local != NULL)
            found = found_new(domains[i], &(Job){0});
        if (found != NULL)
            g_ptr_array_add(list, found);
        virDomainFree(domains[i]);
    }
    free(domains);
    return g_steal_pointer(&list);
}

static virDomainPtr
lookup(virConnectPtr connection, const char *name, GError **error)
{
    virDomainPtr domain = sevmig_libvirt_lookup(connection, name);

    if (domain != NULL)
        return domain;
    if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND, "no domain on this host is %s",
                    name);
    else
        sevmig_libvirt_error_set(error, "cannot look up domain %s", name);
    return NULL;
}

/* Only one that stands for a migration need be asked twice. */
static gboolean
is_arriving(virDomainPtr domain)
{
    gboolean stands = FALSE;
    SevmigSide side = ask_state(domain, &stands, NULL);

    if (stands)
        side = ask_job(domain, &(Job){0});
    return side == SEVMIG_SIDE_DESTINATION;
}

char *
sevmig_outgoing_describe(virConnectPtr connection, const char *name, GError **error)
{
    virDomainPtr domain = lookup(connection, name, error);
    char *xml = NULL;

    if (domain == NULL)
        return NULL;
    if (is_arriving(domain))
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED,
                    "domain %s is arriving on this host, ask its source", name);
    else
        xml = describe(domain, error);
    virDomainFree(domain);
    return xml;
}

/* --- What its QEMU can do --- */

/* A monitor command to an arriving domain would wait, one to a migrating domain delay a tick. */
static gboolean
check_at_rest(virDomainPtr domain, GError **error)
{
    g_autoptr(GError) local = NULL;
    gboolean stands = FALSE;
    SevmigSide side = ask_state(domain, &stands, &local);
    const char *name = virDomainGetName(domain);

    if (local == NULL && side == SEVMIG_SIDE_NONE)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED,
                    "domain %s runs no QEMU that could be asked", name);
    if (side == SEVMIG_SIDE_NONE)
        return FALSE;
    if (local == NULL && side == SEVMIG_SIDE_UNKNOWN)
        side = ask(domain, &(Job){0}, &stands, &local);
    if (local != NULL) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    if (side == SEVMIG_SIDE_SOURCE || side == SEVMIG_SIDE_DESTINATION)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED, "domain %s is being migrated", name);
    return side == SEVMIG_SIDE_NONE;
}

/* An answer that is an error is an answer: this QEMU, or this guest, cannot. */
static GVariant *
read_probe(const char *reply, const QmpcMigrationInfo *info)
{
    static const char *const none[] = {NULL};
    g_auto(QmpcSevStatus) status = {0};
    g_autoptr(GError) why = NULL;
    bool can = qmpc_sev_status_parse(reply, &status, &why);
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "steerable", "b", (gboolean)can);
    g_variant_dict_insert(&dict, "reason", "s", can ? "" : why->message);
    g_variant_dict_insert(&dict, "blocked-reasons", "^as",
                          info->blocked_reasons != NULL ? info->blocked_reasons : (char **)none);
    if (can) {
        g_variant_dict_insert(&dict, "firmware", "s", qmpc_sev_firmware_name(status.firmware));
        g_variant_dict_insert(&dict, "max-command-pages", "u", status.limits.max_command_pages);
        g_variant_dict_insert(&dict, "max-batch-pages", "u", status.limits.max_batch_pages);
        g_variant_dict_insert(&dict, "private-pages", "t", status.ram.private_pages);
        g_variant_dict_insert(&dict, "page-size", "u", status.ram.page_size_bytes);
    }
    return g_variant_ref_sink(g_variant_new("(@a{sv})", g_variant_dict_end(&dict)));
}

/* The reply to a command, to be freed with free(). */
static char *
ask_monitor(virDomainPtr domain, const char *command, GError **error)
{
    char *reply = NULL;

    if (virDomainQemuMonitorCommand(domain, command, &reply, 0) < 0)
        sevmig_libvirt_error_set(error, "monitor of domain %s", virDomainGetName(domain));
    return reply;
}

static GVariant *
probe(virDomainPtr domain, GError **error)
{
    g_autofree char *sev_command = qmpc_sev_query_build();
    g_autofree char *command = qmpc_migration_query_build();
    g_auto(QmpcMigrationInfo) info = {0};
    char *sev_reply = ask_monitor(domain, sev_command, error);
    char *reply = sev_reply != NULL ? ask_monitor(domain, command, error) : NULL;
    GVariant *answer = NULL;

    if (reply != NULL && qmpc_migration_info_parse(reply, &info, error))
        answer = read_probe(sev_reply, &info);
    free(sev_reply);
    free(reply);
    return answer;
}

GVariant *
sevmig_outgoing_probe(virConnectPtr connection, const char *name, GError **error)
{
    virDomainPtr domain = lookup(connection, name, error);
    GVariant *answer = NULL;

    if (domain == NULL)
        return NULL;
    if (check_at_rest(domain, error))
        answer = probe(domain, error);
    virDomainFree(domain);
    return answer;
}
