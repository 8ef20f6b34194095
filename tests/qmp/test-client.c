/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The socket client against a strict fake QEMU. */
#include <string.h>

#include "fake-qemu.h"
#include "qmpc.h"
#include "sev-reply.h"

/* What a callback brought. */
typedef struct {
    bool done;
    char *reply;
    GError *error;
    QmpcClient *free_in_callback;
} Answer;

static void
answer_clear(Answer *answer)
{
    g_free(answer->reply);
    g_clear_error(&answer->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Answer, answer_clear)

typedef struct {
    FakeQemu *fake;
    QmpcClient *client;
    QmpcTransport *transport;
} Fixture;

static void
spin_until(const bool *flag)
{
    while (!*flag)
        g_main_context_iteration(NULL, TRUE);
}

static void
spin_dry(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static void
on_opened(GObject *source, GAsyncResult *result, gpointer data)
{
    Answer *answer = data;
    g_assert_false(answer->done);
    qmpc_client_open_finish(NULL, result, &answer->error);
    answer->done = true;
}

static void
on_reply(GObject *source, GAsyncResult *result, gpointer data)
{
    Answer *answer = data;
    g_assert_false(answer->done); /* exactly once */
    answer->reply = g_task_propagate_pointer(G_TASK(result), &answer->error);
    answer->done = true;
    g_assert_true((answer->reply == NULL) == (answer->error != NULL));
    g_clear_pointer(&answer->free_in_callback, qmpc_client_free);
}

static void
setup_unopened(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    int fd;
    fixture->fake = fake_qemu_new(&fd);
    fixture->client = qmpc_client_new_fd(fd, &error);
    g_assert_no_error(error);
    fixture->transport = qmpc_client_transport(fixture->client);
}

static void
setup(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) opened = {0};
    setup_unopened(fixture, data);
    fake_qemu_greet(fixture->fake);
    qmpc_client_open_async(fixture->client, 0, NULL, on_opened, &opened);
    spin_until(&opened.done);
    g_assert_no_error(opened.error);
}

static void
teardown(Fixture *fixture, gconstpointer data)
{
    qmpc_client_free(fixture->client);
    spin_dry();
    fake_qemu_free(fixture->fake);
}

static void
send(Fixture *fixture, const char *command, unsigned timeout_ms, GCancellable *cancellable,
     Answer *answer)
{
    g_autofree char *text = qmpc_command_build(command, NULL, NULL);
    qmpc_transport_send(fixture->transport, text, timeout_ms, cancellable, on_reply, answer);
    g_assert_false(answer->done); /* never from within send */
}

static void
test_open(Fixture *fixture, gconstpointer data)
{
    unsigned major, minor, micro;
    qmpc_client_version(fixture->client, &major, &minor, &micro);
    g_assert_cmpuint(major, ==, 10);
    g_assert_cmpuint(micro, ==, 13);
    g_assert_false(qmpc_client_is_closed(fixture->client));
}

static void
test_out_of_order(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) one = {0};
    g_auto(Answer) two = {0};
    g_auto(Answer) three = {0};
    fake_qemu_expect(fixture->fake, "one", NULL, NULL);
    fake_qemu_expect(fixture->fake, "two", NULL, NULL);
    fake_qemu_expect(fixture->fake, "three", NULL, NULL);
    send(fixture, "one", 0, NULL, &one);
    send(fixture, "two", 0, NULL, &two);
    send(fixture, "three", 0, NULL, &three);
    fake_qemu_wait(fixture->fake, 3);

    fake_qemu_reply(fixture->fake, 3, "return", "3");
    spin_until(&three.done);
    g_assert_false(one.done || two.done);
    fake_qemu_reply(fixture->fake, 1, "error", "{\"class\": \"GenericError\", \"desc\": \"no\"}");
    spin_until(&one.done);
    fake_qemu_reply(fixture->fake, 2, "return", "2");
    spin_until(&two.done);

    /* A transport brings replies whole, QEMU's errors included. */
    g_assert_nonnull(strstr(one.reply, "GenericError"));
    g_assert_nonnull(strstr(two.reply, "\"return\": 2"));
    g_assert_nonnull(strstr(three.reply, "\"return\": 3"));
}

