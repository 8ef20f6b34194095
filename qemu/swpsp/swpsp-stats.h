/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-stats.h - what was done, for whom, and how long they waited for each other
 *
 * A client's record outlives its connection (the newest SWPSP_STATS_GONE of them are kept), so that
 * a migration can be looked at when it is over. Counters start at the start or the last reset.
 */
#ifndef SWPSP_STATS_H
#define SWPSP_STATS_H

#include "swpsp-proto.h"

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <sys/types.h>

#define SWPSP_STATS_GONE 64

typedef struct {
    uint64_t id;
    pid_t pid;
    bool connected;
    uint32_t handle;              /* newest guest, 0 if it had none */
    enum swpsp_guest_state state; /* of it, when last seen */
    uint64_t requests, errors;
    uint64_t submissions, commands, pages, contiguity_splits;
    uint64_t service_us, wait_us; /* of all its requests */
} SwpspClientStats;

/* One request that was answered. */
typedef struct {
    uint16_t op;
    enum swpsp_status status;
    uint64_t commands, pages;
    uint64_t service_us, wait_us;
} SwpspServed;

typedef struct SwpspStats SwpspStats;

SwpspStats *swpsp_stats_new(void);
void swpsp_stats_free(SwpspStats *stats);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspStats, swpsp_stats_free)

/* Zeroes all counters and forgets clients that are gone. */
void swpsp_stats_reset(SwpspStats *stats);

/* The record is owned by the statistics; it is valid until told that the client is gone. */
SwpspClientStats *swpsp_stats_client_new(SwpspStats *stats, uint64_t id, pid_t pid);
void swpsp_stats_client_gone(SwpspStats *stats, SwpspClientStats *client);

/* Counts a request; the client may be NULL if it is gone. */
void swpsp_stats_served(SwpspStats *stats, SwpspClientStats *client, const SwpspServed *served);

void swpsp_stats_queue_depth(SwpspStats *stats, unsigned depth);

/* Adds "queue_depth_max", "submissions", "pages", "service_us", "commands" and "clients". */
void swpsp_stats_to_json(const SwpspStats *stats, json_object *object);

#endif
