/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * drive.c - starts a migration of a real QEMU and lets one controller of the simulation steer it
 *
 * usage: sevmig-drive QMP-SOCKET URI SCENARIO CONTROLLER BATCH LIMIT-S FIXED-US
 *                     [PART]...
 *
 * The scenario gives the policy; the guest is whatever the QEMU runs. CONTROLLER is sevmig or a
 * peer's name, BATCH the pages a submission holds until the controller says otherwise, FIXED what
 * earlier migrations have shown a switchover to cost besides memory (0: nothing known), PARTs what
 * is left out of our law. As in sevmigd, one call takes what was decided and brings the next
 * statistics. Prints one JSON object about how it ended; status 1 if QEMU would not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qmpc-client.h"
#include "qmpc-migration.h"
#include "qmpc-sev.h"
#include "qmpc-wire.h"
#include "sample.h"
#include "sevmig-simulation.h"
#include "tuning.h"

#define CALL_MS 30000
#define LEASE_MS 10000
#define LOOK_US 500000 /* where a controller asks for nothing */

typedef struct {
    QmpcClient *client;
    const SevmigSimController *controller;
    gpointer state;
    SevmigSimScenario scenario;
    double clock; /* faster than the real one, for peers */
    gint64 last_us;
    SevmigTuning tuning;
    SevmigSample sample;
    SevmigVcpuSample vcpus[SEVMIG_MAX_VCPUS];
    SevmigActions actions;
    gboolean leased;
    gboolean paused, aborted;
    QmpcMigrationStatus status;
    guint64 predicted_us, goal_us, longest_stun_us;
    guint32 most_percent;
    gint64 begun_us, first_pass_us, ended_us;
    gint64 free_from_us, free_us;          /* how long nothing throttled the guest ... */
    guint64 free_from_cpu_us, free_cpu_us; /* ... and the CPU time it had then */
} Drive;

/*
 * QMP, one call at a time
 */

static void
take_result(GObject *source, GAsyncResult *result, gpointer user_data)
{
    *(GAsyncResult **)user_data = g_object_ref(result);
}

static GAsyncResult *
wait_for(GAsyncResult **result)
{
    while (*result == NULL)
        g_main_context_iteration(NULL, TRUE);
    return *result;
}

static gboolean
execute(Drive *self, const char *name, const char *arguments, GError **error)
{
    g_autofree char *command = qmpc_command_build(name, arguments, error);
    QmpcTransport *transport = qmpc_client_transport(self->client);
    g_autoptr(GAsyncResult) result = NULL;
    g_autofree char *reply = NULL, *value = NULL;

    if (!command)
        return FALSE;
    qmpc_transport_send(transport, command, CALL_MS, NULL, take_result, &result);
    reply = qmpc_transport_send_finish(transport, wait_for(&result), error);
    value = reply ? qmpc_reply_parse(name, reply, error) : NULL;
    return value != NULL;
}

static gboolean
query(Drive *self, QmpcSevStatus *status, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    qmpc_sev_query_async(qmpc_client_transport(self->client), CALL_MS, NULL, take_result, &result);
    return qmpc_sev_query_finish(qmpc_client_transport(self->client), wait_for(&result), status,
                                 error);
}

/* Tells what is to be told and takes the statistics. */
static gboolean
exchange(Drive *self, QmpcSevStatus *status, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;
    g_autoptr(GError) refused = NULL;
    QmpcTune tune;

    self->tuning.lease_ms = self->leased ? LEASE_MS : 0;
    tune = sevmig_tuning_get(&self->tuning);
    if (tune.present == 0)
        return query(self, status, error);
    qmpc_tune_async(qmpc_client_transport(self->client), &tune, CALL_MS, NULL, take_result,
                    &result);
    if (!qmpc_tune_finish(qmpc_client_transport(self->client), wait_for(&result), status,
                          &refused)) {
        if (self->aborted || self->ended_us > 0) /* while it was on its way */
            return query(self, status, error);
        g_propagate_error(error, g_steal_pointer(&refused));
        return FALSE;
    }
    sevmig_tuning_clear(&self->tuning);
    return TRUE;
}

