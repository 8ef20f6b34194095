/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 *              first sample            pass 2               nothing shrinks it
 *   DETECTED --------------> BULK -----------> CONVERGING <-------------------> STALLED
 *      |                      |                 |      ^                          |
 *      |                      | little left     |      | QEMU found too much      | let go
 *      |                      v                 v      | left                     v
 *      +--------------------> SWITCHOVER <------+------+--------------------------+
 *                                 |
 *                                 v
 *                               DONE
 *
 *   DETECTED may skip ahead (a migration adopted half-way). Every phase above may also end in DONE
 *   (QEMU does not ask), FAILED, CANCELLED or RELEASED; from those four nothing follows.
 */
#include "phase.h"

#define BIT(phase) (1u << (phase))

#define ENDS                                                                                       \
    (BIT(SEVMIG_PHASE_DONE) | BIT(SEVMIG_PHASE_FAILED) | BIT(SEVMIG_PHASE_CANCELLED) |             \
     BIT(SEVMIG_PHASE_RELEASED))

static const unsigned allowed[SEVMIG_PHASE_COUNT] = {
    [SEVMIG_PHASE_DETECTED] =
        BIT(SEVMIG_PHASE_BULK) | BIT(SEVMIG_PHASE_CONVERGING) | BIT(SEVMIG_PHASE_SWITCHOVER) | ENDS,
    [SEVMIG_PHASE_BULK] = BIT(SEVMIG_PHASE_CONVERGING) | BIT(SEVMIG_PHASE_SWITCHOVER) | ENDS,
    [SEVMIG_PHASE_CONVERGING] = BIT(SEVMIG_PHASE_STALLED) | BIT(SEVMIG_PHASE_SWITCHOVER) | ENDS,
    [SEVMIG_PHASE_STALLED] = BIT(SEVMIG_PHASE_CONVERGING) | BIT(SEVMIG_PHASE_SWITCHOVER) | ENDS,
    [SEVMIG_PHASE_SWITCHOVER] = BIT(SEVMIG_PHASE_CONVERGING) | ENDS,
};

bool
sevmig_phase_allows(SevmigPhase from, SevmigPhase to)
{
    if ((unsigned)from >= SEVMIG_PHASE_COUNT || (unsigned)to >= SEVMIG_PHASE_COUNT)
        return false;
    return from == to || (allowed[from] & BIT(to)) != 0;
}

bool
sevmig_phase_is_final(SevmigPhase phase)
{
    return (ENDS & BIT(phase)) != 0;
}

bool
sevmig_phase_move(SevmigPhase *phase, SevmigPhase to)
{
    if (!sevmig_phase_allows(*phase, to))
        return false;
    *phase = to;
    return true;
}
