/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arbiter.c - from what was measured of each migration to a word for each
 *
 *     learn        what each takes of the firmware, and what a page costs it
 *     line up      those in later passes, then the others in their order
 *     admit        until the firmware is full
 *     say          to each what holds for it, and why
 */
#include "sevmig-arbiter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PAGE_PRIOR_US 627    /* of the firmware, where nothing was measured: four pages a command */
#define PAGE_LEAST_US 20     /* a software firmware that is run at 32 times the speed */
#define SMOOTH_US 500000     /* a pass that ends and the next that begins are one stream */
#define LEARN_LEAST_US 50000 /* below, one submission more or less would change the figure */
#define PAGES_ENOUGH 2048    /* before what a migration's own pages cost is believed alone */
#define SETTLE_US 500000     /* from the word to send until what is measured says something */
#define SILENT_US 5000000    /* without a sample: the guest's switchover hangs */
#define FULL 0.88            /* of the firmware: the next one is let send below ... */
#define OVERFULL 0.97        /* ... and held again above */
#define WRITTEN_AGAIN 0.3    /* of its work, which nobody knows yet: see job_of() */
#define GIVES_WAY 0.5 /* see the header: the least share of its work that it is compared by */
#define BESIDE 0.25   /* of a submission, for those that only fill gaps */
#define GRACE 2     /* times what was expected of it, in time and in pages: others' load included */
#define FAR_US 1e15 /* thirty years: no figure that is told or cast is larger */

typedef struct {
    uint64_t id; /* 0: free */
    bool seen;   /* at this tick */
    bool told;
    bool sends;
    bool late;
    uint64_t most_hold_us; /* told */
    int64_t since_us;      /* of `sends` */
    int64_t late_us;       /* when the later passes began */
    int64_t first_us;      /* when it first sent */
    int64_t fence_us;
    int64_t sent_us;   /* how long it was let send, before its later passes */
    double grace_us;   /* ... and may be, before others need no longer wait for it */
    double most_pages; /* likewise, what it may have sent by then */
    double share;      /* of the firmware, were it alone there */
    double page_us;    /* 0: unknown */
    double priced;     /* pages that it was learnt from */
    int64_t from_us;   /* what follows was measured from here on */
    uint64_t pages, service_us, wait_us;
} Slot;

struct SevmigArbiter {
    int64_t now_us;
    double foreign; /* share of the firmware that others than our migrations take */
    Slot slots[SEVMIG_ARBITER_MOST];
};

/* The migrations of one tick, in their order. */
typedef struct {
    const SevmigArbiterGuest *guests[SEVMIG_ARBITER_MOST];
    Slot *slots[SEVMIG_ARBITER_MOST];
    SevmigArbiterWord *words[SEVMIG_ARBITER_MOST];
    double work_us[SEVMIG_ARBITER_MOST];
    bool by_deadline[SEVMIG_ARBITER_MOST]; /* one with less work stands behind it */
    size_t n;
    size_t n_late;  /* the first so many are in their later passes */
    double late_us; /* their work */
    bool yields;    /* one of them has a right to the firmware before the others */
    size_t senders;
} Line;

size_t
sevmig_arbiter_size(void)
{
    return sizeof(SevmigArbiter);
}

SevmigArbiter *
sevmig_arbiter_init(void *memory)
{
    memset(memory, 0, sizeof(SevmigArbiter));
    return memory;
}

/*
 * What was measured
 */

static Slot *
find_slot(SevmigArbiter *self, uint64_t id)
{
    for (size_t i = 0; i < SEVMIG_ARBITER_MOST; i++) {
        if (self->slots[i].id == id)
            return &self->slots[i];
    }
    return NULL;
}

static void
count_from(Slot *slot, const SevmigArbiterGuest *guest)
{
    slot->from_us = guest->sampled_us;
    slot->pages = guest->pages;
    slot->service_us = guest->service_us;
    slot->wait_us = guest->wait_us;
}

/* What has ended makes place. */
static void
forget_others(SevmigArbiter *self)
{
    for (size_t i = 0; i < SEVMIG_ARBITER_MOST; i++) {
        if (!self->slots[i].seen)
            self->slots[i] = (Slot){0};
        self->slots[i].seen = false;
    }
}

