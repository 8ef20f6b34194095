/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-simulation.h - a model of what the controller steers, and what steers it
 *
 * A scenario describes a guest, the firmware, the link, how statistics arrive, and the policy. A
 * run plays one migration of it under one controller: ours, a peer, or none. Seeded: the same
 * scenario gives the same result. Knows the controller by its public header only.
 *
 * Memory is played page by page for small guests and by expectation for large ones (memory.h), so
 * that a run takes milliseconds to a second whatever the size.
 */
#ifndef SEVMIG_SIMULATION_H
#define SEVMIG_SIMULATION_H

#include <glib.h>

#include "sevmig-control.h"

#define SEVMIG_SIM_PAGE_BYTES 4096
#define SEVMIG_SIM_MAX_VCPUS SEVMIG_MAX_VCPUS
#define SEVMIG_SIM_MAX_MIB (16u << 20) /* of memory: 16 TiB, as 2^32 pages */
#define SEVMIG_SIM_MAX_PHASES 4

#define SEVMIG_SIM_ERROR (sevmig_sim_error_quark())
GQuark sevmig_sim_error_quark(void);

typedef enum {
    SEVMIG_SIM_ERROR_IO,
    SEVMIG_SIM_ERROR_SYNTAX,  /* not a key file */
    SEVMIG_SIM_ERROR_UNKNOWN, /* a group or key that means nothing */
    SEVMIG_SIM_ERROR_VALUE,   /* of another type, or out of range */
} SevmigSimError;

/* Which page is written next. */
typedef enum {
    SEVMIG_SIM_UNIFORM,
    SEVMIG_SIM_ZIPF, /* rank r with r^-exponent; ranks lie scattered over the working set */
    SEVMIG_SIM_SCAN, /* one after the other, over and over */
    SEVMIG_SIM_PATTERN_COUNT
} SevmigSimPattern;

/* What sets the writer's speed. */
typedef enum {
    SEVMIG_SIM_BY_CPU,  /* CPU time: throttling slows it from the first percent on */
    SEVMIG_SIM_PACED,   /* wall time, while the CPU time left allows it */
    SEVMIG_SIM_BY_WALL, /* wall time, whatever the vCPUs do: DMA */
    SEVMIG_SIM_PACE_COUNT
} SevmigSimPace;

typedef struct {
    double from_s; /* of the migration; the first phase begins at 0 */
    SevmigSimPattern pattern;
    guint64 first_page;
    guint64 working_set_pages;
    double zipf_exponent;
    double writes_per_s; /* pages: a CPU second (BY_CPU) or a second (others), by all writers */
    SevmigSimPace pace;
    double busy;           /* share of a CPU that each vCPU wants */
    double burst_period_s; /* 0: steady; else it writes for burst_share of each period */
    double burst_share;
} SevmigSimPhase;

/* Numeric bounds on a run; 0 or NAN where not given (each says). */
typedef struct {
    gboolean completes;      /* else it must not complete */
    double most_total_s;     /* 0: none */
    double most_downtime_ms; /* 0: the goal in force at the end */
    double most_goal_ms;     /* 0: the goal asked for */
    double most_lost_s;      /* NAN: none */
    double most_total_share; /* of the run that nobody steers; 0: none */
    guint least_throttle_percent;
    guint most_throttle_percent;
    guint most_turns; /* of the throttle's direction */
} SevmigSimBounds;

