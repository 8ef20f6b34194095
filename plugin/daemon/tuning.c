/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tuning.h"

#define US_PER_MS 1000
#define DEFAULT_SLICE_US 10000u
#define SHORTEST_LEASE_MS 100u

#define BIT(type) (1u << (type))
G_STATIC_ASSERT(SEVMIG_ACTION_COUNT <= 32);

/* The two enumerations are the same list; put_switchover() relies on it. */
G_STATIC_ASSERT((int)SEVMIG_SWITCHOVER_AUTO == (int)QMPC_SEV_SWITCHOVER_AUTO);
G_STATIC_ASSERT((int)SEVMIG_SWITCHOVER_HOLD == (int)QMPC_SEV_SWITCHOVER_HOLD);
G_STATIC_ASSERT((int)SEVMIG_SWITCHOVER_NOW == (int)QMPC_SEV_SWITCHOVER_NOW);

static void
put_batch(QmpcTune *tune, uint32_t value)
{
    tune->batch_pages = value;
}

static void
put_gap(QmpcTune *tune, uint32_t value)
{
    tune->batch_gap_pages = value;
}

static void
put_throttle(QmpcTune *tune, uint32_t value)
{
    tune->vcpu_throttle_percent = value;
}

static void
put_vcpu_throttles(QmpcTune *tune, uint32_t value)
{
    /* sevmig_tuning_get() hands over the list. */
}

static void
put_slice(QmpcTune *tune, uint32_t value)
{
    tune->throttle_slice_us = value;
}

/* 0 is "between passes only"; between that and 50 ms the contract has nothing. */
static void
put_sync_interval(QmpcTune *tune, uint32_t value)
{
    tune->sync_interval_ms = value == 0 ? 0 : MAX(value / US_PER_MS, 50u);
}

static void
put_switchover(QmpcTune *tune, uint32_t value)
{
    tune->switchover = (QmpcSevSwitchover)value;
}

static void
put_downtime_limit(QmpcTune *tune, uint32_t value)
{
    tune->downtime_limit_us = value;
}

static void
put_hold(QmpcTune *tune, uint32_t value)
{
    tune->hold_sending = value != 0;
}

static void
put_pause(QmpcTune *tune, uint32_t value)
{
    tune->pause = value != 0;
}

/* Ranges are those of the contract; an action without a row is not QEMU's to carry out. */
static const struct {
    unsigned flag;
    int64_t min;
    int64_t max;
    void (*put)(QmpcTune *tune, uint32_t value);
} rows[SEVMIG_ACTION_COUNT] = {
    [SEVMIG_ACTION_BATCH_PAGES] = {QMPC_TUNE_BATCH_PAGES, 1, G_MAXUINT32, put_batch},
    [SEVMIG_ACTION_GAP_PAGES] = {QMPC_TUNE_BATCH_GAP_PAGES, 0, 16, put_gap},
    [SEVMIG_ACTION_THROTTLE] = {QMPC_TUNE_VCPU_THROTTLE, 0, 99, put_throttle},
    [SEVMIG_ACTION_VCPU_THROTTLE] = {QMPC_TUNE_VCPU_THROTTLES, 0, 99, put_vcpu_throttles},
    [SEVMIG_ACTION_SLICE_US] = {QMPC_TUNE_THROTTLE_SLICE, 200, 100000, put_slice},
    [SEVMIG_ACTION_SYNC_INTERVAL_US] = {QMPC_TUNE_SYNC_INTERVAL, 0, 60000000, put_sync_interval},
    [SEVMIG_ACTION_SWITCHOVER] = {QMPC_TUNE_SWITCHOVER, SEVMIG_SWITCHOVER_AUTO,
                                  SEVMIG_SWITCHOVER_NOW, put_switchover},
    [SEVMIG_ACTION_DOWNTIME_LIMIT_US] = {QMPC_TUNE_DOWNTIME_LIMIT, 1000, 2000000000,
                                         put_downtime_limit},
    [SEVMIG_ACTION_HOLD_SENDING] = {QMPC_TUNE_HOLD_SENDING, 0, 1, put_hold},
    [SEVMIG_ACTION_PAUSE] = {QMPC_TUNE_PAUSE, 0, 1, put_pause},
};

