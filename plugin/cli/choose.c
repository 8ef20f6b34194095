/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "choose.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sevmig-config.h"
#include "sevmig-error.h"
#include "sevmig-policy-knobs.h"
#include "sevmig-policy-store.h"

#define RANDOM "random"
#define GIB_PAGES ((guint64)(1 << 30) / SEVMIG_SIM_PAGE_BYTES)
#define MIB ((double)(1 << 20))

static gboolean
is_file(const char *word, const char *ending)
{
    return strchr(word, '/') != NULL || g_str_has_suffix(word, ending);
}

/* Opening a pipe would wait for ever. */
gboolean
choose_check_file(const char *path, GError **error)
{
    struct stat info;
    const char *why = NULL;
    if (stat(path, &info) < 0 || access(path, R_OK) < 0)
        why = g_strerror(errno);
    else if (!S_ISREG(info.st_mode))
        why = "not a regular file";
    if (why != NULL)
        g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "%s: %s", path, why);
    return why == NULL;
}

/* --- Policies --- */

static char *
names_of(const SevmigPolicyStore *store)
{
    size_t n;
    const SevmigPolicyEntry *entries = sevmig_policy_store_list(store, &n);
    GString *names = g_string_new(NULL);
    for (size_t i = 0; i < n; i++) {
        if (entries[i].state == SEVMIG_POLICY_ACTIVE)
            g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "",
                                   sevmig_policy_name(entries[i].policy));
    }
    return g_string_free(names, FALSE);
}

SevmigPolicyStore *
choose_store(const char *const *dirs, const char *ceiling, GError **error)
{
    gsize n = dirs != NULL ? g_strv_length((char **)dirs) : 0;
    for (gsize i = 0; i < n; i++) {
        if (!g_file_test(dirs[i], G_FILE_TEST_IS_DIR)) {
            g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO, "--policy-dir %s: not a directory",
                        dirs[i]);
            return NULL;
        }
    }
    if (ceiling != NULL && !choose_check_file(ceiling, error))
        return NULL;
    const char *lone = n > 0 ? "" : NULL; /* nothing lies over a directory that is named alone */
    g_autoptr(SevmigPolicyStore) store =
        sevmig_policy_store_new(n > 1 ? dirs[0] : lone, n > 0 ? dirs[n - 1] : NULL, ceiling);
    return sevmig_policy_store_reload(store, NULL, error) ? g_steal_pointer(&store) : NULL;
}

gboolean
choose_is_policy_file(const char *word)
{
    return is_file(word, ".xml");
}

SevmigPolicy *
choose_policy(const CliTrial *trial, const char *word, GError **error)
{
    if (choose_is_policy_file(word))
        return sevmig_policy_load(word, NULL, error);
    const char *const dirs[] = {trial->policy_dir, NULL};
    g_autoptr(SevmigPolicyStore) store = choose_store(dirs, NULL, error);
    if (store == NULL)
        return NULL;
    SevmigPolicy *policy = sevmig_policy_store_lookup(store, word);
    if (policy != NULL)
        return sevmig_policy_ref(policy);
    g_autofree char *names = names_of(store);
    g_autofree char *where =
        trial->policy_dir != NULL
            ? g_strdup(trial->policy_dir)
            : g_strdup_printf("%s or %s", SEVMIG_POLICY_DIR_ADMIN, SEVMIG_POLICY_DIR_VENDOR);
    g_set_error(error, SEVMIG_ERROR, SEVMIG_ERROR_NOT_FOUND,
                "no policy \"%s\" in %s, there are: %s (a file is named with a '/' or .xml)", word,
                where, names);
    return NULL;
}

/* --- Guests --- */

/* What an option's number is in the key's unit. */
typedef enum {
    NUMBER,
    SIZE_MIB,
    RATE_PAGES,
} OptionKind;

static const struct {
    const char *name;
    gsize offset; /* of its text in CliTrial */
    const char *group, *key;
    OptionKind kind;
    const char *example;
} options[] = {
    {"--memory", offsetof(CliTrial, memory), "guest", "memory-mib", SIZE_MIB, "4GiB"},
    {"--vcpus", offsetof(CliTrial, vcpus), "guest", "vcpus", NUMBER, "4"},
    {"--working-set", offsetof(CliTrial, working_set), "load", "working-set-mib", SIZE_MIB,
     "512MiB"},
    {"--dirty-rate", offsetof(CliTrial, dirty_rate), "load", "writes-per-s", RATE_PAGES,
     "200MiB/s"},
    {"--seed", offsetof(CliTrial, seed), "run", "seed", NUMBER, "7"},
};