typedef struct {
    char name[64];
    /* guest */
    guint64 pages;
    guint vcpus;
    guint writers; /* the first so many vCPUs write */
    gboolean reports_vcpu_dirty;
    guint block_pages; /* written and found dirty together; a power of two */
    double idle_busy;  /* share of a CPU that each vCPU uses beside; it is not caught up */
    double slack_us;   /* a throttled vCPU runs on for so long in every slice */
    SevmigSimPhase phases[SEVMIG_SIM_MAX_PHASES];
    guint n_phases;
    /* firmware: a page alone costs page_us, of which submit_share is fixed, half for the submission
     * and half for the command */
    double page_us;
    double submit_share;
    double extra_us;       /* QEMU's own work on a page */
    double receive_factor; /* the destination's cost of a page, in the source's */
    double contiguity;     /* share of neighbouring pages that are neighbours on the host too */
    guint max_command_pages;
    guint max_batch_pages;
    guint others; /* submissions of other guests that ours finds queued, ... */
    double others_hold_us;
    double others_from_s, others_until_s;
    /* link */
    double link_bytes_per_us; /* 0: never the bottleneck */
    double link_jitter;       /* share */
    /* QEMU and the host */
    gboolean auto_converge;
    double device_us;  /* of a switchover, beside memory: QEMU's own figure */
    double outside_us; /* what a client sees in addition */
    double sync_us_per_gib;
    double notice_us; /* the controller's first look, and with it its ticks, are so late */
    /* how statistics reach the controller */
    double noise;           /* share, of measured times */
    double lost_share;      /* of ticks */
    double late_share;      /* of ticks, by up to five ticks */
    guint miss_every;       /* every n-th tick has no sample; 0: none */
    guint corrupt_every;    /* every n-th sample is impossible; 0: none */
    guint lease_expires_at; /* tick; 0: never */
    SevmigControlParams params;
    double limit_s; /* of model time; a file need not name it */
    guint seed;
    SevmigSimBounds bounds;
} SevmigSimScenario;

/* A 256 MiB guest with one idle vCPU, the published firmware, no disturbance, default policy; the
 * caller sets limit_s. */
void sevmig_sim_scenario_default(SevmigSimScenario *scenario);
/* Reads a key file (keys: the table in scenario.c). FALSE and `error`: not touched. */
gboolean sevmig_sim_scenario_load(const char *path, SevmigSimScenario *scenario, GError **error);
/* The same in parts, for whoever changes more than the file says: read or the default, set, check.
 * Setting takes group, key and value as a file has them; on failure nothing is changed. Checking
 * looks at what no key alone can tell, and sets a limit_s where there is none. */
gboolean sevmig_sim_scenario_read(const char *path, SevmigSimScenario *scenario, GError **error);
gboolean sevmig_sim_scenario_set(SevmigSimScenario *scenario, const char *group, const char *key,
                                 const char *text, GError **error);
gboolean sevmig_sim_scenario_assign(SevmigSimScenario *scenario, const char *assignment,
                                    GError **error); /* "GROUP.KEY=VALUE" */
gboolean sevmig_sim_scenario_check(SevmigSimScenario *scenario, GError **error);
/* Typical guests by name; ends with an entry without one. */
typedef struct {
    const char *name;
    const char *description;
    double working_set_share[2]; /* of memory, for each load */
    const char *assignments[6];  /* ends with NULL */
} SevmigSimWorkload;

extern const SevmigSimWorkload sevmig_sim_workloads[];
const SevmigSimWorkload *sevmig_sim_workload_find(const char *name); /* NULL: none */
/* The default scenario with that load and so much memory; the caller lets it be checked. */
void sevmig_sim_workload_fill(const SevmigSimWorkload *self, guint64 pages,
                              SevmigSimScenario *scenario);
/* A random one, by seed alone. */
void sevmig_sim_scenario_random(guint seed, SevmigSimScenario *scenario);

typedef struct {
    gboolean completed, aborted, paused;
    gboolean given_up; /* it took more CPU time than it was allowed */
    double total_s;
    double first_pass_s;
    double downtime_ms;      /* as a client sees it */
    double qemu_downtime_ms; /* as QEMU reports it */
    double predicted_ms;     /* at the last sample; 0: the controller predicts none */
    double lost_s;           /* mean over the vCPUs of time withheld, and downtime */
    double throttled_s;      /* the former alone */
    guint max_throttle_percent;
    double longest_stun_ms;
    double longest_hold_ms; /* of the firmware by one submission */
    guint batch_pages;      /* in force at the end */
    guint turns;            /* of the throttle's direction */
    double goal_ms;         /* in force at the end */
    double pages, bytes;
    guint steps;
    SevmigPhase phase;
    guint notes;
    guint stalled_steps;
} SevmigSimResult;

