/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain.h - a domain of the libvirt that this user may reach
 */
#ifndef SEVMIGCTL_DOMAIN_H
#define SEVMIGCTL_DOMAIN_H

#include <libvirt/libvirt.h>

#include "cli.h"

/* A domain, and the connection it came by. Zeroed is empty. */
typedef struct {
    virConnectPtr connection;
    virDomainPtr domain;
    const char *name; /* as the user named it */
} Domain;

/* At --uri or libvirt's default; NULL with `error`. */
virConnectPtr domain_connect(const Cli *cli, GError **error);

/* By name or UUID, at --uri or libvirt's default. */
gboolean domain_open(const Cli *cli, const char *name, Domain *self, GError **error);
void domain_clear(Domain *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Domain, domain_clear)

/* Whether a migration, a save or a copy is under way; FALSE where libvirt does not say. */
gboolean domain_is_busy(const Domain *self);

/* The option --uri. */
void domain_options(GOptionContext *context, Cli *cli);

#endif
