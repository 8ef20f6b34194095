/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Framing, classification and encoding, with input no honest peer would send. */
#include <string.h>

#include "qmpc.h"

#define GREETING                                                                                   \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 13, \"minor\": 0, \"major\": 10},"             \
    " \"package\": \"x\"}, \"capabilities\": [\"oob\"]}}"
#define EVENT                                                                                      \
    "{\"timestamp\": {\"seconds\": 1449669631, \"microseconds\": 239225},"                         \
    " \"event\": \"MIGRATION\", \"data\": {\"status\": \"setup\"}}"

static char *
next(QmpcFramer *framer)
{
    g_autoptr(GError) error = NULL;
    char *json = NULL;
    g_assert_true(qmpc_framer_next(framer, &json, &error));
    g_assert_no_error(error);
    return json;
}

static void
push(QmpcFramer *framer, const char *text)
{
    qmpc_framer_push(framer, text, strlen(text));
}

static void
test_frame_bytewise(void)
{
    static const char stream[] = "{\"a\": \"}\\\"]{\\\\\"}\r\n {\"b\": [{}, [\"[\"]]}\n";
    g_autoptr(QmpcFramer) framer = qmpc_framer_new(0, 0);
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    for (size_t i = 0; i < strlen(stream); i++) {
        qmpc_framer_push(framer, stream + i, 1);
        char *json = next(framer);
        if (json != NULL)
            g_ptr_array_add(found, json);
    }
    g_assert_cmpuint(found->len, ==, 2);
    g_assert_cmpstr(found->pdata[0], ==, "{\"a\": \"}\\\"]{\\\\\"}");
    g_assert_cmpstr(found->pdata[1], ==, "{\"b\": [{}, [\"[\"]]}");
    g_assert_cmpuint(qmpc_framer_pending_bytes(framer), ==, 0);
}

static void
test_frame_several_at_once(void)
{
    g_autoptr(QmpcFramer) framer = qmpc_framer_new(0, 0);
    push(framer, "{}{\"a\":1}  {\"trunc");
    g_autofree char *first = next(framer);
    g_autofree char *second = next(framer);
    g_autofree char *third = next(framer);
    g_assert_cmpstr(first, ==, "{}");
    g_assert_cmpstr(second, ==, "{\"a\":1}");
    g_assert_null(third);
    g_assert_cmpuint(qmpc_framer_pending_bytes(framer), ==, strlen("{\"trunc"));
}

/* The failure is final: a stream that lost its framing cannot be trusted again. */
static void
assert_framing_fails(QmpcFramer *framer, int code)
{
    for (int i = 0; i < 2; i++) {
        g_autoptr(GError) error = NULL;
        char *json = NULL;
        g_assert_false(qmpc_framer_next(framer, &json, &error));
        g_assert_error(error, QMPC_ERROR, code);
        g_assert_null(json);
        push(framer, "{}");
    }
}

static void
test_frame_garbage(void)
{
    static const char *const streams[] = {"HTTP/1.1 400\r\n", "[]", "}", "\"text\"", "\xff\xfe{}"};
    for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
        g_autoptr(QmpcFramer) framer = qmpc_framer_new(0, 0);
        push(framer, streams[i]);
        assert_framing_fails(framer, QMPC_ERROR_PARSE);
    }
    g_autoptr(QmpcFramer) framer = qmpc_framer_new(0, 0);
    qmpc_framer_push(framer, "{\"a\0\":1}", 8);
    assert_framing_fails(framer, QMPC_ERROR_PARSE);
}

static void
test_frame_too_deep(void)
{
    g_autoptr(QmpcFramer) at_limit = qmpc_framer_new(0, 3);
    push(at_limit, "{\"a\":[[]]}");
    g_autofree char *json = next(at_limit);
    g_assert_nonnull(json);

    g_autoptr(QmpcFramer) framer = qmpc_framer_new(0, 3);
    push(framer, "{\"a\":[[[");
    assert_framing_fails(framer, QMPC_ERROR_LIMIT);
}

static void
test_frame_too_long(void)
{
    g_autoptr(QmpcFramer) framer = qmpc_framer_new(100, 0);
    g_autofree char *blank = g_strnfill(64, 'x');
    push(framer, "{\"a\":\"");
    push(framer, blank);
    g_assert_null(next(framer));
    push(framer, blank);
    assert_framing_fails(framer, QMPC_ERROR_LIMIT);
}

static void
test_greeting(void)
{
    g_autoptr(GError) error = NULL;
    unsigned major, minor, micro;
    g_autoptr(QmpcMessage) message = qmpc_message_parse(GREETING, &error);
    g_assert_no_error(error);
    g_assert_cmpint(qmpc_message_kind(message), ==, QMPC_MESSAGE_GREETING);
    g_assert_true(qmpc_message_version(message, &major, &minor, &micro));
    g_assert_cmpuint(major, ==, 10);
    g_assert_cmpuint(minor, ==, 0);
    g_assert_cmpuint(micro, ==, 13);
}