static void
test_timeout_then_late_reply(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) slow = {0};
    g_auto(Answer) next = {0};
    fake_qemu_expect(fixture->fake, "slow", NULL, NULL);
    fake_qemu_expect(fixture->fake, "next", NULL, "{}");
    send(fixture, "slow", 1, NULL, &slow);
    spin_until(&slow.done);
    g_assert_error(slow.error, QMPC_ERROR, QMPC_ERROR_TIMED_OUT);
    fake_qemu_wait(fixture->fake, 1);
    fake_qemu_reply(fixture->fake, 1, "return", "{}"); /* late, and not a protocol error */
    send(fixture, "next", 0, NULL, &next);
    spin_until(&next.done);
    g_assert_no_error(next.error);
}

static void
test_cancel(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_auto(Answer) answer = {0};
    g_auto(Answer) never_sent = {0};
    fake_qemu_expect(fixture->fake, "slow", NULL, NULL);
    send(fixture, "slow", 0, cancellable, &answer);
    fake_qemu_wait(fixture->fake, 1);
    g_cancellable_cancel(cancellable);
    g_assert_false(answer.done);
    spin_until(&answer.done);
    g_assert_error(answer.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

    send(fixture, "never", 0, cancellable, &never_sent); /* the fake expects nothing */
    spin_until(&never_sent.done);
    g_assert_error(never_sent.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    spin_dry();
}

typedef struct {
    GString *log;
    bool closed;
} Heard;

static void
on_event(const char *event, const char *data, int64_t realtime_us, gpointer user_data)
{
    Heard *heard = user_data;
    g_string_append_printf(heard->log, "%s %s %" G_GINT64_FORMAT ";", event,
                           data != NULL ? data : "-", realtime_us);
}

static void
on_closed(const GError *reason, gpointer user_data)
{
    Heard *heard = user_data;
    g_assert_false(heard->closed); /* once */
    heard->closed = true;
    g_string_append(heard->log, reason->message);
}

static void
test_events(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) log = g_string_new(NULL);
    g_auto(Answer) answer = {0};
    Heard heard = {.log = log};
    qmpc_client_set_event_func(fixture->client, on_event, &heard);
    fake_qemu_expect(fixture->fake, "stop", NULL, NULL);
    send(fixture, "stop", 0, NULL, &answer);
    fake_qemu_wait(fixture->fake, 1);
    fake_qemu_send(fixture->fake,
                   "{\"event\": \"STOP\", \"timestamp\": {\"seconds\": 2, "
                   "\"microseconds\": 5}}\r\n{\"event\": \"X\", \"data\": {\"a\": 1}, "
                   "\"timestamp\": {\"seconds\": 3, \"microseconds\": 0}}");
    fake_qemu_reply(fixture->fake, 1, "return", "{}");
    spin_until(&answer.done);
    g_assert_cmpstr(log->str, ==, "STOP - 2000005;X {\"a\":1} 3000000;");
}

static void
test_eof_fails_all(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) log = g_string_new(NULL);
    g_auto(Answer) one = {0};
    g_auto(Answer) two = {0};
    g_auto(Answer) after = {0};
    Heard heard = {.log = log};
    qmpc_client_set_closed_func(fixture->client, on_closed, &heard);
    fake_qemu_expect(fixture->fake, "one", NULL, NULL);
    fake_qemu_expect(fixture->fake, "two", NULL, NULL);
    send(fixture, "one", 60000, NULL, &one);
    send(fixture, "two", 0, NULL, &two);
    fake_qemu_wait(fixture->fake, 2);
    fake_qemu_send(fixture->fake, "{\"return\": ");
    fake_qemu_hang_up(fixture->fake);
    spin_until(&heard.closed);
    g_assert_true(one.done && two.done); /* before the closed callback */
    g_assert_error(one.error, QMPC_ERROR, QMPC_ERROR_CLOSED);
    g_assert_error(two.error, QMPC_ERROR, QMPC_ERROR_CLOSED);
    g_assert_cmpstr(log->str, ==, "QEMU closed its monitor in the middle of a message");
    g_assert_true(qmpc_client_is_closed(fixture->client));

    send(fixture, "after", 0, NULL, &after);
    spin_until(&after.done);
    g_assert_error(after.error, QMPC_ERROR, QMPC_ERROR_CLOSED);
}

static void
test_close(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) answer = {0};
    fake_qemu_expect(fixture->fake, "one", NULL, NULL);
    send(fixture, "one", 0, NULL, &answer);
    fake_qemu_wait(fixture->fake, 1);
    qmpc_client_close(fixture->client);
    g_assert_false(answer.done); /* not from within close */
    qmpc_client_close(fixture->client);
    spin_until(&answer.done);
    g_assert_error(answer.error, QMPC_ERROR, QMPC_ERROR_CLOSED);
}

