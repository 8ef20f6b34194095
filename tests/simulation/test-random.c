/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-random.c - what must hold whatever the scenario, on some; `lab bench sim --random` runs more
 */
#include <glib.h>

#include "random-check.h"

#define SEEDS 200

static void
test_random(void)
{
    for (guint seed = 1; seed <= SEEDS; seed++) {
        g_autofree char *problem = random_check(seed);

        if (problem)
            g_error("random scenario %u: %s", seed, problem);
    }
}

/* One that ended worse than without control: it looked at a relaxed goal too late. */
static void
test_known(void)
{
    g_assert_cmpstr(random_check(1086), ==, NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/random/200", test_random);
    g_test_add_func("/random/known", test_known);
    return g_test_run();
}