static void
test_event(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(QmpcMessage) message = qmpc_message_parse(EVENT, &error);
    g_assert_no_error(error);
    g_assert_cmpint(qmpc_message_kind(message), ==, QMPC_MESSAGE_EVENT);
    g_assert_cmpstr(qmpc_message_event(message), ==, "MIGRATION");
    g_assert_cmpstr(qmpc_message_data(message), ==, "{\"status\":\"setup\"}");
    g_assert_cmpint(qmpc_message_event_realtime_us(message), ==, 1449669631239225);

    g_autoptr(QmpcMessage) clockless = qmpc_message_parse(
        "{\"event\":\"STOP\",\"timestamp\":{\"seconds\":-1,\"microseconds\":-1}}", &error);
    g_assert_no_error(error);
    g_assert_cmpint(qmpc_message_event_realtime_us(clockless), ==, -1);
    g_assert_null(qmpc_message_data(clockless));
}

static void
test_replies(void)
{
    g_autoptr(GError) error = NULL;
    uint64_t id = 0;
    g_autoptr(QmpcMessage) good = qmpc_message_parse("{\"return\": {}, \"id\": 7}", &error);
    g_assert_no_error(error);
    g_assert_true(qmpc_message_id(good, &id));
    g_assert_cmpuint(id, ==, 7);

    /* libvirt's ids are strings: a reply all the same, but not one of our numbers. */
    g_autoptr(QmpcMessage) bad = qmpc_message_parse(
        "{\"id\":\"libvirt-3\",\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"}}", &error);
    g_assert_no_error(error);
    g_assert_cmpint(qmpc_message_kind(bad), ==, QMPC_MESSAGE_ERROR);
    g_assert_false(qmpc_message_id(bad, &id));
    g_assert_cmpstr(qmpc_message_error_class(bad), ==, "GenericError");
    g_assert_cmpstr(qmpc_message_error_desc(bad), ==, "no");
}

static const struct {
    const char *text;
    int code;
} bad_messages[] = {
    {"", QMPC_ERROR_PARSE},
    {"{", QMPC_ERROR_PARSE},
    {"{\"return\":{}} x", QMPC_ERROR_PARSE},
    {"{\"return\":'x'}", QMPC_ERROR_PARSE},
    {"{\"return\":tRue}", QMPC_ERROR_PARSE},
    {"{\"return\":\"\xc3\x28\"}", QMPC_ERROR_PARSE},
    {"{\"return\":99999999999999999999999}", QMPC_ERROR_PARSE},
    {"null", QMPC_ERROR_PARSE},
    {"[]", QMPC_ERROR_PROTOCOL},
    {"17", QMPC_ERROR_PROTOCOL},
    {"{}", QMPC_ERROR_PROTOCOL},
    {"{\"id\":1}", QMPC_ERROR_PROTOCOL},
    {"{\"return\":{},\"error\":{\"class\":\"a\",\"desc\":\"b\"}}", QMPC_ERROR_PROTOCOL},
    {"{\"event\":5}", QMPC_ERROR_PROTOCOL},
    {"{\"error\":\"x\"}", QMPC_ERROR_PROTOCOL},
    {"{\"QMP\":null}", QMPC_ERROR_PROTOCOL},
    {"{\"error\":{\"class\":\"a\"}}", QMPC_ERROR_MEMBER},
    {"{\"event\":\"a\\u0000b\",\"timestamp\":{\"seconds\":1,\"microseconds\":1}}",
     QMPC_ERROR_MEMBER},
    {"{\"event\":\"a\"}", QMPC_ERROR_MEMBER},
    {"{\"event\":\"a\",\"timestamp\":{\"seconds\":\"1\",\"microseconds\":1}}", QMPC_ERROR_MEMBER},
    {"{\"event\":\"a\",\"timestamp\":{\"seconds\":1,\"microseconds\":1},\"data\":[]}",
     QMPC_ERROR_MEMBER},
    {"{\"QMP\":{\"version\":{\"qemu\":{\"major\":-1,\"minor\":0,\"micro\":0}}}}",
     QMPC_ERROR_MEMBER},
    {"{\"QMP\":{\"version\":{\"qemu\":{\"major\":4294967296,\"minor\":0,\"micro\":0}}}}",
     QMPC_ERROR_MEMBER},
};

static void
test_bad_messages(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad_messages); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *shown = g_strescape(bad_messages[i].text, NULL);
        g_test_message("%s", shown);
        g_assert_null(qmpc_message_parse(bad_messages[i].text, &error));
        g_assert_error(error, QMPC_ERROR, bad_messages[i].code);
        g_assert_cmpuint(strlen(error->message), >, 0);
    }
}

