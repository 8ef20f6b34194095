/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "remote.h"

#include "sevmig-error.h"
#include "sevmig-names.h"

#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

static const char *
bus_name(const Cli *cli)
{
    return cli->connect != NULL ? cli->connect : "the system bus";
}

gboolean
remote_open(Cli *cli, GError **error)
{
    if (cli->bus != NULL)
        return TRUE;
    if (cli->connect != NULL)
        cli->bus = g_dbus_connection_new_for_address_sync(
            cli->connect,
            G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
            NULL, NULL, error);
    else
        cli->bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
    if (cli->bus == NULL) {
        g_prefix_error(error, "cannot reach %s (--connect or DBUS_SYSTEM_BUS_ADDRESS choose it): ",
                       bus_name(cli));
        return FALSE;
    }
    g_dbus_connection_set_exit_on_close(cli->bus, FALSE);
    return TRUE;
}

/* What the bus says on its own, in terms of what the user can do about it. %s: the bus. */
static const struct {
    int code;
    const char *message;
} explanations[] = {
    {G_DBUS_ERROR_SERVICE_UNKNOWN,
     "sevmigd is not running on %s: start it with \"systemctl start sevmigd\""},
    {G_DBUS_ERROR_NAME_HAS_NO_OWNER,
     "sevmigd is not running on %s: start it with \"systemctl start sevmigd\""},
    {G_DBUS_ERROR_ACCESS_DENIED, "%s does not let this user talk to sevmigd: try as root"},
    {G_DBUS_ERROR_NO_REPLY, "sevmigd on %s gave no answer: it ended, or --timeout is too short"},
    {G_DBUS_ERROR_UNKNOWN_METHOD,
     "sevmigd on %s does not know this request: is it older than sevmigctl?"},
};

static void
explain(const Cli *cli, GError **error)
{
    if (error == NULL || *error == NULL)
        return;
    if (g_error_matches(*error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)) {
        g_clear_error(error);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT,
                    "sevmigd did not answer within %d s: --timeout gives it longer",
                    cli->timeout_s);
        return;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(explanations); i++) {
        if (!g_error_matches(*error, G_DBUS_ERROR, explanations[i].code))
            continue;
        g_autofree char *message = g_strdup_printf(explanations[i].message, bus_name(cli));
        g_clear_error(error);
        g_set_error_literal(error, G_DBUS_ERROR, explanations[i].code, message);
        return;
    }
    g_dbus_error_strip_remote_error(*error);
}

static GVariant *
call(Cli *cli, const char *path, const char *interface, const char *method, GVariant *parameters,
     const char *reply, GError **error)
{
    g_autoptr(GVariant) owned = parameters != NULL ? g_variant_ref_sink(parameters) : NULL;
    g_autoptr(GError) failure = NULL;
    (void)SEVMIG_ERROR; /* registers the names by which errors come over the bus */
    if (!remote_open(cli, error))
        return NULL;
    GVariant *value = g_dbus_connection_call_sync(
        cli->bus, SEVMIG_BUS_NAME, path, interface, method, owned, G_VARIANT_TYPE(reply),
        G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, cli->timeout_s * 1000, NULL, &failure);
    if (value == NULL) {
        explain(cli, &failure);
        g_propagate_error(error, g_steal_pointer(&failure));
    }
    return value;
}

GVariant *
remote_call(Cli *cli, const char *method, GVariant *parameters, const char *reply, GError **error)
{
    return call(cli, SEVMIG_MANAGER_PATH, SEVMIG_MANAGER_INTERFACE, method, parameters, reply,
                error);
}

GVariant *
remote_call_migration(Cli *cli, const char *path, const char *method, GVariant *parameters,
                      const char *reply, GError **error)
{
    return call(cli, path, SEVMIG_MIGRATION_INTERFACE, method, parameters, reply, error);
}

GVariant *
remote_properties(Cli *cli, const char *path, const char *interface, GError **error)
{
    g_autoptr(GVariant) reply = call(cli, path, PROPERTIES_INTERFACE, "GetAll",
                                     g_variant_new("(s)", interface), "(a{sv})", error);
    return reply != NULL ? g_variant_get_child_value(reply, 0) : NULL;
}

gboolean
remote_note(Cli *cli, const char *property, const char *usual, const char *what, GError **error)
{
    const char *value = usual;
    g_autoptr(GVariant) manager =
        remote_properties(cli, SEVMIG_MANAGER_PATH, SEVMIG_MANAGER_INTERFACE, error);
    if (manager == NULL)
        return FALSE;
    if (g_variant_lookup(manager, property, "&s", &value) && !g_str_equal(value, usual)) {
        g_autofree char *printable = text_printable(value);
        cli_note("%s: %s", what, printable);
    }
    return TRUE;
}

gboolean
remote_is_absent(const GError *error)
{
    return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER);
}
