/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text.h - figures and tables for people
 *
 * Widths are in terminal columns; 0 means unlimited. Returned strings are the caller's.
 */
#ifndef SEVMIGCTL_TEXT_H
#define SEVMIGCTL_TEXT_H

#include <glib.h>

char *text_duration(guint64 us);     /* "850 us", "280 ms", "12.3 s", "4 min 5 s", "1 h 2 min" */
char *text_bytes(guint64 bytes);     /* "4.7 MiB" */
char *text_rate(double pages_per_s); /* "1520 pages/s" */
char *text_percent(guint64 part, guint64 whole); /* "81 %"; "-" where the whole is 0 */

/* What came over the bus, fit for a terminal: valid UTF-8, one line, no control characters. */
char *text_printable(const char *text);

/* A string member of a dictionary from the bus, made printable; "" if it is not there. */
char *text_member(GVariant *dictionary, const char *name);

guint text_width(const char *text);
/* Cut to `width` with "..." where something is lost. */
char *text_clip(const char *text, guint width);

/* Appends `items` with three spaces between, `indent` spaces in front, wrapped at `width`. */
void text_flow(GString *out, const char *const *items, guint indent, guint width);

typedef struct {
    const char *title;
    gboolean right; /* aligned to the right */
    int sacrifice;  /* when the terminal is too narrow, columns go in this order from 1; 0: never */
} TextColumn;

/* `rows` holds strings, n_columns for each row. The last column is cut rather than wrapped. */
void text_table(GString *out, const TextColumn *columns, guint n_columns, GPtrArray *rows,
                guint width);

#endif
