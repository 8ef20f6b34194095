/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-private.h"

#include <string.h>

#include "sevmig-names.h"

#define DETAIL "org.sevmig1.Detail"
#define LONGEST_BYTES 256u /* a name; what is longer is none that a rule could know */

static void
add(GVariantBuilder *builder, const char *name, const char *value)
{
    if (strlen(value) <= LONGEST_BYTES)
        g_variant_builder_add(builder, "{ss}", name, value);
}

static void
add_arguments(GVariantBuilder *builder, GDBusMethodInvocation *invocation)
{
    const GDBusMethodInfo *method = g_dbus_method_invocation_get_method_info(invocation);
    GVariant *parameters = g_dbus_method_invocation_get_parameters(invocation);

    if (method == NULL)
        return; /* a read of properties */
    for (gsize i = 0; method->in_args != NULL && method->in_args[i] != NULL; i++) {
        const char *name = g_dbus_annotation_info_lookup(method->in_args[i]->annotations, DETAIL);
        g_autoptr(GVariant) value = g_variant_get_child_value(parameters, i);

        if (name != NULL && g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
            add(builder, name, g_variant_get_string(value, NULL));
    }
}

GVariant *
sevmig_bus_details(const SevmigBusObject *object, GDBusMethodInvocation *invocation)
{
    const SevmigInfo *info = object != NULL ? object->info : NULL;
    GVariantBuilder builder;
    const char *policy;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    add(&builder, "method", g_dbus_method_invocation_get_method_name(invocation));
    add_arguments(&builder, invocation);
    if (info != NULL) {
        add(&builder, "migration", info->id);
        add(&builder, "domain", info->domain);
        add(&builder, "uuid", info->uuid);
        add(&builder, "policy", info->policy);
    } else if (object != NULL && strcmp(object->interface->name, SEVMIG_POLICY_INTERFACE) == 0 &&
               g_variant_lookup(object->published, "Name", "&s", &policy)) {
        add(&builder, "policy", policy);
    }
    return g_variant_builder_end(&builder);
}
