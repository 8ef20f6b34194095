/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-store.h - the policies of this host
 *
 * The administrator's directory lies over the vendor's: a policy in the former replaces the one of
 * the same name in the latter. Each regular file NAME.xml that does not begin with a dot is read.
 * A load is all or nothing: with one bad file the set stays as it was, and the error names every
 * fault. Not thread-safe; the policies it hands out are, and a snapshot is any one thread's.
 */
#ifndef SEVMIG_POLICY_STORE_H
#define SEVMIG_POLICY_STORE_H

#include "sevmig-policy.h"

typedef struct SevmigPolicyStore SevmigPolicyStore;

/*
 * An empty store; NULL for a path means the one chosen when this was built. Directories and the
 * ceiling file may be missing. Until something is read it holds the built-in `default` alone.
 */
SevmigPolicyStore *sevmig_policy_store_new(const char *admin_dir, const char *vendor_dir,
                                           const char *ceiling_file);
/* The same policies, whatever reloads of `self` follow; costs nothing. */
SevmigPolicyStore *sevmig_policy_store_snapshot(const SevmigPolicyStore *self);
void sevmig_policy_store_free(SevmigPolicyStore *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigPolicyStore, sevmig_policy_store_free)

/* Reads everything anew. On failure nothing has changed, but that, until one has succeeded, the
 * vendor's directory alone (and the ceiling) is in force if no fault is in it. All that is wrong is
 * appended to `issues` (may be NULL), and `error` carries the first and says how many more there
 * are. */
gboolean sevmig_policy_store_reload(SevmigPolicyStore *self, GPtrArray *issues, GError **error);

/* Policies in force. */
unsigned sevmig_policy_store_count(const SevmigPolicyStore *self);

/* The policy in force under that name, owned by the store (take a reference to keep it beyond the
 * next reload), or NULL. */
SevmigPolicy *sevmig_policy_store_lookup(const SevmigPolicyStore *self, const char *name);

typedef enum {
    SEVMIG_POLICY_ACTIVE,
    SEVMIG_POLICY_REPLACED, /* hidden by the administrator's policy of the same name */
} SevmigPolicyState;

const char *sevmig_policy_state_name(SevmigPolicyState state); /* "active" */

typedef struct {
    SevmigPolicy *policy; /* owned by the store */
    SevmigPolicyState state;
} SevmigPolicyEntry;

/* All policies by name, the active one before the one it replaces. Owned by the store, valid until
 * the next reload. */
const SevmigPolicyEntry *sevmig_policy_store_list(const SevmigPolicyStore *self, size_t *n);

/*
 * Checks a file, or every policy of a directory, as a reload would. Appends to `issues`; returns
 * whether nothing was added. A file may be a policy or a ceiling.
 */
gboolean sevmig_policy_lint(const char *path, GPtrArray *issues);

#endif
