/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sevmigctl replay: needs neither sevmigd nor a bus
 *
 * Two questions to a recorder's file. Without a policy: does the controller of today decide as the
 * one that recorded did? With one: what would that policy have asked for, at each of the events on
 * record? The events do not react, so the second answer is no forecast; the output says so.
 */
#include <string.h>

#include "choose.h"
#include "decision.h"
#include "progress.h"
#include "sevmig-replay.h"

const char replay_help[] =
    "FILE is what sevmigd recorded of a migration (\"sevmigctl show ID\" names it). Without a\n"
    "policy, tells whether the recorded events lead to the recorded decisions again, and which is\n"
    "the first that differs. With a policy, shows side by side what was decided and what that\n"
    "policy would have asked for at the same events; what would have come of it cannot be told,\n"
    "since the guest on record did not react to it (\"sevmigctl simulate\" plays one that "
    "does).\n\n"
    "Examples:\n"
    "  sevmigctl replay /var/lib/sevmig/records/ID.jsonl\n"
    "  sevmigctl replay ID.jsonl --policy gentle\n\n"
    "Exit status: 1 if a decision differs and no policy was given, or if the file cannot be read\n"
    "to its end.";

static const char caveat[] =
    "The events are those that followed from the recorded decisions; nothing reacted to the "
    "others. This is what the policy would have asked for, not what would have come of it.";

/* What one side made of the whole. */
typedef struct {
    SevmigView view; /* the last */
    guint decisions, remarks;
    guint throttle_percent; /* the highest asked for */
    gint64 let_go_us;       /* -1: never */
} Side;

/* An event at which something was decided. */
typedef struct {
    guint line;
    gint64 at_us;
    SevmigActions recorded, replayed;
} Moment;

#define MOST_CHANGES 50 /* shown */

typedef struct {
    Cli *cli;
    const char *path;
    SevmigReplay *replay;
    SevmigPolicy *policy; /* NULL: as recorded */
    guint events;
    guint compared; /* those with decisions on record */
    guint different;
    guint drift;      /* events at which today's controller differs under the recorded policy too */
    Moment first;     /* that differs */
    GPtrArray *rows;  /* of the table of moments, and the same */
    GString *moments; /* in JSON; with a policy only */
    GString *changes, *changes_json; /* of the policy, by someone, while it was recorded */
    guint n_changes;
    GArray *decisions; /* of Decision, as replayed; if they are asked for */
    Side recorded, replayed;
    guint64 downtime_us; /* real; 0: unknown */
    GError *problem;     /* what ended the reading early */
} Report;

void
replay_options(GOptionContext *context, Cli *cli)
{
    CliTrial *trial = &cli->trial;
    const GOptionEntry entries[] = {
        {"policy", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &trial->policies,
         "what this policy would have decided; of this host or in a file", "NAME|FILE"},
        {"decisions", 0, 0, G_OPTION_ARG_NONE, &trial->decisions,
         "each replayed decision with its time and its reason", NULL},
        {"policy-dir", 0, 0, G_OPTION_ARG_FILENAME, &trial->policy_dir,
         "where a policy is looked up by name, instead of this host's places", "DIR"},
        {NULL},
    };
    g_option_context_add_main_entries(context, entries, NULL);
}

/* --- Replaying --- */

static void
side_take(Side *side, const SevmigActions *actions, gint64 at_us)
{
    for (gsize i = 0; i < actions->n; i++) {
        const SevmigAction *action = &actions->list[i];
        side->decisions += action->type != SEVMIG_ACTION_NOTE;
        side->remarks += action->type == SEVMIG_ACTION_NOTE;
        if (action->type == SEVMIG_ACTION_THROTTLE || action->type == SEVMIG_ACTION_VCPU_THROTTLE)
            side->throttle_percent =
                MAX(side->throttle_percent, (guint)CLAMP(action->value, 0, 100));
        if (action->type == SEVMIG_ACTION_SWITCHOVER)
            side->let_go_us = action->value == SEVMIG_SWITCHOVER_HOLD ? -1 : at_us;
    }
}

static void
put_moment_json(GString *out, const char *key, const Moment *moment)
{
    json_open(out, key, '{');
    json_uint(out, "line", moment->line);
    json_int(out, "at_us", moment->at_us);
    decision_json_all(out, "recorded", &moment->recorded);
    decision_json_all(out, "replayed", &moment->replayed);
    json_int(out, "recorded_wake_us", moment->recorded.wake_us);
    json_int(out, "replayed_wake_us", moment->replayed.wake_us);
    json_close(out, '}');
}

