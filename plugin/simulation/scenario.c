/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* scenario.c - scenarios from key files: one table of keys, what is not in it is an error */
#include "sevmig-simulation.h"

#include <math.h>
#include <string.h>

G_DEFINE_QUARK(sevmig - sim - error - quark, sevmig_sim_error)

#define MIB_PAGES 256.0
#define GBIT_BYTES_PER_US 125.0
#define PASSES_MOST 12 /* whole ones, page by page: what takes longer never ends */

typedef enum {
    KIND_DOUBLE,
    KIND_GUINT,
    KIND_UINT64,
    KIND_GBOOLEAN,
    KIND_BOOL, /* the controller's */
    KIND_WORD,
} Kind;

/* A key: where its value goes, what one of its units is in the scenario's, and its range. */
typedef struct {
    const char *group, *key;
    Kind kind;
    gsize offset;
    double unit;
    double least, most;
    const char *const *words;
} Key;

static const char *const patterns[] = {"uniform", "zipf", "scan", NULL};
static const char *const paces[] = {"cpu", "paced", "wall", NULL};
static const char *const on_stalls[] = {"continue", "relax", "pause", "abort", NULL};

#define AT(member) G_STRUCT_OFFSET(SevmigSimScenario, member)
#define OF_PHASE(member) G_STRUCT_OFFSET(SevmigSimPhase, member)
#define LOAD "load" /* and "load 2" .. : offsets are those of a phase */

