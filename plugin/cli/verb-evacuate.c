/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmigctl evacuate: how this host's SEV guests would leave it together
 *
 * Each is looked at as preflight does, and the arbiter's own order is taken; times add up, because
 * one sends at a time.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "libvirt-error.h"
#include "preflight.h"
#include "sevmig-arbiter.h"
#include "sevmig-error.h"

const char evacuate_help[] =
    "Looks at each running SEV guest of this host as \"preflight\" does, a second each, and shows "
    "in\n"
    "which order sevmigd would let them send, were all migrated now. The times are the middle of\n"
    "what was played, one after the other. Nothing is migrated: start what virsh would.\n\n"
    "Exit status: 0 if all can migrate and meet their goals, 1 if not.";

typedef struct {
    Preflight preflight;
    char *name;
    guint64 pages;
    guint64 total_us, downtime_us; /* middle of the forecast */
    guint64 begins_us, ends_us;
} Evacuee;

static void
evacuee_free(gpointer data)
{
    Evacuee *self = data;
    preflight_clear(&self->preflight);
    g_free(self->name);
    g_free(self);
}

void
evacuate_options(GOptionContext *context, Cli *cli)
{
    const GOptionEntry entries[] = {
        {"plan", 0, 0, G_OPTION_ARG_NONE, &cli->plan, "show the order, and what is to be expected",
         NULL},
        {"copy-storage", 0, 0, G_OPTION_ARG_NONE, &cli->copy_storage,
         "disks that are not shared will be copied along", NULL},
        {NULL},
    };
    domain_options(context, cli);
    g_option_context_add_main_entries(context, entries, NULL);
}

static gboolean
has_sev(virDomainPtr domain)
{
    g_autoptr(GPtrArray) issues = sevmig_policy_issues_new();
    char *xml = virDomainGetXMLDesc(domain, 0);
    g_autoptr(SevmigDomain) read =
        xml != NULL ? sevmig_domain_parse(xml, strlen(xml), issues) : NULL;
    free(xml);
    return read != NULL && strcmp(read->launch_security, "sev") == 0;
}

/* Names of the running domains that are SEV guests. NULL with `error`. */
static GPtrArray *
list_guests(Cli *cli, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    virConnectPtr connection = domain_connect(cli, error);
    virDomainPtr *domains = NULL;
    if (connection == NULL)
        return NULL;
    int n = virConnectListAllDomains(connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
    if (n < 0)
        sevmig_libvirt_error_set(error, "cannot list domains");
    for (int i = 0; i < n; i++) {
        if (has_sev(domains[i]))
            g_ptr_array_add(names, g_strdup(virDomainGetName(domains[i])));
        virDomainFree(domains[i]);
    }
    free(domains);
    virConnectClose(connection);
    return n < 0 ? NULL : g_steal_pointer(&names);
}

static guint64
middle(const Span *span)
{
    return span->least + (span->most - span->least) / 2;
}

/* One that has gone meanwhile is an error of its own; the others are looked at all the same. */
static Evacuee *
look(Cli *cli, const char *name, Progress *progress, GError **error)
{
    Evacuee *self = g_new0(Evacuee, 1);
    Preflight *preflight = &self->preflight;
    self->name = g_strdup(name);
    if (!domain_open(cli, self->name, &preflight->of, error)) {
        evacuee_free(self);
        return NULL;
    }
    progress_say(progress, "watching %s", name);
    preflight_check(cli, preflight);
    if (!preflight_can(preflight))
        return self;
    preflight_measure(cli, preflight);
    preflight->has_forecast =
        forecast_run(&preflight->inputs, preflight->policy, progress, &preflight->forecast, error);
    if (!preflight->has_forecast) {
        evacuee_free(self);
        return NULL;
    }
    self->pages = trial_whole(preflight->inputs.inputs[INPUT_PAGES].value);
    self->total_us = middle(&preflight->forecast.total_us);
    self->downtime_us = middle(&preflight->forecast.downtime_us);
    return self;
}

static SevmigArbiterJob
job_of(const Evacuee *self)
{
    const SevmigPolicy *policy = self->preflight.policy;
    guint64 due_us = sevmig_policy_params(policy)->duration_goal_us;
    return (SevmigArbiterJob){
        .work_us = (double)self->total_us,
        .rank_us = (double)self->pages,
        .due_us = due_us > 0 && due_us >= self->total_us ? (double)due_us : INFINITY,
        .fence_us = INFINITY,
        .priority = sevmig_policy_priority(policy),
    };
}

/* Those that can migrate, in the arbiter's order, then the others. */
static void
put_in_order(GPtrArray *evacuees)
{
    SevmigArbiterJob jobs[SEVMIG_ARBITER_MOST];
    Evacuee *able[SEVMIG_ARBITER_MOST];
    size_t order[SEVMIG_ARBITER_MOST], n = 0;
    guint64 now_us = 0;
    g_autoptr(GPtrArray) others = g_ptr_array_new();
    for (guint i = 0; i < evacuees->len; i++) {
        Evacuee *evacuee = evacuees->pdata[i];
        if (evacuee->preflight.has_forecast && n < SEVMIG_ARBITER_MOST) {
            jobs[n] = job_of(evacuee);
            able[n++] = evacuee;
        } else {
            g_ptr_array_add(others, evacuee);
        }
    }
    sevmig_arbiter_order(jobs, n, order);
    for (size_t i = 0; i < n; i++) {
        Evacuee *evacuee = able[order[i]];
        evacuee->begins_us = now_us;
        evacuee->ends_us = now_us += evacuee->total_us;
        evacuees->pdata[i] = evacuee;
    }
    for (guint i = 0; i < others->len; i++)
        evacuees->pdata[n + i] = others->pdata[i];
}

static gboolean
is_good(const Evacuee *self)
{
    const SevmigPolicy *policy = self->preflight.policy;
    guint64 due_us = policy != NULL ? sevmig_policy_params(policy)->duration_goal_us : 0;
    return self->preflight.has_forecast && forecast_good(&self->preflight.forecast) &&
           (due_us == 0 || self->ends_us <= due_us);
}

/* Why it cannot, or what is missed. */
static const char *
remark(const Evacuee *self)
{
    const Preflight *preflight = &self->preflight;
    const char *note = "";
    for (guint i = 0; i < preflight->checks->len; i++) {
        const Check *check = &g_array_index(preflight->checks, Check, i);
        if (check->state == CHECK_BAD || check->state == CHECK_UNKNOWN)
            return check->found;
        if (check->state == CHECK_NOTE && *note == '\0')
            note = check->found;
    }
    if (is_good(self))
        return note;
    return forecast_good(&preflight->forecast) ? "misses its duration goal behind the others"
                                               : "may miss a goal: see sevmigctl preflight";
}

static const TextColumn columns[] = {
    {"", TRUE, 0},         {"DOMAIN", FALSE, 0},  {"POLICY", FALSE, 3},
    {"PRIORITY", TRUE, 4}, {"MEMORY", TRUE, 2},   {"BEGINS", TRUE, 0},
    {"ENDS", TRUE, 0},     {"DOWNTIME", TRUE, 1}, {"REMARK", FALSE, 0},
};

static void
add_row(GPtrArray *rows, const Evacuee *self, guint place)
{
    const Preflight *preflight = &self->preflight;
    const SevmigPolicy *policy = preflight->policy;
    gboolean goes = preflight->has_forecast;
    g_ptr_array_add(rows, goes ? g_strdup_printf("%u", place) : g_strdup("-"));
    g_ptr_array_add(rows, text_printable(self->name));
    g_ptr_array_add(rows, g_strdup(policy != NULL ? sevmig_policy_name(policy) : "-"));
    g_ptr_array_add(rows, policy != NULL ? g_strdup_printf("%u", sevmig_policy_priority(policy))
                                         : g_strdup("-"));
    g_ptr_array_add(rows, goes ? text_bytes(self->pages * SEVMIG_SIM_PAGE_BYTES) : g_strdup("-"));
    g_ptr_array_add(rows, goes ? text_duration(self->begins_us) : g_strdup("-"));
    g_ptr_array_add(rows, goes ? text_duration(self->ends_us) : g_strdup("-"));
    g_ptr_array_add(rows, goes ? text_duration(self->downtime_us) : g_strdup("-"));
    g_ptr_array_add(rows, text_printable(remark(self)));
}

static void
show_text(GPtrArray *evacuees)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < evacuees->len; i++)
        add_row(rows, evacuees->pdata[i], i + 1);
    if (evacuees->len == 0)
        g_string_append(out, "no SEV guest runs here\n");
    else
        text_table(out, columns, G_N_ELEMENTS(columns), rows, cli_width());
    cli_put(out);
}

