/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plant.h"

#include <math.h>
#include <string.h>

#define TURN_US 50000.0  /* QEMU's loop decides so often; SEV_TUNE_WAIT_MS is the same */
#define TURN_MOST_US 5e6 /* turns far from the end change nothing, so they are played as one */
#define TURNS_TO_END 64
#define BANDWIDTH_US 100000.0
#define SLICE_US 10000
#define LIMIT_US 300000
#define NONE 0.5 /* pages: less is none */
#define ROUNDING_US 1e-3

/* QEMU's auto-converge */
#define AUTO_PERIOD_US 1000000.0
#define AUTO_SYNC_US 5000000.0
#define AUTO_SHARE 0.5
#define AUTO_HIGH 2
#define AUTO_FIRST 20
#define AUTO_STEP 10
#define AUTO_MOST 99

void
sevmig_sim_tune_default(SevmigSimTune *tune, const SevmigSimScenario *scenario)
{
    memset(tune, 0, sizeof(*tune));
    tune->batch_pages = scenario->max_command_pages;
    tune->slice_us = SLICE_US;
    tune->limit_us = LIMIT_US;
    tune->switchover = SEVMIG_SWITCHOVER_AUTO;
}

void
sevmig_sim_plant_init(SevmigSimPlant *self, const SevmigSimScenario *scenario,
                      SevmigSimRandom *random, gboolean exact)
{
    memset(self, 0, sizeof(*self));
    self->scenario = scenario;
    self->random = random;
    self->memory = exact ? sevmig_sim_memory_new_exact(scenario, random)
                         : sevmig_sim_memory_new_grouped(scenario);
    self->sync_count = 1;
    sevmig_sim_tune_default(&self->tune, scenario);
}

void
sevmig_sim_plant_clone(const SevmigSimPlant *self, SevmigSimRandom *random, SevmigSimPlant *clone)
{
    *random = *self->random;
    *clone = *self;
    clone->random = random;
    clone->memory = self->memory->ops->clone(self->memory, random);
}

void
sevmig_sim_plant_clear(SevmigSimPlant *self)
{
    self->memory->ops->free(self->memory);
}

static void
auto_converge(SevmigSimPlant *self, double dirtied)
{
    self->auto_dirtied += dirtied;
    if (!self->scenario->auto_converge || self->now_us - self->auto_us < AUTO_PERIOD_US)
        return;
    if (self->auto_dirtied * SEVMIG_SIM_PAGE_BYTES >
            (self->bytes - self->auto_bytes) * AUTO_SHARE &&
        ++self->auto_high >= AUTO_HIGH) {
        guint now = self->tune.throttle_percent;

        self->auto_high = 0;
        self->tune.throttle_percent = now == 0 ? AUTO_FIRST : MIN(AUTO_MOST, now + AUTO_STEP);
    }
    self->auto_dirtied = 0;
    self->auto_bytes = self->bytes;
    self->auto_us = self->now_us;
}

/* The guest runs on during a sync, and what it writes then is found by the next. */
static void
sync_bitmap(SevmigSimPlant *self)
{
    const SevmigSimScenario *s = self->scenario;
    double gib = (double)s->pages * SEVMIG_SIM_PAGE_BYTES / (1 << 30);
    double us = gib * s->sync_us_per_gib;

    self->ran_out = self->memory->remaining < NONE;
    self->sync_dirtied = self->memory->ops->sync(self->memory);
    self->sync_count++;
    self->sync_interval_us = self->now_us - self->sync_us;
    self->sync_guest_cpu_us = self->sync_cpu_us;
    self->sync_cpu_us = 0;
    self->sync_us = self->now_us;
    auto_converge(self, self->sync_dirtied);
    if (self->stop)
        return;
    sevmig_sim_guest_run(self, us);
    self->now_us += us;
}

static gboolean
is_low(const SevmigSimPlant *self)
{
    return self->memory->remaining < NONE ||
           self->memory->remaining * SEVMIG_SIM_PAGE_BYTES < self->bandwidth * self->tune.limit_us;
}

/* A turn of QEMU's loop ends. */
static void
decide(SevmigSimPlant *self)
{
    gboolean held = self->tune.switchover == SEVMIG_SWITCHOVER_HOLD;

    if (self->now_us - self->bandwidth_from_us >= BANDWIDTH_US) {
        self->bandwidth =
            (self->bytes - self->bandwidth_bytes) / (self->now_us - self->bandwidth_from_us);
        self->bandwidth_bytes = self->bytes;
        self->bandwidth_from_us = self->now_us;
    }
    self->turn_us = self->now_us;
    if (is_low(self))
        sync_bitmap(self);
    self->stop = self->tune.switchover == SEVMIG_SWITCHOVER_NOW || (!held && is_low(self));
}

