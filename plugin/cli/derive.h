/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * derive.h - a guest for the simulation from what was recorded of a migration
 */
#ifndef SEVMIGCTL_DERIVE_H
#define SEVMIGCTL_DERIVE_H

#include <glib.h>

#include "sevmig-simulation.h"

/* What a migration took since pages were sent; the downtime is QEMU's figure. */
typedef struct {
    double total_s;
    double downtime_ms;
    double lost_s; /* mean over the vCPUs of time withheld, and downtime */
    double pages;  /* sent */
} DeriveFigures;

typedef struct {
    char *path, *domain, *policy;
    SevmigSimScenario scenario; /* with the parameters it was recorded under */
    DeriveFigures recorded, simulated;
    double off;    /* the factor between both, of time or pages, whichever is worse; at least 1 */
    char *refused; /* why nothing is to be concluded from it; NULL: it may be used */
} DerivedRecord;

/* Beyond it a record is refused. */
#define DERIVE_MOST_OFF 2.0

/*
 * Reads the record, derives the guest, and plays it under the recorded policy. NULL and `error` if
 * the file cannot be read to its end.
 */
DerivedRecord *derive_record(const char *path, GError **error);
void derive_record_free(DerivedRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DerivedRecord, derive_record_free)

#endif
