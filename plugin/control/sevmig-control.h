/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-control.h - the migration controller: a pure function of what it has been told
 *
 * One controller steers one outgoing migration. Time arrives in events, effects leave as actions,
 * and each step says when it wants to be woken. No clock, I/O, logging, allocation or globals.
 *
 *   detected -> bulk -> converging <-> stalled
 *                 |         |            |
 *                 +---------+------------+--> switchover -> done
 *                           ^----------------------'  (let go, but QEMU found too much left)
 *   any phase but the final ones -> done | failed | cancelled | released
 */
#ifndef SEVMIG_CONTROL_H
#define SEVMIG_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEVMIG_MAX_VCPUS 512
#define SEVMIG_RUN_BUCKETS                                                                         \
    16 /* bucket i: dirty runs of 2^i .. 2^(i+1)-1 pages; the last is open                         \
        */
#define SEVMIG_MAX_ACTIONS 16
#define SEVMIG_REASON_SIZE 160

typedef enum {
    SEVMIG_PHASE_DETECTED,   /* migration seen, no sample yet */
    SEVMIG_PHASE_BULK,       /* first pass: every page is sent once */
    SEVMIG_PHASE_CONVERGING, /* later passes: only what was dirtied */
    SEVMIG_PHASE_STALLED,    /* no admissible throttle makes the remainder shrink */
    SEVMIG_PHASE_SWITCHOVER, /* let go: QEMU stops the guest as soon as the limit allows */
    SEVMIG_PHASE_DONE,
    SEVMIG_PHASE_FAILED,
    SEVMIG_PHASE_CANCELLED,
    SEVMIG_PHASE_RELEASED, /* control given up; the migration may go on */
    SEVMIG_PHASE_COUNT
} SevmigPhase;

typedef enum {
    SEVMIG_GOAL_DOWNTIME,
    SEVMIG_GOAL_DURATION,
    SEVMIG_GOAL_SLOWDOWN,
    SEVMIG_GOAL_COUNT
} SevmigGoal;

typedef enum {
    SEVMIG_ON_STALL_CONTINUE, /* keep trying */
    SEVMIG_ON_STALL_RELAX,    /* let the downtime goal grow, in recorded steps, to its maximum */
    SEVMIG_ON_STALL_PAUSE,    /* pause the guest and finish, within the greatest downtime */
    SEVMIG_ON_STALL_ABORT,    /* cancel the migration */
} SevmigOnStall;

typedef enum {
    SEVMIG_ON_DEADLINE_CONTINUE,
    SEVMIG_ON_DEADLINE_PAUSE,
    SEVMIG_ON_DEADLINE_ABORT,
} SevmigOnDeadline;

/* Who moves the throttle. */
typedef enum {
    SEVMIG_THROTTLE_STEERED, /* the controller */
    SEVMIG_THROTTLE_QEMU,    /* left to QEMU's auto-converge; the controller sends none */
} SevmigThrottleMode;

/* Parts of the law that can be left out, to see what each is worth. Not a policy knob: sevmigd
 * never does. */
typedef enum {
    SEVMIG_PART_BATCH,  /* batches: one page a submission */
    SEVMIG_PART_GAP,    /* clean pages between dirty runs are encrypted where that is cheaper */
    SEVMIG_PART_PRICE,  /* scattered pages cost more than contiguous ones */
    SEVMIG_PART_JUMP,   /* the throttle jumps to where it works: in steps of 10 % */
    SEVMIG_PART_WAIT,   /* a pass without throttle where that is cheaper */
    SEVMIG_PART_LULL,   /* lulls of a guest that works in bursts are waited for */
    SEVMIG_PART_EFFECT, /* a throttle without effect is let go */
    SEVMIG_PART_VCPU,   /* only the vCPUs that write are throttled */
    SEVMIG_PART_SYNCS,  /* bitmap syncs within long passes */
    SEVMIG_PART_STOP,   /* the stop is held until it is short enough: left to QEMU's own limit */
    SEVMIG_PART_HURRY,  /* what was decided is told at once: with the next tick */
    SEVMIG_PART_COUNT
} SevmigPart;