static void
show_json(GPtrArray *evacuees)
{
    g_autoptr(GString) out = g_string_new(NULL);
    json_open(out, NULL, '[');
    for (guint i = 0; i < evacuees->len; i++) {
        const Evacuee *evacuee = evacuees->pdata[i];
        const SevmigPolicy *policy = evacuee->preflight.policy;
        json_open(out, NULL, '{');
        json_string(out, "domain", evacuee->name);
        json_bool(out, "can_migrate", evacuee->preflight.has_forecast);
        json_bool(out, "good", is_good(evacuee));
        json_string(out, "policy", policy != NULL ? sevmig_policy_name(policy) : "");
        json_uint(out, "pages", evacuee->pages);
        json_uint(out, "begins_us", evacuee->begins_us);
        json_uint(out, "ends_us", evacuee->ends_us);
        json_uint(out, "downtime_us", evacuee->downtime_us);
        json_string(out, "remark", remark(evacuee));
        json_close(out, '}');
    }
    json_close(out, ']');
    cli_put_json(out);
}

CliExit
verb_evacuate(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) evacuees = g_ptr_array_new_with_free_func(evacuee_free);
    gboolean good = TRUE;
    if (!cli->plan)
        return cli_misuse(cli, "sevmigctl migrates nothing: say --plan, then virsh migrate");
    g_autoptr(GPtrArray) names = list_guests(cli, &error);
    if (names == NULL)
        return cli_fail(cli, error);
    g_autoptr(Progress) progress = progress_new();
    for (guint i = 0; i < names->len; i++) {
        g_clear_error(&error);
        Evacuee *evacuee = look(cli, names->pdata[i], progress, &error);
        if (evacuee == NULL)
            return cli_fail(cli, error);
        g_ptr_array_add(evacuees, evacuee);
    }
    put_in_order(evacuees);
    for (guint i = 0; i < evacuees->len; i++)
        good = good && is_good(evacuees->pdata[i]);
    g_clear_pointer(&progress, progress_free);
    if (cli->json)
        show_json(evacuees);
    else
        show_text(evacuees);
    return good ? CLI_OK : CLI_FAILURE;
}
