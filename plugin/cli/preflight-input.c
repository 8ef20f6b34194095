/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a domain's load and of the firmware. libvirt samples which pages change within a
 * second (blocks of less than 128 MiB are left out by QEMU, so a small guest seems to write
 * nothing); sevmigd tells of earlier migrations, and the record of one has the shape of the load.
 */
#include <stdlib.h>
#include <string.h>

#include "derive.h"
#include "dirty-fit.h"
#include "migration.h"
#include "preflight.h"

/* libvirt has these statistics since 7.2, and names for them since 11.2. */
#ifndef VIR_DOMAIN_STATS_DIRTYRATE_CALC_STATUS
#define VIR_DOMAIN_STATS_DIRTYRATE_CALC_STATUS "dirtyrate.calc_status"
#define VIR_DOMAIN_STATS_DIRTYRATE_MEGABYTES_PER_SECOND "dirtyrate.megabytes_per_second"
#endif

#define WATCH_S 1
#define WATCH_LIMIT_US (5 * G_USEC_PER_SEC)
#define REMEMBERED 9 /* newest migrations */
#define LOOK_EVERY_US (50 * 1000)
#define SAMPLED_LEAST_KIB (128u << 10)
#define PAGE_KIB (SEVMIG_SIM_PAGE_BYTES / 1024)
#define MIB_PAGES (1024 / PAGE_KIB)
/* What is assumed where nothing is known. */
#define ASSUMED_DIRTY_SHARE (1.0 / 256) /* of memory, a second */
#define ASSUMED_SET_SHARE (1.0 / 8)
#define ASSUMED_SETUP_US 2e5 /* between two idle hosts of the lab, keys included */
#define SET_OF_DIRTIED 2     /* a working set is at least that many times what a second dirties */

static void
set_input(Preflight *self, InputKind kind, double value, Origin origin)
{
    self->inputs.inputs[kind] = (Input){value, origin};
}

/* Whether it is known from there, or better. A rate of nothing is one. */
static gboolean
is_known(const Preflight *self, InputKind kind, Origin origin)
{
    return self->inputs.inputs[kind].origin <= origin;
}

/* --- Measured --- */

/* MiB a second; negative: nothing has been measured yet. */
static gint64
read_dirty_rate(virDomainPtr domain)
{
    virDomainPtr domains[] = {domain, NULL};
    virDomainStatsRecordPtr *records = NULL;
    int status = -1;
    long long rate = -1;
    int n = virDomainListGetStats(domains, VIR_DOMAIN_STATS_DIRTYRATE, &records, 0);
    if (n == 1) {
        virTypedParamsGetInt(records[0]->params, records[0]->nparams,
                             VIR_DOMAIN_STATS_DIRTYRATE_CALC_STATUS, &status);
        virTypedParamsGetLLong(records[0]->params, records[0]->nparams,
                               VIR_DOMAIN_STATS_DIRTYRATE_MEGABYTES_PER_SECOND, &rate);
    }
    if (n >= 0)
        virDomainStatsRecordListFree(records);
    return status == VIR_DOMAIN_DIRTYRATE_MEASURED ? rate : -1;
}

/* Negative where libvirt or this QEMU cannot. */
static gint64
measure_dirty_rate(virDomainPtr domain)
{
    gint64 until_us = g_get_monotonic_time() + WATCH_LIMIT_US, rate = -1;
    if (virDomainStartDirtyRateCalc(domain, WATCH_S, 0) < 0)
        return -1;
    g_usleep(WATCH_S * G_USEC_PER_SEC);
    while (rate < 0 && g_get_monotonic_time() < until_us) {
        rate = read_dirty_rate(domain);
        if (rate < 0)
            g_usleep(LOOK_EVERY_US);
    }
    return rate;
}

