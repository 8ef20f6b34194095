/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arbitration.h - the arbiter at work: which of this host's migrations sends, told to their
 * sessions
 *
 * Sessions that steer take part; one that only observes sends as it likes. Nothing is agreed with
 * other hosts, and nothing survives: when sevmigd dies, the leases let every guest send, and the
 * next sevmigd begins with what it finds.
 */
#ifndef SEVMIGD_ARBITRATION_H
#define SEVMIGD_ARBITRATION_H

#include "session.h"

typedef struct SevmigArbitration SevmigArbitration;

/* `sessions`: those that have not ended, as values; borrowed. */
SevmigArbitration *sevmig_arbitration_new(GHashTable *sessions);
void sevmig_arbitration_free(SevmigArbitration *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigArbitration, sevmig_arbitration_free)

/* One has begun, ended or learnt something: decides from the main loop, soon. */
void sevmig_arbitration_wake(SevmigArbitration *self);

#endif
