/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arbiter's rules one by one, and what must hold whatever happens. */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "sevmig-arbiter.h"

#define PAGE_US 500
#define TICK_US 100000
#define SECOND_US 1000000
#define GUESTS 80

/* Migrations, and a firmware that serves those that send in equal parts. */
typedef struct {
    gpointer memory;
    SevmigArbiter *arbiter;
    gint64 now_us;
    SevmigArbiterGuest guests[GUESTS];
    SevmigArbiterWord words[GUESTS];
    double most_share[GUESTS]; /* of the firmware; less: held up elsewhere */
    gsize n;
    guint64 next_id;
} Fixture;

static void
set_up(Fixture *f, gconstpointer data)
{
    memset(f, 0, sizeof(*f));
    f->memory = g_malloc(sevmig_arbiter_size());
    memset(f->memory, 0xa5, sevmig_arbiter_size());
    f->arbiter = sevmig_arbiter_init(f->memory);
    f->now_us = 5 * SECOND_US;
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_free(f->memory);
}

static SevmigArbiterGuest *
add(Fixture *f, double work_s)
{
    SevmigArbiterGuest *guest = &f->guests[f->n];

    g_assert_cmpuint(f->n, <, GUESTS);
    f->most_share[f->n] = 1;
    *guest = (SevmigArbiterGuest){
        .id = ++f->next_id,
        .arrived_us = f->now_us,
        .priority = 50,
        .phase = SEVMIG_PHASE_BULK,
        .sampled_us = f->now_us,
        .pages_left = (guint64)(work_s * SECOND_US / PAGE_US),
        .most_hold_us = 5000,
    };
    f->n++;
    return guest;
}

static void
drop(Fixture *f, gsize i)
{
    f->n--;
    f->guests[i] = f->guests[f->n];
    f->most_share[i] = f->most_share[f->n];
    f->words[i] = f->words[f->n];
}

static void
serve(Fixture *f, gsize i, double share)
{
    SevmigArbiterGuest *guest = &f->guests[i];
    guint64 pages = (guint64)(MIN(share, f->most_share[i]) * TICK_US / PAGE_US);

    pages = MIN(pages, guest->pages_left);
    guest->sampled_us = f->now_us;
    guest->pages += pages;
    guest->pages_left -= pages;
    guest->service_us += pages * PAGE_US;
    if (share < f->most_share[i])
        guest->wait_us += (guint64)((1 - share) * TICK_US);
}

static void
decide(Fixture *f)
{
    sevmig_arbiter_decide(f->arbiter, f->now_us, f->guests, f->n, f->words);
}

static void
tick(Fixture *f)
{
    gsize senders = 0;

    f->now_us += TICK_US;
    for (gsize i = 0; i < f->n; i++)
        senders += f->words[i].sends;
    for (gsize i = 0; i < f->n; i++)
        serve(f, i, f->words[i].sends ? 1.0 / (double)senders : 0);
    decide(f);
}

static void
ticks(Fixture *f, guint n)
{
    while (n-- > 0)
        tick(f);
}

static void
test_alone(Fixture *f, gconstpointer data)
{
    decide(f); /* nobody */
    add(f, 10);
    decide(f);
    g_assert_true(f->words[0].sends);
    g_assert_true(f->words[0].changed);
    g_assert_cmpuint(f->words[0].most_hold_us, ==, 0);
    g_assert_cmpuint(f->words[0].begins_us, ==, 0);
    g_assert_nonnull(strstr(f->words[0].reason, "no other"));
    tick(f);
    g_assert_false(f->words[0].changed);
    ticks(f, 10);
    g_assert_cmpuint(f->words[0].ends_us, >, 8 * SECOND_US);
    g_assert_cmpuint(f->words[0].ends_us, <, 10 * SECOND_US);
}