static void
measure_load(Preflight *self)
{
    virDomainInfo before, after;
    gint64 began_us = g_get_monotonic_time();
    if (virDomainGetInfo(self->of.domain, &before) < 0)
        return;
    set_input(self, INPUT_VCPUS, before.nrVirtCpu, ORIGIN_MEASURED);
    if (!is_known(self, INPUT_PAGES, ORIGIN_MEASURED))
        set_input(self, INPUT_PAGES, (double)(before.memory / PAGE_KIB), ORIGIN_MEASURED);
    if (self->stands)
        return;
    gint64 rate = measure_dirty_rate(self->of.domain);
    if (rate >= 0 && before.memory >= SAMPLED_LEAST_KIB)
        set_input(self, INPUT_DIRTY_PAGES_PER_S, (double)rate * MIB_PAGES, ORIGIN_MEASURED);
    double passed_us = (double)(g_get_monotonic_time() - began_us);
    if (virDomainGetInfo(self->of.domain, &after) < 0 || after.cpuTime <= before.cpuTime ||
        passed_us < G_USEC_PER_SEC / 2 || after.nrVirtCpu == 0)
        return;
    double cpu_us = (double)(after.cpuTime - before.cpuTime) / 1e3;
    set_input(self, INPUT_BUSY, MIN(cpu_us / passed_us / after.nrVirtCpu, 1), ORIGIN_MEASURED);
}

/* --- Recorded --- */

/* At the rate of today, if that is known. */
static void
take_load(Preflight *self, const SevmigSimScenario *recorded)
{
    ForecastInputs *inputs = &self->inputs;
    SevmigSimPhase *phase = &inputs->base.phases[0];
    *phase = recorded->phases[0];
    inputs->base.writers = recorded->writers;
    inputs->base.reports_vcpu_dirty = recorded->reports_vcpu_dirty;
    inputs->has_load = TRUE;
    double then = dirty_fit_pages(phase, WATCH_S);
    if (is_known(self, INPUT_DIRTY_PAGES_PER_S, ORIGIN_MEASURED))
        phase->writes_per_s *= inputs->inputs[INPUT_DIRTY_PAGES_PER_S].value / then;
    else
        set_input(self, INPUT_DIRTY_PAGES_PER_S, then, ORIGIN_RECORD);
    set_input(self, INPUT_WORKING_SET_PAGES, (double)phase->working_set_pages, ORIGIN_RECORD);
}

static void
take_record(Preflight *self, const DerivedRecord *record)
{
    const SevmigSimScenario *recorded = &record->scenario;
    SevmigSimScenario *base = &self->inputs.base;
    base->submit_share = recorded->submit_share;
    base->receive_factor = recorded->receive_factor;
    base->extra_us = recorded->extra_us;
    set_input(self, INPUT_PAGE_US, recorded->page_us, ORIGIN_RECORD);
    /* What was free then was not sent. */
    if (self->inputs.inputs[INPUT_PAGES].value > (double)recorded->pages)
        set_input(self, INPUT_PAGES, (double)recorded->pages, ORIGIN_RECORD);
    take_load(self, recorded);
}

/* Of the newest that can be read and is like what it records; whoever may not read them does
 * without. */
static void
find_record(Preflight *self, const GPtrArray *history)
{
    for (guint i = 0; i < history->len; i++) {
        const Migration *migration = history->pdata[i];
        g_autoptr(DerivedRecord) record =
            *migration->record_file != '\0' ? derive_record(migration->record_file, NULL) : NULL;
        if (record == NULL || record->refused != NULL)
            continue;
        take_record(self, record);
        return;
    }
}

/* --- Remembered --- */

static double
page_us_of(const Migration *m)
{
    return forecast_page_us(m->service_us, m->pages, m->commands, m->submissions);
}

static double
setup_us_of(const Migration *m)
{
    return (double)m->setup_us;
}

static double
fixed_us_of(const Migration *m)
{
    return (double)m->fixed_downtime_us;
}

/* What the host makes of a migration: the median, for one alone may be odd. */
static const struct {
    InputKind kind;
    double (*of)(const Migration *migration);
} remembered[] = {
    {INPUT_PAGE_US, page_us_of},
    {INPUT_SETUP_US, setup_us_of},
    {INPUT_FIXED_DOWNTIME_US, fixed_us_of},
};

