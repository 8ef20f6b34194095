/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-policy-resolve.h"

#include "sevmig-policy-issue.h"
#include "sevmig-policy-match.h"
#include "sevmig-policy-store-internal.h"

const char *
sevmig_policy_source_name(SevmigPolicySource source)
{
    static const char *const names[] = {
        [SEVMIG_SOURCE_METADATA] = "metadata",
        [SEVMIG_SOURCE_INLINE] = "inline",
        [SEVMIG_SOURCE_MATCH] = "match",
        [SEVMIG_SOURCE_DEFAULT] = "default",
    };

    return names[source];
}

static void
candidate_free(gpointer data)
{
    SevmigCandidate *candidate = data;

    g_free(candidate->name);
    g_free(candidate->file);
    g_free(candidate->reason);
    g_free(candidate);
}

void
sevmig_resolution_free(SevmigResolution *self)
{
    if (self->policy)
        sevmig_policy_unref(self->policy);
    g_ptr_array_unref(self->candidates);
    g_free(self->domain);
    g_free(self->uuid);
    g_free(self->problem);
    g_free(self);
}

/* Adds a candidate, whose `policy` may not be known, and takes the reason. */
static void
consider(SevmigResolution *self, const char *name, SevmigPolicySource source,
         const SevmigPolicy *policy, char *reason)
{
    SevmigCandidate *candidate = g_new0(SevmigCandidate, 1);

    candidate->name = g_strdup(name);
    candidate->source = source;
    candidate->file = g_strdup(policy ? sevmig_policy_file(policy) : "");
    candidate->reason = reason;
    g_ptr_array_add(self->candidates, candidate);
}

/* The same for the one that governs. */
static void
choose(SevmigResolution *self, SevmigPolicySource source, SevmigPolicy *policy, char *reason)
{
    SevmigCandidate *candidate;

    consider(self, sevmig_policy_name(policy), source, policy, reason);
    candidate = g_ptr_array_index(self->candidates, self->candidates->len - 1);
    candidate->chosen = TRUE;
    self->policy = sevmig_policy_ref(policy);
    self->source = source;
}

static void
consider_named(SevmigResolution *self, const SevmigPolicyStore *store, const char *name)
{
    SevmigPolicy *policy = sevmig_policy_store_lookup(store, name);

    self->name_unknown = !policy;
    if (policy) {
        choose(self, SEVMIG_SOURCE_METADATA, policy, g_strdup("named in the domain's metadata"));
        return;
    }
    self->problem =
        g_strdup_printf("the domain's metadata names the policy \"%s\", which this host "
                        "does not have",
                        name);
    consider(self, name, SEVMIG_SOURCE_METADATA, NULL, g_strdup(self->problem));
}

static void
consider_inlined(SevmigResolution *self, const SevmigPolicyStore *store, const SevmigDomain *domain)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autoptr(SevmigPolicy) policy = sevmig_policy_from_node(
        domain->doc, domain->inlined, sevmig_policy_store_ceiling(store), issues);
    const char *name = sevmig_xml_attr(domain->inlined, "name");
    g_autofree char *first = NULL;

    if (policy) {
        choose(self, SEVMIG_SOURCE_INLINE, policy, g_strdup("contained in the domain's metadata"));
        return;
    }
    first = sevmig_policy_issue_format(g_ptr_array_index(issues, 0));
    self->problem = g_strdup_printf("the policy in the domain's metadata is not valid: %s", first);
    name = name && sevmig_policy_name_valid(name) ? name : "(unnamed)";
    consider(self, name, SEVMIG_SOURCE_INLINE, NULL, g_strdup(self->problem));
}

/* Leaves the choice open where the domain has no metadata of ours or it cannot be followed. */
static void
consider_metadata(SevmigResolution *self, const SevmigPolicyStore *store,
                  const SevmigDomain *domain)
{
    const char *name;

    self->has_metadata = domain->element || domain->inlined;
    if (!self->has_metadata)
        return;
    self->problem = sevmig_domain_metadata(domain, &name, &self->on_failure);
    if (self->problem)
        consider(self, name && sevmig_policy_name_valid(name) ? name : "(none)",
                 SEVMIG_SOURCE_METADATA, NULL, g_strdup(self->problem));
    else if (domain->inlined)
        consider_inlined(self, store, domain);
    else
        consider_named(self, store, name);
}

