/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * metrics-sample FILE ROUND - writes the metrics of a host on which much is going on
 *
 * Two guests run, with names that want escaping; five have ended. Totals grow with each round, so
 * that a monitoring system sees rates.
 */
#include <stdio.h>
#include <stdlib.h>

#include "metrics.h"

static void
fill(SevmigInfo *info, const char *domain, guint round)
{
    sevmig_info_init(info);
    sevmig_info_set(&info->domain, domain);
    sevmig_info_set(&info->phase, "stalled");
    info->page_size = 4096;
    info->remaining_pages = 1200;
    info->dirty_rate = 1520.25;
    info->encryption_rate = 3180;
    info->throttle_percent = 95;
    info->batch_pages = 64;
    info->predicted_downtime_us = 280000;
    info->downtime_goal_us = 300000;
    info->elapsed_us = 41000000;
    info->guest_lost_us = 1210000;
    info->pages = 70000 + 1000 * round;
    info->sent_bytes = 292000000 + 4096000 * round;
    info->service_us = 44000000 + 250000 * round;
    info->wait_us = 1000000 + 100000 * round;
}

static void
end(SevmigMetrics *metrics, const char *phase, guint64 downtime_us)
{
    SevmigInfo info;

    fill(&info, "gone", 0);
    sevmig_metrics_begun(metrics, &info);
    sevmig_info_set(&info.phase, phase);
    info.downtime_us = downtime_us;
    sevmig_metrics_ended(metrics, &info);
    sevmig_info_clear(&info);
}

int
main(int argc, char **argv)
{
    static const char *const names[] = {"db-1", "odd \"name\"\\\n"};
    SevmigInfo running[G_N_ELEMENTS(names)];
    g_autoptr(SevmigMetrics) metrics = NULL;
    g_autofree char *text = NULL;
    guint round;

    if (argc != 3)
        return 2;
    round = (guint)atoi(argv[2]);
    metrics = sevmig_metrics_new(NULL);
    for (guint i = 0; i <= round; i++) {
        end(metrics, "done", 45000);
        end(metrics, "done", 250000);
        end(metrics, "done", 700000);
        end(metrics, "failed", 0);
        end(metrics, "cancelled", 0);
    }
    sevmig_metrics_set_connected(metrics, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        fill(&running[i], names[i], round);
        sevmig_metrics_begun(metrics, &running[i]);
    }
    text = sevmig_metrics_format(metrics, g_str_has_suffix(argv[1], ".prom")
                                              ? SEVMIG_METRICS_TEXT
                                              : SEVMIG_METRICS_OPENMETRICS);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        sevmig_metrics_ended(metrics, &running[i]);
        sevmig_info_clear(&running[i]);
    }
    return g_file_set_contents(argv[1], text, -1, NULL) ? EXIT_SUCCESS : EXIT_FAILURE;
}
