/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * peers.c - what others do, by the constants of their own sources
 *
 * Each is a step function like ours, polled at its own period. Where a peer lets its user say how
 * long a downtime may be, it is told the policy's goal; schedules that are fixed stay as they ship.
 * QEMU's auto-converge is in the plant, as it is in QEMU.
 */
#include "sevmig-simulation.h"

#include <math.h>
#include <string.h>

#define S 1e6
#define GIB_PAGES ((double)(1 << 30) / SEVMIG_SIM_PAGE_BYTES)
#define ENDLESS_US 2000000000

/* What most of them keep. */
typedef struct {
    double begun_us, goal_us;
    double limit_us; /* downtime told last */
    guint step;      /* of a schedule */
    guint64 first_iteration, last_iteration;
    double last_remaining;
    guint grown;
    /* stall detection */
    double best, best_at_us;
    double stalled_us, patience_us, tolerance; /* 0: not stalled */
    double bandwidth, bandwidth_bytes, at_us, tuned_us;
} Peer;

static gsize
size(void)
{
    return sizeof(Peer);
}

static void
init(gpointer state)
{
}

static void
say(SevmigActions *actions, SevmigActionType type, double value)
{
    actions->list[actions->n++] = (SevmigAction){.type = type, .value = (gint64)value};
}

static void
say_limit(Peer *self, SevmigActions *actions, double us)
{
    if (us == self->limit_us)
        return;
    self->limit_us = us;
    say(actions, SEVMIG_ACTION_DOWNTIME_LIMIT_US, fmin(us, ENDLESS_US));
}

/* What is common: at the start the limit is told, afterwards a sample is wanted every period.
 * TRUE when there is one. */
static gboolean
begin(Peer *self, const SevmigEvent *event, SevmigActions *actions, double limit_us, double period)
{
    actions->n = 0;
    actions->wake_us = 0;
    if (event->type == SEVMIG_EVENT_START) {
        self->begun_us = (double)event->now_us;
        self->goal_us =
            event->params->downtime_goal_us > 0 ? (double)event->params->downtime_goal_us : 300000;
        say_limit(self, actions, limit_us > 0 ? limit_us : self->goal_us);
    }
    if (event->type != SEVMIG_EVENT_SWITCHOVER && event->type != SEVMIG_EVENT_COMPLETED &&
        period > 0)
        actions->wake_us = event->now_us + (gint64)period;
    return event->type == SEVMIG_EVENT_SAMPLE;
}

static double
gib_of(const SevmigSample *sample)
{
    return (double)(sample->private_pages + sample->shared_pages) / GIB_PAGES;
}

static double
elapsed_us(const Peer *self, const SevmigEvent *event)
{
    return (double)event->now_us - self->begun_us;
}

/* A limit, and nothing more: virsh migrate-setmaxdowntime. */
static SevmigPhase
step_none(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    begin(state, event, actions, 0, 0);
    return SEVMIG_PHASE_BULK;
}

/* OpenStack Nova: the limit rises in steps; a timeout aborts. */
#define NOVA_PERIOD_US (0.5 * S)
#define NOVA_STEPS 10
#define NOVA_DELAY_US (75 * S)    /* a step, a GiB */
#define NOVA_TIMEOUT_US (800 * S) /* a GiB */
#define NOVA_GIB_LEAST 2

static SevmigPhase
step_nova(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    Peer *self = state;
    double base = self->goal_us / NOVA_STEPS, gib, i;

    if (!begin(self, event, actions,
               event->params ? event->params->downtime_goal_us / NOVA_STEPS : 0, NOVA_PERIOD_US))
        return SEVMIG_PHASE_BULK;
    gib = fmax(NOVA_GIB_LEAST, gib_of(event->sample));
    i = fmin(NOVA_STEPS, floor(elapsed_us(self, event) / (NOVA_DELAY_US * gib)));
    say_limit(self, actions, base + i * (self->goal_us - base) / NOVA_STEPS);
    if (elapsed_us(self, event) > NOVA_TIMEOUT_US * gib)
        say(actions, SEVMIG_ACTION_ABORT, 0);
    return SEVMIG_PHASE_BULK;
}

/* oVirt's VDSM: a schedule by iterations; limit_ms 0 aborts. */
#define VDSM_PERIOD_US (10 * S)
#define VDSM_FIRST_US 100000

typedef struct {
    int iterations;
    guint limit_ms;
} VdsmItem;