static const Key keys[] = {
    {"guest", "memory-mib", KIND_UINT64, AT(pages), MIB_PAGES, 1, SEVMIG_SIM_MAX_MIB, NULL},
    {"guest", "vcpus", KIND_GUINT, AT(vcpus), 1, 1, SEVMIG_SIM_MAX_VCPUS, NULL},
    {"guest", "writers", KIND_GUINT, AT(writers), 1, 1, SEVMIG_SIM_MAX_VCPUS, NULL},
    {"guest", "reports-vcpu-dirty", KIND_GBOOLEAN, AT(reports_vcpu_dirty), 1, 0, 1, NULL},
    {"guest", "block-pages", KIND_GUINT, AT(block_pages), 1, 1, 1024, NULL},
    {"guest", "idle-busy", KIND_DOUBLE, AT(idle_busy), 1, 0, 1, NULL},
    {"guest", "slack-us", KIND_DOUBLE, AT(slack_us), 1, 0, 1e5, NULL},
    {LOAD, "from-s", KIND_DOUBLE, OF_PHASE(from_s), 1, 0, 1e7, NULL},
    {LOAD, "pattern", KIND_WORD, OF_PHASE(pattern), 1, 0, 0, patterns},
    {LOAD, "first-mib", KIND_UINT64, OF_PHASE(first_page), MIB_PAGES, 0, SEVMIG_SIM_MAX_MIB, NULL},
    {LOAD, "working-set-mib", KIND_UINT64, OF_PHASE(working_set_pages), MIB_PAGES, 0,
     SEVMIG_SIM_MAX_MIB, NULL},
    {LOAD, "zipf-exponent", KIND_DOUBLE, OF_PHASE(zipf_exponent), 1, 0.1, 3, NULL},
    {LOAD, "writes-per-s", KIND_DOUBLE, OF_PHASE(writes_per_s), 1, 0, 1e8, NULL},
    {LOAD, "pace", KIND_WORD, OF_PHASE(pace), 1, 0, 0, paces},
    {LOAD, "busy", KIND_DOUBLE, OF_PHASE(busy), 1, 0.001, 1, NULL},
    {LOAD, "burst-period-s", KIND_DOUBLE, OF_PHASE(burst_period_s), 1, 0.1, 1e5, NULL},
    {LOAD, "burst-share", KIND_DOUBLE, OF_PHASE(burst_share), 1, 0.01, 1, NULL},
    {"firmware", "page-us", KIND_DOUBLE, AT(page_us), 1, 1, 1e5, NULL},
    {"firmware", "fixed-share", KIND_DOUBLE, AT(submit_share), 1, 0, 0.99, NULL},
    {"firmware", "extra-us", KIND_DOUBLE, AT(extra_us), 1, 0, 1e4, NULL},
    {"firmware", "receive-factor", KIND_DOUBLE, AT(receive_factor), 1, 0, 10, NULL},
    {"firmware", "contiguity", KIND_DOUBLE, AT(contiguity), 1, 0, 1, NULL},
    {"firmware", "max-command-pages", KIND_GUINT, AT(max_command_pages), 1, 1, 16, NULL},
    {"firmware", "max-batch-pages", KIND_GUINT, AT(max_batch_pages), 1, 1, 65536, NULL},
    {"firmware", "others", KIND_GUINT, AT(others), 1, 0, 100, NULL},
    {"firmware", "others-hold-us", KIND_DOUBLE, AT(others_hold_us), 1, 0, 1e6, NULL},
    {"firmware", "others-from-s", KIND_DOUBLE, AT(others_from_s), 1, 0, 1e7, NULL},
    {"firmware", "others-until-s", KIND_DOUBLE, AT(others_until_s), 1, 0, 1e7, NULL},
    {"link", "rate-gbit-s", KIND_DOUBLE, AT(link_bytes_per_us), GBIT_BYTES_PER_US, 0.01, 1000,
     NULL},
    {"link", "jitter", KIND_DOUBLE, AT(link_jitter), 1, 0, 0.9, NULL},
    {"host", "device-ms", KIND_DOUBLE, AT(device_us), 1000, 0, 1e5, NULL},
    {"host", "outside-ms", KIND_DOUBLE, AT(outside_us), 1000, 0, 1e5, NULL},
    {"host", "known-fixed-ms", KIND_UINT64, AT(params.fixed_downtime_us), 1000, 0, 1e5, NULL},
    {"host", "notice-ms", KIND_DOUBLE, AT(notice_us), 1000, 0, 1e5, NULL},
    {"host", "sync-us-per-gib", KIND_DOUBLE, AT(sync_us_per_gib), 1, 0, 1e5, NULL},
    {"messages", "noise", KIND_DOUBLE, AT(noise), 1, 0, 0.9, NULL},
    {"messages", "lost-share", KIND_DOUBLE, AT(lost_share), 1, 0, 0.9, NULL},
    {"messages", "late-share", KIND_DOUBLE, AT(late_share), 1, 0, 0.9, NULL},
    {"messages", "miss-every", KIND_GUINT, AT(miss_every), 1, 2, 1000, NULL},
    {"messages", "corrupt-every", KIND_GUINT, AT(corrupt_every), 1, 2, 1000, NULL},
    {"messages", "lease-expires-at", KIND_GUINT, AT(lease_expires_at), 1, 1, 1e6, NULL},
    {"policy", "downtime-ms", KIND_UINT64, AT(params.downtime_goal_us), 1000, 1, 1e6, NULL},
    {"policy", "downtime-max-ms", KIND_UINT64, AT(params.downtime_max_us), 1000, 1, 2e6, NULL},
    {"policy", "duration-s", KIND_UINT64, AT(params.duration_goal_us), 1e6, 1, 1e6, NULL},
    {"policy", "slowdown-percent", KIND_GUINT, AT(params.slowdown_goal_percent), 1, 1, 100, NULL},
    {"policy", "ceiling-percent", KIND_GUINT, AT(params.throttle_ceiling_percent), 1, 0, 99, NULL},
    {"policy", "stun-ms", KIND_UINT64, AT(params.stun_us), 1000, 1, 1e4, NULL},
    {"policy", "per-vcpu", KIND_BOOL, AT(params.throttle_per_vcpu), 1, 0, 1, NULL},
    {"policy", "hold-ms", KIND_UINT64, AT(params.batch_hold_us), 1000, 1, 1e5, NULL},
    {"policy", "on-stall", KIND_WORD, AT(params.on_stall), 1, 0, 0, on_stalls},
    {"run", "limit-s", KIND_DOUBLE, AT(limit_s), 1, 1, 1e7, NULL},
    {"run", "seed", KIND_GUINT, AT(seed), 1, 0, 1e9, NULL},
    {"bounds", "completes", KIND_GBOOLEAN, AT(bounds.completes), 1, 0, 1, NULL},
    {"bounds", "most-total-s", KIND_DOUBLE, AT(bounds.most_total_s), 1, 0.1, 1e7, NULL},
    {"bounds", "most-downtime-ms", KIND_DOUBLE, AT(bounds.most_downtime_ms), 1, 1, 1e7, NULL},
    {"bounds", "most-goal-ms", KIND_DOUBLE, AT(bounds.most_goal_ms), 1, 1, 1e7, NULL},
    {"bounds", "most-lost-s", KIND_DOUBLE, AT(bounds.most_lost_s), 1, 0, 1e7, NULL},
    {"bounds", "most-total-share", KIND_DOUBLE, AT(bounds.most_total_share), 1, 0.01, 10, NULL},
    {"bounds", "least-throttle-percent", KIND_GUINT, AT(bounds.least_throttle_percent), 1, 0, 99,
     NULL},
    {"bounds", "most-throttle-percent", KIND_GUINT, AT(bounds.most_throttle_percent), 1, 0, 99,
     NULL},
    {"bounds", "most-turns", KIND_GUINT, AT(bounds.most_turns), 1, 0, 1000, NULL},
};

