/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pause.c - the guest is kept from running while what is left is sent
 *
 * The last resort of a policy, under the lease as a throttle is: QEMU lets the guest run again by
 * itself if nobody says otherwise. It stays in pre-copy meanwhile and stops the guest for good when
 * little is left, so a pause can be taken back until then. It is worth something only while data
 * moves, and only as much as the policy's greatest downtime: for all pauses of a migration
 * together.
 */
#include "law.h"

#include <math.h>
#include <stdio.h>

#define STILL_US 3000000      /* a TCP that lost a packet or two is back by then */
#define SAY_AGAIN_US 10000000 /* that nothing moves still */
#define BEHIND 1.1            /* of the greatest downtime: predictions are as good as that */

static int
ms(double us)
{
    return (int)fmin(1e9, us / 1000 + 0.5);
}

bool
sevmig_pause_still(const SevmigControl *self)
{
    return self->pause.moved_us > 0 && self->now_us - self->pause.moved_us >= STILL_US;
}

static double
spent_us(const SevmigControl *self)
{
    return self->pause.spent_us +
           (self->pause.on ? (double)(self->now_us - self->pause.since_us) : 0);
}

/* Once for each reason. */
static bool
refuse(SevmigControl *self, SevmigActions *actions, SevmigPauseRefusal refusal, const char *why)
{
    bool aborts = self->params.on_stall == SEVMIG_ON_STALL_ABORT ||
                  self->params.on_deadline == SEVMIG_ON_DEADLINE_ABORT;

    if (self->pause.refusal != refusal)
        sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0, "no pause: %s; %s", why,
                         aborts ? "the policy's other word holds" : "it goes on without");
    self->pause.refusal = refusal;
    return false;
}

static bool
refuse_length(SevmigControl *self, SevmigActions *actions, double us)
{
    char why[SEVMIG_REASON_SIZE / 2];

    snprintf(why, sizeof(why), "it would take %d ms, the policy's greatest downtime is %d ms",
             ms(us), ms((double)self->relax_max_us));
    return refuse(self, actions, SEVMIG_PAUSE_TOO_LONG, why);
}

bool
sevmig_pause_begin(SevmigControl *self, SevmigActions *actions, const char *why)
{
    double us = self->outlook.downtime_us + spent_us(self);

    if (self->pause.on)
        return true;
    if (!self->intake.last.can_pause)
        return refuse(self, actions, SEVMIG_PAUSE_UNKNOWN,
                      "this QEMU cannot keep a guest from running under a lease");
    if (sevmig_pause_still(self))
        return refuse(self, actions, SEVMIG_PAUSE_STILL, "nothing moves");
    if (us > (double)self->relax_max_us)
        return refuse_length(self, actions, us);
    self->pause.on = true;
    self->pause.since_us = self->now_us;
    self->pause.refusal = SEVMIG_PAUSE_ALLOWED;
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_PAUSE, 1, "pause: %s; the rest takes about %d ms",
                      why, ms(self->outlook.downtime_us));
    sevmig_throttle_want(self, 0, "the guest is paused");
    sevmig_law_send(self, "the guest is paused");
    return true;
}

void
sevmig_pause_end(SevmigControl *self, const char *why)
{
    if (!self->pause.on)
        return;
    self->pause.spent_us = spent_us(self);
    self->pause.on = false;
    self->throttle.due = true;
    self->held = self->turn_waits;
    if (self->held)
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_HOLD_SENDING, 1, "it waits for its turn again");
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_PAUSE, 0, "the guest runs on: %s", why);
}

/* Whether anything leaves the host; there is nothing to say of a migration that waits for its turn,
 * or has nothing left to send. */
static void
watch_movement(SevmigControl *self, SevmigActions *actions)
{
    SevmigPause *pause = &self->pause;
    const SevmigSample *s = &self->intake.last;
    bool was_still = pause->said_us > 0;

    if (s->bytes != pause->bytes || self->held || s->remaining_pages == 0 || pause->moved_us == 0) {
        pause->bytes = s->bytes;
        pause->moved_us = self->now_us;
        pause->said_us = 0;
        if (was_still)
            sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0, "data moves again");
        return;
    }
    if (!sevmig_pause_still(self) || (was_still && self->now_us - pause->said_us < SAY_AGAIN_US))
        return;
    pause->said_us = self->now_us;
    sevmig_knobs_act(&self->knobs, actions, SEVMIG_ACTION_NOTE, 0,
                     "nothing moves: no byte has left this host for %d s",
                     (int)((self->now_us - pause->moved_us) / 1000000));
}

void
sevmig_pause_watch(SevmigControl *self, SevmigActions *actions)
{
    watch_movement(self, actions);
    if (sevmig_pause_still(self))
        sevmig_pause_end(self, "nothing moves");
    else if (spent_us(self) > BEHIND * (double)self->relax_max_us)
        sevmig_pause_end(self, "the policy's greatest downtime has passed");
}
