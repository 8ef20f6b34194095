/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lull.h"

#include <math.h>

#define QUIET 0.25      /* of the most: less is quiet, ... */
#define BUSY 0.5        /* ... more is busy, in between it goes on as it was */
#define SPELL_US 500000 /* what is shorter is not told from chance */
#define LATE 1.5        /* a spell longer than the one before by this has no known end */
#define FADE 0.9999

void
sevmig_lull_learn(SevmigLull *self, int64_t now_us, double running)
{
    bool quiet = running < (self->quiet ? BUSY : QUIET) * self->most_running;
    int64_t lasted_us = now_us - self->since_us;

    self->most_running *= FADE;
    if (running > self->most_running)
        self->most_running = running;
    if (quiet == self->quiet && self->since_us > 0)
        return;
    if (self->whole && lasted_us >= SPELL_US)
        *(self->quiet ? &self->quiet_us : &self->busy_us) = lasted_us;
    self->whole = self->since_us > 0;
    self->quiet = quiet;
    self->since_us = now_us;
}

void
sevmig_lull_interrupt(SevmigLull *self)
{
    self->since_us = 0;
    self->whole = false;
}

bool
sevmig_lull_expected(const SevmigLull *self, int64_t now_us, double *wait_us, double *lull_us)
{
    double lasted_us = (double)(now_us - self->since_us);

    if (self->quiet_us == 0 || self->busy_us == 0 || self->since_us == 0)
        return false;
    *wait_us = self->quiet ? 0 : fmax(0, (double)self->busy_us - lasted_us);
    *lull_us = self->quiet ? (double)self->quiet_us - lasted_us : (double)self->quiet_us;
    return *lull_us > 0 && lasted_us < LATE * (double)self->busy_us;
}