static void
test_shortest(Fixture *f, gconstpointer data)
{
    add(f, 30);
    add(f, 10);
    add(f, 20);
    decide(f);
    g_assert_cmpuint(f->words[1].place, ==, 1);
    g_assert_cmpuint(f->words[2].place, ==, 2);
    g_assert_cmpuint(f->words[0].place, ==, 3);
    g_assert_true(f->words[1].sends);
    g_assert_false(f->words[0].sends);
    g_assert_false(f->words[2].sends);
    g_assert_cmpuint(f->words[2].begins_us, >, 9 * SECOND_US);
    g_assert_cmpuint(f->words[0].begins_us, >, f->words[2].begins_us);
    g_assert_nonnull(strstr(f->words[2].reason, "held: 1 before it"));
    ticks(f, 10);
    drop(f, 1); /* aborted */
    tick(f);
    g_assert_cmpuint(f->n, ==, 2);
    g_assert_true(f->words[1].sends); /* the one of 20 s took its index */
    g_assert_false(f->words[0].sends);
}

static void
test_priority(Fixture *f, gconstpointer data)
{
    add(f, 5);
    add(f, 50)->priority = 51;
    decide(f);
    g_assert_false(f->words[0].sends);
    g_assert_true(f->words[1].sends);
    g_assert_nonnull(strstr(f->words[1].reason, "priority 51"));
}

static void
test_deadline(Fixture *f, gconstpointer data)
{
    add(f, 10);
    add(f, 30)->deadline_us = f->now_us + 80 * SECOND_US; /* can wait, with what is sent again */
    decide(f);
    g_assert_true(f->words[0].sends);
    add(f, 20)->deadline_us = f->now_us + 22 * SECOND_US; /* cannot */
    decide(f);
    ticks(f, 2);
    g_assert_true(f->words[2].sends);
    g_assert_false(f->words[0].sends);
    g_assert_nonnull(strstr(f->words[2].reason, "deadline"));
}

/* One that is missed whatever happens must not cost the others theirs. */
static void
test_deadline_hopeless(Fixture *f, gconstpointer data)
{
    add(f, 10)->deadline_us = f->now_us + 15 * SECOND_US;
    add(f, 40)->deadline_us = f->now_us + 8 * SECOND_US;
    decide(f);
    g_assert_true(f->words[0].sends);
    g_assert_false(f->words[1].sends);
}

static void
test_late(Fixture *f, gconstpointer data)
{
    add(f, 30);
    decide(f);
    ticks(f, 10);
    f->guests[0].phase = SEVMIG_PHASE_CONVERGING;
    add(f, 1)->priority = 100;
    for (guint i = 0; i < 90; i++) {
        f->guests[0].pages_left = 10000;
        tick(f);
        g_assert_true(f->words[0].sends);
        g_assert_false(f->words[1].sends);
    }
    g_assert_nonnull(strstr(f->words[0].reason, "not interrupted"));
    f->guests[0].phase = SEVMIG_PHASE_BULK; /* what it once was said to be holds */
    tick(f);
    g_assert_true(f->words[0].sends);
}

static void
test_overstays(Fixture *f, gconstpointer data)
{
    add(f, 3);
    decide(f);
    ticks(f, 30);
    f->guests[0].phase = SEVMIG_PHASE_STALLED;
    add(f, 5);
    for (guint i = 0; i < 120; i++) {
        f->guests[0].pages_left = 10000;
        tick(f);
        g_assert_true(f->words[0].sends);
        g_assert_cmpint(f->words[1].sends, ==, i > SEVMIG_ARBITER_GRACE_LEAST_US / TICK_US);
    }
    g_assert_cmpuint(f->words[1].most_hold_us, ==, 0); /* as good as the other */
}

