/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * predict.h - what passes, downtime and end will be under a candidate throttle
 *
 *     R(k+1) = D(c(p) R(k) page_us)        a pass of R pages lets the guest dirty this many
 *     downtime(R) = fixed + R page_us      stop, device state and finish, then the rest of memory
 *
 * D is concave with D(0) = 0, so D(c R page_us)/R falls with R: if the pass over exactly the
 * allowed remainder S dirties fewer than S pages, every longer pass shrinks too. So one look at S
 * answers whether a throttle reaches the goal.
 */
#ifndef SEVMIG_PREDICT_H
#define SEVMIG_PREDICT_H

#include "dirty.h"
#include "vcpus.h"

/* Runs grow with the dirty set, so commands a page fall with it; how fast, nobody knows. */
#define SEVMIG_SPARSER 0.7F

typedef struct {
    const SevmigDirty *dirty;
    const SevmigVcpus *vcpus;
    double page_us;       /* wall cost of a page when the allowed remainder is left */
    double dense_us;      /* of a page now that ... */
    double dense_pages;   /* ... so many are to be sent: more lie closer together */
    double fixed_us;      /* downtime without any page */
    double allowed_pages; /* S: what stop-and-copy may have to send */
} SevmigPlant;

typedef struct {
    double total_us;   /* until the guest runs on the other side */
    double lost_us;    /* time a vCPU is kept from running, downtime included */
    double last_pages; /* remainder after the last pass looked at */
    bool reaches;      /* the allowed remainder is reached */
} SevmigPlan;

/* Wall cost of a page of a pass over so many. */
double sevmig_predict_page_us(const SevmigPlant *plant, double pages);

/* Pages a pass over `pages` leaves behind under that throttle. */
double sevmig_predict_pass(const SevmigPlant *plant, double pages, unsigned percent);

double sevmig_predict_downtime_us(const SevmigPlant *plant, double pages);

/* The least throttle in 0..most_percent that reaches the allowed remainder with some contraction
 * to spare; most_percent + 1 when none does. */
unsigned sevmig_predict_least_percent(const SevmigPlant *plant, unsigned most_percent);

/* Plays the passes under one throttle, until the allowed remainder is reached or never is. */
void sevmig_predict_plan(const SevmigPlant *plant, double pages, unsigned percent,
                         SevmigPlan *plan);

#endif
