/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session-fixture.h - one migration under a real controller and real policies, with a QEMU on paper
 */
#ifndef SESSION_FIXTURE_H
#define SESSION_FIXTURE_H

#include "fake-actuator.h"
#include "session.h"

#define TICK_MS 5u

typedef struct {
    char *dir;
    SevmigPolicyStore *store;
    Fake *fake;
    SevmigSession *session;
    guint64 number; /* of the session; 0: 1 */
    guint n_changed;
    guint n_ended;
} Fixture;

void fixture_set_up(Fixture *f, gconstpointer data);
void fixture_tear_down(Fixture *f, gconstpointer data);

/* `policy` NULL: the metadata names none. `sev` FALSE: an ordinary guest. `observe`: what is meant
 * for QEMU stays behind. */
void start(Fixture *f, const char *policy, gboolean sev, gboolean observe);
/* Runs the main loop until `counter` has reached `value`; fails if it never does. */
void wait_for(const guint *counter, guint value);
void run_for(guint ms);
/* QEMU says so. */
void say(Fixture *f, QmpcMigrationStatus status);
const SevmigInfo *info(Fixture *f);
/* All of a good end. */
void complete(Fixture *f);

#endif
