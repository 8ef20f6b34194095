/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus comes first: owning the name makes this the host's only sevmigd, and only then is libvirt
 * connected and anything steered. Policies, sessions and the bus live for the whole time; the
 * watcher lives as long as one libvirt connection.
 */
#include "daemon-private.h"

#include <string.h>

#include "log.h"
#include "outgoing.h"
#include "sevmig-error.h"

#define MOST_REMEMBERED 32u /* migrations that have ended */

static gboolean
daemon_quit(gpointer user_data)
{
    SevmigDaemon *self = user_data;
    SevmigDaemonQuitFunc quit = self->quit;

    self->quit_source = 0;
    self->quit = NULL;
    if (quit != NULL)
        quit(!self->failed, self->user_data);
    return G_SOURCE_REMOVE;
}

/* From the main loop, never from within a callback of a part that is about to be freed. */
static void
daemon_quit_soon(SevmigDaemon *self)
{
    if (self->quit_source == 0)
        self->quit_source = g_idle_add(daemon_quit, self);
}

/* --- Sessions --- */

static void
wake_arbiter(SevmigDaemon *self)
{
    if (self->arbitration != NULL)
        sevmig_arbitration_wake(self->arbitration);
}

static void
session_changed(SevmigSession *session, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_bus_changed(self->bus, sevmig_session_info(session));
    wake_arbiter(self);
}

static void
session_remember(SevmigDaemon *self, SevmigSession *session)
{
    g_queue_push_tail(self->ended, session);
    while (g_queue_get_length(self->ended) > MOST_REMEMBERED) {
        SevmigSession *oldest = g_queue_pop_head(self->ended);

        sevmig_bus_remove(self->bus, sevmig_session_info(oldest));
        sevmig_session_free(oldest);
    }
}

static void
session_ended(SevmigSession *session, gpointer user_data)
{
    SevmigDaemon *self = user_data;
    const SevmigInfo *info = sevmig_session_info(session);
    g_autoptr(GError) error = NULL;

    g_hash_table_steal(self->running, info->uuid);
    wake_arbiter(self);
    if (!sevmig_history_add(self->history, info, &error))
        sevmig_log(SEVMIG_MESSAGE_HISTORY_NOT_WRITTEN, NULL, "%s, ignoring", error->message);
    sevmig_metrics_ended(self->metrics, info);
    sevmig_bus_ended(self->bus, info);
    session_remember(self, session);
    if (self->stopping && g_hash_table_size(self->running) == 0)
        daemon_quit_soon(self);
}

static const SevmigSessionOps session_ops = {.changed = session_changed, .ended = session_ended};

static gboolean
watcher_follows(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    return g_hash_table_contains(self->running, uuid) || g_hash_table_contains(self->found, uuid);
}

static void
watcher_found(const SevmigOutgoing *outgoing, gpointer user_data)
{
    sevmig_daemon_found(user_data, outgoing);
}

void
sevmig_daemon_begin(SevmigDaemon *self, const SevmigOutgoing *outgoing,
                    const SevmigResolution *resolution)
{
    g_autofree char *id = sevmig_session_new_id(outgoing->uuid, ++self->n_ids);
    SevmigSessionSetup setup = {
        .id = id,
        .number = self->n_ids,
        .domain = outgoing->name,
        .uuid = outgoing->uuid,
        .resolution = resolution,
        .records_dir = self->records_dir,
        .fixed_downtime_us = sevmig_history_fixed_downtime_us(self->history),
        .elapsed_us = outgoing->elapsed_us,
        .stands = outgoing->stands,
        .dry_run = self->options.dry_run,
    };
    SevmigSession *session;

    if (resolution->unread)
        sevmig_log(SEVMIG_MESSAGE_UNREAD, NULL, "domain %s is governed by the policy %s: %s",
                   outgoing->name, sevmig_policy_name(resolution->policy), resolution->problem);
    setup.actuator = sevmig_actuator_new_libvirt(outgoing->domain);
    if (resolution->policy == NULL || self->options.dry_run)
        setup.actuator = sevmig_actuator_new_observe(setup.actuator);
    session = sevmig_session_new(&setup, &session_ops, self);
    g_hash_table_insert(self->running, sevmig_session_info(session)->uuid, session);
    sevmig_metrics_begun(self->metrics, sevmig_session_info(session));
    sevmig_bus_add(self->bus, sevmig_session_info(session), TRUE);
    sevmig_session_start(session);
}

