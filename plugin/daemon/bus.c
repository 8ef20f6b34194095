/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-private.h"

#include <string.h>

#include "log.h"
#include "sevmig-bus-info.h"
#include "sevmig-error.h"
#include "sevmig-names.h"

#define CHANGE_INTERVAL_MS 250u

/* --- Properties and their signals --- */

static guint
count_active(const SevmigBus *self)
{
    guint n = 0;

    for (guint i = 0; i < self->migrations->len; i++)
        n += ((SevmigBusObject *)self->migrations->pdata[i])->active ? 1 : 0;
    return n;
}

static GVariant *
manager_properties(SevmigBus *self)
{
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&b, "{sv}", "Version", g_variant_new_string(SEVMIG_VERSION));
    g_variant_builder_add(&b, "{sv}", "Host", g_variant_new_string(g_get_host_name()));
    g_variant_builder_add(&b, "{sv}", "LibvirtState",
                          g_variant_new_string(self->ops->libvirt_state(self->user_data)));
    g_variant_builder_add(&b, "{sv}", "PolicyError",
                          g_variant_new_string(self->ops->policy_error(self->user_data)));
    g_variant_builder_add(&b, "{sv}", "ActiveMigrations", g_variant_new_uint32(count_active(self)));
    return g_variant_builder_end(&b);
}

GVariant *
sevmig_bus_object_properties(SevmigBusObject *object)
{
    if (object->info == NULL)
        return manager_properties(object->bus);
    return sevmig_info_properties(object->info);
}

static const char *
object_interface(const SevmigBusObject *object)
{
    return object->info == NULL ? SEVMIG_MANAGER_INTERFACE : SEVMIG_MIGRATION_INTERFACE;
}

static GVariant *
only_changed(GVariant *now, GVariant *before)
{
    GVariantBuilder b;
    GVariantIter iter;
    const char *name;
    GVariant *value;
    gsize n = 0;

    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    g_variant_iter_init(&iter, now);
    while (g_variant_iter_loop(&iter, "{&sv}", &name, &value)) {
        g_autoptr(GVariant) old = before ? g_variant_lookup_value(before, name, NULL) : NULL;

        if (old != NULL && g_variant_equal(old, value))
            continue;
        g_variant_builder_add(&b, "{sv}", name, value);
        n++;
    }
    if (n > 0)
        return g_variant_builder_end(&b);
    g_variant_builder_clear(&b);
    return NULL;
}

static void
object_flush(SevmigBusObject *object)
{
    g_autoptr(GVariant) now = NULL;
    GVariant *changed;

    if (!object->dirty)
        return;
    object->dirty = FALSE;
    now = g_variant_ref_sink(sevmig_bus_object_properties(object));
    changed = only_changed(now, object->published);
    if (changed == NULL)
        return;
    g_dbus_connection_emit_signal(
        object->bus->connection, NULL, object->path, "org.freedesktop.DBus.Properties",
        "PropertiesChanged", g_variant_new("(s@a{sv}as)", object_interface(object), changed, NULL),
        NULL);
    g_clear_pointer(&object->published, g_variant_unref);
    object->published = g_steal_pointer(&now);
}

static gboolean
bus_flush(gpointer user_data)
{
    SevmigBus *self = user_data;

    self->flush_timer = 0;
    self->flushed_us = g_get_monotonic_time();
    object_flush(&self->manager);
    for (guint i = 0; i < self->migrations->len; i++)
        object_flush(self->migrations->pdata[i]);
    return G_SOURCE_REMOVE;
}

static void
object_touch(SevmigBusObject *object)
{
    SevmigBus *self = object->bus;
    gint64 due_us = self->flushed_us + CHANGE_INTERVAL_MS * 1000 - g_get_monotonic_time();

    object->dirty = TRUE;
    if (self->flush_timer == 0)
        self->flush_timer = g_timeout_add((guint)MAX(due_us / 1000, 0), bus_flush, self);
}

/* --- Objects --- */

static gboolean
object_register(SevmigBusObject *object, GError **error)
{
    const GDBusInterfaceInfo *info =
        object->info == NULL ? &org_sevmig1_manager_interface : &org_sevmig1_migration_interface;

    object->registration = g_dbus_connection_register_object(
        object->bus->connection, object->path, (GDBusInterfaceInfo *)info, &SEVMIG_BUS_VTABLE,
        object->bus, NULL, error);
    return object->registration != 0;
}

static void
object_clear(SevmigBusObject *object)
{
    if (object->registration != 0)
        g_dbus_connection_unregister_object(object->bus->connection, object->registration);
    g_clear_pointer(&object->published, g_variant_unref);
    g_clear_pointer(&object->path, g_free);
}

static void
object_free(gpointer data)
{
    object_clear(data);
    g_free(data);
}

char *
sevmig_bus_path(const char *id)
{
    GString *path = g_string_new(SEVMIG_MIGRATION_PATH_PREFIX);

    for (const char *c = id; *c != '\0'; c++) {
        if (g_ascii_isalnum(*c))
            g_string_append_c(path, *c);
        else
            g_string_append_printf(path, "_%02x", (guchar)*c);
    }
    return g_string_free(path, FALSE);
}

SevmigBusObject *
sevmig_bus_find(SevmigBus *self, const char *path)
{
    if (g_strcmp0(path, self->manager.path) == 0)
        return &self->manager;
    for (guint i = 0; i < self->migrations->len; i++) {
        SevmigBusObject *object = self->migrations->pdata[i];

        if (strcmp(object->path, path) == 0)
            return object;
    }
    return NULL;
}

