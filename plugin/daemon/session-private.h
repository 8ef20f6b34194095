/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session-private.h - what session.c (life, steps), session-tick.c (the call of each tick),
 * session-peer.c (the destination), session-change.c (another policy) and session-end.c (the end,
 * release) share
 */
#ifndef SEVMIGD_SESSION_PRIVATE_H
#define SEVMIGD_SESSION_PRIVATE_H

#include "messages.h"
#include "session.h"
#include "steering.h"

typedef enum {
    SEVMIG_STATE_RUNNING,
    SEVMIG_STATE_QUIET,
    SEVMIG_STATE_FINISHING,
    SEVMIG_STATE_RELEASING,
    SEVMIG_STATE_ENDED,
} SevmigSessionState;

/* Counted by references (g_rc_box): each call under way holds one. */
struct SevmigSession {
    const SevmigSessionOps *ops; /* NULL once freed */
    gpointer user_data;
    SevmigInfo info;
    SevmigActuator *actuator; /* NULL some time after the end */
    GCancellable *cancellable;
    SevmigSteering *steering;
    guint64 number;
    guint64 memory_bytes;       /* as libvirt has it; 0: not known */
    guint32 priority;           /* of the policy, among migrations that share the firmware */
    gint64 sampled_us;          /* the newest statistics; 0: none yet */
    SevmigControlParams params; /* of the policy, whatever a hand makes of them */
    SevmigSessionState state;
    SevmigEventType outcome; /* how it ended, from FINISHING on */
    gint64 start_us;
    gint64 end_us; /* when the end was heard of; 0: not yet */
    gint64 called_us;
    guint tick_ms;
    guint tick;        /* source id */
    guint deadline;    /* source id */
    guint refusals;    /* in a row */
    guint n_calls;     /* under way, of any kind */
    gboolean calling;  /* the tick's own */
    gboolean asks;     /* there is something to ask on this guest's monitor */
    gboolean steers;   /* and something to tell it */
    gboolean could;    /* steer, if the policy said so */
    gboolean waits;    /* for its turn */
    gboolean hurries;  /* what the next sample leads to is told at once */
    gboolean forgoes;  /* no longer steers: the next call gives everything back */
    gboolean crashed;  /* the guest, or its QEMU */
    gint64 stopped_us; /* the guest stands since then; 0: it runs */
    gboolean stands;   /* and that is not the switchover's stop: QEMU went on sending */
    guint64 stood_us;  /* how long in all */
    guint64 down_us;   /* and of it when the switchover came */
    gboolean knows_job;
    gboolean knows_last; /* the last question has been answered, or never will be */
    gboolean warned;     /* about an answer that breaks the contract */
    guint peer_required; /* SevmigPeer flags, of the policy */
    char *peer_refusal;  /* why the destination does not get the guest; NULL: it does */
};

void sevmig_session_log(const SevmigSession *self, SevmigMessage message, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* A reference for a call under way, and its return. The actuator goes with the last call after the
   end: it holds on to libvirt's connection, and an ended session is remembered for long. */
SevmigSession *sevmig_session_hold(SevmigSession *self);
void sevmig_session_let_go(SevmigSession *self);
void sevmig_session_drop_actuator(SevmigSession *self);

/* Tells the clock to its books. */
void sevmig_session_clock(SevmigSession *self, gint64 now_us);

/* One step of the controller, and what follows from its actions. */
void sevmig_session_step(SevmigSession *self, SevmigEventType type, gint64 now_us);

void sevmig_session_command(SevmigSession *self, SevmigCommand command);

/* From now on only observed, for this reason. */
void sevmig_session_observe(SevmigSession *self, const char *note);

/* The next tick, monotonic; replaces one that is set. */
void sevmig_session_schedule(SevmigSession *self, gint64 at_us);

/* Ends a stand of the guest; how long it was, 0 if it was the switchover's. */
guint64 sevmig_session_stood(SevmigSession *self);

/* Who the destination is, as far as QEMU knows: what the policy does not accept is cancelled. */
void sevmig_session_peer(SevmigSession *self, const QmpcSevPeer *peer);

/* QEMU says that it is over. */
void sevmig_session_finish(SevmigSession *self, SevmigEventType outcome);

/* The call that was under way when the end or the release came has returned. */
void sevmig_session_call_returned(SevmigSession *self);

#endif
