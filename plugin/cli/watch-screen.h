/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch-screen.h - the whole terminal, by ncurses
 *
 * What the terminal showed before is there again once the screen is freed.
 */
#ifndef SEVMIGCTL_WATCH_SCREEN_H
#define SEVMIGCTL_WATCH_SCREEN_H

#include "watch-view.h"

typedef struct Screen Screen;

/* NULL if this terminal cannot be drawn on. */
Screen *screen_new(gboolean colour);
void screen_free(Screen *self);

ViewSize screen_size(const Screen *self);
/* The terminal may have another size. */
void screen_resize(Screen *self);
void screen_draw(Screen *self, const ViewFrame *frame);
/* Whether a key was hit that means to leave. */
gboolean screen_wants_out(Screen *self);

#endif
