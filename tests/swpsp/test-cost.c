/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cost model's numbers: computed, nothing is timed here. */
#include "swpsp-cost.h"

#include <glib.h>
#include <math.h>

#define PAGE 4096

static double
pages_per_s(const SwpspCost *cost, unsigned commands, unsigned pages_each)
{
    const double us = swpsp_cost_service_us(cost, SWPSP_COST_SEND, commands,
                                            (uint64_t)commands * pages_each * PAGE);
    return commands * pages_each * 1e6 / us;
}

/* The figures published with the model: pages a second in commands of one and of four pages. */
static void
test_published(void)
{
    static const struct {
        double split, at_1, at_4;
    } rows[] = {{0.2, 997, 1173}, {0.5, 997, 1594}, {0.8, 997, 2480}};
    SwpspCost cost;

    swpsp_cost_init(&cost);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        cost.split = rows[i].split;
        g_assert_cmpfloat_with_epsilon(pages_per_s(&cost, 1, 1), rows[i].at_1, 1);
        /* They were rounded on the way. */
        g_assert_cmpfloat_with_epsilon(pages_per_s(&cost, 1, 4), rows[i].at_4, rows[i].at_4 / 150);
    }
}

/* a_submit is paid once, a_cmd by command: 1003 us a page, split 0.5, half each. */
static void
test_two_levels(void)
{
    SwpspCost cost;

    swpsp_cost_init(&cost);
    g_assert_cmpfloat_with_epsilon(swpsp_cost_submit_us(&cost), 250.75, 1e-9);
    g_assert_cmpfloat_with_epsilon(swpsp_cost_command_us(&cost), 250.75, 1e-9);
    g_assert_cmpfloat_with_epsilon(swpsp_cost_byte_us(&cost) * PAGE, 501.5, 1e-9);
    g_assert_cmpfloat_with_epsilon(swpsp_cost_service_us(&cost, SWPSP_COST_SEND, 16, 64 * PAGE),
                                   250.75 + 16 * 250.75 + 64 * 501.5, 1e-6);
    /* Sixteen commands of four pages in one submission against one by one. */
    g_assert_cmpfloat_with_epsilon(pages_per_s(&cost, 16, 4), 64e6 / 36358.75, 1e-6);
}

static void
test_scale_and_factor(void)
{
    SwpspCost cost;

    swpsp_cost_init(&cost);
    cost.receive_factor = 1.25;
    g_assert_cmpfloat_with_epsilon(swpsp_cost_service_us(&cost, SWPSP_COST_RECEIVE, 1, PAGE),
                                   1003 * 1.25, 1e-9);
    cost.time_scale = 20;
    g_assert_cmpfloat_with_epsilon(swpsp_cost_service_us(&cost, SWPSP_COST_SEND, 1, PAGE), 50.15,
                                   1e-9);
    g_assert_cmpfloat(swpsp_cost_service_us(&cost, SWPSP_COST_START, 0, 0), ==, 1000);
    g_assert_cmpfloat(swpsp_cost_service_us(&cost, SWPSP_COST_FINISH, 0, 0), ==, 50);
    g_assert_cmpfloat(swpsp_cost_service_us(&cost, SWPSP_COST_NONE, 0, 0), ==, 0);
}

static void
test_ranges(void)
{
    SwpspCost good;

    swpsp_cost_init(&good);
    g_assert_true(swpsp_cost_valid(&good));
    SwpspCost bad[] = {good, good, good, good, good, good, good};
    bad[0].split = -0.1;
    bad[1].split = 1.1;
    bad[2].split = (double)NAN;
    bad[3].page_us = (double)INFINITY;
    bad[4].receive_factor = -1;
    bad[5].time_scale = 0;
    bad[6].time_scale = SWPSP_TIME_SCALE_MAX + 1;
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(swpsp_cost_valid(&bad[i]));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/cost/published", test_published);
    g_test_add_func("/swpsp/cost/two-levels", test_two_levels);
    g_test_add_func("/swpsp/cost/scale-and-factor", test_scale_and_factor);
    g_test_add_func("/swpsp/cost/ranges", test_ranges);
    return g_test_run();
}
