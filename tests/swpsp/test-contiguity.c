/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which memory is contiguous, and what becomes of commands whose memory is not. */
#include "requests.h"

#include "swpsp-submission.h"

#include <math.h>
#include <string.h>

enum { PAGE = TEST_PAGE, N_PAGES = 100000 };

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

/*
 * Memory whose runs are not known: commands are cut where they are told to, until all has gone out;
 * on the way in only single pages are safe.
 */
static void
test_cut(void)
{
    enum { PAGES = 64 };
    static const SwpspLimits limits = {4 * TEST_PAGE, 16, {2 * 1024 * 1024, 3, 99}};
    g_auto(TestPlatform) a;
    g_autofree uint8_t *plain = test_bytes(9, 4 * TEST_PAGE);
    uint32_t sender, receiver;
    unsigned refused = 0;

    test_init_sending(&a, &limits, &sender, &receiver);
    for (uint32_t page = 0; page < PAGES;) {
        g_auto(SwpspAnswer) answer = {0};
        const uint64_t address = (uint64_t)page * TEST_PAGE;
        struct swpsp_command command = test_command(address, 4 * TEST_PAGE);
        test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
                  test_submission(sender, &command, 1, plain, command.guest_len), &answer);
        const uint32_t contiguous =
            swpsp_contiguity_bytes(&limits.contiguity, address, 4 * TEST_PAGE);
        command = test_answer_command(answer.payload, 0);
        g_assert_cmpuint(command.guest_len, ==, contiguous);
        if (contiguous < 4 * TEST_PAGE) {
            refused++;
            g_assert_cmpuint(answer.status, ==, SWPSP_NOT_CONTIGUOUS);
            g_assert_cmpuint(command.status, ==, SWPSP_NOT_CONTIGUOUS);
            g_assert_cmpuint(test_answer_head(answer.payload).done, ==, 0);
            g_assert_cmpfloat(answer.service_us, ==, 0);
            command = test_command(address, contiguous);
            test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
                      test_submission(sender, &command, 1, plain, contiguous), &answer);
        }
        g_assert_cmpuint(answer.status, ==, SWPSP_OK);
        page += contiguous / TEST_PAGE;
    }
    g_assert_cmpuint(refused, >, 0);
    g_assert_cmpuint(refused, <, PAGES / 2);

    g_auto(SwpspAnswer) answer = {0};
    struct swpsp_hello hello;
    test_exec(&a, TEST_OWNER, SWPSP_OP_HELLO, NULL, &answer);
    memcpy(&hello, answer.payload, sizeof(hello));
    g_assert_cmpuint(GUINT32_FROM_LE(hello.backing_page_bytes), ==, TEST_PAGE);
    g_assert_cmpuint(GUINT32_FROM_LE(hello.send_boundary_bytes), ==, 0);
    const struct swpsp_command two = test_command(0, 2 * TEST_PAGE);
    test_exec(&a, TEST_OWNER, SWPSP_OP_RECEIVE_UPDATE_DATA,
              test_submission(receiver, &two, 1, plain, two.trans_len), &answer);
    g_assert_cmpuint(answer.status, ==, SWPSP_INVALID_ADDRESS);
}

/* What is in front of the command that is not contiguous is done, and it alone is paid for. */
static void
test_not_contiguous(void)
{
    enum { EDGE = 2 * 1024 * 1024 };
    g_auto(TestPlatform) a;
    g_auto(SwpspAnswer) answer = {0};
    g_autofree uint8_t *plain = test_bytes(9, 6 * TEST_PAGE);
    const struct swpsp_command commands[] = {test_command(0, TEST_PAGE),
                                             test_command(EDGE - 3 * TEST_PAGE, 4 * TEST_PAGE),
                                             test_command(EDGE, TEST_PAGE)};
    uint32_t sender, receiver;

    test_platform_init(&a, NULL);
    test_start(&a, &a, &sender, &receiver);
    /* A command that is not issued is none that a fault could count. */
    const SwpspFault fault = {SWPSP_FAULT_ERROR, SWPSP_INACTIVE, 0, 1, 1};
    g_assert_true(swpsp_firmware_set_fault(a.firmware, SWPSP_OP_SEND_UPDATE_DATA, &fault));
    test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
              test_submission(sender, commands, 3, plain, 6 * TEST_PAGE), &answer);
    g_assert_cmpuint(answer.status, ==, SWPSP_NOT_CONTIGUOUS);
    g_assert_cmpuint(test_answer_head(answer.payload).done, ==, 1);
    g_assert_cmpuint(test_answer_command(answer.payload, 0).status, ==, SWPSP_OK);
    g_assert_cmpuint(test_answer_command(answer.payload, 1).status, ==, SWPSP_NOT_CONTIGUOUS);
    g_assert_cmpuint(test_answer_command(answer.payload, 1).guest_len, ==, 3 * TEST_PAGE);
    g_assert_cmpuint(test_answer_command(answer.payload, 2).guest_len, ==, TEST_PAGE);
    g_assert_cmpuint(answer.len, ==, swpsp_submission_answer_front(3) + TEST_PAGE);
    g_assert_cmpfloat_with_epsilon(answer.service_us, 1003, 1e-6);
    test_exec(&a, TEST_OWNER, SWPSP_OP_SEND_UPDATE_DATA,
              test_submission(sender, commands, 1, plain, TEST_PAGE), &answer);
    g_assert_cmpuint(answer.status, ==, SWPSP_INACTIVE);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/contiguity/parse", test_parse);
    g_test_add_func("/swpsp/contiguity/hugepage", test_hugepage);
    g_test_add_func("/swpsp/contiguity/fragmented", test_fragmented);
    g_test_add_func("/swpsp/contiguity/seed", test_seed);
    g_test_add_func("/swpsp/contiguity/cut", test_cut);
    g_test_add_func("/swpsp/contiguity/not-contiguous", test_not_contiguous);
    return g_test_run();
}
