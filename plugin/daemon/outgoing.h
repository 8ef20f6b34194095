/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * outgoing.h - looks whether a domain is the source of a migration (blocking; for threads)
 */
#ifndef SEVMIGD_OUTGOING_H
#define SEVMIGD_OUTGOING_H

#include <glib.h>
#include <libvirt/libvirt.h>

#define SEVMIG_UUID_SIZE VIR_UUID_STRING_BUFLEN

/* A domain that is the source of a migration. */
typedef struct {
    virDomainPtr domain; /* a reference */
    char *name;
    char uuid[SEVMIG_UUID_SIZE];
    char *xml;           /* NULL: it could not be told whether it is one */
    gint64 job_began_us; /* when libvirt began, monotonic, as near as it can be told */
    guint64 elapsed_us;  /* how long memory has been sent; 0: disks came first, it cannot be told */
    gboolean begun;      /* memory is being sent; before, QEMU says when it begins */
    gboolean stands;     /* its vCPUs do, for this migration */
} SevmigFound;

void sevmig_found_free(SevmigFound *found);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigFound, sevmig_found_free)

/* NULL without `error`: it is not. NULL with `error`: it cannot be told. */
SevmigFound *sevmig_outgoing_look(virDomainPtr domain, GError **error);

/* Whether the domain is the source of a migration right now. -1 with libvirt's error: unknown. */
int sevmig_outgoing_is_source(virDomainPtr domain);

/* Every domain that is, or may be: see `xml`. */
GPtrArray *sevmig_outgoing_list(virConnectPtr connection, GError **error);

/* The description of a domain, by name or UUID; caller frees. Refused for one that is arriving. */
char *sevmig_outgoing_describe(virConnectPtr connection, const char *name, GError **error);

/*
 * What the QEMU of a domain could do in a migration, (a{sv}), a reference for the caller: steerable
 * (b) and reason (s), why not; and if so firmware (s), max-command-pages (u), max-batch-pages (u),
 * private-pages (t), page-size (u). Refused for a domain that does not run or migrates.
 */
GVariant *sevmig_outgoing_probe(virConnectPtr connection, const char *name, GError **error);

#endif
