/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * capabilities.h - what libvirt says of itself, a host and a QEMU
 */
#ifndef SEVMIGCTL_CAPABILITIES_H
#define SEVMIGCTL_CAPABILITIES_H

#include <libvirt/libvirt.h>

#include "sevmig-policy-xml.h"

/* Of XML that libvirt made, which is freed; NULL: it could not be had or read. */
SevmigXmlDoc *capabilities_read(char *xml);

/* Of a domain's capabilities, which may be NULL: whether that QEMU found SEV firmware. */
gboolean capabilities_have_sev(const SevmigXmlDoc *doc);

/* "11.3.0" of the libvirt at the other end; `number` (may be NULL) gets it as libvirt counts, 0 if
   it does not tell. */
char *capabilities_libvirt_version(virConnectPtr connection, unsigned long *number);

#endif
