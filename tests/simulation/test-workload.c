/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The named workloads in every size, and scenarios changed key by key. */
#include <string.h>

#include "sevmig-simulation.h"

#define MIB_PAGES 256

static void
test_every_size(void)
{
    const guint64 sizes_mib[] = {1, 96, 1000, 4096, 1 << 20};

    for (const SevmigSimWorkload *kind = sevmig_sim_workloads; kind->name; kind++) {
        for (gsize i = 0; i < G_N_ELEMENTS(sizes_mib); i++) {
            g_autoptr(GError) error = NULL;
            SevmigSimScenario s;

            sevmig_sim_workload_fill(kind, sizes_mib[i] * MIB_PAGES, &s);
            sevmig_sim_scenario_check(&s, &error);
            g_assert_no_error(error);
            g_assert_cmpstr(s.name, ==, kind->name);
            g_assert_cmpuint(s.pages, ==, sizes_mib[i] * MIB_PAGES);
            g_assert_cmpuint(s.phases[0].working_set_pages, >, 0);
            g_assert_cmpfloat(s.limit_s, >, 0);
        }
    }
    g_assert_null(sevmig_sim_workload_find("nothing"));
    g_assert_nonnull(sevmig_sim_workload_find("zipf"));
}

static void
test_loads_scale(void)
{
    SevmigSimScenario small, large;

    sevmig_sim_workload_fill(sevmig_sim_workload_find("phases"), 1024 * MIB_PAGES, &small);
    sevmig_sim_workload_fill(sevmig_sim_workload_find("phases"), 4096 * MIB_PAGES, &large);
    g_assert_cmpuint(small.n_phases, ==, 2);
    g_assert_cmpuint(small.phases[1].working_set_pages, ==, 128 * MIB_PAGES);
    g_assert_cmpuint(large.phases[1].working_set_pages, ==, 512 * MIB_PAGES);
    g_assert_cmpfloat(small.phases[1].from_s, ==, 120);
    g_assert_cmpfloat(large.phases[1].from_s, ==, 480);
}

static void
test_assign(void)
{
    g_autoptr(GError) error = NULL;
    SevmigSimScenario s;

    sevmig_sim_scenario_default(&s);
    g_assert_true(sevmig_sim_scenario_assign(&s, "guest.memory-mib=512", &error));
    g_assert_true(sevmig_sim_scenario_assign(&s, "load.pattern=scan", &error));
    g_assert_true(sevmig_sim_scenario_assign(&s, "load 2.busy=0.5", &error));
    g_assert_true(sevmig_sim_scenario_assign(&s, "firmware.page-us=50.5", &error));
    g_assert_no_error(error);
    g_assert_cmpuint(s.pages, ==, 512 * MIB_PAGES);
    g_assert_cmpint(s.phases[0].pattern, ==, SEVMIG_SIM_SCAN);
    g_assert_cmpuint(s.n_phases, ==, 2);
    g_assert_cmpint(s.phases[1].pattern, ==, SEVMIG_SIM_SCAN);
    g_assert_cmpfloat(s.phases[1].busy, ==, 0.5);
    g_assert_cmpfloat(s.page_us, ==, 50.5);
}

/* What is refused changes nothing, and the message says what would do. */
static void
test_assign_refused(void)
{
    const struct {
        const char *text, *message;
        SevmigSimError code;
    } rows[] = {
        {"busy", "expected GROUP.KEY=VALUE, not \"busy\"", SEVMIG_SIM_ERROR_SYNTAX},
        {"busy=0.5", "expected GROUP.KEY=VALUE, not \"busy=0.5\"", SEVMIG_SIM_ERROR_SYNTAX},
        {"", "expected GROUP.KEY=VALUE, not \"\"", SEVMIG_SIM_ERROR_SYNTAX},
        {"ghost.a=1", "[ghost] a: not a group: there are guest, load", SEVMIG_SIM_ERROR_UNKNOWN},
        {"link.speed=1", "[link] speed: not a key of this group, which has rate-gbit-s, jitter",
         SEVMIG_SIM_ERROR_UNKNOWN},
        {"load 2.speed=1", "[load 2] speed: not a key of this group", SEVMIG_SIM_ERROR_UNKNOWN},
        {"load 3.busy=1", "[load 3]: not the next load", SEVMIG_SIM_ERROR_UNKNOWN},
        {"load 99999999999999999999.busy=1", "not the next load", SEVMIG_SIM_ERROR_UNKNOWN},
        {"load x.busy=1", "[load x]: not the next load", SEVMIG_SIM_ERROR_UNKNOWN},
        {"guest.vcpus=0", "[guest] vcpus: expected a whole number from 1 to 512, not \"0\"",
         SEVMIG_SIM_ERROR_VALUE},
        {"guest.vcpus=1.5", "a whole number", SEVMIG_SIM_ERROR_VALUE},
        {"guest.vcpus=", "not \"\"", SEVMIG_SIM_ERROR_VALUE},
        {"load.busy=nan", "expected a number from 0.001 to 1, not \"nan\"", SEVMIG_SIM_ERROR_VALUE},
        {"load.pattern=odd", "expected one of uniform, zipf, scan", SEVMIG_SIM_ERROR_VALUE},
        {"policy.per-vcpu=yes", "expected true or false", SEVMIG_SIM_ERROR_VALUE},
    };
    SevmigSimScenario before, s;

    sevmig_sim_scenario_default(&before);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;

        s = before;
        g_assert_false(sevmig_sim_scenario_assign(&s, rows[i].text, &error));
        g_assert_error(error, SEVMIG_SIM_ERROR, (int)rows[i].code);
        if (!strstr(error->message, rows[i].message))
            g_error("%s: the message is \"%s\"", rows[i].text, error->message);
        g_assert_cmpuint(s.n_phases, ==, before.n_phases);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/workload/every-size", test_every_size);
    g_test_add_func("/workload/loads-scale", test_loads_scale);
    g_test_add_func("/workload/assign", test_assign);
    g_test_add_func("/workload/assign-refused", test_assign_refused);
    return g_test_run();
}
