/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmigctl policy assign, unassign
 *
 * The element in a domain's metadata, written through libvirt as "virsh metadata" would. Whoever
 * may change the domain may do this; sevmigd is only asked whether it has such a policy.
 */
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "choose.h"
#include "domain.h"
#include "libvirt-error.h"
#include "remote.h"
#include "sevmig-error.h"
#include "sevmig-names.h"

#define METADATA_KEY "sevmig"
#define MIGRATION_MEND                                                                             \
    "libvirt changes no metadata during a migration: \"sevmigctl policy switch\" gives a "         \
    "running one another policy"

const char assign_help[] =
    "Without --live and --config, what is changed is the running domain, or the persistent one if\n"
    "it does not run. A running migration keeps the policy it has: \"sevmigctl policy switch\"\n"
    "changes that.";

void
unassign_options(GOptionContext *context, Cli *cli)
{
    CliAssign *assign = &cli->assign;
    const GOptionEntry entries[] = {
        {"live", 0, 0, G_OPTION_ARG_NONE, &assign->live, "of the running domain", NULL},
        {"config", 0, 0, G_OPTION_ARG_NONE, &assign->config, "from its next start on", NULL},
        {NULL},
    };
    domain_options(context, cli);
    g_option_context_add_main_entries(context, entries, NULL);
}

void
assign_options(GOptionContext *context, Cli *cli)
{
    CliAssign *assign = &cli->assign;
    const GOptionEntry entries[] = {
        {"on-failure", 0, 0, G_OPTION_ARG_STRING, &assign->on_failure,
         "what a host does that has no such policy", "warn|refuse"},
        {"unknown", 0, 0, G_OPTION_ARG_NONE, &assign->unknown,
         "even if this host has no such policy", NULL},
        {NULL},
    };
    unassign_options(context, cli);
    g_option_context_add_main_entries(context, entries, NULL);
}

typedef struct {
    Domain of;
    unsigned flags;
} Target;

static void
target_clear(Target *target)
{
    domain_clear(&target->of);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Target, target_clear)

static gboolean
target_open(const Cli *cli, Target *target, GError **error)
{
    const CliAssign *assign = &cli->assign;
    target->flags = (assign->live ? VIR_DOMAIN_AFFECT_LIVE : VIR_DOMAIN_AFFECT_CURRENT) |
                    (assign->config ? VIR_DOMAIN_AFFECT_CONFIG : VIR_DOMAIN_AFFECT_CURRENT);
    return domain_open(cli, cli->args[0], &target->of, error);
}

/* libvirt itself would wait for half a minute before it says no. */
static gboolean
target_check_idle(const Target *target, GError **error)
{
    if (!domain_is_busy(&target->of))
        return TRUE; /* libvirt has the last word */
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED,
                "domain %s is being migrated, saved or copied; " MIGRATION_MEND, target->of.name);
    return FALSE;
}

/* Whether there is an element of that namespace, wherever the change is to be made. */
static gboolean
target_has(const Target *target, const char *ns)
{
    static const unsigned scopes[] = {VIR_DOMAIN_AFFECT_LIVE, VIR_DOMAIN_AFFECT_CONFIG};
    gboolean has = FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(scopes) && !has; i++) {
        if (target->flags != 0 && (target->flags & scopes[i]) == 0)
            continue;
        char *text = virDomainGetMetadata(target->of.domain, VIR_DOMAIN_METADATA_ELEMENT, ns,
                                          target->flags == 0 ? 0 : scopes[i]);
        has = text != NULL;
        free(text);
    }
    return has;
}

static gboolean
target_set(const Target *target, const char *ns, const char *element, GError **error)
{
    if (virDomainSetMetadata(target->of.domain, VIR_DOMAIN_METADATA_ELEMENT, element,
                             element != NULL ? METADATA_KEY : NULL, ns, target->flags) >= 0)
        return TRUE;
    gboolean busy = virGetLastErrorCode() == VIR_ERR_OPERATION_TIMEOUT;
    sevmig_libvirt_error_set(error, "metadata of domain %s%s", target->of.name,
                             busy ? " (" MIGRATION_MEND ")" : "");
    return FALSE;
}

