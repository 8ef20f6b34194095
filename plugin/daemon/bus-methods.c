/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects are registered without property functions, so GDBus hands Get and GetAll to the method
 * call function as well, and one table with one check covers everything a caller can ask for.
 */
#include "bus-private.h"

#include <string.h>

#include "bus-error.h"
#include "caller.h"
#include "log.h"
#include "sevmig-error.h"
#include "sevmig-names.h"
#include "sevmig-policy-issue.h"

#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

typedef struct MethodRow MethodRow;

typedef struct {
    SevmigBus *bus;
    GDBusMethodInvocation *invocation;
    const MethodRow *row;
} Request;

static GVariant *
property_of(SevmigBusObject *object, const char *name, GError **error)
{
    g_autoptr(GVariant) all = sevmig_bus_object_properties(object);
    GVariant *value = g_variant_lookup_value(all, name, NULL);
    g_autofree char *shown = sevmig_quote(name);

    if (value == NULL)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND, "no property is named %s", shown);
    return value;
}

static GVariant *
call_get(SevmigBusObject *object, GVariant *parameters, GError **error)
{
    g_autoptr(GVariant) value = NULL;
    const char *interface, *name;

    g_variant_get(parameters, "(&s&s)", &interface, &name);
    value = property_of(object, name, error);
    return value != NULL ? g_variant_new("(v)", value) : NULL;
}

static GVariant *
call_get_all(SevmigBusObject *object, GVariant *parameters, GError **error)
{
    g_autoptr(GVariant) all = sevmig_bus_object_properties(object);

    return g_variant_new("(@a{sv})", all);
}

static GVariant *
call_list_migrations(SevmigBusObject *object, GVariant *parameters, GError **error)
{
    SevmigBus *self = object->bus;
    GVariantBuilder b;
    gboolean all;

    g_variant_get(parameters, "(b)", &all);
    g_variant_builder_init(&b, G_VARIANT_TYPE_OBJECT_PATH_ARRAY);
    for (guint i = 0; i < self->migrations->len; i++) {
        const SevmigBusObject *migration = self->migrations->pdata[i];

        if (all || migration->active)
            g_variant_builder_add(&b, "o", migration->path);
    }
    return g_variant_new("(ao)", &b);
}

static GVariant *
call_list_history(SevmigBusObject *object, GVariant *parameters, GError **error)
{
    SevmigBus *self = object->bus;
    const char *which;
    guint limit;

    g_variant_get(parameters, "(&su)", &which, &limit);
    return g_variant_new("(@aa{sv})", self->ops->list_history(which, limit, self->user_data));
}

static GVariant *
call_list_policies(SevmigBusObject *object, GVariant *parameters, GError **error)
{
    return g_variant_new("(@aa{sv})", object->bus->ops->list_policies(object->bus->user_data));
}

static GVariant *
policy_xml(SevmigBusObject *object, const char *name, GError **error)
{
    g_autofree char *xml = object->bus->ops->get_policy(name, object->bus->user_data, error);

    return xml != NULL ? g_variant_new("(s)", xml) : NULL;
}

static GVariant *
call_get_policy(SevmigBusObject *object, GVariant *parameters, GError **error)
{
    const char *name;

    g_variant_get(parameters, "(&s)", &name);
    return policy_xml(object, name, error);
}

static GVariant *
call_get_xml(SevmigBusObject *object, GVariant *parameters, GError **error)
{
    const char *name = "";

    g_variant_lookup(object->published, "Name", "&s", &name);
    return policy_xml(object, name, error);
}

static GVariant *
call_reload_policies(SevmigBusObject *object, GVariant *parameters, GError **error)
{
    guint count;

    if (!object->bus->ops->reload_policies(&count, object->bus->user_data, error))
        return NULL;
    return g_variant_new("(u)", count);
}

static GVariant *
change_policy(SevmigBusObject *object, GVariant *parameters, SevmigTraceOrigin *origin,
              GError **error)
{
    const char *policy, *why;

    g_variant_get(parameters, "(&s&s)", &policy, &why);
    sevmig_trace_origin_set(origin->policy, policy);
    sevmig_trace_origin_set(origin->why, why);
    if (!object->bus->ops->set_policy(object->info, policy, origin, object->bus->user_data, error))
        return NULL;
    return g_variant_new("()");
}

static GVariant *
change_steer(SevmigBusObject *object, GVariant *parameters, SevmigTraceOrigin *origin,
             GError **error)
{
    g_autoptr(GVariant) values = NULL;
    SevmigHand hand;
    const char *why;

    g_variant_get(parameters, "(@a{sv}&s)", &values, &why);
    sevmig_trace_origin_set(origin->why, why);
    if (!sevmig_hand_parse(&hand, values, error) ||
        !object->bus->ops->steer(object->info, &hand, origin, object->bus->user_data, error))
        return NULL;
    return g_variant_new("()");
}

