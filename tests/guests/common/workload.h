/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SEVMIG_GUEST_WORKLOAD_H
#define SEVMIG_GUEST_WORKLOAD_H

/*
 * What both lab guests do with their memory. Freestanding: no libc, no clock, no I/O, so that the
 * multiboot guest and the Linux load generator run the very same load.
 *
 * The memory is an array of 4 KiB pages. Every page's content follows from its index and its
 * generation (how often it was written), and the generations stand in a table beside the pages.
 * A write advances the generation and rewrites the whole page; a verification recomputes the page
 * from the table. A page that a migration lost, swapped, tore or delivered in an old version
 * differs from what the table says. A table page in an old version would go unseen if the pages
 * it describes were equally old, so each walk also adds the generations up and compares their sum
 * with the number of writes ever made.
 *
 * Paced load is a queue of requests that arrive at a constant rate: a guest that was kept from
 * running catches up, and loses work only when the queue overflows (WL_BACKLOG_US).
 */

#include <stdbool.h>
#include <stdint.h>

#define WL_PAGE_SIZE 4096u
#define WL_PAGE_WORDS (WL_PAGE_SIZE / sizeof(uint32_t))
/* Requests older than this are given up, as a client would; they count as lost work. */
#define WL_BACKLOG_US 1000000u

enum wl_pattern {
    WL_IDLE,    /* no writes */
    WL_UNIFORM, /* every page of the working set equally often */
    WL_HOT,     /* self-similar: four fifths of the writes go to one fifth, recursively,
                   which lies scattered over the working set */
    WL_SCAN,    /* one page after the other */
    WL_PHASES,  /* uniform, idle and scan in turn */
    WL_PATTERNS
};

struct wl_params {
    enum wl_pattern pattern;
    uint32_t rate_pages_per_s;   /* 0: as fast as the CPU goes */
    uint32_t ws_pages;           /* 0 or more than there are: all pages */
    uint32_t run_pages;          /* contiguous pages of one request, at least 1 */
    uint32_t cost_rounds;        /* computing rounds per page written, see wl_burn() */
    uint32_t cost_us;            /* the same in microseconds; the guest calibrates the rounds */
    uint32_t verify_pages_per_s; /* 0: no verification */
    uint32_t phase_ms;
    uint32_t beat_ms;
    uint32_t seed;
};

struct workload {
    struct wl_params p;
    uint32_t *pages; /* n_pages * WL_PAGE_WORDS words, not owned */
    uint32_t *gens;  /* one for each page, not owned */
    uint32_t n_pages;

    uint64_t written_pages;  /* the work done */
    uint64_t lost_pages;     /* requests given up */
    uint64_t verified_pages; /* n_pages more than at some time: each page verified since then */
    uint32_t walks;          /* completed */
    uint32_t errors;
    uint32_t first_bad_page; /* valid if errors */

    uint64_t last_us;      /* of the previous step, 0 before the first */
    uint64_t write_credit; /* pages * 1000000 */
    uint64_t verify_credit;
    uint64_t walk_sum; /* generations passed by this walk, with writes behind the cursor */
    uint32_t cursor;
    uint32_t scan_next;
    uint32_t run_next;
    uint32_t run_left;
    uint32_t rng;
};

/* Defaults; the caller may change them before wl_parse(). */
void wl_defaults(struct wl_params *p);
/* Reads `key=value` words (pattern rate ws run cost verify phase beat seed) from a command line.
 * Unknown words are left alone, as a kernel command line has many. False for a known key with a
 * value that makes no sense; then *bad points at that word. */
bool wl_parse(struct wl_params *p, const char *cmdline, const char **bad);
const char *wl_pattern_name(enum wl_pattern pattern);

/* Fills all pages; gens needs n_pages words. The load begins with the first wl_step(). */
void wl_init(struct workload *w, const struct wl_params *p, uint32_t *pages, uint32_t *gens,
             uint32_t n_pages);
/* Does a small portion (well below a millisecond) of what is due at now_us, a time that does not
 * go back. True if more is due at once. */
bool wl_step(struct workload *w, uint64_t now_us);
/* The computation a request costs. The result must be used, or the compiler drops the work. */
uint32_t wl_burn(uint32_t rounds, uint32_t x);

/* "hb SEQ GUEST_MS WORK VERIFIED WALKS ERRORS\n" into buf (WL_LINE_MAX bytes); returns its length.
 * WORK and VERIFIED in pages. */
#define WL_LINE_MAX 160
uint32_t wl_heartbeat(const struct workload *w, char *buf, uint64_t seq, uint64_t now_us);
/* "ready pages=N pattern=… …\n" likewise. */
uint32_t wl_ready(const struct workload *w, char *buf);

/* Quotient of a 64-bit by a 32-bit number; a 32-bit compiler would call a library for it. */
uint64_t wl_div(uint64_t a, uint32_t b);

#endif