static void
test_goes_on(Fixture *f, gconstpointer data)
{
    add(f, 30);
    decide(f);
    ticks(f, 80);
    add(f, 18); /* less than the 22 s that are left, but 8 s would be sent again */
    ticks(f, 2);
    g_assert_true(f->words[0].sends);
    g_assert_false(f->words[1].sends);
    ticks(f, 100);
    add(f, 8); /* all of what was sent would be, and yet it is not worth half of what is left */
    ticks(f, 2);
    g_assert_true(f->words[0].sends);
    add(f, 4);
    ticks(f, 2);
    g_assert_true(f->words[3].sends);
    g_assert_false(f->words[0].sends);
}

/* One that has sent nothing has nothing to lose. */
static void
test_gives_way(Fixture *f, gconstpointer data)
{
    add(f, 20);
    decide(f);
    g_assert_true(f->words[0].sends);
    add(f, 18);
    tick(f);
    g_assert_true(f->words[1].sends);
    g_assert_false(f->words[0].sends);
}

/* There is a sample of one that is set up, and no pages: it is not the one with the least work. */
static void
test_set_up(Fixture *f, gconstpointer data)
{
    add(f, 10);
    decide(f);
    add(f, 0)->phase = SEVMIG_PHASE_DETECTED;
    ticks(f, 5);
    g_assert_true(f->words[0].sends);
    g_assert_cmpuint(f->words[0].place, ==, 1);
    g_assert_cmpuint(f->words[1].place, ==, 2);
    g_assert_nonnull(strstr(f->words[1].reason, "not known yet"));
    f->guests[1].phase = SEVMIG_PHASE_BULK;
    f->guests[1].pages_left = SECOND_US / PAGE_US;
    tick(f);
    g_assert_true(f->words[1].sends);
}

/* What the link or the destination leaves of the firmware is given to the next. */
static void
test_fills(Fixture *f, gconstpointer data)
{
    add(f, 30);
    f->most_share[0] = 0.5;
    add(f, 60);
    add(f, 90);
    decide(f);
    g_assert_false(f->words[1].sends);
    ticks(f, 20);
    g_assert_true(f->words[0].sends);
    g_assert_true(f->words[1].sends);
    g_assert_false(f->words[2].sends);
    g_assert_nonnull(strstr(f->words[1].reason, "beside 1"));
    ticks(f, 20);
    g_assert_true(f->words[1].sends);
    f->guests[0].phase = SEVMIG_PHASE_CONVERGING;
    tick(f);
    g_assert_true(f->words[1].sends);
    g_assert_cmpuint(f->words[1].most_hold_us, ==, 1250);
    g_assert_cmpuint(f->words[0].most_hold_us, ==, 0);
    f->most_share[0] = 1;
    f->guests[0].pages_left = 100000;
    ticks(f, 30);
    g_assert_false(f->words[1].sends);
}

static void
test_silent(Fixture *f, gconstpointer data)
{
    gint64 since_us;

    add(f, 10);
    decide(f);
    ticks(f, 20);
    f->guests[0].phase = SEVMIG_PHASE_SWITCHOVER;
    add(f, 10);
    tick(f);
    for (since_us = f->now_us; f->now_us < since_us + 4 * SECOND_US; f->now_us += TICK_US) {
        decide(f); /* no samples in stop-and-copy */
        g_assert_false(f->words[1].sends);
    }
    f->now_us += 2 * SECOND_US; /* its destination hangs */
    decide(f);
    g_assert_true(f->words[0].sends);
    g_assert_true(f->words[1].sends);
}

static void
test_queue(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 8; i++) {
        add(f, 10)->phase = SEVMIG_PHASE_CONVERGING;
        f->guests[i].most_hold_us = i == 0 ? 1000 : i == 1 ? 0 : 50000;
    }
    decide(f);
    g_assert_cmpuint(f->words[0].most_hold_us, ==, 0); /* its policy is stricter */
    for (guint i = 1; i < 8; i++)
        g_assert_cmpuint(f->words[i].most_hold_us, ==, SEVMIG_ARBITER_QUEUE_US / 8);
}