static void
watcher_superseded(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    if (!sevmig_daemon_begin_again(self, uuid))
        sevmig_session_superseded(g_hash_table_lookup(self->running, uuid));
}

static void
watcher_event(const char *uuid, const QmpcEvent *event, gpointer user_data)
{
    SevmigDaemon *self = user_data;
    SevmigTold told = {.what = SEVMIG_TOLD_EVENT, .event = *event};

    if (sevmig_daemon_keep(self, uuid, &told))
        return;
    sevmig_session_migration_event(g_hash_table_lookup(self->running, uuid), event);
    wake_arbiter(self); /* what has sent all has made place */
}

static void
watcher_job_completed(const char *uuid, const SevmigJobResult *result, gpointer user_data)
{
    SevmigDaemon *self = user_data;
    SevmigTold told = {.what = SEVMIG_TOLD_COMPLETED, .result = *result};

    if (!sevmig_daemon_keep(self, uuid, &told))
        sevmig_session_job_completed(g_hash_table_lookup(self->running, uuid), result);
}

static void
watcher_crashed(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;
    SevmigSession *session = g_hash_table_lookup(self->running, uuid);

    if (session != NULL) /* else its XML is being read, and the end is told next */
        sevmig_session_crashed(session);
}

static void
watcher_gone(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    if (!sevmig_daemon_drop(self, uuid))
        sevmig_session_domain_gone(g_hash_table_lookup(self->running, uuid));
}

static void
watcher_suspended(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    if (!sevmig_daemon_keep(self, uuid, &(SevmigTold){.what = SEVMIG_TOLD_SUSPENDED}))
        sevmig_session_suspended(g_hash_table_lookup(self->running, uuid));
}

static void
watcher_resumed(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    if (!sevmig_daemon_keep(self, uuid, &(SevmigTold){.what = SEVMIG_TOLD_RESUMED}))
        sevmig_session_resumed(g_hash_table_lookup(self->running, uuid));
}

static void
watcher_ready(gpointer user_data)
{
    sevmig_log(SEVMIG_MESSAGE_WATCHING, NULL, "watching for migrations");
}

static void
watcher_failed(const GError *error, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_link_drop(self->link, error->message);
}

const SevmigWatcherOps SEVMIG_DAEMON_WATCHER_OPS = {
    .ready = watcher_ready,
    .failed = watcher_failed,
    .follows = watcher_follows,
    .superseded = watcher_superseded,
    .found = watcher_found,
    .event = watcher_event,
    .job_completed = watcher_job_completed,
    .crashed = watcher_crashed,
    .gone = watcher_gone,
    .suspended = watcher_suspended,
    .resumed = watcher_resumed,
};

/* Ending changes the table, so the list is taken first. */
static void
release_all(SevmigDaemon *self, const char *why, gboolean reachable)
{
    g_autoptr(GList) sessions = g_hash_table_get_values(self->running);

    for (GList *item = sessions; item != NULL; item = item->next)
        sevmig_session_release(item->data, why, reachable);
}

/* --- The libvirt connection --- */

static void
link_opened(SevmigLink *link, virConnectPtr connection, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    self->watcher = sevmig_watcher_new(connection, &SEVMIG_DAEMON_WATCHER_OPS, self);
    sevmig_metrics_set_connected(self->metrics, TRUE);
}

static void
link_closed(SevmigLink *link, const char *reason, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    g_clear_pointer(&self->watcher, sevmig_watcher_free);
    sevmig_metrics_set_connected(self->metrics, FALSE);
    sevmig_daemon_drop_all(self);
    release_all(self, reason, FALSE);
}

