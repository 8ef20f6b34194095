/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-resolve.h - which policy governs a domain, and why
 *
 * In this order: the policy that the domain's metadata names or contains; the matching policy of
 * this host with the highest priority (then with more conditions, then the first by name); the
 * policy named `default`. Reads the domain XML and the store, nothing else.
 */
#ifndef SEVMIG_POLICY_RESOLVE_H
#define SEVMIG_POLICY_RESOLVE_H

#include "sevmig-policy-store.h"

/* The largest domain XML, in bytes. */
#define SEVMIG_DOMAIN_MAX_BYTES (1024 * 1024)

typedef enum {
    SEVMIG_SOURCE_METADATA, /* named in the domain's metadata */
    SEVMIG_SOURCE_INLINE,   /* contained in the domain's metadata */
    SEVMIG_SOURCE_MATCH,
    SEVMIG_SOURCE_DEFAULT,
} SevmigPolicySource;

const char *sevmig_policy_source_name(SevmigPolicySource source); /* "metadata" */

typedef struct {
    char *name;
    SevmigPolicySource source;
    gboolean chosen;
    char *file;   /* where it was read; "" if this host does not have it */
    char *reason; /* one line: why it was chosen, or the condition that failed */
} SevmigCandidate;

typedef struct {
    char *domain; /* its name; "" if it has none */
    char *uuid;   /* "" if it has none */
    guint64 memory_bytes;
    gboolean has_sev;      /* <launchSecurity type='sev'>: only such a domain is ever steered */
    gboolean has_metadata; /* its metadata holds an element of ours */
    SevmigPolicy *policy;  /* NULL: refused, `problem` says why */
    SevmigPolicySource source;
    /* NULL, or what is wrong with the domain's metadata, one line. With a policy beside it: the
     * metadata says on-failure="warn", and the policy is the one found without it. */
    char *problem;
    gboolean unread;       /* the problem is that the domain's XML cannot be read */
    gboolean name_unknown; /* the problem is that this host has no policy of the name given */
    /* What is to happen where the host cannot serve the domain: the stricter of what its metadata
     * and the policy chosen say. */
    SevmigOnFailure on_failure;
    GPtrArray *candidates; /* of SevmigCandidate, in the order in which they were considered */
} SevmigResolution;

/*
 * Finds the policy for a domain from its XML (`length` -1: NUL-terminated). Returns NULL only if
 * the XML cannot be read (SEVMIG_ERROR_INVALID).
 */
SevmigResolution *sevmig_policy_resolve(const SevmigPolicyStore *store, const char *domain_xml,
                                        gssize length, GError **error);
/*
 * The same for a domain of this host, whose XML may be of any kind. One that cannot be read is
 * governed as if it had no metadata, by what is known of it: its name and UUID, and whether its XML
 * speaks of SEV. Never NULL; `problem` says why it was not read.
 */
SevmigResolution *sevmig_policy_resolve_domain(const SevmigPolicyStore *store, const char *xml,
                                               const char *name, const char *uuid);
void sevmig_resolution_free(SevmigResolution *self);

/* As it is shown, (saa{sv}), floating: the name of the policy chosen, "" if none, and the
 * candidates with name, source, file, chosen and reason. */
GVariant *sevmig_resolution_to_variant(const SevmigResolution *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigResolution, sevmig_resolution_free)

#endif
