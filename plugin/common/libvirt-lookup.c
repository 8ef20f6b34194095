/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "libvirt-lookup.h"

#include <glib.h>
#include <libvirt/virterror.h>

virDomainPtr
sevmig_libvirt_lookup(virConnectPtr connection, const char *which)
{
    virDomainPtr domain = NULL;

    if (g_uuid_string_is_valid(which)) {
        domain = virDomainLookupByUUIDString(connection, which);
        if (domain == NULL && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
            return NULL; /* it may be there */
    }
    return domain != NULL ? domain : virDomainLookupByName(connection, which);
}
