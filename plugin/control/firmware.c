/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The fit: each pair of samples gives one equation per page,
 *     service/pages = a_submit (submissions/pages) + a_cmd (commands/pages) + b,
 * least squares over an exponential window. While the batch stays the same the three cannot be
 * told apart, so a weak pull holds their proportions at the prior's, at the scale measured: with
 * no variation the fit answers the prior's split of the right total, with variation the data win.
 */
#include "firmware.h"

#include <math.h>
#include <string.h>

/* Prior: published launch encryption takes about 1.003 ms a page, assumed half of it fixed cost,
 * of which half belongs to the submission and half to the command. */
#define PRIOR_A_SUBMIT_US 250.75
#define PRIOR_A_CMD_US 250.75
#define PRIOR_B_US 501.5

#define FORGET 0.98 /* per sample: a window of about 5 s at 10 Hz */
#define PULL 0.02   /* weight of the prior's proportions, in samples */
#define LEAST 0.02  /* no parameter below this share of the scaled prior: costs are not negative */
#define SEEN_ENOUGH 1.3  /* the split holds this far beyond the shapes it was learnt from */
#define DEAR_B 0.5       /* a page over a command where fixed costs are 80 % of a lone page */
#define SMOOTH 0.25      /* for the plain averages */
#define RUNS_FADE 0.75   /* per sample with runs: the newest dirty set counts */
#define RUNS_ENOUGH 24   /* runs before the histogram is believed */
#define PAGES_ENOUGH 512 /* of later passes, before their commands are believed */
#define SHORTEST 0.1     /* of the runs are of the shortest kind there is */

static const double prior[3] = {PRIOR_A_SUBMIT_US, PRIOR_A_CMD_US, PRIOR_B_US};

void
sevmig_firmware_init(SevmigFirmware *self)
{
    memset(self, 0, sizeof(*self));
    self->a_submit_us = prior[0];
    self->a_cmd_us = prior[1];
    self->b_us = prior[2];
    self->scale = 1;
    self->commands_per_page = 0.25;
}

static void
smooth(double *average, double value, bool first)
{
    *average = first ? value : *average + SMOOTH * (value - *average);
}

/* Projected Gauss-Seidel on the scaled problem: positive definite by the pull, three unknowns. */
static void
solve(SevmigFirmware *self)
{
    double unit[3], a[3][3], y[3], value[3] = {1, 1, 1};

    for (int i = 0; i < 3; i++)
        unit[i] = prior[i] * self->scale / self->page_us;
    for (int i = 0; i < 3; i++) {
        double inverse = 1 / (self->xx[i][i] * unit[i] * unit[i] + PULL);

        y[i] = (self->xy[i] / self->page_us * unit[i] + PULL) * inverse;
        for (int j = 0; j < 3; j++)
            a[i][j] = self->xx[i][j] * unit[i] * unit[j] * inverse;
    }
    for (int round = 0; round < 24; round++) {
        for (int i = 0; i < 3; i++) {
            const int older = (i + 1) % 3, newest = (i + 2) % 3; /* of the two others */
            double found = y[i] - a[i][older] * value[older] - a[i][newest] * value[newest];

            value[i] = found > LEAST ? found : LEAST;
        }
    }
    self->a_submit_us = value[0] * prior[0] * self->scale;
    self->a_cmd_us = value[1] * prior[1] * self->scale;
    self->b_us = value[2] * prior[2] * self->scale;
}

static void
learn_cost(SevmigFirmware *self, const SevmigSent *sent)
{
    const double x[3] = {sent->submissions / sent->pages, sent->commands / sent->pages, 1};
    const double y = sent->service_us / sent->pages;
    double expected = 0;

    for (int i = 0; i < 3; i++)
        expected += prior[i] * x[i];
    smooth(&self->page_us, y, !self->learnt);
    smooth(&self->scale, y / expected, !self->learnt);
    for (int i = 0; i < 3; i++) {
        self->xy[i] = FORGET * self->xy[i] + x[i] * y;
        for (int j = 0; j < 3; j++)
            self->xx[i][j] = FORGET * self->xx[i][j] + x[i] * x[j];
    }
    self->learnt = true;
    self->fits++;
    solve(self);
}