static void
test_free_in_callback(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) one = {.free_in_callback = g_steal_pointer(&fixture->client)};
    g_auto(Answer) two = {0};
    fake_qemu_expect(fixture->fake, "one", NULL, NULL);
    fake_qemu_expect(fixture->fake, "two", NULL, NULL);
    send(fixture, "one", 0, NULL, &one);
    send(fixture, "two", 0, NULL, &two);
    fake_qemu_wait(fixture->fake, 2);
    fake_qemu_reply(fixture->fake, 1, "return", "{}");
    fake_qemu_reply(fixture->fake, 2, "return", "{}"); /* in the same read, behind the first */
    spin_until(&one.done);
    spin_until(&two.done);
    g_assert_no_error(one.error);
    g_assert_error(two.error, QMPC_ERROR, QMPC_ERROR_CLOSED);
}

/* More than a socket holds, so that writing has to wait for the fake to read. */
static void
test_big_command(Fixture *fixture, gconstpointer data)
{
    g_autofree char *blob = g_strnfill(2 * 1024 * 1024, 'x');
    g_autofree char *arguments = g_strdup_printf("{\"blob\": \"%s\"}", blob);
    g_autofree char *command = qmpc_command_build("big", arguments, NULL);
    g_auto(Answer) answer = {0};
    fake_qemu_expect(fixture->fake, "big", arguments, "{}");
    qmpc_transport_send(fixture->transport, command, 0, NULL, on_reply, &answer);
    spin_until(&answer.done);
    g_assert_no_error(answer.error);
}

/* What a peer may say after the handshake that no QEMU would. */
static const char *const hostile[] = {
    "{\"return\": {}}\n",
    "{\"return\": {}, \"id\": 999}\n",
    "{\"return\": {}, \"id\": \"x\"}\n",
    "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}\n",
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 10}}}}\n",
    "{\"surprise\": 1}\n",
    "garbage\n",
    "{\"a\": tru}\n",
};

static void
test_hostile(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GString) log = g_string_new(NULL);
    g_auto(Answer) answer = {0};
    Heard heard = {.log = log};
    qmpc_client_set_closed_func(fixture->client, on_closed, &heard);
    fake_qemu_expect(fixture->fake, "one", NULL, NULL);
    send(fixture, "one", 0, NULL, &answer);
    fake_qemu_wait(fixture->fake, 1);
    fake_qemu_send(fixture->fake, data);
    spin_until(&heard.closed);
    g_test_message("%s", log->str);
    g_assert_nonnull(answer.error);
    g_assert_cmpint(answer.error->domain, ==, QMPC_ERROR);
    g_assert_cmpint(answer.error->code, !=, QMPC_ERROR_CLOSED);
}

/* --- Opening that fails --- */

static void
test_open_timeout(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) opened = {0};
    qmpc_client_open_async(fixture->client, 1, NULL, on_opened, &opened);
    spin_until(&opened.done);
    g_assert_error(opened.error, QMPC_ERROR, QMPC_ERROR_TIMED_OUT);
    g_assert_true(qmpc_client_is_closed(fixture->client));
}

static void
test_open_eof(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) opened = {0};
    fake_qemu_hang_up(fixture->fake);
    qmpc_client_open_async(fixture->client, 0, NULL, on_opened, &opened);
    spin_until(&opened.done);
    g_assert_error(opened.error, QMPC_ERROR, QMPC_ERROR_CLOSED);
}

static void
test_open_no_greeting(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) opened = {0};
    fake_qemu_send(fixture->fake, "{\"return\": {}, \"id\": 1}");
    qmpc_client_open_async(fixture->client, 0, NULL, on_opened, &opened);
    spin_until(&opened.done);
    g_assert_error(opened.error, QMPC_ERROR, QMPC_ERROR_PROTOCOL);
}

