/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "choose.h"
#include "libvirt-error.h"
#include "preflight.h"
#include "remote.h"
#include "sevmig-error.h"
#include "sevmig-policy-resolve.h"

gboolean
preflight_can(const Preflight *self)
{
    return checks_count(self->checks, CHECK_BAD) == 0 &&
           checks_count(self->checks, CHECK_UNKNOWN) == 0 && self->policy != NULL;
}

/* --- By libvirt --- */

static const struct {
    int state;
    CheckState is;
    const char *found;
    const char *mend;
} states[] = {
    {VIR_DOMAIN_RUNNING, CHECK_GOOD, "yes", ""},
    {VIR_DOMAIN_BLOCKED, CHECK_GOOD, "yes", ""},
    {VIR_DOMAIN_PAUSED, CHECK_NOTE, "paused",
     "it can migrate and stays paused there; its load cannot be measured, so the forecast is for "
     "the time after \"virsh resume\""},
    {VIR_DOMAIN_PMSUSPENDED, CHECK_BAD, "asleep", "\"virsh dompmwakeup\""},
    {VIR_DOMAIN_CRASHED, CHECK_BAD, "crashed", "\"virsh destroy\" and \"virsh start\""},
    {VIR_DOMAIN_SHUTDOWN, CHECK_BAD, "shutting down", "\"virsh start\" once it has"},
    {VIR_DOMAIN_SHUTOFF, CHECK_BAD, "no", "\"virsh start\""},
};

static gboolean
check_running(Preflight *self)
{
    int state = VIR_DOMAIN_NOSTATE;
    gboolean told = virDomainGetState(self->of.domain, &state, NULL, 0) >= 0;
    for (gsize i = 0; told && i < G_N_ELEMENTS(states); i++) {
        if (states[i].state != state)
            continue;
        self->stands = state == VIR_DOMAIN_PAUSED;
        checks_add(self->checks, "running", states[i].is, states[i].found, states[i].mend);
        return states[i].is != CHECK_BAD;
    }
    checks_add(self->checks, "running", CHECK_UNKNOWN, "libvirt does not say",
               "look at it with \"virsh domstate\"");
    return FALSE;
}

static gboolean
check_idle(Preflight *self)
{
    gboolean busy = domain_is_busy(&self->of);
    checks_add(self->checks, "at rest", busy ? CHECK_BAD : CHECK_GOOD,
               busy ? "it is being migrated, saved or copied" : "yes",
               "wait for the end of it, \"virsh domjobinfo\" shows how far it is");
    return !busy;
}

static void
check_security(Preflight *self, const SevmigDomain *domain, const GPtrArray *issues)
{
    if (domain == NULL) {
        const SevmigPolicyIssue *issue = issues->pdata[0];
        checks_add(self->checks, "launch security", CHECK_UNKNOWN, issue->text,
                   "look at \"virsh dumpxml\"");
        return;
    }
    const char *type = domain->launch_security;
    checks_add(self->checks, "launch security", strcmp(type, "sev") == 0 ? CHECK_GOOD : CHECK_BAD,
               *type != '\0' ? type : "none",
               "sevmig is for <launchSecurity type='sev'>; libvirt alone migrates what needs none");
}

static char *
describe(Preflight *self)
{
    char *xml = virDomainGetXMLDesc(self->of.domain, 0);
    char *copy = g_strdup(xml);
    g_autoptr(GError) error = NULL;
    free(xml);
    if (copy != NULL)
        return copy;
    sevmig_libvirt_error_set(&error, "its description");
    checks_add(self->checks, "launch security", CHECK_UNKNOWN, error->message,
               "look at \"virsh dumpxml\"");
    return NULL;
}

/* --- By sevmigd --- */

/* Devices and features of which QEMU knows that they cannot be moved. */
static void
check_blockers(Preflight *self, GVariant *abilities)
{
    g_autofree const char **reasons = NULL;
    if (!g_variant_lookup(abilities, "blocked-reasons", "^a&s", &reasons)) {
        checks_add(self->checks, "QEMU allows it", CHECK_UNKNOWN, "this sevmigd does not ask",
                   "\"systemctl restart sevmigd\" after an upgrade");
        return;
    }
    g_autofree char *joined = g_strjoinv("; ", (char **)reasons);
    checks_add(self->checks, "QEMU allows it", *joined == '\0' ? CHECK_GOOD : CHECK_BAD,
               *joined == '\0' ? "yes" : joined,
               "take what it names out of the domain, or stop the guest and start it there");
}

static void
take_abilities(Preflight *self, GVariant *abilities)
{
    gboolean steerable = FALSE;
    g_autofree char *reason = text_member(abilities, "reason");
    g_autofree char *firmware = text_member(abilities, "firmware");
    guint64 pages = 0;
    g_variant_lookup(abilities, "steerable", "b", &steerable);
    g_variant_lookup(abilities, "max-command-pages", "u", &self->inputs.max_command_pages);
    g_variant_lookup(abilities, "max-batch-pages", "u", &self->inputs.max_batch_pages);
    if (g_variant_lookup(abilities, "private-pages", "t", &pages) && pages > 0)
        self->inputs.inputs[INPUT_PAGES] = (Input){(double)pages, ORIGIN_MEASURED};
    g_autofree char *found = steerable ? g_strdup_printf("can be steered, firmware %s", firmware)
                                       : g_steal_pointer(&reason);
    checks_add(self->checks, "QEMU", steerable ? CHECK_GOOD : CHECK_BAD, found,
               "run it on the patched QEMU: <emulator> in its XML, then a restart of the domain");
    check_blockers(self, abilities);
}

