/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "preflight.h"

static const struct {
    const char *text, *word;
} origins[] = {
    [ORIGIN_MEASURED] = {"measured now", "measured"},
    [ORIGIN_RECORD] = {"this domain's record", "domain-record"},
    [ORIGIN_DOMAIN] = {"this domain's history", "domain-history"},
    [ORIGIN_HOST] = {"this host's history", "host-history"},
    [ORIGIN_ASSUMED] = {"assumed", "assumed"},
};

static char *
show_size(double pages)
{
    return text_bytes(trial_whole(pages) * SEVMIG_SIM_PAGE_BYTES);
}

static char *
show_rate(double pages_per_s)
{
    g_autofree char *bytes = show_size(pages_per_s);
    return g_strdup_printf("%s/s", bytes);
}

static char *
show_count(double value)
{
    return g_strdup_printf("%.0f", value);
}

static char *
show_share(double value)
{
    return g_strdup_printf("%.0f %%", 100 * value);
}

static char *
show_time(double us)
{
    return text_duration(trial_whole(us));
}

static const struct {
    const char *label, *key;
    char *(*show)(double value);
} input_rows[INPUT_COUNT] = {
    [INPUT_PAGES] = {"memory to send", "pages", show_size},
    [INPUT_VCPUS] = {"vCPUs", "vcpus", show_count},
    [INPUT_BUSY] = {"vCPUs busy", "busy_share", show_share},
    [INPUT_DIRTY_PAGES_PER_S] = {"dirtied", "dirty_pages_per_s", show_rate},
    [INPUT_WORKING_SET_PAGES] = {"working set", "working_set_pages", show_size},
    [INPUT_PAGE_US] = {"firmware, a page alone", "page_us", show_time},
    [INPUT_SETUP_US] = {"setting up", "setup_us", show_time},
    [INPUT_FIXED_DOWNTIME_US] = {"downtime beside memory", "fixed_downtime_us", show_time},
};

static const struct {
    const char *label, *key;
    gsize offset;
    gboolean percent; /* else microseconds */
} spans[] = {
    {"total time", "total_us", G_STRUCT_OFFSET(Forecast, total_us), FALSE},
    {"downtime", "downtime_us", G_STRUCT_OFFSET(Forecast, downtime_us), FALSE},
    {"guest time lost", "guest_lost_us", G_STRUCT_OFFSET(Forecast, lost_us), FALSE},
    {"most throttle", "max_throttle_percent", G_STRUCT_OFFSET(Forecast, throttle_percent), TRUE},
};

/* --- Text --- */

static char *
amount(guint64 value, gboolean percent)
{
    return percent ? g_strdup_printf("%" G_GUINT64_FORMAT " %%", value) : text_duration(value);
}

static void
put_inputs(GString *out, const Preflight *self, guint width)
{
    static const TextColumn columns[] = {
        {"KNOWN", FALSE, 0}, {"VALUE", TRUE, 0}, {"FROM", FALSE, 0}};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    for (int i = 0; i < INPUT_COUNT; i++) {
        const Input *input = &self->inputs.inputs[i];
        g_ptr_array_add(rows, g_strdup(input_rows[i].label));
        g_ptr_array_add(rows, input_rows[i].show(input->value));
        g_ptr_array_add(rows, g_strdup(origins[input->origin].text));
    }
    text_table(out, columns, G_N_ELEMENTS(columns), rows, width);
}

static void
put_spans(GString *out, const Forecast *forecast, guint width)
{
    static const TextColumn columns[] = {
        {"FORECAST", FALSE, 0}, {"FROM", TRUE, 0}, {"TO", TRUE, 0}};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; i < G_N_ELEMENTS(spans); i++) {
        const Span *span = &G_STRUCT_MEMBER(Span, forecast, spans[i].offset);
        g_ptr_array_add(rows, g_strdup(spans[i].label));
        g_ptr_array_add(rows, amount(span->least, spans[i].percent));
        g_ptr_array_add(rows, amount(span->most, spans[i].percent));
    }
    text_table(out, columns, G_N_ELEMENTS(columns), rows, width);
}

