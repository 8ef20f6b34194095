/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two formats differ in what a counter's family is called ("x_total", or "x" with samples named
 * "x_total"), and OpenMetrics names units and marks its end. A family without samples is left out.
 */
#include "metrics-private.h"

#include <math.h>
#include <string.h>

#include "sevmig-names.h"

typedef struct {
    SevmigMetrics *metrics;
    SevmigMetricsFormat format;
    GString *out;
} Writer;

typedef struct {
    const char *name; /* without "_total" */
    const char *type;
    const char *unit; /* the end of the name, or NULL */
    const char *help;
} Family;

/* --- Lines --- */

static gboolean
is_counter(const Family *family)
{
    return strcmp(family->type, "counter") == 0;
}

static void
put_head(Writer *writer, const Family *family)
{
    gboolean text = writer->format == SEVMIG_METRICS_TEXT;
    const char *suffix = text && is_counter(family) ? "_total" : "";

    g_string_append_printf(writer->out, "# HELP %s%s %s\n", family->name, suffix, family->help);
    g_string_append_printf(writer->out, "# TYPE %s%s %s\n", family->name, suffix, family->type);
    if (!text && family->unit != NULL)
        g_string_append_printf(writer->out, "# UNIT %s %s\n", family->name, family->unit);
}

/* Begins with `separator`: '{' or ','. */
static void
put_label(Writer *writer, char separator, const char *name, const char *value)
{
    g_string_append_printf(writer->out, "%c%s=\"", separator, name);
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\n')
            g_string_append(writer->out, "\\n");
        else if (*c == '"' || *c == '\\')
            g_string_append_printf(writer->out, "\\%c", *c);
        else
            g_string_append_c(writer->out, *c);
    }
    g_string_append_c(writer->out, '"');
}

static void
put_value(Writer *writer, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append_printf(writer->out, " %s\n",
                           g_ascii_formatd(text, sizeof(text), "%.15g", value));
}

static void
put_name(Writer *writer, const Family *family, const char *suffix)
{
    g_string_append_printf(writer->out, "%s%s", family->name, suffix);
}

static void
put_single(Writer *writer, const Family *family, double value)
{
    put_head(writer, family);
    put_name(writer, family, is_counter(family) ? "_total" : "");
    put_value(writer, value);
}

/* --- A gauge for each running migration; NAN: nothing to say --- */

static double
of_pages(const SevmigInfo *info, double pages)
{
    return info->page_size > 0 ? pages * info->page_size : NAN;
}

static double
of_us(guint64 us)
{
    return (double)us / G_USEC_PER_SEC;
}

static double
get_remaining(const SevmigInfo *info)
{
    return of_pages(info, (double)info->remaining_pages);
}

static double
get_dirty_rate(const SevmigInfo *info)
{
    return of_pages(info, info->dirty_rate);
}

static double
get_encryption_rate(const SevmigInfo *info)
{
    return of_pages(info, info->encryption_rate);
}

static double
get_throttle(const SevmigInfo *info)
{
    return info->page_size > 0 ? info->throttle_percent / 100.0 : NAN;
}

static double
get_batch(const SevmigInfo *info)
{
    return info->page_size > 0 ? info->batch_pages : NAN;
}

static double
get_predicted(const SevmigInfo *info)
{
    return info->predicted_downtime_us > 0 ? of_us(info->predicted_downtime_us) : NAN;
}

static double
get_goal(const SevmigInfo *info)
{
    return info->downtime_goal_us > 0 ? of_us(info->downtime_goal_us) : NAN;
}

static double
get_elapsed(const SevmigInfo *info)
{
    return of_us(info->elapsed_us);
}