static void
take_event(const char *name, const char *data, int64_t realtime_us, gpointer user_data)
{
    Drive *self = user_data;
    QmpcEvent event;

    if (!qmpc_event_parse(name, data, &event, NULL) || event.type != QMPC_EVENT_MIGRATION)
        return;
    self->status = event.status;
    if (qmpc_migration_status_is_final(event.status))
        self->ended_us = g_get_monotonic_time();
}

/*
 * The controller
 */

static gboolean
needs_lease(const SevmigAction *action)
{
    return action->type == SEVMIG_ACTION_THROTTLE || action->type == SEVMIG_ACTION_VCPU_THROTTLE ||
           action->type == SEVMIG_ACTION_SWITCHOVER || action->type == SEVMIG_ACTION_HOLD_SENDING ||
           action->type == SEVMIG_ACTION_PAUSE;
}

static gboolean
act(Drive *self, GError **error)
{
    for (gsize i = 0; i < self->actions.n; i++) {
        const SevmigAction *action = &self->actions.list[i];

        self->leased |= needs_lease(action);
        self->paused |= action->type == SEVMIG_ACTION_PAUSE && action->value != 0;
        if (action->type == SEVMIG_ACTION_ABORT && !self->aborted) {
            self->aborted = TRUE;
            if (!execute(self, "migrate_cancel", NULL, error))
                return FALSE;
        } else {
            sevmig_tuning_add(&self->tuning, action);
        }
    }
    return TRUE;
}

static void
look(Drive *self)
{
    SevmigView view;

    if (!self->controller->view)
        return;
    self->controller->view(self->state, &view);
    self->goal_us = view.downtime_goal_us;
    if (view.predicted_downtime_us > 0)
        self->predicted_us = view.predicted_downtime_us;
}

static gboolean
step(Drive *self, SevmigEventType type, GError **error)
{
    SevmigControlParams params = self->scenario.params;
    SevmigEvent event = {.type = type,
                         .now_us = (gint64)((double)g_get_monotonic_time() * self->clock),
                         .params = &params,
                         .sample = type == SEVMIG_EVENT_START ? NULL : &self->sample};

    params.downtime_goal_us = (guint64)((double)params.downtime_goal_us * self->clock);
    self->controller->step(self->state, &event, &self->actions);
    self->actions.wake_us = (gint64)((double)self->actions.wake_us / self->clock);
    for (gsize i = 0; i < self->actions.n; i++) {
        SevmigAction *action = &self->actions.list[i];

        if (action->type == SEVMIG_ACTION_DOWNTIME_LIMIT_US ||
            action->type == SEVMIG_ACTION_SLICE_US)
            action->value = (gint64)((double)action->value / self->clock);
    }
    look(self);
    return act(self, error);
}

static void
count_free(Drive *self, const QmpcSevStatus *status)
{
    gint64 now_us = g_get_monotonic_time();
    guint64 cpu_us = 0;

    for (gsize i = 0; i < status->n_vcpus; i++)
        cpu_us += status->vcpus[i].cpu_us;
    if (self->free_from_us == 0) {
        self->free_from_us = now_us;
        self->free_from_cpu_us = cpu_us;
    }
    self->free_us = now_us - self->free_from_us;
    self->free_cpu_us = cpu_us - self->free_from_cpu_us;
}

static void
take_status(Drive *self, const QmpcSevStatus *status)
{
    guint32 percent = status->tune.vcpu_throttle_percent;

    sevmig_sample_fill(&self->sample, self->vcpus, status);
    if (self->first_pass_us == 0 && status->ram.pass > 1)
        self->first_pass_us = g_get_monotonic_time() - (gint64)status->ram.pass_elapsed_us;
    for (gsize i = 0; i < self->sample.n_vcpus; i++)
        percent = MAX(percent, self->vcpus[i].throttle_percent);
    self->most_percent = MAX(self->most_percent, percent);
    if (self->most_percent == 0)
        count_free(self, status);
    if (percent > 0 && percent < 100)
        self->longest_stun_us = MAX(self->longest_stun_us, (guint64)status->tune.throttle_slice_us *
                                                               percent / (100 - percent));
}

