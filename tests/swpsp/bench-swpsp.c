/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bench-swpsp.c - how fast swpsp is, without costs and against its own cost model; no pass or fail
 *
 * usage: SWPSP_EXE=... bench-swpsp [SECONDS]
 *
 * Two submissions are in flight all the time. A page is 4 KiB; a submission's commands are of four
 * pages, or of one if it has fewer than four.
 */
#include "server-fixture.h"
#include "support.h"

#include "swpsp-cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TIME_SCALE 20

static double seconds = 2;

static GByteArray *
make_submission(uint32_t handle, unsigned pages)
{
    const unsigned each = pages < 4 ? 1 : 4, n = pages / each;
    g_autofree struct swpsp_command *commands = g_new0(struct swpsp_command, n);
    g_autofree uint8_t *data = test_bytes(7, pages * TEST_PAGE);

    for (unsigned i = 0; i < n; i++)
        commands[i] = test_command((uint64_t)i * each * TEST_PAGE, each * TEST_PAGE);
    return test_submission(handle, commands, n, data, pages * TEST_PAGE);
}

static void
submit(SwpspClient *client, const GByteArray *request)
{
    g_assert_true(
        swpsp_client_send(client, SWPSP_OP_SEND_UPDATE_DATA, request->data, request->len, NULL));
}

static void
collect(SwpspClient *client)
{
    enum swpsp_status status;
    g_autoptr(GByteArray) answer = swpsp_client_receive(client, &status, NULL);

    g_assert_nonnull(answer);
    g_assert_cmpint(status, ==, SWPSP_OK);
}

/* Processor time a process has had. */
static double
cpu_us(GPid pid)
{
    clockid_t clock;
    struct timespec now = {0};

    g_assert_cmpint(clock_getcpuclockid(pid, &clock), ==, 0);
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Pages a second, and processor time of swpsp for each: that, a busy machine does not change much.
 */
static double
measure(GPid pid, SwpspClient *client, uint32_t handle, unsigned pages, double *page_cpu_us)
{
    g_autoptr(GByteArray) request = make_submission(handle, pages);
    uint64_t n = 0;

    submit(client, request);
    submit(client, request);
    collect(client); /* the first one is not on the clock */
    submit(client, request);
    const double cpu_start_us = cpu_us(pid);
    const int64_t start_us = g_get_monotonic_time();
    int64_t now_us = start_us;
    for (; (double)(now_us - start_us) < seconds * 1e6; now_us = g_get_monotonic_time(), n++) {
        collect(client);
        submit(client, request);
    }
    *page_cpu_us = (cpu_us(pid) - cpu_start_us) / (double)(n * pages);
    collect(client);
    collect(client);
    return (double)n * pages * 1e6 / (double)(now_us - start_us);
}

static double
model(unsigned pages)
{
    SwpspCost cost;

    swpsp_cost_init(&cost);
    cost.time_scale = TIME_SCALE;
    return pages * 1e6 /
           swpsp_cost_service_us(&cost, SWPSP_COST_SEND, pages < 4 ? pages : pages / 4,
                                 (uint64_t)pages * TEST_PAGE);
}

static void
run(const char *const *options, bool costs)
{
    static const unsigned batches[] = {1, 2, 4, 8, 16, 64, 256, 1024};
    uint8_t session[SWPSP_SESSION_SIZE];
    g_auto(Server) server = {0};

    server_start(&server, options);
    g_autoptr(SwpspClient) client = server_client(&server);
    const uint32_t handle = server_sending_guest(client, client, session);
    for (size_t i = 0; i < G_N_ELEMENTS(batches); i++) {
        double page_cpu_us;
        const double rate = measure(server.pid, client, handle, batches[i], &page_cpu_us);
        printf("%5u pages: %9.0f pages/s %8.1f MiB/s %7.2f us of processor a page", batches[i],
               rate, rate / 256, page_cpu_us);
        if (costs)
            printf("  %.3f of the model", rate / model(batches[i]));
        putchar('\n');
        fflush(stdout);
    }
}

int
main(int argc, char **argv)
{
    static const char *const no_cost[] = {"--page-cost-us=0", "--time-scale=1000", NULL};
    static const char *const scaled[] = {"--time-scale=20", NULL};

    g_test_init(&argc, &argv, NULL);
    if (argc > 1)
        seconds = atof(argv[1]);
    puts("no costs");
    run(no_cost, false);
    printf("time scale %d\n", TIME_SCALE);
    run(scaled, true);
    return 0;
}
