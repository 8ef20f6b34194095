/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sevmig-policy-internal.h"

SevmigPolicy *
sevmig_policy_ref(SevmigPolicy *self)
{
    g_atomic_ref_count_inc(&self->refs);
    return self;
}

void
sevmig_policy_unref(SevmigPolicy *self)
{
    if (!g_atomic_ref_count_dec(&self->refs))
        return;
    sevmig_match_clear(&self->match);
    g_free(self->name);
    g_free(self->description);
    g_free(self->file);
    g_free(self);
}

const char *
sevmig_policy_name(const SevmigPolicy *self)
{
    return self->name;
}

const char *
sevmig_policy_description(const SevmigPolicy *self)
{
    return self->description;
}

const char *
sevmig_policy_file(const SevmigPolicy *self)
{
    return self->file;
}

const SevmigControlParams *
sevmig_policy_params(const SevmigPolicy *self)
{
    return &self->values.params;
}

unsigned
sevmig_policy_priority(const SevmigPolicy *self)
{
    return self->values.priority;
}

SevmigOnStall
sevmig_policy_on_stall(const SevmigPolicy *self)
{
    return self->values.params.on_stall;
}

unsigned
sevmig_policy_peer(const SevmigPolicy *self)
{
    return self->values.peer;
}

char *
sevmig_peer_format(unsigned peer)
{
    const SevmigPolicyValues values = {.peer = peer};
    gsize n;

    return sevmig_knob_format_in(&sevmig_knobs(&n)[sevmig_knob_index("peer", "require")], &values,
                                 NULL);
}

unsigned
sevmig_policy_incoming(const SevmigPolicy *self)
{
    return self->values.incoming;
}

SevmigOnFailure
sevmig_policy_incoming_on_failure(const SevmigPolicy *self)
{
    return self->values.incoming_on_failure;
}

gboolean
sevmig_policy_has_match(const SevmigPolicy *self)
{
    return self->match.present;
}

unsigned
sevmig_policy_match_priority(const SevmigPolicy *self)
{
    return self->values.match_priority;
}

/* The element of a path, created with its parents where it is not there yet. */
static SevmigXmlNode *
ensure(SevmigXmlNode *root, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    SevmigXmlNode *node = root;

    for (char **name = names; *name; name++) {
        SevmigXmlNode *child = sevmig_xml_child(node, SEVMIG_POLICY_NAMESPACE, *name);

        node = child ? child : sevmig_xml_node_new(node, SEVMIG_POLICY_NAMESPACE, *name);
    }
    return node;
}

static void
write_match(SevmigXmlNode *root, const SevmigMatch *match)
{
    SevmigXmlNode *node = ensure(root, "match");

    for (char **domain = match->domains; domain && *domain; domain++)
        sevmig_xml_attr_add(sevmig_xml_node_new(node, SEVMIG_POLICY_NAMESPACE, "domain"), "name",
                            *domain);
    if (match->launch_security)
        sevmig_xml_attr_add(ensure(root, "match/launch-security"), "type", match->launch_security);
    if (match->nova_flavor)
        sevmig_xml_attr_add(ensure(root, "match/nova"), "flavor", match->nova_flavor);
    if (match->nova_project)
        sevmig_xml_attr_add(ensure(root, "match/nova"), "project", match->nova_project);
    for (guint i = 0; match->extra_specs && i < match->extra_specs->len; i++) {
        const SevmigExtraSpec *spec = &g_array_index(match->extra_specs, SevmigExtraSpec, i);
        SevmigXmlNode *child =
            sevmig_xml_node_new(ensure(root, "match/nova"), SEVMIG_POLICY_NAMESPACE, "extra-spec");
        sevmig_xml_attr_add(child, "name", spec->name);
        sevmig_xml_attr_add(child, "value", spec->value);
    }
}

/* Values of one element share its unit: the largest in which all of them are whole. */
static const SevmigUnit *
shared_unit(const SevmigPolicy *self, const SevmigKnob *knob)
{
    gint64 values[4];
    gsize n, used = 0;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    if (!knob->units)
        return NULL;
    for (gsize i = 0; i < n && used < G_N_ELEMENTS(values); i++) {
        if ((self->given & (G_GUINT64_CONSTANT(1) << i)) &&
            !strcmp(knobs[i].element, knob->element) && knobs[i].units)
            values[used++] = sevmig_knob_get(&knobs[i], &self->values);
    }
    return sevmig_unit_largest(knob->units, values, used);
}

static void
write_knob(const SevmigPolicy *self, const SevmigKnob *knob, SevmigXmlNode *root)
{
    SevmigXmlNode *node = ensure(root, knob->element);
    const SevmigUnit *unit = shared_unit(self, knob);
    g_autofree char *text = sevmig_knob_format_in(knob, &self->values, unit);

    if (unit && !sevmig_xml_attr(node, "unit"))
        sevmig_xml_attr_add(node, "unit", unit->name);
    if (knob->attribute)
        sevmig_xml_attr_add(node, knob->attribute, text);
    else
        node->text = g_string_new(text);
}

char *
sevmig_policy_to_xml(const SevmigPolicy *self)
{
    SevmigXmlNode *root = sevmig_xml_node_new(NULL, SEVMIG_POLICY_NAMESPACE, "policy");
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);
    char *text;

    sevmig_xml_attr_add(root, "name", self->name);
    if (*self->description)
        ensure(root, "description")->text = g_string_new(self->description);
    if (self->match.present)
        write_match(root, &self->match);
    for (gsize i = 0; i < n; i++) {
        if (self->given & (G_GUINT64_CONSTANT(1) << i))
            write_knob(self, &knobs[i], root);
    }
    text = sevmig_xml_to_text(root);
    sevmig_xml_node_free(root);
    return text;
}

SevmigPolicy *
sevmig_policy_vary(const SevmigPolicy *self, const SevmigControlParams *params, GError **error)
{
    g_autofree char *before = sevmig_policy_to_xml(self);
    g_autoptr(SevmigPolicy) policy = sevmig_policy_parse(before, -1, self->file, NULL, error);
    g_autofree char *text = NULL;
    gsize n;
    const SevmigKnob *knobs = sevmig_knobs(&n);

    if (!policy)
        return NULL;
    policy->values.params = *params;
    policy->values.params.fixed_downtime_us = 0;
    for (gsize i = 0; i < n; i++) {
        if (sevmig_knob_get(&knobs[i], &policy->values) !=
            sevmig_knob_get(&knobs[i], &self->values))
            policy->given |= G_GUINT64_CONSTANT(1) << i;
    }
    text = sevmig_policy_to_xml(policy);
    return sevmig_policy_parse(text, -1, self->file, NULL, error);
}