/* Others at the firmware make everything take longer, and deadlines come nearer. */
static void
test_foreign(Fixture *f, gconstpointer data)
{
    add(f, 10);
    decide(f);
    ticks(f, 10);
    g_assert_cmpuint(f->words[0].ends_us, <, 9.2 * SECOND_US);
    for (guint i = 0; i < 40; i++) {
        f->now_us += TICK_US;
        serve(f, 0, 0.5);
        decide(f);
    }
    g_assert_cmpuint(f->words[0].ends_us, >, 12 * SECOND_US);
    g_assert_cmpuint(f->words[0].ends_us, <, 15 * SECOND_US);
}

static void
test_bad(Fixture *f, gconstpointer data)
{
    add(f, 10);
    add(f, 20);
    decide(f);
    ticks(f, 10);
    f->guests[0].pages = 0; /* counters that fall, time that goes back, an id twice, none at all */
    f->guests[0].service_us = 1;
    f->guests[1].id = f->guests[0].id;
    f->now_us -= SECOND_US;
    decide(f);
    g_assert_true(f->words[0].sends);
    g_assert_true(f->words[1].sends);
    f->guests[1].id = 0;
    decide(f);
    g_assert_true(f->words[0].sends);
    g_assert_true(f->words[1].sends);
}

/*
 * The order against all others
 */

typedef struct {
    guint in_time;
    double mean_us;
} Worth;

static Worth
worth_of(const SevmigArbiterJob *jobs, const gsize *order, gsize n)
{
    Worth worth = {0};
    double end_us = 0;

    for (gsize i = 0; i < n; i++) {
        end_us += jobs[order[i]].work_us;
        worth.mean_us += end_us / (double)n;
        worth.in_time += end_us <= jobs[order[i]].due_us;
    }
    return worth;
}

/* The best mean among the orders that keep every deadline; none does: INFINITY. */
static double
best_mean_us(const SevmigArbiterJob *jobs, gsize *order, gsize at, gsize n)
{
    double best = INFINITY;

    if (at == n) {
        Worth worth = worth_of(jobs, order, n);

        return worth.in_time == n ? worth.mean_us : INFINITY;
    }
    for (gsize i = at; i < n; i++) {
        gsize other = order[at];

        order[at] = order[i];
        order[i] = other;
        best = fmin(best, best_mean_us(jobs, order, at + 1, n));
        order[i] = order[at];
        order[at] = other;
    }
    return best;
}

static void
test_order_best(void)
{
    guint kept = 0;

    for (guint round = 0; round < 500; round++) {
        gsize n = (gsize)g_test_rand_int_range(1, 7), order[8], all[8];
        SevmigArbiterJob jobs[8];
        double best;

        for (gsize i = 0; i < n; i++) {
            double work = g_test_rand_int_range(1, 20);
            gboolean due = g_test_rand_int_range(0, 2);

            all[i] = i;
            jobs[i] = (SevmigArbiterJob){
                .work_us = work,
                .rank_us = work,
                .due_us = due ? work + g_test_rand_int_range(0, 60) : INFINITY,
                .fence_us = INFINITY,
            };
        }
        sevmig_arbiter_order(jobs, n, order);
        best = best_mean_us(jobs, all, 0, n);
        if (isinf(best))
            continue;
        kept++;
        g_assert_cmpuint(worth_of(jobs, order, n).in_time, ==, n);
        g_assert_cmpfloat(worth_of(jobs, order, n).mean_us, <=, best + 1e-6);
    }
    g_assert_cmpuint(kept, >, 100);
}

