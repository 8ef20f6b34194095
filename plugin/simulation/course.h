/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * course.h - a migration under way: the plant, what steers it, and what comes of it
 *
 * run.c plays one alone, fleet.c several on one firmware. Times are the plant's.
 */
#ifndef SEVMIG_SIM_COURSE_H
#define SEVMIG_SIM_COURSE_H

#include "messages.h"

#define SEVMIG_SIM_CLOCK_US 1000000 /* the controller's clock when the migration begins */

typedef struct {
    const SevmigSimScenario *scenario;
    const SevmigSimRun *run;
    SevmigSimResult *result;
    SevmigSimPlant plant;
    SevmigSimMessages messages;
    gpointer controller;
    SevmigActions actions; /* decided, and not yet with QEMU */
    double wake_us;
    int direction; /* of the last change of throttle */
    guint last_percent;
} SevmigSimCourse;

/* With `scenario`, `run` and `result` set; the caller keeps all four as long as it lasts. */
void sevmig_sim_course_begin(SevmigSimCourse *self, SevmigSimRandom *random);

/* What was decided reaches QEMU now. */
void sevmig_sim_course_apply(SevmigSimCourse *self);

/* The controller is told something. */
void sevmig_sim_course_step(SevmigSimCourse *self, SevmigEvent *event);

/* The same with what a tick brings, which takes to QEMU what was decided before. */
void sevmig_sim_course_tick(SevmigSimCourse *self);

/* Keeps the highest values of what is in force. */
void sevmig_sim_course_measure(SevmigSimCourse *self);

/* What a client will see beside QEMU's figure, if the guest is stopped now. */
double sevmig_sim_course_outside_us(SevmigSimCourse *self);

/* The guest stops: what the controller promises is what it foresees now. */
void sevmig_sim_course_stop(SevmigSimCourse *self);

/* The stop-and-copy is done, and took so long. */
void sevmig_sim_course_complete(SevmigSimCourse *self, double us, double outside_us);

/* The result, whatever the end was. */
void sevmig_sim_course_conclude(SevmigSimCourse *self);

#endif
