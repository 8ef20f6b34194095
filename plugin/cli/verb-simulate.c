/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sevmigctl simulate: needs neither sevmigd nor a bus */
#include <string.h>

#include "choose.h"
#include "sevmig-error.h"
#include "trial.h"

const char simulate_help[] =
    "Plays a migration of a simulated guest under each policy and under no control, and shows\n"
    "total time, downtime as a client sees it and as it was promised at the last sample, guest\n"
    "time lost, the longest stop of a vCPU and the highest throttle. The firmware's speed is an\n"
    "assumption (--set firmware.page-us=...); no real guest is as regular.\n\n"
    "Examples:\n"
    "  sevmigctl simulate --policy night.xml\n"
    "  sevmigctl simulate --policy night.xml --policy default --workload zipf --memory 4GiB \\\n"
    "                     --dirty-rate 20MiB/s\n"
    "  sevmigctl simulate --workload zipf --policy night.xml --decisions\n"
    "  sevmigctl simulate --workload zipf --compare --set firmware.page-us=100\n\n"
    "Exit status: 1 if a migration under a policy did not end or missed a goal.";

/* Where none is named. */
static const char *const usual_workloads[] = {"idle", "paced", "zipf", NULL};

void
simulate_options(GOptionContext *context, Cli *cli)
{
    CliTrial *trial = &cli->trial;
    const GOptionEntry entries[] = {
        {"policy", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &trial->policies,
         "a policy of this host or in a file; may be given again (default: default)", "NAME|FILE"},
        {"workload", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &trial->workloads,
         "a guest by name or scenario file; may be given again (default: idle, paced, zipf)",
         "NAME|FILE"},
        {"list", 0, 0, G_OPTION_ARG_NONE, &trial->list, "list the workloads and end", NULL},
        {"memory", 0, 0, G_OPTION_ARG_STRING, &trial->memory, "the guest's size (default: 1GiB)",
         "SIZE"},
        {"vcpus", 0, 0, G_OPTION_ARG_STRING, &trial->vcpus, "its vCPUs", "N"},
        {"dirty-rate", 0, 0, G_OPTION_ARG_STRING, &trial->dirty_rate,
         "how fast it writes pages, the same ones again included", "SIZE/s"},
        {"working-set", 0, 0, G_OPTION_ARG_STRING, &trial->working_set, "over how much memory",
         "SIZE"},
        {"seed", 0, 0, G_OPTION_ARG_STRING, &trial->seed, "other chances (default: 0)", "N"},
        {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &trial->sets,
         "any key of a scenario, see sevmig-scenario(5); may be given again", "GROUP.KEY=VALUE"},
        {"compare", 0, 0, G_OPTION_ARG_NONE, &trial->compare,
         "with other controllers, and with the best possible", NULL},
        {"decisions", 0, 0, G_OPTION_ARG_NONE, &trial->decisions,
         "each decision with its time and its reason", NULL},
        {"policy-dir", 0, 0, G_OPTION_ARG_FILENAME, &trial->policy_dir,
         "where policies are looked up by name, instead of this host's places", "DIR"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

static CliExit
list_workloads(const Cli *cli)
{
    static const TextColumn columns[] = {{"NAME", FALSE, 0}, {"DESCRIPTION", FALSE, 0}};
    g_autoptr(GPtrArray) rows = g_ptr_array_new();
    g_autoptr(GString) out = g_string_new(NULL);
    if (cli->json)
        json_open(out, NULL, '[');
    for (const SevmigSimWorkload *row = sevmig_sim_workloads; row->name != NULL; row++) {
        g_ptr_array_add(rows, (gpointer)row->name);
        g_ptr_array_add(rows, (gpointer)row->description);
        if (cli->json) {
            json_open(out, NULL, '{');
            json_string(out, "name", row->name);
            json_string(out, "description", row->description);
            json_close(out, '}');
        }
    }
    if (cli->json) {
        json_close(out, ']');
        cli_put_json(out);
    } else {
        text_table(out, columns, G_N_ELEMENTS(columns), rows, cli_width());
        cli_put(out);
    }
    return CLI_OK;
}

/* The policies by name or file; all of them, or `error`. */
static GPtrArray *
load_policies(const CliTrial *trial, char **words, GError **error)
{
    g_autoptr(GPtrArray) policies =
        g_ptr_array_new_with_free_func((GDestroyNotify)sevmig_policy_unref);
    for (char **word = words; word != NULL && *word != NULL; word++) {
        SevmigPolicy *policy = choose_policy(trial, *word, error);
        if (policy == NULL)
            return NULL;
        g_ptr_array_add(policies, policy);
    }
    return g_steal_pointer(&policies);
}

typedef struct {
    SevmigSimScenario scenario;
    gboolean own; /* it brings a policy */
} Guest;

static GArray *
load_guests(const CliTrial *trial, GError **error)
{
    const char *const *words =
        trial->workloads != NULL ? (const char *const *)trial->workloads : usual_workloads;
    g_autoptr(GArray) guests = g_array_new(FALSE, TRUE, sizeof(Guest));
    for (; *words != NULL; words++) {
        Guest guest;
        if (!choose_scenario(trial, *words, &guest.scenario, &guest.own, error))
            return NULL;
        g_array_append_val(guests, guest);
    }
    return g_steal_pointer(&guests);
}

/* FALSE if a policy did not do what it says. */
static gboolean
run_guest(Cli *cli, const Guest *guest, const TrialPlan *plan, Progress *progress, GString *out)
{
    g_autoptr(Trial) trial = trial_run(&guest->scenario, plan, progress);
    gboolean good = TRUE;
    for (guint i = 0; i < trial->rows->len; i++) {
        const TrialRow *row = trial->rows->pdata[i];
        good = good && (row->policy == NULL || trial_row_good(row));
    }
    if (cli->json) {
        trial_json(out, trial);
    } else {
        trial_render(out, trial, cli_width());
    }
    return good;
}

static CliExit
run_guests(Cli *cli, const GArray *guests, GPtrArray *given, GPtrArray *usual)
{
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GString) out = g_string_new(NULL);
    gboolean good = TRUE;
    if (cli->json)
        json_open(out, NULL, '[');
    for (guint i = 0; i < guests->len; i++) {
        g_autoptr(Progress) progress = progress_new();
        const Guest *guest = &g_array_index(guests, Guest, i);
        const TrialPlan plan = {
            .policies = given->len > 0 ? given
                        : guest->own   ? none
                                       : usual,
            .compare = cli->trial.compare,
            .decisions = cli->trial.decisions,
        };
        good = run_guest(cli, guest, &plan, progress, out) && good;
        if (cli->json)
            continue;
        g_clear_pointer(&progress, progress_free);
        if (i + 1 < guests->len)
            g_string_append_c(out, '\n');
        cli_put(out); /* one after the other, as they are known */
        g_string_truncate(out, 0);
    }
    if (cli->json) {
        json_close(out, ']');
        cli_put_json(out);
    }
    return good ? CLI_OK : CLI_FAILURE;
}

CliExit
verb_simulate(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    if (cli->trial.list)
        return list_workloads(cli);
    g_autoptr(GArray) guests = load_guests(&cli->trial, &error);
    if (error != NULL && error->domain == SEVMIG_SIM_ERROR)
        return cli_misuse(cli, "%s", error->message);
    if (guests == NULL)
        return cli_fail(cli, error);
    char *usual_words[] = {(char *)"default", NULL};
    g_autoptr(GPtrArray) given = load_policies(&cli->trial, cli->trial.policies, &error);
    g_autoptr(GPtrArray) usual = NULL;
    if (given != NULL)
        usual = load_policies(&cli->trial, given->len == 0 ? usual_words : NULL, &error);
    if (usual == NULL)
        return cli_fail(cli, error);
    return run_guests(cli, guests, given, usual);
}
