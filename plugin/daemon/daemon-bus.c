/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon-private.h"

#include <string.h>

#include "log.h"
#include "outgoing.h"
#include "sevmig-error.h"
#include "sevmig-policy-issue.h"
#include "worker.h"

#define ASK_TIMEOUT_MS 10000u
#define EXPLAIN_MOST_BYTES (64u * 1024u)

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

static GVariant *
bus_list_history(const char *which, guint limit, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    return sevmig_history_list(self->history, which, limit);
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

    if (ok)
        sevmig_bus_policies_changed(self->bus);
    sevmig_bus_manager_changed(self->bus);
    return ok;
}

typedef struct {
    virConnectPtr connection;
    char *domain;
} Question;

/* Of the task of an explanation. */
typedef struct {
    SevmigDaemon *daemon;
    char *domain; /* NULL: a document is explained */
    guint uid;
} Explanation;

static void
explanation_free(gpointer data)
{
    g_free(((Explanation *)data)->domain);
    g_free(data);
}

static GTask *
explanation_new(SevmigDaemon *self, const char *domain, guint uid, GAsyncReadyCallback callback,
                gpointer callback_data)
{
    GTask *task = g_task_new(NULL, NULL, callback, callback_data);
    Explanation *explanation = g_new0(Explanation, 1);

    explanation->daemon = self;
    explanation->domain = g_strdup(domain);
    explanation->uid = uid;
    g_task_set_task_data(task, explanation, explanation_free);
    return task;
}

static void
question_free(gpointer data)
{
    Question *question = data;

    virConnectClose(question->connection);
    g_free(question->domain);
    g_free(question);
}

/* Puts a question about a domain to libvirt in a thread, which `answered` ends the task with. */
static void
ask(SevmigDaemon *self, const char *domain, SevmigWorkerFunc thread, GDestroyNotify free_result,
    GAsyncReadyCallback answered, GTask *task)
{
    virConnectPtr connection = self->link != NULL ? sevmig_link_connection(self->link) : NULL;
    Question *question;

    if (connection == NULL) {
        g_task_return_new_error(task, SEVMIG_ERROR, SEVMIG_ERROR_UNAVAILABLE,
                                "libvirt is not connected: %s", bus_libvirt_state(self));
        return;
    }
    question = g_new0(Question, 1);
    virConnectRef(connection);
    question->connection = connection;
    question->domain = g_strdup(domain);
    sevmig_worker_run_async("libvirt", thread, question, question_free, free_result, ASK_TIMEOUT_MS,
                            self->cancellable, answered, g_object_ref(task));
}

static void
answer(GTask *task, GVariant *value, GError *error)
{
    if (value != NULL)
        g_task_return_pointer(task, value, (GDestroyNotify)g_variant_unref);
    else
        g_task_return_error(task, error);
}

static gpointer
describe_thread(gpointer data, GError **error)
{
    Question *question = data;

    return sevmig_outgoing_describe(question->connection, question->domain, error);
}

static void
resolved(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    GError *error = NULL;
    g_autoptr(SevmigResolution) resolution = sevmig_reading_run_finish(result, &error);
    GVariant *value = resolution != NULL ? sevmig_resolution_to_variant(resolution) : NULL;

    answer(task, value != NULL ? g_variant_ref_sink(value) : NULL, error);
}

static void
resolve(GTask *task, const char *xml)
{
    const Explanation *explanation = g_task_get_task_data(task);
    SevmigDaemon *self = explanation->daemon;

    sevmig_reading_run_async(self->reading, explanation->uid, sevmig_policies_store(self->policies),
                             xml, explanation->domain, "", resolved, g_object_ref(task));
}

static void
described(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    GError *error = NULL;
    g_autofree char *xml = sevmig_worker_run_finish(result, &error);

    if (xml != NULL)
        resolve(task, xml);
    else
        g_task_return_error(task, error);
}

static void
bus_explain(const char *domain, guint uid, GAsyncReadyCallback callback, gpointer callback_data,
            gpointer user_data)
{
    g_autoptr(GTask) task = explanation_new(user_data, domain, uid, callback, callback_data);

    ask(user_data, domain, describe_thread, g_free, described, task);
}

