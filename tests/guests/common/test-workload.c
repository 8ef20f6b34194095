/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks the guests' load on the machine itself; tests/lab/test_workload.py builds and runs it. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workload.h"

#define PAGES 64u
#define SECOND_US 1000000u

struct fixture {
    struct workload w;
    uint32_t *pages;
    uint32_t gens[PAGES];
};

static void
setup(struct fixture *f, const char *cmdline)
{
    struct wl_params p;
    const char *bad = NULL;

    wl_defaults(&p);
    p.verify_pages_per_s = 1000;
    assert(wl_parse(&p, cmdline, &bad));
    f->pages = malloc(PAGES * WL_PAGE_SIZE);
    assert(f->pages);
    wl_init(&f->w, &p, f->pages, f->gens, PAGES);
}

/* Runs guest time from..to in steps of a millisecond. */
static void
run(struct fixture *f, uint64_t from_us, uint64_t to_us)
{
    for (uint64_t t = from_us; t < to_us; t += 1000) {
        while (wl_step(&f->w, t)) {
        }
    }
}

static void
test_paced_and_verified(void)
{
    struct fixture f;

    setup(&f, "pattern=hot rate=500 run=4");
    run(&f, 1, 2 * SECOND_US);
    assert(f.w.written_pages >= 990 && f.w.written_pages <= 1000);
    assert(f.w.walks >= 30 && f.w.errors == 0 && f.w.lost_pages == 0);
    free(f.pages);
}

static void
test_every_kind_of_damage_is_seen(void)
{
    struct fixture f;
    uint32_t copy[WL_PAGE_WORDS];

    setup(&f, "pattern=idle");
    f.pages[5 * WL_PAGE_WORDS + 100] ^= 1; /* a flipped bit */
    run(&f, 1, SECOND_US / 8);
    assert(f.w.errors >= 1 && f.w.first_bad_page == 5);
    free(f.pages);

    setup(&f, "pattern=idle"); /* two pages swapped */
    memcpy(copy, f.pages, WL_PAGE_SIZE);
    memcpy(f.pages, f.pages + WL_PAGE_WORDS, WL_PAGE_SIZE);
    memcpy(f.pages + WL_PAGE_WORDS, copy, WL_PAGE_SIZE);
    run(&f, 1, SECOND_US / 8);
    assert(f.w.errors >= 2);
    free(f.pages);

    setup(&f, "pattern=scan rate=64 verify=0"); /* an old version of a page */
    memcpy(copy, f.pages + 3 * WL_PAGE_WORDS, WL_PAGE_SIZE);
    run(&f, 1, SECOND_US + 2000);
    memcpy(f.pages + 3 * WL_PAGE_WORDS, copy, WL_PAGE_SIZE);
    f.w.p.verify_pages_per_s = 1000;
    run(&f, SECOND_US + 2000, 2 * SECOND_US);
    assert(f.w.errors >= 1 && f.w.first_bad_page == 3);
    free(f.pages);
}

/* A page and its generation, both consistently old: only the walk's sum tells. */
static void
test_a_lost_write_is_seen_by_the_sum(void)
{
    struct fixture f;
    uint32_t copy[WL_PAGE_WORDS];

    setup(&f, "pattern=scan rate=64 verify=0");
    memcpy(copy, f.pages + 3 * WL_PAGE_WORDS, WL_PAGE_SIZE);
    run(&f, 1, SECOND_US + 2000);
    assert(f.gens[3] == 1);
    f.gens[3] = 0;
    memcpy(f.pages + 3 * WL_PAGE_WORDS, copy, WL_PAGE_SIZE);
    f.w.p.verify_pages_per_s = 1000;
    f.w.p.pattern = WL_IDLE;
    run(&f, SECOND_US + 2000, 2 * SECOND_US);
    assert(f.w.errors >= 1 && f.w.first_bad_page == UINT32_MAX);
    free(f.pages);
}

static void
test_backlog_is_bounded(void)
{
    struct fixture f;

    setup(&f, "pattern=uniform rate=100");
    run(&f, 1, 10000);
    run(&f, 5 * SECOND_US, 5 * SECOND_US + 2000); /* five seconds asleep */
    assert(f.w.written_pages >= 95 && f.w.written_pages <= 105);
    assert(f.w.lost_pages >= 390);
    free(f.pages);
}

/* A fifth of the pages takes most writes, every page some, and the hottest are not side by side. */
static void
test_hot_pages_are_few_and_scattered(void)
{
    const uint32_t often = 200; /* of 20000 writes, 312 on average */
    uint32_t hot = 0, beside = 0;
    uint64_t writes = 0;
    struct fixture f;

    setup(&f, "pattern=hot rate=10000 verify=0");
    run(&f, 1, 2 * SECOND_US);
    for (uint32_t i = 0; i < PAGES; i++) {
        assert(f.gens[i] > 0);
        if (f.gens[i] <= often)
            continue;
        hot++;
        writes += f.gens[i];
        beside += i > 0 && f.gens[i - 1] > often;
    }
    assert(hot >= 8 && hot <= 16);
    assert(writes > f.w.written_pages * 7 / 10);
    assert(beside < hot / 2);
    free(f.pages);
}

static void
test_time_does_not_go_back(void)
{
    struct fixture f;

    setup(&f, "pattern=uniform rate=100");
    run(&f, SECOND_US, 2 * SECOND_US);
    uint64_t written = f.w.written_pages;
    wl_step(&f.w, 5);
    assert(f.w.written_pages == written);
    free(f.pages);
}

static void
test_parameters(void)
{
    const char *wrong[] = {"pattern=fast", "rate=-1",       "rate=",  "ws=99999999999",
                           "run=0",        "beat=0 rate=1", "seed=0", "cost=1x"};
    struct wl_params p;
    const char *bad;

    wl_defaults(&p);
    assert(wl_parse(&p, "quiet console=ttyS0 tsc=reliable  ws=3 pattern=scan rate=0", &bad));
    assert(p.ws_pages == 3 * 256 && p.pattern == WL_SCAN && p.rate_pages_per_s == 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        bad = NULL;
        assert(!wl_parse(&p, wrong[i], &bad) && bad == wrong[i]);
    }
}

static void
test_lines(void)
{
    struct fixture f;
    char line[WL_LINE_MAX];
    uint32_t len;

    setup(&f, "pattern=scan rate=7 ws=1 seed=3");
    f.w.written_pages = UINT64_MAX;
    f.w.verified_pages = 12;
    len = wl_heartbeat(&f.w, line, 10, 1234567);
    assert(len < WL_LINE_MAX);
    assert(strncmp(line, "hb 10 1234 18446744073709551615 12 0 0\n", len) == 0);
    len = wl_ready(&f.w, line);
    assert(len < WL_LINE_MAX);
    assert(strncmp(line, "ready pages=64 pattern=scan rate=7 ws_pages=64 run=1", 52) == 0);
    free(f.pages);
}

int
main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"paced and verified", test_paced_and_verified},
        {"every kind of damage is seen", test_every_kind_of_damage_is_seen},
        {"a lost write is seen by the sum", test_a_lost_write_is_seen_by_the_sum},
        {"backlog is bounded", test_backlog_is_bounded},
        {"hot pages are few and scattered", test_hot_pages_are_few_and_scattered},
        {"time does not go back", test_time_does_not_go_back},
        {"parameters", test_parameters},
        {"lines", test_lines},
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        printf("%s\n", tests[i].name);
        fflush(stdout);
        tests[i].run();
    }
    return 0;
}
