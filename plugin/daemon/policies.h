/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policies.h - the policies of this host as the daemon uses and shows them
 */
#ifndef SEVMIGD_POLICIES_H
#define SEVMIGD_POLICIES_H

#include <glib.h>

#include "sevmig-policy-resolve.h"

typedef struct SevmigPolicies SevmigPolicies;

/* `dirs`: at most two, the first lies over the second; NULL: the installed ones. */
SevmigPolicies *sevmig_policies_new(const char *const *dirs, const char *ceiling_file,
                                    GError **error);
void sevmig_policies_free(SevmigPolicies *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigPolicies, sevmig_policies_free)

/* All or nothing; logs every fault. On failure sevmig_policies_error() says what it was. */
gboolean sevmig_policies_reload(SevmigPolicies *self, guint *count, GError **error);

/* "", or why the last reload was not applied. */
const char *sevmig_policies_error(const SevmigPolicies *self);

const SevmigPolicyStore *sevmig_policies_store(const SevmigPolicies *self);

/* As the bus shows them: aa{sv}, of `self`; made once for each reload. */
GVariant *sevmig_policies_list(SevmigPolicies *self);
/* A policy as a document; caller frees. */
char *sevmig_policies_get(const SevmigPolicies *self, const char *name, GError **error);

#endif