void
sevmig_sim_scenario_default(SevmigSimScenario *scenario)
{
    *scenario = (SevmigSimScenario){
        .name = "default",
        .pages = 65536,
        .vcpus = 1,
        .writers = 1,
        .block_pages = 1,
        .phases = {{.zipf_exponent = 1, .busy = 1, .burst_share = 0.5}},
        .n_phases = 1,
        .page_us = 1003,
        .submit_share = 0.5,
        .extra_us = 10,
        .receive_factor = 1,
        .contiguity = 1,
        .max_command_pages = 4,
        .max_batch_pages = 4094,
        .others_until_s = INFINITY,
        .device_us = 20000,
        .outside_us = 20000,
        .sync_us_per_gib = 200,
        .bounds = {.completes = TRUE,
                   .most_lost_s = NAN,
                   .most_throttle_percent = 99,
                   .most_turns = 2},
    };
    sevmig_control_params_default(&scenario->params);
    scenario->params.downtime_goal_us = 300000;
}

static gboolean
fail(GError **error, SevmigSimError code, const char *group, const char *key, const char *why)
{
    g_set_error(error, SEVMIG_SIM_ERROR, code, "[%s]%s%s: %s", group, *key ? " " : "", key, why);
    return FALSE;
}

static const Key *
find_key(const char *group, const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i].group, group) == 0 && strcmp(keys[i].key, name) == 0)
            return &keys[i];
    }
    return NULL;
}

static void
store(const Key *key, gpointer base, double value)
{
    gpointer to = (char *)base + key->offset;

    value *= key->unit;
    if (key->kind == KIND_DOUBLE)
        *(double *)to = value;
    else if (key->kind == KIND_UINT64)
        *(guint64 *)to = (guint64)(value + 0.5);
    else if (key->kind == KIND_BOOL)
        *(bool *)to = value != 0;
    else
        *(guint *)to = (guint)(value + 0.5);
}

static gboolean
is_integer(const Key *key)
{
    return key->kind == KIND_GUINT;
}

