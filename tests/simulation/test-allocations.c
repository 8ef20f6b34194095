/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * test-allocations.c - a step of the controller allocates nothing
 *
 * Every allocation of the program comes by a hook, which counts while a step runs: of the
 * sanitizer where there is one, else in place of the C library's own functions.
 */
#include <errno.h>
#include <glib.h>
#include <stdlib.h>

#include "sevmig-simulation.h"

#define SEEDS 40

static gboolean counting;
static guint allocations;

#ifdef __SANITIZE_ADDRESS__
void __sanitizer_malloc_hook(const volatile void *memory, size_t size);

void
__sanitizer_malloc_hook(const volatile void *memory, size_t size)
{
    allocations += counting;
}
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *
malloc(size_t size)
{
    allocations += counting;
    return __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
    allocations += counting;
    return __libc_calloc(n, size);
}

void *
realloc(void *memory, size_t size)
{
    allocations += counting;
    return __libc_realloc(memory, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
    allocations += counting;
    return __libc_memalign(alignment, size);
}

int
posix_memalign(void **memory, size_t alignment, size_t size)
{
    allocations += counting;
    *memory = __libc_memalign(alignment, size);
    return *memory ? 0 : ENOMEM;
}
#endif

static gboolean greedy;

static SevmigPhase
counted_step(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    SevmigPhase phase;

    counting = TRUE;
    phase = sevmig_sim_steered.step(state, event, actions);
    if (greedy && event->type == SEVMIG_EVENT_START) /* what the hook is to find */
        g_free(g_malloc0(SEVMIG_SIM_PAGE_BYTES));
    counting = FALSE;
    return phase;
}

static guint
count(guint seed)
{
    SevmigSimController controller = sevmig_sim_steered;
    const SevmigSimRun run = {.controller = &controller};
    SevmigSimScenario scenario;
    SevmigSimResult result;

    sevmig_sim_scenario_random(seed, &scenario);
    controller.step = counted_step;
    allocations = 0;
    sevmig_sim_run(&scenario, &run, &result);
    g_assert_cmpuint(result.steps, >, 0);
    return allocations;
}

/* Whatever the scenario: all kinds of decisions, disturbances and ends. */
static void
test_none(void)
{
    for (guint seed = 1; seed <= SEEDS; seed++)
        g_assert_cmpuint(count(seed), ==, 0);
}

static void
test_hook(void)
{
    greedy = TRUE;
    g_assert_cmpuint(count(1), ==, 1);
    greedy = FALSE;
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/allocations/hook", test_hook);
    g_test_add_func("/allocations/none", test_none);
    return g_test_run();
}