static gint
compare_rank(gconstpointer a, gconstpointer b)
{
    const SevmigPolicy *left = *(SevmigPolicy *const *)a, *right = *(SevmigPolicy *const *)b;
    guint left_priority = sevmig_policy_match_priority(left);
    guint right_priority = sevmig_policy_match_priority(right);
    guint left_count = sevmig_match_count(left), right_count = sevmig_match_count(right);

    if (left_priority != right_priority)
        return left_priority > right_priority ? -1 : 1;
    if (left_count != right_count)
        return left_count > right_count ? -1 : 1;
    return strcmp(sevmig_policy_name(left), sevmig_policy_name(right));
}

static GPtrArray *
ranked(const SevmigPolicyStore *store)
{
    GPtrArray *policies = g_ptr_array_new();
    size_t n;
    const SevmigPolicyEntry *entries = sevmig_policy_store_list(store, &n);

    for (size_t i = 0; i < n; i++) {
        if (entries[i].state == SEVMIG_POLICY_ACTIVE && sevmig_policy_has_match(entries[i].policy))
            g_ptr_array_add(policies, entries[i].policy);
    }
    g_ptr_array_sort(policies, compare_rank);
    return policies;
}

/* Why a policy that matches does not govern. */
static char *
defeat(const SevmigResolution *self, const SevmigPolicy *policy, gboolean refused)
{
    const SevmigPolicy *winner = self->policy;
    const char *name = winner ? sevmig_policy_name(winner) : "";
    guint priority = winner ? sevmig_policy_match_priority(winner) : 0;
    guint count = winner ? sevmig_match_count(winner) : 0;

    if (refused)
        return g_strdup("the metadata refuses others");
    if (self->source != SEVMIG_SOURCE_MATCH)
        return g_strdup("the metadata comes first");
    if (priority != sevmig_policy_match_priority(policy))
        return g_strdup_printf("%s has priority %u", name, priority);
    if (count != sevmig_match_count(policy))
        return g_strdup_printf("%s has %u conditions", name, count);
    return g_strdup_printf("%s comes first by name", name);
}

static void
consider_match(SevmigResolution *self, SevmigPolicy *policy, const SevmigDomain *domain,
               gboolean refused)
{
    const char *name = sevmig_policy_name(policy);
    char *failure = sevmig_match_failure(policy, domain);
    guint count = sevmig_match_count(policy);
    g_autofree char *matches = NULL, *why = NULL;

    if (failure) {
        consider(self, name, SEVMIG_SOURCE_MATCH, policy, failure);
        return;
    }
    matches = g_strdup_printf("matches with priority %u and %u condition%s",
                              sevmig_policy_match_priority(policy), count, count == 1 ? "" : "s");
    if (!refused && !self->policy) {
        choose(self, SEVMIG_SOURCE_MATCH, policy, g_steal_pointer(&matches));
        return;
    }
    why = defeat(self, policy, refused);
    consider(self, name, SEVMIG_SOURCE_MATCH, policy, g_strdup_printf("%s, but %s", matches, why));
}

static void
consider_matches(SevmigResolution *self, const SevmigPolicyStore *store, const SevmigDomain *domain,
                 gboolean refused)
{
    g_autoptr(GPtrArray) policies = ranked(store);

    for (guint i = 0; i < policies->len; i++)
        consider_match(self, g_ptr_array_index(policies, i), domain, refused);
}

/* They are no choice, but whoever wrote one may wonder why. */
static void
consider_replaced(SevmigResolution *self, const SevmigPolicyStore *store)
{
    size_t n;
    const SevmigPolicyEntry *entries = sevmig_policy_store_list(store, &n);

    for (size_t i = 0; i < n; i++) {
        const SevmigPolicy *policy = entries[i].policy;
        const char *name = sevmig_policy_name(policy);

        if (entries[i].state == SEVMIG_POLICY_REPLACED && sevmig_policy_has_match(policy))
            consider(self, name, SEVMIG_SOURCE_MATCH, policy,
                     g_strdup_printf("%s is replaced by %s", sevmig_policy_file(policy),
                                     sevmig_policy_file(sevmig_policy_store_lookup(store, name))));
    }
}

