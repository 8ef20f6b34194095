/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt-error.h - libvirt's errors in our domain
 */
#ifndef SEVMIG_LIBVIRT_ERROR_H
#define SEVMIG_LIBVIRT_ERROR_H

#include <glib.h>

/* Sets `error` from the calling thread's last libvirt error, as "WHAT: libvirt's words". Nearly
   every call of libvirt forgets that error, so none may stand among the arguments: not even
   virDomainGetName(). */
void sevmig_libvirt_error_set(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* libvirt prints its errors to standard error unless told otherwise; we report them ourselves. */
void sevmig_libvirt_silence(void);

#endif