/* "4GiB", "200MiB/s": a number and a unit of memory, in bytes. */
static gboolean
read_bytes(const char *text, gboolean rate, double *bytes)
{
    char *end;
    double value = g_ascii_strtod(text, &end);
    g_autofree char *unit = g_strdup(g_strchug(end));
    if (rate && g_str_has_suffix(unit, "/s"))
        unit[strlen(unit) - strlen("/s")] = '\0';
    const SevmigUnit *row = sevmig_unit_find(sevmig_memory_units, unit);
    if (end == text || row == NULL || !isfinite(value))
        return FALSE;
    *bytes = value * (double)row->factor;
    return TRUE;
}

/* The loads come one after the other; options speak of the last, which is the busiest. */
static char *
group_of(const SevmigSimScenario *scenario, const char *group)
{
    if (strcmp(group, "load") != 0 || scenario->n_phases < 2)
        return g_strdup(group);
    return g_strdup_printf("%s %u", group, scenario->n_phases);
}

static gboolean
apply_option(const CliTrial *trial, gsize i, SevmigSimScenario *scenario, GError **error)
{
    const char *text = *(char *const *)((const char *)trial + options[i].offset);
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    double bytes;
    if (text == NULL)
        return TRUE;
    g_autofree char *group = group_of(scenario, options[i].group);
    if (options[i].kind != NUMBER) {
        if (!read_bytes(text, options[i].kind == RATE_PAGES, &bytes)) {
            g_set_error(error, SEVMIG_SIM_ERROR, SEVMIG_SIM_ERROR_VALUE,
                        "%s takes a number and its unit, such as %s, not \"%s\"", options[i].name,
                        options[i].example, text);
            return FALSE;
        }
        text = g_ascii_dtostr(
            number, sizeof(number),
            bytes / (options[i].kind == SIZE_MIB ? MIB : (double)SEVMIG_SIM_PAGE_BYTES));
    }
    if (sevmig_sim_scenario_set(scenario, group, options[i].key, text, error))
        return TRUE;
    g_prefix_error(error, "%s: ", options[i].name);
    return FALSE;
}

static gboolean
apply_options(const CliTrial *trial, SevmigSimScenario *scenario, GError **error)
{
    for (char **set = trial->sets; set != NULL && *set != NULL; set++) {
        if (!sevmig_sim_scenario_assign(scenario, *set, error)) {
            g_prefix_error(error, "--set: ");
            return FALSE;
        }
    }
    for (gsize i = 0; i < G_N_ELEMENTS(options); i++) {
        if (!apply_option(trial, i, scenario, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean
find_workload(const CliTrial *trial, const char *word, SevmigSimScenario *scenario, GError **error)
{
    const SevmigSimWorkload *workload = sevmig_sim_workload_find(word);
    if (workload == NULL) {
        g_set_error(error, SEVMIG_SIM_ERROR, SEVMIG_SIM_ERROR_UNKNOWN,
                    "no workload \"%s\": --list shows them (a file is named with a '/' or "
                    ".scenario)",
                    word);
        return FALSE;
    }
    sevmig_sim_workload_fill(workload, GIB_PAGES, scenario);
    if (!apply_options(trial, scenario, error))
        return FALSE;
    if (scenario->pages == GIB_PAGES)
        return TRUE;
    sevmig_sim_workload_fill(workload, scenario->pages, scenario); /* its load grows with memory */
    return apply_options(trial, scenario, error);
}

/* The seed is the whole of it. */
static gboolean
find_random(const CliTrial *trial, SevmigSimScenario *scenario, GError **error)
{
    sevmig_sim_scenario_default(scenario);
    if (!apply_options(trial, scenario, error))
        return FALSE;
    sevmig_sim_scenario_random(scenario->seed, scenario);
    return apply_options(trial, scenario, error);
}

/* What is wrong with the file itself is no option's fault. */
static gboolean
find_file(const char *path, SevmigSimScenario *scenario, GError **error)
{
    g_autoptr(GError) problem = NULL;
    SevmigSimScenario alone;
    if (!choose_check_file(path, error))
        return FALSE;
    if (sevmig_sim_scenario_read(path, scenario, &problem)) {
        alone = *scenario;
        if (sevmig_sim_scenario_check(&alone, &problem))
            return TRUE;
        g_prefix_error(&problem, "%s: ", path);
    }
    g_set_error_literal(error, SEVMIG_ERROR, SEVMIG_ERROR_INVALID, problem->message);
    return FALSE;
}

gboolean
choose_scenario(const CliTrial *trial, const char *word, SevmigSimScenario *scenario, gboolean *own,
                GError **error)
{
    gboolean file = is_file(word, ".scenario");
    *own = file || strcmp(word, RANDOM) == 0;
    if (file) {
        if (!find_file(word, scenario, error) || !apply_options(trial, scenario, error))
            return FALSE;
    } else if (*own ? !find_random(trial, scenario, error)
                    : !find_workload(trial, word, scenario, error)) {
        return FALSE;
    }
    if (sevmig_sim_scenario_check(scenario, error))
        return TRUE;
    g_prefix_error(error, "%s: ", word);
    return FALSE;
}