static void
test_order_fence(void)
{
    for (guint round = 0; round < 500; round++) {
        gsize n = (gsize)g_test_rand_int_range(1, SEVMIG_ARBITER_MOST + 1);
        gsize order[SEVMIG_ARBITER_MOST], at[SEVMIG_ARBITER_MOST];
        SevmigArbiterJob jobs[SEVMIG_ARBITER_MOST];

        for (gsize i = 0; i < n; i++) {
            double arrived = g_test_rand_int_range(0, 100);

            jobs[i] = (SevmigArbiterJob){
                .work_us = g_test_rand_int_range(0, 20),
                .rank_us = g_test_rand_int_range(0, 20),
                .due_us = g_test_rand_int_range(-5, 300),
                .arrived_us = arrived,
                .fence_us = arrived + g_test_rand_int_range(0, 30),
                .priority = (guint)g_test_rand_int_range(0, 3),
            };
            at[i] = n;
        }
        sevmig_arbiter_order(jobs, n, order);
        for (gsize i = 0; i < n; i++) {
            g_assert_cmpuint(order[i], <, n);
            g_assert_cmpuint(at[order[i]], ==, n); /* each once */
            at[order[i]] = i;
        }
        for (gsize i = 0; i < n; i++) {
            for (gsize k = 0; k < n; k++)
                g_assert_false(jobs[k].arrived_us > jobs[i].fence_us && at[k] < at[i]);
        }
    }
}

/*
 * Whatever happens
 */

static void
check_words(const Fixture *f)
{
    gsize senders = 0;
    guint64 held_us = 0;

    for (gsize i = 0; i < f->n; i++) {
        const SevmigArbiterWord *word = &f->words[i];
        guint64 policy_us = f->guests[i].most_hold_us;

        senders += word->sends;
        if (f->guests[i].phase != SEVMIG_PHASE_BULK)
            g_assert_true(word->sends);
        if (word->place == 0) /* beyond those that are remembered */
            g_assert_true(word->sends);
        else
            g_assert_cmpstr(word->reason, !=, "");
        if (word->sends && word->place > 0)
            held_us += word->most_hold_us > 0 ? word->most_hold_us : policy_us;
        g_assert_true(word->sends || word->begins_us > 0 || f->guests[i].pages_left == 0);
    }
    g_assert_cmpuint(held_us, <=, SEVMIG_ARBITER_QUEUE_US);
    g_assert_true(senders > 0 || f->n == 0);
}

static void
happen(Fixture *f)
{
    gsize i = f->n > 0 ? (gsize)g_test_rand_int_range(0, (gint32)f->n) : 0;

    switch (g_test_rand_int_range(0, 12)) {
    case 0:
    case 1:
        if (f->n < GUESTS) {
            SevmigArbiterGuest *guest = add(f, g_test_rand_double_range(0.1, 60));

            guest->priority = (guint32)g_test_rand_int_range(49, 52);
            guest->most_hold_us = (guint64)g_test_rand_int_range(0, 3) * 4000;
            f->words[f->n - 1].sends = TRUE; /* until it is told */
            if (g_test_rand_int_range(0, 2))
                guest->deadline_us = f->now_us + g_test_rand_int_range(0, 200) * SECOND_US;
        }
        break;
    case 2:
        if (f->n > 0)
            drop(f, i);
        break;
    case 3:
        if (f->n > 0)
            f->most_share[i] = g_test_rand_double();
        break;
    default:
        break;
    }
}

static void
test_random(Fixture *f, gconstpointer data)
{
    for (guint t = 0; t < 20000; t++) {
        happen(f);
        tick(f);
        check_words(f);
        for (gsize i = f->n; i-- > 0;) {
            if (f->guests[i].pages_left > 0)
                continue;
            if (f->guests[i].phase != SEVMIG_PHASE_BULK) {
                drop(f, i);
                continue;
            }
            f->guests[i].phase = SEVMIG_PHASE_CONVERGING;
            f->guests[i].pages_left = (guint64)g_test_rand_int_range(1, 4000);
        }
        decide(f);
        check_words(f);
    }
}

/* A stream of short ones of the highest priority, more than the firmware can serve, and a long one
 * of the lowest, within the bound the header names. */