static void
consider_default(SevmigResolution *self, const SevmigPolicyStore *store, gboolean refused)
{
    SevmigPolicy *policy = sevmig_policy_store_lookup(store, "default");

    if (refused)
        consider(self, "default", SEVMIG_SOURCE_DEFAULT, policy,
                 g_strdup("the metadata refuses others"));
    else if (self->policy)
        consider(self, "default", SEVMIG_SOURCE_DEFAULT, policy,
                 g_strdup_printf("%s comes first", sevmig_policy_name(self->policy)));
    else
        choose(self, SEVMIG_SOURCE_DEFAULT, policy, g_strdup("nothing else applies"));
}

static void
resolve(SevmigResolution *self, const SevmigPolicyStore *store, const SevmigDomain *domain)
{
    gboolean refused;

    self->has_sev = !strcmp(domain->launch_security, "sev");
    consider_metadata(self, store, domain);
    refused = self->problem && self->on_failure == SEVMIG_ON_FAILURE_REFUSE;
    consider_matches(self, store, domain, refused);
    consider_replaced(self, store);
    consider_default(self, store, refused);
    if (self->policy && sevmig_policy_incoming_on_failure(self->policy) == SEVMIG_ON_FAILURE_REFUSE)
        self->on_failure = SEVMIG_ON_FAILURE_REFUSE;
}

static SevmigResolution *
resolution_new(const SevmigDomain *domain)
{
    SevmigResolution *self = g_new0(SevmigResolution, 1);

    self->domain = g_strdup(domain->name);
    self->uuid = g_strdup(domain->uuid);
    self->memory_bytes = domain->memory_bytes;
    self->candidates = g_ptr_array_new_with_free_func(candidate_free);
    return self;
}

SevmigResolution *
sevmig_policy_resolve(const SevmigPolicyStore *store, const char *domain_xml, gssize length,
                      GError **error)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    gsize size = length < 0 ? strlen(domain_xml) : (gsize)length;
    g_autoptr(SevmigDomain) domain = sevmig_domain_parse(domain_xml, size, issues);
    SevmigResolution *self;

    if (!domain) {
        sevmig_issues_to_error(issues, 0, SEVMIG_ERROR_INVALID, error);
        return NULL;
    }
    self = resolution_new(domain);
    resolve(self, store, domain);
    return self;
}

SevmigResolution *
sevmig_policy_resolve_domain(const SevmigPolicyStore *store, const char *xml, const char *name,
                             const char *uuid)
{
    g_autoptr(GError) error = NULL;
    SevmigResolution *self = sevmig_policy_resolve(store, xml, -1, &error);
    g_autoptr(SevmigDomain) domain = NULL;

    if (self)
        return self;
    domain = sevmig_domain_new();
    domain->name = g_strdup(name);
    domain->uuid = g_strdup(uuid);
    /* As libvirt writes it. A guest without SEV that has the words elsewhere is asked in vain. */
    domain->launch_security = g_strdup(strstr(xml, "<launchSecurity type='sev'") ? "sev" : "");
    self = resolution_new(domain);
    self->unread = TRUE;
    self->problem = g_strdup_printf("the domain cannot be read: %s", error->message);
    consider(self, "(none)", SEVMIG_SOURCE_METADATA, NULL, g_strdup(self->problem));
    resolve(self, store, domain);
    return self;
}

static void
add_text(GVariantBuilder *b, const char *key, const char *text)
{
    g_variant_builder_add(b, "{sv}", key, g_variant_new_take_string(g_utf8_make_valid(text, -1)));
}

GVariant *
sevmig_resolution_to_variant(const SevmigResolution *self)
{
    GVariantBuilder b;

    g_variant_builder_init(&b, G_VARIANT_TYPE("aa{sv}"));
    for (guint i = 0; i < self->candidates->len; i++) {
        const SevmigCandidate *candidate = g_ptr_array_index(self->candidates, i);

        g_variant_builder_open(&b, G_VARIANT_TYPE_VARDICT);
        add_text(&b, "name", candidate->name);
        add_text(&b, "source", sevmig_policy_source_name(candidate->source));
        add_text(&b, "file", candidate->file);
        g_variant_builder_add(&b, "{sv}", "chosen", g_variant_new_boolean(candidate->chosen));
        add_text(&b, "reason", candidate->reason);
        g_variant_builder_close(&b);
    }
    return g_variant_new("(saa{sv})", self->policy ? sevmig_policy_name(self->policy) : "", &b);
}