static void
test_open_cancelled(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GCancellable) cancellable = g_cancellable_new();
    g_auto(Answer) opened = {0};
    qmpc_client_open_async(fixture->client, 0, cancellable, on_opened, &opened);
    g_cancellable_cancel(cancellable);
    spin_until(&opened.done);
    g_assert_error(opened.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void
test_too_early(Fixture *fixture, gconstpointer data)
{
    g_auto(Answer) answer = {0};
    send(fixture, "one", 0, NULL, &answer);
    spin_until(&answer.done);
    g_assert_error(answer.error, QMPC_ERROR, QMPC_ERROR_PROTOCOL);
}

/* --- Typed calls over the transport --- */

typedef struct {
    bool done;
    bool ok;
    QmpcSevStatus status;
    GError *error;
} TypedAnswer;

static void
on_tuned(GObject *source, GAsyncResult *result, gpointer data)
{
    TypedAnswer *answer = data;
    answer->ok = qmpc_tune_finish(NULL, result, &answer->status, &answer->error);
    answer->done = true;
}

static void
test_tune(Fixture *fixture, gconstpointer data)
{
    TypedAnswer answer = {0};
    QmpcTune tune = {.present = QMPC_TUNE_VCPU_THROTTLE | QMPC_TUNE_LEASE,
                     .vcpu_throttle_percent = 35,
                     .lease_ms = 1000};
    fake_qemu_expect(fixture->fake, "x-sev-migration-tune",
                     "{\"lease-ms\": 1000, \"vcpu-throttle\": 35}", SEV_STATUS);
    qmpc_tune_async(fixture->transport, &tune, 1000, NULL, on_tuned, &answer);
    spin_until(&answer.done);
    g_assert_no_error(answer.error);
    g_assert_true(answer.ok);
    g_assert_cmpuint(answer.status.n_vcpus, ==, 2);
    qmpc_sev_status_clear(&answer.status);
}

static void
test_tune_refused(Fixture *fixture, gconstpointer data)
{
    TypedAnswer answer = {0};
    QmpcTune tune = {0};
    fake_qemu_expect(fixture->fake, "x-sev-migration-tune", "{}", NULL);
    qmpc_tune_async(fixture->transport, &tune, 0, NULL, on_tuned, &answer);
    fake_qemu_wait(fixture->fake, 1);
    fake_qemu_reply(fixture->fake, 1, "error",
                    "{\"class\": \"GenericError\", \"desc\": \"no migration\"}");
    spin_until(&answer.done);
    g_assert_error(answer.error, QMPC_ERROR, QMPC_ERROR_COMMAND);
    g_error_free(answer.error);
}

/* Never reaches the wire: the fake expects no command. */
static void
test_tune_bad_argument(Fixture *fixture, gconstpointer data)
{
    TypedAnswer answer = {0};
    QmpcTune tune = {.present = QMPC_TUNE_BATCH_PAGES};
    qmpc_tune_async(fixture->transport, &tune, 0, NULL, on_tuned, &answer);
    g_assert_false(answer.done);
    spin_until(&answer.done);
    g_assert_error(answer.error, QMPC_ERROR, QMPC_ERROR_ARGUMENT);
    g_error_free(answer.error);
}

/* The client is freed while a typed call is out: its callback comes all the same. */
static void
test_tune_then_free(Fixture *fixture, gconstpointer data)
{
    TypedAnswer answer = {0};
    QmpcTune tune = {0};
    fake_qemu_expect(fixture->fake, "x-sev-migration-tune", "{}", NULL);
    qmpc_tune_async(fixture->transport, &tune, 0, NULL, on_tuned, &answer);
    fake_qemu_wait(fixture->fake, 1);
    g_clear_pointer(&fixture->client, qmpc_client_free);
    g_assert_false(answer.done);
    spin_until(&answer.done);
    g_assert_error(answer.error, QMPC_ERROR, QMPC_ERROR_CLOSED);
    g_error_free(answer.error);
}

#define ADD(name, set_up, func) g_test_add(name, Fixture, NULL, set_up, func, teardown)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/client/open", setup, test_open);
    ADD("/client/out-of-order", setup, test_out_of_order);
    ADD("/client/timeout", setup, test_timeout_then_late_reply);
    ADD("/client/cancel", setup, test_cancel);
    ADD("/client/events", setup, test_events);
    ADD("/client/eof", setup, test_eof_fails_all);
    ADD("/client/close", setup, test_close);
    ADD("/client/free-in-callback", setup, test_free_in_callback);
    ADD("/client/big-command", setup, test_big_command);
    ADD("/client/open/timeout", setup_unopened, test_open_timeout);
    ADD("/client/open/eof", setup_unopened, test_open_eof);
    ADD("/client/open/no-greeting", setup_unopened, test_open_no_greeting);
    ADD("/client/open/cancelled", setup_unopened, test_open_cancelled);
    ADD("/client/open/too-early", setup_unopened, test_too_early);
    ADD("/client/tune", setup, test_tune);
    ADD("/client/tune/refused", setup, test_tune_refused);
    ADD("/client/tune/bad-argument", setup, test_tune_bad_argument);
    ADD("/client/tune/then-free", setup, test_tune_then_free);
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        g_autofree char *path = g_strdup_printf("/client/hostile/%zu", i);
        g_test_add(path, Fixture, hostile[i], setup, test_hostile, teardown);
    }
    return g_test_run();
}