static void
vcpu_throttle_set(SevmigTuning *self, uint32_t cpu_index, uint32_t percent)
{
    gsize i;

    for (i = 0; i < self->n_vcpus; i++) {
        if (self->vcpus[i].cpu_index == cpu_index)
            break;
    }
    if (i == SEVMIG_MAX_VCPUS)
        return;
    self->n_vcpus = MAX(self->n_vcpus, i + 1);
    self->vcpus[i] = (QmpcSevVcpuThrottle){.cpu_index = cpu_index, .percent = percent};
}

gboolean
sevmig_tuning_add(SevmigTuning *self, const SevmigAction *action)
{
    SevmigActionType type = action->type;
    uint32_t value;

    if ((unsigned)type >= G_N_ELEMENTS(rows) || rows[type].put == NULL)
        return FALSE;
    value = (uint32_t)CLAMP(action->value, rows[type].min, rows[type].max);
    self->values[type] = value;
    self->present |= BIT(type);
    if (type == SEVMIG_ACTION_VCPU_THROTTLE) {
        vcpu_throttle_set(self, action->cpu_index, value);
    } else if (type == SEVMIG_ACTION_THROTTLE && self->n_vcpus > 0) {
        /* A value for all vCPUs is meant for all of them: it ends the overrides. */
        self->n_vcpus = 0;
        self->present |= BIT(SEVMIG_ACTION_VCPU_THROTTLE);
    }
    return TRUE;
}

QmpcTune
sevmig_tuning_get(const SevmigTuning *self)
{
    QmpcTune tune = {.vcpu_throttles = self->vcpus, .n_vcpu_throttles = self->n_vcpus};

    for (guint type = 0; type < G_N_ELEMENTS(rows); type++) {
        if (!(self->present & BIT(type)))
            continue;
        rows[type].put(&tune, self->values[type]);
        tune.present |= rows[type].flag;
    }
    if (self->lease_ms > 0) {
        tune.lease_ms = self->lease_ms;
        tune.present |= QMPC_TUNE_LEASE;
    }
    return tune;
}

void
sevmig_tuning_clear(SevmigTuning *self)
{
    self->present = 0;
}

void
sevmig_tuning_put_back(SevmigTuning *self, const SevmigTuning *failed)
{
    /* The list of overrides is always the whole one, so the newer has all that the older had. */
    for (guint type = 0; type < G_N_ELEMENTS(rows); type++) {
        if (!(self->present & BIT(type)))
            self->values[type] = failed->values[type];
    }
    self->present |= failed->present;
}

void
sevmig_tuning_set_defaults(SevmigTuning *self, uint32_t max_command_pages, gboolean can_pause)
{
    *self = (SevmigTuning){.lease_ms = SHORTEST_LEASE_MS};
    self->values[SEVMIG_ACTION_BATCH_PAGES] = max_command_pages;
    self->values[SEVMIG_ACTION_SLICE_US] = DEFAULT_SLICE_US;
    self->values[SEVMIG_ACTION_SWITCHOVER] = SEVMIG_SWITCHOVER_AUTO;
    self->present = BIT(SEVMIG_ACTION_GAP_PAGES) | BIT(SEVMIG_ACTION_THROTTLE) |
                    BIT(SEVMIG_ACTION_VCPU_THROTTLE) | BIT(SEVMIG_ACTION_SLICE_US) |
                    BIT(SEVMIG_ACTION_SYNC_INTERVAL_US) | BIT(SEVMIG_ACTION_SWITCHOVER) |
                    BIT(SEVMIG_ACTION_HOLD_SENDING);
    if (max_command_pages > 0)
        self->present |= BIT(SEVMIG_ACTION_BATCH_PAGES);
    if (can_pause)
        self->present |= BIT(SEVMIG_ACTION_PAUSE);
}
