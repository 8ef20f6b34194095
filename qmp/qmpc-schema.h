/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-schema.h - what a QEMU can do, from query-qmp-schema
 */
#ifndef QMPC_SCHEMA_H
#define QMPC_SCHEMA_H

#include <stdbool.h>

#include "qmpc-transport.h"

typedef struct QmpcSchema QmpcSchema;

char *qmpc_schema_build(void); /* the command; caller frees */
/* `reply` is the whole reply, as a transport brings it. */
QmpcSchema *qmpc_schema_parse(const char *reply, GError **error);
void qmpc_schema_free(QmpcSchema *schema);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(QmpcSchema, qmpc_schema_free)

bool qmpc_schema_has_command(const QmpcSchema *schema, const char *command);
bool qmpc_schema_has_event(const QmpcSchema *schema, const char *event);
/* false if the command is unknown, or knows no such argument. */
bool qmpc_schema_has_argument(const QmpcSchema *schema, const char *command, const char *argument);

/*
 * Whether this QEMU speaks the SEV migration contract: both commands, all arguments, the event.
 * Otherwise false with `error` naming the first that is missing.
 */
bool qmpc_schema_check_sev_migration(const QmpcSchema *schema, GError **error);

void qmpc_schema_query_async(QmpcTransport *transport, unsigned timeout_ms,
                             GCancellable *cancellable, GAsyncReadyCallback callback,
                             gpointer user_data);
QmpcSchema *qmpc_schema_query_finish(QmpcTransport *transport, GAsyncResult *result,
                                     GError **error);

#endif