static void
test_no_starvation(Fixture *f, gconstpointer data)
{
    guint64 long_id = 1;
    double most_s = 20 + 20 * 2 + 10; /* patience, what came within it and as long again, its own */
    gint64 from_us = f->now_us;

    add(f, 20)->priority = 0;
    decide(f);
    for (guint t = 0;; t++) {
        gsize at = 0;

        if (t % 10 == 0 && f->n < GUESTS)
            add(f, 1.2)->priority = 100;
        tick(f);
        for (gsize i = f->n; i-- > 0;) {
            if (f->guests[i].pages_left == 0)
                drop(f, i);
        }
        while (at < f->n && f->guests[at].id != long_id)
            at++;
        if (at == f->n)
            break;
        g_assert_cmpint(f->now_us - from_us, <, most_s * SECOND_US);
    }
    g_assert_cmpint(f->now_us - from_us, >, 30 * SECOND_US); /* the others did go first */
}

/*
 * QEMUs that lie
 */

/* In its first pass, a few pages left, and the firmware busy with it: for ever. */
static void
lie_nearly_done(SevmigArbiterGuest *guest, gint64 now_us, guint64 pages)
{
    guest->sampled_us = now_us;
    guest->pages_left = 5;
    guest->service_us += TICK_US;
    guest->pages += pages;
}

static void
test_nearly_done(Fixture *f, gconstpointer data)
{
    guint64 pages = GPOINTER_TO_UINT(data);
    gint64 from_us = f->now_us;

    add(f, 1)->pages_left = 5;
    decide(f);
    f->now_us += SECOND_US;
    add(f, 10);
    for (;;) {
        f->now_us += TICK_US;
        lie_nearly_done(&f->guests[0], f->now_us, pages);
        serve(f, 1, f->words[1].sends ? 0.5 : 0);
        decide(f);
        if (f->words[1].sends)
            break;
        g_assert_cmpint(f->now_us - from_us, <, SEVMIG_ARBITER_GRACE_LEAST_US + SECOND_US);
    }
    g_assert_cmpuint(f->words[1].begins_us, ==, 0);
    g_assert_true(f->words[0].sends); /* it may be honest after all */
}

/* What one says of its price is no price of the others'. */
static void
test_absurd_price(Fixture *f, gconstpointer data)
{
    add(f, 100);
    decide(f);
    for (guint i = 0; i < 20; i++) {
        f->now_us += TICK_US;
        f->guests[0].sampled_us = f->now_us;
        f->guests[0].pages += 1;
        f->guests[0].service_us += G_GUINT64_CONSTANT(1) << 40;
        decide(f);
    }
    add(f, 10);
    decide(f);
    g_assert_cmpuint(f->words[1].place, ==, 1);
    g_assert_cmpuint(f->words[1].ends_us, <=,
                     f->guests[1].pages_left * SEVMIG_ARBITER_PAGE_MOST_US);
}

/* The longest that any of these keeps another from sending, as the header has it. */
static gint64
two_graces_us(const SevmigArbiterGuest *guest)
{
    return MAX(2 * (gint64)guest->most_pages * SEVMIG_ARBITER_PAGE_MOST_US,
               SEVMIG_ARBITER_GRACE_LEAST_US) *
           2;
}

static guint64
any_figure(void)
{
    guint64 bits = (guint64)(guint32)g_test_rand_int() << 32 | (guint32)g_test_rand_int();

    return bits >> g_test_rand_int_range(0, 64);
}

/* Whatever the contract lets it say, and what it does not. */
static void
lie(SevmigArbiterGuest *guest, gint64 now_us)
{
    if (g_test_rand_int_range(0, 4) == 0)
        return; /* says nothing */
    guest->sampled_us = now_us;
    if (g_test_rand_int_range(0, 2000) == 0) {
        guest->phase = g_test_rand_int_range(0, 4) > 0
                           ? SEVMIG_PHASE_BULK
                           : (SevmigPhase)g_test_rand_int_range(0, SEVMIG_PHASE_SWITCHOVER + 1);
        guest->pages_left = any_figure();
        guest->pages = any_figure();
        guest->service_us = any_figure();
        guest->wait_us = any_figure();
    } else {
        guest->service_us += TICK_US;
        guest->pages += (guint64)g_test_rand_int_range(0, 300);
    }
}