static void
learn_runs(SevmigFirmware *self, const SevmigSent *sent)
{
    double seen = 0;

    for (int i = 0; i < SEVMIG_RUN_BUCKETS; i++)
        seen += sent->runs[i];
    if (seen <= 0)
        return;
    self->runs_total = 0;
    for (int i = 0; i < SEVMIG_RUN_BUCKETS; i++) {
        self->runs[i] = self->runs[i] * RUNS_FADE + sent->runs[i];
        self->runs_total += self->runs[i];
    }
}

void
sevmig_firmware_learn(SevmigFirmware *self, const SevmigSent *sent)
{
    if (sent->pages < 1 || sent->submissions < 1 || sent->service_us <= 0)
        return;
    if (sent->busy && sent->wall_us > 0) {
        /* Encrypting one batch overlaps sending the one before, so wall time is at least service.
         */
        smooth(&self->extra_us, fmax(0, sent->wall_us - sent->service_us) / sent->pages,
               !self->learnt);
        smooth(&self->wait_us, sent->wait_us / sent->pages, !self->learnt);
    }
    smooth(&self->commands_per_page, fmin(1, sent->commands / sent->pages), !self->learnt);
    self->most_commands_per_page =
        fmax(self->most_commands_per_page, fmin(1, sent->commands / sent->pages));
    learn_cost(self, sent);
    if (!sent->late)
        return;
    self->late_pages += sent->pages;
    learn_runs(self, sent);
}

bool
sevmig_firmware_knows_late(const SevmigFirmware *self)
{
    return self->runs_total >= RUNS_ENOUGH || self->late_pages >= PAGES_ENOUGH;
}

double
sevmig_firmware_late_commands_per_page(const SevmigFirmware *self, uint32_t max_command_pages)
{
    const double most = max_command_pages > 0 ? max_command_pages : 1;
    double commands = 0, pages = 0;

    if (!sevmig_firmware_knows_late(self))
        return 1; /* late passes are made of single pages until proved otherwise */
    if (self->runs_total < RUNS_ENOUGH)
        return self->commands_per_page; /* few runs, so they are long */
    for (int i = 0; i < SEVMIG_RUN_BUCKETS; i++) {
        double length = 1.5 * (double)(1u << i) - 0.5; /* middle of 2^i .. 2^(i+1)-1 */

        commands += self->runs[i] * ceil(length / most);
        pages += self->runs[i] * length;
    }
    return fmin(1, commands / pages);
}

double
sevmig_firmware_sparse_commands_per_page(const SevmigFirmware *self, uint32_t max_command_pages)
{
    const double most = max_command_pages > 0 ? max_command_pages : 1;
    double runs = 0;
    int i = 0;

    if (!sevmig_firmware_knows_late(self))
        return 1;
    if (self->runs_total < RUNS_ENOUGH)
        return self->commands_per_page; /* few runs, so they are long */
    while (i < SEVMIG_RUN_BUCKETS - 1 && (runs += self->runs[i]) < SHORTEST * self->runs_total)
        i++;
    return ceil((double)(1u << i) / most) / (double)(1u << i);
}

double
sevmig_firmware_hold_us(const SevmigFirmware *self, double batch_pages, double commands_per_page)
{
    return self->a_submit_us + batch_pages * (self->a_cmd_us * commands_per_page + self->b_us);
}

double
sevmig_firmware_page_us(const SevmigFirmware *self, double batch_pages, double commands_per_page)
{
    double submit_us = self->a_submit_us / fmax(1, batch_pages);
    double seen = self->most_commands_per_page;
    double known_us = self->a_cmd_us * fmin(commands_per_page, seen) + self->b_us;

    if (!self->learnt || commands_per_page <= SEEN_ENOUGH * seen)
        return submit_us + known_us + self->a_cmd_us * fmax(0, commands_per_page - seen) +
               self->extra_us;
    /* What was seen, split as if the command were the dear part. */
    return submit_us + known_us * (commands_per_page + DEAR_B) / (seen + DEAR_B) + self->extra_us;
}
