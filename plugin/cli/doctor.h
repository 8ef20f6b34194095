/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doctor.h - whether this host has all that SEV guests need to come and go under sevmig
 */
#ifndef SEVMIGCTL_DOCTOR_H
#define SEVMIGCTL_DOCTOR_H

#include <libvirt/libvirt.h>

#include "checks.h"
#include "cli.h"

typedef struct {
    Cli *cli;
    GArray *checks;           /* of Check */
    virConnectPtr connection; /* NULL: libvirt cannot be reached */
} Doctor;

/* Each adds its checks; what cannot be looked at is one that says so. */
void doctor_check_libvirt(Doctor *self); /* the connection, QEMU, certificates */
void doctor_check_host(Doctor *self);    /* firmware, hook, state directory, clock */
void doctor_check_bus(Doctor *self);     /* polkit, sevmigd, its policies */

#endif
