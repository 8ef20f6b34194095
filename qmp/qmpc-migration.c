/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmpc-migration.h"

#include <string.h>

#include "qmpc-call.h"
#include "qmpc-json.h"
#include "qmpc-sev.h"
#include "qmpc-wire.h"

static const char *const status_names[] = {
    [QMPC_MIGRATION_NONE] = "none",
    [QMPC_MIGRATION_SETUP] = "setup",
    [QMPC_MIGRATION_CANCELLING] = "cancelling",
    [QMPC_MIGRATION_CANCELLED] = "cancelled",
    [QMPC_MIGRATION_ACTIVE] = "active",
    [QMPC_MIGRATION_POSTCOPY_ACTIVE] = "postcopy-active",
    [QMPC_MIGRATION_POSTCOPY_PAUSED] = "postcopy-paused",
    [QMPC_MIGRATION_POSTCOPY_RECOVER_SETUP] = "postcopy-recover-setup",
    [QMPC_MIGRATION_POSTCOPY_RECOVER] = "postcopy-recover",
    [QMPC_MIGRATION_COMPLETED] = "completed",
    [QMPC_MIGRATION_FAILED] = "failed",
    [QMPC_MIGRATION_COLO] = "colo",
    [QMPC_MIGRATION_PRE_SWITCHOVER] = "pre-switchover",
    [QMPC_MIGRATION_DEVICE] = "device",
    [QMPC_MIGRATION_WAIT_UNPLUG] = "wait-unplug",
    [QMPC_MIGRATION_UNKNOWN] = "unknown",
};

const char *
qmpc_migration_status_name(QmpcMigrationStatus status)
{
    return status_names[status];
}

QmpcMigrationStatus
qmpc_migration_status_from_name(const char *name)
{
    for (int i = 0; i < QMPC_MIGRATION_UNKNOWN; i++) {
        if (strcmp(status_names[i], name) == 0)
            return (QmpcMigrationStatus)i;
    }
    return QMPC_MIGRATION_UNKNOWN;
}

bool
qmpc_migration_status_is_final(QmpcMigrationStatus status)
{
    return status == QMPC_MIGRATION_COMPLETED || status == QMPC_MIGRATION_FAILED ||
           status == QMPC_MIGRATION_CANCELLED;
}

/* --- query-migrate --- */

#define QUERY_MIGRATE "query-migrate"

static const QmpcField info_fields[] = {
    QMPC_FIELD_OPT(U64, QmpcMigrationInfo, "total-time", total_time_ms, has_total_time),
    QMPC_FIELD_OPT(U64, QmpcMigrationInfo, "setup-time", setup_time_ms, has_setup_time),
    QMPC_FIELD_OPT(U64, QmpcMigrationInfo, "expected-downtime", expected_downtime_ms,
                   has_expected_downtime),
    QMPC_FIELD_OPT(U64, QmpcMigrationInfo, "downtime", downtime_ms, has_downtime),
    QMPC_FIELD_OPT(U32, QmpcMigrationInfo, "cpu-throttle-percentage",
                   auto_converge_throttle_percent, has_auto_converge_throttle),
};

static const QmpcField ram_fields[] = {
    QMPC_FIELD(U64, QmpcMigrationInfo, "transferred", transferred_bytes),
    QMPC_FIELD(U64, QmpcMigrationInfo, "remaining", remaining_bytes),
    QMPC_FIELD(U64, QmpcMigrationInfo, "total", total_bytes),
    QMPC_FIELD(U64, QmpcMigrationInfo, "dirty-sync-count", dirty_sync_count),
    QMPC_FIELD(U64, QmpcMigrationInfo, "dirty-pages-rate", dirty_pages_per_s),
    QMPC_FIELD(U64, QmpcMigrationInfo, "page-size", page_size_bytes),
};

void
qmpc_migration_info_clear(QmpcMigrationInfo *info)
{
    g_free(info->error_desc);
    g_strfreev(info->blocked_reasons);
    memset(info, 0, sizeof(*info));
}

char *
qmpc_migration_query_build(void)
{
    return qmpc_command_build(QUERY_MIGRATE, NULL, NULL);
}

/* A QEMU that never migrated answers with an empty object. */
static bool
read_status(QmpcJson *root, QmpcMigrationStatus *status, GError **error)
{
    *status = QMPC_MIGRATION_NONE;
    if (!json_object_object_get_ex(root, "status", NULL))
        return true;
    const char *name = qmpc_json_string(root, "return", "status", error);
    if (name == NULL)
        return false;
    *status = qmpc_migration_status_from_name(name);
    return true;
}