static double
next_sync_us(const SevmigSimPlant *self)
{
    if (self->tune.sync_interval_us > 0)
        return self->sync_us + self->tune.sync_interval_us;
    if (self->scenario->auto_converge && self->sync_count > 1)
        return self->sync_us + AUTO_SYNC_US;
    return INFINITY;
}

static void
watch_pass(SevmigSimPlant *self)
{
    if (self->memory->passes == self->pass_seen)
        return;
    self->pass_seen = self->memory->passes;
    /* One that ran out of pages began with the sync that found the next. */
    self->pass_us = self->ran_out ? self->sync_us : self->now_us;
    self->ran_out = FALSE;
    if (self->first_pass_us <= 0)
        self->first_pass_us = self->now_us;
}

/* Sends until `*edge`; when everything is sent before, the edge is then. */
static void
send(SevmigSimPlant *self, double *edge)
{
    self->credit_us += *edge - self->now_us;
    while (self->credit_us > ROUNDING_US && self->memory->remaining >= NONE &&
           !self->tune.hold_sending) {
        /* not all at once, because the next one may cost more than the one before, above all if
         * that was what a pass had left */
        gboolean full = !self->shared && self->last_pages >= 0.9 * self->tune.batch_pages;
        double most = full ? 0.9 * self->credit_us / self->submission_us : 1;

        self->credit_us -= sevmig_sim_serve(self, fmax(1, most), *edge - self->credit_us);
    }
    if (self->credit_us <= 0)
        return;
    if (self->memory->remaining < NONE && !self->tune.hold_sending)
        *edge = fmax(self->now_us, *edge - self->credit_us);
    self->credit_us = 0;
}

/* When this turn ends: with the submission that is under way by then. */
static double
turn_end_us(const SevmigSimPlant *self)
{
    double under_way = self->credit_us < -ROUNDING_US ? -self->credit_us : 0;
    double left_us = self->memory->remaining / fmax(1, self->last_pages) * self->submission_us;
    double turn_us = CLAMP(left_us / TURNS_TO_END, TURN_US, TURN_MOST_US);

    if (self->tune.switchover == SEVMIG_SWITCHOVER_NOW || is_low(self))
        turn_us = TURN_US;
    return fmax(self->turn_us + turn_us, self->now_us + under_way);
}

/* Nothing left, and the last submission is through. */
static gboolean
is_idle(const SevmigSimPlant *self)
{
    return self->memory->remaining < NONE && self->credit_us > -ROUNDING_US;
}

/* Whether a turn of QEMU's loop ends now. Held with nothing left it sleeps until TURN_US after the
 * newest sync. */
static gboolean
turn_ends(const SevmigSimPlant *self)
{
    gboolean sleeps = self->tune.switchover == SEVMIG_SWITCHOVER_HOLD &&
                      self->now_us - self->sync_us < TURN_US - ROUNDING_US;

    return (is_idle(self) && !sleeps) ||
           (self->now_us >= turn_end_us(self) && self->credit_us > -ROUNDING_US);
}

void
sevmig_sim_plant_advance(SevmigSimPlant *self, double until_us)
{
    while (self->now_us < until_us && !self->stop) {
        double edge = fmin(until_us, sevmig_sim_guest_edge_us(self));

        edge = fmax(self->now_us, fmin(edge, fmin(turn_end_us(self), next_sync_us(self))));
        if (!is_idle(self))
            send(self, &edge);
        sevmig_sim_guest_run(self, edge - self->now_us);
        self->now_us = edge;
        watch_pass(self);
        if (self->now_us >= next_sync_us(self))
            sync_bitmap(self);
        if (turn_ends(self))
            decide(self);
    }
}

void
sevmig_sim_plant_halt(SevmigSimPlant *self)
{
    self->stop = TRUE;
    sync_bitmap(self);
    self->last_service_us = 0;
}

double
sevmig_sim_plant_rest_us(const SevmigSimPlant *self)
{
    const SevmigSimScenario *s = self->scenario;
    double gib = (double)s->pages * SEVMIG_SIM_PAGE_BYTES / (1 << 30);

    /* last, what the destination still has to decrypt */
    return s->device_us + gib * s->sync_us_per_gib + self->last_service_us * s->receive_factor;
}

double
sevmig_sim_plant_finish(SevmigSimPlant *self)
{
    double us = -fmin(0, self->credit_us);

    sevmig_sim_plant_halt(self);
    while (self->memory->remaining >= NONE)
        us += sevmig_sim_serve(self, self->memory->remaining + 1, self->now_us + us);
    us += sevmig_sim_plant_rest_us(self);
    self->now_us += us;
    return us;
}
