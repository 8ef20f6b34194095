/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "capabilities.h"

#include <stdlib.h>
#include <string.h>

#include "sevmig-policy-issue.h"

static const SevmigXmlLimits limits = {
    .what = "capabilities",
    .max_bytes = 4 * 1024 * 1024,
    .max_depth = 64,
    .max_elements = 65536,
    .max_attributes = 64,
};

SevmigXmlDoc *
capabilities_read(char *xml)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    SevmigXmlDoc *doc =
        xml != NULL ? sevmig_xml_parse(xml, strlen(xml), "capabilities", &limits, issues) : NULL;
    free(xml);
    return doc;
}

gboolean
capabilities_have_sev(const SevmigXmlDoc *doc)
{
    const SevmigXmlNode *features =
        doc != NULL ? sevmig_xml_child(doc->root, "", "features") : NULL;
    const SevmigXmlNode *sev = features != NULL ? sevmig_xml_child(features, "", "sev") : NULL;
    return sev != NULL && g_strcmp0(sevmig_xml_attr(sev, "supported"), "yes") == 0;
}

char *
capabilities_libvirt_version(virConnectPtr connection, unsigned long *number)
{
    unsigned long version = 0;
    virConnectGetLibVersion(connection, &version);
    if (number != NULL)
        *number = version;
    return g_strdup_printf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
}