static void
link_state_changed(SevmigLink *link, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_bus_manager_changed(self->bus);
}

static const SevmigLinkOps link_ops = {
    .opened = link_opened,
    .closed = link_closed,
    .state_changed = link_state_changed,
};

void
sevmig_daemon_open_link(SevmigDaemon *self)
{
    sevmig_metrics_start(self->metrics);
    self->link = sevmig_link_new(self->options.uri, &link_ops, self);
    sevmig_link_start(self->link);
}

/* --- Life --- */

void
sevmig_daemon_reload(SevmigDaemon *self)
{
    g_autoptr(GError) error = NULL;
    guint count;

    SEVMIG_DAEMON_BUS_OPS.reload_policies(&count, self, &error); /* has logged what was wrong */
}

void
sevmig_daemon_stop(SevmigDaemon *self)
{
    gboolean again = self->stopping;

    self->stopping = TRUE;
    sevmig_notify_stopping(self->notify);
    if (!again)
        release_all(self, "sevmigd stops", TRUE);
    if (again || g_hash_table_size(self->running) == 0)
        daemon_quit_soon(self);
}

SevmigDaemon *
sevmig_daemon_new(const SevmigDaemonOptions *options, SevmigDaemonQuitFunc quit, gpointer user_data,
                  GError **error)
{
    g_autoptr(SevmigDaemon) self = g_new0(SevmigDaemon, 1);
    g_autofree char *history_dir = g_build_filename(options->state_dir, "history", NULL);
    guint count;

    self->options = *options;
    self->quit = quit;
    self->user_data = user_data;
    self->records_dir = g_build_filename(options->state_dir, "records", NULL);
    self->running = g_hash_table_new(g_str_hash, g_str_equal);
    self->found = g_hash_table_new(g_str_hash, g_str_equal);
    self->reading = sevmig_reading_new();
    self->arbitration = options->no_turns ? NULL : sevmig_arbitration_new(self->running);
    self->ended = g_queue_new();
    self->cancellable = g_cancellable_new();
    self->history = sevmig_history_new(history_dir);
    self->metrics = sevmig_metrics_new(options->metrics_file);
    self->notify = sevmig_notify_new();
    self->policies = sevmig_policies_new(options->policy_dirs, options->ceiling_file, error);
    if (self->policies == NULL)
        return NULL;
    /* A set that cannot be loaded is said in the log and on the bus; the built-in default holds. */
    sevmig_policies_reload(self->policies, &count, NULL);
    self->bus = sevmig_bus_new(options->bus_address, &SEVMIG_DAEMON_BUS_OPS, self, error);
    if (self->bus == NULL)
        return NULL;
    return g_steal_pointer(&self);
}

void
sevmig_daemon_free(SevmigDaemon *self)
{
    GHashTableIter iter;
    gpointer session;

    if (self == NULL)
        return;
    g_clear_handle_id(&self->quit_source, g_source_remove);
    g_cancellable_cancel(self->cancellable);
    g_hash_table_iter_init(&iter, self->running);
    while (g_hash_table_iter_next(&iter, NULL, &session))
        g_queue_push_tail(self->ended, session);
    sevmig_daemon_drop_all(self);
    sevmig_reading_free(self->reading);
    sevmig_bus_free(self->bus);
    g_queue_free_full(self->ended, (GDestroyNotify)sevmig_session_free);
    sevmig_arbitration_free(self->arbitration);
    g_hash_table_unref(self->running);
    g_hash_table_unref(self->found);
    sevmig_watcher_free(self->watcher);
    sevmig_link_free(self->link);
    sevmig_policies_free(self->policies);
    sevmig_metrics_free(self->metrics);
    sevmig_notify_free(self->notify);
    sevmig_history_free(self->history);
    g_object_unref(self->cancellable);
    g_free(self->records_dir);
    g_free(self);
}
