/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * batch.c - how much goes into one submission
 *
 * A submission of B pages holds the firmware for a_submit + B (a_cmd commands/page + b), during
 * which no other guest of the host is served: the policy's hold bounds that. Within it the largest
 * batch wins, because a_submit is paid once; beyond the point where a_submit is 1 % of the batch
 * nothing is left to win, and a long submission only delays the switchover that waits for it.
 */
#include "law.h"

#include <math.h>

#define HOLD_DEFAULT_US 20000 /* no limit given: still shorter than what a switchover can wait */
#define SUBMIT_SHARE 0.01
#define BATCH_COMMANDS_LEAST                                                                       \
    4                    /* even if submissions seem free: their cost may not be visible yet */
#define GROW_MOST 4      /* per change: costs are learnt from the variation */
#define SETTLE_US 300000 /* between changes, so that each is seen in a few samples */
#define OVER_HOLD 1.1
#define WORTH 1.25
#define WHOLE 1.25 /* commands a page, of the least there can be */

#define GAP_MOST 16   /* QEMU's range */
#define GAP_FITS 20   /* samples before the split of a command and a page is believed */
#define GAP_SHARE 0.8 /* of the saving, to be sure that it is one */
#define GAP_SURE 0.1  /* pages beyond the next step */

static double
best_batch(const SevmigControl *self, double shape)
{
    const SevmigFirmware *fw = &self->firmware;
    const SevmigSample *s = &self->intake.last;
    double step = s->max_command_pages > 0 ? s->max_command_pages : 1;
    double most = fmax(step, s->max_batch_pages);
    uint64_t limit_us = sevmig_law_hold_us(self);
    double hold = limit_us > 0 ? (double)limit_us : HOLD_DEFAULT_US;
    double page_us = fw->a_cmd_us * shape + fw->b_us;
    double useful = fmax(BATCH_COMMANDS_LEAST * step, fw->a_submit_us / (SUBMIT_SHARE * page_us));
    double batch = floor(fmin(fmin((hold - fw->a_submit_us) / page_us, useful), most));

    /* Where commands are full, one that is cut short would cost as much as a full one. */
    if (shape < WHOLE / step)
        batch = floor(batch / step) * step;
    return fmax(1, batch);
}

static void
choose_batch(SevmigControl *self)
{
    const SevmigSample *s = &self->intake.last;
    double shape = self->firmware.learnt ? self->firmware.commands_per_page
                                         : 1.0 / fmax(1, s->max_command_pages);
    double now = (double)sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_BATCH, 0);
    double best = best_batch(self, shape);
    double hold_us = sevmig_firmware_hold_us(&self->firmware, best, shape);
    bool over = now > 0 && best < now &&
                sevmig_firmware_hold_us(&self->firmware, now, shape) >
                    OVER_HOLD * (double)sevmig_law_hold_us(self) &&
                sevmig_law_hold_us(self) > 0;

    if (now > 0 && !over) {
        if (self->now_us - self->batch_changed_us < SETTLE_US)
            return;
        if (best < WORTH * now && now < WORTH * best)
            return;
        if (best > GROW_MOST * now) {
            best = GROW_MOST * now;
            hold_us = sevmig_firmware_hold_us(&self->firmware, best, shape);
        }
    }
    if (best == now)
        return;
    self->batch_changed_us = self->now_us;
    sevmig_knobs_want(
        &self->knobs, SEVMIG_KNOB_BATCH, (int64_t)best,
        "batch %d -> %d pages: holds the firmware %d us (%s: %d us a submission, %d a "
        "command, %d a page)",
        (int)now, (int)best, (int)hold_us, self->firmware.learnt ? "measured" : "assumed",
        (int)self->firmware.a_submit_us, (int)self->firmware.a_cmd_us, (int)self->firmware.b_us);
}

/* Encrypting g clean pages between two dirty runs costs g (b + its share of the channel) and saves
 * one command, if the joined run still fits into one. */
static void
choose_gap(SevmigControl *self)
{
    const SevmigFirmware *fw = &self->firmware;
    double most = fmin(GAP_MOST, (double)self->intake.last.max_command_pages - 2);
    double now = (double)sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_GAP, 0);
    double saved, gap;

    if (fw->fits < GAP_FITS || !self->intake.late || !sevmig_law_has(self, SEVMIG_PART_GAP))
        return;
    saved = GAP_SHARE * fw->a_cmd_us / (fw->b_us + fw->extra_us);
    if (saved > now - GAP_SURE && saved < now + 1 + GAP_SURE)
        return; /* as it is */
    gap = fmin(fmax(0, most), floor(saved));
    if ((int64_t)gap == sevmig_knobs_wanted(&self->knobs, SEVMIG_KNOB_GAP, 0))
        return;
    sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_GAP, (int64_t)gap,
                      "a command costs %d us, a clean page %d us: joining runs %d apart pays",
                      (int)fw->a_cmd_us, (int)(fw->b_us + fw->extra_us), (int)gap);
}

void
sevmig_batch_decide(SevmigControl *self)
{
    const SevmigControlParams *params = &self->params;

    if (!sevmig_law_has(self, SEVMIG_PART_BATCH)) {
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_BATCH, 1, "no batches");
    } else if (params->batch_pages == 0) {
        choose_batch(self);
    } else {
        uint32_t most = self->intake.last.max_batch_pages;
        uint32_t batch = most > 0 && params->batch_pages > most ? most : params->batch_pages;

        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_BATCH, batch, "batch fixed by policy");
    }
    if (params->gap_pages < 0)
        choose_gap(self);
    else
        sevmig_knobs_want(&self->knobs, SEVMIG_KNOB_GAP, params->gap_pages, "gap fixed by policy");
}
