/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-json.h - strict reading of JSON; internal, the only header that knows json-c
 *
 * Members are described by tables of QmpcField and read into plain structs. Errors name the path.
 */
#ifndef QMPC_JSON_H
#define QMPC_JSON_H

#include <json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmpc-error.h"

typedef struct json_object QmpcJson; /* counted by json-c */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpcJson, json_object_put)

/* One JSON value and nothing after it but white space; UTF-8; within the limits of the wire. */
QmpcJson *qmpc_json_parse(const char *text, GError **error);

/* On one line. The value's own; NULL is JSON's null. */
const char *qmpc_json_peek_text(QmpcJson *value);

typedef enum {
    QMPC_FIELD_BOOL, /* bool */
    QMPC_FIELD_U32,  /* uint32_t */
    QMPC_FIELD_U64,  /* uint64_t */
    QMPC_FIELD_ENUM, /* an enum that counts from 0, by its names */
} QmpcFieldType;

typedef struct {
    const char *name;
    QmpcFieldType type;
    size_t offset; /* in the struct that is filled */
    bool optional;
    size_t flag_end; /* optional: 1 + offset of the bool that tells presence; 0: none is kept */
    const char *const *names; /* ENUM: NULL-terminated */
} QmpcField;

#define QMPC_FIELD(kind, owner, json_name, member)                                                 \
    {                                                                                              \
        .name = (json_name), .type = QMPC_FIELD_##kind, .offset = offsetof(owner, member)          \
    }
#define QMPC_FIELD_OPT(kind, owner, json_name, member, flag)                                       \
    {                                                                                              \
        .name = (json_name), .type = QMPC_FIELD_##kind, .offset = offsetof(owner, member),         \
        .optional = true, .flag_end = offsetof(owner, flag) + 1                                    \
    }
#define QMPC_FIELD_NAMED(owner, json_name, member, list)                                           \
    {                                                                                              \
        .name = (json_name), .type = QMPC_FIELD_ENUM, .offset = offsetof(owner, member),           \
        .names = (list)                                                                            \
    }

/* Reads the members of the object `json`, found at `path`, into `out`; absent optional ones are 0.
 */
bool qmpc_json_read(QmpcJson *json, const char *path, const QmpcField *fields, size_t n_fields,
                    void *out, GError **error);

/*
 * The member `name` of `json`, which must be of `type`; NULL with `error` otherwise. Borrowed. The
 * second form gives NULL without an error if it is absent.
 */
QmpcJson *qmpc_json_member(QmpcJson *json, const char *path, const char *name, enum json_type type,
                           GError **error);
bool qmpc_json_optional(QmpcJson *json, const char *path, const char *name, enum json_type type,
                        QmpcJson **member, GError **error);

/* A string member without NUL inside; NULL with `error` otherwise. Borrowed. */
const char *qmpc_json_string(QmpcJson *json, const char *path, const char *name, GError **error);

/* False if it is not a non-negative integer. */
bool qmpc_json_u64(QmpcJson *value, uint64_t *out);

/* In qmpc-wire.c: as qmpc_command_build() and qmpc_reply_parse(), but without going through text;
 * the reply's value is of `type`. */
char *qmpc_json_command(const char *name, QmpcJson *arguments);
QmpcJson *qmpc_json_reply(const char *command, const char *reply, enum json_type type,
                          GError **error);

#endif
