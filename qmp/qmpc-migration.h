/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-migration.h - QEMU's ordinary migration state and its events, typed
 *
 * Strict as qmpc-sev.h. Members that QEMU reports only at times have a `has_` flag.
 */
#ifndef QMPC_MIGRATION_H
#define QMPC_MIGRATION_H

#include <stdbool.h>
#include <stdint.h>

#include "qmpc-transport.h"

/* QEMU's MigrationStatus. */
typedef enum {
    QMPC_MIGRATION_NONE,
    QMPC_MIGRATION_SETUP,
    QMPC_MIGRATION_CANCELLING,
    QMPC_MIGRATION_CANCELLED,
    QMPC_MIGRATION_ACTIVE,
    QMPC_MIGRATION_POSTCOPY_ACTIVE,
    QMPC_MIGRATION_POSTCOPY_PAUSED,
    QMPC_MIGRATION_POSTCOPY_RECOVER_SETUP,
    QMPC_MIGRATION_POSTCOPY_RECOVER,
    QMPC_MIGRATION_COMPLETED,
    QMPC_MIGRATION_FAILED,
    QMPC_MIGRATION_COLO,
    QMPC_MIGRATION_PRE_SWITCHOVER,
    QMPC_MIGRATION_DEVICE,
    QMPC_MIGRATION_WAIT_UNPLUG,
    QMPC_MIGRATION_UNKNOWN, /* a status of a newer QEMU */
} QmpcMigrationStatus;

const char *qmpc_migration_status_name(QmpcMigrationStatus status);
QmpcMigrationStatus qmpc_migration_status_from_name(const char *name);
/* completed, failed, cancelled */
bool qmpc_migration_status_is_final(QmpcMigrationStatus status);

/* --- query-migrate --- */

typedef struct {
    QmpcMigrationStatus status; /* NONE: this QEMU has not migrated yet */
    bool has_total_time;
    uint64_t total_time_ms; /* since the start; in the end, altogether */
    bool has_setup_time;
    uint64_t setup_time_ms;
    bool has_expected_downtime;
    uint64_t expected_downtime_ms;
    bool has_downtime; /* after completion only */
    uint64_t downtime_ms;
    bool has_ram; /* the members below */
    uint64_t transferred_bytes;
    uint64_t remaining_bytes;
    uint64_t total_bytes;
    uint64_t dirty_sync_count;
    uint64_t dirty_pages_per_s; /* 0 where QEMU does not know yet */
    uint64_t page_size_bytes;
    bool has_auto_converge_throttle;
    uint32_t auto_converge_throttle_percent;
    char *error_desc;       /* owned; NULL unless it failed and QEMU said why */
    char **blocked_reasons; /* owned, NULL-terminated; NULL where nothing blocks a migration */
} QmpcMigrationInfo;

void qmpc_migration_info_clear(QmpcMigrationInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QmpcMigrationInfo, qmpc_migration_info_clear)

char *qmpc_migration_query_build(void);
/* `info` needs no initialisation and is to be cleared; not touched on failure. */
bool qmpc_migration_info_parse(const char *reply, QmpcMigrationInfo *info, GError **error);
void qmpc_migration_query_async(QmpcTransport *transport, unsigned timeout_ms,
                                GCancellable *cancellable, GAsyncReadyCallback callback,
                                gpointer user_data);
bool qmpc_migration_query_finish(QmpcTransport *transport, GAsyncResult *result,
                                 QmpcMigrationInfo *info, GError **error);

/* --- query-migrate-capabilities, query-migrate-parameters: what a controller must know --- */

typedef struct {
    bool auto_converge;
    bool events; /* without it there is no MIGRATION event; libvirt turns it on */
    bool pause_before_switchover;
    bool return_path; /* without it SEV guests cannot migrate */
    bool multifd;
    bool postcopy_ram;
    bool xbzrle;
} QmpcMigrationCapabilities;

char *qmpc_migration_capabilities_build(void);
bool qmpc_migration_capabilities_parse(const char *reply, QmpcMigrationCapabilities *capabilities,
                                       GError **error);

typedef struct {
    uint64_t downtime_limit_ms;
    uint64_t max_bandwidth_bytes_per_s; /* 0: unlimited */
    uint32_t cpu_throttle_initial_percent;
    uint32_t cpu_throttle_increment_percent;
    uint32_t max_cpu_throttle_percent;
} QmpcMigrationParameters;

char *qmpc_migration_parameters_build(void);
bool qmpc_migration_parameters_parse(const char *reply, QmpcMigrationParameters *parameters,
                                     GError **error);

/* --- Events --- */

typedef enum {
    QMPC_EVENT_OTHER, /* none of those below */
    QMPC_EVENT_MIGRATION,
    QMPC_EVENT_MIGRATION_PASS,
    QMPC_EVENT_SEV_LEASE_EXPIRED,
    QMPC_EVENT_STOP,
    QMPC_EVENT_RESUME,
    QMPC_EVENT_GUEST_PANICKED,
} QmpcEventType;

typedef struct {
    QmpcEventType type;
    QmpcMigrationStatus status; /* MIGRATION */
    uint64_t pass;              /* MIGRATION_PASS */
} QmpcEvent;

/*
 * `name` and `data` as an event callback, of this library or of libvirt's qemu event, gives them;
 * `data` is JSON text, NULL or empty for none. An event unknown to the library is OTHER, not an
 * error.
 */
bool qmpc_event_parse(const char *name, const char *data, QmpcEvent *event, GError **error);

#endif
