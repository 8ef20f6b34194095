/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The line format: what is written is read back whole, and nothing else is read. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "sevmig-trace.h"

static SevmigControlParams
odd_params(void)
{
    SevmigControlParams params;

    sevmig_control_params_default(&params);
    params.downtime_goal_us = G_MAXUINT64; /* beyond what a signed integer or a double holds */
    params.gap_pages = -1;
    params.goal_order[0] = SEVMIG_GOAL_SLOWDOWN;
    params.goal_order[2] = SEVMIG_GOAL_DOWNTIME;
    params.on_stall = SEVMIG_ON_STALL_PAUSE;
    params.throttle_mode = SEVMIG_THROTTLE_QEMU;
    params.observe_only = true;
    return params;
}

static char *
header_line(const char *domain)
{
    SevmigTraceHeader header = {.domain = (char *)domain, .uuid = (char *)"u", .policy = NULL};

    header.params = odd_params();
    return sevmig_trace_format_header(&header);
}

static void
fill_sample(SevmigSample *sample, SevmigVcpuSample *vcpus)
{
    for (int i = 0; i < SEVMIG_RUN_BUCKETS; i++)
        sample->run_histogram[i] = (guint64)(i * i);
    sample->max_command_pages = 4;
    sample->private_pages = 1 << 20;
    sample->remaining_pages = 77;
    sample->bytes = G_GUINT64_CONSTANT(1) << 63;
    sample->has_switchover = true;
    sample->switchover_downtime_us = 123456;
    sample->vcpus = vcpus;
    sample->n_vcpus = 2;
    vcpus[0] = (SevmigVcpuSample){.cpu_index = 0, .cpu_us = 5};
    vcpus[1] = (SevmigVcpuSample){
        .cpu_index = 7, .throttle_percent = 99, .dirtied_pages = 3, .has_dirtied_pages = true};
}

static char *
full_line(void)
{
    SevmigSample sample = {0};
    SevmigVcpuSample vcpus[2];
    SevmigEvent event = {.type = SEVMIG_EVENT_COMPLETED, .now_us = G_MAXINT64, .sample = &sample};
    SevmigActions actions = {.n = 2, .wake_us = 42};
    SevmigView view = {.phase = SEVMIG_PHASE_STALLED, .dirty_pages_per_s = 1.0 / 3};

    fill_sample(&sample, vcpus);
    actions.list[0] = (SevmigAction){.type = SEVMIG_ACTION_VCPU_THROTTLE,
                                     .cpu_index = 7,
                                     .value = 9,
                                     .reason = "a \"reason\" with / and \\ and \t and µ and 😀"};
    actions.list[1] = (SevmigAction){.type = SEVMIG_ACTION_NOTE, .value = -1, .reason = ""};
    return sevmig_trace_format_step(&event, &actions, &view);
}

static SevmigTraceReader *
open_text(const char *text, GError **error)
{
    return sevmig_trace_reader_new_for_data("memory", text, strlen(text), error);
}

