/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmpc-json.h"

#include <errno.h>
#include <string.h>

#include "qmpc-wire.h"

GQuark
qmpc_error_quark(void)
{
    return g_quark_from_static_string("qmpc-error-quark");
}

/* Whether each integer of a text that is JSON fits 64 bits: json-c before 0.17 takes the largest
 * number there is for one that does not. */
static bool
integers_fit(const char *text)
{
    bool quoted = false;
    while (*text != '\0') {
        if (*text == '"')
            quoted = !quoted;
        else if (quoted && *text == '\\')
            text++;
        size_t length = quoted ? 0 : strspn(text, "+-.0123456789Ee");
        if (length > 0 && strcspn(text, ".Ee") >= length) {
            errno = 0;
            if (*text == '-')
                (void)g_ascii_strtoll(text, NULL, 10);
            else
                (void)g_ascii_strtoull(text, NULL, 10);
            if (errno == ERANGE)
                return false;
        }
        text += MAX(length, 1);
    }
    return true;
}

static QmpcJson *
parse_bounded(const char *text, size_t length, GError **error)
{
    struct json_tokener *tokener = json_tokener_new_ex(QMPC_WIRE_MAX_DEPTH);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    /* The terminating NUL is given too: without it a number at the very end looks unfinished. */
    QmpcJson *value = json_tokener_parse_ex(tokener, text, (int)length + 1);
    enum json_tokener_error status = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    json_tokener_free(tokener);

    bool fits = status != json_tokener_success || end < length || integers_fit(text);
    if (status == json_tokener_success && end >= length && fits)
        return value;
    json_object_put(value);
    if (!fits)
        g_set_error_literal(error, QMPC_ERROR, QMPC_ERROR_PARSE, "an integer does not fit 64 bits");
    else if (status == json_tokener_error_depth)
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_LIMIT, "JSON is nested deeper than %u levels",
                    QMPC_WIRE_MAX_DEPTH);
    else if (status == json_tokener_success)
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_PARSE, "more follows the JSON value at byte %zu",
                    end);
    else
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_PARSE, "not JSON at byte %zu: %s", end,
                    json_tokener_error_desc(status));
    return NULL;
}

QmpcJson *
qmpc_json_parse(const char *text, GError **error)
{
    size_t length = strlen(text);
    if (length > QMPC_WIRE_MAX_BYTES) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_LIMIT,
                    "JSON of %zu bytes is longer than the limit of %u", length,
                    QMPC_WIRE_MAX_BYTES);
        return NULL;
    }
    g_autofree char *trimmed = NULL;
    while (length > 0 && g_ascii_isspace(text[length - 1]))
        length--;
    if (text[length] != '\0')
        text = trimmed = g_strndup(text, length);
    g_autoptr(QmpcJson) value = parse_bounded(text, length, error);
    if (value == NULL && error != NULL && *error == NULL)
        g_set_error_literal(error, QMPC_ERROR, QMPC_ERROR_PARSE, "null where a value is needed");
    return g_steal_pointer(&value);
}

const char *
qmpc_json_peek_text(QmpcJson *value)
{
    return json_object_to_json_string_ext(value,
                                          JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

static bool
check_type(QmpcJson *value, const char *path, const char *name, enum json_type type, GError **error)
{
    enum json_type found = json_object_get_type(value);
    if (found == type)
        return true;
    g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s.%s: expected %s, found %s", path, name,
                json_type_to_name(type), json_type_to_name(found));
    return false;
}

bool
qmpc_json_optional(QmpcJson *json, const char *path, const char *name, enum json_type type,
                   QmpcJson **member, GError **error)
{
    QmpcJson *found = NULL;
    if (json_object_object_get_ex(json, name, &found) &&
        !check_type(found, path, name, type, error))
        return false;
    *member = found;
    return true;
}

QmpcJson *
qmpc_json_member(QmpcJson *json, const char *path, const char *name, enum json_type type,
                 GError **error)
{
    QmpcJson *found = NULL;
    if (!qmpc_json_optional(json, path, name, type, &found, error))
        return NULL;
    if (found == NULL)
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s.%s: missing", path, name);
    return found;
}

const char *
qmpc_json_string(QmpcJson *json, const char *path, const char *name, GError **error)
{
    QmpcJson *value = qmpc_json_member(json, path, name, json_type_string, error);
    if (value == NULL)
        return NULL;
    const char *text = json_object_get_string(value);
    if (strlen(text) != (size_t)json_object_get_string_len(value)) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s.%s: NUL within a string", path, name);
        return NULL;
    }
    return text;
}

bool
qmpc_json_u64(QmpcJson *value, uint64_t *out)
{
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
        return false;
    *out = json_object_get_uint64(value);
    return true;
}

static bool
read_enum(QmpcJson *value, const char *path, const QmpcField *field, void *place, GError **error)
{
    if (!check_type(value, path, field->name, json_type_string, error))
        return false;
    const char *text = json_object_get_string(value);
    for (int i = 0; field->names[i] != NULL; i++) {
        if (strcmp(field->names[i], text) == 0) {
            *(int *)place = i;
            return true;
        }
    }
    g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s.%s: unknown value \"%s\"", path,
                field->name, text);
    return false;
}

static bool
read_integer(QmpcJson *value, const char *path, const QmpcField *field, void *place, GError **error)
{
    uint64_t number;
    if (!qmpc_json_u64(value, &number)) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s.%s: not a non-negative integer", path,
                    field->name);
        return false;
    }
    if (field->type == QMPC_FIELD_U64) {
        *(uint64_t *)place = number;
        return true;
    }
    if (number > UINT32_MAX) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER,
                    "%s.%s: %" G_GUINT64_FORMAT " is too large", path, field->name, number);
        return false;
    }
    *(uint32_t *)place = (uint32_t)number;
    return true;
}

static bool
read_field(QmpcJson *value, const char *path, const QmpcField *field, void *place, GError **error)
{
    switch (field->type) {
    case QMPC_FIELD_BOOL:
        if (!check_type(value, path, field->name, json_type_boolean, error))
            return false;
        *(bool *)place = json_object_get_boolean(value);
        return true;
    case QMPC_FIELD_U32:
    case QMPC_FIELD_U64:
        return read_integer(value, path, field, place, error);
    case QMPC_FIELD_ENUM:
        return read_enum(value, path, field, place, error);
    }
    g_return_val_if_reached(false);
}

bool
qmpc_json_read(QmpcJson *json, const char *path, const QmpcField *fields, size_t n_fields,
               void *out, GError **error)
{
    for (size_t i = 0; i < n_fields; i++) {
        const QmpcField *field = &fields[i];
        QmpcJson *value = NULL;
        bool found = json_object_object_get_ex(json, field->name, &value);
        if (!found && !field->optional) {
            g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s.%s: missing", path, field->name);
            return false;
        }
        if (found && !read_field(value, path, field, (char *)out + field->offset, error))
            return false;
        if (field->flag_end > 0)
            *(bool *)((char *)out + field->flag_end - 1) = found;
    }
    return true;
}