static void
learn(SevmigArbiter *self, Slot *slot, const SevmigArbiterGuest *guest, bool alone)
{
    double wall_us = (double)(guest->sampled_us - slot->from_us), served_us, wait_us, weight;

    if (guest->sampled_us == 0 || (slot->from_us != 0 && wall_us < LEARN_LEAST_US))
        return;
    if (slot->from_us == 0 || guest->pages < slot->pages || guest->service_us < slot->service_us ||
        guest->wait_us < slot->wait_us) {
        count_from(slot, guest);
        return;
    }
    served_us = (double)(guest->service_us - slot->service_us);
    wait_us = fmin(wall_us, (double)(guest->wait_us - slot->wait_us));
    weight = fmin(1, wall_us / SMOOTH_US);
    if (guest->pages > slot->pages && served_us > 0) {
        double page_us = served_us / (double)(guest->pages - slot->pages);

        slot->page_us += (slot->page_us > 0 ? weight : 1) * (page_us - slot->page_us);
        slot->priced += (double)(guest->pages - slot->pages);
    }
    if (slot->told && slot->sends && slot->from_us >= slot->since_us) {
        double share = fmin(1, served_us / fmax(1, wall_us - wait_us));

        slot->share += weight * (share - slot->share);
        if (alone)
            self->foreign += weight * (fmin(0.9, wait_us / wall_us) - self->foreign);
    }
    count_from(slot, guest);
}

/* What a page costs on this host. No migration has more say than another that sent enough, nor may
 * its price be one that no firmware has. */
static double
usual_page_us(const SevmigArbiter *self)
{
    double sum = 0, weights = 0;

    for (size_t i = 0; i < SEVMIG_ARBITER_MOST; i++) {
        const Slot *slot = &self->slots[i];
        double weight = fmin(slot->priced, PAGES_ENOUGH);

        if (slot->id == 0 || weight <= 0)
            continue;
        sum += weight * fmin(fmax(slot->page_us, PAGE_LEAST_US), SEVMIG_ARBITER_PAGE_MOST_US);
        weights += weight;
    }
    return weights > 0 ? sum / weights : PAGE_PRIOR_US;
}

static uint64_t
pages_left(const SevmigArbiterGuest *guest)
{
    if (guest->most_pages > 0 && guest->pages_left > guest->most_pages)
        return guest->most_pages;
    return guest->pages_left;
}

static double
time_us(const SevmigArbiter *self, const Slot *slot, uint64_t pages)
{
    double own = fmin(1, slot->priced / PAGES_ENOUGH);
    double page_us = own * slot->page_us + (1 - own) * usual_page_us(self);

    return (double)pages * page_us / (1 - self->foreign);
}

static double
work_us(const SevmigArbiter *self, const Slot *slot, const SevmigArbiterGuest *guest)
{
    return time_us(self, slot, pages_left(guest));
}

/* While it is set up there are samples, and no pages yet. */
static bool
is_work_known(const SevmigArbiterGuest *guest)
{
    return guest->sampled_us != 0 && guest->phase != SEVMIG_PHASE_DETECTED;
}

static bool
is_late(const SevmigArbiterGuest *guest)
{
    return guest->phase == SEVMIG_PHASE_CONVERGING || guest->phase == SEVMIG_PHASE_STALLED ||
           guest->phase == SEVMIG_PHASE_SWITCHOVER;
}

/* Has been at it for longer than others need wait for it. */
static bool
overstays(const SevmigArbiter *self, const Slot *slot)
{
    double first_us = (double)(slot->late_us - slot->first_us);

    if (!slot->late)
        return (double)slot->sent_us > slot->grace_us || (double)slot->pages > slot->most_pages;
    return (double)(self->now_us - slot->late_us) >
           fmin(slot->grace_us, fmax(first_us, SEVMIG_ARBITER_GRACE_LEAST_US));
}

/* Once, when its work is first known: how long it goes before what comes later, and how long others
 * wait for it. What others wait for is no part of what any QEMU says of its own waits. */
static void
bound(SevmigArbiter *self, Slot *slot, const SevmigArbiterGuest *guest)
{
    double pages = (double)pages_left(guest);
    double patience_us = fmax(SEVMIG_ARBITER_PATIENCE * time_us(self, slot, pages_left(guest)),
                              SEVMIG_ARBITER_PATIENCE_LEAST_US);

    slot->fence_us = guest->arrived_us + (int64_t)fmin(patience_us, FAR_US);
    slot->grace_us = fmax(slot->grace_us, GRACE * pages * usual_page_us(self));
    slot->most_pages = (double)guest->pages + GRACE * pages + PAGES_ENOUGH;
}

static Slot *
enter(SevmigArbiter *self, const SevmigArbiterGuest *guest)
{
    Slot *slot = guest->id != 0 ? find_slot(self, guest->id) : NULL;

    if (slot == NULL && guest->id != 0) {
        slot = find_slot(self, 0);
        if (slot != NULL)
            *slot = (Slot){.id = guest->id,
                           .share = 1,
                           .grace_us = SEVMIG_ARBITER_GRACE_LEAST_US,
                           .most_pages = INFINITY};
    }
    if (slot == NULL || slot->seen) /* no place, or the same one twice */
        return NULL;
    slot->seen = true;
    if (slot->fence_us == 0 && is_work_known(guest))
        bound(self, slot, guest);
    if (is_late(guest) && !slot->late) {
        slot->late = true;
        slot->late_us = self->now_us;
    }
    return slot;
}

