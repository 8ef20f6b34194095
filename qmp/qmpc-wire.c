/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmpc-wire.h"

#include <string.h>

#include "qmpc-json.h"

struct QmpcMessage {
    QmpcMessageKind kind;
    QmpcJson *json;
    bool has_data;
    QmpcJson *data; /* in json; NULL is JSON's null */
    bool has_id;
    uint64_t id;
    int64_t realtime_us;
    const char *event; /* in json, as those below */
    const char *error_class;
    const char *error_desc;
    uint32_t version[3]; /* major, minor, micro */
};

void
qmpc_message_free(QmpcMessage *message)
{
    if (message == NULL)
        return;
    json_object_put(message->json);
    g_free(message);
}

static bool
fill_greeting(QmpcMessage *message, QmpcJson *payload, GError **error)
{
    static const QmpcField numbers[] = {
        {"major", QMPC_FIELD_U32, 0},
        {"minor", QMPC_FIELD_U32, sizeof(uint32_t)},
        {"micro", QMPC_FIELD_U32, 2 * sizeof(uint32_t)},
    };
    QmpcJson *version = qmpc_json_member(payload, "QMP", "version", json_type_object, error);
    if (version == NULL)
        return false;
    QmpcJson *qemu = qmpc_json_member(version, "QMP.version", "qemu", json_type_object, error);
    return qemu != NULL && qmpc_json_read(qemu, "QMP.version.qemu", numbers, G_N_ELEMENTS(numbers),
                                          message->version, error);
}

static bool
fill_error(QmpcMessage *message, QmpcJson *payload, GError **error)
{
    message->error_class = qmpc_json_string(payload, "error", "class", error);
    if (message->error_class == NULL)
        return false;
    message->error_desc = qmpc_json_string(payload, "error", "desc", error);
    return message->error_desc != NULL;
}

/* QEMU writes -1 for both members if the host's clock cannot be read. */
static bool
fill_timestamp(QmpcMessage *message, GError **error)
{
    QmpcJson *stamp =
        qmpc_json_member(message->json, "event", "timestamp", json_type_object, error);
    if (stamp == NULL)
        return false;
    QmpcJson *seconds = qmpc_json_member(stamp, "event.timestamp", "seconds", json_type_int, error);
    if (seconds == NULL)
        return false;
    QmpcJson *micros =
        qmpc_json_member(stamp, "event.timestamp", "microseconds", json_type_int, error);
    if (micros == NULL)
        return false;
    int64_t s = json_object_get_int64(seconds);
    int64_t us = json_object_get_int64(micros);
    bool known = s >= 0 && s < INT64_MAX / G_USEC_PER_SEC && us >= 0 && us < G_USEC_PER_SEC;
    message->realtime_us = known ? s * G_USEC_PER_SEC + us : -1;
    return true;
}

static bool
fill_event(QmpcMessage *message, QmpcJson *payload, GError **error)
{
    message->event = qmpc_json_string(message->json, "message", "event", error);
    if (message->event == NULL || !fill_timestamp(message, error) ||
        !qmpc_json_optional(message->json, "message", "data", json_type_object, &message->data,
                            error))
        return false;
    message->has_data = message->data != NULL;
    return true;
}

static bool
fill_return(QmpcMessage *message, QmpcJson *payload, GError **error)
{
    return true;
}

/* A message is what its distinctive member says. */
static const struct {
    const char *member;
    QmpcMessageKind kind;
    enum json_type type; /* of that member; json_type_null: any */
    bool payload_is_data;
    bool (*fill)(QmpcMessage *message, QmpcJson *payload, GError **error);
} kinds[] = {
    {"QMP", QMPC_MESSAGE_GREETING, json_type_object, true, fill_greeting},
    {"return", QMPC_MESSAGE_RETURN, json_type_null, true, fill_return},
    {"error", QMPC_MESSAGE_ERROR, json_type_object, false, fill_error},
    {"event", QMPC_MESSAGE_EVENT, json_type_string, false, fill_event},
};

/* The index in kinds[], or -1 with `error` unless exactly one distinctive member is there. */
static int
classify(QmpcJson *json, GError **error)
{
    int found = -1;
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!json_object_object_get_ex(json, kinds[i].member, NULL))
            continue;
        if (found >= 0) {
            g_set_error(error, QMPC_ERROR, QMPC_ERROR_PROTOCOL,
                        "QMP message with both \"%s\" and \"%s\"", kinds[found].member,
                        kinds[i].member);
            return -1;
        }
        found = (int)i;
    }
    if (found < 0)
        g_set_error_literal(error, QMPC_ERROR, QMPC_ERROR_PROTOCOL,
                            "neither greeting, reply nor event");
    return found;
}

static bool
fill_message(QmpcMessage *message, GError **error)
{
    int row = classify(message->json, error);
    if (row < 0)
        return false;
    QmpcJson *payload = json_object_object_get(message->json, kinds[row].member);
    if (kinds[row].type != json_type_null && !json_object_is_type(payload, kinds[row].type)) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_PROTOCOL, "\"%s\" is not of type %s",
                    kinds[row].member, json_type_to_name(kinds[row].type));
        return false;
    }
    message->kind = kinds[row].kind;
    if (kinds[row].payload_is_data) {
        message->has_data = true;
        message->data = payload;
    }

    QmpcJson *id = NULL;
    if (json_object_object_get_ex(message->json, "id", &id))
        message->has_id = qmpc_json_u64(id, &message->id);
    return kinds[row].fill(message, payload, error);
}