/* "one of cpu, paced, wall": what may stand there. */
static char *
expected(const Key *key)
{
    g_autofree char *words = NULL;

    if (key->kind == KIND_GBOOLEAN || key->kind == KIND_BOOL)
        return g_strdup("true or false");
    if (key->kind != KIND_WORD)
        return g_strdup_printf("a %s from %.10g to %.10g",
                               is_integer(key) ? "whole number" : "number", key->least, key->most);
    words = g_strjoinv(", ", (char **)key->words);
    return g_strdup_printf("one of %s", words);
}

static gboolean
read_value(const Key *key, const char *word, double *value)
{
    char *end;

    if (key->kind == KIND_GBOOLEAN || key->kind == KIND_BOOL) {
        *value = strcmp(word, "true") == 0;
        return *value != 0 || strcmp(word, "false") == 0;
    }
    if (key->kind == KIND_WORD) {
        for (guint i = 0; key->words[i]; i++) {
            *value = i;
            if (strcmp(word, key->words[i]) == 0)
                return TRUE;
        }
        return FALSE;
    }
    *value = g_ascii_strtod(word, &end);
    return *word != '\0' && *end == '\0' && *value >= key->least && *value <= key->most &&
           (!is_integer(key) || *value == floor(*value));
}

/* Where a group's values go and what the table calls it; NULL: there is no such group. A load that
 * follows the last is like the one before, but for what is said. */
static gpointer
find_group(SevmigSimScenario *scenario, const char *group, const char **as)
{
    const char *number = group + strlen(LOAD);
    guint64 n = 1;

    *as = LOAD;
    if (strcmp(group, LOAD) != 0) {
        if (!g_str_has_prefix(group, LOAD " ")) {
            *as = group;
            return scenario;
        }
        if (!g_ascii_string_to_unsigned(
                number + 1, 10, 1, MIN(SEVMIG_SIM_MAX_PHASES, scenario->n_phases + 1), &n, NULL))
            return NULL;
    }
    if (n > scenario->n_phases)
        scenario->phases[scenario->n_phases++] = scenario->phases[n - 2];
    return &scenario->phases[n - 1];
}

/* "not a key of [guest], which has memory-mib, vcpus, ..." */
static char *
explain_unknown(const char *as)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i].group, as) == 0)
            g_string_append_printf(known, "%s%s", known->len > 0 ? ", " : "", keys[i].key);
    }
    if (known->len == 0)
        return g_strdup("not a group: there are guest, load, load 2 to load 4, firmware, link, "
                        "host, messages, policy, run and bounds");
    return g_strdup_printf("not a key of this group, which has %s", known->str);
}

static gboolean
set(SevmigSimScenario *scenario, const char *group, const char *key, const char *text,
    GError **error)
{
    g_autofree char *why = NULL, *may = NULL;
    const char *as;
    gpointer base = find_group(scenario, group, &as);
    const Key *row = base ? find_key(as, key) : NULL;
    double value;

    if (!base)
        return fail(error, SEVMIG_SIM_ERROR_UNKNOWN, group, "",
                    "not the next load: they are numbered without a gap, up to load 4");
    if (!row) {
        why = explain_unknown(as);
        return fail(error, SEVMIG_SIM_ERROR_UNKNOWN, group, key, why);
    }
    if (!read_value(row, text, &value)) {
        may = expected(row);
        why = g_strdup_printf("expected %s, not \"%s\"", may, text);
        return fail(error, SEVMIG_SIM_ERROR_VALUE, group, key, why);
    }
    store(row, base, value);
    return TRUE;
}

gboolean
sevmig_sim_scenario_set(SevmigSimScenario *scenario, const char *group, const char *key,
                        const char *text, GError **error)
{
    guint n_phases = scenario->n_phases;

    if (set(scenario, group, key, text, error))
        return TRUE;
    scenario->n_phases = n_phases;
    return FALSE;
}