static SevmigBusObject *
find_info(SevmigBus *self, const SevmigInfo *info)
{
    for (guint i = 0; i < self->migrations->len; i++) {
        SevmigBusObject *object = self->migrations->pdata[i];

        if (object->info == info)
            return object;
    }
    return NULL;
}

static void
emit_path(SevmigBus *self, const char *signal, const char *path)
{
    g_dbus_connection_emit_signal(self->connection, NULL, SEVMIG_MANAGER_PATH,
                                  SEVMIG_MANAGER_INTERFACE, signal, g_variant_new("(o)", path),
                                  NULL);
}

void
sevmig_bus_add(SevmigBus *self, const SevmigInfo *info, gboolean active)
{
    SevmigBusObject *object = g_new0(SevmigBusObject, 1);
    g_autoptr(GError) error = NULL;

    object->bus = self;
    object->info = info;
    object->path = sevmig_bus_path(info->id);
    object->active = active;
    if (!object_register(object, &error)) {
        sevmig_log(G_LOG_LEVEL_WARNING, NULL, "cannot show %s on the bus: %s, ignoring", info->id,
                   error->message);
        object_free(object);
        return;
    }
    object->published = g_variant_ref_sink(sevmig_bus_object_properties(object));
    g_ptr_array_add(self->migrations, object);
    emit_path(self, "MigrationAdded", object->path);
    object_touch(&self->manager);
}

void
sevmig_bus_changed(SevmigBus *self, const SevmigInfo *info)
{
    SevmigBusObject *object = find_info(self, info);

    if (object != NULL)
        object_touch(object);
}

void
sevmig_bus_ended(SevmigBus *self, const SevmigInfo *info)
{
    SevmigBusObject *object = find_info(self, info);

    if (object == NULL || !object->active)
        return;
    object->active = FALSE;
    /* Who hears of the end finds the final values. */
    object->dirty = TRUE;
    object_flush(object);
    g_dbus_connection_emit_signal(self->connection, NULL, object->path, SEVMIG_MIGRATION_INTERFACE,
                                  "Ended", g_variant_new("(s)", info->phase), NULL);
    object_touch(&self->manager);
}

void
sevmig_bus_remove(SevmigBus *self, const SevmigInfo *info)
{
    SevmigBusObject *object = find_info(self, info);

    if (object == NULL)
        return;
    emit_path(self, "MigrationRemoved", object->path);
    g_ptr_array_remove(self->migrations, object);
    object_touch(&self->manager);
}

void
sevmig_bus_manager_changed(SevmigBus *self)
{
    object_touch(&self->manager);
}

/* --- Connection and name --- */

static void
name_acquired(GDBusConnection *connection, const char *name, gpointer user_data)
{
    SevmigBus *self = user_data;

    self->ops->name_changed(TRUE, self->user_data);
}

static void
name_lost(GDBusConnection *connection, const char *name, gpointer user_data)
{
    SevmigBus *self = user_data;

    self->ops->name_changed(FALSE, self->user_data);
}

static GDBusConnection *
connect_to(const char *address, GError **error)
{
    g_autofree char *system = NULL;

    if (strcmp(address, "system") == 0) {
        system = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, error);
        if (system == NULL)
            return NULL;
        address = system;
    }
    /* Not the shared connection: that one would end the process with the bus. */
    return g_dbus_connection_new_for_address_sync(
        address,
        G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
            G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
        NULL, NULL, error);
}

SevmigBus *
sevmig_bus_new(const char *address, const SevmigBusOps *ops, gpointer user_data, GError **error)
{
    g_autoptr(SevmigBus) self = g_rc_box_new0(SevmigBus);

    self->ops = ops;
    self->user_data = user_data;
    self->migrations = g_ptr_array_new_with_free_func(object_free);
    self->polkit = sevmig_polkit_new();
    self->manager.bus = self;
    self->manager.path = g_strdup(SEVMIG_MANAGER_PATH);
    self->manager.active = TRUE;
    self->connection = connect_to(address, error);
    if (self->connection == NULL) {
        g_prefix_error(error, "no bus at %s: ", address);
        return NULL;
    }
    if (!object_register(&self->manager, error))
        return NULL;
    self->manager.published = g_variant_ref_sink(sevmig_bus_object_properties(&self->manager));
    self->name = g_bus_own_name_on_connection(self->connection, SEVMIG_BUS_NAME,
                                              G_BUS_NAME_OWNER_FLAGS_DO_NOT_QUEUE, name_acquired,
                                              name_lost, self, NULL);
    return g_steal_pointer(&self);
}

static void
bus_clear(gpointer data)
{
    SevmigBus *self = data;

    g_clear_pointer(&self->migrations, g_ptr_array_unref);
    g_clear_object(&self->connection);
}

void
sevmig_bus_unref(SevmigBus *self)
{
    g_rc_box_release_full(self, bus_clear);
}

void
sevmig_bus_free(SevmigBus *self)
{
    if (self == NULL)
        return;
    self->ops = NULL;
    g_clear_handle_id(&self->flush_timer, g_source_remove);
    g_clear_handle_id(&self->name, g_bus_unown_name);
    g_ptr_array_set_size(self->migrations, 0);
    object_clear(&self->manager);
    g_clear_pointer(&self->polkit, sevmig_polkit_free);
    if (self->connection != NULL && !g_dbus_connection_is_closed(self->connection)) {
        g_dbus_connection_flush_sync(self->connection, NULL, NULL); /* the last signals */
        g_dbus_connection_close(self->connection, NULL, NULL, NULL);
    }
    sevmig_bus_unref(self);
}
