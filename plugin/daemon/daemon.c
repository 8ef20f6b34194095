/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The bus comes first: owning the name makes this the host's only sevmigd, and only then is libvirt
 * connected and anything steered. Policies, sessions and the bus live for the whole time; the
 * watcher lives as long as one libvirt connection.
 */
#include "daemon.h"

#include <string.h>

#include "bus.h"
#include "history.h"
#include "libvirt-link.h"
#include "log.h"
#include "outgoing.h"
#include "policies.h"
#include "sevmig-error.h"
#include "session.h"
#include "watcher.h"
#include "worker.h"

#define MOST_REMEMBERED 32u /* migrations that have ended */
#define EXPLAIN_TIMEOUT_MS 10000u

struct SevmigDaemon {
    SevmigDaemonOptions options;
    SevmigDaemonQuitFunc quit;
    gpointer user_data;
    char *records_dir;
    SevmigPolicies *policies;
    SevmigHistory *history;
    SevmigBus *bus;
    SevmigLink *link;
    SevmigWatcher *watcher;
    GHashTable *running; /* uuid, the session's -> SevmigSession */
    GQueue *ended;       /* of SevmigSession, oldest first */
    GCancellable *cancellable;
    guint n_ids;
    guint quit_source;
    gboolean stopping;
    gboolean failed; /* it stops because it cannot go on */
};

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
session_changed(SevmigSession *session, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_bus_changed(self->bus, sevmig_session_info(session));
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
    if (!sevmig_history_add(self->history, info, &error))
        sevmig_log(G_LOG_LEVEL_WARNING, NULL, "%s, ignoring", error->message);
    sevmig_bus_ended(self->bus, info);
    session_remember(self, session);
    if (self->stopping && g_hash_table_size(self->running) == 0)
        daemon_quit_soon(self);
}

static const SevmigSessionOps session_ops = {.changed = session_changed, .ended = session_ended};

/* Sorts by time, is unique, and makes a file name. */
static char *
new_id(SevmigDaemon *self, const char *uuid)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *stamp = g_date_time_format(now, "%Y%m%dT%H%M%S");

    return g_strdup_printf("%s.%06d-%.8s-%u", stamp, g_date_time_get_microsecond(now), uuid,
                           ++self->n_ids);
}

static gboolean
watcher_follows(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    return g_hash_table_contains(self->running, uuid);
}

static void
watcher_found(const SevmigOutgoing *outgoing, gpointer user_data)
{
    SevmigDaemon *self = user_data;
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigResolution) resolution =
        sevmig_policy_resolve(sevmig_policies_store(self->policies), outgoing->xml, -1, &error);
    g_autofree char *id = new_id(self, outgoing->uuid);
    SevmigSessionSetup setup = {
        .id = id,
        .domain = outgoing->name,
        .uuid = outgoing->uuid,
        .resolution = resolution,
        .records_dir = self->records_dir,
        .fixed_downtime_us = sevmig_history_fixed_downtime_us(self->history),
        .elapsed_us = outgoing->elapsed_us,
        .dry_run = self->options.dry_run,
    };
    SevmigSession *session;

    if (self->stopping)
        return;
    if (resolution == NULL) {
        sevmig_log(G_LOG_LEVEL_WARNING, NULL, "domain %s migrates ungoverned: %s", outgoing->name,
                   error->message);
        return;
    }
    setup.actuator = sevmig_actuator_new_libvirt(outgoing->domain);
    if (resolution->policy == NULL || self->options.dry_run ||
        sevmig_policy_params(resolution->policy)->observe_only)
        setup.actuator = sevmig_actuator_new_observe(setup.actuator);
    session = sevmig_session_new(&setup, &session_ops, self);
    g_hash_table_insert(self->running, sevmig_session_info(session)->uuid, session);
    sevmig_bus_add(self->bus, sevmig_session_info(session), TRUE);
    sevmig_session_start(session);
}

static void
watcher_superseded(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_session_superseded(g_hash_table_lookup(self->running, uuid));
}

static void
watcher_event(const char *uuid, const QmpcEvent *event, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_session_migration_event(g_hash_table_lookup(self->running, uuid), event);
}

static void
watcher_job_completed(const char *uuid, const SevmigJobResult *result, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_session_job_completed(g_hash_table_lookup(self->running, uuid), result);
}

static void
watcher_gone(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_session_domain_gone(g_hash_table_lookup(self->running, uuid));
}

static void
watcher_resumed(const char *uuid, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_session_resumed(g_hash_table_lookup(self->running, uuid));
}

static void
watcher_ready(gpointer user_data)
{
    sevmig_log(G_LOG_LEVEL_MESSAGE, NULL, "watching for migrations");
}

static void
watcher_failed(const GError *error, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    sevmig_link_drop(self->link, error->message);
}

static const SevmigWatcherOps watcher_ops = {
    .ready = watcher_ready,
    .failed = watcher_failed,
    .follows = watcher_follows,
    .superseded = watcher_superseded,
    .found = watcher_found,
    .event = watcher_event,
    .job_completed = watcher_job_completed,
    .gone = watcher_gone,
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

    self->watcher = sevmig_watcher_new(connection, &watcher_ops, self);
}

