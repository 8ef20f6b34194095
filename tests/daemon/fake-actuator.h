/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fake-actuator.h - a QEMU that migrates on paper, for sessions under test
 *
 * Strict: a tune that breaks the contract, a second call while one is under way, and a call after
 * fake_forbid() fail the test on the spot. Answers come from the main loop.
 */
#ifndef FAKE_ACTUATOR_H
#define FAKE_ACTUATOR_H

#include "actuator.h"

typedef struct Fake Fake;

struct Fake {
    SevmigActuator actuator; /* hand this to the session; the fake itself is the test's */
    QmpcSevStatus status;    /* what QEMU would report; the test may change it */
    guint n_tunes;
    guint n_queries;
    guint n_reasons;
    guint n_commands[SEVMIG_COMMAND_COUNT];
    QmpcTune first_tune; /* without its vCPU list */
    QmpcTune last_tune;
    guint most_throttle_percent;
    GError *fail; /* answer the next `n_fail` exchanges with a copy of this */
    guint n_fail;
    const char *reason; /* what query-migrate gives as error-desc */
    gboolean hold;      /* keep answers back until fake_let_go() */
    GTask *held;
    gboolean stuck; /* its link: nothing is sent */
    gboolean forbidden;
    gboolean freed;
    gint64 last_us;
};

Fake *fake_new(void);
/* The session must have given up its actuator. */
void fake_free(Fake *fake);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fake, fake_free)

/* From now on any exchange or reason is a failure of the test. */
void fake_forbid(Fake *fake, gboolean forbidden);
/* Answers what was kept back, and keeps nothing back any more. */
void fake_let_go(Fake *fake);
/* The next `n` exchanges fail so. Takes `error`. */
void fake_fail(Fake *fake, guint n, GError *error);

#endif