static void
test_round_trip(void)
{
    g_autofree char *head = header_line("dom \"x\"");
    g_autofree char *line = full_line();
    g_autofree char *text = g_strconcat(head, line, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigTraceReader) reader = open_text(text, &error);
    g_autofree SevmigTraceStep *step = g_new(SevmigTraceStep, 1);
    g_autofree char *head_again = NULL, *line_again = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(sevmig_trace_reader_header(reader)->domain, ==, "dom \"x\"");
    g_assert_cmpstr(sevmig_trace_reader_header(reader)->policy, ==, "");
    head_again = sevmig_trace_format_header(sevmig_trace_reader_header(reader));
    g_assert_cmpstr(head_again, ==, head);
    g_assert_true(sevmig_trace_reader_next(reader, step, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(sevmig_trace_reader_line(reader), ==, 2);
    g_assert_true(step->has_actions && step->has_view);
    g_assert_cmpuint(step->sample.bytes, ==, G_GUINT64_CONSTANT(1) << 63);
    g_assert_cmpuint(step->vcpus[1].cpu_index, ==, 7);
    line_again = sevmig_trace_format_step(&step->event, &step->actions, &step->view);
    g_assert_cmpstr(line_again, ==, line);
    g_assert_false(sevmig_trace_reader_next(reader, step, &error));
    g_assert_no_error(error);
}

static char *
replaced(const char *text, const char *from, const char *to)
{
    g_autoptr(GString) string = g_string_new(text);
    guint n = g_string_replace(string, from, to, 1);

    g_assert_cmpuint(n, ==, 1); /* else the test tests nothing */
    return g_strdup(string->str);
}

static gboolean
read_only_step(const char *line, SevmigTraceStep *step, GError **error)
{
    g_autofree char *head = header_line("d");
    g_autofree char *text = g_strconcat(head, line, NULL);
    g_autoptr(SevmigTraceReader) reader = open_text(text, error);

    return sevmig_trace_reader_next(reader, step, error);
}

/* Who changed the policy, and why, is kept whole; elsewhere it has no business. */
static void
test_origin(void)
{
    SevmigControlParams params = odd_params();
    SevmigEvent event = {.type = SEVMIG_EVENT_POLICY, .now_us = 1, .params = &params};
    SevmigTraceOrigin origin = {"gentle", "root (uid 0)", ""};
    g_autofree SevmigTraceStep *step = g_new(SevmigTraceStep, 1);
    g_autofree char *line = NULL, *again = NULL, *wrong = NULL, *long_one = NULL;
    g_autofree char *many = g_strnfill(SEVMIG_TRACE_ORIGIN_SIZE, 'x');
    g_autofree char *why = g_strconcat("\"mains\" failed\n ä 😀 \xff", many, "ä", NULL);
    g_autoptr(GError) error = NULL;

    sevmig_trace_origin_set(origin.why, why);
    line = sevmig_trace_format_change(&event, &origin, NULL, NULL);
    g_assert_true(read_only_step(line, step, &error));
    g_assert_no_error(error);
    g_assert_true(step->has_origin);
    g_assert_cmpstr(step->origin.why, ==, origin.why);
    g_assert_cmpstr(step->origin.who, ==, "root (uid 0)");
    g_assert_cmpuint(strlen(origin.why), >, SEVMIG_TRACE_ORIGIN_SIZE - 4);
    again = sevmig_trace_format_change(&step->event, &step->origin, NULL, NULL);
    g_assert_cmpstr(again, ==, line);

    wrong = replaced(line, "\"policy\"", "\"start\"");
    g_assert_false(read_only_step(wrong, step, &error));
    g_assert_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_MEMBER);
    g_clear_error(&error);
    long_one = replaced(line, "gentle", many);
    g_assert_false(read_only_step(long_one, step, &error));
    g_assert_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_MEMBER);
}

/* The arbiter's word is kept whole, and has no business elsewhere. */
static void
test_turn(void)
{
    const SevmigTurn turn = {false, 1250, "held: 2 before it"};
    SevmigEvent event = {.type = SEVMIG_EVENT_TURN, .now_us = 1, .turn = &turn};
    g_autofree SevmigTraceStep *step = g_new(SevmigTraceStep, 1);
    g_autofree char *line = sevmig_trace_format_step(&event, NULL, NULL);
    const struct {
        const char *from, *to;
    } changes[] = {
        {"\"event\":\"turn\"", "\"event\":\"release\""},
        {"\"sends\":false,", ""},
        {"\"sends\":false", "\"sends\":0"},
        {"1250", "-1"},
        {"\"turn\":{", "\"turn\":{\"more\":1,"},
    };
    g_autoptr(GError) error = NULL;

    g_assert_true(read_only_step(line, step, &error));
    g_assert_false(step->event.turn->sends);
    g_assert_cmpuint(step->event.turn->most_hold_us, ==, 1250);
    g_assert_cmpstr(step->event.turn->reason, ==, turn.reason);
    for (gsize i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autofree char *wrong = replaced(line, changes[i].from, changes[i].to);

        g_assert_cmpstr(wrong, !=, line);
        g_assert_false(read_only_step(wrong, step, &error));
        g_assert_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_MEMBER);
        g_clear_error(&error);
    }
}