static gboolean
tick(Drive *self, GError **error)
{
    g_auto(QmpcSevStatus) status = {0};

    if (!exchange(self, &status, error))
        return FALSE;
    take_status(self, &status);
    if (self->ended_us > 0 || self->status == QMPC_MIGRATION_DEVICE)
        return TRUE;
    if (!step(self, SEVMIG_EVENT_SAMPLE, error))
        return FALSE;
    /* A peer's command is a call of its own, at once. */
    if (!self->controller->view && sevmig_tuning_get(&self->tuning).present != 0) {
        qmpc_sev_status_clear(&status);
        return exchange(self, &status, error);
    }
    return TRUE;
}

static gboolean
wake(gpointer user_data)
{
    *(gboolean *)user_data = TRUE;
    return G_SOURCE_REMOVE;
}

/* Until the controller wants to be woken, or QEMU has something to say. */
static void
rest(Drive *self)
{
    gint64 until_us =
        self->actions.wake_us > 0 ? self->actions.wake_us : g_get_monotonic_time() + LOOK_US;
    gint64 left_us = MIN(until_us, self->last_us) - g_get_monotonic_time();
    QmpcMigrationStatus before = self->status;
    gboolean due = FALSE;
    guint timer = g_timeout_add((guint)(MAX(left_us, 0) + 999) / 1000, wake, &due);

    while (!due && self->ended_us == 0 && self->status == before)
        g_main_context_iteration(NULL, TRUE);
    if (!due)
        g_source_remove(timer);
}

/*
 * The migration
 */

static gboolean
open_client(Drive *self, const char *path, GError **error)
{
    g_autoptr(GAsyncResult) result = NULL;

    self->client = qmpc_client_new_unix(path, error);
    if (!self->client)
        return FALSE;
    qmpc_client_set_event_func(self->client, take_event, self);
    qmpc_client_open_async(self->client, CALL_MS, NULL, take_result, &result);
    return qmpc_client_open_finish(self->client, wait_for(&result), error);
}

static gboolean
begin(Drive *self, const char *uri, guint batch, GError **error)
{
    const SevmigAction first = {.type = SEVMIG_ACTION_BATCH_PAGES, .value = batch};
    g_autofree char *capabilities =
        g_strdup_printf("{\"capabilities\": [{\"capability\": \"auto-converge\", \"state\": %s},"
                        " {\"capability\": \"return-path\", \"state\": true},"
                        " {\"capability\": \"events\", \"state\": true}]}",
                        self->controller->auto_converge ? "true" : "false");
    g_autofree char *where = g_strdup_printf("{\"uri\": \"%s\"}", uri);

    if (!execute(self, "migrate-set-capabilities", capabilities, error) ||
        !execute(self, "migrate-set-parameters", "{\"max-bandwidth\": 0}", error) ||
        !execute(self, "migrate", where, error))
        return FALSE;
    self->begun_us = g_get_monotonic_time();
    if (batch > 0)
        sevmig_tuning_add(&self->tuning, &first);
    return step(self, SEVMIG_EVENT_START, error);
}

static gboolean
steer(Drive *self, double limit_s, GError **error)
{
    gboolean told = FALSE;

    self->last_us = self->begun_us + (gint64)(limit_s * 1e6);
    while (self->ended_us == 0) {
        if (g_get_monotonic_time() > self->last_us && !self->aborted) {
            self->last_us = G_MAXINT64;
            self->aborted = TRUE;
            if (!execute(self, "migrate_cancel", NULL, error))
                return FALSE;
        }
        if (self->status == QMPC_MIGRATION_DEVICE && !told) {
            told = TRUE;
            if (!step(self, SEVMIG_EVENT_SWITCHOVER, error))
                return FALSE;
        } else if (self->status != QMPC_MIGRATION_DEVICE && !tick(self, error)) {
            return FALSE;
        }
        rest(self);
    }
    return TRUE;
}

