/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-policy-store-internal.h - what resolving needs of the store beyond its interface
 */
#ifndef SEVMIG_POLICY_STORE_INTERNAL_H
#define SEVMIG_POLICY_STORE_INTERNAL_H

#include "sevmig-policy-internal.h"
#include "sevmig-policy-store.h"

/* The limits for policies that domains bring along, owned by the store; NULL: none. */
const SevmigCeiling *sevmig_policy_store_ceiling(const SevmigPolicyStore *self);

#endif