/*
 * The order
 */

static void
put(Line *line, const SevmigArbiterGuest *guest, Slot *slot, SevmigArbiterWord *word, double work)
{
    line->guests[line->n] = guest;
    line->slots[line->n] = slot;
    line->words[line->n] = word;
    line->work_us[line->n] = work;
    line->n++;
}

/* What it is compared by: what it has sent would be dirtied again while it waits. */
static double
rank_us(const SevmigArbiter *self, const Slot *slot, const SevmigArbiterGuest *guest, double work)
{
    if (!is_work_known(guest))
        return INFINITY;
    if (!slot->told || !slot->sends)
        return work;
    return fmax(GIVES_WAY * work, work - time_us(self, slot, guest->pages));
}

static SevmigArbiterJob
job_of(const SevmigArbiter *self, const Line *line, size_t at, double late_us)
{
    const SevmigArbiterGuest *guest = line->guests[at];
    const Slot *slot = line->slots[at];
    double work = line->work_us[at];
    double due_us =
        guest->deadline_us != 0 ? (double)(guest->deadline_us - self->now_us) - late_us : INFINITY;
    double fence_us = slot->fence_us != 0 ? (double)slot->fence_us : INFINITY;

    return (SevmigArbiterJob){
        .work_us = work,
        .rank_us = rank_us(self, slot, guest, work),
        /* One that is missed whatever happens need not disturb the others. What is written in the
         * meantime, by this guest and by those before it, is sent too and no part of any work yet:
         * in simulation a third and more of it (tests/simulation/test-fleet.c prints both). */
        .due_us = due_us >= work ? due_us / (1 + WRITTEN_AGAIN) : INFINITY,
        .arrived_us = (double)guest->arrived_us,
        .fence_us = fence_us,
        .priority = guest->priority,
    };
}

/* Those of `in` from `first` on, in their order. */
static void
put_in_order(const SevmigArbiter *self, const Line *in, Line *line)
{
    SevmigArbiterJob jobs[SEVMIG_ARBITER_MOST];
    size_t order[SEVMIG_ARBITER_MOST];
    double least_us = INFINITY;

    for (size_t i = 0; i < in->n; i++)
        jobs[i] = job_of(self, in, i, line->late_us);
    sevmig_arbiter_order(jobs, in->n, order);
    for (size_t i = 0; i < in->n; i++) {
        size_t at = order[i];

        put(line, in->guests[at], in->slots[at], in->words[at], in->work_us[at]);
    }
    for (size_t i = line->n; i-- > line->n_late;) {
        line->by_deadline[i] = line->guests[i]->deadline_us != 0 && line->work_us[i] > least_us;
        least_us = fmin(least_us, line->work_us[i]);
    }
}

static void
line_up(SevmigArbiter *self, const SevmigArbiterGuest *guests, size_t n, SevmigArbiterWord *words,
        Line *line)
{
    Line first = {0};

    for (size_t i = 0; i < n; i++) {
        Slot *slot = enter(self, &guests[i]);

        words[i] = (SevmigArbiterWord){.sends = true};
        if (slot == NULL)
            continue;
        put(slot->late ? line : &first, &guests[i], slot, &words[i],
            work_us(self, slot, &guests[i]));
    }
    line->n_late = line->n;
    for (size_t i = 0; i < line->n; i++) {
        if (overstays(self, line->slots[i]))
            continue;
        line->late_us += line->work_us[i];
        line->yields = true;
    }
    put_in_order(self, &first, line);
}

/*
 * Admission
 */

/* What others must leave to it. */
static double
share_of(const SevmigArbiter *self, const Slot *slot, const SevmigArbiterGuest *guest)
{
    if (overstays(self, slot))
        return 0;
    if (guest->sampled_us != 0 && self->now_us - guest->sampled_us > SILENT_US)
        return 0;
    if (!slot->told || !slot->sends || self->now_us - slot->since_us < SETTLE_US)
        return 1;
    /* In its stop-and-copy nobody asks it, and all of the firmware is its downtime. */
    if (guest->phase == SEVMIG_PHASE_SWITCHOVER)
        return 1;
    return slot->share;
}

static void
admit(const SevmigArbiter *self, Line *line)
{
    double taken = 0;

    line->senders = 0;
    for (size_t i = 0; i < line->n; i++) {
        const Slot *slot = line->slots[i];
        bool goes_on = slot->told && slot->sends;
        SevmigArbiterWord *word = line->words[i];

        word->sends = i < line->n_late || i == 0 || taken < (goes_on ? OVERFULL : FULL);
        if (word->sends) {
            taken += share_of(self, slot, line->guests[i]);
            line->senders++;
        }
    }
}

