/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "intake.h"

#include <math.h>
#include <string.h>

#define SMOOTH 0.4
#define BRIEF_US 50000 /* half a tick: a submission more or less would be a tenth of a rate */
#define SUBMISSIONS_IN_FLIGHT 2
#define IMPOSSIBLE_MOST 3 /* in a row; after that the world has changed, not the messenger */

void
sevmig_intake_init(SevmigIntake *self)
{
    memset(self, 0, sizeof(*self));
}

static const char *
find_problem(const SevmigIntake *self, int64_t now_us, const SevmigSample *s)
{
    const SevmigSample *l = &self->last;
    /* What is in flight may be dirty again already: it is counted twice then. */
    uint64_t in_flight = SUBMISSIONS_IN_FLIGHT * (uint64_t)s->batch_pages;
    const struct {
        bool wrong;
        const char *text;
    } checks[] = {
        {s->n_vcpus > SEVMIG_MAX_VCPUS || (s->n_vcpus > 0 && !s->vcpus), "vCPU list out of range"},
        {s->private_pages + s->shared_pages > 0 &&
             s->remaining_pages > s->private_pages + s->shared_pages + in_flight,
         "more pages remain than there are"},
        {s->gap_pages > s->pages, "more gap pages than pages"},
        {self->valid && now_us < self->at_us, "time went back"},
        {self->valid && (s->submissions < l->submissions || s->commands < l->commands ||
                         s->pages < l->pages || s->bytes < l->bytes),
         "send counters fell"},
        {self->valid && (s->service_us < l->service_us || s->wait_us < l->wait_us ||
                         s->channel_us < l->channel_us),
         "time counters fell"},
        {self->valid && (s->pass < l->pass || s->sync_count < l->sync_count), "pass went back"},
    };

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (checks[i].wrong)
            return checks[i].text;
    }
    return NULL;
}

/* Between the newest two samples: as long after the sync before as it says; with several, when the
 * pass began that ran out of pages, or half an interval ago. */
static int64_t
sync_time_us(const SevmigIntake *self, int64_t now_us, const SevmigSample *s)
{
    double interval_us = (double)s->sync_interval_measured_us;
    double ago_us = fmin(interval_us, (double)(now_us - self->at_us)) / 2;

    if (s->sync_count == self->last.sync_count + 1)
        ago_us = (double)(now_us - self->sync_at_us) - interval_us;
    else if (self->new_pass)
        ago_us = (double)s->pass_elapsed_us;
    return now_us - (int64_t)fmax(0, fmin(ago_us, (double)(now_us - self->at_us)));
}

static void
take_sync(SevmigIntake *self, int64_t now_us, const SevmigSample *s)
{
    self->new_sync = s->sync_count != self->last.sync_count;
    self->new_pass = s->pass != self->last.pass;
    if (!self->new_sync)
        return;
    self->sync_at_us = sync_time_us(self, now_us, s);
}

static void
take_increments(SevmigIntake *self, double interval_us, const SevmigSample *s)
{
    const SevmigSample *l = &self->from;
    SevmigSent *sent = &self->sent;

    sent->wall_us = interval_us;
    sent->submissions = (double)(s->submissions - l->submissions);
    sent->commands = (double)(s->commands - l->commands);
    sent->pages = (double)(s->pages - l->pages);
    sent->service_us = (double)(s->service_us - l->service_us);
    sent->wait_us = (double)(s->wait_us - l->wait_us);
    sent->late = self->late;
    /* A sync in between may have found new work after an idle while: leave that interval out. */
    sent->busy = s->sync_count == l->sync_count && (double)s->remaining_pages > sent->pages;
    for (int i = 0; i < SEVMIG_RUN_BUCKETS; i++) {
        bool fell = s->run_histogram[i] < l->run_histogram[i];

        sent->runs[i] = fell ? 0 : (double)(s->run_histogram[i] - l->run_histogram[i]);
    }
    self->rate_pages_per_s += SMOOTH * (sent->pages * 1e6 / interval_us - self->rate_pages_per_s);
    self->newest_bytes_per_us = (double)(s->bytes - l->bytes) / interval_us;
    self->bytes_per_us += SMOOTH * (self->newest_bytes_per_us - self->bytes_per_us);
}

static void
count_from(SevmigIntake *self, int64_t now_us, const SevmigSample *sample)
{
    self->from = *sample;
    self->from.vcpus = NULL;
    self->from_us = now_us;
}

static void
remember(SevmigIntake *self, int64_t now_us, const SevmigSample *sample)
{
    self->last = *sample;
    self->last.vcpus = NULL;
    self->at_us = now_us;
    self->valid = true;
    self->impossible_in_a_row = 0;
    /* QEMU counts a pass when it runs out of pages; with syncs in between it may never do. */
    self->late = sample->pass > 1 || (sample->private_pages > 0 &&
                                      sample->pages - sample->gap_pages >= sample->private_pages);
    if (!self->late)
        self->late_at_us = now_us;
}

SevmigIntakeVerdict
sevmig_intake_take(SevmigIntake *self, int64_t now_us, const SevmigSample *sample)
{
    const char *problem = find_problem(self, now_us, sample);
    SevmigIntakeVerdict verdict = SEVMIG_INTAKE_BRIEF;

    memset(&self->sent, 0, sizeof(self->sent));
    self->new_sync = false;
    self->new_pass = false;
    if (problem) {
        bool comparable = sample->n_vcpus <= SEVMIG_MAX_VCPUS && now_us >= self->at_us;

        self->problem = problem;
        if (++self->impossible_in_a_row > IMPOSSIBLE_MOST && comparable) {
            unsigned in_a_row = self->impossible_in_a_row;

            count_from(self, now_us, sample);
            remember(self, now_us, sample);
            self->impossible_in_a_row = in_a_row;
        }
        return SEVMIG_INTAKE_IMPOSSIBLE;
    }
    if (!self->valid) {
        self->sync_at_us = now_us; /* or earlier: nothing is known of that time */
        count_from(self, now_us, sample);
        remember(self, now_us, sample);
        return SEVMIG_INTAKE_FIRST;
    }
    take_sync(self, now_us, sample);
    self->wall_us = (double)(now_us - self->at_us);
    if (now_us - self->from_us >= BRIEF_US) {
        take_increments(self, (double)(now_us - self->from_us), sample);
        count_from(self, now_us, sample);
        verdict = SEVMIG_INTAKE_OK;
    }
    remember(self, now_us, sample);
    return verdict;
}