static gboolean
report(Drive *self, GError **error)
{
    g_auto(QmpcSevStatus) status = {0};
    double throttled_us = 0;

    if (!query(self, &status, error))
        return FALSE;
    for (gsize i = 0; i < status.n_vcpus; i++)
        throttled_us += (double)status.vcpus[i].throttled_us / (double)status.n_vcpus;
    printf("{\"completed\": %s, \"aborted\": %s, \"paused\": %s, \"begun_us\": %" G_GINT64_FORMAT
           ", \"first_pass_us\": %" G_GINT64_FORMAT ", \"total_us\": %" G_GINT64_FORMAT
           ", \"qemu_downtime_us\": %" G_GUINT64_FORMAT
           ", \"throttled_us\": %.0f, \"free_from_us\": %" G_GINT64_FORMAT
           ", \"free_us\": %" G_GINT64_FORMAT ", \"busy\": %.3f, \"fixed_us\": %" G_GUINT64_FORMAT
           ", \"bytes\": %" G_GUINT64_FORMAT ", \"predicted_downtime_us\": %" G_GUINT64_FORMAT
           ", \"goal_us\": %" G_GUINT64_FORMAT ", \"longest_stun_us\": %" G_GUINT64_FORMAT
           ", \"throttle_percent\": %u, \"batch_pages\": %u}\n",
           self->status == QMPC_MIGRATION_COMPLETED ? "true" : "false",
           self->aborted ? "true" : "false", self->paused ? "true" : "false", self->begun_us,
           (self->first_pass_us ? self->first_pass_us : self->ended_us) - self->begun_us,
           self->ended_us - self->begun_us, status.switchover.downtime_us, throttled_us,
           self->free_from_us, self->free_us,
           (double)self->free_cpu_us / (double)MAX(self->free_us, 1),
           status.switchover.stop_us + status.switchover.device_us + status.switchover.finish_us,
           status.send.bytes, self->predicted_us, self->goal_us, self->longest_stun_us,
           self->most_percent, self->sample.batch_pages);
    return TRUE;
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    SevmigSimScenario usual; /* with the firmware for which peers were made */
    Drive self = {0};
    gboolean done;

    if (argc < 8 || !(self.controller = sevmig_sim_controller_find(argv[4]))) {
        fprintf(stderr,
                "usage: %s QMP-SOCKET URI SCENARIO CONTROLLER BATCH LIMIT-S FIXED-US [PART]...\n",
                argv[0]);
        return 2;
    }
    self.state = g_malloc0(self.controller->size());
    self.controller->init(self.state);
    done = sevmig_sim_scenario_load(argv[3], &self.scenario, &error);
    sevmig_sim_scenario_default(&usual);
    self.clock = self.controller->view ? 1 : usual.page_us / self.scenario.page_us;
    self.scenario.params.fixed_downtime_us = strtoull(argv[7], NULL, 10);
    for (int i = 8; i < argc; i++) {
        for (guint part = 0; part < SEVMIG_PART_COUNT; part++) {
            if (strcmp(argv[i], sevmig_part_name((SevmigPart)part)) == 0)
                self.scenario.params.without_parts |= 1u << part;
        }
    }
    done = done && open_client(&self, argv[1], &error) &&
           begin(&self, argv[2], (guint)strtoul(argv[5], NULL, 10), &error) &&
           steer(&self, g_ascii_strtod(argv[6], NULL), &error) && report(&self, &error);
    if (!done)
        fprintf(stderr, "%s: %s\n", argv[0], error->message);
    g_clear_pointer(&self.client, qmpc_client_free);
    g_free(self.state);
    return done ? 0 : 1;
}
