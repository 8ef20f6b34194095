/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-names.h - names that more than one part must spell alike
 *
 * Installed paths come from sevmig-config.h, which the build generates.
 */
#ifndef SEVMIG_NAMES_H
#define SEVMIG_NAMES_H

#include "sevmig-config.h"

#define SEVMIG_BUS_NAME "org.sevmig1"
#define SEVMIG_MANAGER_PATH "/org/sevmig1"
#define SEVMIG_MIGRATION_PATH_PREFIX "/org/sevmig1/migration/"
#define SEVMIG_POLICY_PATH_PREFIX "/org/sevmig1/policy/"
#define SEVMIG_MANAGER_INTERFACE "org.sevmig1.Manager"
#define SEVMIG_MIGRATION_INTERFACE "org.sevmig1.Migration"
#define SEVMIG_POLICY_INTERFACE "org.sevmig1.Policy"

#define SEVMIG_DEFAULT_URI "qemu:///system"

#endif
