/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "detect.h"

#include <libvirt/virterror.h>

gboolean
sevmig_detect_status_starts(QmpcMigrationStatus status)
{
    /* `setup` is the start; `active` is seen first by who registered for events in between. */
    return status == QMPC_MIGRATION_SETUP || status == QMPC_MIGRATION_ACTIVE;
}

static const struct {
    int state;
    int reason; /* -1: any */
    SevmigSide side;
} by_state[] = {
    {VIR_DOMAIN_NOSTATE, -1, SEVMIG_SIDE_NONE},
    {VIR_DOMAIN_SHUTOFF, -1, SEVMIG_SIDE_NONE},
    {VIR_DOMAIN_CRASHED, -1, SEVMIG_SIDE_NONE},
    /* libvirt starts an incoming QEMU in this, and waits in PAUSED_MIGRATION, in which a source is
       as well whose vCPUs stand: without --live, or paused meanwhile. */
    {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, SEVMIG_SIDE_DESTINATION},
    {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE, SEVMIG_SIDE_NONE},
    {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_DUMP, SEVMIG_SIDE_NONE},
};

SevmigSide
sevmig_detect_side_of_state(int state, int reason)
{
    for (gsize i = 0; i < G_N_ELEMENTS(by_state); i++) {
        if (by_state[i].state == state &&
            (by_state[i].reason == reason || by_state[i].reason == -1))
            return by_state[i].side;
    }
    return SEVMIG_SIDE_UNKNOWN;
}

SevmigSide
sevmig_detect_side_of_job(int type, int operation)
{
    if (type != VIR_DOMAIN_JOB_BOUNDED && type != VIR_DOMAIN_JOB_UNBOUNDED)
        return SEVMIG_SIDE_NONE;
    switch (operation) {
    case VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
        return SEVMIG_SIDE_SOURCE;
    case VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN:
        return SEVMIG_SIDE_DESTINATION;
    default:
        return SEVMIG_SIDE_NONE;
    }
}

SevmigSide
sevmig_detect_side_of_error(int code)
{
    switch (code) {
    case VIR_ERR_OPERATION_UNSUPPORTED: /* "available only on the source host" */
        return SEVMIG_SIDE_DESTINATION;
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_SUPPORT:        /* a driver without jobs */
    case VIR_ERR_OPERATION_INVALID: /* not running */
        return SEVMIG_SIDE_NONE;
    default:
        return SEVMIG_SIDE_UNKNOWN;
    }
}
