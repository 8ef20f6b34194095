/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fleet-guests.h - guests of a host that is to be emptied, by a seed alone */
#ifndef SEVMIG_TESTS_FLEET_GUESTS_H
#define SEVMIG_TESTS_FLEET_GUESTS_H

#include "sevmig-simulation.h"

#define FLEET_MOST 32

/* Typical loads (sevmig_sim_workloads) that a lone migration gets away with, 64 to 512 MiB each,
 * with a downtime goal of 300 ms. The first k of n are those of k. */
void fleet_guests_draw(guint seed, guint n, SevmigSimScenario *scenarios);

/* What they need of the firmware each alone there, and how many then meet their goals. */
double fleet_guests_lone_busy_s(const SevmigSimScenario *scenarios, guint n, guint *met);

#endif
