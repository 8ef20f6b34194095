/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-error.h - the one error domain, mapped once to D-Bus error names
 *
 * A message is one line for a person and names what it is about (file, domain, policy).
 */
#ifndef SEVMIG_ERROR_H
#define SEVMIG_ERROR_H

#include <glib.h>

#define SEVMIG_ERROR (sevmig_error_quark())

typedef enum {
    SEVMIG_ERROR_FAILED,         /* anything that no other code describes */
    SEVMIG_ERROR_INVALID,        /* input that breaks a rule: a policy, an argument */
    SEVMIG_ERROR_NOT_FOUND,      /* no such policy, domain or migration */
    SEVMIG_ERROR_NOT_AUTHORIZED, /* polkit said no, or nothing allows it */
    SEVMIG_ERROR_NOT_SUPPORTED,  /* this QEMU, guest or host cannot do it */
    SEVMIG_ERROR_REFUSED,        /* QEMU or libvirt could, but refused this time */
    SEVMIG_ERROR_UNAVAILABLE,    /* libvirt or the domain is gone; may be tried again */
    SEVMIG_ERROR_TIMED_OUT,
    SEVMIG_ERROR_BUSY,     /* this caller asks for too much at once */
    SEVMIG_ERROR_PROTOCOL, /* an answer that breaks the contract */
    SEVMIG_ERROR_IO,
    SEVMIG_ERROR_COUNT
} SevmigErrorCode;

/* Registers the D-Bus names (org.sevmig1.Error.*) as a side effect of the first call, so that
   GDBus turns them back into this domain on the client's side too. */
GQuark sevmig_error_quark(void);

/* "org.sevmig1.Error.NotFound" */
const char *sevmig_error_bus_name(SevmigErrorCode code);

#endif
