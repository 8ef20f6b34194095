/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * checks.h - what was looked at, what was found, and how to mend it
 */
#ifndef SEVMIGCTL_CHECKS_H
#define SEVMIGCTL_CHECKS_H

#include <glib.h>

typedef enum {
    CHECK_GOOD,
    CHECK_BAD,
    CHECK_UNKNOWN, /* could not be told */
    CHECK_NOTE,    /* good, and there is something to be said */
} CheckState;

typedef struct {
    const char *name;
    CheckState state;
    char *found;
    char *mend; /* "" where there is nothing to mend */
} Check;

/* An empty list of Check; the caller unrefs it. */
GArray *checks_new(void);

/* One more. The texts are copied; `name` stays the caller's; `mend` is for one that is not good. */
void checks_add(GArray *checks, const char *name, CheckState state, const char *found,
                const char *mend);

/* How many are in that state. */
guint checks_count(const GArray *checks, CheckState state);

/* A table, and below it how to mend what is not good. */
void checks_put(GString *out, const GArray *checks, guint width);
/* The member "checks". */
void checks_json(GString *out, const GArray *checks);

#endif
