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

#include "sevmig-replay.h"

static void
print_actions(const char *who, const SevmigActions *actions)
{
    for (gsize i = 0; i < actions->n; i++) {
        const SevmigAction *action = &actions->list[i];

        printf("#   %s %s %" G_GINT64_FORMAT ": %s\n", who, sevmig_action_name(action->type),
               (gint64)action->value, action->reason);
    }
    printf("#   %s wakes at %" G_GINT64_FORMAT "\n", who, (gint64)actions->wake_us);
}

/* FALSE where a decision is another. `updated`: NULL, or where today's decisions go. */
static gboolean
replay_steps(SevmigReplay *replay, GString *updated, GError **error)
{
    g_autoptr(GError) problem = NULL;
    gboolean same = TRUE;

    while (sevmig_replay_next(replay, &problem)) {
        const SevmigActions *actions = sevmig_replay_actions(replay);
        const SevmigTraceStep *step = sevmig_replay_step(replay);
        g_autofree char *line = NULL;
        SevmigView view;

        if (updated) {
            sevmig_replay_view(replay, &view);
            line = sevmig_trace_format_step(&step->event, actions, &view);
            g_string_append(updated, line);
        } else if (!sevmig_replay_identical(replay)) {
            printf("# line %u:\n", sevmig_replay_line(replay));
            print_actions("recorded:", &step->actions);
            print_actions("now:     ", actions);
            same = FALSE;
        }
    }
    if (problem) {
        g_propagate_error(error, g_steal_pointer(&problem));
        return FALSE;
    }
    return same;
}

static gboolean
replay_file(const char *path, gboolean update, GError **error)
{
    g_autoptr(SevmigReplay) replay = sevmig_replay_new(path, NULL, error);
    g_autofree char *header = NULL;
    g_autoptr(GString) updated = NULL;

    if (!replay)
        return FALSE;
    header = sevmig_trace_format_header(sevmig_replay_header(replay));
    updated = g_string_new(header);
    if (!replay_steps(replay, update ? updated : NULL, error))
        return FALSE;
    g_clear_pointer(&replay, sevmig_replay_free); /* the file is mapped until here */
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
        gboolean ok = replay_file(argv[i], update, &error);

        if (error)
            printf("# %s\n", error->message);
        printf("%sok %d - %s\n", ok ? "" : "not ", i - first + 1, name);
        failed |= !ok;
    }
    return failed;
}
