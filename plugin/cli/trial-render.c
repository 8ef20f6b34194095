/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trial.h"

#include <string.h>

#include "decision.h"
#include "json.h"
#include "text.h"

#define DEFAULT_LIMIT_US 300000 /* QEMU's */

static const char *const patterns[SEVMIG_SIM_PATTERN_COUNT] = {
    [SEVMIG_SIM_UNIFORM] = "at random",
    [SEVMIG_SIM_ZIPF] = "some pages often",
    [SEVMIG_SIM_SCAN] = "one page after the other",
};
static const char *const paces[SEVMIG_SIM_PACE_COUNT] = {
    [SEVMIG_SIM_BY_CPU] = "as fast as the CPU lets it",
    [SEVMIG_SIM_PACED] = "at its own pace",
    [SEVMIG_SIM_BY_WALL] = "whatever the vCPUs do",
};
static const char *const batches[] = {
    [TRIAL_BATCH_ONE] = "1",
    [TRIAL_BATCH_LARGEST] = "largest",
    [TRIAL_BATCH_CHOSEN] = "chosen",
};

static char *
duration_of(double us)
{
    return text_duration(trial_whole(us));
}

static char *
size_of(guint64 pages)
{
    return text_bytes(pages * SEVMIG_SIM_PAGE_BYTES);
}

/* --- The guest, in words --- */

static void
put_load(GString *out, const SevmigSimPhase *phase)
{
    g_autofree char *rate = text_bytes(trial_whole(phase->writes_per_s * SEVMIG_SIM_PAGE_BYTES));
    g_autofree char *range = size_of(phase->working_set_pages);
    g_string_append(out, "  ");
    if (phase->from_s > 0) {
        g_autofree char *from = duration_of(phase->from_s * 1e6);
        g_string_append_printf(out, "from %s on ", from);
    }
    g_string_append_printf(out, "writes %s/s over %s, %s, %s", rate, range,
                           patterns[phase->pattern], paces[phase->pace]);
    if (phase->burst_period_s > 0) {
        g_autofree char *period = duration_of(phase->burst_period_s * 1e6);
        g_string_append_printf(out, ", %.0f %% of each %s", 100 * phase->burst_share, period);
    }
    g_string_append_c(out, '\n');
}

static void
put_guest(GString *out, const SevmigSimScenario *scenario)
{
    g_autofree char *memory = size_of(scenario->pages);
    g_autofree char *page = duration_of(scenario->page_us);
    g_autofree char *name = text_printable(scenario->name);
    g_string_append_printf(
        out, "%s: %s, %u vCPU%s; firmware %s a page alone, %.0f %% of it fixed\n", name, memory,
        scenario->vcpus, scenario->vcpus == 1 ? "" : "s", page, 100 * scenario->submit_share);
    for (guint i = 0; i < scenario->n_phases; i++)
        put_load(out, &scenario->phases[i]);
}

/* --- The table: a function for each column --- */

static char *
cell_control(const TrialRow *row)
{
    if (row->policy != NULL)
        return g_strdup(*row->policy != '\0' ? row->policy : "its own policy");
    if (strcmp(row->controller, "none") == 0)
        return g_strdup("no control");
    return g_strdup(strcmp(row->controller, "oracle") == 0 ? "best possible" : row->controller);
}

static char *
cell_batch(const TrialRow *row)
{
    return g_strdup_printf("%u", row->result.batch_pages);
}

static char *
cell_total(const TrialRow *row)
{
    const SevmigSimResult *r = &row->result;
    g_autofree char *time = duration_of(r->total_s * 1e6);
    if (r->completed)
        return g_steal_pointer(&time);
    if (strcmp(row->controller, "oracle") == 0)
        return g_strdup("impossible");
    return g_strdup_printf(r->aborted ? "aborted (%s)" : "endless (%s)", time);
}

static char *
cell_downtime(const TrialRow *row)
{
    return row->result.completed ? duration_of(row->result.downtime_ms * 1e3) : g_strdup("-");
}

static char *
cell_promised(const TrialRow *row)
{
    const SevmigSimResult *r = &row->result;
    return r->completed && r->predicted_ms > 0 ? duration_of(r->predicted_ms * 1e3) : g_strdup("-");
}

static char *
cell_lost(const TrialRow *row)
{
    return duration_of(row->result.lost_s * 1e6);
}

static char *
cell_stun(const TrialRow *row)
{
    return duration_of(row->result.longest_stun_ms * 1e3);
}

static char *
cell_throttle(const TrialRow *row)
{
    return g_strdup_printf("%u %%", row->result.max_throttle_percent);
}

static const TextColumn columns[] = {
    {"CONTROL", FALSE, 0}, {"BATCH", TRUE, 2},      {"TOTAL", TRUE, 0}, {"DOWNTIME", TRUE, 0},
    {"PROMISED", TRUE, 3}, {"GUEST LOST", TRUE, 0}, {"STUN", TRUE, 1},  {"THROTTLE", TRUE, 4},
};
static char *(*const cells[G_N_ELEMENTS(columns)])(const TrialRow *row) = {
    cell_control,  cell_batch, cell_total, cell_downtime,
    cell_promised, cell_lost,  cell_stun,  cell_throttle,
};

