/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* phase.h - which phase may follow which */
#ifndef SEVMIG_PHASE_H
#define SEVMIG_PHASE_H

#include "sevmig-control.h"

/* True when `to` may follow `from`; staying is always allowed. */
bool sevmig_phase_allows(SevmigPhase from, SevmigPhase to);

/* done, failed, cancelled, released: nothing follows. */
bool sevmig_phase_is_final(SevmigPhase phase);

/* Moves `*phase`, or leaves it and returns false when the table forbids it. */
bool sevmig_phase_move(SevmigPhase *phase, SevmigPhase to);

#endif