static void request_explain(Request *request);
static void request_explain_xml(Request *request);
static void request_probe(Request *request);

/* Exactly one of `call` (answers at once), `start` (answers later) and `change` (answers when it is
 * known who calls; the origin lacks all else) is set. */
typedef struct {
    GVariant *(*call)(SevmigBusObject *object, GVariant *parameters, GError **error);
    void (*start)(Request *request);
    GVariant *(*change)(SevmigBusObject *object, GVariant *parameters, SevmigTraceOrigin *origin,
                        GError **error);
} Handler;

static const Handler properties_get = {.call = call_get};
static const Handler properties_get_all = {.call = call_get_all};
static const Handler manager_list_migrations = {.call = call_list_migrations};
static const Handler manager_list_history = {.call = call_list_history};
static const Handler manager_list_policies = {.call = call_list_policies};
static const Handler manager_get_policy = {.call = call_get_policy};
static const Handler manager_explain = {.start = request_explain};
static const Handler manager_probe = {.start = request_probe};
static const Handler manager_explain_xml = {.start = request_explain_xml};
static const Handler manager_reload_policies = {.call = call_reload_policies};
static const Handler migration_set_policy = {.change = change_policy};
static const Handler migration_steer = {.change = change_steer};
static const Handler policy_get_xml = {.call = call_get_xml};

/* Get and GetAll have a row for each interface whose properties they may read. */
struct MethodRow {
    const char *interface;
    const char *method;
    const char *action;
    const Handler *handler;
};

#define METHOD(interface, method, action, handler) {interface, method, action, &(handler)},

static const MethodRow methods[] = {
#include "sevmig-bus-rows.h"
};

static const MethodRow *
method_find(const char *interface, const char *method)
{
    for (gsize i = 0; i < G_N_ELEMENTS(methods); i++) {
        if (strcmp(methods[i].interface, interface) == 0 && strcmp(methods[i].method, method) == 0)
            return &methods[i];
    }
    return NULL;
}

/* A read of properties names their interface first; GDBus has seen to it that the object has it. */
static const MethodRow *
method_called(const char *interface, const char *method, GVariant *parameters)
{
    g_autoptr(GVariant) first = NULL;

    if (strcmp(interface, PROPERTIES_INTERFACE) != 0)
        return method_find(interface, method);
    first = g_variant_get_child_value(parameters, 0);
    return method_find(g_variant_get_string(first, NULL), method);
}

const char *
sevmig_bus_method_action(const char *interface, const char *method)
{
    const MethodRow *row = method_find(interface, method);

    return row != NULL ? row->action : NULL;
}

static void
request_free(Request *request)
{
    sevmig_bus_unref(request->bus);
    g_object_unref(request->invocation);
    g_free(request);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Request, request_free)

/* g_dbus_method_invocation_return_*() takes over a reference of its own. */
static void
request_return_value(Request *request, GVariant *value)
{
    g_dbus_method_invocation_return_value(g_object_ref(request->invocation), value);
}

static void
request_return_error(Request *request, GError *error)
{
    g_dbus_method_invocation_take_error(g_object_ref(request->invocation), sevmig_bus_error(error));
}

static void
asked(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Request) request = user_data;
    g_autoptr(GVariant) value = NULL;
    GError *error = NULL;

    if (request->bus->ops == NULL)
        return;
    value = request->bus->ops->ask_finish(result, &error);
    if (value != NULL)
        request_return_value(request, value);
    else
        request_return_error(request, error);
}

static guint
request_user(const Request *request)
{
    guint uid;

    sevmig_bus_callers_user(request->bus->callers,
                            g_dbus_method_invocation_get_sender(request->invocation), &uid);
    return uid;
}

static void
request_explain(Request *request)
{
    SevmigBus *self = request->bus;
    const char *domain;

    g_variant_get(g_dbus_method_invocation_get_parameters(request->invocation), "(&s)", &domain);
    self->ops->explain(domain, request_user(request), asked, request, self->user_data);
}

static void
request_explain_xml(Request *request)
{
    SevmigBus *self = request->bus;
    const char *xml;

    g_variant_get(g_dbus_method_invocation_get_parameters(request->invocation), "(&s)", &xml);
    self->ops->explain_xml(xml, request_user(request), asked, request, self->user_data);
}

static void
request_probe(Request *request)
{
    SevmigBus *self = request->bus;
    const char *domain;

    g_variant_get(g_dbus_method_invocation_get_parameters(request->invocation), "(&s)", &domain);
    self->ops->probe(domain, asked, request, self->user_data);
}

/* The object that is called, which may have gone meanwhile; answers then. */
static SevmigBusObject *
request_object(Request *request)
{
    SevmigBusObject *object = sevmig_bus_find(
        request->bus, g_dbus_method_invocation_get_object_path(request->invocation));

    if (object == NULL)
        request_return_error(request, g_error_new_literal(SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
                                                          "this migration is no longer listed"));
    return object;
}