/* What a policy asks of the controller; 0 means "not given" where no other default is named. */
typedef struct {
    uint64_t downtime_goal_us;      /* longest acceptable downtime */
    uint64_t downtime_max_us;       /* how far `relax` may let it grow; 0: the goal itself */
    uint64_t duration_goal_us;      /* finish within this */
    uint32_t slowdown_goal_percent; /* most guest time lost, averaged over the migration */
    SevmigGoal goal_order[SEVMIG_GOAL_COUNT]; /* most important first */
    SevmigThrottleMode throttle_mode;
    uint32_t throttle_ceiling_percent; /* 0..99; 0: never throttle */
    uint64_t stun_us;                  /* longest single stop of a vCPU */
    bool throttle_per_vcpu;
    uint32_t batch_pages;   /* 0: the controller chooses; else fixed */
    uint64_t batch_hold_us; /* longest one submission may occupy the firmware */
    int32_t gap_pages;      /* -1: the controller chooses; else fixed */
    SevmigOnStall on_stall;
    SevmigOnDeadline on_deadline;
    bool observe_only; /* decide and record, act on nothing */
    /* What QEMU measures of a switchover besides memory (stop, device state, finish), as learnt
     * from this host's past migrations; 0: the built-in prior. Not a policy knob. */
    uint64_t fixed_downtime_us;
    uint32_t without_parts; /* bit SevmigPart: left out */
} SevmigControlParams;

/* No goal given, throttle steered up to 95 % and 100 ms stuns, batch chosen within a 5 ms hold,
 * on-stall relax without room, on-deadline continue. What the policy `default` starts from. */
void sevmig_control_params_default(SevmigControlParams *params);

typedef struct {
    uint32_t cpu_index;
    uint32_t throttle_percent;
    uint64_t cpu_us;       /* CPU time of the vCPU thread, cumulative */
    uint64_t throttled_us; /* time kept from running, cumulative */
    uint64_t dirtied_pages;
    bool has_dirtied_pages;
} SevmigVcpuSample;

/* One answer of x-query-sev-migration or x-sev-migration-tune; members as in that contract. */
typedef struct {
    /* limits */
    uint32_t max_command_pages;
    uint32_t max_batch_pages;
    /* tune: what is in force */
    uint32_t batch_pages;
    uint32_t batch_gap_pages;
    uint32_t vcpu_throttle_percent;
    uint64_t throttle_slice_us;
    uint64_t sync_interval_us;
    uint64_t lease_remaining_us;
    bool can_pause; /* this QEMU knows how */
    bool paused;
    /* ram */
    uint32_t page_size_bytes;
    uint64_t private_pages;
    uint64_t shared_pages;
    uint64_t remaining_pages;
    uint64_t pass; /* 1 is the bulk pass */
    uint64_t pass_elapsed_us;
    uint64_t sync_count;
    uint64_t sync_dirtied_pages;
    uint64_t sync_interval_measured_us;
    uint64_t sync_guest_cpu_us;
    /* send, cumulative */
    uint64_t submissions;
    uint64_t commands;
    uint64_t pages;
    uint64_t gap_pages;
    uint64_t bytes;
    uint64_t service_us;
    uint64_t wait_us;
    uint64_t channel_us;
    uint64_t contiguity_splits;
    uint64_t run_histogram[SEVMIG_RUN_BUCKETS];
    /* switchover */
    uint64_t expected_downtime_us; /* QEMU's own estimate; 0 when unknown */
    bool has_switchover;
    uint64_t switchover_stop_us;
    uint64_t switchover_ram_us;
    uint64_t switchover_device_us;
    uint64_t switchover_finish_us;
    uint64_t switchover_downtime_us;
    /* vcpus; owned by the caller, valid during the step only */
    const SevmigVcpuSample *vcpus;
    size_t n_vcpus; /* <= SEVMIG_MAX_VCPUS */
} SevmigSample;

/* What the host's arbiter says (sevmig-arbiter.h). */
typedef struct {
    bool sends;            /* else it is held: nothing is sent, and the guest runs unthrottled */
    uint64_t most_hold_us; /* of the firmware by one submission; 0: the policy alone says */
    char reason[SEVMIG_REASON_SIZE]; /* NUL-terminated */
} SevmigTurn;

typedef enum {
    SEVMIG_EVENT_START,         /* the first event: parameters in force */
    SEVMIG_EVENT_SAMPLE,        /* statistics arrived */
    SEVMIG_EVENT_SAMPLE_MISSED, /* a tick without statistics (late, failed, refused) */
    SEVMIG_EVENT_LEASE_EXPIRED, /* QEMU put its values back to the defaults by itself */
    SEVMIG_EVENT_POLICY,        /* other parameters from now on */
    SEVMIG_EVENT_TURN,          /* another word of the arbiter; until the first it sends */
    SEVMIG_EVENT_SWITCHOVER,    /* QEMU entered pre-switchover or device */
    SEVMIG_EVENT_COMPLETED,
    SEVMIG_EVENT_FAILED,
    SEVMIG_EVENT_CANCELLED,
    SEVMIG_EVENT_RELEASE, /* stop steering */
    SEVMIG_EVENT_COUNT
} SevmigEventType;

