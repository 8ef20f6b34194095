/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A recorded migration put to the controller again: what counts as the same, and what is refused.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "sevmig-replay.h"

#define T0 G_GINT64_CONSTANT(1000000)

typedef struct {
    GString *text;
    char *path;
} Fixture;

static void
setup(Fixture *f, gconstpointer data)
{
    SevmigTraceHeader header = {.domain = (char *)"db", .policy = (char *)"default"};
    int fd = g_file_open_tmp("XXXXXX.jsonl", &f->path, NULL);
    g_autofree char *line = NULL;

    g_assert_cmpint(fd, >=, 0);
    g_close(fd, NULL);
    sevmig_control_params_default(&header.params);
    line = sevmig_trace_format_header(&header);
    f->text = g_string_new(line);
}

static void
teardown(Fixture *f, gconstpointer data)
{
    g_string_free(f->text, TRUE);
    g_unlink(f->path);
    g_free(f->path);
}

static void
params_of(SevmigControlParams *params, guint64 downtime_us)
{
    sevmig_control_params_default(params);
    params->downtime_goal_us = downtime_us;
    params->fixed_downtime_us = 7000;
}

/* A migration of its first moments, as sevmigd writes it; `control` keeps the controller. */
static void
record(Fixture *f, SevmigControl *control, SevmigEventType type, gint64 now_us, guint64 downtime_us)
{
    SevmigSample sample = {.max_command_pages = 4,
                           .max_batch_pages = 64,
                           .page_size_bytes = 4096,
                           .private_pages = 1000,
                           .remaining_pages = 1000,
                           .pass = 1};
    SevmigControlParams params;
    SevmigEvent event = {.type = type, .now_us = now_us};
    g_autofree char *line = NULL;
    SevmigActions actions;

    params_of(&params, downtime_us);
    if (type == SEVMIG_EVENT_START || type == SEVMIG_EVENT_POLICY)
        event.params = &params;
    if (type == SEVMIG_EVENT_SAMPLE)
        event.sample = &sample;
    sevmig_control_step(control, &event, &actions);
    line = sevmig_trace_format_step(&event, &actions, NULL);
    g_string_append(f->text, line);
}

static SevmigReplay *
open_replay(Fixture *f, const SevmigControlParams *params)
{
    g_autoptr(GError) error = NULL;
    SevmigReplay *replay;

    g_assert_true(g_file_set_contents(f->path, f->text->str, (gssize)f->text->len, NULL));
    replay = sevmig_replay_new(f->path, params, &error);
    g_assert_no_error(error);
    return replay;
}

static void
record_beginning(Fixture *f, SevmigEventType more)
{
    g_autofree gpointer memory = g_malloc0(sevmig_control_size());
    SevmigControl *control = sevmig_control_init(memory);

    record(f, control, SEVMIG_EVENT_START, T0, 300000);
    record(f, control, SEVMIG_EVENT_SAMPLE, T0 + 100000, 0);
    record(f, control, more, T0 + 200000, 900000);
    record(f, control, SEVMIG_EVENT_SAMPLE, T0 + 300000, 0);
}

static void
test_identical(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigReplay) replay = NULL;
    g_autoptr(GError) error = NULL;
    guint n = 0, decisions = 0;

    record_beginning(f, SEVMIG_EVENT_POLICY);
    replay = open_replay(f, NULL);
    g_assert_cmpstr(sevmig_replay_header(replay)->domain, ==, "db");
    while (sevmig_replay_next(replay, &error)) {
        g_assert_true(sevmig_replay_identical(replay));
        g_assert_cmpuint(sevmig_replay_line(replay), ==, 2 + n);
        g_assert_cmpint(sevmig_replay_elapsed_us(replay), ==, 100000 * n);
        decisions += sevmig_replay_actions(replay)->n;
        n++;
    }
    g_assert_no_error(error);
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpuint(decisions, >, 0);
}

/* Each of value, word and moment tells two decisions apart. */
static void
test_differs(Fixture *f, gconstpointer data)
{
    const char *const changes[][2] = {{"\"value\":", "\"value\":1"},
                                      {"\"reason\":\"", "\"reason\":\"un"},
                                      {"\"wake\":", "\"wake\":1"}};

    record_beginning(f, SEVMIG_EVENT_POLICY);
    for (gsize i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(SevmigReplay) replay = NULL;
        g_autoptr(GString) good = g_string_new(f->text->str);
        guint differences = 0;

        g_assert_cmpuint(g_string_replace(f->text, changes[i][0], changes[i][1], 1), ==, 1);
        replay = open_replay(f, NULL);
        while (sevmig_replay_next(replay, NULL))
            differences += !sevmig_replay_identical(replay);
        g_assert_cmpuint(differences, ==, 1);
        g_string_assign(f->text, good->str);
    }
}

/* Other parameters hold from beginning to end; what the host had learnt is not theirs. */
static void
test_other_params(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigReplay) replay = NULL;
    SevmigControlParams other;
    SevmigView view;

    record_beginning(f, SEVMIG_EVENT_POLICY);
    params_of(&other, 123000);
    replay = open_replay(f, &other);
    while (sevmig_replay_next(replay, NULL)) {
        sevmig_replay_view(replay, &view);
        g_assert_cmpuint(view.downtime_goal_us, ==, 123000);
    }
    g_assert_cmpuint(sevmig_replay_line(replay), ==, 5);
}

static void
assert_refused(Fixture *f, guint good_events, const char *message)
{
    g_autoptr(SevmigReplay) replay = open_replay(f, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *whole = g_strconcat(f->path, ":", message, NULL);
    guint n = 0;

    while (sevmig_replay_next(replay, &error))
        n++;
    g_assert_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_MEMBER);
    g_assert_cmpstr(error->message, ==, whole);
    g_assert_cmpuint(n, ==, good_events);
}

static void
test_impossible(Fixture *f, gconstpointer data)
{
    const struct {
        const char *t; /* of the third event */
        const char *message;
    } rows[] = {
        {"-1", "4: 't' is out of range"},
        {"9223372036854775807", "4: 't' is out of range"},
        {"1099999", "4: 't' goes back"},
    };

    record_beginning(f, SEVMIG_EVENT_SAMPLE_MISSED);
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GString) good = g_string_new(f->text->str);
        g_autofree char *t = g_strdup_printf("{\"t\":%s,", rows[i].t);

        g_assert_cmpuint(g_string_replace(f->text, "{\"t\":1200000,", t, 1), ==, 1);
        assert_refused(f, 2, rows[i].message);
        g_string_assign(f->text, good->str);
    }
    g_assert_cmpuint(g_string_replace(f->text, "\"event\":\"start\",\"params\"",
                                      "\"event\":\"policy\",\"params\"", 1),
                     ==, 1);
    assert_refused(f, 0, "2: the first event is not 'start'");
}

int
main(int argc, char **argv)
{
#define CASE(name, function) g_test_add("/replay/" name, Fixture, NULL, setup, function, teardown)
    g_test_init(&argc, &argv, NULL);
    CASE("identical", test_identical);
    CASE("differs", test_differs);
    CASE("other-params", test_other_params);
    CASE("impossible", test_impossible);
    return g_test_run();
}
