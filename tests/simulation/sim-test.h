/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sim-test.h - runs of the simulation that also watch the controller's invariants */
#ifndef SIM_TEST_H
#define SIM_TEST_H

#include "sevmig-simulation.h"

/* Steered by us: after each step the invariant holds and each action is in its range. */
void sim_test_run(const SevmigSimScenario *scenario, SevmigSimResult *result);

/* As migrations run today: batch 1, QEMU's own limit, perhaps its auto-converge. */
void sim_test_run_unsteered(const SevmigSimScenario *scenario, gboolean auto_converge,
                            SevmigSimResult *result);

/* Fails the test with the bound that is broken, and says what came of the run. */
void sim_test_check(const SevmigSimScenario *scenario, const SevmigSimResult *result,
                    const SevmigSimResult *unsteered);

/* NULL, or what is wrong with an action under these parameters. */
const char *sim_test_action_problem(const SevmigAction *action, const SevmigControlParams *params);

#endif
