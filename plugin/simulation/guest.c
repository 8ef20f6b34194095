/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* guest.c - vCPUs under a throttle, and what they write */
#include "plant.h"

#include <math.h>

guint
sevmig_sim_plant_throttle_of(const SevmigSimPlant *self, guint vcpu)
{
    guint own = self->tune.vcpu_throttle_percent[vcpu];

    return own > 0 ? own : self->tune.throttle_percent;
}

double
sevmig_sim_plant_stun_us(const SevmigSimPlant *self, guint percent)
{
    return percent > 0 ? self->tune.slice_us * percent / (100 - MIN(percent, 99)) : 0;
}

/* The share of time a throttle leaves. */
static double
left_by(const SevmigSimPlant *self, guint percent)
{
    double run = self->tune.slice_us + self->scenario->slack_us;

    return percent > 0 ? run / (run + sevmig_sim_plant_stun_us(self, percent)) : 1;
}

static guint
phase_at(const SevmigSimPlant *self)
{
    guint i = self->scenario->n_phases - 1;

    while (i > 0 && self->now_us < self->scenario->phases[i].from_s * 1e6)
        i--;
    return i;
}

static gboolean
is_writing(const SevmigSimPlant *self, const SevmigSimPhase *phase)
{
    double period_us = phase->burst_period_s * 1e6;

    return period_us <= 0 || fmod(self->now_us, period_us) < phase->burst_share * period_us;
}

double
sevmig_sim_guest_edge_us(const SevmigSimPlant *self)
{
    guint i = phase_at(self);
    const SevmigSimPhase *phase = &self->scenario->phases[i];
    double period_us = phase->burst_period_s * 1e6, edge = INFINITY;

    if (i + 1 < self->scenario->n_phases)
        edge = self->scenario->phases[i + 1].from_s * 1e6;
    if (period_us > 0) {
        double begun = floor(self->now_us / period_us) * period_us;

        edge = fmin(edge, begun + (is_writing(self, phase) ? phase->burst_share : 1) * period_us);
    }
    return edge > self->now_us ? edge : self->now_us + 1; /* rounding */
}

/* The writer's progress in that time: CPU time, or the share of wall time it keeps its pace. */
static double
progress(const SevmigSimPhase *phase, double left, double us)
{
    switch (phase->pace) {
    case SEVMIG_SIM_PACED:
        return us * fmin(1, left / phase->busy);
    case SEVMIG_SIM_BY_WALL:
        return us;
    case SEVMIG_SIM_BY_CPU:
    case SEVMIG_SIM_PACE_COUNT:
        break;
    }
    return us * fmin(phase->busy, left);
}

void
sevmig_sim_guest_run(SevmigSimPlant *self, double us)
{
    const SevmigSimScenario *s = self->scenario;
    guint index = phase_at(self);
    const SevmigSimPhase *phase = &s->phases[index];
    gboolean writing = is_writing(self, phase);
    double written = 0;

    if (self->tune.paused) {
        self->paused_us += us;
        for (guint i = 0; i < s->vcpus; i++)
            self->throttled_us[i] += us;
        return;
    }
    for (guint i = 0; i < s->vcpus; i++) {
        double left = left_by(self, sevmig_sim_plant_throttle_of(self, i));
        double writer = writing ? fmin(phase->busy, left) : 0;
        double used = fmin(left, writer + self->scenario->idle_busy * left) * us;

        self->cpu_us[i] += used;
        self->sync_cpu_us += used;
        self->throttled_us[i] += (1 - left) * us;
        if (i < s->writers && writing) {
            double pages = phase->writes_per_s / s->writers * progress(phase, left, us) / 1e6;

            self->written[i] += pages;
            written += pages;
        }
    }
    if (written > 0)
        self->memory->ops->write(self->memory, index, written);
}
