/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt-transport.h - QMP to a domain through libvirt's monitor passthrough
 *
 * Each command is a call in a thread. While one has not come back, be it after its time-out, the
 * next is refused with SEVMIG_ERROR_TIMED_OUT: a QEMU that hangs holds one thread, not ten a
 * second.
 */
#ifndef SEVMIGD_LIBVIRT_TRANSPORT_H
#define SEVMIGD_LIBVIRT_TRANSPORT_H

#include <libvirt/libvirt.h>

#include "qmpc-transport.h"

/* Takes a reference to `domain`. */
QmpcTransport *sevmig_libvirt_transport_new(virDomainPtr domain);
/* The callback of a command that is still under way must not come any more: cancel it before. */
void sevmig_libvirt_transport_free(QmpcTransport *transport);

#endif
