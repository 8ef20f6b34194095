/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "sevmig-error.h"
#include "sevmig-file.h"

#define SUFFIX ".jsonl"

/* A step is about 2 KiB: half an hour at ten a second is 36 MiB. */
const SevmigRecorderLimits SEVMIG_RECORDER_LIMITS = {
    .files = 64,
    .bytes = G_GUINT64_CONSTANT(512) << 20,
    .file_bytes = G_GUINT64_CONSTANT(128) << 20,
};

struct SevmigRecorder {
    char *path;
    int fd; /* -1: recording has stopped */
    guint64 written_bytes;
    guint64 limit_bytes;
};

static gboolean
write_all(int fd, const char *text, gsize len)
{
    while (len > 0) {
        gssize n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
        text += n;
        len -= (gsize)n;
    }
    return TRUE;
}

static void
recorder_stop(SevmigRecorder *self)
{
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
}

/* Ends the file with its last whole line, so that it can still be read. */
static gboolean
recorder_line(SevmigRecorder *self, const char *line, GError **error)
{
    gsize len = strlen(line);
    int saved;

    if (self->written_bytes + len > self->limit_bytes) {
        recorder_stop(self);
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO,
                    "%s has reached its limit of %" G_GUINT64_FORMAT " bytes", self->path,
                    self->limit_bytes);
        return FALSE;
    }
    if (write_all(self->fd, line, len)) {
        self->written_bytes += len;
        return TRUE;
    }
    saved = errno;
    if (ftruncate(self->fd, (off_t)self->written_bytes) < 0)
        saved = errno;
    recorder_stop(self);
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "cannot write %s: %s", self->path,
                g_strerror(saved));
    return FALSE;
}

SevmigRecorder *
sevmig_recorder_new(const char *directory, const char *id, const SevmigTraceHeader *header,
                    const SevmigRecorderLimits *limits, GError **error)
{
    g_autoptr(SevmigRecorder) self = g_new0(SevmigRecorder, 1);
    g_autofree char *name = g_strconcat(id, SUFFIX, NULL);
    g_autofree char *line = NULL;

    self->fd = -1;
    self->limit_bytes = limits->file_bytes;
    self->path = g_build_filename(directory, name, NULL);
    if (g_mkdir_with_parents(directory, 0750) < 0) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "cannot make %s: %s", directory,
                    g_strerror(errno));
        return NULL;
    }
    sevmig_directory_trim(directory, SUFFIX, limits->files > 0 ? limits->files - 1 : 0,
                          limits->bytes);
    self->fd = open(self->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (self->fd < 0) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "cannot create %s: %s", self->path,
                    g_strerror(errno));
        return NULL;
    }
    sevmig_file_claim(self->fd); /* while it is written it must not be trimmed away */
    line = sevmig_trace_format_header(header);
    if (!recorder_line(self, line, error))
        return NULL;
    return g_steal_pointer(&self);
}

void
sevmig_recorder_free(SevmigRecorder *self)
{
    if (self == NULL)
        return;
    recorder_stop(self);
    g_free(self->path);
    g_free(self);
}

gboolean
sevmig_recorder_step(SevmigRecorder *self, const SevmigEvent *event,
                     const SevmigTraceOrigin *origin, const SevmigActions *actions,
                     const SevmigView *view, GError **error)
{
    g_autofree char *line = NULL;

    if (self->fd < 0)
        return TRUE;
    line = sevmig_trace_format_change(event, origin, actions, view);
    return recorder_line(self, line, error);
}

const char *
sevmig_recorder_path(const SevmigRecorder *self)
{
    return self->path;
}