/* The firmware serves those that send in turn: what each may hold of it is what the others wait. */
static uint64_t
most_hold_us(const Line *line, size_t at)
{
    uint64_t each_us = SEVMIG_ARBITER_QUEUE_US / (line->senders > 0 ? line->senders : 1);
    uint64_t policy_us = line->guests[at]->most_hold_us;
    uint64_t own_us = policy_us > 0 && policy_us < each_us ? policy_us : each_us;

    if (at >= line->n_late && line->yields)
        own_us = (uint64_t)(BESIDE * (double)own_us);
    return own_us == policy_us ? 0 : own_us;
}

/*
 * Words
 */

static void
explain_sender(const Line *line, size_t at, SevmigArbiterWord *word)
{
    const SevmigArbiterGuest *guest = line->guests[at];
    int seconds = (int)fmin(1e9, line->work_us[at] / 1e6);
    size_t first = line->n - line->n_late;

    if (at < line->n_late)
        snprintf(word->reason, sizeof(word->reason), "sends: later passes are not interrupted");
    else if (line->n == 1)
        snprintf(word->reason, sizeof(word->reason), "sends: no other migration leaves this host");
    else if (at > 0)
        snprintf(word->reason, sizeof(word->reason),
                 "sends beside %zu before it: they leave the firmware time", at);
    else if (line->by_deadline[at])
        snprintf(word->reason, sizeof(word->reason),
                 "sends: its deadline comes first, %d s of work left", seconds);
    else
        snprintf(word->reason, sizeof(word->reason),
                 "sends: first of %zu, priority %u, %d s of work left", first, guest->priority,
                 seconds);
}

static void
explain_held(const Line *line, size_t at, SevmigArbiterWord *word)
{
    int before_s = (int)fmin(1e9, (double)word->begins_us / 1e6);

    if (!is_work_known(line->guests[at]))
        snprintf(word->reason, sizeof(word->reason),
                 "held: %zu before it with %d s of work, its own is not known yet", at, before_s);
    else
        snprintf(word->reason, sizeof(word->reason),
                 "held: %zu before it with %d s of work, its own is %d s (priority %u)", at,
                 before_s, (int)fmin(1e9, line->work_us[at] / 1e6), line->guests[at]->priority);
}

static void
say(const SevmigArbiter *self, const Line *line, size_t at, double before_us)
{
    SevmigArbiterWord *word = line->words[at];
    Slot *slot = line->slots[at];

    word->place = (unsigned)at + 1;
    word->begins_us = word->sends ? 0 : (uint64_t)fmax(1, fmin(before_us, FAR_US));
    word->ends_us = (uint64_t)fmin(before_us + line->work_us[at], FAR_US);
    word->most_hold_us = word->sends ? most_hold_us(line, at) : slot->most_hold_us;
    word->changed =
        !slot->told || slot->sends != word->sends || slot->most_hold_us != word->most_hold_us;
    if (word->sends)
        explain_sender(line, at, word);
    else
        explain_held(line, at, word);
    if (!slot->told || slot->sends != word->sends)
        slot->since_us = self->now_us;
    if (word->sends && slot->first_us == 0)
        slot->first_us = self->now_us;
    slot->seen = false; /* until the next tick */
    slot->told = true;
    slot->sends = word->sends;
    slot->most_hold_us = word->most_hold_us;
}

static bool
is_alone(const SevmigArbiter *self)
{
    unsigned sending = 0;

    for (size_t i = 0; i < SEVMIG_ARBITER_MOST; i++)
        sending += self->slots[i].told && self->slots[i].sends;
    return sending == 1;
}

static void
pass_time(SevmigArbiter *self, int64_t now_us)
{
    for (size_t i = 0; i < SEVMIG_ARBITER_MOST; i++) {
        Slot *slot = &self->slots[i];

        if (slot->told && slot->sends && !slot->late)
            slot->sent_us += now_us - self->now_us;
    }
    self->now_us = now_us;
}

void
sevmig_arbiter_decide(SevmigArbiter *self, int64_t now_us, const SevmigArbiterGuest *guests,
                      size_t n, SevmigArbiterWord *words)
{
    Line line = {0};
    double before_us = 0;
    bool alone = is_alone(self);

    if (now_us > self->now_us)
        pass_time(self, now_us);
    for (size_t i = 0; i < n; i++) {
        Slot *slot = guests[i].id != 0 ? find_slot(self, guests[i].id) : NULL;

        if (slot == NULL || slot->seen)
            continue;
        learn(self, slot, &guests[i], alone);
        slot->seen = true;
    }
    forget_others(self);
    line_up(self, guests, n, words, &line);
    admit(self, &line);
    for (size_t i = 0; i < line.n; i++) {
        say(self, &line, i, before_us);
        before_us += overstays(self, line.slots[i]) ? 0 : line.work_us[i];
    }
}
