/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * render.h - one migration in words
 */
#ifndef SEVMIGCTL_RENDER_H
#define SEVMIGCTL_RENDER_H

#include "migration.h"

/* Everything, a line for each thing. */
void render_details(GString *out, const Migration *migration);

/* The live view: a few lines no wider than `width` (0: unlimited). Returns how many. */
guint render_live(GString *out, const Migration *migration, guint width, gboolean colour);

/* The live view on one line, for logs and pipes; one that has ended says how. */
void render_line(GString *out, const Migration *migration);

/* When it began, in local time; NULL if that is no time. */
char *render_started(const Migration *migration);

#endif
