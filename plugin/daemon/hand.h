/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hand.h - what an operator sets by hand, within what the policy in force allows
 *
 * It becomes parameters of the controller like those of a policy, so that everything the controller
 * keeps to is kept to: a hand on the knobs makes a migration gentler, never harsher than its
 * policy.
 */
#ifndef SEVMIGD_HAND_H
#define SEVMIGD_HAND_H

#include "info.h"

typedef struct {
    gboolean has_throttle;
    gboolean has_batch;
    guint32 throttle_percent; /* the most */
    guint32 batch_pages;
} SevmigHand;

/* Reads a{sv}: "throttle-percent" and "batch-pages", both u, none of them required. */
gboolean sevmig_hand_parse(SevmigHand *hand, GVariant *values, GError **error);

/* Changes `params`, which are those of the policy; SEVMIG_ERROR_REFUSED, and nothing changed,
 * beyond what they allow. `info` says what a page costs. */
gboolean sevmig_hand_apply(const SevmigHand *hand, const SevmigInfo *info,
                           SevmigControlParams *params, GError **error);

/* "throttle at most 20 %, batch of 4 pages"; "nothing" if nothing is set. Caller frees. */
char *sevmig_hand_describe(const SevmigHand *hand);

#endif
