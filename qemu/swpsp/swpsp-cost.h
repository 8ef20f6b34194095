/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-cost.h - how long the firmware would take
 *
 * A two-level model. A submission of commands costs
 *
 *     a_submit + sum over its commands (a_cmd + b * bytes)
 *
 * where a = a_submit + a_cmd, half each, and a + b * 4096 = page_us, what is published of one page
 * by itself (about 1 ms). How that splits into a fixed part and a part per byte is not published:
 * the share f = a / page_us is an assumption, to be swept. All is divided by the time scale.
 */
#ifndef SWPSP_COST_H
#define SWPSP_COST_H

#include <stdbool.h>
#include <stdint.h>

#define SWPSP_TIME_SCALE_MAX 1000000u

typedef struct {
    double page_us;        /* one page in a submission of its own */
    double split;          /* f, 0..1: the share of page_us that does not depend on the length */
    double receive_factor; /* a received submission costs this much times a sent one */
    double start_us;       /* LAUNCH_START, SEND_START, RECEIVE_START */
    double finish_us;      /* LAUNCH_FINISH, SEND_FINISH, SEND_CANCEL, RECEIVE_FINISH */
    uint32_t time_scale;   /* 1..SWPSP_TIME_SCALE_MAX; costs are divided by it */
} SwpspCost;

typedef enum {
    SWPSP_COST_NONE,
    SWPSP_COST_START,
    SWPSP_COST_FINISH,
    SWPSP_COST_SEND,
    SWPSP_COST_RECEIVE,
} SwpspCostKind;

void swpsp_cost_init(SwpspCost *cost); /* the defaults */

/* Whether every value is in its range. */
bool swpsp_cost_valid(const SwpspCost *cost);

/* Parts of the model in microseconds, before the time scale. */
double swpsp_cost_submit_us(const SwpspCost *cost);
double swpsp_cost_command_us(const SwpspCost *cost);
double swpsp_cost_byte_us(const SwpspCost *cost);

/* Microseconds after the time scale; commands and bytes count for submissions only. */
double swpsp_cost_service_us(const SwpspCost *cost, SwpspCostKind kind, uint64_t commands,
                             uint64_t bytes);

#endif
