/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-qemu.h"

#include <json.h>
#include <string.h>
#include <sys/socket.h>

typedef struct {
    char *command;
    char *arguments;
    char *reply;
} Expectation;

struct FakeQemu {
    GSocket *socket;
    GSource *source;
    struct json_tokener *tokener; /* json-c's own framing: independent of the library's */
    GQueue *expected;
    GArray *ids; /* uint64_t, in the order of the commands */
    uint64_t newest_id;
};

static void
expectation_free(gpointer data)
{
    Expectation *expectation = data;
    g_free(expectation->command);
    g_free(expectation->arguments);
    g_free(expectation->reply);
    g_free(expectation);
}

static void
check_arguments(const Expectation *expected, struct json_object *command)
{
    struct json_object *arguments = json_object_object_get(command, "arguments");
    if (expected->arguments == NULL) {
        g_assert_null(arguments);
        return;
    }
    struct json_object *wanted = json_tokener_parse(expected->arguments);
    g_assert_nonnull(wanted);
    if (!json_object_equal(wanted, arguments))
        g_error("%s came with %s, expected %s", expected->command,
                json_object_to_json_string(arguments), expected->arguments);
    json_object_put(wanted);
}

static void
check_members(struct json_object *command)
{
    struct json_object_iterator at = json_object_iter_begin(command);
    struct json_object_iterator end = json_object_iter_end(command);
    for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *name = json_object_iter_peek_name(&at);
        if (strcmp(name, "execute") != 0 && strcmp(name, "arguments") != 0 &&
            strcmp(name, "id") != 0)
            g_error("a command with the member \"%s\"", name);
    }
}

static void
send_reply(FakeQemu *fake, uint64_t id, const char *member, const char *value)
{
    g_autofree char *text =
        g_strdup_printf("{\"%s\": %s, \"id\": %" G_GUINT64_FORMAT "}\r\n", member, value, id);
    fake_qemu_send(fake, text);
}

static void
take_command(FakeQemu *fake, struct json_object *command)
{
    check_members(command);
    const char *name = json_object_get_string(json_object_object_get(command, "execute"));
    Expectation *expected = g_queue_pop_head(fake->expected);
    if (expected == NULL)
        g_error("unexpected command %s", json_object_to_json_string(command));
    g_assert_cmpstr(name, ==, expected->command);
    check_arguments(expected, command);

    struct json_object *id_json = json_object_object_get(command, "id");
    g_assert_true(json_object_is_type(id_json, json_type_int));
    uint64_t id = json_object_get_uint64(id_json);
    g_assert_cmpuint(id, >, fake->newest_id);
    fake->newest_id = id;
    if (strcmp(name, "qmp_capabilities") != 0)
        g_array_append_val(fake->ids, id);
    if (expected->reply != NULL)
        send_reply(fake, id, "return", expected->reply);
    expectation_free(expected);
}

static void
take_bytes(FakeQemu *fake, const char *bytes, int n_bytes)
{
    while (n_bytes > 0) {
        struct json_object *command = json_tokener_parse_ex(fake->tokener, bytes, n_bytes);
        enum json_tokener_error status = json_tokener_get_error(fake->tokener);
        if (status == json_tokener_continue)
            return;
        g_assert_cmpint(status, ==, json_tokener_success);
        int used = (int)json_tokener_get_parse_end(fake->tokener);
        bytes += used;
        n_bytes -= used;
        take_command(fake, command);
        json_object_put(command);
    }
}

static gboolean
on_readable(GSocket *socket, GIOCondition condition, gpointer data)
{
    FakeQemu *fake = data;
    char bytes[4096];
    gssize n = g_socket_receive(socket, bytes, sizeof(bytes), NULL, NULL);
    if (n <= 0)
        return G_SOURCE_REMOVE; /* the client may close when it likes */
    take_bytes(fake, bytes, (int)n);
    return G_SOURCE_CONTINUE;
}

FakeQemu *
fake_qemu_new(int *client_fd)
{
    FakeQemu *fake = g_new0(FakeQemu, 1);
    int fds[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    *client_fd = fds[0];
    fake->socket = g_socket_new_from_fd(fds[1], NULL);
    fake->tokener = json_tokener_new();
    fake->expected = g_queue_new();
    fake->ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    fake->source = g_socket_create_source(fake->socket, G_IO_IN, NULL);
    g_source_set_callback(fake->source, G_SOURCE_FUNC(on_readable), fake, NULL);
    g_source_attach(fake->source, NULL);
    return fake;
}

void
fake_qemu_free(FakeQemu *fake)
{
    Expectation *left = g_queue_peek_head(fake->expected);
    if (left != NULL)
        g_error("%s was expected and never came", left->command);
    g_source_destroy(fake->source);
    g_source_unref(fake->source);
    g_object_unref(fake->socket);
    json_tokener_free(fake->tokener);
    g_queue_free_full(fake->expected, expectation_free);
    g_array_unref(fake->ids);
    g_free(fake);
}

void
fake_qemu_send(FakeQemu *fake, const char *text)
{
    size_t length = strlen(text);
    while (length > 0) {
        g_autoptr(GError) error = NULL;
        gssize n = g_socket_send(fake->socket, text, length, NULL, &error);
        g_assert_no_error(error);
        text += n;
        length -= (size_t)n;
    }
}

void
fake_qemu_greet(FakeQemu *fake)
{
    fake_qemu_send(fake, "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 13, \"minor\": 0, "
                         "\"major\": 10}, \"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n");
    fake_qemu_expect(fake, "qmp_capabilities", NULL, "{}");
}

void
fake_qemu_expect(FakeQemu *fake, const char *command, const char *arguments, const char *reply)
{
    Expectation *expectation = g_new0(Expectation, 1);
    expectation->command = g_strdup(command);
    expectation->arguments = g_strdup(arguments);
    expectation->reply = g_strdup(reply);
    g_queue_push_tail(fake->expected, expectation);
}

void
fake_qemu_wait(FakeQemu *fake, unsigned n)
{
    while (fake->ids->len < n)
        g_main_context_iteration(NULL, TRUE);
}

void
fake_qemu_reply(FakeQemu *fake, unsigned n, const char *member, const char *value)
{
    g_assert_cmpuint(n, <=, fake->ids->len);
    send_reply(fake, g_array_index(fake->ids, uint64_t, n - 1), member, value);
}

void
fake_qemu_hang_up(FakeQemu *fake)
{
    g_assert_true(g_socket_shutdown(fake->socket, TRUE, TRUE, NULL));
}