static gpointer
probe_thread(gpointer data, GError **error)
{
    Question *question = data;

    return sevmig_outgoing_probe(question->connection, question->domain, error);
}

static void
probed(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(GTask) task = user_data;
    GError *error = NULL;
    GVariant *value = sevmig_worker_run_finish(result, &error);

    answer(task, value, error);
}

static void
bus_probe(const char *domain, GAsyncReadyCallback callback, gpointer callback_data,
          gpointer user_data)
{
    g_autoptr(GTask) task = g_task_new(NULL, NULL, callback, callback_data);

    ask(user_data, domain, probe_thread, (GDestroyNotify)g_variant_unref, probed, task);
}

static GVariant *
bus_ask_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

static void
bus_explain_xml(const char *xml, guint uid, GAsyncReadyCallback callback, gpointer callback_data,
                gpointer user_data)
{
    g_autoptr(GTask) task = explanation_new(user_data, NULL, uid, callback, callback_data);

    if (strlen(xml) <= EXPLAIN_MOST_BYTES)
        resolve(task, xml);
    else
        g_task_return_new_error(task, SEVMIG_ERROR, SEVMIG_ERROR_INVALID,
                                "domain XML: too large to be explained; expected at most %u bytes",
                                EXPLAIN_MOST_BYTES);
}

/* The session of a migration on the bus, NULL with `error` if it has ended. */
static SevmigSession *
session_of(const SevmigDaemon *self, const SevmigInfo *migration, GError **error)
{
    SevmigSession *session = g_hash_table_lookup(self->running, migration->uuid);

    if (session != NULL && sevmig_session_info(session) == migration)
        return session;
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED, "migration %s has ended", migration->id);
    return NULL;
}

static gboolean
bus_set_policy(const SevmigInfo *migration, const char *name, const SevmigTraceOrigin *origin,
               gpointer user_data, GError **error)
{
    SevmigDaemon *self = user_data;
    const SevmigPolicyStore *store = sevmig_policies_store(self->policies);
    SevmigPolicy *policy = sevmig_policy_store_lookup(store, name);
    g_autofree char *shown = sevmig_quote(name);
    SevmigSession *session;

    if (policy == NULL) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND, "no policy is named %s", shown);
        return FALSE;
    }
    session = session_of(self, migration, error);
    return session != NULL && sevmig_session_set_policy(session, policy, origin, error);
}

static gboolean
bus_steer(const SevmigInfo *migration, const SevmigHand *hand, const SevmigTraceOrigin *origin,
          gpointer user_data, GError **error)
{
    SevmigSession *session = session_of(user_data, migration, error);

    return session != NULL && sevmig_session_steer(session, hand, origin, error);
}

static void
bus_name_changed(gboolean owned, gpointer user_data)
{
    SevmigDaemon *self = user_data;

    if (!owned) {
        sevmig_log(SEVMIG_MESSAGE_NAME_LOST, NULL,
                   "cannot have the bus name: another sevmigd has it, or the bus does not let us, "
                   "or is gone");
        self->failed = TRUE;
        if (!self->stopping)
            sevmig_daemon_stop(self);
        return;
    }
    if (self->link == NULL && !self->stopping) {
        sevmig_notify_ready(self->notify);
        sevmig_daemon_open_link(self);
    }
}

const SevmigBusOps SEVMIG_DAEMON_BUS_OPS = {
    .libvirt_state = bus_libvirt_state,
    .policy_error = bus_policy_error,
    .list_policies = bus_list_policies,
    .list_history = bus_list_history,
    .get_policy = bus_get_policy,
    .reload_policies = bus_reload_policies,
    .explain = bus_explain,
    .probe = bus_probe,
    .ask_finish = bus_ask_finish,
    .explain_xml = bus_explain_xml,
    .set_policy = bus_set_policy,
    .steer = bus_steer,
    .name_changed = bus_name_changed,
};
