/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * info.h - what the bus and the history tell about one migration
 *
 * A plain value: the session keeps it current, the bus publishes it (a property for each member, by
 * the table in info.c), and it stays when the session has ended.
 */
#ifndef SEVMIGD_INFO_H
#define SEVMIGD_INFO_H

#include <glib.h>

#include "sevmig-control.h"

/* Strings are owned and never NULL after sevmig_info_init(). */
typedef struct {
    char *id;
    char *domain;
    char *uuid;
    char *policy;
    char *policy_source;
    char *phase;
    char *state;
    char *note;
    guint64 started_realtime_us;
    guint64 elapsed_us;
    guint64 setup_us; /* of it, before the first pass began; 0: not measured */
    guint64 pass;
    guint32 page_size;
    guint64 private_pages;
    guint64 remaining_pages;
    double dirty_rate;
    double encryption_rate;
    guint32 batch_pages;
    guint32 throttle_percent;
    guint32 max_throttle_percent;
    guint64 predicted_downtime_us;
    guint64 promised_downtime_us; /* predicted when the switchover began */
    guint64 downtime_goal_us;
    guint64 duration_goal_us;
    guint64 eta_us;
    guint32 turn_place;     /* among those that leave the host together, from 1; 0: alone */
    guint64 turn_begins_us; /* from now until it may send; 0: it does */
    guint64 turn_ends_us;   /* from now until what it has left is sent */
    guint64 held_us;        /* of elapsed_us, what it waited for its turns */
    guint64 still_us;       /* nothing has left the host for so long; 0: data moves */
    guint64 paused_us;      /* by us, for so long; 0: it is not */
    guint64 guest_lost_us;
    guint64 submissions;
    guint64 commands;
    guint64 pages;
    guint64 sent_bytes;
    guint64 service_us;
    guint64 wait_us;
    guint64 downtime_us;
    guint64 fixed_downtime_us; /* of it, what memory did not take; 0: not measured */
    char *peer;                /* what speaks for the destination; "nothing"; "": not known yet */
    char *peer_digest;
    char *peer_subject; /* of its TLS certificate */
    char *last_decision;
    char *record_file;
    char *error;
    /* Not on the bus: for the history and for what the host learns. */
    guint64 passes;
    guint64 decisions;
    guint64 samples;
    guint64 samples_missed;
} SevmigInfo;

void sevmig_info_init(SevmigInfo *info);
void sevmig_info_clear(SevmigInfo *info);

/* `to` is initialised; what it held is freed. */
void sevmig_info_copy(SevmigInfo *to, const SevmigInfo *from);

/* Replaces a string member; `text` NULL counts as "". */
void sevmig_info_set(char **member, const char *text);

/* `elapsed_us` is that of the sample already. */
void sevmig_info_take_sample(SevmigInfo *info, const SevmigSample *sample);
void sevmig_info_take_view(SevmigInfo *info, const SevmigView *view);

/* The properties of org.sevmig1.Migration as a{sv} (floating). */
GVariant *sevmig_info_properties(const SevmigInfo *info);

/* Those of them in which `shown` differs from `now`, and then no longer does; NULL: none. */
GVariant *sevmig_info_take_changes(SevmigInfo *shown, const SevmigInfo *now);

#endif
