/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * render.h - one migration in words
 */
#ifndef SEVMIGCTL_RENDER_H
#define SEVMIGCTL_RENDER_H

#include "migration.h"

/* Everything, a line for each thing. */
void render_details(GString *out, const Migration *migration);

/* What watch shows, on one line, for logs and pipes; one that has ended says how. */
void render_line(GString *out, const Migration *migration);

/* The real downtime once it is known, else the prediction, and the goal. */
char *render_downtime(const Migration *migration);

/* When it began, in local time; NULL if that is no time. */
char *render_started(const Migration *migration);

#endif