/* Honest ones are never held for longer in all; and no figure is one that cannot be. */
static void
check_bounds(const Fixture *f, gsize liars, const gint64 *held_us, gint64 bound_us)
{
    for (gsize i = 0; i < f->n; i++) {
        g_assert_cmpuint(f->words[i].begins_us, <=, 1000000000000000);
        g_assert_cmpuint(f->words[i].ends_us, <=, 1000000000000000);
        g_assert_true(i < liars || held_us[i] <= bound_us);
    }
}

static void
test_lying(Fixture *f, gconstpointer data)
{
    gsize liars = (gsize)g_test_rand_int_range(1, 12);
    gint64 bound_us = 0, held_us[GUESTS] = {0};

    for (gsize i = 0; i < liars + 3; i++) {
        SevmigArbiterGuest *guest = add(f, g_test_rand_double_range(1, 20));

        guest->most_pages = guest->pages_left;
        guest->priority = i < liars ? (guint32)g_test_rand_int_range(0, 101) : 50;
        if (i < liars)
            guest->pages_left = any_figure();
        bound_us += two_graces_us(guest);
        decide(f);
        f->now_us += g_test_rand_int_range(0, 3 * SECOND_US);
    }
    decide(f);
    for (gint64 end_us = f->now_us + 2 * bound_us; f->now_us < end_us;) {
        f->now_us += TICK_US;
        for (gsize i = 0; i < liars; i++)
            lie(&f->guests[i], f->now_us);
        for (gsize i = liars; i < f->n; i++) {
            held_us[i] += f->words[i].sends ? 0 : TICK_US;
            serve(f, i, f->words[i].sends ? 1.0 / (double)f->n : 0);
        }
        decide(f);
        check_bounds(f, liars, held_us, bound_us);
    }
    for (gsize i = liars; i < f->n; i++)
        g_assert_cmpuint(f->guests[i].pages_left, ==, 0);
}

static void
test_lying_seeds(Fixture *f, gconstpointer data)
{
    for (guint i = 0; i < 4; i++) {
        test_lying(f, data);
        f->n = 0;
        decide(f);
    }
}

#define TEST(name, function)                                                                       \
    g_test_add("/arbiter/" name, Fixture, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("alone", test_alone);
    TEST("shortest-first", test_shortest);
    TEST("priority", test_priority);
    TEST("deadline", test_deadline);
    TEST("deadline-hopeless", test_deadline_hopeless);
    TEST("late-goes-on", test_late);
    TEST("late-overstays", test_overstays);
    TEST("goes-on", test_goes_on);
    TEST("gives-way", test_gives_way);
    TEST("set-up", test_set_up);
    TEST("fills-gaps", test_fills);
    TEST("silent", test_silent);
    TEST("queue-bound", test_queue);
    TEST("foreign-load", test_foreign);
    TEST("bad-input", test_bad);
    g_test_add_func("/arbiter/order-is-best", test_order_best);
    g_test_add_func("/arbiter/order-keeps-fences", test_order_fence);
    TEST("random", test_random);
    TEST("no-starvation", test_no_starvation);
    g_test_add("/arbiter/nearly-done-for-ever", Fixture, GUINT_TO_POINTER(160), set_up,
               test_nearly_done, tear_down);
    g_test_add("/arbiter/nearly-done-and-slow", Fixture, GUINT_TO_POINTER(1), set_up,
               test_nearly_done, tear_down);
    TEST("absurd-price", test_absurd_price);
    TEST("lying", test_lying_seeds);
    return g_test_run();
}
