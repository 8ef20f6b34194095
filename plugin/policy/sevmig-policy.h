/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy.h - one policy: goals and limits for the migrations of the domains it governs
 *
 * A policy is immutable once parsed and counted by references, so that a migration keeps the one
 * it started with while the store is reloaded. The reference count is atomic; every other function
 * only reads. The language is described in sevmig-policy(5).
 */
#ifndef SEVMIG_POLICY_H
#define SEVMIG_POLICY_H

#include <glib.h>

#include "sevmig-control.h"
#include "sevmig-error.h"

#define SEVMIG_POLICY_NAMESPACE "urn:sevmig:policy:1"
#define SEVMIG_DOMAIN_NAMESPACE "urn:sevmig:domain:1"

/* The largest policy document, in bytes, and how deeply its elements may nest. */
#define SEVMIG_POLICY_MAX_BYTES (64 * 1024)
#define SEVMIG_POLICY_MAX_DEPTH 16

/* One thing that is wrong with a document. The text is one printable line without a full stop: the
 * reason, the offending value and what was expected. */
typedef struct {
    char *file;      /* as given by the caller; never NULL */
    unsigned line;   /* from 1; 0: the file as a whole */
    unsigned column; /* from 1, in characters; 0: the file as a whole */
    char *text;
} SevmigPolicyIssue;

/* "FILE:LINE:COLUMN: TEXT", or "FILE: TEXT" where there is no position. Free with g_free(). */
char *sevmig_policy_issue_format(const SevmigPolicyIssue *issue);
/* An empty list of SevmigPolicyIssue that owns its elements. */
GPtrArray *sevmig_policy_issues_new(void);

/* What the destination must be able to do before it takes a domain: a set of these. */
typedef enum {
    SEVMIG_INCOMING_SEV_RECEIVE = 1 << 0, /* the firmware device is there */
    SEVMIG_INCOMING_SCHEMA = 1 << 1,      /* this host's schema accepts the policy carried */
} SevmigIncoming;

/* What speaks for the destination's platform, as QEMU tells: a set of these. */
typedef enum {
    SEVMIG_PEER_DOMAIN = 1 << 0, /* the guest's policy demands the same owner */
    SEVMIG_PEER_SEV = 1 << 1,    /* the guest's policy demands a platform that AMD has certified */
    SEVMIG_PEER_TLS = 1 << 2,    /* the channel has verified the peer */
    SEVMIG_PEER_PINNED = 1 << 3, /* its digest is known */
} SevmigPeer;

typedef enum {
    SEVMIG_ON_FAILURE_WARN,   /* say so and carry on */
    SEVMIG_ON_FAILURE_REFUSE, /* do not migrate */
} SevmigOnFailure;

/* Whether a name may be that of a policy, and what one looks like. */
gboolean sevmig_policy_name_valid(const char *name);
#define SEVMIG_POLICY_NAME_EXPECTED                                                                \
    "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"

typedef struct SevmigPolicy SevmigPolicy;

/*
 * Parses one policy document of `length` bytes (-1: NUL-terminated). `file` names it in messages.
 * Everything wrong with it is appended to `issues` (may be NULL) in document order; `error`
 * (SEVMIG_ERROR_INVALID) carries the first and says how many more there are.
 * Returns a new reference, or NULL.
 */
SevmigPolicy *sevmig_policy_parse(const char *text, gssize length, const char *file,
                                  GPtrArray *issues, GError **error);
/* The same for a file; one that is not a regular file or cannot be read is SEVMIG_ERROR_IO.
 */
SevmigPolicy *sevmig_policy_load(const char *path, GPtrArray *issues, GError **error);

SevmigPolicy *sevmig_policy_ref(SevmigPolicy *self);
void sevmig_policy_unref(SevmigPolicy *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigPolicy, sevmig_policy_unref)

/* All strings belong to the policy. */
const char *sevmig_policy_name(const SevmigPolicy *self);
const char *sevmig_policy_description(const SevmigPolicy *self); /* "" if it has none */
const char *sevmig_policy_file(const SevmigPolicy *self);        /* where it was read */
const SevmigControlParams *sevmig_policy_params(const SevmigPolicy *self);
/* Between migrations that share the firmware: 0..100, more is served first. */
unsigned sevmig_policy_priority(const SevmigPolicy *self);
SevmigOnStall sevmig_policy_on_stall(const SevmigPolicy *self);
/* SevmigPeer flags, of which one must speak for the destination; 0: QEMU's own rules are enough. */
unsigned sevmig_policy_peer(const SevmigPolicy *self);
/* "domain tls", or "" for 0. Caller frees. */
char *sevmig_peer_format(unsigned peer);
/* SevmigIncoming flags, and what happens where one of them is not met. */
unsigned sevmig_policy_incoming(const SevmigPolicy *self);
SevmigOnFailure sevmig_policy_incoming_on_failure(const SevmigPolicy *self);
/* Whether it selects domains by itself, and with which priority among those that do (0..1000). */
gboolean sevmig_policy_has_match(const SevmigPolicy *self);
unsigned sevmig_policy_match_priority(const SevmigPolicy *self);

/* The policy with other parameters, as it would be read from its document: what differs it then
 * states, and limits that it does not state follow its goal. NULL and `error` if no policy may have
 * such parameters. What a host learnt (fixed_downtime_us) is no part of a policy and is left out. A
 * new reference. */
SevmigPolicy *sevmig_policy_vary(const SevmigPolicy *self, const SevmigControlParams *params,
                                 GError **error);

/* The policy as a document: what it states, defaults left out, units as large as they go. Parsing
 * it gives an equal policy. Free with g_free(). */
char *sevmig_policy_to_xml(const SevmigPolicy *self);

#endif
