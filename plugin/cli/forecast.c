/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "forecast.h"

#include <math.h>
#include <string.h>

#define SEEDS 3
#define LEAST_PAGE_US 1.0 /* as sevmig-scenario(5) has them */
#define MOST_PAGE_US 1e5
#define MOST_OF_SET 0.95 /* what is dirtied in a second of what is ever written */
#define BOUND_BY_CPU 0.9 /* busier than this, the CPU is what holds the writers back */
#define LEAST_BUSY 0.001

static const double offs[] = {0.75, 1, 1.25};

double
forecast_page_us(guint64 service_us, guint64 pages, guint64 commands, guint64 submissions)
{
    SevmigSimScenario model;
    sevmig_sim_scenario_default(&model);
    /* service.c: a page alone costs both fixed parts and its own */
    double share = model.submit_share;
    double units = share / 2 * (double)(commands + submissions) + (1 - share) * (double)pages;
    return units > 0 ? CLAMP((double)service_us / units, LEAST_PAGE_US, MOST_PAGE_US) : 0;
}

/* Random writes over w pages hit w (1 - e^(-r/w)) of them in a second; r is asked for. */
static double
writes_per_s(double dirtied_per_s, double set)
{
    return -set * log1p(-MIN(dirtied_per_s / set, MOST_OF_SET));
}

/* Nobody tells over how much memory a guest writes, and with slow firmware little matters more:
 * from what is assumed to all memory, a seed each. */
static double
working_set(const ForecastInputs *inputs, guint seed)
{
    double pages = inputs->inputs[INPUT_PAGES].value;
    double least = CLAMP(inputs->inputs[INPUT_WORKING_SET_PAGES].value, 1, pages);
    return least * pow(pages / least, seed / (SEEDS - 1.0));
}

static void
fill_load(const ForecastInputs *inputs, double load, SevmigSimScenario *scenario)
{
    SevmigSimPhase *phase = &scenario->phases[0];
    if (inputs->has_load) {
        phase->writes_per_s *= load;
        phase->working_set_pages = MIN(phase->working_set_pages, scenario->pages);
        return;
    }
    double set = working_set(inputs, scenario->seed);
    double busy = CLAMP(inputs->inputs[INPUT_BUSY].value, LEAST_BUSY, 1);
    gboolean by_cpu = busy >= BOUND_BY_CPU;
    phase->pattern = SEVMIG_SIM_UNIFORM;
    phase->working_set_pages = MIN((guint64)set, scenario->pages);
    phase->writes_per_s = load * writes_per_s(inputs->inputs[INPUT_DIRTY_PAGES_PER_S].value, set);
    phase->pace = by_cpu ? SEVMIG_SIM_BY_CPU : SEVMIG_SIM_PACED;
    phase->busy = by_cpu ? 1 : busy;
}

static gboolean
fill(const ForecastInputs *inputs, guint seed, double load, double slower,
     SevmigSimScenario *scenario, GError **error)
{
    double page_us = inputs->inputs[INPUT_PAGE_US].value * slower;
    *scenario = inputs->base;
    g_strlcpy(scenario->name, "forecast", sizeof(scenario->name));
    scenario->seed = seed;
    scenario->pages = (guint64)inputs->inputs[INPUT_PAGES].value;
    scenario->vcpus = (guint)MAX(inputs->inputs[INPUT_VCPUS].value, 1);
    scenario->writers =
        inputs->has_load ? MIN(scenario->writers, scenario->vcpus) : scenario->vcpus;
    scenario->page_us = CLAMP(page_us, LEAST_PAGE_US, MOST_PAGE_US);
    scenario->device_us = inputs->inputs[INPUT_FIXED_DOWNTIME_US].value * slower;
    scenario->extra_us *= slower;
    scenario->outside_us *= slower;
    if (inputs->max_command_pages > 0)
        scenario->max_command_pages = inputs->max_command_pages;
    if (inputs->max_batch_pages > 0)
        scenario->max_batch_pages = inputs->max_batch_pages;
    fill_load(inputs, load, scenario);
    return sevmig_sim_scenario_check(scenario, error);
}

static void
widen(Span *span, gboolean first, guint64 value)
{
    span->least = first ? value : MIN(span->least, value);
    span->most = first ? value : MAX(span->most, value);
}

static void
add_goals(Forecast *forecast, const TrialRow *row)
{
    TrialGoal goals[TRIAL_MOST_GOALS];
    forecast->n_goals = trial_goals(row, goals);
    for (guint i = 0; i < forecast->n_goals; i++) {
        ForecastGoal *goal = &forecast->goals[i];
        gboolean met = goals[i].met && (forecast->runs == 0 || goal->worst.met);
        if (forecast->runs == 0 || (row->result.completed && goals[i].real > goal->worst.real))
            goal->worst = goals[i];
        goal->worst.met = met;
        goal->met += goals[i].met ? 1 : 0;
    }
}

static void
add_run(Forecast *forecast, const TrialRow *row, double setup_us)
{
    const SevmigSimResult *result = &row->result;
    gboolean first = forecast->ended == 0;
    add_goals(forecast, row);
    forecast->runs++;
    if (!result->completed)
        return;
    widen(&forecast->total_us, first, trial_whole(setup_us + result->total_s * 1e6));
    widen(&forecast->downtime_us, first, trial_whole(result->downtime_ms * 1e3));
    widen(&forecast->lost_us, first, trial_whole(result->lost_s * 1e6));
    widen(&forecast->throttle_percent, first, result->max_throttle_percent);
    forecast->ended++;
}

gboolean
forecast_run(const ForecastInputs *inputs, const SevmigPolicy *policy, Progress *progress,
             Forecast *forecast, GError **error)
{
    const guint per_seed = G_N_ELEMENTS(offs) * G_N_ELEMENTS(offs);
    const SevmigSimRun run = {.controller = &sevmig_sim_steered};
    Forecast made = {0};
    for (guint i = 0; i < SEEDS * per_seed; i++) {
        TrialRow row = {.params = *sevmig_policy_params(policy)};
        SevmigSimScenario scenario;
        double load = offs[i % G_N_ELEMENTS(offs)];
        double slower = offs[i / G_N_ELEMENTS(offs) % G_N_ELEMENTS(offs)];
        if (!fill(inputs, i / per_seed, load, slower, &scenario, error))
            return FALSE;
        progress_say(progress, "migration %u of %u", i + 1, SEEDS * per_seed);
        trial_play(&scenario, &run, &row);
        add_run(&made, &row, inputs->inputs[INPUT_SETUP_US].value * slower);
    }
    *forecast = made;
    return TRUE;
}

gboolean
forecast_good(const Forecast *forecast)
{
    gboolean good = forecast->runs > 0 && forecast->ended == forecast->runs;
    for (guint i = 0; i < forecast->n_goals; i++)
        good = good && forecast->goals[i].met == forecast->runs;
    return good;
}
