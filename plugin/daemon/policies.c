/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policies.h"

#include "bus.h"
#include "log.h"
#include "sevmig-error.h"
#include "sevmig-names.h"
#include "sevmig-policy-issue.h"
#include "sevmig-policy-store.h"

struct SevmigPolicies {
    SevmigPolicyStore *store;
    char *error;
    GVariant *list; /* as it is shown; NULL: not asked for since the last reload */
};

SevmigPolicies *
sevmig_policies_new(const char *const *dirs, const char *ceiling_file, GError **error)
{
    guint n = dirs != NULL ? g_strv_length((char **)dirs) : 0;
    const char *admin = SEVMIG_POLICY_DIR_ADMIN, *vendor = SEVMIG_POLICY_DIR_VENDOR;
    SevmigPolicies *self;

    if (n > 2) {
        g_set_error_literal(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID,
                            "at most two policy directories can be given");
        return NULL;
    }
    if (n > 0) {
        /* A single directory stands alone: nothing lies over it. */
        admin = n == 2 ? dirs[0] : "";
        vendor = dirs[n - 1];
    }
    self = g_new0(SevmigPolicies, 1);
    self->store = sevmig_policy_store_new(
        admin, vendor, ceiling_file != NULL ? ceiling_file : SEVMIG_CEILING_FILE);
    self->error = g_strdup("");
    return self;
}

void
sevmig_policies_free(SevmigPolicies *self)
{
    if (self == NULL)
        return;
    sevmig_policy_store_free(self->store);
    g_clear_pointer(&self->list, g_variant_unref);
    g_free(self->error);
    g_free(self);
}

gboolean
sevmig_policies_reload(SevmigPolicies *self, guint *count, GError **error)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autoptr(GError) local = NULL;

    if (sevmig_policy_store_reload(self->store, issues, &local)) {
        *count = sevmig_policy_store_count(self->store);
        g_clear_pointer(&self->list, g_variant_unref);
        g_free(self->error);
        self->error = g_strdup("");
        sevmig_log(SEVMIG_MESSAGE_POLICIES_IN_FORCE, NULL, "%u policies in force", *count);
        return TRUE;
    }
    for (guint i = 0; i < issues->len; i++) {
        g_autofree char *line = sevmig_policy_issue_format(issues->pdata[i]);

        sevmig_log(SEVMIG_MESSAGE_POLICY_FAULT, NULL, "%s", line);
    }
    sevmig_log(SEVMIG_MESSAGE_POLICIES_NOT_RELOADED, NULL,
               "policies not loaded, %u of before, or that ship, are in force: %s",
               sevmig_policy_store_count(self->store), local->message);
    g_free(self->error);
    self->error = g_utf8_make_valid(local->message, -1);
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

const char *
sevmig_policies_error(const SevmigPolicies *self)
{
    return self->error;
}

const SevmigPolicyStore *
sevmig_policies_store(const SevmigPolicies *self)
{
    return self->store;
}

static GVariant *
new_string(const char *text)
{
    return g_variant_new_take_string(g_utf8_make_valid(text != NULL ? text : "", -1));
}

static void
list_one(GVariantBuilder *b, const SevmigPolicyEntry *entry)
{
    const SevmigPolicy *policy = entry->policy;
    g_autofree char *path = sevmig_bus_path(SEVMIG_POLICY_PATH_PREFIX, sevmig_policy_name(policy));

    g_variant_builder_open(b, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(b, "{sv}", "name", new_string(sevmig_policy_name(policy)));
    g_variant_builder_add(b, "{sv}", "file", new_string(sevmig_policy_file(policy)));
    g_variant_builder_add(b, "{sv}", "priority",
                          g_variant_new_uint32(sevmig_policy_priority(policy)));
    g_variant_builder_add(b, "{sv}", "description", new_string(sevmig_policy_description(policy)));
    g_variant_builder_add(b, "{sv}", "state", new_string(sevmig_policy_state_name(entry->state)));
    if (entry->state == SEVMIG_POLICY_ACTIVE)
        g_variant_builder_add(b, "{sv}", "path", g_variant_new_object_path(path));
    g_variant_builder_close(b);
}

static GVariant *
list_all(const SevmigPolicies *self)
{
    size_t n;
    const SevmigPolicyEntry *entries = sevmig_policy_store_list(self->store, &n);
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
    for (size_t i = 0; i < n; i++)
        list_one(&b, &entries[i]);
    return g_variant_builder_end(&b);
}

GVariant *
sevmig_policies_list(SevmigPolicies *self)
{
    if (self->list == NULL)
        self->list = g_variant_ref_sink(list_all(self));
    return self->list;
}

char *
sevmig_policies_get(const SevmigPolicies *self, const char *name, GError **error)
{
    const SevmigPolicy *policy = sevmig_policy_store_lookup(self->store, name);
    g_autofree char *shown = sevmig_quote(name);

    if (policy == NULL) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND, "no policy is named %s", shown);
        return NULL;
    }
    return sevmig_policy_to_xml(policy);
}