/* Remarks on both sides alone make no row. */
static void
add_row(GPtrArray *rows, const Moment *moment)
{
    g_autofree char *was = decision_brief_all(&moment->recorded);
    g_autofree char *is = decision_brief_all(&moment->replayed);
    gboolean same = strcmp(was, is) == 0;
    if (same && strcmp(was, "-") == 0)
        return;
    g_ptr_array_add(rows, g_strdup_printf("%u", moment->line));
    g_ptr_array_add(rows, g_strdup_printf("%.1f s", (double)moment->at_us / 1e6));
    g_ptr_array_add(rows, g_steal_pointer(&was));
    g_ptr_array_add(rows, same ? g_strdup("the same") : g_steal_pointer(&is));
}

static void
take_moment(Report *report, const Moment *moment, gboolean identical)
{
    if (!identical && report->different++ == 0)
        report->first = *moment;
    if (report->policy == NULL || (moment->recorded.n == 0 && moment->replayed.n == 0))
        return;
    if (report->cli->json)
        put_moment_json(report->moments, NULL, moment);
    else
        add_row(report->rows, moment);
}

/* Who changed what is on record. */
static void
take_change(Report *report, const SevmigTraceOrigin *by, gint64 at_us)
{
    g_autofree char *text =
        g_strdup_printf("%s by %s%s%s", by->policy, by->who, *by->why != '\0' ? ": " : "", by->why);
    g_autofree char *shown = text_printable(text);
    if (report->n_changes++ >= MOST_CHANGES)
        return;
    g_string_append_printf(report->changes, "at %.1f s %s\n", (double)at_us / 1e6, shown);
    json_open(report->changes_json, NULL, '{');
    json_int(report->changes_json, "at_us", at_us);
    json_string(report->changes_json, "policy", by->policy);
    json_string(report->changes_json, "who", by->who);
    json_string(report->changes_json, "why", by->why);
    json_close(report->changes_json, '}');
}

static void
take_event(Report *report)
{
    const SevmigTraceStep *step = sevmig_replay_step(report->replay);
    const Moment moment = {
        .line = sevmig_replay_line(report->replay),
        .at_us = sevmig_replay_elapsed_us(report->replay),
        .recorded = step->actions,
        .replayed = *sevmig_replay_actions(report->replay),
    };
    if (step->has_origin)
        take_change(report, &step->origin, moment.at_us);
    report->events++;
    report->compared += step->has_actions;
    side_take(&report->recorded, &moment.recorded, moment.at_us);
    side_take(&report->replayed, &moment.replayed, moment.at_us);
    if (step->has_view)
        report->recorded.view = step->view;
    sevmig_replay_view(report->replay, &report->replayed.view);
    if (step->event.sample != NULL && step->event.sample->has_switchover)
        report->downtime_us = step->event.sample->switchover_downtime_us;
    if (report->cli->trial.decisions)
        decision_timeline_add(report->decisions, moment.at_us, report->replayed.view.phase,
                              &moment.replayed);
    take_moment(report, &moment, sevmig_replay_identical(report->replay));
}

/* So that what comes of another controller is not taken for what comes of another policy. */
static guint
count_drift(const char *path)
{
    g_autoptr(SevmigReplay) replay = sevmig_replay_new(path, NULL, NULL);
    guint n = 0;
    while (replay != NULL && sevmig_replay_next(replay, NULL))
        n += !sevmig_replay_identical(replay);
    return n;
}

static void
run(Report *report)
{
    g_autoptr(Progress) progress = progress_new();
    progress_say(progress, "replaying %s", report->path);
    if (report->policy != NULL)
        report->drift = count_drift(report->path);
    while (sevmig_replay_next(report->replay, &report->problem))
        take_event(report);
}

/* --- In words --- */

static void
put_title(GString *out, const Report *report)
{
    const SevmigTraceHeader *header = sevmig_replay_header(report->replay);
    g_autofree char *text =
        g_strdup_printf("%s: %s under %s", report->path, header->domain, header->policy);
    g_autofree char *shown = text_printable(text);
    g_autofree char *time = text_duration((guint64)sevmig_replay_elapsed_us(report->replay));
    g_string_append_printf(out, "%s, %u events in %s\n", shown, report->events, time);
    g_string_append(out, report->changes->str);
    if (report->n_changes > MOST_CHANGES)
        g_string_append_printf(out, "and %u more changes\n", report->n_changes - MOST_CHANGES);
}

static void
put_actions(GString *out, const char *who, const SevmigActions *actions)
{
    for (gsize i = 0; i < actions->n; i++) {
        const SevmigAction *action = &actions->list[i];
        g_autofree char *brief = decision_brief(action);
        g_autofree char *reason = text_printable(action->reason);
        g_string_append_printf(out, "  %s  %s: %s\n", who, brief != NULL ? brief : "note", reason);
    }
    if (actions->n == 0)
        g_string_append_printf(out, "  %s  nothing\n", who);
}