static void
test_every_event(void)
{
    g_autofree char *head = header_line("d");
    g_autofree SevmigTraceStep *step = g_new(SevmigTraceStep, 1);

    for (int type = 0; type < SEVMIG_EVENT_COUNT; type++) {
        SevmigControlParams params = odd_params();
        SevmigSample sample = {0};
        SevmigTurn turn = {true, G_MAXUINT64, "a \"word\""};
        SevmigEvent event = {.type = (SevmigEventType)type, .now_us = type};
        g_autofree char *line = NULL, *again = NULL, *text = NULL;
        g_autoptr(SevmigTraceReader) reader = NULL;
        g_autoptr(GError) error = NULL;

        if (type == SEVMIG_EVENT_START || type == SEVMIG_EVENT_POLICY)
            event.params = &params;
        if (type == SEVMIG_EVENT_SAMPLE)
            event.sample = &sample;
        if (type == SEVMIG_EVENT_TURN)
            event.turn = &turn;
        line = sevmig_trace_format_step(&event, NULL, NULL);
        text = g_strconcat(head, line, NULL);
        reader = open_text(text, &error);
        g_assert_true(sevmig_trace_reader_next(reader, step, &error));
        g_assert_cmpint(step->event.type, ==, type);
        g_assert_false(step->has_actions || step->has_view);
        again = sevmig_trace_format_step(&step->event, NULL, NULL);
        g_assert_cmpstr(again, ==, line);
    }
}

/* One change to a good line; the message must name the line and the culprit. */
static void
test_refused(void)
{
    const struct {
        const char *from, *to, *culprit;
        SevmigTraceError code;
    } rows[] = {
        {"\"pages\":0", "\"pages\":-1", "'pages'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"pages\":0", "\"pages\":0.5", "'pages'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"pages\":0", "\"pages\":\"0\"", "'pages'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"pages\":0,", "", "'pages'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"pages\":0", "\"pages\":0,\"more\":1", "'more'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"batch-gap-pages\":0", "\"batch-gap-pages\":4294967296", "'batch-gap-pages'",
         SEVMIG_TRACE_ERROR_MEMBER},
        {"\"event\":\"completed\"", "\"event\":\"finished\"", "'event'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"event\":\"completed\"", "\"event\":\"failed\"", "'sample'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"event\":\"completed\"", "\"event\":\"start\"", "'params'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"has-switchover\":true", "\"has-switchover\":1", "'has-switchover'",
         SEVMIG_TRACE_ERROR_MEMBER},
        {"\"run-histogram\":[0,", "\"run-histogram\":[", "'run-histogram'",
         SEVMIG_TRACE_ERROR_MEMBER},
        {"\"phase\":\"stalled\"", "\"phase\":\"?\"", "'phase'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"wake\":42", "\"wake\":null", "'wake'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"action\":\"note\"", "\"action\":\"shout\"", "'action'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"cpu-index\":7,\"value\":9", "\"value\":9", "'cpu-index'", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"view\":{", "\"view\":{{", "JSON", SEVMIG_TRACE_ERROR_SYNTAX},
        {"\"view\":{", "\"view\" {", "JSON", SEVMIG_TRACE_ERROR_SYNTAX},
        {"\\u00b5", "\xb5", "UTF-8", SEVMIG_TRACE_ERROR_SYNTAX},
    };
    g_autofree char *head = header_line("d");
    g_autofree char *line = full_line();
    g_autofree SevmigTraceStep *step = g_new(SevmigTraceStep, 1);

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *bad = replaced(line, rows[i].from, rows[i].to);
        g_autofree char *text = g_strconcat(head, bad, NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(SevmigTraceReader) reader = open_text(text, &error);

        g_assert_no_error(error);
        g_assert_false(sevmig_trace_reader_next(reader, step, &error));
        g_assert_error(error, SEVMIG_TRACE_ERROR, (int)rows[i].code);
        if (!strstr(error->message, rows[i].culprit) ||
            !g_str_has_prefix(error->message, "memory:2: "))
            g_error("row %zu: message is \"%s\"", i, error->message);
    }
}

