/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-error.h"

#include "session-private.h"

/* As a value of PolicySource. */
#define SOURCE_OPERATOR "operator"

static gboolean
session_may_change(const SevmigSession *self, GError **error)
{
    if (self->state == SEVMIG_STATE_RUNNING && self->could && self->asks)
        return TRUE;
    if (self->state == SEVMIG_STATE_ENDED)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED, "migration %s has ended",
                    self->info.id);
    else if (self->state != SEVMIG_STATE_RUNNING)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED,
                    "migration %s is about to end, nothing is steered any more", self->info.id);
    else
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED, "migration %s cannot be steered: %s",
                    self->info.id, self->info.note);
    return FALSE;
}

/* Between steering and watching. */
static void
session_set_steers(SevmigSession *self, gboolean steers)
{
    if (steers == self->steers)
        return;
    self->steers = steers;
    self->forgoes = !steers;
    sevmig_info_set(&self->info.state, steers ? "steered" : "observed");
}

/* Puts it in force; `what` is for the log and for whoever looks at the migration. */
static void
session_apply(SevmigSession *self, const SevmigControlParams *params, const char *what,
              const SevmigTraceOrigin *origin)
{
    g_autofree char *note =
        g_strdup_printf("%s by %s%s%s", what, origin->who, *origin->why ? ": " : "", origin->why);

    sevmig_session_log(self, SEVMIG_MESSAGE_CHANGED, "%s", note);
    sevmig_info_set(&self->info.note, note);
    session_set_steers(self, !params->observe_only);
    sevmig_steering_change(self->steering, params, origin);
    sevmig_session_step(self, SEVMIG_EVENT_POLICY, g_get_monotonic_time());
    /* Most rules decide on a sample: one now, and what comes of it without waiting for a tick. */
    self->hurries = TRUE;
    if (!self->calling)
        sevmig_session_schedule(self, g_get_monotonic_time());
}

gboolean
sevmig_session_set_policy(SevmigSession *self, const SevmigPolicy *policy,
                          const SevmigTraceOrigin *origin, GError **error)
{
    const char *name = sevmig_policy_name(policy);
    g_autofree char *what = g_strdup_printf("policy %s", name);

    if (!session_may_change(self, error))
        return FALSE;
    self->params = *sevmig_policy_params(policy);
    self->priority = sevmig_policy_priority(policy);
    self->peer_required = sevmig_policy_peer(policy);
    sevmig_info_set(&self->info.policy, name);
    sevmig_info_set(&self->info.policy_source, SOURCE_OPERATOR);
    self->info.duration_goal_us = self->params.duration_goal_us;
    session_apply(self, &self->params, what, origin);
    return TRUE;
}

gboolean
sevmig_session_steer(SevmigSession *self, const SevmigHand *hand, const SevmigTraceOrigin *origin,
                     GError **error)
{
    SevmigControlParams params = self->params;
    SevmigTraceOrigin own = *origin;
    g_autofree char *set = sevmig_hand_describe(hand);
    g_autofree char *what = g_strdup_printf("%s set by hand", set);

    if (!session_may_change(self, error) || !sevmig_hand_apply(hand, &self->info, &params, error))
        return FALSE;
    sevmig_trace_origin_set(own.policy, self->info.policy);
    session_apply(self, &params, what, &own);
    return TRUE;
}
