/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-match.h - whether a policy's conditions hold for a domain
 */
#ifndef SEVMIG_POLICY_MATCH_H
#define SEVMIG_POLICY_MATCH_H

#include "sevmig-policy-domain.h"
#include "sevmig-policy-internal.h"

/* How many conditions a policy states; of two that match with equal priority, more win. */
guint sevmig_match_count(const SevmigPolicy *policy);

/* NULL if all hold; else the first that does not, as one line. Free with g_free(). */
char *sevmig_match_failure(const SevmigPolicy *policy, const SevmigDomain *domain);

#endif