static void
put_wake(GString *out, const char *who, const Moment *moment, const SevmigActions *actions)
{
    if (moment->recorded.wake_us != moment->replayed.wake_us)
        g_string_append_printf(out, "  %s  wakes at %" G_GINT64_FORMAT " us\n", who,
                               (gint64)actions->wake_us);
}

static void
put_verdict(GString *out, const Report *report)
{
    if (report->compared == 0) {
        g_string_append(out, "no decision is on record: there is nothing to compare\n");
    } else if (report->different == 0) {
        g_string_append_printf(out, "identical: %u decisions and %u remarks at %u events\n",
                               report->replayed.decisions, report->replayed.remarks,
                               report->compared);
    } else {
        const Moment *first = &report->first;
        g_autofree char *path = text_printable(report->path);
        g_string_append_printf(out, "%s:%u: the first decision that differs, at %.1f s\n", path,
                               first->line, (double)first->at_us / 1e6);
        put_actions(out, "recorded", &first->recorded);
        put_wake(out, "recorded", first, &first->recorded);
        put_actions(out, "replayed", &first->replayed);
        put_wake(out, "replayed", first, &first->replayed);
        g_string_append_printf(out,
                               "different at %u of %u events: the controller is another than the "
                               "one that recorded, or the file was changed\n",
                               report->different, report->compared);
    }
}

/* --- Side by side: a function for each row of the summary --- */

static char *
or_none(guint64 us)
{
    return us > 0 ? text_duration(us) : g_strdup("-");
}

static char *
row_decisions(const Side *side)
{
    return g_strdup_printf("%u", side->decisions);
}

static char *
row_throttle(const Side *side)
{
    return g_strdup_printf("%u %%", side->throttle_percent);
}

static char *
row_goal(const Side *side)
{
    return or_none(side->view.downtime_goal_us);
}

static char *
row_let_go(const Side *side)
{
    return side->let_go_us < 0 ? g_strdup("never") : text_duration((guint64)side->let_go_us);
}

static const struct {
    const char *label;
    char *(*text)(const Side *side);
} summary[] = {
    {"decisions", row_decisions},
    {"highest throttle asked for", row_throttle},
    {"downtime goal at the end", row_goal},
    {"let go of the switchover at", row_let_go},
};

static char *
recorded_title(const Report *report)
{
    g_autofree char *policy = text_printable(sevmig_replay_header(report->replay)->policy);
    return g_strdup_printf("RECORDED (%s)", policy);
}

static void
put_moments(GString *out, const Report *report, const char *recorded, const char *other)
{
    const TextColumn columns[] = {
        {"LINE", TRUE, 1}, {"TIME", TRUE, 2}, {recorded, FALSE, 0}, {other, FALSE, 0}};
    text_table(out, columns, G_N_ELEMENTS(columns), report->rows, cli_width());
}

static void
put_summary(GString *out, const Report *report, const char *recorded, const char *other)
{
    const TextColumn columns[] = {{"", FALSE, 0}, {recorded, FALSE, 0}, {other, FALSE, 0}};
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; i < G_N_ELEMENTS(summary); i++) {
        g_ptr_array_add(rows, g_strdup(summary[i].label));
        g_ptr_array_add(rows, summary[i].text(&report->recorded));
        g_ptr_array_add(rows, summary[i].text(&report->replayed));
    }
    g_ptr_array_add(rows, g_strdup("real downtime"));
    g_ptr_array_add(rows, or_none(report->downtime_us));
    g_ptr_array_add(rows, g_strdup("cannot be told"));
    text_table(out, columns, G_N_ELEMENTS(columns), rows, cli_width());
}

static void
put_comparison(GString *out, const Report *report)
{
    g_autofree char *recorded = recorded_title(report);
    g_autofree char *other = g_ascii_strup(sevmig_policy_name(report->policy), -1);
    put_moments(out, report, recorded, other);
    g_string_append_c(out, '\n');
    put_summary(out, report, recorded, other);
    g_string_append_printf(out, "\n%s\n", caveat);
    if (report->drift > 0)
        g_string_append_printf(out,
                               "Today's controller is another than the one that recorded: under "
                               "the recorded policy it differs at %u events.\n",
                               report->drift);
}

/* --- JSON --- */

static void
put_side_json(GString *out, const char *key, const Side *side)
{
    json_open(out, key, '{');
    json_uint(out, "decisions", side->decisions);
    json_uint(out, "remarks", side->remarks);
    json_uint(out, "max_throttle_percent", side->throttle_percent);
    json_uint(out, "downtime_goal_us", side->view.downtime_goal_us);
    json_string(out, "phase", sevmig_phase_name(side->view.phase));
    json_int(out, "let_go_us", side->let_go_us);
    json_close(out, '}');
}