static const struct {
    Family family;
    double (*get)(const SevmigInfo *info);
} gauges[] = {
    {{"sevmig_migration_remaining_bytes", "gauge", "bytes",
      "Memory that a running migration has yet to send."},
     get_remaining},
    {{"sevmig_migration_dirty_bytes_per_second", "gauge", "bytes_per_second",
      "How fast the guest dirties memory that was sent."},
     get_dirty_rate},
    {{"sevmig_migration_encryption_bytes_per_second", "gauge", "bytes_per_second",
      "How fast the firmware encrypts the guest's memory."},
     get_encryption_rate},
    {{"sevmig_migration_throttle_ratio", "gauge", "ratio",
      "Share of time that is withheld from the vCPU held back most."},
     get_throttle},
    {{"sevmig_migration_batch_pages", "gauge", "pages", "Pages handed to the firmware at once."},
     get_batch},
    {{"sevmig_migration_predicted_downtime_seconds", "gauge", "seconds",
      "Downtime if the guest were stopped now."},
     get_predicted},
    {{"sevmig_migration_goal_downtime_seconds", "gauge", "seconds",
      "Downtime that the policy allows, after any relaxation."},
     get_goal},
    {{"sevmig_migration_elapsed_seconds", "gauge", "seconds",
      "How long the migration has been running."},
     get_elapsed},
};

static guint
count_listed(const Writer *writer)
{
    return MIN(writer->metrics->running->len, SEVMIG_METRICS_MOST_LISTED);
}

static void
put_gauge(Writer *writer, gsize row)
{
    gboolean begun = FALSE;

    for (guint i = 0; i < count_listed(writer); i++) {
        const SevmigInfo *info = writer->metrics->running->pdata[i];
        double value = gauges[row].get(info);

        if (!isfinite(value))
            continue;
        if (!begun)
            put_head(writer, &gauges[row].family);
        begun = TRUE;
        put_name(writer, &gauges[row].family, "");
        put_label(writer, '{', "domain", info->domain);
        g_string_append_c(writer->out, '}');
        put_value(writer, value);
    }
}

static void
put_phases(Writer *writer)
{
    static const Family family = {"sevmig_migration_phase", "gauge", NULL,
                                  "1 for the phase that a running migration is in."};

    if (count_listed(writer) > 0)
        put_head(writer, &family);
    for (guint i = 0; i < count_listed(writer); i++) {
        const SevmigInfo *info = writer->metrics->running->pdata[i];

        put_name(writer, &family, "");
        put_label(writer, '{', "domain", info->domain);
        put_label(writer, ',', "phase", info->phase);
        g_string_append_c(writer->out, '}');
        put_value(writer, 1);
    }
}

/* --- Of the host --- */

static double
get_running(const SevmigMetrics *metrics)
{
    return metrics->running->len;
}

static double
get_unlisted(const SevmigMetrics *metrics)
{
    return metrics->running->len > SEVMIG_METRICS_MOST_LISTED
               ? metrics->running->len - SEVMIG_METRICS_MOST_LISTED
               : 0;
}

static double
get_connected(const SevmigMetrics *metrics)
{
    return metrics->connected ? 1 : 0;
}

static double
get_goals_missed(const SevmigMetrics *metrics)
{
    return (double)metrics->goals_missed;
}

static double
get_throttled(const SevmigMetrics *metrics)
{
    return of_us(metrics->shown.throttled_us);
}

static double
get_pages(const SevmigMetrics *metrics)
{
    return (double)metrics->shown.pages;
}

static double
get_bytes(const SevmigMetrics *metrics)
{
    return (double)metrics->shown.bytes;
}

static double
get_busy(const SevmigMetrics *metrics)
{
    return of_us(metrics->shown.service_us);
}

static double
get_wait(const SevmigMetrics *metrics)
{
    return of_us(metrics->shown.wait_us);
}

