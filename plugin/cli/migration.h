/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * migration.h - one migration as sevmigd tells it
 */
#ifndef SEVMIGCTL_MIGRATION_H
#define SEVMIGCTL_MIGRATION_H

#include "cli.h"

/* The properties of org.sevmig1.Migration; times in microseconds, rates in pages a second. */
typedef struct {
    char *path;
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
    guint32 page_size_bytes;
    guint64 private_pages;
    guint64 remaining_pages;
    double dirty_pages_per_s;
    double encrypt_pages_per_s;
    guint32 batch_pages;
    guint32 throttle_percent;
    guint32 max_throttle_percent;
    guint64 predicted_downtime_us;
    guint64 promised_downtime_us;
    guint64 downtime_goal_us;
    guint64 duration_goal_us;
    guint64 eta_us;
    guint32 turn_place;     /* 0: it takes no turns */
    guint64 turn_begins_us; /* 0: it sends */
    guint64 turn_ends_us;
    guint64 held_us;   /* of elapsed_us */
    guint64 still_us;  /* 0: data moves */
    guint64 paused_us; /* 0: it is not */
    guint64 guest_lost_us;
    guint64 submissions;
    guint64 commands;
    guint64 pages;
    guint64 sent_bytes;
    guint64 service_us;
    guint64 wait_us;
    guint64 downtime_us;
    guint64 fixed_downtime_us; /* of it, what memory did not take; 0: not measured */
    char *peer;                /* what speaks for the destination; "": not known yet */
    char *peer_digest;
    char *peer_subject;
    char *last_decision;
    char *record_file;
    char *error;
} Migration;

/* Strings come fit for a terminal. */
Migration *migration_load(Cli *cli, const char *path, GError **error);
void migration_free(Migration *migration);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Migration, migration_free)

/* Running ones, or all that are remembered; oldest first. Those that vanish meanwhile are left out.
 */
GPtrArray *migration_load_all(Cli *cli, gboolean all, GError **error);
/* Those that have ended, of an earlier sevmigd too, newest first, at most `limit` (0: all). `which`
   is an id, or a domain's name or UUID; "": any. */
GPtrArray *migration_load_history(Cli *cli, const char *which, guint limit, GError **error);
/* The migration with that id, or the newest of that domain (name or UUID): running ones first, then
   those that the daemon remembers, then its history. */
Migration *migration_find(Cli *cli, const char *id_or_domain, GError **error);

/* The same among those alone that the daemon has as objects on the bus. */
Migration *migration_find_steerable(Cli *cli, const char *id_or_domain, GError **error);

gboolean migration_ended(const Migration *migration);
gboolean migration_is(const Migration *migration, const char *id_or_domain);

void migration_json(GString *out, const Migration *migration);

#endif