gboolean
sevmig_sim_scenario_assign(SevmigSimScenario *scenario, const char *assignment, GError **error)
{
    const char *equals = strchr(assignment, '=');
    const char *dot = equals ? memchr(assignment, '.', (gsize)(equals - assignment)) : NULL;
    g_autofree char *group = NULL, *key = NULL;

    if (!dot) {
        g_set_error(error, SEVMIG_SIM_ERROR, SEVMIG_SIM_ERROR_SYNTAX,
                    "expected GROUP.KEY=VALUE, not \"%s\"", assignment);
        return FALSE;
    }
    group = g_strndup(assignment, (gsize)(dot - assignment));
    key = g_strndup(dot + 1, (gsize)(equals - dot - 1));
    return sevmig_sim_scenario_set(scenario, group, key, equals + 1, error);
}

static gboolean
read_group(GKeyFile *file, const char *group, SevmigSimScenario *scenario, GError **error)
{
    g_auto(GStrv) names = g_key_file_get_keys(file, group, NULL, NULL);

    for (guint i = 0; names[i]; i++) {
        g_autofree char *text = g_key_file_get_string(file, group, names[i], NULL);

        if (!sevmig_sim_scenario_set(scenario, group, names[i], text ? text : "", error))
            return FALSE;
    }
    return TRUE;
}

/* What no single key can tell. */
static const char *
find_nonsense(const SevmigSimScenario *s)
{
    if (s->writers > s->vcpus)
        return "more writers than vCPUs (guest.writers, guest.vcpus)";
    if (s->block_pages == 0 || (s->block_pages & (s->block_pages - 1)) != 0)
        return "guest.block-pages is not a power of two";
    for (guint i = 0; i < s->n_phases; i++) {
        if (s->phases[i].first_page + s->phases[i].working_set_pages > s->pages)
            return "a working set beyond the end of memory (load.working-set-mib, load.first-mib, "
                   "guest.memory-mib)";
        if (i > 0 && s->phases[i].from_s <= s->phases[i - 1].from_s)
            return "loads out of order (load 2.from-s and so on must grow)";
    }
    return NULL;
}

gboolean
sevmig_sim_scenario_check(SevmigSimScenario *scenario, GError **error)
{
    const char *nonsense = find_nonsense(scenario);

    if (nonsense) {
        g_set_error(error, SEVMIG_SIM_ERROR, SEVMIG_SIM_ERROR_VALUE, "%s", nonsense);
        return FALSE;
    }
    if (scenario->limit_s <= 0)
        scenario->limit_s = 60 + PASSES_MOST * (double)scenario->pages * scenario->page_us / 1e6;
    return TRUE;
}

gboolean
sevmig_sim_scenario_read(const char *path, SevmigSimScenario *scenario, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *name = g_path_get_basename(path);
    g_autoptr(GError) why = NULL;
    g_auto(GStrv) groups = NULL;
    SevmigSimScenario read;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &why)) {
        gboolean io = why->domain == G_FILE_ERROR;

        g_set_error(error, SEVMIG_SIM_ERROR, io ? SEVMIG_SIM_ERROR_IO : SEVMIG_SIM_ERROR_SYNTAX,
                    "%s: %s", path, why->message);
        return FALSE;
    }
    sevmig_sim_scenario_default(&read);
    groups = g_key_file_get_groups(file, NULL);
    for (guint i = 0; groups[i]; i++) {
        if (!read_group(file, groups[i], &read, error)) {
            g_prefix_error(error, "%s: ", path);
            return FALSE;
        }
    }
    if (g_str_has_suffix(name, ".scenario"))
        name[strlen(name) - strlen(".scenario")] = '\0';
    g_strlcpy(read.name, name, sizeof(read.name));
    *scenario = read;
    return TRUE;
}

gboolean
sevmig_sim_scenario_load(const char *path, SevmigSimScenario *scenario, GError **error)
{
    SevmigSimScenario read;

    if (!sevmig_sim_scenario_read(path, &read, error))
        return FALSE;
    if (!sevmig_sim_scenario_check(&read, error)) {
        g_prefix_error(error, "%s: ", path);
        return FALSE;
    }
    *scenario = read;
    return TRUE;
}
