/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* steered.c - our controller behind the simulation's interface */
#include "sevmig-simulation.h"

static void
init(gpointer state)
{
    sevmig_control_init(state);
}

static SevmigPhase
step(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    return sevmig_control_step(state, event, actions);
}

static void
view(gconstpointer state, SevmigView *out)
{
    sevmig_control_view(state, out);
}

const SevmigSimController sevmig_sim_steered = {
    .name = "sevmig",
    .size = sevmig_control_size,
    .init = init,
    .step = step,
    .view = view,
};
