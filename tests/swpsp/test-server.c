/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The real programs: clients, malice, contention, restarts, two platforms, swpspctl. */
#include "support.h"

#include "swpsp-client.h"
#include "swpsp-names.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS 60000 /* generous: only a hang should meet it */

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

/* A running swpsp with a directory of its own. */
typedef struct {
    char *dir, *socket, *state, *log, *pid_file;
    GPid pid;
} Server;

static char *
server_log(const Server *s)
{
    char *text = NULL;
    g_assert_true(g_file_get_contents(s->log, &text, NULL, NULL));
    return text;
}

/* In the child: a test that aborts must not leave servers behind. */
static void
die_with_parent(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void
server_spawn(Server *s, const char *const *options)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) error = NULL;
    const char *fixed[] = {
        g_getenv("SWPSP_EXE"), "--socket", s->socket, "--state", s->state, "--log", s->log,
        "--pid-file",          s->pid_file};

    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
        g_ptr_array_add(argv, (char *)fixed[i]);
    for (; options && *options; options++)
        g_ptr_array_add(argv, (char *)*options);
    g_ptr_array_add(argv, NULL);
    g_spawn_async(NULL, (char **)argv->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent,
                  NULL, &s->pid, &error);
    g_assert_no_error(error);

    /* The socket is the sign that it is ready. */
    while (!g_file_test(s->socket, G_FILE_TEST_EXISTS)) {
        g_assert_cmpint(waitpid(s->pid, NULL, WNOHANG), ==, 0);
        g_usleep(2000);
    }
}

static void
server_start(Server *s, const char *const *options)
{
    g_autoptr(GError) error = NULL;

    s->dir = g_dir_make_tmp("swpsp-XXXXXX", &error);
    g_assert_no_error(error);
    s->socket = g_build_filename(s->dir, "sev", NULL);
    s->state = g_build_filename(s->dir, "state", NULL);
    s->log = g_build_filename(s->dir, "log", NULL);
    s->pid_file = g_build_filename(s->dir, "pid", NULL);
    server_spawn(s, options);
}

