/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-domain.h - what a policy decision needs to know of a domain
 */
#ifndef SEVMIG_POLICY_DOMAIN_H
#define SEVMIG_POLICY_DOMAIN_H

#include "sevmig-policy-xml.h"
#include "sevmig-policy.h"

#define SEVMIG_NOVA_NAMESPACE_PREFIX "http://openstack.org/xmlns/libvirt/nova/1."

typedef struct {
    SevmigXmlDoc *doc;
    char *name;            /* "" if it has none */
    char *uuid;            /* "" if it has none */
    char *launch_security; /* the type; "" if it has none */
    guint64 memory_bytes;
    char *nova_flavor; /* NULL: not in the metadata */
    char *nova_project;
    GHashTable *nova_extra_specs; /* name to value */

    /* The elements of ours in its metadata, owned by doc. */
    const SevmigXmlNode *element; /* {urn:sevmig:domain:1}policy */
    const SevmigXmlNode *inlined; /* {urn:sevmig:policy:1}policy, directly or inside that */
    gboolean ambiguous;           /* more than one says which policy it is to be */
} SevmigDomain;

/* One of which nothing is known yet; without a document. */
SevmigDomain *sevmig_domain_new(void);
/* Reads domain XML. Appends an issue and returns NULL where that is not possible. */
SevmigDomain *sevmig_domain_parse(const char *text, gsize size, GPtrArray *issues);
void sevmig_domain_free(SevmigDomain *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigDomain, sevmig_domain_free)

/*
 * Checks the metadata element itself and reads its attributes. `name` is owned by the domain, NULL
 * if none is given. An `on-failure` that cannot be read counts as refuse: whoever wrote it meant to
 * be strict. Returns NULL, or what is wrong, to be freed with g_free().
 */
char *sevmig_domain_metadata(const SevmigDomain *self, const char **name,
                             SevmigOnFailure *on_failure);

#endif
