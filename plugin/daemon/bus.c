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
    if (object->info != NULL)
        return g_variant_ref_sink(sevmig_info_properties(object->info));
    if (object == &object->bus->manager)
        return g_variant_ref_sink(manager_properties(object->bus));
    return g_variant_ref(object->published);
}

/* Both are made by one table, in one order. */
static GVariant *
only_changed(GVariant *now, GVariant *before)
{
    gsize n = g_variant_n_children(now), n_changed = 0;
    GVariantBuilder b;

    g_assert(n == g_variant_n_children(before));
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) entry = g_variant_get_child_value(now, i);
        g_autoptr(GVariant) old = g_variant_get_child_value(before, i);

        if (g_variant_equal(entry, old))
            continue;
        g_variant_builder_add_value(&b, entry);
        n_changed++;
    }
    if (n_changed > 0)
        return g_variant_builder_end(&b);
    g_variant_builder_clear(&b);
    return NULL;
}

/* `changed` may be NULL. */
static void
object_signal(const SevmigBusObject *object, GVariant *changed)
{
    if (changed == NULL)
        return;
    g_dbus_connection_emit_signal(
        object->bus->connection, NULL, object->path, "org.freedesktop.DBus.Properties",
        "PropertiesChanged", g_variant_new("(s@a{sv}as)", object->interface->name, changed, NULL),
        NULL);
}

void
sevmig_bus_object_publish(SevmigBusObject *object, GVariant *now)
{
    object_signal(object, only_changed(now, object->published));
    g_variant_unref(object->published);
    object->published = g_variant_ref(now);
}

static void
object_flush(SevmigBusObject *object)
{
    g_autoptr(GVariant) now = NULL;

    if (!object->dirty)
        return;
    object->dirty = FALSE;
    if (object->info != NULL) {
        object_signal(object, sevmig_info_take_changes(&object->shown, object->info));
        return;
    }
    now = sevmig_bus_object_properties(object);
    sevmig_bus_object_publish(object, now);
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
    object->registration = g_dbus_connection_register_object(
        object->bus->connection, object->path, (GDBusInterfaceInfo *)object->interface,
        &SEVMIG_BUS_VTABLE, object->bus, NULL, error);
    return object->registration != 0;
}

static void
object_clear(SevmigBusObject *object)
{
    if (object->registration != 0)
        g_dbus_connection_unregister_object(object->bus->connection, object->registration);
    sevmig_info_clear(&object->shown);
    g_clear_pointer(&object->published, g_variant_unref);
    g_clear_pointer(&object->path, g_free);
}

void
sevmig_bus_object_free(gpointer object)
{
    object_clear(object);
    g_free(object);
}

SevmigBusObject *
sevmig_bus_object_new(SevmigBus *self, const GDBusInterfaceInfo *interface, const SevmigInfo *info,
                      char *path)
{
    SevmigBusObject *object = g_new0(SevmigBusObject, 1);
    g_autoptr(GError) error = NULL;

    object->bus = self;
    object->interface = interface;
    object->info = info;
    object->path = path;
    if (object_register(object, &error))
        return object;
    sevmig_log(SEVMIG_MESSAGE_NOT_ON_BUS, NULL, "cannot show %s on the bus: %s, ignoring", path,
               error->message);
    sevmig_bus_object_free(object);
    return NULL;
}

char *
sevmig_bus_path(const char *prefix, const char *name)
{
    GString *path = g_string_new(prefix);

    for (const char *c = name; *c != '\0'; c++) {
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
    return g_hash_table_lookup(self->policies, path);
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

void
sevmig_bus_emit_path(SevmigBus *self, const char *signal, const char *path)
{
    g_dbus_connection_emit_signal(self->connection, NULL, SEVMIG_MANAGER_PATH,
                                  SEVMIG_MANAGER_INTERFACE, signal, g_variant_new("(o)", path),
                                  NULL);
}

void
sevmig_bus_add(SevmigBus *self, const SevmigInfo *info, gboolean active)
{
    SevmigBusObject *object =
        sevmig_bus_object_new(self, &org_sevmig1_migration_interface, info,
                              sevmig_bus_path(SEVMIG_MIGRATION_PATH_PREFIX, info->id));

    if (object == NULL)
        return;
    object->active = active;
    sevmig_info_copy(&object->shown, info);
    g_ptr_array_add(self->migrations, object);
    sevmig_bus_emit_path(self, "MigrationAdded", object->path);
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
    sevmig_bus_emit_path(self, "MigrationRemoved", object->path);
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
    self->migrations = g_ptr_array_new_with_free_func(sevmig_bus_object_free);
    self->policies = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, sevmig_bus_object_free);
    self->polkit = sevmig_polkit_new();
    self->manager.bus = self;
    self->manager.interface = &org_sevmig1_manager_interface;
    self->manager.path = g_strdup(SEVMIG_MANAGER_PATH);
    self->manager.active = TRUE;
    self->connection = connect_to(address, error);
    if (self->connection == NULL) {
        g_prefix_error(error, "no bus at %s: ", address);
        return NULL;
    }
    self->callers = sevmig_bus_callers_new(self->connection, &self->filter);
    if (!object_register(&self->manager, error))
        return NULL;
    self->manager.published = sevmig_bus_object_properties(&self->manager);
    sevmig_bus_policies_changed(self);
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
    g_clear_pointer(&self->policies, g_hash_table_unref);
    g_clear_pointer(&self->callers, sevmig_bus_callers_unref);
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
    sevmig_bus_drop_calls(self);
    g_clear_handle_id(&self->flush_timer, g_source_remove);
    g_clear_handle_id(&self->name, g_bus_unown_name);
    g_ptr_array_set_size(self->migrations, 0);
    g_hash_table_remove_all(self->policies);
    object_clear(&self->manager);
    g_clear_pointer(&self->polkit, sevmig_polkit_free);
    if (self->connection != NULL && !g_dbus_connection_is_closed(self->connection)) {
        g_dbus_connection_remove_filter(self->connection, self->filter);
        g_dbus_connection_flush_sync(self->connection, NULL, NULL); /* the last signals */
        g_dbus_connection_close(self->connection, NULL, NULL, NULL);
    }
    sevmig_bus_unref(self);
}
