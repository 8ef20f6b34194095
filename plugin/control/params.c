/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* params.c - what holds where a policy says nothing, and parameters made safe to use */
#include "params.h"

#include <string.h>

#define STUN_DEFAULT_US 100000
#define HOLD_DEFAULT_US 5000
#define STUN_MOST_US 9900000 /* QEMU's longest slice at its most throttle */
#define CEILING_DEFAULT_PERCENT 95
#define CEILING_MOST_PERCENT 99 /* QEMU's range */

void
sevmig_control_params_default(SevmigControlParams *params)
{
    memset(params, 0, sizeof(*params));
    params->goal_order[0] = SEVMIG_GOAL_DOWNTIME;
    params->goal_order[1] = SEVMIG_GOAL_DURATION;
    params->goal_order[2] = SEVMIG_GOAL_SLOWDOWN;
    params->throttle_mode = SEVMIG_THROTTLE_STEERED;
    params->throttle_ceiling_percent = CEILING_DEFAULT_PERCENT;
    params->stun_us = STUN_DEFAULT_US;
    params->batch_hold_us = HOLD_DEFAULT_US;
    params->gap_pages = -1;
    params->on_stall = SEVMIG_ON_STALL_RELAX;
    params->on_deadline = SEVMIG_ON_DEADLINE_CONTINUE;
}

static bool
is_permutation(const SevmigGoal *order)
{
    unsigned seen = 0;

    for (int i = 0; i < SEVMIG_GOAL_COUNT; i++) {
        if ((unsigned)order[i] >= SEVMIG_GOAL_COUNT)
            return false;
        seen |= 1u << order[i];
    }
    return seen == (1u << SEVMIG_GOAL_COUNT) - 1;
}

void
sevmig_params_copy(SevmigControlParams *to, const SevmigControlParams *from)
{
    SevmigControlParams defaults;

    sevmig_control_params_default(&defaults);
    *to = from ? *from : defaults;
    if (!is_permutation(to->goal_order))
        memcpy(to->goal_order, defaults.goal_order, sizeof(to->goal_order));
    if (to->throttle_ceiling_percent > CEILING_MOST_PERCENT)
        to->throttle_ceiling_percent = CEILING_MOST_PERCENT;
    if (to->slowdown_goal_percent > 100)
        to->slowdown_goal_percent = 100;
    if (to->stun_us == 0)
        to->stun_us = STUN_DEFAULT_US;
    if (to->stun_us > STUN_MOST_US)
        to->stun_us = STUN_MOST_US;
    if (to->downtime_max_us < to->downtime_goal_us)
        to->downtime_max_us = to->downtime_goal_us;
}
