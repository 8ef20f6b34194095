/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * QEMU describes itself as a flat list of entities. Commands and events carry their real names; the
 * types they refer to are masked ("17"), so a command's arguments are found by looking up the
 * object type that it names.
 */
#include "qmpc-schema.h"

#include <string.h>

#include "qmpc-call.h"
#include "qmpc-json.h"
#include "qmpc-sev.h"
#include "qmpc-wire.h"

#define QUERY_SCHEMA "query-qmp-schema"

struct QmpcSchema {
    GHashTable *commands; /* name -> set of argument names */
    GHashTable *events;   /* set of names */
};

char *
qmpc_schema_build(void)
{
    return qmpc_command_build(QUERY_SCHEMA, NULL, NULL);
}

void
qmpc_schema_free(QmpcSchema *schema)
{
    if (schema == NULL)
        return;
    g_hash_table_unref(schema->commands);
    g_hash_table_unref(schema->events);
    g_free(schema);
}

static GHashTable *
set_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

/* Adds the argument names of object type `type` to `arguments`. */
static bool
add_members(QmpcJson *type, GHashTable *arguments, GError **error)
{
    QmpcJson *members = qmpc_json_member(type, QUERY_SCHEMA, "members", json_type_array, error);
    if (members == NULL)
        return false;
    for (size_t i = 0; i < json_object_array_length(members); i++) {
        QmpcJson *member = json_object_array_get_idx(members, i);
        if (!json_object_is_type(member, json_type_object)) {
            g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER,
                        QUERY_SCHEMA ": members[%zu]: not an object", i);
            return false;
        }
        const char *name = qmpc_json_string(member, QUERY_SCHEMA ": members", "name", error);
        if (name == NULL)
            return false;
        g_hash_table_add(arguments, g_strdup(name));
    }
    return true;
}

static bool
add_command(QmpcSchema *schema, GHashTable *types, QmpcJson *entity, const char *name,
            GError **error)
{
    const char *type_name = qmpc_json_string(entity, name, "arg-type", error);
    if (type_name == NULL)
        return false;
    QmpcJson *type = g_hash_table_lookup(types, type_name);
    if (type == NULL) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER,
                    QUERY_SCHEMA ": %s: argument type %s is not described", name, type_name);
        return false;
    }
    GHashTable *arguments = set_new();
    g_hash_table_replace(schema->commands, g_strdup(name), arguments);
    return add_members(type, arguments, error);
}

static bool
entity_names(QmpcJson *list, size_t index, const char **name, const char **meta_type,
             GError **error)
{
    g_autofree char *path = g_strdup_printf(QUERY_SCHEMA ": return[%zu]", index);
    QmpcJson *entity = json_object_array_get_idx(list, index);
    if (!json_object_is_type(entity, json_type_object)) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s: not an object", path);
        return false;
    }
    *name = qmpc_json_string(entity, path, "name", error);
    if (*name == NULL)
        return false;
    *meta_type = qmpc_json_string(entity, path, "meta-type", error);
    return *meta_type != NULL;
}

/* Types first: commands refer to them in no particular order. */
static bool
fill(QmpcSchema *schema, QmpcJson *list, GHashTable *types, GError **error)
{
    const char *name;
    const char *meta_type;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!entity_names(list, i, &name, &meta_type, error))
            return false;
        if (strcmp(meta_type, "object") == 0)
            g_hash_table_insert(types, (gpointer)name, json_object_array_get_idx(list, i));
        else if (strcmp(meta_type, "event") == 0)
            g_hash_table_add(schema->events, g_strdup(name));
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        if (!entity_names(list, i, &name, &meta_type, error))
            return false;
        if (strcmp(meta_type, "command") == 0 &&
            !add_command(schema, types, json_object_array_get_idx(list, i), name, error))
            return false;
    }
    return true;
}

QmpcSchema *
qmpc_schema_parse(const char *reply, GError **error)
{
    g_autoptr(QmpcJson) list = qmpc_json_reply(QUERY_SCHEMA, reply, json_type_array, error);
    if (list == NULL)
        return NULL;
    g_autoptr(GHashTable) types = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(QmpcSchema) schema = g_new0(QmpcSchema, 1);
    schema->commands =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    schema->events = set_new();
    return fill(schema, list, types, error) ? g_steal_pointer(&schema) : NULL;
}

bool
qmpc_schema_has_command(const QmpcSchema *schema, const char *command)
{
    return g_hash_table_contains(schema->commands, command);
}

bool
qmpc_schema_has_event(const QmpcSchema *schema, const char *event)
{
    return g_hash_table_contains(schema->events, event);
}

bool
qmpc_schema_has_argument(const QmpcSchema *schema, const char *command, const char *argument)
{
    GHashTable *arguments = g_hash_table_lookup(schema->commands, command);
    return arguments != NULL && g_hash_table_contains(arguments, argument);
}

bool
qmpc_schema_check_sev_migration(const QmpcSchema *schema, GError **error)
{
    static const char *const commands[] = {QMPC_SEV_QUERY_COMMAND, QMPC_SEV_TUNE_COMMAND};
    static const char *const arguments[] = {
        "batch-pages",       "batch-gap-pages",  "vcpu-throttle", "vcpu-throttles",
        "throttle-slice-us", "sync-interval-ms", "switchover",    "downtime-limit-us",
        "hold-sending",      "lease-ms",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (qmpc_schema_has_command(schema, commands[i]))
            continue;
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND,
                    "this QEMU has no %s: it lacks sevmig's patches", commands[i]);
        return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(arguments); i++) {
        if (qmpc_schema_has_argument(schema, QMPC_SEV_TUNE_COMMAND, arguments[i]))
            continue;
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND,
                    "this QEMU's %s has no argument %s", QMPC_SEV_TUNE_COMMAND, arguments[i]);
        return false;
    }
    if (qmpc_schema_has_event(schema, QMPC_SEV_LEASE_EVENT))
        return true;
    g_set_error(error, QMPC_ERROR, QMPC_ERROR_COMMAND_NOT_FOUND, "this QEMU has no event %s",
                QMPC_SEV_LEASE_EVENT);
    return false;
}

void
qmpc_schema_query_async(QmpcTransport *transport, unsigned timeout_ms, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer user_data)
{
    qmpc_call_async(transport, qmpc_schema_build(), NULL, timeout_ms, cancellable, callback,
                    user_data);
}

QmpcSchema *
qmpc_schema_query_finish(QmpcTransport *transport, GAsyncResult *result, GError **error)
{
    g_autofree char *reply = qmpc_call_finish(result, error);
    return reply != NULL ? qmpc_schema_parse(reply, error) : NULL;
}