/* What QEMU has against a migration of this guest, as it says at any time. */
static bool
read_blocked_reasons(QmpcJson *root, QmpcMigrationInfo *info, GError **error)
{
    QmpcJson *reasons = NULL;
    if (!qmpc_json_optional(root, "return", "blocked-reasons", json_type_array, &reasons, error))
        return false;
    size_t n = reasons != NULL ? json_object_array_length(reasons) : 0;
    g_autoptr(GStrvBuilder) texts = g_strv_builder_new();
    for (size_t i = 0; i < n; i++) {
        QmpcJson *reason = json_object_array_get_idx(reasons, i);
        if (!json_object_is_type(reason, json_type_string)) {
            g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER,
                        "return.blocked-reasons[%zu]: not a string", i);
            return false;
        }
        g_strv_builder_add(texts, json_object_get_string(reason));
    }
    info->blocked_reasons = n > 0 ? g_strv_builder_end(texts) : NULL;
    return true;
}

static bool
read_info(QmpcJson *root, QmpcMigrationInfo *info, GError **error)
{
    QmpcJson *ram = NULL;
    QmpcJson *desc = NULL;
    if (!read_status(root, &info->status, error) ||
        !qmpc_json_read(root, "return", info_fields, G_N_ELEMENTS(info_fields), info, error) ||
        !qmpc_json_optional(root, "return", "error-desc", json_type_string, &desc, error) ||
        !qmpc_json_optional(root, "return", "ram", json_type_object, &ram, error) ||
        !read_blocked_reasons(root, info, error))
        return false;
    info->error_desc = desc != NULL ? g_strdup(json_object_get_string(desc)) : NULL;
    info->has_ram = ram != NULL;
    return ram == NULL ||
           qmpc_json_read(ram, "return.ram", ram_fields, G_N_ELEMENTS(ram_fields), info, error);
}

bool
qmpc_migration_info_parse(const char *reply, QmpcMigrationInfo *out, GError **error)
{
    g_auto(QmpcMigrationInfo) info = {0};
    g_autoptr(QmpcJson) root = qmpc_json_reply(QUERY_MIGRATE, reply, json_type_object, error);
    if (root == NULL)
        return false;
    if (!read_info(root, &info, error)) {
        g_prefix_error(error, QUERY_MIGRATE ": ");
        return false;
    }
    *out = info;
    memset(&info, 0, sizeof(info));
    return true;
}

void
qmpc_migration_query_async(QmpcTransport *transport, unsigned timeout_ms, GCancellable *cancellable,
                           GAsyncReadyCallback callback, gpointer user_data)
{
    qmpc_call_async(transport, qmpc_migration_query_build(), NULL, timeout_ms, cancellable,
                    callback, user_data);
}

bool
qmpc_migration_query_finish(QmpcTransport *transport, GAsyncResult *result, QmpcMigrationInfo *info,
                            GError **error)
{
    g_autofree char *reply = qmpc_call_finish(result, error);
    return reply != NULL && qmpc_migration_info_parse(reply, info, error);
}

/* --- query-migrate-capabilities --- */

#define QUERY_CAPABILITIES "query-migrate-capabilities"

static const struct {
    const char *name;
    size_t offset; /* of a bool in QmpcMigrationCapabilities */
} capability_rows[] = {
    {"auto-converge", offsetof(QmpcMigrationCapabilities, auto_converge)},
    {"events", offsetof(QmpcMigrationCapabilities, events)},
    {"pause-before-switchover", offsetof(QmpcMigrationCapabilities, pause_before_switchover)},
    {"return-path", offsetof(QmpcMigrationCapabilities, return_path)},
    {"multifd", offsetof(QmpcMigrationCapabilities, multifd)},
    {"postcopy-ram", offsetof(QmpcMigrationCapabilities, postcopy_ram)},
    {"xbzrle", offsetof(QmpcMigrationCapabilities, xbzrle)},
};

char *
qmpc_migration_capabilities_build(void)
{
    return qmpc_command_build(QUERY_CAPABILITIES, NULL, NULL);
}

static bool
read_capability(QmpcJson *entry, size_t index, QmpcMigrationCapabilities *capabilities, bool seen[],
                GError **error)
{
    g_autofree char *path = g_strdup_printf(QUERY_CAPABILITIES ": return[%zu]", index);
    if (!json_object_is_type(entry, json_type_object)) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s: not an object", path);
        return false;
    }
    const char *name = qmpc_json_string(entry, path, "capability", error);
    if (name == NULL)
        return false;
    QmpcJson *state = qmpc_json_member(entry, path, "state", json_type_boolean, error);
    if (state == NULL)
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(capability_rows); i++) {
        if (strcmp(capability_rows[i].name, name) != 0)
            continue;
        *(bool *)((char *)capabilities + capability_rows[i].offset) =
            json_object_get_boolean(state);
        seen[i] = true;
    }
    return true;
}