/* FALSE without an error: there is none of that name. */
static gboolean
is_known(Cli *cli, const char *name, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(GVariant) xml =
        remote_call(cli, "GetPolicy", g_variant_new("(s)", name), "(s)", &problem);
    if (xml != NULL)
        return TRUE;
    if (g_error_matches(problem, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND))
        return FALSE;
    if (cli->connect != NULL || (cli->bus != NULL && !remote_is_absent(problem))) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    /* sevmigd does not run; it would read these. */
    g_autoptr(SevmigPolicyStore) store = choose_store(NULL, NULL, error);
    return store != NULL && sevmig_policy_store_lookup(store, name) != NULL;
}

static gboolean
check_policy(Cli *cli, const char *name, GError **error)
{
    g_autoptr(GError) problem = NULL;
    if (!sevmig_policy_name_valid(name)) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID,
                    "\"%s\" is not a policy name; expected " SEVMIG_POLICY_NAME_EXPECTED, name);
        return FALSE;
    }
    if (cli->assign.unknown || is_known(cli, name, &problem))
        return TRUE;
    if (problem != NULL)
        g_propagate_prefixed_error(error, g_steal_pointer(&problem),
                                   "cannot tell whether there is a policy %s (--unknown does "
                                   "without): ",
                                   name);
    else
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
                    "this host has no policy \"%s\": \"sevmigctl policy list\" shows them, "
                    "--unknown assigns it all the same",
                    name);
    return FALSE;
}

static gboolean
assign(const Cli *cli, const Target *target, GError **error)
{
    const char *on_failure = cli->assign.on_failure;
    g_autofree char *attribute =
        on_failure != NULL ? g_strdup_printf(" on-failure='%s'", on_failure) : g_strdup("");
    g_autofree char *element = g_strdup_printf("<policy name='%s'%s/>", cli->args[1], attribute);
    if (!target_check_idle(target, error))
        return FALSE;
    if (target_has(target, SEVMIG_POLICY_NAMESPACE)) {
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_REFUSED,
                    "the metadata of domain %s contains a policy of its own, and only one may be "
                    "there: \"sevmigctl policy unassign\" takes it out",
                    target->of.name);
        return FALSE;
    }
    return target_set(target, SEVMIG_DOMAIN_NAMESPACE, element, error);
}

/* Says what holds now; `policy` NULL: none. */
static void
report(const Cli *cli, const char *policy)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *domain = text_printable(cli->args[0]);
    if (cli->json) {
        json_open(out, NULL, '{');
        json_string(out, "domain", cli->args[0]);
        json_string(out, "policy", policy != NULL ? policy : "");
        json_close(out, '}');
        cli_put_json(out);
        return;
    }
    if (policy != NULL)
        g_string_append_printf(out, "%s: assigned %s\n", domain, policy);
    else
        g_string_append_printf(out, "%s: no policy of its own\n", domain);
    cli_put(out);
}

CliExit
verb_policy_assign(Cli *cli)
{
    const char *on_failure = cli->assign.on_failure;
    g_autoptr(GError) error = NULL;
    g_auto(Target) target = {0};
    if (on_failure != NULL && strcmp(on_failure, "warn") != 0 && strcmp(on_failure, "refuse") != 0)
        return cli_misuse(cli, "--on-failure takes warn or refuse, not %s", on_failure);
    if (!check_policy(cli, cli->args[1], &error) || !target_open(cli, &target, &error) ||
        !assign(cli, &target, &error))
        return cli_fail(cli, error);
    report(cli, cli->args[1]);
    return CLI_OK;
}

CliExit
verb_policy_unassign(Cli *cli)
{
    static const char *const namespaces[] = {SEVMIG_DOMAIN_NAMESPACE, SEVMIG_POLICY_NAMESPACE};
    g_autoptr(GError) error = NULL;
    g_auto(Target) target = {0};
    if (!target_open(cli, &target, &error) || !target_check_idle(&target, &error))
        return cli_fail(cli, error);
    for (gsize i = 0; i < G_N_ELEMENTS(namespaces); i++) {
        if (target_has(&target, namespaces[i]) && !target_set(&target, namespaces[i], NULL, &error))
            return cli_fail(cli, error);
    }
    report(cli, NULL);
    return CLI_OK;
}
