/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vcpus.h"

#include <math.h>
#include <string.h>

#define SMOOTH 0.3
#define UNTHROTTLED 0.02 /* less than this share of the time withheld is none */
#define SATURATED                                                                                  \
    0.6            /* uses this much of what it is left: it might use more. Waking up costs it     \
                    * a part: of 5 % left, a guest flat out was measured to use 4 */
#define DRIFT 0.01 /* per sample towards "always busy" while that cannot be seen */
#define LEAK_MOST 4
#define WRITER 0.05 /* share of all dirtied pages that makes a vCPU a writer */

void
sevmig_vcpus_init(SevmigVcpus *self)
{
    memset(self, 0, sizeof(*self));
    self->gain = 1;
    self->leak = 1;
}

static bool
counters_fell(const SevmigVcpus *self, const SevmigSample *sample)
{
    for (size_t i = 0; i < sample->n_vcpus; i++) {
        if (sample->vcpus[i].cpu_us < self->cpu_us[i] ||
            sample->vcpus[i].throttled_us < self->throttled_us[i])
            return true;
    }
    return false;
}

/*
 * Busy time is only visible while the throttle leaves some to spare. A vCPU that uses all it gets
 * may want any amount more, so its last visible value is kept and slowly drifts upwards.
 */
static void
learn_busy(SevmigVcpus *self, size_t i, double used, double withheld, bool first)
{
    double left = 1 - withheld;

    if (first)
        self->busy[i] = (float)(withheld < UNTHROTTLED ? used : fmin(1, used / left));
    else if (withheld < UNTHROTTLED || used < SATURATED * left)
        self->busy[i] += (float)(SMOOTH * (used - self->busy[i]));
    else
        self->busy[i] = (float)fmax(used, self->busy[i] + DRIFT * (1 - self->busy[i]));
}

static void
learn_one(SevmigVcpus *self, size_t i, const SevmigVcpuSample *vcpu, double per_us)
{
    double used = fmin(1, (double)(vcpu->cpu_us - self->cpu_us[i]) * per_us);
    double withheld = fmin(0.99, (double)(vcpu->throttled_us - self->throttled_us[i]) * per_us);

    learn_busy(self, i, used, withheld, !self->known);
    if (vcpu->has_dirtied_pages && vcpu->dirtied_pages >= self->dirtied_pages[i]) {
        double rate = (double)(vcpu->dirtied_pages - self->dirtied_pages[i]) * 1e6 * per_us;

        self->rate[i] += (float)(SMOOTH * (rate - self->rate[i]));
    }
}

/* One pass over the vCPUs and one over the percents: below the percent where it starts to bite a
 * vCPU counts in full, from there on with the share the throttle leaves. */
static void
tabulate(SevmigVcpus *self)
{
    double full[SEVMIG_PERCENTS + 1] = {0}, bitten[SEVMIG_PERCENTS + 1] = {0};
    double busy = 0, rate = 0, flat = 0, steep = 0;

    self->most_busy = 0;
    for (size_t i = 0; i < self->n; i++) {
        busy += self->busy[i];
        rate += self->rate[i];
        self->most_busy = fmax(self->most_busy, self->busy[i]);
    }
    for (size_t i = 0; i < self->n; i++) {
        double u = self->busy[i], weight = 1;
        int bite = (int)fmin(SEVMIG_PERCENTS, ceil((1 - u) * 100 - 1e-6));

        if (u <= 0)
            continue;
        if (self->has_rate && rate > 0)
            weight = busy * (self->rate[i] / rate) / u;
        full[bite] += weight * u;
        bitten[bite] += weight;
        flat += weight * u;
    }
    for (int p = 0; p < SEVMIG_PERCENTS; p++) {
        if (bitten[p] > 0) { /* few do, and a sum takes its time */
            flat -= full[p];
            steep += bitten[p];
        }
        self->rate_at[p] = (flat > 0 ? flat : 0) + steep * 0.01 * (100 - p);
    }
}

/* A host that is late with every stop and start keeps a throttle of long slices better than one of
 * short ones. */