typedef struct {
    SevmigEventType type;
    int64_t now_us;                    /* monotonic; never goes back within one controller */
    const SevmigControlParams *params; /* START, POLICY */
    const SevmigSample *sample;        /* SAMPLE; COMPLETED may carry the last one */
    const SevmigTurn *turn;            /* TURN */
} SevmigEvent;

typedef enum {
    SEVMIG_ACTION_BATCH_PAGES,      /* value: pages */
    SEVMIG_ACTION_GAP_PAGES,        /* value: pages */
    SEVMIG_ACTION_THROTTLE,         /* value: percent, all vCPUs */
    SEVMIG_ACTION_VCPU_THROTTLE,    /* value: percent, of cpu_index */
    SEVMIG_ACTION_SLICE_US,         /* value: microseconds */
    SEVMIG_ACTION_SYNC_INTERVAL_US, /* value: microseconds */
    SEVMIG_ACTION_SWITCHOVER,       /* value: SevmigSwitchover */
    SEVMIG_ACTION_DOWNTIME_LIMIT_US,
    SEVMIG_ACTION_HOLD_SENDING, /* value: 0 or 1 */
    SEVMIG_ACTION_PAUSE,        /* value: 0 or 1; no vCPU runs, under the lease */
    SEVMIG_ACTION_ABORT,        /* cancel the migration */
    SEVMIG_ACTION_NOTE,         /* nothing to do; the reason is worth recording */
    SEVMIG_ACTION_COUNT
} SevmigActionType;

typedef enum {
    SEVMIG_SWITCHOVER_AUTO,
    SEVMIG_SWITCHOVER_HOLD,
    SEVMIG_SWITCHOVER_NOW,
} SevmigSwitchover;

typedef struct {
    SevmigActionType type;
    uint32_t cpu_index;
    int64_t value;
    char reason[SEVMIG_REASON_SIZE]; /* a sentence for a person, NUL-terminated */
} SevmigAction;

typedef struct {
    size_t n;
    SevmigAction list[SEVMIG_MAX_ACTIONS];
    int64_t wake_us; /* when the next event is wanted; 0: not before something happens */
} SevmigActions;

/* What a person watching wants to see. Rates are of the newest samples. */
typedef struct {
    SevmigPhase phase;
    uint64_t pass;
    uint64_t remaining_pages;
    double dirty_pages_per_s;
    double encrypt_pages_per_s;
    uint32_t batch_pages;
    uint32_t throttle_percent;
    uint32_t max_throttle_percent;
    uint64_t predicted_downtime_us; /* if it were told to stop now; once it has stopped, of that
                                     * stop; 0: unknown */
    uint64_t downtime_goal_us;      /* in force, after any relaxation */
    uint64_t eta_us;                /* from now to the end; 0: unknown */
    uint64_t guest_lost_us; /* mean over vCPUs of throttled time, plus downtime once known */
    uint64_t still_us;      /* nothing has left the host for so long; 0: data moves */
    uint64_t paused_us;     /* the guest has been paused for so long; 0: it is not */
} SevmigView;

/* Opaque in use; sized here so that the caller can embed it and nothing is allocated. */
typedef struct SevmigControl SevmigControl;

/* Bytes the caller provides for one controller, and its alignment (that of uint64_t). */
size_t sevmig_control_size(void);

/* Prepares zeroed or used memory of sevmig_control_size() bytes; the phase is DETECTED. */
SevmigControl *sevmig_control_init(void *memory);

/*
 * Takes one event, fills `actions` (never NULL; overwritten). Returns the phase afterwards.
 * Impossible events (time that goes back, counters that fall, a sample after the end) are
 * tolerated: they change no estimate, and a NOTE says so.
 */
SevmigPhase sevmig_control_step(SevmigControl *self, const SevmigEvent *event,
                                SevmigActions *actions);

void sevmig_control_view(const SevmigControl *self, SevmigView *view);

/*
 * Names as they stand in traces, policies and on the bus; never NULL ("?" for a value out of
 * range).
 */
const char *sevmig_phase_name(SevmigPhase phase);                /* "bulk" */
const char *sevmig_event_name(SevmigEventType type);             /* "sample-missed" */
const char *sevmig_action_name(SevmigActionType type);           /* "vcpu-throttle" */
const char *sevmig_switchover_name(SevmigSwitchover value);      /* "hold" */
const char *sevmig_goal_name(SevmigGoal goal);                   /* "downtime" */
const char *sevmig_on_stall_name(SevmigOnStall value);           /* "relax" */
const char *sevmig_on_deadline_name(SevmigOnDeadline value);     /* "pause" */
const char *sevmig_part_name(SevmigPart value);                  /* "batch" */
const char *sevmig_throttle_mode_name(SevmigThrottleMode value); /* "steered", "qemu" */

#endif
