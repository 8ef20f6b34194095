/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run.c - one migration: the plant, what steers it, and what came of it */
#include "course.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define LOOK_US 1e6      /* how often a run is measured where nobody asks for samples */
#define TICK_US 100000.0 /* what lateness is counted in */

/* The defaults, or what the actions change. Actions may want anything; QEMU has its ranges. */
static void
apply(SevmigSimCourse *self, const SevmigAction *action)
{
    SevmigSimTune *tune = &self->plant.tune;
    gint64 value = MAX(0, action->value);

    switch (action->type) {
    case SEVMIG_ACTION_BATCH_PAGES:
        tune->batch_pages = (guint)CLAMP(value, 1, self->scenario->max_batch_pages);
        break;
    case SEVMIG_ACTION_GAP_PAGES:
        tune->gap_pages = (guint)MIN(value, 16);
        break;
    case SEVMIG_ACTION_THROTTLE:
        tune->throttle_percent = (guint)MIN(value, 99);
        memset(tune->vcpu_throttle_percent, 0, sizeof(tune->vcpu_throttle_percent));
        break;
    case SEVMIG_ACTION_VCPU_THROTTLE:
        if (action->cpu_index < self->scenario->vcpus)
            tune->vcpu_throttle_percent[action->cpu_index] = (guint)MIN(value, 99);
        break;
    case SEVMIG_ACTION_SLICE_US:
        tune->slice_us = (double)CLAMP(value, 200, 100000);
        break;
    case SEVMIG_ACTION_SYNC_INTERVAL_US:
        tune->sync_interval_us = (double)value;
        break;
    case SEVMIG_ACTION_SWITCHOVER:
        tune->switchover = (SevmigSwitchover)value;
        break;
    case SEVMIG_ACTION_DOWNTIME_LIMIT_US:
        tune->limit_us = (double)MIN(value, 2000000000);
        break;
    case SEVMIG_ACTION_HOLD_SENDING:
        tune->hold_sending = value != 0;
        break;
    case SEVMIG_ACTION_PAUSE:
        self->result->paused |= value != 0;
        tune->paused = value != 0;
        break;
    case SEVMIG_ACTION_ABORT:
        self->result->aborted = TRUE;
        break;
    case SEVMIG_ACTION_NOTE:
    case SEVMIG_ACTION_COUNT:
        break;
    }
}

void
sevmig_sim_course_apply(SevmigSimCourse *self)
{
    for (gsize i = 0; i < self->actions.n; i++)
        apply(self, &self->actions.list[i]);
    self->actions.n = 0;
}

static guint
highest_throttle(const SevmigSimCourse *self)
{
    guint percent = self->plant.tune.throttle_percent;

    for (guint i = 0; i < self->scenario->vcpus; i++)
        percent = MAX(percent, self->plant.tune.vcpu_throttle_percent[i]);
    return percent;
}

void
sevmig_sim_course_measure(SevmigSimCourse *self)
{
    SevmigSimResult *result = self->result;
    guint percent = highest_throttle(self);
    int direction = percent > self->last_percent ? 1 : -1;

    result->max_throttle_percent = MAX(result->max_throttle_percent, percent);
    result->longest_stun_ms =
        fmax(result->longest_stun_ms, sevmig_sim_plant_stun_us(&self->plant, percent) / 1000);
    if (percent == self->last_percent)
        return;
    result->turns += self->direction != 0 && direction != self->direction;
    self->direction = direction;
    self->last_percent = percent;
}

static double
elapsed_ns(const struct timespec *a, const struct timespec *b)
{
    return (double)(b->tv_sec - a->tv_sec) * 1e9 + (double)(b->tv_nsec - a->tv_nsec);
}