static const VdsmItem vdsm_minimal[] = {{1, 150}, {2, 200}, {3, 300}, {4, 400}, {6, 500}, {-1, 0}};
static const VdsmItem vdsm_suspend[] = {{1, 150}, {2, 200},   {3, 300}, {4, 400},
                                        {6, 500}, {-1, 5000}, {-1, 0}};

static SevmigPhase
step_vdsm(Peer *self, const SevmigEvent *event, SevmigActions *actions, const VdsmItem *schedule)
{
    guint64 iteration;

    if (!begin(self, event, actions, VDSM_FIRST_US, VDSM_PERIOD_US))
        return SEVMIG_PHASE_BULK;
    iteration = event->sample->sync_count;
    if (self->first_iteration == 0)
        self->first_iteration = self->last_iteration = iteration;
    if (iteration == self->last_iteration)
        return SEVMIG_PHASE_BULK;
    self->last_iteration = iteration;
    if (schedule[self->step].iterations >= (int)(iteration - self->first_iteration))
        return SEVMIG_PHASE_BULK;
    if (schedule[self->step].limit_ms == 0)
        say(actions, SEVMIG_ACTION_ABORT, 0);
    else
        say_limit(self, actions, schedule[self->step++].limit_ms * 1e3);
    return SEVMIG_PHASE_BULK;
}

static SevmigPhase
step_vdsm_minimal(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    return step_vdsm(state, event, actions, vdsm_minimal);
}

static SevmigPhase
step_vdsm_suspend(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    return step_vdsm(state, event, actions, vdsm_suspend);
}

/* KubeVirt without the newer detectors: no progress or too long, and it gives up. */
#define KUBEVIRT_PERIOD_US (1 * S)
#define KUBEVIRT_PROGRESS_US (150 * S)
#define KUBEVIRT_COMPLETION_US (150 * S) /* a GiB */
#define KUBEVIRT_LIMIT_US 300000         /* libvirt's default: it sets none */

static SevmigPhase
step_kubevirt(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    Peer *self = state;
    double now = (double)event->now_us;

    if (!begin(self, event, actions, KUBEVIRT_LIMIT_US, KUBEVIRT_PERIOD_US))
        return SEVMIG_PHASE_BULK;
    if (self->best <= 0 || (double)event->sample->remaining_pages < self->best) {
        self->best = (double)event->sample->remaining_pages;
        self->best_at_us = now;
    }
    if (now - self->best_at_us > KUBEVIRT_PROGRESS_US ||
        elapsed_us(self, event) > KUBEVIRT_COMPLETION_US * gib_of(event->sample))
        say(actions, SEVMIG_ACTION_ABORT, 0);
    return SEVMIG_PHASE_BULK;
}

/* KubeVirt's stall detector with downtime tuning. */
#define TUNING_FIRST_US 150000
#define TUNING_STEPS 7
#define TUNING_PERIOD_US (10 * S)
#define TUNING_ITERATION 3
#define STALL_US (40 * S)
#define STALL_SHARE 0.96
#define STALL_LOCAL 1.04
#define STALL_STOP 1.5 /* times the longest downtime */
#define STALL_EWMA 0.4

static void
learn_bandwidth(Peer *self, const SevmigEvent *event)
{
    double bytes = (double)event->sample->bytes, now = (double)event->now_us;

    if (self->at_us > 0 && now > self->at_us)
        self->bandwidth +=
            STALL_EWMA * ((bytes - self->bandwidth_bytes) / (now - self->at_us) - self->bandwidth);
    self->bandwidth_bytes = bytes;
    self->at_us = now;
}

/* Stalled: at a local minimum it stops the guest, or gives up. */
static void
end_stall(Peer *self, const SevmigEvent *event, SevmigActions *actions)
{
    double remaining = (double)event->sample->remaining_pages, now = (double)event->now_us;
    double stop_us = remaining * SEVMIG_SIM_PAGE_BYTES / fmax(1e-3, self->bandwidth);

    if (remaining > self->tolerance * self->best) {
        if (now - self->stalled_us > self->patience_us) {
            self->stalled_us = now;
            self->patience_us /= 2;
            self->tolerance *= STALL_LOCAL;
        }
        return;
    }
    if (stop_us <= STALL_STOP * self->goal_us)
        say(actions, SEVMIG_ACTION_PAUSE, 1);
    else
        say(actions, SEVMIG_ACTION_ABORT, 0);
}

