/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

#define PATIENCE_US G_USEC_PER_SEC
#define REDRAW_US (G_USEC_PER_SEC / 4)
#define WIDTH 78

struct Progress {
    GThread *thread; /* NULL: nobody would see it */
    GMutex lock;
    GCond ended;
    gboolean end, drawn;
    gint64 began_us;
    char *text;
};

static void
draw(Progress *self)
{
    gint64 us = g_get_monotonic_time() - self->began_us;
    if (us < PATIENCE_US || self->text == NULL)
        return;
    g_autofree char *time = text_duration((guint64)us);
    g_autofree char *line = g_strdup_printf("%s, %s", self->text, time);
    g_autofree char *shown = text_clip(line, WIDTH);
    fprintf(stderr, "\r\033[K%s", shown);
    fflush(stderr);
    self->drawn = TRUE;
}

static gpointer
run(gpointer data)
{
    Progress *self = data;
    g_mutex_lock(&self->lock);
    while (!self->end) {
        draw(self);
        g_cond_wait_until(&self->ended, &self->lock, g_get_monotonic_time() + REDRAW_US);
    }
    g_mutex_unlock(&self->lock);
    return NULL;
}

Progress *
progress_new(void)
{
    Progress *self = g_new0(Progress, 1);
    const char *term = g_getenv("TERM");
    g_mutex_init(&self->lock);
    g_cond_init(&self->ended);
    self->began_us = g_get_monotonic_time();
    if (isatty(STDERR_FILENO) == 1 && term != NULL && strcmp(term, "dumb") != 0)
        self->thread = g_thread_new("progress", run, self);
    return self;
}

void
progress_say(Progress *self, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_mutex_lock(&self->lock);
    g_free(self->text);
    self->text = text_printable(text);
    g_mutex_unlock(&self->lock);
}

void
progress_free(Progress *self)
{
    if (self->thread != NULL) {
        g_mutex_lock(&self->lock);
        self->end = TRUE;
        g_cond_signal(&self->ended);
        g_mutex_unlock(&self->lock);
        g_thread_join(self->thread);
    }
    if (self->drawn)
        fputs("\r\033[K", stderr);
    g_mutex_clear(&self->lock);
    g_cond_clear(&self->ended);
    g_free(self->text);
    g_free(self);
}
