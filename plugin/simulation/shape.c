/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shape.h"

#include <math.h>
#include <string.h>

#define ROOM_MOST 64 /* beyond it a submission's shape grows linearly */
#define COMMAND_MOST 16

/* In units of pages that are always dirty together: blocks, where a command holds several. */
typedef struct {
    guint unit; /* pages */
    guint command;
    guint gap;
    double dense; /* the next unit is dirty */
    double joined;
} Chain;

static Chain
chain_of(const SevmigSimScenario *s, guint gap_pages, double density)
{
    guint block = s->block_pages, command = MIN(COMMAND_MOST, s->max_command_pages);

    if (block >= command) /* commands end within or with their block */
        return (Chain){1, command, 0, 1, s->contiguity};
    return (Chain){block, command / block, gap_pages / block, density,
                   block > 1 ? pow(s->contiguity, block) : s->contiguity};
}

/* Fills shape[room] for 0 .. most units of room: what a submission of that room comes to. */
static void
fill(const Chain *c, guint most, SevmigSimShape *shape)
{
    /* go[room][left]: what is yet to come with that room, `left` units left of a command begun */
    SevmigSimShape go[ROOM_MOST + 1][COMMAND_MOST + 1] = {0};

    for (guint room = 1; room <= most; room++) {
        SevmigSimShape next = go[room - 1][c->command - 1];

        next.dirty++;
        next.commands++;
        shape[room] = go[room][0] = next;
        for (guint left = 1; left < c->command; left++) {
            SevmigSimShape sum = {0};
            double rest = 1;

            for (guint j = 1; j <= MIN(c->gap + 1, MIN(left, room)); j++) {
                const SevmigSimShape *on = &go[room - j][left - j];
                double p = c->dense * pow(1 - c->dense, j - 1) * pow(c->joined, j);

                sum.dirty += p * (1 + on->dirty);
                sum.commands += p * on->commands;
                sum.gap_pages += p * (j - 1 + on->gap_pages);
                rest -= p;
            }
            sum.dirty += rest * next.dirty;
            sum.commands += rest * next.commands;
            sum.gap_pages += rest * next.gap_pages;
            go[room][left] = sum;
        }
    }
}

static double
extended(double at_half, double at_most, double room)
{
    return at_most + (at_most - at_half) * 2 / ROOM_MOST * (room - ROOM_MOST);
}

static SevmigSimShape
compute(const Chain *c, double room)
{
    SevmigSimShape shape[ROOM_MOST + 1] = {0}, result;

    fill(c, ROOM_MOST, shape);
    if (room <= ROOM_MOST) {
        result = shape[(guint)MAX(1, room)];
    } else {
        const SevmigSimShape *half = &shape[ROOM_MOST / 2], *most = &shape[ROOM_MOST];

        result.dirty = extended(half->dirty, most->dirty, room);
        result.commands = extended(half->commands, most->commands, room);
        result.gap_pages = extended(half->gap_pages, most->gap_pages, room);
    }
    result.dirty *= c->unit;
    result.gap_pages *= c->unit;
    result.known = TRUE;
    return result;
}

const SevmigSimShape *
sevmig_sim_shape(SevmigSimShapes *self, const SevmigSimScenario *scenario,
                 const SevmigSimOrder *order, double density)
{
    guint index = (guint)(CLAMP(density, 0, 1) * (SEVMIG_SIM_DENSITIES - 1) + 0.5);
    SevmigSimShape *shape = &self->list[index];

    if (self->batch_pages != order->batch_pages || self->gap_pages != order->gap_pages) {
        memset(self, 0, sizeof(*self));
        self->batch_pages = order->batch_pages;
        self->gap_pages = order->gap_pages;
    }
    if (!shape->known) {
        Chain chain =
            chain_of(scenario, order->gap_pages, (double)index / (SEVMIG_SIM_DENSITIES - 1));

        if (order->batch_pages < chain.unit) { /* a block needs several submissions */
            *shape = (SevmigSimShape){order->batch_pages, 1, 0, TRUE};
            return shape;
        }
        *shape = compute(&chain, (double)order->batch_pages / chain.unit);
    }
    return shape;
}

void
sevmig_sim_shape_runs(const SevmigSimScenario *scenario, double density, double pages, double *runs)
{
    double q = CLAMP(density, 0, 1 - 1e-9), count = pages / scenario->block_pages * (1 - q);
    guint shift = (guint)g_bit_storage(scenario->block_pages) - 1;
    double length = 1, longer = 1; /* share of runs of at least that length, in blocks */

    for (guint i = shift; i < SEVMIG_RUN_BUCKETS; i++) {
        double beyond = i + 1 < SEVMIG_RUN_BUCKETS ? pow(q, 2 * length - 1) : 0;

        runs[i] += count * (longer - beyond);
        longer = beyond;
        length *= 2;
    }
}
