/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is counted, and when; what the text says of it. That it is well-formed others' parsers
 * check. */
#include <glib/gstdio.h>
#include <string.h>

#include "metrics.h"

#define FORMAT SEVMIG_METRICS_OPENMETRICS

static void
info_fill(SevmigInfo *info, const char *domain)
{
    sevmig_info_init(info);
    sevmig_info_set(&info->domain, domain);
    sevmig_info_set(&info->phase, "converging");
    info->page_size = 4096;
    info->remaining_pages = 1000;
    info->throttle_percent = 35;
    info->guest_lost_us = 1500000;
    info->pages = 70000;
    info->wait_us = 250000;
}

static gboolean
says(SevmigMetrics *metrics, const char *line)
{
    g_autofree char *text = sevmig_metrics_format(metrics, FORMAT);
    g_autofree char *sought = g_strdup_printf("\n%s\n", line);

    if (strstr(text, sought) != NULL)
        return TRUE;
    g_test_message("no line \"%s\" in\n%s", line, text);
    return FALSE;
}

static gboolean
mentions(SevmigMetrics *metrics, const char *word)
{
    g_autofree char *text = sevmig_metrics_format(metrics, FORMAT);

    return strstr(text, word) != NULL;
}

static void
test_running(void)
{
    g_autoptr(SevmigMetrics) metrics = sevmig_metrics_new(NULL);
    SevmigInfo info;

    info_fill(&info, "db-1");
    sevmig_metrics_begun(metrics, &info);
    g_assert_true(says(metrics, "sevmig_migrations_running 1"));
    g_assert_true(says(metrics, "sevmig_migration_remaining_bytes{domain=\"db-1\"} 4096000"));
    g_assert_true(says(metrics, "sevmig_migration_throttle_ratio{domain=\"db-1\"} 0.35"));
    g_assert_true(says(metrics, "sevmig_migration_phase{domain=\"db-1\",phase=\"converging\"} 1"));
    g_assert_true(says(metrics, "sevmig_encrypted_pages_total 70000"));
    g_assert_true(says(metrics, "sevmig_throttled_seconds_total 1.5"));
    /* what is unknown has no sample, and then no family */
    g_assert_false(mentions(metrics, "sevmig_migration_predicted_downtime_seconds"));
    info.predicted_downtime_us = 280000;
    g_assert_true(
        says(metrics, "sevmig_migration_predicted_downtime_seconds{domain=\"db-1\"} 0.28"));
    sevmig_metrics_ended(metrics, &info);
    g_assert_false(mentions(metrics, "db-1"));
    sevmig_info_clear(&info);
}

static void
end(SevmigMetrics *metrics, SevmigInfo *info, const char *phase, guint64 downtime_us,
    guint64 goal_us)
{
    sevmig_metrics_begun(metrics, info);
    sevmig_info_set(&info->phase, phase);
    info->downtime_us = downtime_us;
    info->downtime_goal_us = goal_us;
    info->guest_lost_us = 1500000 + downtime_us;
    sevmig_metrics_ended(metrics, info);
    sevmig_metrics_ended(metrics, info); /* counts once */
}

static void
test_ended(void)
{
    g_autoptr(SevmigMetrics) metrics = sevmig_metrics_new(NULL);
    SevmigInfo info;

    info_fill(&info, "db-1");
    g_assert_true(says(metrics, "sevmig_migrations_total{result=\"failed\"} 0"));
    end(metrics, &info, "done", 100000, 100000);
    end(metrics, &info, "done", 100001, 100000);
    end(metrics, &info, "done", 20000000, 0);
    end(metrics, &info, "done", 0, 100000);
    end(metrics, &info, "failed", 0, 100000);
    end(metrics, &info, "released", 0, 100000);
    g_assert_true(says(metrics, "sevmig_migrations_total{result=\"done\"} 4"));
    g_assert_true(says(metrics, "sevmig_migrations_total{result=\"failed\"} 1"));
    g_assert_true(says(metrics, "sevmig_migrations_total{result=\"cancelled\"} 0"));
    g_assert_true(says(metrics, "sevmig_migrations_total{result=\"released\"} 1"));
    g_assert_true(says(metrics, "sevmig_downtime_goals_missed_total 1"));
    g_assert_true(says(metrics, "sevmig_downtime_seconds_bucket{le=\"0.05\"} 0"));
    g_assert_true(says(metrics, "sevmig_downtime_seconds_bucket{le=\"0.1\"} 1"));
    g_assert_true(says(metrics, "sevmig_downtime_seconds_bucket{le=\"10.0\"} 2"));
    g_assert_true(says(metrics, "sevmig_downtime_seconds_bucket{le=\"+Inf\"} 3"));
    g_assert_true(says(metrics, "sevmig_downtime_seconds_sum 20.200001"));
    g_assert_true(says(metrics, "sevmig_downtime_seconds_count 3"));
    g_assert_true(says(metrics, "sevmig_throttled_seconds_total 9"));
    g_assert_true(says(metrics, "sevmig_firmware_wait_seconds_total 1.5"));
    sevmig_info_clear(&info);
}

