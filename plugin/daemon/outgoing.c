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

/* The first question: costs no lock in libvirt. */
static SevmigSide
ask_state(virDomainPtr domain, GError **error)
{
    const char *name = virDomainGetName(domain);
    int state, reason;

    if (virDomainGetState(domain, &state, &reason, 0) >= 0)
        return sevmig_detect_side_of_state(state, reason);
    if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN)
        return SEVMIG_SIDE_NONE;
    sevmig_libvirt_error_set(error, "state of domain %s", name);
    return SEVMIG_SIDE_UNKNOWN;
}

/* The second: takes a job, so not for a domain that may be incoming. */
static SevmigSide
ask_job(virDomainPtr domain, guint64 *elapsed_us, GError **error)
{
    const char *name = virDomainGetName(domain);
    virTypedParameterPtr params = NULL;
    int n_params = 0, type = VIR_DOMAIN_JOB_NONE, operation = -1;
    unsigned long long elapsed_ms = 0;
    SevmigSide side;

    if (virDomainGetJobStats(domain, &type, &params, &n_params, 0) < 0) {
        side = sevmig_detect_side_of_error(virGetLastErrorCode());
        if (side == SEVMIG_SIDE_UNKNOWN)
            sevmig_libvirt_error_set(error, "job of domain %s", name);
        return side;
    }
    virTypedParamsGetInt(params, n_params, VIR_DOMAIN_JOB_OPERATION, &operation);
    virTypedParamsGetULLong(params, n_params, VIR_DOMAIN_JOB_TIME_ELAPSED, &elapsed_ms);
    virTypedParamsFree(params, n_params);
    *elapsed_us = elapsed_ms * US_PER_MS;
    return sevmig_detect_side_of_job(type, operation);
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

SevmigFound *
sevmig_outgoing_look(virDomainPtr domain, GError **error)
{
    g_autoptr(GError) local = NULL;
    guint64 elapsed_us = 0;
    SevmigSide side = ask_state(domain, &local);
    SevmigFound *found;
    char *xml;

    if (local == NULL && side == SEVMIG_SIDE_UNKNOWN)
        side = ask_job(domain, &elapsed_us, &local);
    if (local != NULL) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    if (side != SEVMIG_SIDE_SOURCE)
        return NULL;
    xml = describe(domain, error);
    if (xml == NULL)
        return NULL;
    found = g_new0(SevmigFound, 1);
    virDomainRef(domain);
    found->domain = domain;
    found->name = g_strdup(virDomainGetName(domain));
    virDomainGetUUIDString(domain, found->uuid);
    found->xml = xml;
    found->elapsed_us = elapsed_us;
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

        if (found != NULL)
            g_ptr_array_add(list, found);
        else if (local != NULL)
            sevmig_log(SEVMIG_MESSAGE_LOOK_FAILED, NULL, "%s, ignoring", local->message);
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

char *
sevmig_outgoing_describe(virConnectPtr connection, const char *name, GError **error)
{
    virDomainPtr domain = lookup(connection, name, error);
    char *xml = NULL;

    if (domain == NULL)
        return NULL;
    if (ask_state(domain, NULL) == SEVMIG_SIDE_DESTINATION)
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
    guint64 elapsed_us;
    SevmigSide side = ask_state(domain, &local);
    const char *name = virDomainGetName(domain);

    if (local == NULL && side == SEVMIG_SIDE_NONE)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED,
                    "domain %s runs no QEMU that could be asked", name);
    if (side == SEVMIG_SIDE_NONE)
        return FALSE;
    if (local == NULL && side == SEVMIG_SIDE_UNKNOWN)
        side = ask_job(domain, &elapsed_us, &local);
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
