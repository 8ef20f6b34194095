/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A running swpsp: exchange, malice, contention, clients that come and go. */
#include "server-fixture.h"
#include "support.h"
#include "swpsp-control.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The whole of a migration between two servers, page by page. */
static void
test_exchange(void)
{
    g_auto(Server) a = {0}, b = {0};
    uint8_t session[SWPSP_SESSION_SIZE];

    server_start(&a, server_fast);
    server_start(&b, server_fast);
    g_autoptr(SwpspClient) from = server_client(&a);
    g_autoptr(SwpspClient) to = server_client(&b);
    const uint32_t sender = server_sending_guest(from, to, session);
    g_autoptr(GByteArray) certs = server_call(from, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    g_autoptr(GByteArray) start = test_receive_start(0, (const void *)certs->data, session);
    g_autoptr(GByteArray) started =
        server_call(to, SWPSP_OP_RECEIVE_START, start->data, start->len);
    const uint32_t receiver = server_first_word(started);

    for (uint8_t i = 0; i < 20; i++) {
        g_autofree uint8_t *plain = test_bytes(i, 4 * TEST_PAGE);
        struct swpsp_command command = test_command(i * 4 * TEST_PAGE, 4 * TEST_PAGE);
        g_autoptr(GByteArray) out = test_submission(sender, &command, 1, plain, 4 * TEST_PAGE);
        g_autoptr(GByteArray) sent =
            server_call(from, SWPSP_OP_SEND_UPDATE_DATA, out->data, out->len);
        command = test_answer_command(sent->data, 0);
        g_autoptr(GByteArray) in =
            test_submission(receiver, &command, 1, test_answer_data(sent->data), 4 * TEST_PAGE);
        g_autoptr(GByteArray) received =
            server_call(to, SWPSP_OP_RECEIVE_UPDATE_DATA, in->data, in->len);
        g_assert_cmpmem(test_answer_data(received->data), 4 * TEST_PAGE, plain, 4 * TEST_PAGE);
    }
    server_call_away(from, SWPSP_OP_SEND_FINISH, server_handle(sender));
    server_call_away(to, SWPSP_OP_RECEIVE_FINISH, server_handle(receiver));
}

/* What is refused can be read in the log: command, error, guest, client. */
static void
test_log(void)
{
    g_auto(Server) a = {0};
    g_autoptr(GError) error = NULL;
    enum swpsp_status status;
    static const uint8_t page[TEST_PAGE];
    const struct swpsp_command command = test_command(0, TEST_PAGE);

    server_start(&a, server_fast);
    g_autoptr(SwpspClient) client = server_client(&a);
    uint8_t session[SWPSP_SESSION_SIZE];
    server_sending_guest(client, client, session);
    g_autoptr(GByteArray) certs = server_call(client, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    g_autoptr(GByteArray) start = test_receive_start(0, (const void *)certs->data, session);
    g_autoptr(GByteArray) started =
        server_call(client, SWPSP_OP_RECEIVE_START, start->data, start->len);
    g_autoptr(GByteArray) bad =
        test_submission(server_first_word(started), &command, 1, page, sizeof(page));
    g_autoptr(GByteArray) answer = swpsp_client_call(client, SWPSP_OP_RECEIVE_UPDATE_DATA,
                                                     bad->data, bad->len, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, SWPSP_BAD_MEASUREMENT);

    g_autofree char *log = server_log(&a);
    g_autofree char *expected =
        g_strdup_printf("RECEIVE_UPDATE_DATA: BAD_MEASUREMENT, guest %u, client %ld, command 0",
                        server_first_word(started), (long)getpid());
    g_assert_nonnull(strstr(log, expected));
}

/* The end of the connection, and not an answer, is what the peer has to show. */
static void
assert_dropped(SwpspClient *client)
{
    uint8_t byte;
    ssize_t n = recv(swpsp_client_fd(client), &byte, 1, 0);

    g_assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void
write_raw(SwpspClient *client, const void *data, size_t len)
{
    g_assert_cmpint(send(swpsp_client_fd(client), data, len, MSG_NOSIGNAL), ==, len);
}

/* Messages that are not well formed end their connection, and no other. */
static void
test_malformed(void)
{
    const struct swpsp_msg good = {GUINT32_TO_LE(SWPSP_MAGIC),
                                   GUINT16_TO_LE(SWPSP_VERSION),
                                   GUINT16_TO_LE(SWPSP_OP_HELLO),
                                   0,
                                   0,
                                   1};
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    g_autoptr(SwpspClient) bystander = server_client(&a);
    for (unsigned i = 0; i < 6; i++) {
        g_autoptr(SwpspClient) client = server_client(&a);
        struct swpsp_msg bad = good;
        uint8_t extra[4] = {0};
        size_t n_extra = 0;
        switch (i) {
        case 0:
            bad.magic ^= 1;
            break;
        case 1:
            bad.version ^= 1;
            break;
        case 2:
            bad.status = 1;
            break;
        case 3:
            bad.length = GUINT32_TO_LE(SWPSP_MAX_PAYLOAD + 1);
            break;
        case 4: /* more than HELLO takes */
            bad.length = GUINT32_TO_LE(sizeof(extra));
            n_extra = sizeof(extra);
            break;
        case 5: /* a submission that does not add up */
            bad.op = GUINT16_TO_LE(SWPSP_OP_SEND_UPDATE_DATA);
            bad.length = GUINT32_TO_LE(sizeof(extra));
            n_extra = sizeof(extra);
            break;
        }
        /* In one write: once it has read the header, swpsp may be gone. */
        uint8_t message[sizeof(bad) + sizeof(extra)];
        memcpy(message, &bad, sizeof(bad));
        memcpy(message + sizeof(bad), extra, sizeof(extra));
        write_raw(client, message, sizeof(bad) + n_extra);
        assert_dropped(client);
    }
    g_byte_array_unref(server_call(bystander, SWPSP_OP_HELLO, NULL, 0));
    g_autofree char *log = server_log(&a);
    g_assert_nonnull(strstr(log, "dropped: malformed header"));
    g_assert_nonnull(strstr(log, "dropped: malformed payload"));
}

/* What follows a malformed request in the same breath is not executed. */
static void
test_malformed_pipelined(void)
{
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    g_autoptr(SwpspClient) client = server_client(&a);
    const struct __attribute__((packed)) {
        struct swpsp_msg hello;
        char extra; /* HELLO takes nothing */
        struct swpsp_msg launch_start;
        struct swpsp_launch launch;
    } breath = {
        .hello = {GUINT32_TO_LE(SWPSP_MAGIC), GUINT16_TO_LE(SWPSP_VERSION),
                  GUINT16_TO_LE(SWPSP_OP_HELLO), GUINT32_TO_LE(1), 0, 1},
        .launch_start = {GUINT32_TO_LE(SWPSP_MAGIC), GUINT16_TO_LE(SWPSP_VERSION),
                         GUINT16_TO_LE(SWPSP_OP_LAUNCH_START),
                         GUINT32_TO_LE(sizeof(struct swpsp_launch)), 0, 2},
    };
    write_raw(client, &breath, sizeof(breath));
    assert_dropped(client);
    g_autoptr(SwpspClient) other = server_client(&a);
    g_autoptr(json_object) object = server_stats(other);
    json_object *ops;
    g_assert_true(json_object_object_get_ex(object, "ops", &ops));
    g_assert_false(json_object_object_get_ex(ops, "LAUNCH_START", NULL));
}

/* Random bytes, in and after a right header: it must survive, whatever it makes of them. */
static void
test_noise(void)
{
    static const uint16_t ops[] = {SWPSP_OP_LAUNCH_START,
                                   SWPSP_OP_SEND_START,
                                   SWPSP_OP_SEND_UPDATE_DATA,
                                   SWPSP_OP_RECEIVE_START,
                                   SWPSP_OP_RECEIVE_UPDATE_DATA,
                                   SWPSP_OP_CONTROL,
                                   0x99};
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    for (unsigned i = 0; i < 200; i++) {
        g_autoptr(SwpspClient) client = i / 4 % 2 ? server_control_client(&a) : server_client(&a);
        uint8_t noise[512];
        const size_t len = (size_t)g_test_rand_int_range(1, sizeof(noise));
        for (size_t j = 0; j < len; j++)
            noise[j] = (uint8_t)g_test_rand_int();
        if (i % 2)
            (void)swpsp_client_send(client, ops[i / 2 % G_N_ELEMENTS(ops)], noise, len, NULL);
        else
            write_raw(client, noise, len);
    }
    g_autoptr(SwpspClient) client = server_client(&a);
    g_byte_array_unref(server_call(client, SWPSP_OP_HELLO, NULL, 0));
}

/* An answer that refuses, without a payload. */
static void
assert_refused(SwpspClient *client, uint16_t op, const char *text)
{
    enum swpsp_status status;
    g_autoptr(GByteArray) answer = swpsp_client_call(client, op, text, strlen(text), &status, NULL);

    g_assert_nonnull(answer);
    g_assert_cmpint(status, !=, SWPSP_OK);
    g_assert_cmpuint(answer->len, ==, 0);
}

/* A request with nothing in it, of every op there could be, at both sockets. */
static void
test_no_payload(void)
{
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    for (unsigned i = 0; i < 2 * 0x100; i++) {
        g_autoptr(SwpspClient) client = i % 2 ? server_control_client(&a) : server_client(&a);
        enum swpsp_status status;
        g_autoptr(GByteArray) answer =
            swpsp_client_call(client, (uint16_t)(i / 2), NULL, 0, &status, NULL);

        if (i == 2 * SWPSP_OP_CONTROL + 1)
            g_assert_nonnull(strstr((const char *)answer->data, "\"error\""));
    }
    g_autoptr(SwpspClient) client = server_client(&a);
    g_byte_array_unref(server_call(client, SWPSP_OP_HELLO, NULL, 0));
}

/* Whoever may migrate guests may not control the firmware; its owner may, while all is taken. */
static void
test_control_socket(void)
{
    static const char *const options[] = {"--time-scale", "1000", "--max-clients", "1", NULL};
    g_auto(Server) a = {0};
    GStatBuf st;

    server_start(&a, options);
    g_autofree char *path = g_strconcat(a.socket, SWPSP_CONTROL_SUFFIX, NULL);
    g_assert_cmpint(g_stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0600);
    g_autoptr(SwpspClient) client = server_client(&a);
    assert_refused(client, SWPSP_OP_CONTROL, "{\"command\":\"reset-stats\"}");
    g_byte_array_unref(server_call(client, SWPSP_OP_HELLO, NULL, 0));
    server_control(&a, "{\"command\":\"reset-stats\"}");
    g_autofree char *log = server_log(&a);
    g_autofree char *said = g_strdup_printf("it is served at %s only", path);
    g_assert_nonnull(strstr(log, "CONTROL: refused"));
    g_assert_nonnull(strstr(log, said));
}

/* Clients that stop in the middle of a request, or do not read, hold up nobody. */
static void
test_slow(void)
{
    const struct swpsp_msg head = {GUINT32_TO_LE(SWPSP_MAGIC),
                                   GUINT16_TO_LE(SWPSP_VERSION),
                                   GUINT16_TO_LE(SWPSP_OP_SEND_UPDATE_DATA),
                                   GUINT32_TO_LE(SWPSP_MAX_PAYLOAD),
                                   0,
                                   1};
    g_auto(Server) a = {0};

    server_start(&a, server_fast);
    g_autoptr(SwpspClient) in_head = server_client(&a);
    write_raw(in_head, &head, 7);
    g_autoptr(SwpspClient) in_payload = server_client(&a);
    write_raw(in_payload, &head, sizeof(head));

    /* 12.5 KiB of certificates for each 24 bytes: until nothing more is taken from us. */
    g_autoptr(SwpspClient) deaf = server_client(&a);
    const struct swpsp_msg wish = {GUINT32_TO_LE(SWPSP_MAGIC),
                                   GUINT16_TO_LE(SWPSP_VERSION),
                                   GUINT16_TO_LE(SWPSP_OP_PDH_CERT_EXPORT),
                                   0,
                                   0,
                                   1};
    ssize_t n = 0;
    for (unsigned idle = 0; idle < 20;) {
        n = send(swpsp_client_fd(deaf), &wish, sizeof(wish), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            idle = 0;
        else
            idle++, g_usleep(10000);
    }
    g_assert_cmpint(n, ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);

    g_autoptr(SwpspClient) client = server_client(&a);
    g_byte_array_unref(server_call(client, SWPSP_OP_HELLO, NULL, 0));
}

static int64_t
resident_kib(GPid pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_ascii_strtoll(strstr(text, "VmRSS:") + strlen("VmRSS:"), NULL, 10);
}

/* What a client announces costs nothing: sixty of them announce 2 GiB and send little. */
static void
test_announced(void)
{
    enum { N = 60 };
    const struct swpsp_msg head = {GUINT32_TO_LE(SWPSP_MAGIC),
                                   GUINT16_TO_LE(SWPSP_VERSION),
                                   GUINT16_TO_LE(SWPSP_OP_SEND_UPDATE_DATA),
                                   GUINT32_TO_LE(SWPSP_MAX_PAYLOAD),
                                   0,
                                   1};
    g_auto(Server) a = {0};
    SwpspClient *clients[N];

    server_start(&a, server_fast);
    g_autoptr(SwpspClient) client = server_client(&a);
    const int64_t before_kib = resident_kib(a.pid);
    for (unsigned i = 0; i < N; i++) {
        clients[i] = server_client(&a);
        write_raw(clients[i], &head, sizeof(head));
        write_raw(clients[i], &head, 1);
    }
    /* Its turn comes after theirs. */
    for (unsigned i = 0; i < 3; i++)
        g_byte_array_unref(server_call(client, SWPSP_OP_HELLO, NULL, 0));
    g_assert_cmpint(resident_kib(a.pid) - before_kib, <, 128 * 1024);
    for (unsigned i = 0; i < N; i++)
        swpsp_client_free(clients[i]);
}

/* More clients than allowed are turned away; room is made by one that leaves. */
static void
test_too_many_clients(void)
{
    static const char *const options[] = {"--max-clients", "2", NULL};
    g_auto(Server) a = {0};

    server_start(&a, options);
    g_autoptr(SwpspClient) first = server_client(&a);
    SwpspClient *second = server_client(&a);
    g_byte_array_unref(server_call(first, SWPSP_OP_HELLO, NULL, 0));
    g_byte_array_unref(server_call(second, SWPSP_OP_HELLO, NULL, 0));
    g_autoptr(SwpspClient) third = server_client(&a);
    assert_dropped(third);
    swpsp_client_free(second);
    for (bool let_in = false; !let_in;) {
        g_autoptr(SwpspClient) fourth = server_client(&a);
        enum swpsp_status status;
        g_autoptr(GByteArray) answer =
            swpsp_client_call(fourth, SWPSP_OP_HELLO, NULL, 0, &status, NULL);
        let_in = answer != NULL;
    }
}

/* Two clients, each with several submissions under way: both wait for the other. */
static void
test_contention(void)
{
    enum { N = 8 };
    static const char *const options[] = {"--time-scale", "1", "--start-cost-us", "0", NULL};
    g_auto(Server) a = {0};
    uint8_t session[SWPSP_SESSION_SIZE];
    SwpspClient *clients[2];

    server_start(&a, options);
    GByteArray *requests[2];
    for (unsigned i = 0; i < 2; i++) {
        clients[i] = server_client(&a);
        requests[i] = server_one_page(server_sending_guest(clients[i], clients[i], session));
    }
    for (unsigned n = 0; n < N; n++) {
        for (unsigned i = 0; i < 2; i++)
            g_assert_true(swpsp_client_send(clients[i], SWPSP_OP_SEND_UPDATE_DATA,
                                            requests[i]->data, requests[i]->len, NULL));
    }
    for (unsigned i = 0; i < 2; i++) {
        uint64_t wait_us = 0, service_us = 0;
        for (unsigned n = 0; n < N; n++) {
            enum swpsp_status status;
            g_autoptr(GByteArray) answer = swpsp_client_receive(clients[i], &status, NULL);
            g_assert_nonnull(answer);
            g_assert_cmpint(status, ==, SWPSP_OK);
            wait_us += test_answer_head(answer->data).wait_us;
            service_us += test_answer_head(answer->data).service_us;
        }
        /* Never less than the model; more only if encrypting a page took longer than 1 ms. */
        g_assert_cmpuint(service_us, >=, N * 1003);
        g_assert_cmpuint(wait_us, >, 0);
    }

    g_autoptr(json_object) object = server_stats(clients[0]);
    json_object *rows;
    g_assert_true(json_object_object_get_ex(object, "clients", &rows));
    g_assert_cmpuint(json_object_array_length(rows), ==, 2);
    for (size_t i = 0; i < 2; i++) {
        g_assert_cmpint(server_stats_number(json_object_array_get_idx(rows, i), "wait_us"), >, 0);
        g_assert_cmpint(server_stats_number(json_object_array_get_idx(rows, i), "submissions"), ==,
                        N);
    }
    g_assert_cmpint(server_stats_number(object, "queue_depth_max"), >, 1);
    for (unsigned i = 0; i < 2; i++) {
        swpsp_client_free(clients[i]);
        g_byte_array_unref(requests[i]);
    }
}

/* A client that leaves with requests queued: they are dropped, its guest is gone, others go on. */
static void
test_client_gone(void)
{
    static const char *const options[] = {"--time-scale", "1", "--page-cost-us", "100000", NULL};
    g_auto(Server) a = {0};
    uint8_t session[SWPSP_SESSION_SIZE];

    server_start(&a, options);
    SwpspClient *leaver = server_client(&a);
    g_autoptr(SwpspClient) stayer = server_client(&a);
    g_autoptr(GByteArray) request = server_one_page(server_sending_guest(leaver, leaver, session));
    for (unsigned i = 0; i < 60; i++)
        g_assert_true(swpsp_client_send(leaver, SWPSP_OP_SEND_UPDATE_DATA, request->data,
                                        request->len, NULL));
    swpsp_client_free(leaver);

    json_object *object = NULL;
    for (int64_t guests = 1; guests > 0;) {
        g_clear_pointer(&object, json_object_put);
        object = server_stats(stayer);
        guests = server_stats_number(object, "guests");
    }
    /* Six seconds of work were asked for; all but what was being done is dropped. */
    g_assert_cmpint(server_stats_number(object, "submissions"), <, 60);
    json_object_put(object);
    g_byte_array_unref(server_call(stayer, SWPSP_OP_HELLO, NULL, 0));
}

/* Requests in flight are answered in order, those to the server itself as well. */
static void
test_order(void)
{
    static const uint16_t ops[] = {SWPSP_OP_HELLO, SWPSP_OP_STATS, SWPSP_OP_PDH_CERT_EXPORT,
                                   SWPSP_OP_STATS};
    g_auto(Server) a = {0};
    const struct swpsp_launch launch = {0};

    server_start(&a, NULL);
    g_autoptr(SwpspClient) client = server_client(&a);
    g_assert_true(swpsp_client_send(client, SWPSP_OP_LAUNCH_START, &launch, sizeof(launch), NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(ops); i++)
        g_assert_true(swpsp_client_send(client, ops[i], NULL, 0, NULL));
    /* The client checks that tags come back in the order they were sent. */
    for (size_t i = 0; i < 1 + G_N_ELEMENTS(ops); i++) {
        g_autoptr(GError) error = NULL;
        enum swpsp_status status;
        g_autoptr(GByteArray) answer = swpsp_client_receive(client, &status, &error);
        g_assert_no_error(error);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/swpsp/server/exchange", test_exchange);
    g_test_add_func("/swpsp/server/log", test_log);
    g_test_add_func("/swpsp/server/malformed", test_malformed);
    g_test_add_func("/swpsp/server/malformed-pipelined", test_malformed_pipelined);
    g_test_add_func("/swpsp/server/noise", test_noise);
    g_test_add_func("/swpsp/server/no-payload", test_no_payload);
    g_test_add_func("/swpsp/server/control-socket", test_control_socket);
    g_test_add_func("/swpsp/server/slow", test_slow);
    g_test_add_func("/swpsp/server/announced", test_announced);
    g_test_add_func("/swpsp/server/too-many-clients", test_too_many_clients);
    g_test_add_func("/swpsp/server/contention", test_contention);
    g_test_add_func("/swpsp/server/client-gone", test_client_gone);
    g_test_add_func("/swpsp/server/order", test_order);
    return g_test_run();
}
