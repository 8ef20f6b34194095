/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whoever asks without waiting for answers fills this process and polkit with questions. The bus
 * bounds only what awaits a reply, and a message may say that it wants none.
 */
#include "bus-private.h"

#include "log.h"
#include "sevmig-error.h"

#define MOST_CALLS 64u /* under way, of one caller */

typedef struct {
    guint n_calls;
    gboolean told;
} SevmigBusCaller;

gboolean
sevmig_bus_caller_enter(SevmigBus *self, const char *sender, GError **error)
{
    SevmigBusCaller *caller = g_hash_table_lookup(self->callers, sender);

    if (caller == NULL) {
        caller = g_new0(SevmigBusCaller, 1);
        g_hash_table_insert(self->callers, g_strdup(sender), caller);
    }
    if (caller->n_calls < MOST_CALLS) {
        caller->n_calls++;
        return TRUE;
    }
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_BUSY,
                "%u calls of %s are under way; expected at most that: wait for answers", MOST_CALLS,
                sender);
    if (!caller->told)
        sevmig_log(SEVMIG_MESSAGE_CALLER_BUSY, NULL, "refusing calls: %s", (*error)->message);
    caller->told = TRUE;
    return FALSE;
}

void
sevmig_bus_caller_leave(SevmigBus *self, const char *sender)
{
    SevmigBusCaller *caller = g_hash_table_lookup(self->callers, sender);

    if (--caller->n_calls == 0)
        g_hash_table_remove(self->callers, sender);
}