QmpcMessage *
qmpc_message_parse(const char *json, GError **error)
{
    g_autoptr(QmpcMessage) message = g_new0(QmpcMessage, 1);
    message->json = qmpc_json_parse(json, error);
    if (message->json == NULL)
        return NULL;
    if (!json_object_is_type(message->json, json_type_object)) {
        g_set_error_literal(error, QMPC_ERROR, QMPC_ERROR_PROTOCOL,
                            "a QMP message is an object, this is not");
        return NULL;
    }
    return fill_message(message, error) ? g_steal_pointer(&message) : NULL;
}

QmpcMessageKind
qmpc_message_kind(const QmpcMessage *message)
{
    return message->kind;
}

bool
qmpc_message_id(const QmpcMessage *message, uint64_t *id)
{
    if (message->has_id)
        *id = message->id;
    return message->has_id;
}

const char *
qmpc_message_data(const QmpcMessage *message)
{
    return message->has_data ? qmpc_json_peek_text(message->data) : NULL;
}

const char *
qmpc_message_event(const QmpcMessage *message)
{
    return message->event;
}

int64_t
qmpc_message_event_realtime_us(const QmpcMessage *message)
{
    return message->realtime_us;
}

const char *
qmpc_message_error_class(const QmpcMessage *message)
{
    return message->error_class;
}

const char *
qmpc_message_error_desc(const QmpcMessage *message)
{
    return message->error_desc;
}

bool
qmpc_message_version(const QmpcMessage *message, unsigned *major, unsigned *minor, unsigned *micro)
{
    if (message->kind != QMPC_MESSAGE_GREETING)
        return false;
    *major = message->version[0];
    *minor = message->version[1];
    *micro = message->version[2];
    return true;
}

/* --- Commands --- */

char *
qmpc_json_command(const char *name, QmpcJson *arguments)
{
    g_autoptr(QmpcJson) command = json_object_new_object();
    json_object_object_add(command, "execute", json_object_new_string(name));
    if (arguments != NULL)
        json_object_object_add(command, "arguments", json_object_get(arguments));
    return g_strdup(qmpc_json_peek_text(command));
}

char *
qmpc_command_build(const char *name, const char *arguments, GError **error)
{
    g_autoptr(QmpcJson) value = NULL;
    if (*name == '\0') {
        g_set_error_literal(error, QMPC_ERROR, QMPC_ERROR_ARGUMENT, "a command needs a name");
        return NULL;
    }
    if (arguments != NULL) {
        value = qmpc_json_parse(arguments, error);
        if (value == NULL) {
            g_prefix_error(error, "%s: arguments: ", name);
            return NULL;
        }
        if (!json_object_is_type(value, json_type_object)) {
            g_set_error(error, QMPC_ERROR, QMPC_ERROR_ARGUMENT, "%s: arguments are not an object",
                        name);
            return NULL;
        }
    }
    return qmpc_json_command(name, value);
}

char *
qmpc_command_with_id(const char *command, uint64_t id, GError **error)
{
    g_autoptr(QmpcJson) json = qmpc_json_parse(command, error);
    if (json == NULL) {
        g_prefix_error(error, "command: ");
        return NULL;
    }
    if (!json_object_is_type(json, json_type_object) ||
        !json_object_is_type(json_object_object_get(json, "execute"), json_type_string)) {
        g_set_error_literal(error, QMPC_ERROR, QMPC_ERROR_ARGUMENT,
                            "a command is an object with \"execute\"");
        return NULL;
    }
    json_object_object_add(json, "id", json_object_new_uint64(id));
    return g_strconcat(qmpc_json_peek_text(json), "\n", NULL);
}

/* QEMU's error classes are an ABI; only this one changes what a client does. */
static QmpcError
error_code(const char *error_class)
{
    return strcmp(error_class, "CommandNotFound") == 0 ? QMPC_ERROR_COMMAND_NOT_FOUND
                                                       : QMPC_ERROR_COMMAND;
}

/* The message if it carries "return"; NULL with `error` otherwise. */
static QmpcMessage *
parse_return(const char *command, const char *reply, GError **error)
{
    g_autoptr(QmpcMessage) message = qmpc_message_parse(reply, error);
    if (message == NULL) {
        g_prefix_error(error, "%s: ", command);
        return NULL;
    }
    switch (message->kind) {
    case QMPC_MESSAGE_RETURN:
        return g_steal_pointer(&message);
    case QMPC_MESSAGE_ERROR:
        g_set_error(error, QMPC_ERROR, error_code(message->error_class), "%s: %s", command,
                    message->error_desc);
        return NULL;
    default:
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_PROTOCOL, "%s: not a reply", command);
        return NULL;
    }
}

char *
qmpc_reply_parse(const char *command, const char *reply, GError **error)
{
    g_autoptr(QmpcMessage) message = parse_return(command, reply, error);
    return message != NULL ? g_strdup(qmpc_message_data(message)) : NULL;
}

QmpcJson *
qmpc_json_reply(const char *command, const char *reply, enum json_type type, GError **error)
{
    g_autoptr(QmpcMessage) message = parse_return(command, reply, error);
    if (message == NULL)
        return NULL;
    if (!json_object_is_type(message->data, type)) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s: return: expected %s, found %s",
                    command, json_type_to_name(type),
                    json_type_to_name(json_object_get_type(message->data)));
        return NULL;
    }
    return json_object_get(message->data);
}
