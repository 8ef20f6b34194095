/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * detect.h - whether a QEMU that says it migrates is the source of a migration
 *
 * Both ends emit MIGRATION events, and so does a QEMU that is saved to a file. The two questions
 * below are asked in this order: the first costs no lock, and only its UNKNOWN leads to the second.
 * That is answered without one at a destination (OPERATION_UNSUPPORTED), where a monitor command
 * would wait half a minute.
 *
 * Pure: tables over libvirt's and QEMU's enumerations.
 */
#ifndef SEVMIGD_DETECT_H
#define SEVMIGD_DETECT_H

#include <glib.h>
#include <libvirt/libvirt.h>

#include "qmpc-migration.h"

typedef enum {
    SEVMIG_SIDE_UNKNOWN,
    SEVMIG_SIDE_SOURCE,
    SEVMIG_SIDE_DESTINATION,
    SEVMIG_SIDE_NONE, /* no migration at all: a save, a dump, or over already */
} SevmigSide;

/* May a migration that nobody follows yet be discovered by this status? */
gboolean sevmig_detect_status_starts(QmpcMigrationStatus status);

/* First: the domain's state and reason. DESTINATION, NONE (not running a QEMU) or UNKNOWN. */
SevmigSide sevmig_detect_side_of_state(int state, int reason);

/* Second: virDomainGetJobStats' type and VIR_DOMAIN_JOB_OPERATION (-1: not reported). */
SevmigSide sevmig_detect_side_of_job(int type, int operation);

/* In place of the second, where virDomainGetJobStats failed with this libvirt error code. */
SevmigSide sevmig_detect_side_of_error(int code);

#endif
