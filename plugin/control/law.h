/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * law.h - the controller's state, and the rules that decide on it
 *
 * Each rule has a file: outlook (what to expect), batch, throttle, switchover, stall (and the
 * deadline). step.c feeds them. A rule states what it wants of a knob and why.
 */
#ifndef SEVMIG_LAW_H
#define SEVMIG_LAW_H

#include "dirty.h"
#include "firmware.h"
#include "intake.h"
#include "knobs.h"
#include "lull.h"
#include "phase.h"
#include "predict.h"
#include "vcpus.h"

/* The guest is stopped for this share of the goal, as far as we can tell: where in QEMU's turn the
 * stop begins, and in which of the throttle's stops it finds a vCPU, is chance. */
#define SEVMIG_AIM 0.88

/* A second of migration weighs this against a second of one vCPU's life, where no duration goal
 * says what time is worth. */
#define SEVMIG_TIME_WORTH 0.1

/* A bitmap sync takes so long for each GiB of memory, once before QEMU stops the guest and once
 * more when it has: an upper bound for what the kernel does. With emulated guests of 12 GiB it is
 * below 0.1 ms a GiB. */
#define SEVMIG_SYNC_US_PER_GIB 200

/* What is expected, from the newest sample. */
typedef struct {
    bool known; /* there is memory to send and a sample of it */
    SevmigPlant plant;
    double bulk_page_us;  /* wall cost of a page now */
    double sync_pages;    /* remaining at the newest sync */
    double pending_pages; /* remaining, plus what was dirtied since the newest sync */
    double pass_us;       /* to send what remains */
    double ahead_pages;   /* the same when the actions of this step will be in force */
    double most_pages;    /* stop-and-copy may have to send them without missing the goal */
    double downtime_us;   /* if the guest stopped as soon as it can be told to */
    double dirtied_us;    /* the part of it that nobody has counted yet */
    double regrowth;      /* of it, for each microsecond that the stop is put off */
    double dirty_pages_per_s;
} SevmigOutlook;

/* What the guest dirtied since the pass began, over all syncs in it. */
typedef struct {
    bool begun;
    bool over; /* the newest sync ended a pass */
    double pages;
    double wall_us;
    double guest_us;
    double exposed_start; /* share of memory that was clean then */
    uint64_t first_sent;  /* the counter then */
    uint64_t first_remaining;
    double since_sync_us; /* guest CPU time since the newest sync ... */
    int64_t until_us;     /* ... up to this time */
    double sync_guest_us; /* the same of the newest sync's interval */
} SevmigPassDirt;

/* QEMU goes over memory from one end to the other. What it has found behind itself meanwhile comes
 * when it begins again, and lies scattered. */
typedef struct {
    int64_t since_us; /* 0: no sample yet */
    bool first;       /* nothing was sent before */
    uint64_t sent;    /* the counter at its beginning */
    uint64_t pages;   /* that were before it then */
} SevmigSweep;

typedef struct {
    unsigned most_percent;    /* ceiling, stun and slowdown allow this */
    unsigned least_percent;   /* reaches the goal; most + 1: none does */
    unsigned useless_percent; /* up to here no effect was measured */
    double free_us;           /* wall time and pages of the newest sync without throttle */
    double free_pages;
    double last_rate;         /* pages a microsecond at the newest sync with throttle */
    unsigned no_effect;       /* syncs in a row without the expected effect */
    uint64_t useless_goal_us; /* for this downtime goal; 0: for any */
    int64_t useless_until_us;
    unsigned distrust_percent; /* added to the model's least: its promises were not kept */
    unsigned raised;           /* so often */
    int64_t lowered_at_us;
    bool leaks;              /* vCPUs run on in short slices */
    bool waits;              /* for a lull of the guest, ... */
    unsigned waited;         /* ... so often, ... */
    int64_t waited_since_us; /* ... the last time in the busy spell that began then */
    bool reaches;            /* some admissible throttle reaches the goal */
    bool due;                /* decide at this step although there was no sync */
    unsigned wanted_percent; /* of all vCPUs, or of those that write */
    unsigned max_percent;    /* the highest seen in force, whoever set it */
} SevmigThrottle;

typedef struct {
    double score;      /* of syncs that give no hope */
    double best_pages; /* least remainder at a sync so far */
    int64_t counted_at_us;
    unsigned relaxed; /* steps */
    unsigned refused; /* by QEMU, to stop the guest for this goal */
    bool exhausted;   /* nothing more can be done about the stall */
    bool deadline_told;
    bool goal_told;
} SevmigStall;

typedef enum {
    SEVMIG_ENDING_NOT,
    SEVMIG_ENDING_ABORTED, /* the migration was asked to be cancelled */
    SEVMIG_ENDING_QEMU,    /* QEMU has begun stop-and-copy */
} SevmigEnding;

