/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch-view.h - running migrations as lines of styled text, whatever shows them
 */
#ifndef SEVMIGCTL_WATCH_VIEW_H
#define SEVMIGCTL_WATCH_VIEW_H

#include "migration.h"

#define WATCH_MOST_RATES 256u

/* A migration, and its rates at the last looks (a ring; the newest is at n_rates - 1). */
typedef struct {
    Migration *migration; /* owned */
    double dirty[WATCH_MOST_RATES];
    double encrypt[WATCH_MOST_RATES];
    guint64 n_rates; /* ever taken */
    gint64 ended_us; /* when its end was seen, monotonic; 0: it runs */
} Watched;

Watched *watched_new(Migration *migration); /* takes it over */
void watched_update(Watched *self, Migration *migration);
void watched_free(Watched *self);

typedef enum {
    STYLE_PLAIN,
    STYLE_STRONG,
    STYLE_FAINT,
    STYLE_GOOD,
    STYLE_WARN,
    STYLE_BAD,
    STYLE_SWITCHOVER,
    STYLE_DIRTY,
    STYLE_ENCRYPT,
    STYLE_COUNT
} ViewStyle;

typedef struct {
    ViewStyle style;
    char *text;
} ViewSpan;

/* Lines, each a GPtrArray of ViewSpan; g_ptr_array_unref() frees all. */
typedef GPtrArray ViewFrame;

typedef struct {
    guint width;     /* in columns, no line is wider; 0: unlimited */
    guint height;    /* in lines; 0: unlimited. What has no room is shortened, then counted */
    gboolean blocks; /* bars and curves of block characters, not of ASCII */
} ViewSize;

/* Those that take turns come first, in their order. */
ViewFrame *view_frame(const GPtrArray *watched, const ViewSize *size);

/* Appends the frame as text, with the colours of a terminal or without. */
void view_put(GString *out, const ViewFrame *frame, gboolean colour);

#endif