/* SIGTERM; it must end well and leave neither socket nor pid file. */
static void
server_terminate(Server *s)
{
    int status;

    g_assert_cmpint(kill(s->pid, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(s->pid, &status, 0), ==, s->pid);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    g_assert_false(g_file_test(s->socket, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(s->pid_file, G_FILE_TEST_EXISTS));
    s->pid = 0;
}

static void
server_stop(Server *s)
{
    g_autofree char *identity = g_build_filename(s->state, "identity", NULL);

    if (s->pid)
        server_terminate(s);
    g_unlink(identity);
    g_rmdir(s->state);
    g_unlink(s->log);
    g_assert_cmpint(g_rmdir(s->dir), ==, 0);
    g_free(s->dir);
    g_free(s->socket);
    g_free(s->state);
    g_free(s->log);
    g_free(s->pid_file);
    *s = (Server){0};
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Server, server_stop)

static const char *const fast[] = {"--time-scale", "1000", NULL};

static SwpspClient *
client_new(const Server *s)
{
    g_autoptr(GError) error = NULL;
    SwpspClient *client = swpsp_client_new(s->socket, TIMEOUT_MS, &error);

    g_assert_no_error(error);
    return client;
}

/* A call that must be granted. */
static GByteArray *
call(SwpspClient *client, uint16_t op, const void *payload, size_t len)
{
    g_autoptr(GError) error = NULL;
    enum swpsp_status status;
    GByteArray *answer = swpsp_client_call(client, op, payload, len, &status, &error);

    g_assert_no_error(error);
    g_assert_cmpint(status, ==, SWPSP_OK);
    return answer;
}

/* The same, when nobody wants the answer; takes the payload. */
static void
call_away(SwpspClient *client, uint16_t op, GByteArray *payload)
{
    g_byte_array_unref(call(client, op, payload->data, payload->len));
    g_byte_array_unref(payload);
}

static json_object *
stats(SwpspClient *client)
{
    g_autoptr(GByteArray) answer = call(client, SWPSP_OP_STATS, NULL, 0);
    json_object *object = json_tokener_parse((const char *)answer->data);

    g_assert_nonnull(object);
    return object;
}

static int64_t
number(json_object *object, const char *name)
{
    json_object *value;

    g_assert_true(json_object_object_get_ex(object, name, &value));
    return json_object_get_int64(value);
}

static GByteArray *
handle_payload(uint32_t handle)
{
    const struct swpsp_guest guest = {.handle = GUINT32_TO_LE(handle)};
    return g_byte_array_append(g_byte_array_new(), (const guint8 *)&guest, sizeof(guest));
}

static uint32_t
first_word(const GByteArray *payload)
{
    uint32_t le;

    g_assert_cmpuint(payload->len, >=, sizeof(le));
    memcpy(&le, payload->data, sizeof(le));
    return GUINT32_FROM_LE(le);
}

/* A guest that is being sent to the platform itself, or another. */
static uint32_t
sending_guest(SwpspClient *from, SwpspClient *to, uint8_t session[SWPSP_SESSION_SIZE])
{
    const struct swpsp_launch launch = {0};
    g_autoptr(GByteArray) launched = call(from, SWPSP_OP_LAUNCH_START, &launch, sizeof(launch));
    g_autoptr(GByteArray) certs = call(to, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    const uint32_t handle = first_word(launched);

    call_away(from, SWPSP_OP_LAUNCH_FINISH, handle_payload(handle));
    g_assert_cmpuint(certs->len, ==, sizeof(SwpspCertChain));
    g_autoptr(GByteArray) request = test_send_start(handle, (const void *)certs->data);
    g_autoptr(GByteArray) started = call(from, SWPSP_OP_SEND_START, request->data, request->len);
    g_assert_cmpuint(started->len, ==, sizeof(struct swpsp_send_started));
    memcpy(session, started->data + 8, SWPSP_SESSION_SIZE);
    return handle;
}

static GByteArray *
one_page(uint32_t handle)
{
    static const uint8_t page[TEST_PAGE];
    const struct swpsp_command command = test_command(0, TEST_PAGE);
    return test_submission(handle, &command, 1, page, sizeof(page));
}

/* The whole of a migration between two servers, page by page. */
static void
test_exchange(void)
{
    g_auto(Server) a = {0}, b = {0};
    uint8_t session[SWPSP_SESSION_SIZE];

    server_start(&a, fast);
    server_start(&b, fast);
    g_autoptr(SwpspClient) from = client_new(&a);
    g_autoptr(SwpspClient) to = client_new(&b);
    const uint32_t sender = sending_guest(from, to, session);
    g_autoptr(GByteArray) certs = call(from, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    g_autoptr(GByteArray) start = test_receive_start(0, (const void *)certs->data, session);
    g_autoptr(GByteArray) started = call(to, SWPSP_OP_RECEIVE_START, start->data, start->len);
    const uint32_t receiver = first_word(started);

    for (uint8_t i = 0; i < 20; i++) {
        g_autofree uint8_t *plain = test_bytes(i, 4 * TEST_PAGE);
        struct swpsp_command command = test_command(i * 4 * TEST_PAGE, 4 * TEST_PAGE);
        g_autoptr(GByteArray) out = test_submission(sender, &command, 1, plain, 4 * TEST_PAGE);
        g_autoptr(GByteArray) sent = call(from, SWPSP_OP_SEND_UPDATE_DATA, out->data, out->len);
        command = test_answer_command(sent->data, 0);
        g_autoptr(GByteArray) in =
            test_submission(receiver, &command, 1, test_answer_data(sent->data), 4 * TEST_PAGE);
        g_autoptr(GByteArray) received = call(to, SWPSP_OP_RECEIVE_UPDATE_DATA, in->data, in->len);
        g_assert_cmpmem(test_answer_data(received->data), 4 * TEST_PAGE, plain, 4 * TEST_PAGE);
    }
    call_away(from, SWPSP_OP_SEND_FINISH, handle_payload(sender));
    call_away(to, SWPSP_OP_RECEIVE_FINISH, handle_payload(receiver));
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

    server_start(&a, fast);
    g_autoptr(SwpspClient) client = client_new(&a);
    uint8_t session[SWPSP_SESSION_SIZE];
    sending_guest(client, client, session);
    g_autoptr(GByteArray) certs = call(client, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    g_autoptr(GByteArray) start = test_receive_start(0, (const void *)certs->data, session);
    g_autoptr(GByteArray) started = call(client, SWPSP_OP_RECEIVE_START, start->data, start->len);
    g_autoptr(GByteArray) bad =
        test_submission(first_word(started), &command, 1, page, sizeof(page));
    g_autoptr(GByteArray) answer = swpsp_client_call(client, SWPSP_OP_RECEIVE_UPDATE_DATA,
                                                     bad->data, bad->len, &status, &error);
    g_assert_no_error(error);
    g_assert_cmpint(status, ==, SWPSP_BAD_MEASUREMENT);

    g_autofree char *log = server_log(&a);
    g_autofree char *expected =
        g_strdup_printf("RECEIVE_UPDATE_DATA: BAD_MEASUREMENT, guest %u, client %ld, command 0",
                        first_word(started), (long)getpid());
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

    server_start(&a, fast);
    g_autoptr(SwpspClient) bystander = client_new(&a);
    for (unsigned i = 0; i < 6; i++) {
        g_autoptr(SwpspClient) client = client_new(&a);
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
        write_raw(client, &bad, sizeof(bad));
        write_raw(client, extra, n_extra);
        assert_dropped(client);
    }
    g_byte_array_unref(call(bystander, SWPSP_OP_HELLO, NULL, 0));
    g_autofree char *log = server_log(&a);
    g_assert_nonnull(strstr(log, "dropped: malformed header"));
    g_assert_nonnull(strstr(log, "dropped: malformed payload"));
}

/* What follows a malformed request in the same breath is not executed. */
static void
test_malformed_pipelined(void)
{
    g_auto(Server) a = {0};

    server_start(&a, fast);
    g_autoptr(SwpspClient) client = client_new(&a);
    g_assert_true(swpsp_client_send(client, SWPSP_OP_HELLO, "x", 1, NULL));
    const struct swpsp_launch launch = {0};
    g_assert_true(swpsp_client_send(client, SWPSP_OP_LAUNCH_START, &launch, sizeof(launch), NULL));
    assert_dropped(client);
    g_autoptr(SwpspClient) other = client_new(&a);
    g_autoptr(json_object) object = stats(other);
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

    server_start(&a, fast);
    for (unsigned i = 0; i < 200; i++) {
        g_autoptr(SwpspClient) client = client_new(&a);
        uint8_t noise[512];
        const size_t len = (size_t)g_test_rand_int_range(1, sizeof(noise));
        for (size_t j = 0; j < len; j++)
            noise[j] = (uint8_t)g_test_rand_int();
        if (i % 2)
            (void)swpsp_client_send(client, ops[i / 2 % G_N_ELEMENTS(ops)], noise, len, NULL);
        else
            write_raw(client, noise, len);
    }
    g_autoptr(SwpspClient) client = client_new(&a);
    g_byte_array_unref(call(client, SWPSP_OP_HELLO, NULL, 0));
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

    server_start(&a, fast);
    g_autoptr(SwpspClient) in_head = client_new(&a);
    write_raw(in_head, &head, 7);
    g_autoptr(SwpspClient) in_payload = client_new(&a);
    write_raw(in_payload, &head, sizeof(head));

    /* 12.5 KiB of certificates for each 24 bytes: until nothing more is taken from us. */
    g_autoptr(SwpspClient) deaf = client_new(&a);
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

    g_autoptr(SwpspClient) client = client_new(&a);
    g_byte_array_unref(call(client, SWPSP_OP_HELLO, NULL, 0));
}

/* More clients than allowed are turned away; room is made by one that leaves. */
static void
test_too_many_clients(void)
{
    static const char *const options[] = {"--max-clients", "2", NULL};
    g_auto(Server) a = {0};

    server_start(&a, options);
    g_autoptr(SwpspClient) first = client_new(&a);
    SwpspClient *second = client_new(&a);
    g_byte_array_unref(call(first, SWPSP_OP_HELLO, NULL, 0));
    g_byte_array_unref(call(second, SWPSP_OP_HELLO, NULL, 0));
    g_autoptr(SwpspClient) third = client_new(&a);
    assert_dropped(third);
    swpsp_client_free(second);
    for (bool let_in = false; !let_in;) {
        g_autoptr(SwpspClient) fourth = client_new(&a);
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
        clients[i] = client_new(&a);
        requests[i] = one_page(sending_guest(clients[i], clients[i], session));
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

    g_autoptr(json_object) object = stats(clients[0]);
    json_object *rows;
    g_assert_true(json_object_object_get_ex(object, "clients", &rows));
    g_assert_cmpuint(json_object_array_length(rows), ==, 2);
    for (size_t i = 0; i < 2; i++) {
        g_assert_cmpint(number(json_object_array_get_idx(rows, i), "wait_us"), >, 0);
        g_assert_cmpint(number(json_object_array_get_idx(rows, i), "submissions"), ==, N);
    }
    g_assert_cmpint(number(object, "queue_depth_max"), >, 1);
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
    SwpspClient *leaver = client_new(&a);
    g_autoptr(SwpspClient) stayer = client_new(&a);
    g_autoptr(GByteArray) request = one_page(sending_guest(leaver, leaver, session));
    for (unsigned i = 0; i < 60; i++)
        g_assert_true(swpsp_client_send(leaver, SWPSP_OP_SEND_UPDATE_DATA, request->data,
                                        request->len, NULL));
    swpsp_client_free(leaver);

    json_object *object = NULL;
    for (int64_t guests = 1; guests > 0;) {
        g_clear_pointer(&object, json_object_put);
        object = stats(stayer);
        guests = number(object, "guests");
    }
    /* Six seconds of work were asked for; all but what was being done is dropped. */
    g_assert_cmpint(number(object, "submissions"), <, 60);
    json_object_put(object);
    g_byte_array_unref(call(stayer, SWPSP_OP_HELLO, NULL, 0));
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
    g_autoptr(SwpspClient) client = client_new(&a);
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

static void
test_restart(void)
{
    g_auto(Server) a = {0};
    struct stat st;

    server_start(&a, fast);
    g_assert_cmpint(g_stat(a.socket, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 07777, ==, 0660);
    g_autofree char *pid = NULL;
    g_assert_true(g_file_get_contents(a.pid_file, &pid, NULL, NULL));
    g_assert_cmpint(atoi(pid), ==, a.pid);
    SwpspClient *client = client_new(&a);
    g_autoptr(GByteArray) before = call(client, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    server_terminate(&a);
    swpsp_client_free(client);

    server_spawn(&a, fast);
    client = client_new(&a);
    g_autoptr(GByteArray) after = call(client, SWPSP_OP_PDH_CERT_EXPORT, NULL, 0);
    swpsp_client_free(client);
    g_assert_cmpmem(before->data, before->len, after->data, after->len);
}

/* Runs a program; returns its exit status, and standard output if wanted. */
static int
run(char **output, const char *const *argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *ignored = NULL;
    int status;

    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
                 output ? output : &ignored, NULL, &status, &error);
    g_assert_no_error(error);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A second one on the same socket, and wrong options, fail at once and harm nothing. */
static void
test_start_refused(void)
{
    g_auto(Server) a = {0};
    const char *exe = g_getenv("SWPSP_EXE");

    server_start(&a, fast);
    const char *const second[] = {exe,     "--socket", a.socket,     "--state",  a.state,
                                  "--log", a.log,      "--pid-file", a.pid_file, NULL};
    g_assert_cmpint(run(NULL, second), ==, 1);
    g_autofree char *pid = NULL;
    g_assert_true(g_file_get_contents(a.pid_file, &pid, NULL, NULL));
    g_assert_cmpint(atoi(pid), ==, a.pid);

    static const char *const wrong[] = {
        "--time-scale=0",    "--time-scale=-5",   "--cost-split=1.5",
        "--backing-page=3K", "--backing-page=2X", "--max-command-pages=0",
        "--max-clients=0",   "--socket-mode=9",   "--max-submit-commands=5000"};
    g_autofree char *other = g_build_filename(a.dir, "other", NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        const char *const argv[] = {exe,     "--socket", other,    "--state", a.state,
                                    "--log", a.log,      wrong[i], NULL};
        g_assert_cmpint(run(NULL, argv), !=, 0);
    }
    const char *const unknown[] = {exe, "--no-such-option", NULL};
    g_assert_cmpint(run(NULL, unknown), ==, 2);
    g_autoptr(SwpspClient) client = client_new(&a);
    g_byte_array_unref(call(client, SWPSP_OP_HELLO, NULL, 0));
}

/* A socket file that nobody serves, as a crash leaves it, is replaced. */
static void
test_stale_socket(void)
{
    g_auto(Server) a = {0};
    int status;

    server_start(&a, fast);
    g_assert_cmpint(kill(a.pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(a.pid, &status, 0), ==, a.pid);
    g_assert_true(g_file_test(a.socket, G_FILE_TEST_EXISTS));
    const char *const argv[] = {g_getenv("SWPSPCTL_EXE"), "--socket", a.socket, "status", NULL};
    g_assert_cmpint(run(NULL, argv), ==, 1);
    server_spawn(&a, fast);
    while (run(NULL, argv) != 0) /* the socket was there before it was ready */
        g_usleep(2000);
}

static void
test_ctl(void)
{
    g_auto(Server) a = {0};
    const char *exe = g_getenv("SWPSPCTL_EXE");

    server_start(&a, fast);
    const struct {
        const char *args[5];
        int status;
        const char *output; /* a part of it */
    } rows[] = {
        {{"status"}, 0, "max_command_bytes"},
        {{"stats"}, 0, "time scale 1000"},
        {{"--json", "stats"}, 0, "\"queue_depth_max\""},
        {{"set", "time-scale=50", "cost-split=0.2"}, 0, ""},
        {{"--json", "status"}, 0, "\"time_scale\": 50"},
        {{"set", "time-scale=0"}, 1, ""},
        {{"set", "time-scale"}, 1, ""},
        {{"set"}, 2, ""},
        {{"fault", "HELLO", "INACTIVE"}, 0, ""},
        {{"status"}, 1, ""},
        {{"status"}, 0, "max_command_bytes"},
        {{"fault", "HELLO", "INACTIVE", "x"}, 1, ""},
        {{"fault", "HELLO"}, 2, ""},
        {{"fault", "HELLO", "INACTIVE", "5"}, 0, ""},
        {{"clear-faults"}, 0, ""},
        {{"reset"}, 0, ""},
        {{"certs"}, 0, "PDH "},
        {{"--json", "certs"}, 0, "\"OCA\""},
        {{"nonsense"}, 2, ""},
        {{NULL}, 2, ""},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *argv[9] = {exe, "--socket", a.socket};
        g_autofree char *output = NULL;
        memcpy(argv + 3, rows[i].args, sizeof(rows[i].args));
        g_test_message("row %zu", i);
        g_assert_cmpint(run(&output, argv), ==, rows[i].status);
        g_assert_nonnull(strstr(output, rows[i].output));
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
    g_test_add_func("/swpsp/server/slow", test_slow);
    g_test_add_func("/swpsp/server/too-many-clients", test_too_many_clients);
    g_test_add_func("/swpsp/server/contention", test_contention);
    g_test_add_func("/swpsp/server/client-gone", test_client_gone);
    g_test_add_func("/swpsp/server/order", test_order);
    g_test_add_func("/swpsp/server/restart", test_restart);
    g_test_add_func("/swpsp/server/start-refused", test_start_refused);
    g_test_add_func("/swpsp/server/stale-socket", test_stale_socket);
    g_test_add_func("/swpsp/server/ctl", test_ctl);
    return g_test_run();
}