static double
thread_cpu_s(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
look(SevmigSimCourse *self)
{
    SevmigSimResult *result = self->result;
    SevmigView view;

    result->steps++;
    result->stalled_steps += result->phase == SEVMIG_PHASE_STALLED;
    for (gsize i = 0; i < self->actions.n; i++)
        result->notes += self->actions.list[i].type == SEVMIG_ACTION_NOTE;
    if (!self->run->controller->view)
        return;
    self->run->controller->view(self->controller, &view);
    result->goal_ms = (double)view.downtime_goal_us / 1000;
    if (view.predicted_downtime_us > 0)
        result->predicted_ms = (double)view.predicted_downtime_us / 1000;
}

void
sevmig_sim_course_step(SevmigSimCourse *self, SevmigEvent *event)
{
    struct timespec before, after;

    event->now_us = (gint64)self->plant.now_us + SEVMIG_SIM_CLOCK_US;
    clock_gettime(CLOCK_MONOTONIC, &before);
    self->result->phase = self->run->controller->step(self->controller, event, &self->actions);
    clock_gettime(CLOCK_MONOTONIC, &after);
    if (self->run->step_ns) {
        double ns = elapsed_ns(&before, &after);

        g_array_append_val(self->run->step_ns, ns);
    }
    look(self);
    if (self->run->observer)
        self->run->observer(self->run->observer_data, self->controller, event, &self->actions);
    self->wake_us = self->actions.wake_us > 0
                        ? (double)(self->actions.wake_us - SEVMIG_SIM_CLOCK_US)
                        : INFINITY;
}

/* As in the daemon, one call takes what the step before decided and brings the next statistics. */
void
sevmig_sim_course_tick(SevmigSimCourse *self)
{
    SevmigEvent event = {0};

    sevmig_sim_course_apply(self);
    sevmig_sim_course_measure(self);
    if (self->plant.stop || self->result->aborted)
        return;
    event.type = sevmig_sim_messages_next(&self->messages, &self->plant, &event.sample);
    sevmig_sim_course_step(self, &event);
    if (!self->run->controller->view) /* a peer's command is a call of its own, at once */
        sevmig_sim_course_apply(self);
    self->wake_us += TICK_US * sevmig_sim_messages_late(&self->messages, &self->plant);
}

/* What a client sees beside QEMU's figure: it may find the vCPU in one of the throttle's stops. */
double
sevmig_sim_course_outside_us(SevmigSimCourse *self)
{
    double us = self->scenario->outside_us;
    guint percent = highest_throttle(self);

    if (percent > 0 && sevmig_sim_random_unit(self->plant.random) < percent / 100.0)
        us += sevmig_sim_random_unit(self->plant.random) *
              sevmig_sim_plant_stun_us(&self->plant, percent);
    return us;
}

void
sevmig_sim_course_stop(SevmigSimCourse *self)
{
    SevmigEvent begins = {.type = SEVMIG_EVENT_SWITCHOVER};

    sevmig_sim_course_step(self, &begins);
}

void
sevmig_sim_course_complete(SevmigSimCourse *self, double us, double outside)
{
    SevmigEvent ends = {.type = SEVMIG_EVENT_COMPLETED};

    self->result->completed = TRUE;
    self->result->qemu_downtime_ms = us / 1000;
    /* A guest that is paused until it is stopped is down since then. */
    self->result->downtime_ms =
        (us + outside + (self->plant.tune.paused ? self->plant.paused_us : 0)) / 1000;
    ends.sample = sevmig_sim_messages_sample(&self->messages, &self->plant);
    self->messages.sample.has_switchover = TRUE;
    self->messages.sample.switchover_downtime_us = (guint64)us;
    sevmig_sim_course_step(self, &ends);
}

static void
finish(SevmigSimCourse *self)
{
    double outside_us = sevmig_sim_course_outside_us(self);

    sevmig_sim_course_stop(self);
    sevmig_sim_course_complete(self, sevmig_sim_plant_finish(&self->plant), outside_us);
}

void
sevmig_sim_course_begin(SevmigSimCourse *self, SevmigSimRandom *random)
{
    const SevmigSimRun *run = self->run;
    SevmigEvent event = {.type = SEVMIG_EVENT_START, .params = &self->scenario->params};
    gboolean small = self->scenario->pages <= SEVMIG_SIM_EXACT_MOST_PAGES;

    sevmig_sim_plant_init(&self->plant, self->scenario, random,
                          run->exact || (small && !run->grouped));
    if (run->batch_pages > 0)
        self->plant.tune.batch_pages = MIN(run->batch_pages, self->scenario->max_batch_pages);
    self->messages.random = *random;
    self->controller = g_malloc0(run->controller->size());
    run->controller->init(self->controller);
    sevmig_sim_course_step(self, &event);
    self->wake_us += self->scenario->notice_us;
    if (!run->controller->view)
        sevmig_sim_course_apply(self);
}

void
sevmig_sim_course_conclude(SevmigSimCourse *self)
{
    SevmigSimResult *result = self->result;
    const SevmigSimPlant *plant = &self->plant;

    for (guint i = 0; i < self->scenario->vcpus; i++)
        result->throttled_s += plant->throttled_us[i] / 1e6 / self->scenario->vcpus;
    result->lost_s = result->throttled_s + result->downtime_ms / 1000 -
                     (result->completed && plant->tune.paused ? plant->paused_us / 1e6 : 0);
    result->total_s = plant->now_us / 1e6;
    result->first_pass_s = (plant->first_pass_us > 0 ? plant->first_pass_us : plant->now_us) / 1e6;
    result->pages = plant->sent.pages;
    result->bytes = plant->bytes;
    result->batch_pages = plant->tune.batch_pages;
    result->longest_hold_ms = plant->longest_hold_us / 1000;
}

void
sevmig_sim_run(const SevmigSimScenario *scenario, const SevmigSimRun *run, SevmigSimResult *result)
{
    SevmigSimScenario own = *scenario;
    SevmigSimRandom random;
    SevmigSimCourse self = {.scenario = &own, .run = run, .result = result};
    double until_cpu_s = run->most_cpu_s > 0 ? thread_cpu_s() + run->most_cpu_s : INFINITY;

    own.params.without_parts = run->without_parts;
    memset(result, 0, sizeof(*result));
    result->goal_ms = (double)scenario->params.downtime_goal_us / 1000;
    own.auto_converge |= run->controller->auto_converge;
    sevmig_sim_random_init(&random, scenario->seed);
    sevmig_sim_course_begin(&self, &random);
    while (!self.plant.stop && !result->aborted && self.plant.now_us < scenario->limit_s * 1e6) {
        result->given_up = run->most_cpu_s > 0 && thread_cpu_s() > until_cpu_s;
        if (result->given_up)
            break;
        if (self.plant.now_us >= self.wake_us)
            sevmig_sim_course_tick(&self);
        if (self.plant.stop || result->aborted)
            break;
        sevmig_sim_plant_advance(&self.plant, fmin(fmax(self.wake_us, self.plant.now_us + 1),
                                                   self.plant.now_us + LOOK_US));
        sevmig_sim_course_measure(&self);
    }
    if (self.plant.stop)
        finish(&self);
    sevmig_sim_course_conclude(&self);
    sevmig_sim_plant_clear(&self.plant);
    g_free(self.controller);
}

char *
sevmig_sim_check(const SevmigSimScenario *scenario, const SevmigSimResult *result,
                 const SevmigSimResult *unsteered)
{
    const SevmigSimBounds *b = &scenario->bounds;
    const struct {
        const char *what;
        double value, least, most;
    } checks[] = {
        {"completed", result->completed, b->completes, b->completes},
        {"total s", result->total_s, 0, b->most_total_s > 0 ? b->most_total_s : INFINITY},
        {"downtime ms", result->downtime_ms, 0,
         b->most_downtime_ms > 0 ? b->most_downtime_ms : result->goal_ms},
        {"goal in force ms", result->goal_ms, 0,
         b->most_goal_ms > 0 ? b->most_goal_ms : (double)scenario->params.downtime_goal_us / 1000},
        {"lost s", result->lost_s, 0, isnan(b->most_lost_s) ? INFINITY : b->most_lost_s},
        {"total over unsteered", unsteered ? result->total_s / unsteered->total_s : 0, 0,
         b->most_total_share > 0 ? b->most_total_share : INFINITY},
        {"highest throttle %", result->max_throttle_percent, b->least_throttle_percent,
         MIN(b->most_throttle_percent, scenario->params.throttle_ceiling_percent)},
        {"longest stun ms", result->longest_stun_ms, 0, (double)scenario->params.stun_us / 1000},
        {"turns of the throttle", result->turns, 0, b->most_turns},
    };

    for (guint i = 0; i < G_N_ELEMENTS(checks); i++) {
        if (!(checks[i].value >= checks[i].least && checks[i].value <= checks[i].most))
            return g_strdup_printf("%s: %s is %g, not within %g .. %g", scenario->name,
                                   checks[i].what, checks[i].value, checks[i].least,
                                   checks[i].most);
    }
    return NULL;
}
