/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* random-check.h - what must hold whatever the scenario */
#ifndef RANDOM_CHECK_H
#define RANDOM_CHECK_H

#include "sevmig-simulation.h"

/*
 * Runs random scenario `seed` under our control and under none, and returns what is wrong (newly
 * allocated), or NULL: a limit of the policy broken, a throttle that oscillates, an end that is
 * worse than without control by more than the ticks it took to see.
 */
char *random_check(guint seed);

#endif