static void
put_report_json(GString *out, const Report *report)
{
    const SevmigTraceHeader *header = sevmig_replay_header(report->replay);
    json_open(out, NULL, '{');
    json_string(out, "file", report->path);
    json_string(out, "domain", header->domain);
    json_string(out, "uuid", header->uuid);
    json_string(out, "policy", header->policy);
    json_string(out, "replayed_policy",
                report->policy != NULL ? sevmig_policy_name(report->policy) : header->policy);
    json_bool(out, "complete", report->problem == NULL);
    json_uint(out, "events", report->events);
    json_uint(out, "compared", report->compared);
    json_uint(out, "different", report->different);
    json_int(out, "elapsed_us", sevmig_replay_elapsed_us(report->replay));
    json_uint(out, "downtime_us", report->downtime_us);
    json_open(out, "changes", '[');
    g_string_append(out, report->changes_json->str);
    json_close(out, ']');
    put_side_json(out, "recorded", &report->recorded);
    put_side_json(out, "replayed", &report->replayed);
    if (report->different > 0 && report->policy == NULL)
        put_moment_json(out, "first_difference", &report->first);
    if (report->policy != NULL) {
        json_string(out, "caveat", caveat);
        json_uint(out, "different_under_recorded_policy", report->drift);
        json_open(out, "moments", '[');
        g_string_append(out, report->moments->str);
        json_close(out, ']');
    }
    if (report->cli->trial.decisions)
        decision_timeline_json(out, "decisions", report->decisions);
    json_close(out, '}');
}

/* --- The verb --- */

static void
put_report(const Report *report)
{
    g_autoptr(GString) out = g_string_new(NULL);
    if (report->cli->json) {
        put_report_json(out, report);
        cli_put_json(out);
        return;
    }
    put_title(out, report);
    if (report->policy != NULL)
        put_comparison(out, report);
    else
        put_verdict(out, report);
    if (report->cli->trial.decisions) {
        g_string_append(out, "\nwhat was decided in the replay, and why:\n");
        decision_timeline(out, report->decisions);
    }
    cli_put(out);
}

static CliExit
conclude(const Report *report)
{
    g_autoptr(GError) error = NULL;
    if (report->events == 0 && report->problem == NULL) {
        g_set_error(&error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_SYNTAX,
                    "%s: a header and no event: nothing was recorded", report->path);
        return cli_fail(report->cli, error);
    }
    if (report->events > 0)
        put_report(report);
    if (report->problem != NULL) {
        g_set_error(&error, SEVMIG_TRACE_ERROR, report->problem->code,
                    report->events > 0 ? "%s; replayed up to there" : "%s",
                    report->problem->message);
        return cli_fail(report->cli, error);
    }
    if (report->policy != NULL)
        return CLI_OK;
    return report->compared > 0 && report->different == 0 ? CLI_OK : CLI_FAILURE;
}

CliExit
verb_replay(Cli *cli)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigPolicy) policy = NULL;
    g_autoptr(SevmigReplay) replay = NULL;
    char **names = cli->trial.policies;
    if (names != NULL && names[1] != NULL)
        return cli_misuse(cli, "one policy can be replayed at a time, not \"%s\" as well",
                          names[1]);
    if (names != NULL)
        policy = choose_policy(&cli->trial, names[0], &error);
    if (names == NULL || policy != NULL) {
        if (choose_check_file(cli->args[0], &error))
            replay = sevmig_replay_new(
                cli->args[0], policy != NULL ? sevmig_policy_params(policy) : NULL, &error);
    }
    if (replay == NULL)
        return cli_fail(cli, error);
    Report report = {
        .cli = cli,
        .path = cli->args[0],
        .replay = replay,
        .policy = policy,
        .rows = g_ptr_array_new_with_free_func(g_free),
        .moments = g_string_new(NULL),
        .changes = g_string_new(NULL),
        .changes_json = g_string_new(NULL),
        .decisions = g_array_new(FALSE, FALSE, sizeof(Decision)),
        .recorded = {.let_go_us = -1},
        .replayed = {.let_go_us = -1},
    };
    run(&report);
    CliExit result = conclude(&report);
    g_ptr_array_unref(report.rows);
    g_string_free(report.moments, TRUE);
    g_string_free(report.changes, TRUE);
    g_string_free(report.changes_json, TRUE);
    g_array_unref(report.decisions);
    g_clear_error(&report.problem);
    return result;
}