/* The downtime is known a moment before the time lost counts it. */
static void
test_never_falls(void)
{
    g_autoptr(SevmigMetrics) metrics = sevmig_metrics_new(NULL);
    SevmigInfo info;

    info_fill(&info, "db-1");
    sevmig_metrics_begun(metrics, &info);
    g_assert_true(says(metrics, "sevmig_throttled_seconds_total 1.5"));
    info.downtime_us = 500000;
    g_assert_true(says(metrics, "sevmig_throttled_seconds_total 1.5"));
    info.guest_lost_us = 2100000;
    g_assert_true(says(metrics, "sevmig_throttled_seconds_total 1.6"));
    sevmig_metrics_ended(metrics, &info);
    sevmig_info_clear(&info);
}

static void
test_hostile(void)
{
    g_autoptr(SevmigMetrics) metrics = sevmig_metrics_new(NULL);
    SevmigInfo info;

    info_fill(&info, "a\"} 1\nb\\{\xff");
    sevmig_metrics_begun(metrics, &info);
    g_assert_true(says(metrics, "sevmig_migration_remaining_bytes{domain=\"a\\\"} 1\\nb\\\\{"
                                "\xef\xbf\xbd\"} 4096000"));
    sevmig_metrics_ended(metrics, &info);
    sevmig_info_clear(&info);
}

static void
test_bounded(void)
{
    g_autoptr(SevmigMetrics) metrics = sevmig_metrics_new(NULL);
    SevmigInfo infos[SEVMIG_METRICS_MOST_LISTED + 3];

    for (guint i = 0; i < G_N_ELEMENTS(infos); i++) {
        g_autofree char *name = g_strdup_printf("guest-%03u", i);

        info_fill(&infos[i], name);
        sevmig_metrics_begun(metrics, &infos[i]);
    }
    g_assert_true(says(metrics, "sevmig_migrations_running 67"));
    g_assert_true(says(metrics, "sevmig_migrations_unlisted 3"));
    g_assert_true(mentions(metrics, "guest-063"));
    g_assert_false(mentions(metrics, "guest-064"));
    g_assert_true(says(metrics, "sevmig_encrypted_pages_total 4690000")); /* of all */
    for (guint i = 0; i < G_N_ELEMENTS(infos); i++) {
        sevmig_metrics_ended(metrics, &infos[i]);
        sevmig_info_clear(&infos[i]);
    }
    g_assert_true(says(metrics, "sevmig_migrations_unlisted 0"));
}

/* Nothing is written before the start, whole files at changes, and nothing runs in the last one. */
static void
test_file(void)
{
    g_autofree char *dir = g_dir_make_tmp("sevmig-metrics-XXXXXX", NULL);
    g_autofree char *below = g_build_filename(dir, "metrics", NULL);
    g_autofree char *path = g_build_filename(below, "sevmig.prom", NULL);
    g_autofree char *text = NULL;
    SevmigMetrics *metrics = sevmig_metrics_new(path);
    SevmigInfo info;

    info_fill(&info, "db-1");
    sevmig_metrics_begun(metrics, &info);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    sevmig_metrics_start(metrics);
    while (!g_file_test(path, G_FILE_TEST_EXISTS))
        g_main_context_iteration(NULL, TRUE);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "# TYPE sevmig_sent_bytes_total counter\n"));
    g_assert_nonnull(strstr(text, "{domain=\"db-1\"} 4096000\n"));
    g_assert_null(strstr(text, "# EOF"));
    sevmig_metrics_free(metrics);
    g_clear_pointer(&text, g_free);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_null(strstr(text, "db-1"));
    sevmig_info_clear(&info);
    g_remove(path);
    g_assert_cmpint(g_rmdir(below), ==, 0); /* no temporary file is left */
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static guint n_warnings;

static GLogWriterOutput
count_warnings(GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
    n_warnings += level & G_LOG_LEVEL_WARNING ? 1 : 0;
    return G_LOG_WRITER_HANDLED;
}

/* A place that cannot be written is said once; a later write goes well if it can. */
static void
test_no_place(void)
{
    g_autofree char *dir = g_dir_make_tmp("sevmig-metrics-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "file", NULL);
    g_autofree char *path = g_build_filename(file, "sevmig.prom", NULL);
    SevmigMetrics *metrics = sevmig_metrics_new(path);

    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    sevmig_metrics_start(metrics);
    for (guint i = 0; i < 3; i++) {
        g_main_context_iteration(NULL, TRUE);
        sevmig_metrics_set_connected(metrics, i % 2 == 0);
    }
    g_assert_cmpuint(n_warnings, ==, 1);
    g_remove(file);
    sevmig_metrics_free(metrics);
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_remove(path);
    g_rmdir(file);
    g_rmdir(dir);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
    g_log_set_writer_func(count_warnings, NULL, NULL);
    g_test_add_func("/metrics/running", test_running);
    g_test_add_func("/metrics/ended", test_ended);
    g_test_add_func("/metrics/never-falls", test_never_falls);
    g_test_add_func("/metrics/hostile", test_hostile);
    g_test_add_func("/metrics/bounded", test_bounded);
    g_test_add_func("/metrics/file", test_file);
    g_test_add_func("/metrics/no-place", test_no_place);
    return g_test_run();
}