static void
put_table(GString *out, const Trial *trial, guint width)
{
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < trial->rows->len; i++) {
        for (gsize c = 0; c < G_N_ELEMENTS(columns); c++)
            g_ptr_array_add(texts, cells[c](trial->rows->pdata[i]));
    }
    text_table(out, columns, G_N_ELEMENTS(columns), texts, width);
}

/* --- Goals and decisions --- */

static char *
goal_text(const TrialGoal *goal, guint64 value)
{
    return goal->percent ? g_strdup_printf("%" G_GUINT64_FORMAT " %%", value)
                         : text_duration(value);
}

static void
put_goals(GString *out, const TrialRow *row)
{
    TrialGoal goals[TRIAL_MOST_GOALS];
    guint n = trial_goals(row, goals);
    double asked_ms = (double)row->params.downtime_goal_us / 1000;
    g_autofree char *who = cell_control(row);
    g_string_append_printf(out, "%s: %s", who, n == 0 ? "states no goal" : "");
    for (guint i = 0; i < n; i++) {
        g_autofree char *asked = goal_text(&goals[i], goals[i].asked);
        g_autofree char *real = goal_text(&goals[i], goals[i].real);
        g_string_append_printf(out, "%s%s goal of %s %s", i > 0 ? ", " : "", goals[i].name, asked,
                               goals[i].met ? "met" : "missed");
        if (!goals[i].met && row->result.completed)
            g_string_append_printf(out, " (%s)", real);
    }
    if (row->result.goal_ms > asked_ms && asked_ms > 0) {
        g_autofree char *relaxed = duration_of(row->result.goal_ms * 1e3);
        g_string_append_printf(out, "; downtime goal relaxed to %s", relaxed);
    }
    if (row->result.paused)
        g_string_append(out, "; the guest was paused");
    g_string_append_c(out, '\n');
}

/* What the others were told, which is the same for all of them that can be told. */
static void
put_others(GString *out, const SevmigControlParams *params)
{
    g_autofree char *limit =
        text_duration(params->downtime_goal_us > 0 ? params->downtime_goal_us : DEFAULT_LIMIT_US);
    g_string_append_printf(out, "no control: a page a submission, downtime limit %s\n", limit);
}

static void
put_decisions(GString *out, const TrialRow *row)
{
    g_autofree char *who = cell_control(row);
    g_string_append_printf(out, "\nwhat %s decided, and why:\n", who);
    decision_timeline(out, row->decisions);
}

void
trial_render(GString *out, const Trial *trial, guint width)
{
    put_guest(out, &trial->scenario);
    put_table(out, trial, width);
    for (guint i = 0; i < trial->rows->len; i++) {
        const TrialRow *row = trial->rows->pdata[i];
        if (row->policy != NULL)
            put_goals(out, row);
    }
    put_others(out, &trial->scenario.params);
    for (guint i = 0; i < trial->rows->len; i++) {
        const TrialRow *row = trial->rows->pdata[i];
        if (row->decisions != NULL)
            put_decisions(out, row);
    }
}

/* --- JSON --- */

static void
put_row_json(GString *out, const SevmigSimScenario *scenario, const TrialRow *row)
{
    const SevmigSimResult *r = &row->result;
    json_open(out, NULL, '{');
    json_string(out, "workload", scenario->name);
    json_uint(out, "memory_bytes", scenario->pages * SEVMIG_SIM_PAGE_BYTES);
    json_string(out, "controller", row->controller);
    json_string(out, "policy", row->policy != NULL ? row->policy : "");
    json_string(out, "batch", batches[row->batch]);
    json_bool(out, "completed", r->completed);
    json_bool(out, "aborted", r->aborted);
    json_bool(out, "paused", r->paused);
    json_uint(out, "total_us", trial_whole(r->total_s * 1e6));
    json_uint(out, "first_pass_us", trial_whole(r->first_pass_s * 1e6));
    json_uint(out, "downtime_us", trial_whole(r->downtime_ms * 1e3));
    json_uint(out, "predicted_downtime_us", trial_whole(r->predicted_ms * 1e3));
    json_uint(out, "asked_downtime_goal_us", row->params.downtime_goal_us);
    json_uint(out, "downtime_goal_us", trial_whole(r->goal_ms * 1e3));
    json_uint(out, "guest_lost_us", trial_whole(r->lost_s * 1e6));
    json_uint(out, "longest_stun_us", trial_whole(r->longest_stun_ms * 1e3));
    json_uint(out, "longest_hold_us", trial_whole(r->longest_hold_ms * 1e3));
    json_uint(out, "max_throttle_percent", r->max_throttle_percent);
    json_uint(out, "batch_pages", r->batch_pages);
    json_uint(out, "sent_bytes", trial_whole(r->bytes));
    json_bool(out, "good", trial_row_good(row));
    if (row->decisions != NULL)
        decision_timeline_json(out, "decisions", row->decisions);
    json_close(out, '}');
}

void
trial_json(GString *out, const Trial *trial)
{
    for (guint i = 0; i < trial->rows->len; i++)
        put_row_json(out, &trial->scenario, trial->rows->pdata[i]);
}
