/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory.h"

#include <math.h>
#include <string.h>

typedef struct {
    SevmigSimMemory base;
    const SevmigSimScenario *scenario;
    SevmigSimRandom *random;
    guint8 *bitmap; /* to be sent */
    guint8 *logged; /* written since the sync */
    guint64 cursor;
    guint64 run_end;                   /* of the run counted last in this pass */
    double due[SEVMIG_SIM_MAX_PHASES]; /* writes not yet made, in blocks */
    guint64 scanned[SEVMIG_SIM_MAX_PHASES];
    guint32 *place[SEVMIG_SIM_MAX_PHASES]; /* where each rank of a Zipf load lies */
} Exact;

double
sevmig_sim_zipf_share(double rank, double n, double exponent)
{
    if (fabs(exponent - 1) < 1e-6)
        return log(rank) / log(n + 1);
    return (pow(rank, 1 - exponent) - 1) / (pow(n + 1, 1 - exponent) - 1);
}

double
sevmig_sim_zipf_rank(double share, double n, double exponent)
{
    if (fabs(exponent - 1) < 1e-6)
        return pow(n + 1, share);
    return pow(1 + share * (pow(n + 1, 1 - exponent) - 1), 1 / (1 - exponent));
}

static void
exact_free(SevmigSimMemory *base)
{
    Exact *self = (Exact *)base;

    for (guint i = 0; i < SEVMIG_SIM_MAX_PHASES; i++)
        g_free(self->place[i]);
    g_free(self->bitmap);
    g_free(self->logged);
    g_free(self);
}

static SevmigSimMemory *
exact_clone(const SevmigSimMemory *base, SevmigSimRandom *random)
{
    const Exact *self = (const Exact *)base;
    Exact *copy = g_memdup2(self, sizeof(*self));

    copy->random = random;
    copy->bitmap = g_memdup2(self->bitmap, self->scenario->pages);
    copy->logged = g_memdup2(self->logged, self->scenario->pages);
    for (guint i = 0; i < self->scenario->n_phases; i++) {
        guint64 blocks = self->scenario->phases[i].working_set_pages / self->scenario->block_pages;

        if (self->place[i])
            copy->place[i] = g_memdup2(self->place[i], blocks * sizeof(self->place[i][0]));
    }
    return &copy->base;
}

static guint64
next_block(Exact *self, guint index, guint64 blocks)
{
    const SevmigSimPhase *phase = &self->scenario->phases[index];
    double rank;

    switch (phase->pattern) {
    case SEVMIG_SIM_SCAN:
        return self->scanned[index]++ % blocks;
    case SEVMIG_SIM_ZIPF:
        rank = sevmig_sim_zipf_rank(sevmig_sim_random_unit(self->random), (double)blocks,
                                    phase->zipf_exponent);
        return self->place[index][MIN((guint64)rank, blocks) - 1];
    case SEVMIG_SIM_UNIFORM:
    case SEVMIG_SIM_PATTERN_COUNT:
        break;
    }
    return sevmig_sim_random_below(self->random, blocks);
}

static void
exact_write(SevmigSimMemory *base, guint index, double pages)
{
    Exact *self = (Exact *)base;
    const SevmigSimPhase *phase = &self->scenario->phases[index];
    guint64 block = self->scenario->block_pages, blocks = phase->working_set_pages / block;

    self->due[index] += pages / (double)block;
    for (; self->due[index] >= 1 && blocks > 0; self->due[index]--) {
        guint64 first = phase->first_page + next_block(self, index, blocks) * block;

        memset(self->logged + first, 1, block);
    }
}

static double
exact_sync(SevmigSimMemory *base)
{
    Exact *self = (Exact *)base;
    guint64 dirtied = 0;

    for (guint64 i = 0; i < self->scenario->pages; i++) {
        dirtied += self->logged[i] && !self->bitmap[i];
        self->bitmap[i] |= self->logged[i];
    }
    memset(self->logged, 0, self->scenario->pages);
    self->run_end = 0;
    base->remaining += (double)dirtied;
    return (double)dirtied;
}

