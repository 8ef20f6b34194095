/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session.h - one outgoing migration, from its discovery to its summary
 *
 *   running --pre-switchover, device--> quiet --completed, failed, cancelled--> finishing --> ended
 *      |  `----------------------------------------------------------------------^             ^
 *      `--release--> releasing ----------------------------------------------------------------'
 *
 * While running, each tick makes one call that applies what the controller decided at the one
 * before, renews the lease and brings statistics; never two at a time. In `quiet` nothing is asked:
 * libvirt needs the monitor then, with the vCPUs stopped. A guest that cannot be steered is
 * observed: same states, fewer calls or none. One that could be, but whose policy only observes, is
 * steered from the moment on at which someone gives it another policy.
 */
#ifndef SEVMIGD_SESSION_H
#define SEVMIGD_SESSION_H

#include "actuator.h"
#include "hand.h"
#include "info.h"
#include "qmpc-migration.h"
#include "sevmig-arbiter.h"
#include "sevmig-policy-resolve.h"
#include "sevmig-trace.h"

typedef struct SevmigSession SevmigSession;

typedef struct {
    /* info() has other values. */
    void (*changed)(SevmigSession *session, gpointer user_data);
    /* Once; the session may be freed from within. */
    void (*ended)(SevmigSession *session, gpointer user_data);
} SevmigSessionOps;

typedef struct {
    const char *id;
    guint64 number; /* no other session's of this daemon; not 0 */
    const char *domain;
    const char *uuid;
    const SevmigResolution *resolution; /* read by sevmig_session_new() only */
    SevmigActuator *actuator;           /* taken over */
    const char *records_dir;            /* NULL: nothing is recorded */
    guint64 fixed_downtime_us;          /* see SevmigControlParams */
    guint64 elapsed_us;                 /* how long memory has been sent already */
    gboolean stands;                    /* the guest does, for this migration */
    gboolean dry_run;                   /* decide and record, act on nothing */
    guint tick_ms;                      /* 0: the usual 100 */
} SevmigSessionSetup;

/* What libvirt says of a job that has ended; 0: it does not say. */
typedef struct {
    guint64 downtime_us;
    guint64 elapsed_us;
} SevmigJobResult;

/* An id: sorts by time, makes a file name, and is unique where `number` is. Caller frees. */
char *sevmig_session_new_id(const char *uuid, guint number);

SevmigSession *sevmig_session_new(const SevmigSessionSetup *setup, const SevmigSessionOps *ops,
                                  gpointer user_data);
void sevmig_session_start(SevmigSession *session);
/* No callback comes from within or after this. */
void sevmig_session_free(SevmigSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SevmigSession, sevmig_session_free)

/* What happens to the migration. Ignored once it has ended. */
void sevmig_session_migration_event(SevmigSession *session, const QmpcEvent *event);
void sevmig_session_job_completed(SevmigSession *session, const SevmigJobResult *result);
/* Whatever becomes of the migration, its books say so. */
void sevmig_session_crashed(SevmigSession *session);
void sevmig_session_domain_gone(SevmigSession *session);
/* Another migration of the domain begins: what of this one is still to be learnt never will be. It
   has ended then, unless it was heard of so early that this beginning is its own. */
void sevmig_session_superseded(SevmigSession *session);
/* The guest has been stopped: for the switchover, or it is paused, by whomever. */
void sevmig_session_suspended(SevmigSession *session);
/* The guest runs on this host again. */
void sevmig_session_resumed(SevmigSession *session);

/* Stops steering, puts QEMU's values back and ends. `reachable` FALSE: libvirt is gone, so nothing
   can be said to QEMU any more, and the lease does it. */
void sevmig_session_release(SevmigSession *session, const char *why, gboolean reachable);

/*
 * Another policy from now on, within a tick; `origin` says on whose behalf, and is
 * recorded. SEVMIG_ERROR_REFUSED where it could have no effect: the migration is over or in its
 * last phase, or its guest cannot be steered.
 */
gboolean sevmig_session_set_policy(SevmigSession *session, const SevmigPolicy *policy,
                                   const SevmigTraceOrigin *origin, GError **error);

/* The same for what is set by hand: the policy stays, and holds again where `hand` is empty. What
 * the policy does not allow is SEVMIG_ERROR_REFUSED, too. Another policy takes the hand away. */
gboolean sevmig_session_steer(SevmigSession *session, const SevmigHand *hand,
                              const SevmigTraceOrigin *origin, GError **error);

/* As the arbiter is to see it; FALSE: not at all, because it is not steered, or sends no more. */
gboolean sevmig_session_describe(const SevmigSession *session, SevmigArbiterGuest *guest);
/* What the arbiter says to it. */
void sevmig_session_turn(SevmigSession *session, const SevmigArbiterWord *word);
/* Its place among the others, for whoever looks; all 0: it takes no turns. */
void sevmig_session_place(SevmigSession *session, const SevmigArbiterWord *word);

const SevmigInfo *sevmig_session_info(const SevmigSession *session);

#endif
