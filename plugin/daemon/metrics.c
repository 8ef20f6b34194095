/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "metrics-private.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "sevmig-error.h"

#define ACTIVE_INTERVAL_MS 5000u
#define IDLE_INTERVAL_MS 60000u
#define FILE_MODE 0644 /* for whoever scrapes it */

const SevmigPhase SEVMIG_METRICS_RESULT_PHASES[SEVMIG_RESULT_COUNT] = {
    [SEVMIG_RESULT_DONE] = SEVMIG_PHASE_DONE,
    [SEVMIG_RESULT_FAILED] = SEVMIG_PHASE_FAILED,
    [SEVMIG_RESULT_CANCELLED] = SEVMIG_PHASE_CANCELLED,
    [SEVMIG_RESULT_RELEASED] = SEVMIG_PHASE_RELEASED,
};

const guint64 SEVMIG_METRICS_BOUNDS_US[SEVMIG_METRICS_BUCKETS] = {
    10000,  30000,   50000,   100000,  200000,   300000,
    500000, 1000000, 2000000, 5000000, 10000000, G_MAXUINT64,
};

/* --- Counting --- */

static void
sums_add(SevmigMetricsSums *sums, const SevmigInfo *info)
{
    /* Guest time lost has the downtime in it once that is known. */
    guint64 lost_us = info->guest_lost_us;

    sums->throttled_us += lost_us - MIN(info->downtime_us, lost_us);
    sums->pages += info->pages;
    sums->bytes += info->sent_bytes;
    sums->service_us += info->service_us;
    sums->wait_us += info->wait_us;
}

/* The members of a running migration come one after the other, so that a difference of two may for
   a moment be less than it was. */
void
sevmig_metrics_sum(SevmigMetrics *self)
{
    SevmigMetricsSums now = self->ended;
    SevmigMetricsSums *shown = &self->shown;

    for (guint i = 0; i < self->running->len; i++)
        sums_add(&now, self->running->pdata[i]);
    shown->throttled_us = MAX(shown->throttled_us, now.throttled_us);
    shown->pages = MAX(shown->pages, now.pages);
    shown->bytes = MAX(shown->bytes, now.bytes);
    shown->service_us = MAX(shown->service_us, now.service_us);
    shown->wait_us = MAX(shown->wait_us, now.wait_us);
}

static void
count_downtime(SevmigMetrics *self, const SevmigInfo *info)
{
    guint bucket = 0;

    if (info->downtime_us == 0)
        return; /* nobody measured it */
    while (info->downtime_us > SEVMIG_METRICS_BOUNDS_US[bucket])
        bucket++;
    self->buckets[bucket]++;
    self->downtime_us += info->downtime_us;
    self->goals_missed +=
        info->downtime_goal_us > 0 && info->downtime_us > info->downtime_goal_us ? 1 : 0;
}

static void
count_result(SevmigMetrics *self, const SevmigInfo *info)
{
    for (guint i = 0; i < SEVMIG_RESULT_COUNT; i++) {
        if (strcmp(info->phase, sevmig_phase_name(SEVMIG_METRICS_RESULT_PHASES[i])) == 0)
            self->results[i]++;
    }
    if (strcmp(info->phase, sevmig_phase_name(SEVMIG_PHASE_DONE)) == 0)
        count_downtime(self, info);
}

/* --- The file --- */

/* A file of our own making: what somebody else put there, a FIFO say, is not waited for. It is for
   every reader, whatever the process's mask keeps from the others. */
static gboolean
write_new(const char *path, const char *content)
{
    gsize length = strlen(content);
    int fd;

    (void)g_unlink(path);
    fd = g_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return FALSE;
    for (gsize done = 0; done < length;) {
        ssize_t n = write(fd, content + done, length - done);

        if (n < 0 && errno != EINTR) {
            close(fd);
            return FALSE;
        }
        done += (gsize)MAX(n, 0);
    }
    if (fchmod(fd, FILE_MODE) < 0) {
        close(fd);
        return FALSE;
    }
    return close(fd) == 0;
}

/* Whole or not at all for readers, but not synced to the disk: the main loop, which steers guests,
   must not wait for that, and what a crash of the host loses is written again soon. */
static gboolean
replace_file(const char *path, const char *content, GError **error)
{
    g_autofree char *new_path = g_strconcat(path, ".new", NULL);

    if (write_new(new_path, content) && g_rename(new_path, path) == 0)
        return TRUE;
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "cannot write %s by way of %s: %s", path,
                new_path, g_strerror(errno));
    return FALSE;
}

static gboolean
metrics_write(SevmigMetrics *self, GError **error)
{
    gboolean text = g_str_has_suffix(self->path, ".prom");
    g_autofree char *directory = g_path_get_dirname(self->path);
    g_autofree char *content =
        sevmig_metrics_format(self, text ? SEVMIG_METRICS_TEXT : SEVMIG_METRICS_OPENMETRICS);

    if (g_mkdir_with_parents(directory, 0755) < 0) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "cannot make %s: %s", directory,
                    g_strerror(errno));
        return FALSE;
    }
    return replace_file(self->path, content, error);
}

static void metrics_schedule(SevmigMetrics *self, guint ms);

static gboolean
metrics_due(gpointer user_data)
{
    SevmigMetrics *self = user_data;
    g_autoptr(GError) error = NULL;

    self->timer = 0;
    if (metrics_write(self, &error)) {
        self->failing = FALSE;
    } else if (!self->failing) {
        sevmig_log(SEVMIG_MESSAGE_METRICS_NOT_WRITTEN, NULL, "no metrics: %s, trying on",
                   error->message);
        self->failing = TRUE;
    }
    metrics_schedule(self, self->running->len > 0 ? ACTIVE_INTERVAL_MS : IDLE_INTERVAL_MS);
    return G_SOURCE_REMOVE;
}

/* The next write, in place of one that is set. */
static void
metrics_schedule(SevmigMetrics *self, guint ms)
{
    g_clear_handle_id(&self->timer, g_source_remove);
    if (self->started)
        self->timer = g_timeout_add(ms, metrics_due, self);
}

/* --- Life --- */

SevmigMetrics *
sevmig_metrics_new(const char *path)
{
    SevmigMetrics *self = g_new0(SevmigMetrics, 1);

    self->path = g_strdup(path);
    self->running = g_ptr_array_new();
    return self;
}

void
sevmig_metrics_start(SevmigMetrics *self)
{
    self->started = self->path != NULL;
    metrics_schedule(self, 0);
}

void
sevmig_metrics_free(SevmigMetrics *self)
{
    if (self == NULL)
        return;
    g_clear_handle_id(&self->timer, g_source_remove);
    g_ptr_array_set_size(self->running, 0);
    self->connected = FALSE;
    if (self->started)
        metrics_write(self, NULL);
    g_ptr_array_unref(self->running);
    g_free(self->path);
    g_free(self);
}

void
sevmig_metrics_begun(SevmigMetrics *self, const SevmigInfo *info)
{
    g_ptr_array_add(self->running, (gpointer)info);
    metrics_schedule(self, 0);
}

void
sevmig_metrics_ended(SevmigMetrics *self, const SevmigInfo *info)
{
    if (!g_ptr_array_remove(self->running, (gpointer)info))
        return;
    sums_add(&self->ended, info);
    count_result(self, info);
    metrics_schedule(self, 0);
}

void
sevmig_metrics_set_connected(SevmigMetrics *self, gboolean connected)
{
    if (self->connected == connected)
        return;
    self->connected = connected;
    metrics_schedule(self, 0);
}
