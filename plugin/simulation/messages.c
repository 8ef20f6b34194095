/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "messages.h"

#include <math.h>

#define LATE_MOST 5 /* ticks */

/* `state`: the true value at the last sample, and what was reported then. */
static guint64
noisy(SevmigSimMessages *self, double noise, double *state, double value)
{
    double off = noise > 0 ? noise * (2 * sevmig_sim_random_unit(&self->random) - 1) : 0;

    state[1] += fmax(0, value - state[0]) * (1 + off);
    state[0] = value;
    return (guint64)state[1];
}

static void
fill_ram(SevmigSample *s, const SevmigSimPlant *plant)
{
    double in_flight = plant->credit_us < 0 ? plant->last_pages : 0; /* QEMU counts them as well */

    s->page_size_bytes = SEVMIG_SIM_PAGE_BYTES;
    s->private_pages = plant->scenario->pages;
    s->remaining_pages = (guint64)(plant->memory->remaining + in_flight + 0.5);
    s->pass = plant->memory->passes + 1;
    s->pass_elapsed_us = (guint64)(plant->now_us - plant->pass_us);
    s->sync_count = plant->sync_count;
    s->sync_dirtied_pages = (guint64)(plant->sync_dirtied + 0.5);
    s->sync_interval_measured_us = (guint64)plant->sync_interval_us;
    s->sync_guest_cpu_us = (guint64)plant->sync_guest_cpu_us;
}

static void
fill_send(SevmigSimMessages *self, SevmigSample *s, const SevmigSimPlant *plant)
{
    s->submissions = (guint64)plant->sent.submissions;
    s->commands = (guint64)plant->sent.commands;
    s->pages = (guint64)plant->sent.pages;
    s->gap_pages = (guint64)plant->sent.gap_pages;
    s->bytes = (guint64)plant->bytes;
    s->service_us = noisy(self, plant->scenario->noise, self->service_us, plant->service_us);
    s->wait_us = (guint64)plant->wait_us;
    s->channel_us = (guint64)plant->channel_us;
    for (guint i = 0; i < SEVMIG_RUN_BUCKETS; i++)
        s->run_histogram[i] = (guint64)plant->sent.runs[i];
}

const SevmigSample *
sevmig_sim_messages_sample(SevmigSimMessages *self, const SevmigSimPlant *plant)
{
    const SevmigSimScenario *scenario = plant->scenario;
    SevmigSample *s = &self->sample;

    *s = (SevmigSample){
        .max_command_pages = scenario->max_command_pages,
        .max_batch_pages = scenario->max_batch_pages,
        .batch_pages = plant->tune.batch_pages,
        .batch_gap_pages = plant->tune.gap_pages,
        .vcpu_throttle_percent = plant->tune.throttle_percent,
        .throttle_slice_us = (guint64)plant->tune.slice_us,
        .sync_interval_us = (guint64)plant->tune.sync_interval_us,
        .can_pause = true,
        .paused = plant->tune.paused,
        .vcpus = self->vcpus,
        .n_vcpus = scenario->vcpus,
    };
    fill_ram(s, plant);
    fill_send(self, s, plant);
    for (guint i = 0; i < scenario->vcpus; i++) {
        self->vcpus[i] = (SevmigVcpuSample){
            .cpu_index = i,
            .throttle_percent = sevmig_sim_plant_throttle_of(plant, i),
            .cpu_us = noisy(self, scenario->noise, self->cpu_us[i], plant->cpu_us[i]),
            .throttled_us = (guint64)plant->throttled_us[i],
            .dirtied_pages = scenario->reports_vcpu_dirty ? (guint64)plant->written[i] : 0,
            .has_dirtied_pages = scenario->reports_vcpu_dirty,
        };
    }
    return s;
}

static void
corrupt(SevmigSample *sample, guint which)
{
    switch (which % 4) {
    case 0:
        sample->remaining_pages = sample->private_pages * 2 + 1;
        break;
    case 1:
        sample->pages /= 2;
        sample->gap_pages = 0;
        break;
    case 2:
        sample->service_us = 0;
        break;
    default:
        sample->pass = 0;
        sample->sync_count = 0;
        break;
    }
}

static gboolean
every(guint n, guint tick)
{
    return n > 0 && tick % n == 0;
}

SevmigEventType
sevmig_sim_messages_next(SevmigSimMessages *self, SevmigSimPlant *plant,
                         const SevmigSample **sample)
{
    const SevmigSimScenario *s = plant->scenario;
    guint tick = ++self->ticks;

    *sample = NULL;
    if (s->lease_expires_at == tick) {
        sevmig_sim_tune_default(&plant->tune, s);
        return SEVMIG_EVENT_LEASE_EXPIRED;
    }
    if (every(s->miss_every, tick) ||
        (s->lost_share > 0 && sevmig_sim_random_unit(&self->random) < s->lost_share))
        return SEVMIG_EVENT_SAMPLE_MISSED;
    *sample = sevmig_sim_messages_sample(self, plant);
    if (every(s->corrupt_every, tick))
        corrupt(&self->sample, tick / s->corrupt_every);
    return SEVMIG_EVENT_SAMPLE;
}

guint
sevmig_sim_messages_late(SevmigSimMessages *self, const SevmigSimPlant *plant)
{
    double share = plant->scenario->late_share;

    if (share <= 0 || sevmig_sim_random_unit(&self->random) >= share)
        return 0;
    return 1 + (guint)sevmig_sim_random_below(&self->random, LATE_MOST);
}
