/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * derive.h - a guest for the simulation from what was recorded of a migration
 */
#ifndef SEVMIGCTL_DERIVE_H
#define SEVMIGCTL_DERIVE_H

#include <glib.h>

#include "sevmig-policy.h"
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
    double cpu_s;  /* what playing it has taken so far, all runs together */
    char *refused; /* why nothing is to be concluded from it; NULL: it may be used */
} DerivedRecord;

/* Beyond it a record is refused. */
#define DERIVE_MOST_OFF 2.0
/* CPU time that playing one record may take in all, and beyond which it is refused: a record may
 * come from anywhere. */
#define DERIVE_MOST_CPU_S 10.0

/*
 * Reads the record, derives the guest, and plays it under the recorded policy. NULL and `error` if
 * the file cannot be read to its end.
 */
DerivedRecord *derive_record(const char *path, GError **error);
/* Plays it under a controller's parameters, which need not be those on record. FALSE, and the
 * record is refused: it has taken more than DERIVE_MOST_CPU_S. */
gboolean derive_play(DerivedRecord *record, const SevmigSimScenario *scenario,
                     SevmigSimResult *result);

/* The policy it was recorded under; without what the host had learnt, which differs from one to the
 * next. NULL and `error` if no policy may be like that. */
SevmigPolicy *derive_policy(const DerivedRecord *record, GError **error);

void derive_record_free(DerivedRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DerivedRecord, derive_record_free)

#endif