static void
check_qemu(Cli *cli, Preflight *self)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) answer =
        remote_call(cli, "Probe", g_variant_new("(s)", self->name), "(a{sv})", &error);
    if (answer == NULL) {
        checks_add(
            self->checks, "QEMU", remote_is_absent(error) ? CHECK_BAD : CHECK_UNKNOWN,
            error->message,
            "sevmigd must run on the domain's own host and let this user ask (org.sevmig1.steer)");
        return;
    }
    g_autoptr(GVariant) abilities = g_variant_get_child_value(answer, 0);
    take_abilities(self, abilities);
}

static SevmigPolicy *
get_policy(Cli *cli, const char *name, GError **error)
{
    const char *xml;
    g_autoptr(GVariant) answer =
        remote_call(cli, "GetPolicy", g_variant_new("(s)", name), "(s)", error);
    if (answer == NULL)
        return NULL;
    g_variant_get(answer, "(&s)", &xml);
    return sevmig_policy_parse(xml, -1, name, NULL, error);
}

/* One that the domain contains is on nobody's list; it is read as sevmigd reads it. */
static SevmigPolicy *
get_inlined(const char *xml, GError **error)
{
    g_autoptr(SevmigPolicyStore) store = choose_store(NULL, NULL, error);
    if (store == NULL)
        return NULL;
    g_autoptr(SevmigResolution) resolution = sevmig_policy_resolve(store, xml, -1, error);
    if (resolution == NULL)
        return NULL;
    if (resolution->policy != NULL)
        return sevmig_policy_ref(resolution->policy);
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID, "%s", resolution->problem);
    return NULL;
}

/* Of the candidate that was chosen, or the last of those that were not. */
static char *
candidate_member(GVariant *candidates, const char *member)
{
    g_autofree char *text = g_strdup("");
    for (gsize i = 0; i < g_variant_n_children(candidates); i++) {
        g_autoptr(GVariant) candidate = g_variant_get_child_value(candidates, i);
        gboolean chosen = FALSE;
        g_variant_lookup(candidate, "chosen", "b", &chosen);
        g_free(text);
        text = text_member(candidate, member);
        if (chosen)
            break;
    }
    return g_steal_pointer(&text);
}

static void
find_policy(Cli *cli, Preflight *self, const char *xml, GError **error)
{
    const char *name;
    g_autoptr(GVariant) answer =
        remote_call(cli, "Explain", g_variant_new("(s)", self->name), "(saa{sv})", error);
    g_autoptr(GVariant) candidates = NULL;
    if (answer == NULL)
        return;
    g_variant_get(answer, "(&s@aa{sv})", &name, &candidates);
    g_autofree char *source = candidate_member(candidates, "source");
    self->policy_why = candidate_member(candidates, "reason");
    if (*name == '\0')
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED, "refused: %s", self->policy_why);
    else if (strcmp(source, "inline") == 0)
        self->policy = get_inlined(xml, error);
    else
        self->policy = get_policy(cli, name, error);
}

static void
check_policy(Cli *cli, Preflight *self, const char *xml)
{
    g_autoptr(GError) error = NULL;
    const char *word = cli->policy;
    if (word == NULL) {
        find_policy(cli, self, xml, &error);
    } else {
        self->policy_why = g_strdup("named by --policy");
        self->policy = choose_is_policy_file(word) ? choose_policy(&cli->trial, word, &error)
                                                   : get_policy(cli, word, &error);
    }
    checks_add(self->checks, "policy", self->policy != NULL ? CHECK_GOOD : CHECK_BAD,
               self->policy != NULL ? sevmig_policy_name(self->policy) : error->message,
               "\"sevmigctl policy explain\" and \"sevmigctl policy list\" show what there is");
}

void
preflight_check(Cli *cli, Preflight *self)
{
    self->checks = checks_new();
    self->name = g_strdup(virDomainGetName(self->of.domain));
    virDomainGetUUIDString(self->of.domain, self->uuid);
    g_autofree char *xml = describe(self);
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    g_autoptr(SevmigDomain) domain =
        xml != NULL ? sevmig_domain_parse(xml, strlen(xml), issues) : NULL;
    if (xml != NULL)
        check_security(self, domain, issues);
    if (domain != NULL)
        preflight_check_guest(self, domain, cli->copy_storage);
    /* A QEMU that is not there, or is at work, is not asked. */
    if (check_running(self) && check_idle(self))
        check_qemu(cli, self);
    if (xml != NULL)
        check_policy(cli, self, xml);
    if (domain != NULL && cli->to == NULL)
        preflight_check_peer(self, domain, NULL);
    if (xml != NULL && cli->to != NULL)
        preflight_check_target(self, domain, cli->to);
}
