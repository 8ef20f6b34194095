/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-cost.h"

#define PAGE_BYTES 4096
#define SUBMIT_SHARE 0.5 /* of the fixed part */

void
swpsp_cost_init(SwpspCost *cost)
{
    *cost = (SwpspCost){
        .page_us = 1003,
        .split = 0.5,
        .receive_factor = 1,
        .start_us = 20000,
        .finish_us = 1000,
        .time_scale = 1,
    };
}

/* Written so that a NaN is out of range. */
static bool
in_range(double value, double low, double high)
{
    return value >= low && value <= high;
}

bool
swpsp_cost_valid(const SwpspCost *cost)
{
    const double longest_us = 60e6;

    return in_range(cost->page_us, 0, longest_us) && in_range(cost->split, 0, 1) &&
           in_range(cost->receive_factor, 0, 100) && in_range(cost->start_us, 0, longest_us) &&
           in_range(cost->finish_us, 0, longest_us) && cost->time_scale >= 1 &&
           cost->time_scale <= SWPSP_TIME_SCALE_MAX;
}

double
swpsp_cost_submit_us(const SwpspCost *cost)
{
    return cost->page_us * cost->split * SUBMIT_SHARE;
}

double
swpsp_cost_command_us(const SwpspCost *cost)
{
    return cost->page_us * cost->split * (1 - SUBMIT_SHARE);
}

double
swpsp_cost_byte_us(const SwpspCost *cost)
{
    return cost->page_us * (1 - cost->split) / PAGE_BYTES;
}

static double
submission_us(const SwpspCost *cost, uint64_t commands, uint64_t bytes)
{
    return swpsp_cost_submit_us(cost) + (double)commands * swpsp_cost_command_us(cost) +
           (double)bytes * swpsp_cost_byte_us(cost);
}

double
swpsp_cost_service_us(const SwpspCost *cost, SwpspCostKind kind, uint64_t commands, uint64_t bytes)
{
    double us = 0;

    switch (kind) {
    case SWPSP_COST_NONE:
        break;
    case SWPSP_COST_START:
        us = cost->start_us;
        break;
    case SWPSP_COST_FINISH:
        us = cost->finish_us;
        break;
    case SWPSP_COST_SEND:
        us = submission_us(cost, commands, bytes);
        break;
    case SWPSP_COST_RECEIVE:
        us = submission_us(cost, commands, bytes) * cost->receive_factor;
        break;
    }
    return us / cost->time_scale;
}