static int
compare_doubles(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void
take_medians(Preflight *self, const GPtrArray *history, Origin origin)
{
    for (gsize i = 0; i < G_N_ELEMENTS(remembered); i++) {
        double values[REMEMBERED];
        guint n = 0;
        for (guint j = 0; j < history->len && n < REMEMBERED; j++) {
            double value = remembered[i].of(history->pdata[j]);
            if (value > 0)
                values[n++] = value;
        }
        qsort(values, n, sizeof(*values), compare_doubles);
        if (n > 0 && !is_known(self, remembered[i].kind, origin))
            set_input(self, remembered[i].kind, values[n / 2], origin);
    }
}

/* The rate at the end of a migration is that of a throttled guest. One that is busy for a share u
 * of the time loses nothing while the throttle p is below 1 - u. */
static double
unthrottled(const Preflight *self, const Migration *migration)
{
    const Input *busy = &self->inputs.inputs[INPUT_BUSY];
    double left = 1 - migration->max_throttle_percent / 100.0;
    double wanted = busy->value > 0 ? busy->value : 1;
    return migration->dirty_pages_per_s / CLAMP(left / wanted, 0.01, 1);
}

static void
take_rate(Preflight *self, const GPtrArray *history)
{
    for (guint i = 0; i < history->len; i++) {
        const Migration *migration = history->pdata[i];
        if (migration->dirty_pages_per_s > 0 &&
            !is_known(self, INPUT_DIRTY_PAGES_PER_S, ORIGIN_DOMAIN))
            set_input(self, INPUT_DIRTY_PAGES_PER_S, unthrottled(self, migration), ORIGIN_DOMAIN);
    }
}

/* sevmigd has answered before; what it cannot tell now is assumed. */
static void
remember(Cli *cli, Preflight *self)
{
    g_autoptr(GPtrArray) own = migration_load_history(cli, self->uuid, REMEMBERED, NULL);
    g_autoptr(GPtrArray) all = migration_load_history(cli, "", REMEMBERED, NULL);
    if (own != NULL) {
        find_record(self, own);
        take_medians(self, own, ORIGIN_DOMAIN);
        take_rate(self, own);
    }
    if (all != NULL)
        take_medians(self, all, ORIGIN_HOST);
}

/* --- Assumed --- */

static void
assume(Preflight *self)
{
    const Input *inputs = self->inputs.inputs;
    SevmigSimScenario model;
    sevmig_sim_scenario_default(&model);
    const double assumed[INPUT_COUNT] = {
        [INPUT_PAGES] = (double)model.pages,
        [INPUT_VCPUS] = 1,
        [INPUT_BUSY] = 1,
        [INPUT_DIRTY_PAGES_PER_S] = inputs[INPUT_PAGES].value * ASSUMED_DIRTY_SHARE,
        [INPUT_PAGE_US] = model.page_us,
        [INPUT_SETUP_US] = ASSUMED_SETUP_US,
        [INPUT_FIXED_DOWNTIME_US] = model.device_us,
    };
    for (int i = 0; i < INPUT_COUNT; i++) {
        if (inputs[i].origin == ORIGIN_ASSUMED)
            set_input(self, (InputKind)i, assumed[i], ORIGIN_ASSUMED);
    }
    if (inputs[INPUT_WORKING_SET_PAGES].origin != ORIGIN_ASSUMED)
        return;
    double set = MAX(inputs[INPUT_PAGES].value * ASSUMED_SET_SHARE,
                     inputs[INPUT_DIRTY_PAGES_PER_S].value * SET_OF_DIRTIED);
    set_input(self, INPUT_WORKING_SET_PAGES, MIN(set, inputs[INPUT_PAGES].value), ORIGIN_ASSUMED);
}

void
preflight_measure(Cli *cli, Preflight *self)
{
    /* The pages may be known already, from QEMU. */
    for (int i = 0; i < INPUT_COUNT; i++) {
        if (self->inputs.inputs[i].value <= 0)
            self->inputs.inputs[i].origin = ORIGIN_ASSUMED;
    }
    sevmig_sim_scenario_default(&self->inputs.base);
    measure_load(self);
    remember(cli, self);
    assume(self);
}