/* Whether the host lays out a page and the next one side by side: always the same for a page. */
static gboolean
is_joined(const Exact *self, guint64 page)
{
    guint64 hash = (page + 1) * G_GUINT64_CONSTANT(0x9E3779B97F4A7C15);

    return (double)(hash >> 11) * 0x1p-53 < self->scenario->contiguity;
}

static void
count_run(Exact *self, guint64 page, SevmigSimTaken *taken)
{
    guint64 end = page;

    if (page < self->run_end)
        return;
    while (end < self->scenario->pages && self->bitmap[end])
        end++;
    self->run_end = end;
    taken->runs[MIN(SEVMIG_RUN_BUCKETS - 1, g_bit_storage((gulong)(end - page)) - 1)]++;
}

/* One firmware command from the cursor, which is dirty; returns its pages. */
static guint
take_command(Exact *self, guint room, guint gap, SevmigSimTaken *taken)
{
    guint64 page = self->cursor, end = page;
    guint64 limit = MIN(self->scenario->pages, page + MIN(room, self->scenario->max_command_pages));

    for (guint64 i = page; i < limit && i - end <= (end == page ? 0 : gap); i++) {
        if (i > page && !is_joined(self, i - 1))
            break;
        if (!self->bitmap[i])
            continue;
        count_run(self, i, taken);
        self->bitmap[i] = 0;
        self->base.remaining--;
        taken->gap_pages += (double)(i - end);
        end = i + 1;
    }
    taken->commands++;
    taken->pages += (double)(end - page);
    self->cursor = end;
    return (guint)(end - page);
}

static void
take_submission(Exact *self, const SevmigSimOrder *order, SevmigSimTaken *taken)
{
    guint room = order->batch_pages;

    while (room > 0 && self->base.remaining > 0) {
        while (self->cursor < self->scenario->pages && !self->bitmap[self->cursor])
            self->cursor++;
        if (self->cursor >= self->scenario->pages) {
            self->cursor = self->run_end = 0;
            self->base.passes++;
            continue;
        }
        room -= take_command(self, room, order->gap_pages, taken);
    }
    taken->submissions++;
}

static void
exact_take(SevmigSimMemory *base, const SevmigSimOrder *order, SevmigSimTaken *taken)
{
    Exact *self = (Exact *)base;

    for (double n = 0; n < MAX(1, floor(order->submissions)) && base->remaining > 0; n++)
        take_submission(self, order, taken);
}

static guint32 *
scatter(SevmigSimRandom *random, guint64 blocks)
{
    guint32 *place = g_new(guint32, blocks);

    for (guint64 i = 0; i < blocks; i++) {
        guint64 j = sevmig_sim_random_below(random, i + 1);

        place[i] = place[j];
        place[j] = (guint32)i;
    }
    return place;
}

SevmigSimMemory *
sevmig_sim_memory_new_exact(const SevmigSimScenario *scenario, SevmigSimRandom *random)
{
    static const SevmigSimMemoryOps ops = {exact_free, exact_clone, exact_write, exact_sync,
                                           exact_take};
    Exact *self = g_new0(Exact, 1);

    self->base.ops = &ops;
    self->base.remaining = (double)scenario->pages;
    self->scenario = scenario;
    self->random = random;
    self->bitmap = g_malloc(scenario->pages);
    self->logged = g_malloc0(scenario->pages);
    memset(self->bitmap, 1, scenario->pages);
    for (guint i = 0; i < scenario->n_phases; i++) {
        const SevmigSimPhase *phase = &scenario->phases[i];
        guint64 blocks = phase->working_set_pages / scenario->block_pages;

        if (phase->pattern == SEVMIG_SIM_ZIPF && blocks > 0)
            self->place[i] = scatter(random, blocks);
    }
    return &self->base;
}