/* For a caller such as libvirt's passthrough that parses text which no framer has bounded. */
static void
test_unframed_bomb(void)
{
    g_autoptr(GError) deep = NULL;
    g_autoptr(GError) wide = NULL;
    g_autofree char *brackets = g_strnfill(1000000, '[');
    g_autofree char *bomb = g_strconcat("{\"return\":", brackets, NULL);
    g_assert_null(qmpc_message_parse(bomb, &deep));
    g_assert_error(deep, QMPC_ERROR, QMPC_ERROR_LIMIT);

    g_autofree char *blank = g_strnfill(QMPC_WIRE_MAX_BYTES + 1, ' ');
    g_assert_null(qmpc_message_parse(blank, &wide));
    g_assert_error(wide, QMPC_ERROR, QMPC_ERROR_LIMIT);
}

/* Every truncation of a good message fails, and none of every single-byte change crashes. */
static void
test_mutations(void)
{
    for (size_t i = 0; i < strlen(EVENT); i++) {
        g_autoptr(GError) error = NULL;
        g_autofree char *cut = g_strndup(EVENT, i);
        g_assert_null(qmpc_message_parse(cut, &error));
        g_assert_nonnull(error);
        for (int byte = 1; byte < 256; byte++) {
            g_autoptr(GError) changed_error = NULL;
            g_autofree char *changed = g_strdup(EVENT);
            changed[i] = (char)byte;
            g_autoptr(QmpcMessage) message = qmpc_message_parse(changed, &changed_error);
            g_assert_true((message == NULL) == (changed_error != NULL));
        }
    }
}

static void
test_command(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *plain = qmpc_command_build("stop", NULL, &error);
    g_assert_cmpstr(plain, ==, "{\"execute\":\"stop\"}");
    g_autofree char *full = qmpc_command_build("x", "{\"path\": \"/a\\\"b\"}", &error);
    g_assert_cmpstr(full, ==, "{\"execute\":\"x\",\"arguments\":{\"path\":\"/a\\\"b\"}}");
    g_autofree char *line = qmpc_command_with_id(full, UINT64_MAX, &error);
    g_assert_cmpstr(line, ==,
                    "{\"execute\":\"x\",\"arguments\":{\"path\":\"/a\\\"b\"},"
                    "\"id\":18446744073709551615}\n");
    g_assert_no_error(error);
}

static void
test_bad_commands(void)
{
    static const char *const arguments[] = {"", "[]", "{\"a\":}", "3"};
    for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(qmpc_command_build("x", arguments[i], &error));
        g_assert_nonnull(error);
    }
    static const char *const commands[] = {"", "{}", "[]", "{\"execute\":1}",
                                           "{\"execute\":\"a\"} {}"};
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(qmpc_command_with_id(commands[i], 1, &error));
        g_assert_nonnull(error);
    }
}

static void
test_reply_parse(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *value = qmpc_reply_parse("c", "{\"return\":[1, 2],\"id\":\"x\"}", &error);
    g_assert_no_error(error);
    g_assert_cmpstr(value, ==, "[1,2]");

    g_assert_null(qmpc_reply_parse(
        "c", "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"what?\"}}", &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND);
    g_assert_cmpstr(error->message, ==, "c: what?");
    g_clear_error(&error);

    g_assert_null(
        qmpc_reply_parse("c", "{\"error\":{\"class\":\"KVMMissingCap\",\"desc\":\"d\"}}", &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND);
    g_clear_error(&error);

    g_assert_null(qmpc_reply_parse("c", EVENT, &error));
    g_assert_error(error, QMPC_ERROR, QMPC_ERROR_PROTOCOL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/frame/bytewise", test_frame_bytewise);
    g_test_add_func("/wire/frame/several-at-once", test_frame_several_at_once);
    g_test_add_func("/wire/frame/garbage", test_frame_garbage);
    g_test_add_func("/wire/frame/too-deep", test_frame_too_deep);
    g_test_add_func("/wire/frame/too-long", test_frame_too_long);
    g_test_add_func("/wire/message/greeting", test_greeting);
    g_test_add_func("/wire/message/event", test_event);
    g_test_add_func("/wire/message/replies", test_replies);
    g_test_add_func("/wire/message/bad", test_bad_messages);
    g_test_add_func("/wire/message/bomb", test_unframed_bomb);
    g_test_add_func("/wire/message/mutations", test_mutations);
    g_test_add_func("/wire/command", test_command);
    g_test_add_func("/wire/command/bad", test_bad_commands);
    g_test_add_func("/wire/reply", test_reply_parse);
    return g_test_run();
}
