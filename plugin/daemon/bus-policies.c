/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policies in force as objects. They change by a reload only, so an object holds its properties
 * as they were published.
 */
#include "bus-private.h"

#include "sevmig-bus-info.h"
#include "sevmig-names.h"

/* Of org.sevmig1.Policy, and the member of what list_policies answers that it is. */
static const struct {
    const char *property;
    const char *member;
} properties[] = {
    {"Name", "name"},
    {"File", "file"},
    {"Priority", "priority"},
    {"Description", "description"},
};

static GVariant *
properties_of(GVariant *listed)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
    for (gsize i = 0; i < G_N_ELEMENTS(properties); i++) {
        g_autoptr(GVariant) value = g_variant_lookup_value(listed, properties[i].member, NULL);

        g_variant_builder_add(&builder, "{sv}", properties[i].property, value);
    }
    return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static void
policy_show(SevmigBus *self, const char *path, GVariant *now)
{
    SevmigBusObject *object = g_hash_table_lookup(self->policies, path);

    if (object != NULL) {
        sevmig_bus_object_publish(object, now);
        return;
    }
    object = sevmig_bus_object_new(self, &org_sevmig1_policy_interface, NULL, g_strdup(path));
    if (object == NULL)
        return;
    object->published = g_variant_ref(now);
    g_hash_table_insert(self->policies, object->path, object);
    sevmig_bus_emit_path(self, "PolicyAdded", path);
}

/* Those that are in `seen` stay. */
static void
policies_hide_others(SevmigBus *self, GHashTable *seen)
{
    GHashTableIter iter;
    gpointer path;

    g_hash_table_iter_init(&iter, self->policies);
    while (g_hash_table_iter_next(&iter, &path, NULL)) {
        if (g_hash_table_contains(seen, path))
            continue;
        sevmig_bus_emit_path(self, "PolicyRemoved", path);
        g_hash_table_iter_remove(&iter);
    }
}

void
sevmig_bus_policies_changed(SevmigBus *self)
{
    g_autoptr(GVariant) list = g_variant_ref_sink(self->ops->list_policies(self->user_data));
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GVariantIter iter;
    GVariant *listed;

    g_variant_iter_init(&iter, list);
    while (g_variant_iter_loop(&iter, "@a{sv}", &listed)) {
        g_autoptr(GVariant) now = NULL;
        char *path;

        if (!g_variant_lookup(listed, "path", "o", &path))
            continue; /* another one of its name is in force */
        now = properties_of(listed);
        policy_show(self, path, now);
        g_hash_table_add(seen, path);
    }
    policies_hide_others(self, seen);
}
