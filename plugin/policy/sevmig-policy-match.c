/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-policy-match.h"

#include "sevmig-policy-issue.h"

/* One '*' is remembered at a time: going back to an earlier one could only match what the later
 * one matches as well. So the time is at worst the product of the lengths. */
gboolean
sevmig_glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;

    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern == '?') {
            pattern++;
            text = g_utf8_next_char(text);
        } else if (*pattern && *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            resume = g_utf8_next_char(resume);
            text = resume;
        } else {
            return FALSE;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static char *
read_string(const SevmigReader *self, const SevmigXmlNode *node, const char *name)
{
    const char *value = sevmig_xml_attr(node, name);

    if (value && (!*value || g_utf8_strlen(value, -1) > SEVMIG_MATCH_STRING_MAX)) {
        g_autofree char *shown = sevmig_quote(value);

        sevmig_reader_issue(self, sevmig_xml_attr_offset(self->doc, node, name),
                            "<%s %s>: %s is %s; expected " SEVMIG_MATCH_STRING_EXPECTED, node->name,
                            name, shown, *value ? "too long" : "empty");
    }
    return g_strdup(value);
}

static void
read_launch_security(const SevmigReader *self, SevmigMatch *match)
{
    const SevmigXmlNode *node = sevmig_reader_find(self, "match/launch-security");
    const char *type = node ? sevmig_xml_attr(node, "type") : NULL;
    g_autofree char *trimmed = type ? g_strstrip(g_strdup(type)) : NULL;

    if (!trimmed)
        return;
    if (strcmp(trimmed, "sev")) {
        g_autofree char *shown = sevmig_quote(trimmed);

        sevmig_reader_issue(self, sevmig_xml_attr_offset(self->doc, node, "type"),
                            "<launch-security type>: %s is not known; expected sev", shown);
    }
    match->launch_security = g_steal_pointer(&trimmed);
}

static void
clear_extra_spec(gpointer data)
{
    SevmigExtraSpec *spec = data;

    g_free(spec->name);
    g_free(spec->value);
}

static void
read_nova(const SevmigReader *self, SevmigMatch *match)
{
    const SevmigXmlNode *nova = sevmig_reader_find(self, "match/nova");

    if (!nova)
        return;
    match->nova_flavor = read_string(self, nova, "flavor");
    match->nova_project = read_string(self, nova, "project");
    for (const SevmigXmlNode *node = nova->children; node; node = node->next) {
        SevmigExtraSpec spec;

        if (strcmp(node->name, "extra-spec"))
            continue;
        spec.name = read_string(self, node, "name");
        spec.value = read_string(self, node, "value");
        if (!match->extra_specs) {
            match->extra_specs = g_array_new(FALSE, FALSE, sizeof spec);
            g_array_set_clear_func(match->extra_specs, clear_extra_spec);
        }
        g_array_append_val(match->extra_specs, spec);
    }
}

void
sevmig_match_read(const SevmigReader *self, SevmigMatch *match)
{
    g_autoptr(GStrvBuilder) domains = g_strv_builder_new();
    const SevmigXmlNode *root = sevmig_reader_find(self, "match");

    if (!root)
        return;
    match->present = TRUE;
    for (const SevmigXmlNode *node = root->children; node; node = node->next) {
        g_autofree char *name =
            !strcmp(node->name, "domain") ? read_string(self, node, "name") : NULL;
        if (name)
            g_strv_builder_add(domains, name);
    }
    if (sevmig_xml_child(root, SEVMIG_POLICY_NAMESPACE, "domain"))
        match->domains = g_strv_builder_end(domains);
    read_launch_security(self, match);
    read_nova(self, match);
}

void
sevmig_match_clear(SevmigMatch *match)
{
    g_strfreev(match->domains);
    g_free(match->launch_security);
    g_free(match->nova_flavor);
    g_free(match->nova_project);
    if (match->extra_specs)
        g_array_unref(match->extra_specs);
}

guint
sevmig_match_count(const SevmigPolicy *policy)
{
    const SevmigMatch *match = &policy->match;

    return (match->domains ? 1 : 0) + (match->launch_security ? 1 : 0) +
           (policy->values.memory_min_bytes ? 1 : 0) + (policy->values.memory_max_bytes ? 1 : 0) +
           (match->nova_flavor ? 1 : 0) + (match->nova_project ? 1 : 0) +
           (match->extra_specs ? match->extra_specs->len : 0);
}

static char *
domain_failure(const SevmigPolicy *policy, const SevmigDomain *domain)
{
    g_autofree char *shown = NULL, *list = NULL;

    if (!policy->match.domains)
        return NULL;
    for (char **pattern = policy->match.domains; *pattern; pattern++) {
        if (sevmig_glob_match(*pattern, domain->name))
            return NULL;
    }
    shown = sevmig_quote(domain->name);
    list = g_strjoinv(", ", policy->match.domains);
    return g_strdup_printf("domain: the name %s does not match %s", shown, list);
}

static char *
security_failure(const SevmigPolicy *policy, const SevmigDomain *domain)
{
    const char *wanted = policy->match.launch_security;

    if (!wanted || !strcmp(wanted, domain->launch_security))
        return NULL;
    return g_strdup_printf("launch-security: the domain has %s, not %s",
                           *domain->launch_security ? domain->launch_security : "none", wanted);
}

static char *
format_memory(guint64 bytes)
{
    gint64 value = (gint64)bytes;
    const SevmigUnit *unit = sevmig_unit_largest(sevmig_memory_units, &value, 1);

    return g_strdup_printf("%" G_GUINT64_FORMAT " %s", bytes / unit->factor, unit->name);
}

static char *
memory_failure(const SevmigPolicy *policy, const SevmigDomain *domain)
{
    guint64 min = policy->values.memory_min_bytes, max = policy->values.memory_max_bytes;
    gboolean too_little = min && domain->memory_bytes < min;
    gboolean too_much = max && domain->memory_bytes > max;
    g_autofree char *has = format_memory(domain->memory_bytes);
    g_autofree char *wanted = format_memory(too_little ? min : max);

    if (!too_little && !too_much)
        return NULL;
    return g_strdup_printf("memory: the domain has %s, %s than %s", has,
                           too_little ? "less" : "more", wanted);
}

static char *
nova_string_failure(const char *what, const char *pattern, const char *value)
{
    g_autofree char *shown = NULL;

    if (!pattern || (value && sevmig_glob_match(pattern, value)))
        return NULL;
    if (!value)
        return g_strdup_printf("nova: the domain's metadata names no %s", what);
    shown = sevmig_quote(value);
    return g_strdup_printf("nova: the %s %s does not match %s", what, shown, pattern);
}

static char *
nova_failure(const SevmigPolicy *policy, const SevmigDomain *domain)
{
    const SevmigMatch *match = &policy->match;
    char *failure = nova_string_failure("flavor", match->nova_flavor, domain->nova_flavor);

    if (!failure)
        failure = nova_string_failure("project", match->nova_project, domain->nova_project);
    for (guint i = 0; !failure && match->extra_specs && i < match->extra_specs->len; i++) {
        const SevmigExtraSpec *spec = &g_array_index(match->extra_specs, SevmigExtraSpec, i);
        g_autofree char *what = g_strdup_printf("extra spec %s", spec->name);
        const char *value = g_hash_table_lookup(domain->nova_extra_specs, spec->name);

        failure = nova_string_failure(what, spec->value, value);
    }
    return failure;
}

char *
sevmig_match_failure(const SevmigPolicy *policy, const SevmigDomain *domain)
{
    static char *(*const conditions[])(const SevmigPolicy *, const SevmigDomain *) = {
        domain_failure,
        security_failure,
        memory_failure,
        nova_failure,
    };
    char *failure = NULL;

    if (!policy->match.present)
        return g_strdup("it has no <match>");
    for (gsize i = 0; i < G_N_ELEMENTS(conditions) && !failure; i++)
        failure = conditions[i](policy, domain);
    return failure;
}
