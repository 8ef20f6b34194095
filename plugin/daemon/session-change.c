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

gboolean
sevmig_session_set_policy(SevmigSession *self, const SevmigPolicy *policy,
                          const SevmigTraceOrigin *origin, GError **error)
{
    const SevmigControlParams *params = sevmig_policy_params(policy);
    const char *name = sevmig_policy_name(policy);
    g_autofree char *note = NULL;

    if (!session_may_change(self, error))
        return FALSE;
    note = g_strdup_printf("policy %s by %s%s%s", name, origin->who, *origin->why ? ": " : "",
                           origin->why);
    sevmig_session_log(self, G_LOG_LEVEL_MESSAGE, "%s", note);
    sevmig_info_set(&self->info.policy, name);
    sevmig_info_set(&self->info.policy_source, SOURCE_OPERATOR);
    sevmig_info_set(&self->info.note, note);
    self->info.duration_goal_us = params->duration_goal_us;
    session_set_steers(self, !params->observe_only);
    sevmig_steering_change(self->steering, params, origin);
    sevmig_session_step(self, SEVMIG_EVENT_POLICY, g_get_monotonic_time());
    /* Most rules decide on a sample: one now, and what comes of it without waiting for a tick. */
    self->hurries = TRUE;
    if (!self->calling)
        sevmig_session_schedule(self, g_get_monotonic_time());
    return TRUE;
}