static void
learn_leak(SevmigVcpus *self, const SevmigSample *sample, double interval_us)
{
    double asked = 0, left = 0;

    for (size_t i = 0; i < self->n; i++) {
        const SevmigVcpuSample *vcpu = &sample->vcpus[i];
        double withheld_us = (double)(vcpu->throttled_us - self->throttled_us[i]);

        if (vcpu->throttle_percent == 0 || vcpu->throttle_percent != self->throttle_percent)
            continue; /* or it was not all the time */
        asked += (100 - fmin(99, vcpu->throttle_percent)) / 100;
        left += 1 - fmin(1, withheld_us / interval_us);
    }
    if (asked > 0)
        self->leak += SMOOTH * (fmin(LEAK_MOST, left / asked) - self->leak);
}

static void
remember(SevmigVcpus *self, const SevmigSample *sample)
{
    double throttled = 0;

    self->throttle_percent = sample->vcpu_throttle_percent;
    self->has_rate = sample->n_vcpus > 0;
    for (size_t i = 0; i < sample->n_vcpus; i++) {
        self->cpu_index[i] = sample->vcpus[i].cpu_index;
        self->cpu_us[i] = sample->vcpus[i].cpu_us;
        self->throttled_us[i] = sample->vcpus[i].throttled_us;
        self->dirtied_pages[i] = sample->vcpus[i].dirtied_pages;
        self->has_rate = self->has_rate && sample->vcpus[i].has_dirtied_pages;
        throttled += (double)sample->vcpus[i].throttled_us;
        if (sample->vcpus[i].throttle_percent > self->throttle_percent)
            self->throttle_percent = sample->vcpus[i].throttle_percent;
    }
    if (sample->n_vcpus != self->n) { /* the first sample, or vCPUs were plugged: start over */
        self->n = sample->n_vcpus;
        self->known = false;
        self->first_throttled_us = throttled;
    }
    if (self->n > 0)
        self->lost_us =
            fmax(self->lost_us, (throttled - self->first_throttled_us) / (double)self->n);
}

static void
learn_gain(SevmigVcpus *self, double used)
{
    unsigned percent = self->throttle_percent;
    double computed = sevmig_vcpus_running(self, percent < 99 ? percent : 99);

    self->running += SMOOTH * (used - self->running);
    if (percent == 0 || self->has_rate || computed <= 0)
        self->gain += SMOOTH * (1 - self->gain);
    else
        self->gain += SMOOTH * (fmin(2, fmax(0.5, used / computed)) - self->gain);
}

bool
sevmig_vcpus_learn(SevmigVcpus *self, const SevmigSample *sample, double interval_us)
{
    bool same = sample->n_vcpus == self->n && self->n > 0;
    double used = 0;

    if (same && counters_fell(self, sample))
        return false;
    if (same && interval_us > 0) {
        const double per_us = 1 / interval_us;

        for (size_t i = 0; i < self->n; i++) {
            used += (double)(sample->vcpus[i].cpu_us - self->cpu_us[i]) * per_us;
            learn_one(self, i, &sample->vcpus[i], per_us);
        }
        if (!self->known)
            self->running = used;
        self->used_us = used * interval_us;
        self->known = true;
        tabulate(self);
        learn_gain(self, used);
        learn_leak(self, sample, interval_us);
    }
    remember(self, sample);
    return true;
}

double
sevmig_vcpus_running(const SevmigVcpus *self, unsigned percent)
{
    if (percent >= SEVMIG_PERCENTS)
        percent = SEVMIG_PERCENTS - 1;
    if (!self->known)
        return (100 - percent) / 100.0;
    return self->rate_at[percent];
}

unsigned
sevmig_vcpus_biting_percent(const SevmigVcpus *self)
{
    if (!self->known)
        return 1;
    return (unsigned)fmax(1, fmin(99, ceil((1 - self->most_busy) * 100 - 1e-6)));
}

bool
sevmig_vcpus_is_writer(const SevmigVcpus *self, size_t index)
{
    double all = 0;

    if (!self->has_rate)
        return true;
    for (size_t i = 0; i < self->n; i++)
        all += self->rate[i];
    return all <= 0 || self->rate[index] >= WRITER * all;
}