static void
link_closed(SevmigLink *link, const char *reason, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    g_clear_pointer(&self->watcher, sevmig_watcher_free);
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

/* --- The bus --- */

static const char *
bus_libvirt_state(gpointer user_data)
{
    SevmigDaemon *self = user_data;

    return self->link != NULL ? sevmig_link_state(self->link) : "";
}

static const char *
bus_policy_error(gpointer user_data)
{
    SevmigDaemon *self = user_data;

    return sevmig_policies_error(self->policies);
}

static GVariant *
bus_list_policies(gpointer user_data)
{
    SevmigDaemon *self = user_data;

    return sevmig_policies_list(self->policies);
}

static char *
bus_get_policy(const char *name, gpointer user_data, GError **error)
{
    SevmigDaemon *self = user_data;

    return sevmig_policies_get(self->policies, name, error);
}

static gboolean
bus_reload_policies(guint *count, gpointer user_data, GError **error)
{
    SevmigDaemon *self = user_data;
    gboolean ok = sevmig_policies_reload(self->policies, count, error);

    sevmig_bus_manager_changed(self->bus);
    return ok;
}

typedef struct {
    virConnectPtr connection;
    char *domain;
} Question;

static void
question_free(gpointer data)
{
    Question *question = data;

    virConnectClose(question->connection);
    g_free(question->domain);
    g_free(question);
}

static gpointer
question_thread(gpointer data, GError **error)
{
    Question *question = data;

    return sevmig_outgoing_describe(question->connection, question->domain, error);
}

static void
question_answered(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    SevmigDaemon *self = g_task_get_task_data(task);
    GError *error = NULL;
    g_autofree char *xml = sevmig_worker_run_finish(result, &error);
    GVariant *answer = NULL;

    if (xml != NULL)
        answer = sevmig_policies_explain(self->policies, xml, &error);
    if (answer != NULL)
        g_task_return_pointer(task, g_variant_ref_sink(answer), (GDestroyNotify)g_variant_unref);
    else
        g_task_return_error(task, error);
}

static void
bus_explain(const char *domain, GAsyncReadyCallback callback, gpointer callback_data,
            gpointer user_data)
{
    SevmigDaemon *self = user_data;
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, callback_data);
    virConnectPtr connection = self->link != NULL ? sevmig_link_connection(self->link) : NULL;
    Question *question;

    if (connection == NULL) {
        g_task_return_new_error(task, SEVMIG_ERROR, SEVMIG_ERROR_UNAVAILABLE,
                                "libvirt is not connected: %s", bus_libvirt_state(self));
        return;
    }
    g_task_set_task_data(task, self, NULL);
    question = g_new0(Question, 1);
    virConnectRef(connection);
    question->connection = connection;
    question->domain = g_strdup(domain);
    sevmig_worker_run_async("libvirt", question_thread, question, question_free, g_free,
                            EXPLAIN_TIMEOUT_MS, self->cancellable, question_answered,
                            g_steal_pointer(&task));
}

static GVariant *
bus_explain_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static GVariant *
bus_explain_xml(const char *xml, gpointer user_data, GError **error)
{
    SevmigDaemon *self = user_data;

    return sevmig_policies_explain(self->policies, xml, error);
}

static void
bus_name_changed(gboolean owned, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    if (!owned) {
        sevmig_log(G_LOG_LEVEL_CRITICAL, NULL,
                   "cannot have the bus name: another sevmigd has it, or the bus does not let us, "
                   "or is gone");
        self->failed = TRUE;
        if (!self->stopping)
            sevmig_daemon_stop(self);
        return;
    }
    if (self->link != NULL || self->stopping)
        return;
    self->link = sevmig_link_new(self->options.uri, &link_ops, self);
    sevmig_link_start(self->link);
}

static const SevmigBusOps bus_ops = {
    .libvirt_state = bus_libvirt_state,
    .policy_error = bus_policy_error,
    .list_policies = bus_list_policies,
    .get_policy = bus_get_policy,
    .reload_policies = bus_reload_policies,
    .explain = bus_explain,
    .explain_finish = bus_explain_finish,
    .explain_xml = bus_explain_xml,
    .name_changed = bus_name_changed,
};

/* --- Life --- */

void
sevmig_daemon_reload(SevmigDaemon *self)
{
    g_autoptr(GError) error = NULL;
    guint count;

    bus_reload_policies(&count, self, &error); /* has logged what was wrong */
}

void
sevmig_daemon_stop(SevmigDaemon *self)
{
    gboolean again = self->stopping;

    self->stopping = TRUE;
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
    self->ended = g_queue_new();
    self->cancellable = g_cancellable_new();
    self->history = sevmig_history_new(history_dir);
    self->policies = sevmig_policies_new(options->policy_dirs, options->ceiling_file, error);
    if (self->policies == NULL)
        return NULL;
    /* A set that cannot be loaded is said in the log and on the bus; the built-in default holds. */
    sevmig_policies_reload(self->policies, &count, NULL);
    self->bus = sevmig_bus_new(options->bus_address, &bus_ops, self, error);
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
    sevmig_bus_free(self->bus);
    g_queue_free_full(self->ended, (GDestroyNotify)sevmig_session_free);
    g_hash_table_unref(self->running);
    sevmig_watcher_free(self->watcher);
    sevmig_link_free(self->link);
    sevmig_policies_free(self->policies);
    sevmig_history_free(self->history);
    g_object_unref(self->cancellable);
    g_free(self->records_dir);
    g_free(self);
}
