/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which memory is contiguous: a pure function of the model and the address. */
#include "swpsp-contiguity.h"

#include <glib.h>
#include <math.h>

enum { PAGE = 4096, N_PAGES = 100000 };

static void
test_parse(void)
{
    static const struct {
        const char *text;
        bool valid;
        uint64_t seed;
        uint32_t mean_pages;
    } rows[] = {
        {"hugepage", true, 0, 0},
        {"fragmented:7", true, 7, SWPSP_MEAN_PAGES_DEFAULT},
        {"fragmented:0:1", true, 0, 1},
        {"fragmented:18446744073709551615:4096", true, UINT64_MAX, 4096},
        {"", false},
        {"hugepages", false},
        {"fragmented", false},
        {"fragmented:", false},
        {"fragmented:-1", false},
        {"fragmented:x", false},
        {"fragmented:1:0", false},
        {"fragmented:1:4097", false},
        {"fragmented:1:2:3", false},
        {"fragmented:1:", false},
        {"fragmented:18446744073709551616", false},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const SwpspContiguity before = {4096, 5, 9};
        SwpspContiguity c = before;
        g_test_message("%s", rows[i].text);
        g_assert_cmpint(swpsp_contiguity_parse(&c, rows[i].text), ==, rows[i].valid);
        g_assert_cmpuint(c.backing_page_bytes, ==, 4096);
        if (!rows[i].valid)
            g_assert_cmpmem(&c, sizeof(c), &before, sizeof(before));
        else
            g_assert_cmpuint(c.mean_pages, ==, rows[i].mean_pages);
        if (rows[i].valid && c.mean_pages > 0)
            g_assert_cmpuint(c.seed, ==, rows[i].seed);
    }
}

static void
test_hugepage(void)
{
    static const struct {
        uint32_t backing;
        uint64_t address;
        uint32_t len, bytes;
    } rows[] = {
        {2 << 20, 0, 4 * PAGE, 4 * PAGE},
        {2 << 20, (2 << 20) - PAGE, 4 * PAGE, PAGE},
        {2 << 20, (2 << 20) - 16, 32, 16},
        {2 << 20, (UINT64_C(1) << 40) - 2 * PAGE, 2 * PAGE, 2 * PAGE},
        {PAGE, 5 * PAGE, 4 * PAGE, PAGE},
        {0, (2 << 20) - PAGE, 4 * PAGE, 4 * PAGE},
        {2 << 20, 0, 0, 0},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const SwpspContiguity c = {.backing_page_bytes = rows[i].backing};
        g_assert_cmpuint(swpsp_contiguity_bytes(&c, rows[i].address, rows[i].len), ==,
                         rows[i].bytes);
    }
    const SwpspContiguity c = {.backing_page_bytes = 2 << 20};
    g_assert_cmpuint(swpsp_contiguity_receive_boundary(&c), ==, 2 << 20);
    g_assert_cmpuint(swpsp_contiguity_send_boundary(&c), ==, 2 << 20);
}

/* Pages left in the run of this page. */
static uint32_t
run_pages(const SwpspContiguity *c, uint64_t page)
{
    const uint32_t bytes = swpsp_contiguity_bytes(c, page * PAGE, 64u << 20);

    g_assert_cmpuint(bytes, >=, PAGE);
    g_assert_cmpuint(bytes % PAGE, ==, 0);
    return bytes / PAGE;
}

/* Runs are of the mean asked for, and it does not matter where in one a question starts. */
static void
test_fragmented(void)
{
    static const uint32_t means[] = {1, 2, 8, 64, 1000};

    for (size_t i = 0; i < G_N_ELEMENTS(means); i++) {
        const SwpspContiguity c = {2 << 20, means[i], 42};
        unsigned runs = 0;

        for (uint64_t page = 0; page < N_PAGES; runs++) {
            const uint32_t n = run_pages(&c, page);
            for (uint32_t k = 1; k < n; k += 1 + n / 4)
                g_assert_cmpuint(run_pages(&c, page + k), ==, n - k);
            page += n;
        }
        /* A geometric distribution's error of the mean, five times. */
        const double mean = (double)N_PAGES / runs, tolerance = 5 * means[i] / sqrt(runs);
        g_assert_cmpfloat_with_epsilon(mean, means[i], tolerance + 0.01);
        g_assert_cmpuint(swpsp_contiguity_receive_boundary(&c), ==, PAGE);
        g_assert_cmpuint(swpsp_contiguity_send_boundary(&c), ==, 0);
    }
}

/* The seed makes the runs, and the first page of a run need not be asked for whole. */
static void
test_seed(void)
{
    const SwpspContiguity a = {0, 8, 1}, b = {0, 8, 2};
    unsigned same = 0;

    for (uint64_t page = 0; page < 1000; page++)
        same += run_pages(&a, page) == run_pages(&b, page);
    g_assert_cmpuint(same, <, 500);
    for (uint64_t page = 0; page < 1000; page++) {
        const uint32_t n = run_pages(&a, page) * PAGE;
        g_assert_cmpuint(swpsp_contiguity_bytes(&a, page * PAGE + 16, n), ==, n - 16);
        g_assert_cmpuint(swpsp_contiguity_bytes(&a, page * PAGE, 16), ==, 16);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/contiguity/parse", test_parse);
    g_test_add_func("/swpsp/contiguity/hugepage", test_hugepage);
    g_test_add_func("/swpsp/contiguity/fragmented", test_fragmented);
    g_test_add_func("/swpsp/contiguity/seed", test_seed);
    return g_test_run();
}
