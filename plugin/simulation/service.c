/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * service.c - what submissions cost: the firmware, those queued before, the link, the other side
 *
 * Encrypting one submission overlaps sending and decrypting those before, so the slowest of the
 * three sets the pace. A submission of m commands over n pages costs a_submit + m a_cmd + n b.
 */
#include "plant.h"

#include <math.h>

#define HEADER_BYTES 64 /* a page's share of packet header and record */
#define LINK_HOLDS_US 1e6

static double
link_bytes_per_us(SevmigSimPlant *self)
{
    const SevmigSimScenario *s = self->scenario;

    if (self->now_us >= self->link_until_us) {
        self->link_factor = 1 + s->link_jitter * (2 * sevmig_sim_random_unit(self->random) - 1);
        self->link_until_us = self->now_us + LINK_HOLDS_US;
    }
    return s->link_bytes_per_us * self->link_factor;
}

static double
queued_us(const SevmigSimPlant *self, double at_us)
{
    const SevmigSimScenario *s = self->scenario;

    if (self->shared)
        return fmax(0, self->shared->free_us - at_us);
    if (self->now_us < s->others_from_s * 1e6 || self->now_us >= s->others_until_s * 1e6)
        return 0;
    return s->others * s->others_hold_us;
}

static void
add(SevmigSimTaken *sum, const SevmigSimTaken *more)
{
    sum->submissions += more->submissions;
    sum->commands += more->commands;
    sum->pages += more->pages;
    sum->gap_pages += more->gap_pages;
    for (guint i = 0; i < SEVMIG_RUN_BUCKETS; i++)
        sum->runs[i] += more->runs[i];
}

static void
occupy(SevmigSimFirmware *shared, double at_us, double wait_us, double service_us)
{
    shared->free_us = at_us + wait_us + service_us;
    shared->busy_us += service_us;
    shared->most_wait_us = fmax(shared->most_wait_us, wait_us + service_us);
}

double
sevmig_sim_serve(SevmigSimPlant *self, double submissions, double at_us)
{
    const SevmigSimScenario *s = self->scenario;
    const SevmigSimOrder order = {self->tune.batch_pages, self->tune.gap_pages, submissions};
    double a = s->page_us * s->submit_share / 2, b = s->page_us * (1 - s->submit_share);
    double link = link_bytes_per_us(self), service, wait, behind;
    SevmigSimTaken taken = {0};

    self->memory->ops->take(self->memory, &order, &taken);
    if (taken.submissions <= 0)
        return 0;
    service = a * (taken.submissions + taken.commands) + b * taken.pages;
    wait = taken.submissions * queued_us(self, at_us);
    behind = fmax(link > 0 ? taken.pages * (SEVMIG_SIM_PAGE_BYTES + HEADER_BYTES) / link : 0,
                  service * s->receive_factor);
    behind = fmax(0, behind - service - wait);
    if (self->shared)
        occupy(self->shared, at_us, wait, service);
    add(&self->sent, &taken);
    self->bytes += taken.pages * (SEVMIG_SIM_PAGE_BYTES + HEADER_BYTES);
    self->service_us += service;
    self->wait_us += wait;
    self->channel_us += behind;
    self->last_pages = taken.pages / taken.submissions;
    self->last_service_us = service / taken.submissions;
    self->longest_hold_us = fmax(self->longest_hold_us, service / taken.submissions);
    service += wait + behind + taken.pages * s->extra_us;
    self->submission_us = service / taken.submissions;
    return service;
}
