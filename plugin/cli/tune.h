/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tune.h - other goals and limits, tried on guests that were derived from records
 */
#ifndef SEVMIGCTL_TUNE_H
#define SEVMIGCTL_TUNE_H

#include "derive.h"
#include "progress.h"
#include "sevmig-policy.h"

#define TUNE_MOST_RECORDS 64

/* A policy, and what would have come of the recorded migrations under it. */
typedef struct {
    char *name;    /* "downtime goal 100 ms" */
    char *element; /* what it changes, "goals/downtime"; NULL: nothing, it is today's */
    SevmigPolicy *policy;
    guint ended;        /* migrations that did */
    guint met;          /* those of them that met every goal of it */
    double total_s;     /* mean; one that did not end counts with how long was tried */
    double downtime_ms; /* the longest, as a client sees it */
    double lost_s;      /* mean */
} TuneCandidate;

typedef struct {
    GPtrArray *records;            /* of DerivedRecord */
    guint used;                    /* those that are not refused */
    GPtrArray *candidates;         /* of TuneCandidate: today's, then the others */
    const TuneCandidate *proposal; /* one of them; NULL: none is better than today's */
} Tune;

/* Takes references. Without a usable record no candidate is tried. */
Tune *tune_run(GPtrArray *records, SevmigPolicy *today, Progress *progress);
void tune_free(Tune *tune);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Tune, tune_free)

/* The proposal's document, whose comment says what it was derived from; `error` if a lint would
 * refuse it. */
char *tune_document(const Tune *tune, GError **error);

/* Two tables and what is proposed. */
void tune_render(GString *out, const Tune *tune, guint width);
/* `document`: the proposal's; NULL: there is none. */
void tune_json(GString *out, const Tune *tune, const char *document);

#endif
