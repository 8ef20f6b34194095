/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fleet.c - several migrations that leave one host at once
 *
 * All begin together and share the firmware, one submission after the other in the order in which
 * they come; each has a link and a destination of its own. Whoever is due first acts first: a
 * plant acts when its submission is through, or, when it sends nothing, now and then. Stop-and-copy
 * waits in the same queue. The arbiter, if there is one, is asked at every tick and when one ends.
 */
#include "course.h"
#include "sevmig-arbiter.h"

#include <math.h>
#include <string.h>

#define TICK_US 100000.0
#define IDLE_US 20000.0 /* a plant that sends nothing is looked at so often */
#define NEXT_US 10.0    /* from one submission to the next, beside what the model counts */
#define NONE 0.5        /* pages */

typedef struct {
    SevmigSimCourse course;
    SevmigSimScenario scenario;
    SevmigSimRandom random;
    SevmigSimResult *result;
    double halt_us; /* when the guest stopped; 0: it runs */
    double outside_us;
    gboolean ended;
    gint64 sampled_us; /* 0: not yet */
} Member;

typedef struct {
    Member *members;
    guint n;
    guint running;
    SevmigSimFirmware firmware;
    SevmigArbiter *arbiter; /* NULL: none */
    double ask_us;          /* when the arbiter is asked next */
} Fleet;

static void
begin(Fleet *fleet, Member *self, const SevmigSimScenario *scenario, const SevmigSimRun *run)
{
    self->scenario = *scenario;
    self->course = (SevmigSimCourse){.scenario = &self->scenario, .run = run};
    self->course.result = self->result;
    memset(self->result, 0, sizeof(*self->result));
    sevmig_sim_random_init(&self->random, scenario->seed);
    sevmig_sim_course_begin(&self->course, &self->random);
    self->course.plant.shared = &fleet->firmware;
}

static void
end(Fleet *fleet, Member *self)
{
    self->ended = TRUE;
    fleet->running--;
    fleet->ask_us = self->course.plant.now_us;
    sevmig_sim_course_conclude(&self->course);
}

/* One submission of the stop-and-copy, or its end. */
static void
drain(Fleet *fleet, Member *self)
{
    SevmigSimPlant *plant = &self->course.plant;

    plant->now_us -= fmin(0, plant->credit_us);
    plant->credit_us = 0;
    if (plant->memory->remaining >= NONE) {
        plant->credit_us = -sevmig_sim_serve(plant, 1, plant->now_us);
        return;
    }
    plant->now_us += sevmig_sim_plant_rest_us(plant);
    sevmig_sim_course_complete(&self->course, plant->now_us - self->halt_us, self->outside_us);
    end(fleet, self);
}

static gboolean
sends(const SevmigSimPlant *plant)
{
    return plant->memory->remaining >= NONE && !plant->tune.hold_sending;
}

/* When it acts next by itself. */
static double
due_us(const Member *self)
{
    const SevmigSimPlant *plant = &self->course.plant;
    double through_us = plant->now_us - fmin(0, plant->credit_us);

    if (self->halt_us > 0)
        return through_us;
    return fmin(self->course.wake_us,
                sends(plant) ? fmax(through_us, plant->now_us + NEXT_US) : plant->now_us + IDLE_US);
}

static void
act(Fleet *fleet, Member *self)
{
    SevmigSimCourse *course = &self->course;
    SevmigSimPlant *plant = &course->plant;

    if (self->halt_us > 0) {
        drain(fleet, self);
        return;
    }
    if (plant->now_us >= course->wake_us) {
        sevmig_sim_course_tick(course);
        self->sampled_us = (gint64)plant->now_us + SEVMIG_SIM_CLOCK_US;
    } else {
        /* A little beyond, so that the submission that is due is sent. */
        sevmig_sim_plant_advance(plant, fmin(due_us(self) + NEXT_US, course->wake_us));
        sevmig_sim_course_measure(course);
    }
    if (course->result->aborted) {
        end(fleet, self);
    } else if (plant->stop) {
        sevmig_sim_course_stop(course);
        self->halt_us = plant->now_us;
        self->outside_us = sevmig_sim_course_outside_us(course);
        sevmig_sim_plant_halt(plant);
    }
}

static SevmigArbiterGuest
guest_of(const Member *self, guint64 id)
{
    const SevmigControlParams *params = &self->scenario.params;
    const SevmigSample *s = &self->course.messages.sample;
    gint64 now_us = (gint64)self->course.plant.now_us + SEVMIG_SIM_CLOCK_US;
    SevmigView view;

    sevmig_sim_steered.view(self->course.controller, &view);
    return (SevmigArbiterGuest){
        .id = id,
        .arrived_us = SEVMIG_SIM_CLOCK_US,
        .deadline_us = params->duration_goal_us > 0
                           ? SEVMIG_SIM_CLOCK_US + (gint64)params->duration_goal_us
                           : 0,
        .phase = self->halt_us > 0 ? SEVMIG_PHASE_SWITCHOVER : view.phase,
        .sampled_us = self->halt_us > 0 ? now_us : self->sampled_us,
        .pages_left = s->remaining_pages,
        .pages = s->pages,
        .service_us = s->service_us,
        .wait_us = s->wait_us,
        .most_hold_us = params->batch_hold_us,
    };
}

