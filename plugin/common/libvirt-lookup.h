/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt-lookup.h - the domain that somebody means
 */
#ifndef SEVMIG_LIBVIRT_LOOKUP_H
#define SEVMIG_LIBVIRT_LOOKUP_H

#include <libvirt/libvirt.h>

/* By UUID, then by name, as virsh does: a domain may be named like another's UUID. NULL: libvirt's
 * last error says why. The caller frees it. */
virDomainPtr sevmig_libvirt_lookup(virConnectPtr connection, const char *which);

#endif
