/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-policy-domain.h"

#include "sevmig-policy-internal.h"
#include "sevmig-policy-issue.h"
#include "sevmig-policy-resolve.h"

static const SevmigXmlLimits domain_limits = {
    .what = "domain XML",
    .max_bytes = SEVMIG_DOMAIN_MAX_BYTES,
    .max_depth = 64,
    .max_elements = 65536,
    .max_attributes = 256,
};

void
sevmig_domain_free(SevmigDomain *self)
{
    if (self->doc)
        sevmig_xml_doc_free(self->doc);
    g_free(self->name);
    g_free(self->uuid);
    g_free(self->launch_security);
    g_free(self->nova_flavor);
    g_free(self->nova_project);
    if (self->nova_extra_specs)
        g_hash_table_unref(self->nova_extra_specs);
    g_free(self);
}

SevmigDomain *
sevmig_domain_new(void)
{
    SevmigDomain *self = g_new0(SevmigDomain, 1);

    self->nova_extra_specs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return self;
}

static char *
child_text(const SevmigXmlNode *node, const char *ns, const char *name)
{
    const SevmigXmlNode *child = sevmig_xml_child(node, ns, name);

    return child ? sevmig_xml_text(child) : g_strdup("");
}

static guint64
read_memory(const SevmigXmlNode *root)
{
    const SevmigXmlNode *node = sevmig_xml_child(root, "", "memory");
    const char *name = node ? sevmig_xml_attr(node, "unit") : NULL;
    const SevmigUnit *unit = sevmig_unit_find(sevmig_memory_units, name ? name : "KiB");
    g_autofree char *text = child_text(root, "", "memory");
    guint64 number = g_ascii_strtoull(text, NULL, 10);

    if (!unit)
        return 0;
    return number > G_MAXINT64 / unit->factor ? G_MAXINT64 : number * unit->factor;
}

static void
read_nova(SevmigDomain *self, const SevmigXmlNode *instance)
{
    const char *ns = instance->ns;
    const SevmigXmlNode *flavor = sevmig_xml_child(instance, ns, "flavor");
    const SevmigXmlNode *owner = sevmig_xml_child(instance, ns, "owner");
    const SevmigXmlNode *project = owner ? sevmig_xml_child(owner, ns, "project") : NULL;
    const SevmigXmlNode *specs = flavor ? sevmig_xml_child(flavor, ns, "extraSpecs") : NULL;

    self->nova_flavor = flavor ? g_strdup(sevmig_xml_attr(flavor, "name")) : NULL;
    self->nova_project = project ? g_strdup(sevmig_xml_attr(project, "uuid")) : NULL;
    for (const SevmigXmlNode *spec = specs ? specs->children : NULL; spec; spec = spec->next) {
        const char *name = sevmig_xml_attr(spec, "name");

        if (name && !strcmp(spec->ns, ns))
            g_hash_table_replace(self->nova_extra_specs, g_strdup(name), sevmig_xml_text(spec));
    }
}

static void
read_metadata(SevmigDomain *self, const SevmigXmlNode *metadata)
{
    gboolean seen_nova = FALSE;

    for (const SevmigXmlNode *node = metadata->children; node; node = node->next) {
        gboolean is_policy = !strcmp(node->name, "policy");

        if (is_policy && !strcmp(node->ns, SEVMIG_DOMAIN_NAMESPACE)) {
            self->ambiguous = self->ambiguous || self->element || self->inlined;
            self->element = node;
            self->inlined = sevmig_xml_child(node, SEVMIG_POLICY_NAMESPACE, "policy");
        } else if (is_policy && !strcmp(node->ns, SEVMIG_POLICY_NAMESPACE)) {
            self->ambiguous = self->ambiguous || self->element || self->inlined;
            self->inlined = node;
        } else if (!strcmp(node->name, "instance") && !seen_nova &&
                   g_str_has_prefix(node->ns, SEVMIG_NOVA_NAMESPACE_PREFIX)) {
            seen_nova = TRUE;
            read_nova(self, node);
        }
    }
}