static void
tell(Member *self, const SevmigArbiterWord *word)
{
    SevmigTurn turn = {.sends = word->sends, .most_hold_us = word->most_hold_us};
    SevmigEvent event = {.type = SEVMIG_EVENT_TURN, .turn = &turn};

    g_strlcpy(turn.reason, word->reason, sizeof(turn.reason));
    sevmig_sim_course_apply(&self->course);
    sevmig_sim_course_step(&self->course, &event);
}

static void
ask(Fleet *fleet)
{
    g_autofree SevmigArbiterGuest *guests = g_new(SevmigArbiterGuest, fleet->n);
    g_autofree SevmigArbiterWord *words = g_new(SevmigArbiterWord, fleet->n);
    g_autofree Member **asked = g_new(Member *, fleet->n);
    guint n = 0;

    for (guint i = 0; i < fleet->n; i++) {
        if (fleet->members[i].ended)
            continue;
        guests[n] = guest_of(&fleet->members[i], i + 1);
        asked[n++] = &fleet->members[i];
    }
    sevmig_arbiter_decide(fleet->arbiter, (gint64)fleet->ask_us + SEVMIG_SIM_CLOCK_US, guests, n,
                          words);
    for (guint i = 0; i < n; i++) {
        if (words[i].changed && asked[i]->halt_us <= 0)
            tell(asked[i], &words[i]);
    }
    fleet->ask_us += TICK_US;
}

static Member *
first_due(const Fleet *fleet)
{
    Member *first = NULL;

    for (guint i = 0; i < fleet->n; i++) {
        Member *member = &fleet->members[i];

        if (!member->ended && (!first || due_us(member) < due_us(first)))
            first = member;
    }
    return first;
}

static void
play(Fleet *fleet, double limit_us)
{
    while (fleet->running > 0) {
        Member *member = first_due(fleet);
        double now_us = due_us(member);

        if (now_us > limit_us)
            return;
        if (fleet->arbiter && fleet->ask_us <= now_us)
            ask(fleet);
        else
            act(fleet, member);
    }
}

static void
sum_up(const Fleet *fleet, SevmigSimFleetResult *sum)
{
    for (guint i = 0; i < fleet->n; i++) {
        const SevmigControlParams *params = &fleet->members[i].scenario.params;
        SevmigSimResult *result = fleet->members[i].result;

        if (!fleet->members[i].ended)
            sevmig_sim_course_conclude(&fleet->members[i].course);
        sum->makespan_s = fmax(sum->makespan_s, result->total_s);
        sum->mean_completion_s += result->total_s / fleet->n;
        sum->lost_s += result->lost_s;
        sum->completed += result->completed;
        sum->met += sevmig_sim_meets_goals(params, result);
    }
    sum->busy_s = fleet->firmware.busy_us / 1e6;
    sum->longest_wait_ms = fleet->firmware.most_wait_us / 1000;
}

gboolean
sevmig_sim_meets_goals(const SevmigControlParams *params, const SevmigSimResult *result)
{
    return result->completed &&
           (params->downtime_goal_us == 0 ||
            result->downtime_ms <= (double)params->downtime_goal_us / 1000) &&
           (params->duration_goal_us == 0 ||
            result->total_s <= (double)params->duration_goal_us / 1e6);
}

void
sevmig_sim_fleet_run(const SevmigSimScenario *scenarios, guint n, gboolean arbitrated,
                     SevmigSimResult *results, SevmigSimFleetResult *sum)
{
    const SevmigSimRun run = {.controller = &sevmig_sim_steered};
    g_autofree Member *members = g_new0(Member, n);
    g_autofree gpointer memory = arbitrated ? g_malloc0(sevmig_arbiter_size()) : NULL;
    Fleet fleet = {.members = members, .n = n, .running = n};
    double limit_s = 0;

    *sum = (SevmigSimFleetResult){0};
    fleet.arbiter = arbitrated ? sevmig_arbiter_init(memory) : NULL;
    for (guint i = 0; i < n; i++) {
        members[i].result = &results[i];
        begin(&fleet, &members[i], &scenarios[i], &run);
        limit_s += scenarios[i].limit_s;
    }
    play(&fleet, limit_s * 1e6);
    sum_up(&fleet, sum);
    for (guint i = 0; i < n; i++) {
        sevmig_sim_plant_clear(&members[i].course.plant);
        g_free(members[i].course.controller);
    }
}

double
sevmig_sim_fleet_bound_s(const SevmigSimScenario *scenarios, guint n)
{
    double us = 0;

    for (guint i = 0; i < n; i++) {
        const SevmigSimScenario *s = &scenarios[i];
        double a = s->page_us * s->submit_share / 2, b = s->page_us * (1 - s->submit_share);
        double page_us = a / s->max_command_pages + b;
        double hold_us = (double)s->params.batch_hold_us;
        double batch = hold_us > 0 ? fmax(1, (hold_us - a) / page_us) : s->max_batch_pages;

        us += (double)s->pages * (a / fmin(batch, s->max_batch_pages) + page_us);
    }
    return us / 1e6;
}
