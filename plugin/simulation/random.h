/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* random.h - a small seeded generator (xorshift64), so that runs are the same everywhere */
#ifndef SEVMIG_SIM_RANDOM_H
#define SEVMIG_SIM_RANDOM_H

#include <glib.h>

typedef struct {
    guint64 state;
} SevmigSimRandom;

static inline void
sevmig_sim_random_init(SevmigSimRandom *self, guint seed)
{
    self->state = G_GUINT64_CONSTANT(0x9E3779B97F4A7C15) * ((guint64)seed + 1);
}

static inline guint64
sevmig_sim_random_next(SevmigSimRandom *self)
{
    self->state ^= self->state << 13;
    self->state ^= self->state >> 7;
    self->state ^= self->state << 17;
    return self->state;
}

/* 0 <= result < 1 */
static inline double
sevmig_sim_random_unit(SevmigSimRandom *self)
{
    return (double)(sevmig_sim_random_next(self) >> 11) * 0x1p-53;
}

static inline guint64
sevmig_sim_random_below(SevmigSimRandom *self, guint64 below)
{
    return (guint64)(sevmig_sim_random_unit(self) * (double)below);
}

#endif
