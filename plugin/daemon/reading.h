/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reading.h - domain XML read, and its policy found, in threads
 *
 * XML is others' and may be slow to read, and the main loop renews leases. At most two documents
 * are read at a time, at most one of a user; domains that migrate come first, the rest in the order
 * of arrival. Bounded by what calls may be under way.
 */
#ifndef SEVMIGD_READING_H
#define SEVMIGD_READING_H

#include <gio/gio.h>

#include "sevmig-policy-resolve.h"

typedef struct SevmigReading SevmigReading;

SevmigReading *sevmig_reading_new(void);
/* What still waits is answered with G_IO_ERROR_CANCELLED; what is being read, with its end. */
void sevmig_reading_free(SevmigReading *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigReading, sevmig_reading_free)

#define SEVMIG_READING_MIGRATES G_MAXUINT64 /* no user's: a domain that migrates */

/*
 * `store` as it is now decides. `name` NULL: a document, refused if it cannot be read; else a
 * domain of this host (sevmig_policy_resolve_domain()), with its `uuid`.
 */
void sevmig_reading_run_async(SevmigReading *self, guint64 user, const SevmigPolicyStore *store,
                              const char *xml, const char *name, const char *uuid,
                              GAsyncReadyCallback callback, gpointer user_data);
/* Owned by the caller. */
SevmigResolution *sevmig_reading_run_finish(GAsyncResult *result, GError **error);

#endif
