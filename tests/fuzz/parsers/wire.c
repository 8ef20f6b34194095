/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes over a monitor: framing, messages, the answers and events that are read out of them.
 */
#include "fuzz.h"

#include "qmpc-migration.h"
#include "qmpc-sev.h"
#include "qmpc-wire.h"

static void
read_all(const char *json)
{
    g_autoptr(QmpcMessage) message = qmpc_message_parse(json, NULL);
    g_auto(QmpcSevStatus) status = {0};
    g_auto(QmpcMigrationInfo) info = {0};
    QmpcEvent event;
    uint64_t id;

    qmpc_sev_status_parse(json, &status, NULL);
    qmpc_migration_info_parse(json, &info, NULL);
    if (message == NULL)
        return;
    qmpc_message_id(message, &id);
    if (qmpc_message_kind(message) == QMPC_MESSAGE_EVENT)
        qmpc_event_parse(qmpc_message_event(message), qmpc_message_data(message), &event, NULL);
}

/* In pieces, of a size that the first byte says. */
static void
take(const uint8_t *data, size_t size)
{
    g_autoptr(QmpcFramer) framer = qmpc_framer_new(0, 0);
    size_t piece = size > 0 ? data[0] + 1u : 1;

    for (size_t at = 1; at < size; at += piece) {
        char *json = NULL;

        qmpc_framer_push(framer, (const char *)data + at, MIN(piece, size - at));
        while (qmpc_framer_next(framer, &json, NULL) && json != NULL) {
            read_all(json);
            g_clear_pointer(&json, g_free);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double began_s = fuzz_cpu_s();

    take(data, size);
    g_assert_cmpfloat(fuzz_cpu_s() - began_s, <, FUZZ_MOST_CALLER_S);
    return 0;
}
