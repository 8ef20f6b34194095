/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* test-scenarios.c - every scenario file keeps its bounds; the argument is their directory */
#include <glib.h>
#include <glib/gstdio.h>

#include "sim-test.h"

static void
run_file(gconstpointer path)
{
    g_autoptr(GError) error = NULL;
    SevmigSimResult steered, unsteered;
    SevmigSimScenario s;
    gboolean compare;

    sevmig_sim_scenario_load(path, &s, &error);
    g_assert_no_error(error);
    compare = s.bounds.most_total_share > 0;
    sim_test_run(&s, &steered);
    if (compare)
        sim_test_run_unsteered(&s, TRUE, &unsteered);
    sim_test_check(&s, &steered, compare ? &unsteered : NULL);
}

static void
assert_refused(const char *text, SevmigSimError code)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("XXXXXX.scenario", &path, NULL);
    SevmigSimScenario s;

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_false(sevmig_sim_scenario_load(path, &s, &error));
    g_assert_error(error, SEVMIG_SIM_ERROR, (int)code);
    g_unlink(path);
}

static void
test_bad_files(void)
{
    g_autoptr(GError) error = NULL;
    SevmigSimScenario s;

    assert_refused("nothing", SEVMIG_SIM_ERROR_SYNTAX);
    assert_refused("[guest]\ncolour=red\n", SEVMIG_SIM_ERROR_UNKNOWN);
    assert_refused("[ghost]\nvcpus=1\n", SEVMIG_SIM_ERROR_UNKNOWN);
    assert_refused("[load 3]\nbusy=1\n", SEVMIG_SIM_ERROR_UNKNOWN);
    assert_refused("[guest]\nvcpus=many\n", SEVMIG_SIM_ERROR_VALUE);
    assert_refused("[guest]\nvcpus=0\n", SEVMIG_SIM_ERROR_VALUE);
    assert_refused("[guest]\nvcpus=1\nwriters=2\n", SEVMIG_SIM_ERROR_VALUE);
    assert_refused("[guest]\nblock-pages=3\n", SEVMIG_SIM_ERROR_VALUE);
    assert_refused("[load]\npattern=odd\n", SEVMIG_SIM_ERROR_VALUE);
    assert_refused("[load]\nworking-set-mib=512\n", SEVMIG_SIM_ERROR_VALUE);
    assert_refused("[load]\nbusy=1\n[load 2]\nbusy=1\n", SEVMIG_SIM_ERROR_VALUE);
    assert_refused("[policy]\nper-vcpu=perhaps\n", SEVMIG_SIM_ERROR_VALUE);
    g_assert_false(sevmig_sim_scenario_load("/nonexistent/file", &s, &error));
    g_assert_error(error, SEVMIG_SIM_ERROR, SEVMIG_SIM_ERROR_IO);
}

static gboolean
differs(const SevmigSimScenario *s, guint32 without_parts)
{
    const SevmigSimRun whole = {.controller = &sevmig_sim_steered};
    const SevmigSimRun rest = {.controller = &sevmig_sim_steered, .without_parts = without_parts};
    SevmigSimResult a, b;

    sevmig_sim_run(s, &whole, &a);
    sevmig_sim_run(s, &rest, &b);
    return a.total_s != b.total_s || a.lost_s != b.lost_s || a.downtime_ms != b.downtime_ms;
}

/* Each part of the law that can be left out decides something in one of these. */
static void
test_parts(gconstpointer directory)
{
    static const char *const telling[SEVMIG_PART_COUNT] = {
        [SEVMIG_PART_BATCH] = "idle-f5",          [SEVMIG_PART_GAP] = "paced-f8",
        [SEVMIG_PART_PRICE] = "paced-f5",         [SEVMIG_PART_JUMP] = "paced-f2",
        [SEVMIG_PART_WAIT] = "uniform-f5",        [SEVMIG_PART_LULL] = "bursty-f2",
        [SEVMIG_PART_EFFECT] = "unresponsive-f5", [SEVMIG_PART_VCPU] = "one-writer-f5",
        [SEVMIG_PART_SYNCS] = "scan-f2",          [SEVMIG_PART_STOP] = "idle-f5",
        [SEVMIG_PART_HURRY] = "idle-f5",
    };

    for (guint part = 0; part < SEVMIG_PART_COUNT; part++) {
        g_autofree char *name = g_strconcat(telling[part], ".scenario", NULL);
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autoptr(GError) error = NULL;
        SevmigSimScenario s;

        sevmig_sim_scenario_load(path, &s, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(sevmig_part_name((SevmigPart)part), !=, "?");
        if (!differs(&s, 1u << part))
            g_error("%s goes the same without '%s'", telling[part],
                    sevmig_part_name((SevmigPart)part));
    }
}

#define LATER_US G_GINT64_CONSTANT(1000000000000)

/* Our controller on a host that has been up for days. */
static SevmigPhase
step_later(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    SevmigEvent later = *event;
    SevmigPhase phase;

    later.now_us += LATER_US;
    phase = sevmig_sim_steered.step(state, &later, actions);
    if (actions->wake_us > 0)
        actions->wake_us -= LATER_US;
    return phase;
}

/* When the clock began to count decides nothing. */
static void
test_clock(gconstpointer directory)
{
    static const char *const names[] = {"raised-twice", "bursty-f5", "phases-f5",
                                        "unresponsive-f5"};
    SevmigSimController shifted = sevmig_sim_steered;
    const SevmigSimRun early = {.controller = &sevmig_sim_steered};
    const SevmigSimRun late = {.controller = &shifted};

    shifted.step = step_later;
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *name = g_strconcat(names[i], ".scenario", NULL);
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autoptr(GError) error = NULL;
        SevmigSimScenario s;
        SevmigSimResult a, b;

        sevmig_sim_scenario_load(path, &s, &error);
        g_assert_no_error(error);
        sevmig_sim_run(&s, &early, &a);
        sevmig_sim_run(&s, &late, &b);
        g_assert_cmpuint(a.steps, >, 100);
        g_assert_cmpuint(a.steps, ==, b.steps);
        g_assert_cmpfloat(a.total_s, ==, b.total_s);
        g_assert_cmpfloat(a.lost_s, ==, b.lost_s);
        g_assert_cmpfloat(a.downtime_ms, ==, b.downtime_ms);
    }
}

static int
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int
main(int argc, char **argv)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = NULL;
    const char *name;

    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    dir = g_dir_open(argv[1], 0, NULL);
    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir)))
        g_ptr_array_add(paths, g_build_filename(argv[1], name, NULL));
    g_assert_cmpuint(paths->len, >=, 30);
    g_ptr_array_sort(paths, by_name);
    g_test_add_func("/scenarios/bad-files", test_bad_files);
    g_test_add_data_func("/scenarios/parts", argv[1], test_parts);
    g_test_add_data_func("/scenarios/clock", argv[1], test_clock);
    for (guint i = 0; i < paths->len; i++) {
        g_autofree char *base = g_path_get_basename(paths->pdata[i]);
        g_autofree char *path = g_strconcat("/scenarios/", base, NULL);

        g_test_add_data_func(path, paths->pdata[i], run_file);
    }
    return g_test_run();
}
