/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session-turn.c - a migration among others that share the firmware */
#include "session-private.h"

#define PAGE_BYTES 4096 /* of every SEV guest; its QEMU may say otherwise */

gboolean
sevmig_session_describe(const SevmigSession *self, SevmigArbiterGuest *guest)
{
    const SevmigInfo *info = &self->info;
    gboolean quiet = self->state == SEVMIG_STATE_QUIET;

    if (!self->steers || (self->state != SEVMIG_STATE_RUNNING && !quiet))
        return FALSE;
    *guest = (SevmigArbiterGuest){
        .id = self->number,
        .arrived_us = self->start_us,
        .deadline_us = self->params.duration_goal_us > 0
                           ? self->start_us + (gint64)self->params.duration_goal_us
                           : 0,
        .priority = self->priority,
        .phase = quiet ? SEVMIG_PHASE_SWITCHOVER : sevmig_steering_phase(self->steering),
        .sampled_us = self->sampled_us,
        .most_pages = self->memory_bytes / PAGE_BYTES,
        .pages_left = info->remaining_pages,
        .pages = info->pages,
        .service_us = info->service_us,
        .wait_us = info->wait_us,
        .most_hold_us = self->params.batch_hold_us,
    };
    return TRUE;
}

void
sevmig_session_turn(SevmigSession *self, const SevmigArbiterWord *word)
{
    SevmigTurn turn = {.sends = word->sends, .most_hold_us = word->most_hold_us};

    if (self->state != SEVMIG_STATE_RUNNING) /* nobody may be told anything then */
        return;
    sevmig_session_clock(self, g_get_monotonic_time());
    self->waits = !word->sends;
    g_strlcpy(turn.reason, word->reason, sizeof(turn.reason));
    sevmig_steering_turn(self->steering, &turn);
    sevmig_session_step(self, SEVMIG_EVENT_TURN, g_get_monotonic_time());
    /* The firmware would idle until the next tick. */
    if (turn.sends && !self->calling)
        sevmig_session_schedule(self, g_get_monotonic_time());
}

void
sevmig_session_place(SevmigSession *self, const SevmigArbiterWord *word)
{
    self->info.turn_place = word->place;
    self->info.turn_begins_us = word->begins_us;
    self->info.turn_ends_us = word->ends_us;
}