SevmigDomain *
sevmig_domain_parse(const char *text, gsize size, GPtrArray *issues)
{
    g_autoptr(SevmigDomain) self = sevmig_domain_new();
    const SevmigXmlNode *root, *security, *metadata;
    const char *type;

    self->doc = sevmig_xml_parse(text, size, "domain XML", &domain_limits, issues);
    if (!self->doc)
        return NULL;
    root = self->doc->root;
    if (strcmp(root->name, "domain")) {
        unsigned line, column;

        sevmig_xml_position(self->doc, root->offset, &line, &column);
        sevmig_issue_add(issues, self->doc->file, line, column, "element <%s>; expected <domain>",
                         root->name);
        return NULL;
    }
    security = sevmig_xml_child(root, "", "launchSecurity");
    metadata = sevmig_xml_child(root, "", "metadata");
    type = security ? sevmig_xml_attr(security, "type") : NULL;
    self->name = child_text(root, "", "name");
    self->uuid = child_text(root, "", "uuid");
    self->launch_security = g_strdup(type ? type : "");
    self->memory_bytes = read_memory(root);
    if (metadata)
        read_metadata(self, metadata);
    return g_steal_pointer(&self);
}

static char *G_GNUC_PRINTF(3, 4)
    problem_at(const SevmigDomain *self, gsize offset, const char *format, ...)
{
    g_autofree char *text = NULL;
    unsigned line, column;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    sevmig_xml_position(self->doc, offset, &line, &column);
    return g_strdup_printf("%s:%u:%u: %s", self->doc->file, line, column, text);
}

static char *
check_element(const SevmigDomain *self, const SevmigXmlNode *element)
{
    g_autofree char *text = sevmig_xml_text(element);

    for (const SevmigXmlAttr *attr = element->attrs; attr; attr = attr->next) {
        g_autofree char *shown = sevmig_quote(attr->name);

        if (strcmp(attr->name, "name") && strcmp(attr->name, "on-failure"))
            return problem_at(self, sevmig_xml_attr_offset(self->doc, element, attr->name),
                              "<policy>: attribute %s is not known; expected name, on-failure",
                              shown);
    }
    for (const SevmigXmlNode *child = element->children; child; child = child->next) {
        if (child != self->inlined)
            return problem_at(self, child->offset,
                              "<policy>: element \"%s\" is not allowed; expected at most one "
                              "<policy xmlns=\"" SEVMIG_POLICY_NAMESPACE "\">",
                              child->name);
    }
    if (*text)
        return problem_at(self, sevmig_xml_text_offset(self->doc, element),
                          "<policy>: text is not allowed; expected attribute name, or a policy");
    return NULL;
}

static char *
check_choice(const SevmigDomain *self, const SevmigXmlNode *element, const char *name)
{
    g_autofree char *shown = name ? sevmig_quote(name) : NULL;

    if (!name && !self->inlined)
        return problem_at(self, element->offset,
                          "<policy> names no policy; expected attribute name, or a policy inside");
    if (name && self->inlined)
        return problem_at(self, self->inlined->offset,
                          "<policy> names a policy and contains one; expected only one of them");
    if (name && !sevmig_policy_name_valid(name))
        return problem_at(
            self, sevmig_xml_attr_offset(self->doc, element, "name"),
            "<policy name>: %s is not a policy name; expected " SEVMIG_POLICY_NAME_EXPECTED, shown);
    return NULL;
}

char *
sevmig_domain_metadata(const SevmigDomain *self, const char **name, SevmigOnFailure *on_failure)
{
    const SevmigXmlNode *element = self->element;
    const char *answer = element ? sevmig_xml_attr(element, "on-failure") : NULL;
    g_autofree char *shown = answer ? sevmig_quote(answer) : NULL;
    g_autofree char *trimmed = g_strstrip(g_strdup(answer ? answer : "warn"));
    gboolean known = !strcmp(trimmed, "warn") || !strcmp(trimmed, "refuse");
    char *problem = NULL;

    *name = NULL;
    *on_failure = strcmp(trimmed, "warn") ? SEVMIG_ON_FAILURE_REFUSE : SEVMIG_ON_FAILURE_WARN;
    if (self->ambiguous)
        return problem_at(self, (element ? element : self->inlined)->offset,
                          "the metadata holds more than one policy; expected one");
    if (!element)
        return NULL;
    *name = sevmig_xml_attr(element, "name");
    if (!known)
        return problem_at(self, sevmig_xml_attr_offset(self->doc, element, "on-failure"),
                          "<policy on-failure>: %s is not known; expected one of warn, refuse",
                          shown);
    problem = check_element(self, element);
    return problem ? problem : check_choice(self, element, *name);
}