static const struct {
    Family family;
    double (*get)(const SevmigMetrics *metrics);
} singles[] = {
    {{"sevmig_libvirt_connected", "gauge", NULL, "1 while sevmigd is connected to libvirt."},
     get_connected},
    {{"sevmig_migrations_running", "gauge", NULL, "Migrations that leave this host now."},
     get_running},
    {{"sevmig_migrations_unlisted", "gauge", NULL,
      "Running migrations beyond those that have series of their own."},
     get_unlisted},
    {{"sevmig_downtime_goals_missed", "counter", NULL,
      "Completed migrations whose downtime was longer than its goal."},
     get_goals_missed},
    {{"sevmig_throttled_seconds", "counter", "seconds",
      "Time withheld from guests by throttling, averaged over each guest's vCPUs."},
     get_throttled},
    {{"sevmig_encrypted_pages", "counter", "pages", "Pages that the firmware encrypted."},
     get_pages},
    {{"sevmig_sent_bytes", "counter", "bytes", "Encrypted memory that was sent."}, get_bytes},
    {{"sevmig_firmware_busy_seconds", "counter", "seconds",
      "Time that the firmware worked for migrations."},
     get_busy},
    {{"sevmig_firmware_wait_seconds", "counter", "seconds",
      "Time that migrations waited for the firmware."},
     get_wait},
};

static void
put_build(Writer *writer)
{
    static const Family family = {"sevmig_build_info", "gauge", NULL, "The version of sevmigd."};

    put_head(writer, &family);
    put_name(writer, &family, "");
    put_label(writer, '{', "version", SEVMIG_VERSION);
    g_string_append_c(writer->out, '}');
    put_value(writer, 1);
}

static void
put_results(Writer *writer)
{
    static const Family family = {"sevmig_migrations", "counter", NULL,
                                  "Migrations that have ended, by how."};

    put_head(writer, &family);
    for (guint i = 0; i < SEVMIG_RESULT_COUNT; i++) {
        put_name(writer, &family, "_total");
        put_label(writer, '{', "result", sevmig_phase_name(SEVMIG_METRICS_RESULT_PHASES[i]));
        g_string_append_c(writer->out, '}');
        put_value(writer, (double)writer->metrics->results[i]);
    }
}

/* A bound as Go, and so every reader, spells it: "0.1", "1.0", "+Inf". */
static void
put_bound(Writer *writer, guint bucket)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    guint64 us = SEVMIG_METRICS_BOUNDS_US[bucket];

    if (us == G_MAXUINT64) {
        put_label(writer, '{', "le", "+Inf");
        return;
    }
    g_ascii_formatd(text, sizeof(text), us % G_USEC_PER_SEC == 0 ? "%.1f" : "%.15g", of_us(us));
    put_label(writer, '{', "le", text);
}

static void
put_downtimes(Writer *writer)
{
    static const Family family = {"sevmig_downtime_seconds", "histogram", "seconds",
                                  "Downtime of completed migrations."};
    guint64 count = 0;

    put_head(writer, &family);
    for (guint i = 0; i < SEVMIG_METRICS_BUCKETS; i++) {
        count += writer->metrics->buckets[i];
        put_name(writer, &family, "_bucket");
        put_bound(writer, i);
        g_string_append_c(writer->out, '}');
        put_value(writer, (double)count);
    }
    put_name(writer, &family, "_sum");
    put_value(writer, of_us(writer->metrics->downtime_us));
    put_name(writer, &family, "_count");
    put_value(writer, (double)count);
}

char *
sevmig_metrics_format(SevmigMetrics *self, SevmigMetricsFormat format)
{
    Writer writer = {self, format, g_string_new(NULL)};

    sevmig_metrics_sum(self);
    put_build(&writer);
    for (gsize i = 0; i < G_N_ELEMENTS(singles); i++)
        put_single(&writer, &singles[i].family, singles[i].get(self));
    put_results(&writer);
    put_downtimes(&writer);
    put_phases(&writer);
    for (gsize i = 0; i < G_N_ELEMENTS(gauges); i++)
        put_gauge(&writer, i);
    if (format == SEVMIG_METRICS_OPENMETRICS)
        g_string_append(writer.out, "# EOF\n");
    return g_string_free(writer.out, FALSE);
}
