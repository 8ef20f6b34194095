/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * replay.c - feeds recorded events to the controller and compares its decisions, line by line
 *
 * usage: replay [--update] FILE...
 *
 * A recorder's file is a test as it is. --update writes the decisions of today into the files, to
 * be read before they are committed. The view is written but not compared: it holds floating-point
 * rates for people, decisions are what counts.
 */
#include <glib.h>
#include <stdio.h>
#include <string.h>

#include "sevmig-trace.h"

typedef struct {
    guint line;
    guint differences;
    GString *updated;
} Replay;

static void
complain(Replay *replay, const char *what, gsize i, const SevmigAction *is,
         const SevmigAction *recorded)
{
    replay->differences++;
    printf("# line %u, action %zu: %s\n", replay->line, i + 1, what);
    if (recorded)
        printf("#   recorded: %s %" G_GINT64_FORMAT ": %s\n", sevmig_action_name(recorded->type),
               (gint64)recorded->value, recorded->reason);
    if (is)
        printf("#   now:      %s %" G_GINT64_FORMAT ": %s\n", sevmig_action_name(is->type),
               (gint64)is->value, is->reason);
}

static void
compare(Replay *replay, const SevmigActions *is, const SevmigActions *recorded)
{
    for (gsize i = 0; i < MAX(is->n, recorded->n); i++) {
        const SevmigAction *a = i < is->n ? &is->list[i] : NULL;
        const SevmigAction *b = i < recorded->n ? &recorded->list[i] : NULL;

        if (!a || !b)
            complain(replay, a ? "was not recorded" : "is missing", i, a, b);
        else if (a->type != b->type || a->value != b->value ||
                 (a->type == SEVMIG_ACTION_VCPU_THROTTLE && a->cpu_index != b->cpu_index))
            complain(replay, "differs", i, a, b);
        else if (strcmp(a->reason, b->reason) != 0)
            complain(replay, "has another reason", i, a, b);
    }
    if (is->wake_us != recorded->wake_us) {
        replay->differences++;
        printf("# line %u: wakes at %" G_GINT64_FORMAT ", recorded %" G_GINT64_FORMAT "\n",
               replay->line, (gint64)is->wake_us, (gint64)recorded->wake_us);
    }
}

static gboolean
replay_steps(Replay *replay, SevmigTraceReader *reader, GError **error)
{
    g_autofree SevmigTraceStep *step = g_new(SevmigTraceStep, 1);
    g_autofree gpointer memory = g_malloc(sevmig_control_size());
    SevmigControl *control = sevmig_control_init(memory);
    g_autoptr(GError) problem = NULL;

    while (sevmig_trace_reader_next(reader, step, &problem)) {
        g_autofree char *line = NULL;
        SevmigActions actions;
        SevmigView view;

        replay->line = sevmig_trace_reader_line(reader);
        sevmig_control_step(control, &step->event, &actions);
        sevmig_control_view(control, &view);
        if (step->has_actions)
            compare(replay, &actions, &step->actions);
        line = sevmig_trace_format_step(&step->event, &actions, &view);
        g_string_append(replay->updated, line);
    }
    if (problem) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    return TRUE;
}

static gboolean
replay_file(const char *path, gboolean update, guint *differences, GError **error)
{
    g_autoptr(SevmigTraceReader) reader = sevmig_trace_reader_new(path, error);
    g_autoptr(GString) updated = g_string_new(NULL);
    Replay replay = {.updated = updated};
    g_autofree char *header = NULL;

    if (!reader)
        return FALSE;
    header = sevmig_trace_format_header(sevmig_trace_reader_header(reader));
    g_string_append(updated, header);
    if (!replay_steps(&replay, reader, error))
        return FALSE;
    *differences = update ? 0 : replay.differences;
    g_clear_pointer(&reader, sevmig_trace_reader_free); /* the file is mapped until here */
    return !update || g_file_set_contents(path, updated->str, (gssize)updated->len, error);
}

int
main(int argc, char **argv)
{
    gboolean update = argc > 1 && strcmp(argv[1], "--update") == 0, failed = FALSE;
    int first = update ? 2 : 1;

    printf("TAP version 14\n1..%d\n", argc - first);
    for (int i = first; i < argc; i++) {
        g_autofree char *name = g_path_get_basename(argv[i]);
        g_autoptr(GError) error = NULL;
        guint differences = 0;
        gboolean ok = replay_file(argv[i], update, &differences, &error) && differences == 0;

        if (error)
            printf("# %s\n", error->message);
        printf("%sok %d - %s\n", ok ? "" : "not ", i - first + 1, name);
        failed |= !ok;
    }
    return failed;
}