/*
 * What steers: the same interface for ours and for the peers. Time and statistics come in events,
 * wishes leave as actions, `wake_us` says when the next sample is wanted.
 */
typedef struct {
    const char *name;
    gsize (*size)(void); /* of its state, given zeroed */
    void (*init)(gpointer state);
    SevmigPhase (*step)(gpointer state, const SevmigEvent *event, SevmigActions *actions);
    void (*view)(gconstpointer state, SevmigView *view); /* NULL: nothing to show */
    gboolean auto_converge;                              /* it turns on QEMU's */
} SevmigSimController;

/* Ours. */
extern const SevmigSimController sevmig_sim_steered;
/* The peers, `none` first; ends with an entry without name. */
extern const SevmigSimController sevmig_sim_peers[];
/* Ours or a peer; NULL: none has that name. */
const SevmigSimController *sevmig_sim_controller_find(const char *name);

typedef void (*SevmigSimObserver)(gpointer data, gconstpointer state, const SevmigEvent *event,
                                  const SevmigActions *actions);

typedef struct {
    const SevmigSimController *controller;
    guint32 without_parts;      /* of our law, see SevmigPart */
    guint batch_pages;          /* until an action sets another; 0: QEMU's default */
    gboolean exact;             /* page by page, whatever the size */
    gboolean grouped;           /* by expectation, whatever the size */
    SevmigSimObserver observer; /* after each step; NULL: none */
    gpointer observer_data;
    GArray *step_ns;    /* of double: NULL, or where each step's duration is added */
    double most_cpu_s;  /* of this thread, then the run is given up; 0: as long as it takes */
} SevmigSimRun;

void sevmig_sim_run(const SevmigSimScenario *scenario, const SevmigSimRun *run,
                    SevmigSimResult *result);

/* Whether it completed within the goals that were given. */
gboolean sevmig_sim_meets_goals(const SevmigControlParams *params, const SevmigSimResult *result);

typedef struct {
    double makespan_s;        /* until the last guest has left */
    double mean_completion_s; /* until one has, on average */
    double lost_s;            /* guest time, all together */
    double busy_s;            /* of the firmware */
    double longest_wait_ms;   /* at the firmware, of whoever would have come at the worst time */
    guint completed;
    guint met; /* their goals */
} SevmigSimFleetResult;

/* Migrations of `n` guests that leave one host together, steered by our controller; the scenarios'
 * firmware is that host's, and `others` are not used. With or without the arbiter. `results` gets
 * one for each. */
void sevmig_sim_fleet_run(const SevmigSimScenario *scenarios, guint n, gboolean arbitrated,
                          SevmigSimResult *results, SevmigSimFleetResult *sum);

/*
 * No order of sending gets them away sooner: every private page is encrypted at least once, by a
 * firmware that does one thing at a time, and costs no less than in the largest submission that its
 * policy allows, in full commands. Not reached, because guests write while they migrate: what they
 * dirty is encrypted again.
 */
double sevmig_sim_fleet_bound_s(const SevmigSimScenario *scenarios, guint n);

/*
 * The bound: the best that someone could do who knows everything about the guest and what it will
 * do. Of all plans that keep the policy's limits and meet the downtime goal it takes the one with
 * the least
 *     guest time lost + SEVMIG_SIM_TIME_WORTH x total time.
 * FALSE when none meets the goal. oracle.c says which plans are tried, and so whose bound it is.
 */
#define SEVMIG_SIM_TIME_WORTH 0.1
gboolean sevmig_sim_oracle(const SevmigSimScenario *scenario, SevmigSimResult *result);

/* NULL, or which bound the result breaks (newly allocated). `unsteered` may be NULL. */
char *sevmig_sim_check(const SevmigSimScenario *scenario, const SevmigSimResult *result,
                       const SevmigSimResult *unsteered);

#endif