bool
qmpc_migration_capabilities_parse(const char *reply, QmpcMigrationCapabilities *out, GError **error)
{
    QmpcMigrationCapabilities capabilities = {0};
    bool seen[G_N_ELEMENTS(capability_rows)] = {0};
    g_autoptr(QmpcJson) root = qmpc_json_reply(QUERY_CAPABILITIES, reply, json_type_array, error);
    if (root == NULL)
        return false;
    for (size_t i = 0; i < json_object_array_length(root); i++) {
        if (!read_capability(json_object_array_get_idx(root, i), i, &capabilities, seen, error))
            return false;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(capability_rows); i++) {
        if (seen[i])
            continue;
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, QUERY_CAPABILITIES ": %s: missing",
                    capability_rows[i].name);
        return false;
    }
    *out = capabilities;
    return true;
}

/* --- query-migrate-parameters --- */

#define QUERY_PARAMETERS "query-migrate-parameters"

static const QmpcField parameter_fields[] = {
    QMPC_FIELD(U64, QmpcMigrationParameters, "downtime-limit", downtime_limit_ms),
    QMPC_FIELD(U64, QmpcMigrationParameters, "max-bandwidth", max_bandwidth_bytes_per_s),
    QMPC_FIELD(U32, QmpcMigrationParameters, "cpu-throttle-initial", cpu_throttle_initial_percent),
    QMPC_FIELD(U32, QmpcMigrationParameters, "cpu-throttle-increment",
               cpu_throttle_increment_percent),
    QMPC_FIELD(U32, QmpcMigrationParameters, "max-cpu-throttle", max_cpu_throttle_percent),
};

char *
qmpc_migration_parameters_build(void)
{
    return qmpc_command_build(QUERY_PARAMETERS, NULL, NULL);
}

bool
qmpc_migration_parameters_parse(const char *reply, QmpcMigrationParameters *out, GError **error)
{
    QmpcMigrationParameters parameters = {0};
    g_autoptr(QmpcJson) root = qmpc_json_reply(QUERY_PARAMETERS, reply, json_type_object, error);
    if (root == NULL || !qmpc_json_read(root, QUERY_PARAMETERS ": return", parameter_fields,
                                        G_N_ELEMENTS(parameter_fields), &parameters, error))
        return false;
    *out = parameters;
    return true;
}

/* --- Events --- */

static const struct {
    const char *name;
    QmpcEventType type;
} event_rows[] = {
    {"MIGRATION", QMPC_EVENT_MIGRATION},
    {"MIGRATION_PASS", QMPC_EVENT_MIGRATION_PASS},
    {QMPC_SEV_LEASE_EVENT, QMPC_EVENT_SEV_LEASE_EXPIRED},
    {"STOP", QMPC_EVENT_STOP},
    {"RESUME", QMPC_EVENT_RESUME},
    {"GUEST_PANICKED", QMPC_EVENT_GUEST_PANICKED},
};

static bool
fill_event(QmpcJson *data, const char *name, QmpcEvent *event, GError **error)
{
    static const QmpcField pass_fields[] = {QMPC_FIELD(U64, QmpcEvent, "pass", pass)};
    if (event->type == QMPC_EVENT_MIGRATION) {
        const char *status = qmpc_json_string(data, name, "status", error);
        if (status == NULL)
            return false;
        event->status = qmpc_migration_status_from_name(status);
    }
    return event->type != QMPC_EVENT_MIGRATION_PASS ||
           qmpc_json_read(data, name, pass_fields, G_N_ELEMENTS(pass_fields), event, error);
}

bool
qmpc_event_parse(const char *name, const char *data, QmpcEvent *out, GError **error)
{
    QmpcEvent event = {.type = QMPC_EVENT_OTHER};
    for (size_t i = 0; i < G_N_ELEMENTS(event_rows); i++) {
        if (strcmp(event_rows[i].name, name) == 0)
            event.type = event_rows[i].type;
    }
    g_autoptr(QmpcJson) json = qmpc_json_parse(data != NULL && *data != '\0' ? data : "{}", error);
    if (json == NULL) {
        g_prefix_error(error, "%s: ", name);
        return false;
    }
    if (!json_object_is_type(json, json_type_object)) {
        g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s: data is not an object", name);
        return false;
    }
    if (!fill_event(json, name, &event, error))
        return false;
    *out = event;
    return true;
}
