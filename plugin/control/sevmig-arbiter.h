/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmig-arbiter.h - which of a host's outgoing migrations may send, and how much at a time
 *
 * The firmware of a host is one serial queue, first come first served. Migrations that send side by
 * side each take as many times longer as there are of them, their guests dirty memory meanwhile,
 * and all of it is encrypted again. So they take turns. As pure as the controller
 * (sevmig-control.h): told of all migrations at each tick, the arbiter answers with a word for
 * each.
 *
 * Order. Later passes are never interrupted. Migrations in their first pass come in the order of
 *   1. the priority of their policies, the highest first;
 *   2. deadlines: as many as can be kept are kept; where not all can, the longest gives way;
 *   3. the least work left first, which makes the mean time to the end the shortest. What one that
 *      is sending has sent is dirtied again while it waits: it gives way to one with less work than
 *      it has left less what it has sent, and to any with less than half of what it has left. One
 *      that is being set up comes last: nobody knows its work, and it has nothing to send yet.
 *
 * Admission. In this order they send as long as the firmware has time left. A migration needs of it
 * what was measured: time served over time that it did not wait. One that is held up elsewhere (a
 * slow link, a destination whose firmware is busy with incoming guests) leaves time for the next.
 * The first in the order always sends.
 *
 * No starvation. Whatever its priority and deadline, a migration that arrives later than
 * SEVMIG_ARBITER_PATIENCE times the work that migration i had when it arrived (at least
 * SEVMIG_ARBITER_PATIENCE_LEAST_US) never goes before i. And one that does not come to an end in
 * its later passes has the firmware for itself for as long as its first pass took (at least
 * SEVMIG_ARBITER_GRACE_LEAST_US); from then on the next sends beside it. So i is held at most while
 * those that were there, or came within its patience, send their first passes and as long again, or
 * one least grace each.
 *
 * What a QEMU says of itself may be a lie. A migration makes no progress if its first pass has been
 * sending for longer than a grace, or has sent more than twice the pages that it first had left.
 * Such a migration goes on sending, but no longer holds others. The grace is twice the time that
 * its pages were first expected to take, at least SEVMIG_ARBITER_GRACE_LEAST_US; pages count up to
 * its memory as libvirt has it (most_pages), and a page costs at most SEVMIG_ARBITER_PAGE_MOST_US,
 * whatever the QEMUs of this host say. The same grace bounds the later passes. So whatever the
 * others' QEMUs say, i is held, in all, no longer than two graces for each that may go before it.
 *
 * Others at the firmware. A launch of a new guest, or an incoming migration, waits for one
 * submission of each migration that sends: together they hold the firmware no longer than
 * SEVMIG_ARBITER_QUEUE_US, up to the least that one command takes. What such others take of the
 * firmware shows as the wait of a migration that sends alone, and makes all times longer.
 */
#ifndef SEVMIG_ARBITER_H
#define SEVMIG_ARBITER_H

#include "sevmig-control.h"

#define SEVMIG_ARBITER_MOST 64 /* migrations; any beyond send without a turn */
#define SEVMIG_ARBITER_PATIENCE 1
#define SEVMIG_ARBITER_PATIENCE_LEAST_US 10000000
#define SEVMIG_ARBITER_GRACE_LEAST_US 10000000
#define SEVMIG_ARBITER_QUEUE_US 20000
#define SEVMIG_ARBITER_PAGE_MOST_US 5016 /* eight times the prior; slow firmware needs 3 ms */

/* One migration, as its newest sample shows it. */
typedef struct {
    uint64_t id;         /* its own for as long as it lasts; not 0 */
    int64_t arrived_us;  /* when it began; monotonic, as all times here */
    int64_t deadline_us; /* 0: none */
    uint32_t priority;   /* of its policy: the higher goes first */
    SevmigPhase phase;   /* as its controller sees it */
    int64_t sampled_us;  /* when the sample was taken; 0: there is none yet */
    uint64_t most_pages; /* of its memory, by another word than its QEMU's; 0: not known */
    uint64_t pages_left; /* to be sent in this pass */
    uint64_t pages;      /* sent; this and the next two are cumulative */
    uint64_t service_us; /* inside the firmware */
    uint64_t wait_us;    /* queued behind others */
    uint64_t
        most_hold_us; /* of the firmware by one submission, as its policy says; 0: it does not */
} SevmigArbiterGuest;

typedef struct {
    bool sends;
    bool changed;          /* `sends` or `most_hold_us` is not what the last word said */
    uint64_t most_hold_us; /* of the firmware by one submission; 0: its policy alone says */
    unsigned place;        /* in the order, from 1 */
    uint64_t begins_us;    /* from now until it is its turn; 0: it sends */
    uint64_t ends_us;      /* from now until what it has left is sent, by what is known */
    char reason[SEVMIG_REASON_SIZE]; /* a sentence for a person, NUL-terminated */
} SevmigArbiterWord;

/* Opaque in use; the caller provides sevmig_arbiter_size() bytes, aligned as for uint64_t. */
typedef struct SevmigArbiter SevmigArbiter;

size_t sevmig_arbiter_size(void);
SevmigArbiter *sevmig_arbiter_init(void *memory);

/*
 * A word for each of `n` migrations, into `words[n]`. One that is no longer among them has ended.
 * Nothing is remembered of more than SEVMIG_ARBITER_MOST, and ids must differ; time that goes back
 * and counters that fall change no estimate.
 */
void sevmig_arbiter_decide(SevmigArbiter *self, int64_t now_us, const SevmigArbiterGuest *guests,
                           size_t n, SevmigArbiterWord *words);

/* Work to be put in order, in microseconds of the firmware's time. */
typedef struct {
    double work_us;    /* until it is done */
    double rank_us;    /* what it is compared by; work_us, or less for one that should go on */
    double due_us;     /* from now; INFINITY: none */
    double arrived_us; /* on any one clock */
    double fence_us;   /* what arrived after it must not go before; INFINITY: anything may */
    uint32_t priority;
} SevmigArbiterJob;

/* The order alone: `order` gets n indices, the first to be done first; n <= SEVMIG_ARBITER_MOST. */
void sevmig_arbiter_order(const SevmigArbiterJob *jobs, size_t n, size_t *order);

#endif
