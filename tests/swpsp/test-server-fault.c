/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Faults that a running swpsp has to carry out: delays, hangs, crashes. */
#include "server-fixture.h"
#include "support.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* Whether something can be read from the client's connection within that time. */
static bool
readable(const SwpspClient *client, int ms)
{
    struct pollfd fd = {swpsp_client_fd(client), POLLIN, 0};
    return poll(&fd, 1, ms) == 1;
}

static void
ask(SwpspClient *client, uint16_t op)
{
    g_assert_true(swpsp_client_send(client, op, NULL, 0, NULL));
}

static void
assert_answered(SwpspClient *client)
{
    enum swpsp_status status;
    g_autoptr(GByteArray) answer = swpsp_client_receive(client, &status, NULL);

    g_assert_nonnull(answer);
    g_assert_cmpint(status, ==, SWPSP_OK);
}

/* The firmware is serial: one command that is late makes all others late. */
static void
test_delay(void)
{
    enum { MS = 400 };
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    g_autoptr(SwpspClient) first = server_client(&a);
    g_autoptr(SwpspClient) second = server_client(&a);
    g_byte_array_unref(server_call(second, SWPSP_OP_HELLO, NULL, 0));
    server_control(&a, "{\"command\":\"fault\",\"op\":\"PDH_CERT_EXPORT\",\"kind\":\"delay\","
                       "\"delay-ms\":400}");
    const int64_t start_us = g_get_monotonic_time();
    ask(first, SWPSP_OP_PDH_CERT_EXPORT);
    /* Not before the first one is being served. */
    for (int64_t hits = 0; hits == 0;) {
        g_autoptr(json_object) stats = server_stats(second);
        json_object *faults;
        g_assert_true(json_object_object_get_ex(stats, "faults", &faults));
        hits = server_stats_number(json_object_array_get_idx(faults, 0), "hits");
    }
    g_byte_array_unref(server_call(second, SWPSP_OP_HELLO, NULL, 0));
    assert_answered(first);
    g_assert_cmpint(g_get_monotonic_time() - start_us, >=, MS * 1000);

    g_autoptr(json_object) stats = server_stats(second);
    g_assert_cmpint(server_stats_number(stats, "service_us"), >=, MS * 1000);
    g_assert_cmpint(server_stats_number(stats, "wait_us"), >, 0);
}

/* Nobody is served, but for STATS and CONTROL; clearing the faults lets go of all. */
static void
test_hang(void)
{
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    g_autoptr(SwpspClient) operator= server_client(&a);
    g_autoptr(SwpspClient) bystander = server_client(&a);
    g_autoptr(SwpspClient) victim = server_client(&a);
    SwpspClient *leaver = server_client(&a);
    server_control(&a, "{\"command\":\"fault\",\"op\":\"PDH_CERT_EXPORT\",\"kind\":\"hang\"}");
    ask(victim, SWPSP_OP_PDH_CERT_EXPORT);
    g_assert_false(readable(victim, 100));
    ask(bystander, SWPSP_OP_HELLO);
    ask(leaver, SWPSP_OP_HELLO);
    g_assert_false(readable(bystander, 200));
    swpsp_client_free(leaver);
    g_autoptr(json_object) stats = server_stats(operator);
    g_assert_cmpint(server_stats_number(stats, "guests"), ==, 0);
    g_assert_false(readable(bystander, 0));
    g_assert_false(readable(victim, 0));

    server_control(&a, "{\"command\":\"clear-faults\"}");
    assert_answered(victim);
    assert_answered(bystander);
    g_autofree char *log = server_log(&a);
    g_assert_nonnull(strstr(log, "PDH_CERT_EXPORT: fault: hang"));
}

/* Whoever it hung for may leave: that alone does not wake it. */
static void
test_hang_client_gone(void)
{
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    g_autoptr(SwpspClient) bystander = server_client(&a);
    SwpspClient *victim = server_client(&a);
    server_control(&a, "{\"command\":\"fault\",\"op\":\"PDH_CERT_EXPORT\",\"kind\":\"hang\"}");
    ask(victim, SWPSP_OP_PDH_CERT_EXPORT);
    g_assert_false(readable(victim, 100));
    swpsp_client_free(victim);
    ask(bystander, SWPSP_OP_HELLO);
    g_assert_false(readable(bystander, 200));
    server_control(&a, "{\"command\":\"clear-faults\"}");
    assert_answered(bystander);
}

/* As if killed: the connection ends without an answer, the socket stays; it can be started again.
 */
static void
test_crash(void)
{
    g_auto(Server) a = {0};
    int status;

    server_start(&a, server_fast);
    SwpspClient *client = server_client(&a);
    uint8_t session[SWPSP_SESSION_SIZE];
    const uint32_t handle = server_sending_guest(client, client, session);
    server_control(&a, "{\"command\":\"fault\",\"op\":\"SEND_UPDATE_DATA\",\"kind\":\"crash\","
                       "\"after\":1}");
    g_autoptr(GByteArray) page = server_one_page(handle);
    g_byte_array_unref(server_call(client, SWPSP_OP_SEND_UPDATE_DATA, page->data, page->len));
    enum swpsp_status answer;
    g_assert_null(
        swpsp_client_call(client, SWPSP_OP_SEND_UPDATE_DATA, page->data, page->len, &answer, NULL));
    swpsp_client_free(client);
    g_assert_cmpint(waitpid(a.pid, &status, 0), ==, a.pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    g_assert_true(g_file_test(a.socket, G_FILE_TEST_EXISTS));

    server_spawn(&a, server_fast);
    g_autoptr(SwpspClient) again = server_client(&a);
    g_byte_array_unref(server_call(again, SWPSP_OP_HELLO, NULL, 0));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/server-fault/delay", test_delay);
    g_test_add_func("/swpsp/server-fault/hang", test_hang);
    g_test_add_func("/swpsp/server-fault/hang-client-gone", test_hang_client_gone);
    g_test_add_func("/swpsp/server-fault/crash", test_crash);
    return g_test_run();
}