static void
request_return(Request *request, GVariant *value, GError *error)
{
    if (value != NULL)
        request_return_value(request, value);
    else
        request_return_error(request, error);
}

static void
caller_known(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Request) request = user_data;
    SevmigTraceOrigin origin = {0};
    GError *error = NULL;
    g_autofree char *who = sevmig_caller_describe_finish(result, &error);
    SevmigBusObject *object;
    GVariant *value;

    if (request->bus->ops == NULL) {
        g_clear_error(&error);
        return;
    }
    if (who == NULL) {
        g_prefix_error(&error, "cannot tell who asks: ");
        request_return_error(request, error);
        return;
    }
    object = request_object(request);
    if (object == NULL)
        return;
    sevmig_trace_origin_set(origin.who, who);
    value = request->row->handler->change(
        object, g_dbus_method_invocation_get_parameters(request->invocation), &origin, &error);
    request_return(request, value, error);
}

/* What is done to a guest is recorded with the one who did it. */
static void
request_change(Request *request)
{
    sevmig_caller_describe_async(request->bus->connection,
                                 g_dbus_method_invocation_get_sender(request->invocation),
                                 caller_known, request);
}

static void
request_run(Request *request)
{
    g_autoptr(Request) owned = request;
    const Handler *handler = request->row->handler;
    SevmigBusObject *object = request_object(request);
    GError *error = NULL;
    GVariant *value;

    if (object == NULL)
        return;
    if (handler->call != NULL) {
        value = handler->call(object, g_dbus_method_invocation_get_parameters(request->invocation),
                              &error);
        request_return(request, value, error);
    } else if (handler->start != NULL) {
        handler->start(g_steal_pointer(&owned));
    } else {
        request_change(g_steal_pointer(&owned));
    }
}

/* One at a turn of the main loop that has nothing better to do: leases are renewed first. */
static gboolean
serve(gpointer user_data)
{
    SevmigBus *self = user_data;
    Request *request = g_queue_pop_head(&self->due);
    gboolean more = !g_queue_is_empty(&self->due);

    if (!more)
        self->serving = 0;
    request_run(request); /* which may be the last to hold the bus */
    return more ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

static void
request_serve(Request *request)
{
    SevmigBus *self = request->bus;

    g_queue_push_tail(&self->due, request);
    if (self->serving == 0)
        self->serving = g_idle_add(serve, self);
}

void
sevmig_bus_drop_calls(SevmigBus *self)
{
    g_clear_handle_id(&self->serving, g_source_remove);
    g_queue_clear_full(&self->due, (GDestroyNotify)request_free);
}

static void
authorized(GObject *source_object, GAsyncResult *result, gpointer user_data)
{
    g_autoptr(Request) request = user_data;
    g_autoptr(GError) error = NULL;

    if (request->bus->ops == NULL)
        return; /* the bus has been left; nobody hears an answer */
    if (sevmig_polkit_check_finish(result, &error)) {
        request_serve(g_steal_pointer(&request));
        return;
    }
    sevmig_log(SEVMIG_MESSAGE_INFO, NULL, "%s refused to %s: %s", request->row->method,
               g_dbus_method_invocation_get_sender(request->invocation), error->message);
    request_return_error(request, g_steal_pointer(&error));
}

/* Takes over the invocation. */
static void
request_begin(SevmigBus *self, const MethodRow *row, GDBusMethodInvocation *invocation)
{
    Request *request = g_new0(Request, 1);
    const SevmigBusObject *object =
        sevmig_bus_find(self, g_dbus_method_invocation_get_object_path(invocation));
    GDBusMessageFlags flags =
        g_dbus_message_get_flags(g_dbus_method_invocation_get_message(invocation));

    request->bus = g_rc_box_acquire(self);
    request->invocation = invocation;
    request->row = row;
    sevmig_polkit_check_async(self->polkit, g_dbus_method_invocation_get_sender(invocation),
                              row->action, sevmig_bus_details(object, invocation),
                              flags & G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION,
                              authorized, request);
}

static void
method_call(GDBusConnection *connection, const char *sender, const char *path,
            const char *interface, const char *method, GVariant *parameters,
            GDBusMethodInvocation *invocation, gpointer user_data)
{
    SevmigBus *self = user_data;
    const MethodRow *row = method_called(interface, method, parameters);

    if (row == NULL)
        g_dbus_method_invocation_return_error(invocation, SEVMIG_ERROR, SEVMIG_ERROR_NOT_AUTHORIZED,
                                              "not authorized: nothing allows %s.%s", interface,
                                              method);
    else
        request_begin(self, row, invocation);
}

const GDBusInterfaceVTable SEVMIG_BUS_VTABLE = {.method_call = method_call};