static void
test_header_refused(void)
{
    const struct {
        const char *from, *to;
        SevmigTraceError code;
    } rows[] = {
        {"\"sevmig-trace\":1", "\"sevmig-trace\":2", SEVMIG_TRACE_ERROR_VERSION},
        {"\"sevmig-trace\":1", "\"trace\":1", SEVMIG_TRACE_ERROR_VERSION},
        {"\"uuid\":\"u\",", "", SEVMIG_TRACE_ERROR_MEMBER},
        {"\"goal-order\":[\"slowdown\"", "\"goal-order\":[\"duration\"", SEVMIG_TRACE_ERROR_MEMBER},
        {"{", "[", SEVMIG_TRACE_ERROR_SYNTAX},
        {"\n", "", SEVMIG_TRACE_ERROR_SYNTAX},
    };
    g_autofree char *head = header_line("d");

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *bad = replaced(head, rows[i].from, rows[i].to);
        g_autoptr(GError) error = NULL;

        g_assert_null(open_text(bad, &error));
        g_assert_error(error, SEVMIG_TRACE_ERROR, (int)rows[i].code);
        g_assert_true(g_str_has_prefix(error->message, "memory:1: "));
    }
}

/* What a crash leaves: whole lines, then a piece of one. */
static void
test_cut_short(void)
{
    g_autofree char *head = header_line("d");
    g_autofree char *line = full_line();
    g_autofree char *text = g_strconcat(head, line, line, NULL);
    g_autofree SevmigTraceStep *step = g_new(SevmigTraceStep, 1);
    g_autoptr(SevmigTraceReader) reader = NULL;
    g_autoptr(GError) error = NULL;

    text[strlen(text) - 10] = '\0';
    reader = open_text(text, &error);
    g_assert_true(sevmig_trace_reader_next(reader, step, &error));
    g_assert_false(sevmig_trace_reader_next(reader, step, &error));
    g_assert_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_SYNTAX);
    g_assert_true(g_str_has_prefix(error->message, "memory:3: "));
}

static void
test_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("sevmig-trace-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "x.trace", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_null(sevmig_trace_reader_new(path, &error));
    g_assert_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_IO);
    g_clear_error(&error);
    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    g_assert_null(sevmig_trace_reader_new(path, &error));
    g_assert_error(error, SEVMIG_TRACE_ERROR, SEVMIG_TRACE_ERROR_VERSION);
    g_unlink(path);
    g_rmdir(dir);
}

/* Bytes that are no UTF-8 in a name must not make a file that cannot be read. */
static void
test_odd_bytes(void)
{
    g_autofree char *head = header_line("\xff\xfe");
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigTraceReader) reader = open_text(head, &error);

    g_assert_no_error(error);
    g_assert_true(g_utf8_validate(sevmig_trace_reader_header(reader)->domain, -1, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/trace/round-trip", test_round_trip);
    g_test_add_func("/trace/origin", test_origin);
    g_test_add_func("/trace/turn", test_turn);
    g_test_add_func("/trace/every-event", test_every_event);
    g_test_add_func("/trace/refused", test_refused);
    g_test_add_func("/trace/header-refused", test_header_refused);
    g_test_add_func("/trace/cut-short", test_cut_short);
    g_test_add_func("/trace/files", test_files);
    g_test_add_func("/trace/odd-bytes", test_odd_bytes);
    return g_test_run();
}
