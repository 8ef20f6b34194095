/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain.h"

#include <libvirt/virterror.h>

#include "libvirt-error.h"
#include "libvirt-lookup.h"
#include "sevmig-names.h"

void
domain_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"uri", 0, 0, G_OPTION_ARG_STRING, &cli->uri,
         "the libvirt connection (default: LIBVIRT_DEFAULT_URI or " SEVMIG_DEFAULT_URI ")", "URI"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

void
domain_clear(Domain *self)
{
    if (self->domain != NULL)
        virDomainFree(self->domain);
    if (self->connection != NULL)
        virConnectClose(self->connection);
}

static const char *
uri_of(const Cli *cli)
{
    const char *fallback = g_getenv("LIBVIRT_DEFAULT_URI");
    if (fallback == NULL || *fallback == '\0')
        fallback = SEVMIG_DEFAULT_URI;
    return cli->uri != NULL ? cli->uri : fallback;
}

virConnectPtr
domain_connect(const Cli *cli, GError **error)
{
    const char *uri = uri_of(cli);
    sevmig_libvirt_silence();
    virConnectPtr connection = virConnectOpenAuth(uri, virConnectAuthPtrDefault, 0);
    if (connection == NULL)
        sevmig_libvirt_error_set(error, "cannot connect to %s (--uri chooses another)", uri);
    return connection;
}

gboolean
domain_open(const Cli *cli, const char *name, Domain *self, GError **error)
{
    self->name = name;
    self->connection = domain_connect(cli, error);
    if (self->connection == NULL)
        return FALSE;
    self->domain = sevmig_libvirt_lookup(self->connection, name);
    if (self->domain == NULL)
        sevmig_libvirt_error_set(error, "domain %s of %s", name, uri_of(cli));
    return self->domain != NULL;
}

gboolean
domain_is_busy(const Domain *self)
{
    virDomainJobInfo job;
    return virDomainGetJobInfo(self->domain, &job) >= 0 &&
           (job.type == VIR_DOMAIN_JOB_BOUNDED || job.type == VIR_DOMAIN_JOB_UNBOUNDED);
}