static SevmigPhase
step_kubevirt_stall(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    Peer *self = state;
    double now = (double)event->now_us, remaining;

    if (!begin(self, event, actions, TUNING_FIRST_US, KUBEVIRT_PERIOD_US))
        return SEVMIG_PHASE_BULK;
    learn_bandwidth(self, event);
    if (event->sample->sync_count > TUNING_ITERATION && now - self->tuned_us >= TUNING_PERIOD_US) {
        self->tuned_us = now;
        say_limit(self, actions,
                  fmin(fmax(self->goal_us, TUNING_FIRST_US),
                       self->limit_us + (self->goal_us - TUNING_FIRST_US) / TUNING_STEPS));
    }
    remaining = (double)event->sample->remaining_pages;
    if (self->best <= 0 || remaining < STALL_SHARE * self->best) {
        self->best = remaining;
        self->best_at_us = now;
        self->stalled_us = 0;
    } else if (self->stalled_us > 0) {
        end_stall(self, event, actions);
    } else if (now - self->best_at_us > STALL_US) {
        self->stalled_us = now;
        self->patience_us = STALL_US;
        self->tolerance = STALL_LOCAL;
    }
    return SEVMIG_PHASE_BULK;
}

/* Proxmox VE: more than five polls at which more was left than before double the limit. */
#define PROXMOX_PERIOD_US (1 * S)
#define PROXMOX_FIRST_US 100000
#define PROXMOX_GROWN 5

static SevmigPhase
step_proxmox(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    Peer *self = state;
    double remaining;

    if (!begin(self, event, actions, PROXMOX_FIRST_US, PROXMOX_PERIOD_US))
        return SEVMIG_PHASE_BULK;
    remaining = (double)event->sample->remaining_pages;
    if (self->last_remaining > 0 && remaining > self->last_remaining &&
        ++self->grown > PROXMOX_GROWN) {
        self->grown = 0;
        say_limit(self, actions, 2 * self->limit_us);
    }
    self->last_remaining = remaining;
    return SEVMIG_PHASE_BULK;
}

/* Cloud Hypervisor's proof of concept: throttle by iterations, in windows of 100 ms. */
#define CLOUD_PERIOD_US 100000
#define CLOUD_ITERATION 4
#define CLOUD_EVERY 2
#define CLOUD_STEP 10
#define CLOUD_MOST 99
#define CLOUD_WINDOW_US 100000
#define CLOUD_TIMEOUT_US (3600 * S)

static SevmigPhase
step_cloud(gpointer state, const SevmigEvent *event, SevmigActions *actions)
{
    Peer *self = state;
    guint percent;

    if (!begin(self, event, actions, 0, CLOUD_PERIOD_US))
        return SEVMIG_PHASE_BULK;
    if (elapsed_us(self, event) > CLOUD_TIMEOUT_US)
        say(actions, SEVMIG_ACTION_ABORT, 0);
    if (event->sample->pass < CLOUD_ITERATION)
        return SEVMIG_PHASE_BULK;
    percent = (guint)MIN(CLOUD_MOST,
                         ((event->sample->pass - CLOUD_ITERATION) / CLOUD_EVERY + 1) * CLOUD_STEP);
    if (percent == self->step)
        return SEVMIG_PHASE_BULK;
    self->step = percent;
    say(actions, SEVMIG_ACTION_SLICE_US, CLOUD_WINDOW_US * (100 - percent) / 100.0);
    say(actions, SEVMIG_ACTION_THROTTLE, percent);
    return SEVMIG_PHASE_BULK;
}

const SevmigSimController sevmig_sim_peers[] = {
    {"none", size, init, step_none, NULL, FALSE},
    {"auto-converge", size, init, step_none, NULL, TRUE},
    {"nova", size, init, step_nova, NULL, FALSE},
    {"ovirt-minimal", size, init, step_vdsm_minimal, NULL, TRUE},
    {"ovirt-suspend", size, init, step_vdsm_suspend, NULL, TRUE},
    {"kubevirt", size, init, step_kubevirt, NULL, FALSE},
    {"kubevirt-stall", size, init, step_kubevirt_stall, NULL, FALSE},
    {"proxmox", size, init, step_proxmox, NULL, TRUE},
    {"cloud-hypervisor", size, init, step_cloud, NULL, FALSE},
    {NULL, NULL, NULL, NULL, NULL, FALSE},
};

const SevmigSimController *
sevmig_sim_controller_find(const char *name)
{
    if (strcmp(name, sevmig_sim_steered.name) == 0)
        return &sevmig_sim_steered;
    for (const SevmigSimController *peer = sevmig_sim_peers; peer->name; peer++) {
        if (strcmp(name, peer->name) == 0)
            return peer;
    }
    return NULL;
}