static void
put_goals(GString *out, const Preflight *self)
{
    const Forecast *forecast = &self->forecast;
    const char *policy = sevmig_policy_name(self->policy);
    if (forecast->ended < forecast->runs)
        g_string_append_printf(out, "%s: in %u of %u runs the migration does not end\n", policy,
                               forecast->runs - forecast->ended, forecast->runs);
    for (guint i = 0; i < forecast->n_goals; i++) {
        const ForecastGoal *goal = &forecast->goals[i];
        g_autofree char *asked = amount(goal->worst.asked, goal->worst.percent);
        g_autofree char *worst = amount(goal->worst.real, goal->worst.percent);
        g_string_append_printf(out, "%s: %s goal of %s met in %u of %u runs", policy,
                               goal->worst.name, asked, goal->met, forecast->runs);
        if (goal->met < forecast->runs && forecast->ended > 0)
            g_string_append_printf(out, ", %s at worst", worst);
        g_string_append_c(out, '\n');
    }
}

void
preflight_render(GString *out, const Preflight *self, guint width)
{
    g_autofree char *name = text_printable(self->name);
    gboolean can = preflight_can(self);
    g_string_append_printf(out, "%s: %s\n", name, can ? "can migrate" : "cannot migrate now");
    checks_put(out, self->checks, width);
    if (self->policy != NULL)
        g_string_append_printf(out, "governed by %s: %s\n", sevmig_policy_name(self->policy),
                               self->policy_why);
    if (!self->has_forecast)
        return;
    g_string_append_c(out, '\n');
    put_inputs(out, self, width);
    g_string_append_c(out, '\n');
    if (self->forecast.ended > 0)
        put_spans(out, &self->forecast, width);
    put_goals(out, self);
}

/* --- JSON --- */

static void
inputs_json(GString *out, const Preflight *self)
{
    json_open(out, "inputs", '{');
    for (int i = 0; i < INPUT_COUNT; i++) {
        const Input *input = &self->inputs.inputs[i];
        json_open(out, input_rows[i].key, '{');
        json_double(out, "value", input->value);
        json_string(out, "from", origins[input->origin].word);
        json_close(out, '}');
    }
    json_close(out, '}');
}

static void
goals_json(GString *out, const Forecast *forecast)
{
    json_open(out, "goals", '[');
    for (guint i = 0; i < forecast->n_goals; i++) {
        const ForecastGoal *goal = &forecast->goals[i];
        json_open(out, NULL, '{');
        json_string(out, "goal", goal->worst.name);
        json_uint(out, goal->worst.percent ? "asked_percent" : "asked_us", goal->worst.asked);
        json_uint(out, goal->worst.percent ? "worst_percent" : "worst_us", goal->worst.real);
        json_uint(out, "runs_met", goal->met);
        json_close(out, '}');
    }
    json_close(out, ']');
}

static void
forecast_json(GString *out, const Forecast *forecast)
{
    json_open(out, "forecast", '{');
    json_uint(out, "runs", forecast->runs);
    json_uint(out, "runs_ended", forecast->ended);
    for (gsize i = 0; forecast->ended > 0 && i < G_N_ELEMENTS(spans); i++) {
        const Span *span = &G_STRUCT_MEMBER(Span, forecast, spans[i].offset);
        json_open(out, spans[i].key, '{');
        json_uint(out, "least", span->least);
        json_uint(out, "most", span->most);
        json_close(out, '}');
    }
    goals_json(out, forecast);
    json_bool(out, "good", forecast_good(forecast));
    json_close(out, '}');
}

void
preflight_json(GString *out, const Preflight *self)
{
    json_open(out, NULL, '{');
    json_string(out, "domain", self->name);
    json_string(out, "uuid", self->uuid);
    json_bool(out, "can_migrate", preflight_can(self));
    checks_json(out, self->checks);
    json_string(out, "policy", self->policy != NULL ? sevmig_policy_name(self->policy) : "");
    json_string(out, "policy_reason", self->policy_why != NULL ? self->policy_why : "");
    if (self->has_forecast) {
        inputs_json(out, self);
        forecast_json(out, &self->forecast);
    }
    json_close(out, '}');
}