/* Why there is no pause, where the policy asks for one. */
typedef enum {
    SEVMIG_PAUSE_ALLOWED,
    SEVMIG_PAUSE_UNKNOWN, /* to this QEMU */
    SEVMIG_PAUSE_STILL,
    SEVMIG_PAUSE_TOO_LONG,
} SevmigPauseRefusal;

typedef struct {
    bool on;
    int64_t since_us;
    double spent_us;            /* in pauses that were ended */
    SevmigPauseRefusal refusal; /* said last */
    uint64_t bytes;             /* sent, when they were seen to grow */
    int64_t moved_us;           /* which was then; 0: no sample yet */
    int64_t said_us;            /* that nothing moves; 0: it does */
} SevmigPause;

struct SevmigControl {
    SevmigPhase phase;
    SevmigControlParams params;
    bool started;
    int64_t start_us;
    int64_t now_us;
    unsigned missed;     /* ticks in a row */
    unsigned afterwards; /* events after the end */
    bool hurried;        /* the next sample was wanted soon */
    uint64_t goal_us;    /* downtime, after any relaxation */
    uint64_t relax_max_us;
    unsigned counting; /* samples since a sync was asked for before the guest stops; 0: none is */
    int64_t could_stop_us; /* since then the goal would be met; 0: it would not */
    unsigned let_go_ticks; /* samples since QEMU may switch over */
    int64_t batch_changed_us;
    bool turn_waits;       /* what the arbiter said last */
    bool held;             /* by the arbiter; until the word to send has arrived, too, ... */
    int64_t turn_us;       /* ... which is some time after it came */
    uint64_t turn_hold_us; /* of the firmware by one submission; 0: no limit */
    uint64_t downtime_us;  /* measured; 0 before the end */
    SevmigEnding ending;
    SevmigIntake intake;
    SevmigFirmware firmware;
    SevmigVcpus vcpus;
    SevmigLull lull;
    SevmigDirty dirty;
    SevmigKnobs knobs;
    SevmigOutlook outlook;
    SevmigPassDirt dirt;
    SevmigSweep sweep;
    SevmigThrottle throttle;
    SevmigStall stall;
    SevmigPause pause;
};

/* False when that part is to be left out. */
bool sevmig_law_has(const SevmigControl *self, SevmigPart part);

/* True when goal `a` was given and ranks before `b`. */
bool sevmig_law_outranks(const SevmigControl *self, SevmigGoal a, SevmigGoal b);

/* How long one submission may hold the firmware, by policy and arbiter; 0: neither says. */
uint64_t sevmig_law_hold_us(const SevmigControl *self);

/* Held no longer, whatever the arbiter says. */
void sevmig_law_send(SevmigControl *self, const char *why);

/* Microseconds until the duration goal is missed; INFINITY without one. */
double sevmig_law_time_left_us(const SevmigControl *self);

/* What the guest did since the newest sync. First of all that a sample brings. */
void sevmig_outlook_count(SevmigControl *self);
void sevmig_outlook_update(SevmigControl *self);
/* Until the guest runs on the other side, as it goes; 0: not known. */
double sevmig_outlook_eta_us(const SevmigControl *self);
/* What a bitmap sync of this guest takes. */
double sevmig_outlook_sync_us(const SevmigControl *self);
/* The guest has stopped: how far it came since the newest sample is known. */
void sevmig_outlook_stopped(SevmigControl *self);
/* Feeds the newest sync, if there was one, to the dirty curve. */
void sevmig_outlook_learn_sync(SevmigControl *self, SevmigActions *actions);

void sevmig_batch_decide(SevmigControl *self);

void sevmig_throttle_decide(SevmigControl *self);
/* A sync under throttle: did it have the effect it should? */
void sevmig_throttle_observe(SevmigControl *self, double guest_us, double wall_us, double pages,
                             SevmigActions *actions);
void sevmig_throttle_want(SevmigControl *self, unsigned percent, const char *why);
/* Brings the throttle in force within limits that have changed. */
void sevmig_throttle_limit(SevmigControl *self);

void sevmig_switchover_decide(SevmigControl *self, SevmigActions *actions);
void sevmig_sync_interval_decide(SevmigControl *self);

void sevmig_stall_decide(SevmigControl *self, SevmigActions *actions);
void sevmig_deadline_decide(SevmigControl *self, SevmigActions *actions);
/* Cancels. Once only. */
void sevmig_ending_abort(SevmigControl *self, SevmigActions *actions, const char *why);

/* True: the guest is paused. False: it may not be, and the record says why. */
bool sevmig_pause_begin(SevmigControl *self, SevmigActions *actions, const char *why);
void sevmig_pause_end(SevmigControl *self, const char *why);
/* With each sample: does data move, and may a pause be kept? */
void sevmig_pause_watch(SevmigControl *self, SevmigActions *actions);
/* Nothing has left the host for some seconds. */
bool sevmig_pause_still(const SevmigControl *self);

/* NULL, or what is wrong with the state: checked after each step. */
const char *sevmig_control_invariant(const SevmigControl *self);

#endif
