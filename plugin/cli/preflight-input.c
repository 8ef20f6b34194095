/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a domain's load and of the firmware. libvirt samples which pages change within a
 * second (blocks of less than 128 MiB are left out by QEMU, so a small guest seems to write
 * nothing); sevmigd tells of earlier migrations.
 */
#include <stdlib.h>
#include <string.h>

#include "migration.h"
#include "preflight.h"

#define WATCH_S 1
#define WATCH_LIMIT_US (5 * G_USEC_PER_SEC)
#define LOOK_EVERY_US (50 * 1000)
#define SAMPLED_LEAST_KIB (128u << 10)
#define PAGE_KIB (SEVMIG_SIM_PAGE_BYTES / 1024)
#define MIB_PAGES (1024 / PAGE_KIB)
/* What is assumed where nothing is known. */
#define ASSUMED_DIRTY_SHARE (1.0 / 256) /* of memory, a second */
#define ASSUMED_SET_SHARE (1.0 / 8)
#define SET_OF_DIRTIED 2 /* a working set is at least that many times what a second dirties */

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

/* --- Remembered --- */

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
take_record(Preflight *self, const Migration *migration, Origin origin)
{
    double page_us = forecast_page_us(migration->service_us, migration->pages, migration->commands,
                                      migration->submissions);
    if (page_us > 0 && !is_known(self, INPUT_PAGE_US, origin))
        set_input(self, INPUT_PAGE_US, page_us, origin);
    if (origin == ORIGIN_DOMAIN && migration->dirty_pages_per_s > 0 &&
        !is_known(self, INPUT_DIRTY_PAGES_PER_S, origin))
        set_input(self, INPUT_DIRTY_PAGES_PER_S, unthrottled(self, migration), origin);
}

/* sevmigd has answered before; what it cannot tell now is assumed. */
static void
remember(Cli *cli, Preflight *self, const char *which, Origin origin)
{
    g_autoptr(GPtrArray) list = migration_load_history(cli, which, 1, NULL);
    if (list != NULL && list->len > 0)
        take_record(self, list->pdata[0], origin);
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
    };
    for (int i = 0; i < INPUT_COUNT; i++) {
        if (inputs[i].origin == ORIGIN_ASSUMED)
            set_input(self, (InputKind)i, assumed[i], ORIGIN_ASSUMED);
    }
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
    measure_load(self);
    remember(cli, self, self->uuid, ORIGIN_DOMAIN);
    remember(cli, self, "", ORIGIN_HOST);
    assume(self);
}
