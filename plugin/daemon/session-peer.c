/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* session-peer.c - who the destination is, and whether the policy lets the guest go there */
#include "session-private.h"

G_STATIC_ASSERT((int)SEVMIG_PEER_DOMAIN == (int)QMPC_SEV_PEER_DOMAIN);
G_STATIC_ASSERT((int)SEVMIG_PEER_SEV == (int)QMPC_SEV_PEER_SEV);
G_STATIC_ASSERT((int)SEVMIG_PEER_TLS == (int)QMPC_SEV_PEER_TLS);
G_STATIC_ASSERT((int)SEVMIG_PEER_PINNED == (int)QMPC_SEV_PEER_PINNED);

#define NOTHING "nothing"

/* That of the platform outlives a new PDH, so it is the one to pin. */
static const char *
peer_digest(const QmpcSevPeer *peer)
{
    return *peer->platform_digest != '\0' ? peer->platform_digest : peer->pdh_digest;
}

static void
session_refused(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    SevmigSession *self = user_data;
    g_autoptr(GError) error = NULL;

    if (!self->actuator->ops->command_finish(self->actuator, result, &error)) {
        sevmig_session_log(self, SEVMIG_MESSAGE_COMMAND_FAILED, "%s", error->message);
        g_clear_pointer(&self->peer_refusal, g_free); /* the next look tries again */
    }
    sevmig_session_let_go(self);
}

static void
session_refuse(SevmigSession *self)
{
    g_autofree char *required = sevmig_peer_format(self->peer_required);

    self->peer_refusal =
        g_strdup_printf("the policy %s demands that one of \"%s\" speaks for the destination's "
                        "platform, and there is %s; its digest is %s",
                        self->info.policy, required, self->info.peer, self->info.peer_digest);
    sevmig_session_log(self, SEVMIG_MESSAGE_CANCELLING, "cancelling the migration: %s",
                       self->peer_refusal);
    self->actuator->ops->command(self->actuator, SEVMIG_COMMAND_ABORT, NULL, session_refused,
                                 sevmig_session_hold(self));
}

void
sevmig_session_peer(SevmigSession *self, const QmpcSevPeer *peer)
{
    g_autofree char *verified = sevmig_peer_format(peer->verified);

    if (!peer->known)
        return;
    sevmig_info_set(&self->info.peer, *verified != '\0' ? verified : NOTHING);
    sevmig_info_set(&self->info.peer_digest, peer_digest(peer));
    sevmig_info_set(&self->info.peer_subject, peer->subject);
    if (self->steers && self->state == SEVMIG_STATE_RUNNING && self->peer_refusal == NULL &&
        self->peer_required != 0 && (self->peer_required & peer->verified) == 0)
        session_refuse(self);
}
