/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-stats.h"

#include "swpsp-names.h"

/* All ops, known or not, that can be counted: the last place takes those out of range. */
#define N_OPS 0x60

typedef struct {
    uint64_t count, errors, service_us, wait_us;
} OpStats;

struct SwpspStats {
    OpStats ops[N_OPS];
    uint64_t submissions, commands, pages, contiguity_splits, service_us, wait_us;
    unsigned queue_depth_max;
    GQueue clients; /* SwpspClientStats, oldest first */
};

SwpspStats *
swpsp_stats_new(void)
{
    SwpspStats *stats = g_new0(SwpspStats, 1);
    g_queue_init(&stats->clients);
    return stats;
}

void
swpsp_stats_free(SwpspStats *stats)
{
    if (!stats)
        return;
    g_queue_clear_full(&stats->clients, g_free);
    g_free(stats);
}

/* Forgets clients that are gone, oldest first, until `keep` of them are left. */
static void
forget_gone(SwpspStats *stats, unsigned keep)
{
    unsigned gone = 0;

    for (GList *l = stats->clients.head; l; l = l->next)
        gone += !((const SwpspClientStats *)l->data)->connected;
    for (GList *l = stats->clients.head, *next; l && gone > keep; l = next) {
        next = l->next;
        if (((const SwpspClientStats *)l->data)->connected)
            continue;
        g_free(l->data);
        g_queue_delete_link(&stats->clients, l);
        gone--;
    }
}

void
swpsp_stats_reset(SwpspStats *stats)
{
    const GQueue clients = stats->clients;

    *stats = (SwpspStats){.clients = clients};
    forget_gone(stats, 0);
    for (GList *l = stats->clients.head; l; l = l->next) {
        SwpspClientStats *client = l->data;
        *client = (SwpspClientStats){
            .id = client->id,
            .pid = client->pid,
            .connected = true,
            .handle = client->handle,
            .state = client->state,
        };
    }
}

SwpspClientStats *
swpsp_stats_client_new(SwpspStats *stats, uint64_t id, pid_t pid)
{
    SwpspClientStats *client = g_new0(SwpspClientStats, 1);

    *client = (SwpspClientStats){.id = id, .pid = pid, .connected = true};
    g_queue_push_tail(&stats->clients, client);
    return client;
}

void
swpsp_stats_client_gone(SwpspStats *stats, SwpspClientStats *client)
{
    client->connected = false;
    /* One that never used the firmware (swpspctl) says nothing; do not let it push out others. */
    if (client->handle == 0 && client->service_us == 0) {
        g_queue_remove(&stats->clients, client);
        g_free(client);
        return;
    }
    forget_gone(stats, SWPSP_STATS_GONE);
}

void
swpsp_stats_served(SwpspStats *stats, SwpspClientStats *client, const SwpspServed *served)
{
    OpStats *op = &stats->ops[MIN(served->op, N_OPS - 1)];
    const bool submission =
        served->op == SWPSP_OP_SEND_UPDATE_DATA || served->op == SWPSP_OP_RECEIVE_UPDATE_DATA;
    const bool split = served->status == SWPSP_NOT_CONTIGUOUS; /* nobody's error */
    const bool error = served->status != SWPSP_OK && !split;

    op->count++;
    op->errors += error;
    op->service_us += served->service_us;
    op->wait_us += served->wait_us;
    stats->submissions += submission;
    stats->commands += served->commands;
    stats->pages += served->pages;
    stats->contiguity_splits += split;
    stats->service_us += served->service_us;
    stats->wait_us += served->wait_us;
    if (!client)
        return;
    client->requests++;
    client->errors += error;
    client->submissions += submission;
    client->commands += served->commands;
    client->pages += served->pages;
    client->contiguity_splits += split;
    client->service_us += served->service_us;
    client->wait_us += served->wait_us;
}

void
swpsp_stats_queue_depth(SwpspStats *stats, unsigned depth)
{
    stats->queue_depth_max = MAX(stats->queue_depth_max, depth);
}

static void
add_u64(json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_uint64(value));
}

static json_object *
op_to_json(const OpStats *op)
{
    json_object *object = json_object_new_object();

    add_u64(object, "count", op->count);
    add_u64(object, "errors", op->errors);
    add_u64(object, "service_us", op->service_us);
    add_u64(object, "wait_us", op->wait_us);
    return object;
}

static json_object *
client_to_json(const SwpspClientStats *client)
{
    json_object *object = json_object_new_object();

    add_u64(object, "id", client->id);
    json_object_object_add(object, "pid", json_object_new_int64(client->pid));
    json_object_object_add(object, "connected", json_object_new_boolean(client->connected));
    add_u64(object, "handle", client->handle);
    json_object_object_add(object, "state",
                           client->handle ? json_object_new_string(swpsp_state_name(client->state))
                                          : NULL);
    add_u64(object, "requests", client->requests);
    add_u64(object, "errors", client->errors);
    add_u64(object, "submissions", client->submissions);
    add_u64(object, "commands", client->commands);
    add_u64(object, "pages", client->pages);
    add_u64(object, "contiguity_splits", client->contiguity_splits);
    add_u64(object, "service_us", client->service_us);
    add_u64(object, "wait_us", client->wait_us);
    return object;
}

void
swpsp_stats_to_json(const SwpspStats *stats, json_object *object)
{
    json_object *ops = json_object_new_object();
    json_object *clients = json_object_new_array();

    for (uint16_t i = 0; i < N_OPS; i++) {
        if (stats->ops[i].count > 0)
            json_object_object_add(ops, swpsp_op_name(i), op_to_json(&stats->ops[i]));
    }
    for (const GList *l = stats->clients.head; l; l = l->next)
        json_object_array_add(clients, client_to_json(l->data));
    add_u64(object, "queue_depth_max", stats->queue_depth_max);
    add_u64(object, "submissions", stats->submissions);
    add_u64(object, "commands", stats->commands);
    add_u64(object, "pages", stats->pages);
    add_u64(object, "contiguity_splits", stats->contiguity_splits);
    add_u64(object, "service_us", stats->service_us);
    add_u64(object, "wait_us", stats->wait_us);
    json_object_object_add(object, "ops", ops);
    json_object_object_add(object, "clients", clients);
}
