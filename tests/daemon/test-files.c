/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is kept on disk: records and history, bounded and harmless when the disk is full. */
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "history.h"
#include "recorder.h"
#include "sevmig-error.h"
#include "sevmig-file.h"
#include "summary.h"

typedef struct {
    char *dir;
} Fixture;

static void
fixture_set_up(Fixture *f, gconstpointer data)
{
    f->dir = g_dir_make_tmp("sevmig-files-XXXXXX", NULL);
    g_assert_nonnull(f->dir);
}

static guint
count_files(const char *path, gboolean and_remove)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    guint n = 0;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        if (and_remove)
            g_remove(child);
        n++;
    }
    return n;
}

static void
fixture_tear_down(Fixture *f, gconstpointer data)
{
    count_files(f->dir, TRUE);
    g_rmdir(f->dir);
    g_free(f->dir);
}

static SevmigRecorder *
record(Fixture *f, const char *id, const SevmigRecorderLimits *limits, GError **error)
{
    SevmigTraceHeader header = {.domain = (char *)"db"};

    sevmig_control_params_default(&header.params);
    return sevmig_recorder_new(f->dir, id, &header, limits, error);
}

static gboolean
step(SevmigRecorder *recorder, GError **error)
{
    SevmigEvent event = {.type = SEVMIG_EVENT_SAMPLE_MISSED, .now_us = 1};
    SevmigActions actions = {0};
    SevmigView view = {0};

    return sevmig_recorder_step(recorder, &event, NULL, &actions, &view, error);
}

/* Every line that is there is whole: the trace reader takes the file to its end. */
static guint
count_steps(const char *path)
{
    g_autofree SevmigTraceStep *one = g_new0(SevmigTraceStep, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigTraceReader) reader = sevmig_trace_reader_new(path, &error);
    guint n = 0;

    g_assert_no_error(error);
    while (sevmig_trace_reader_next(reader, one, &error))
        n++;
    g_assert_no_error(error);
    return n;
}

static void
test_rotation(Fixture *f, gconstpointer data)
{
    const SevmigRecorderLimits limits = {.files = 3, .bytes = 1 << 20, .file_bytes = 1 << 20};

    for (guint i = 0; i < 6; i++) {
        g_autofree char *id = g_strdup_printf("2026%02u", i);
        g_autoptr(GError) error = NULL;
        g_autoptr(SevmigRecorder) recorder = record(f, id, &limits, &error);

        g_assert_no_error(error);
        g_assert_true(step(recorder, &error));
        g_assert_cmpuint(count_steps(sevmig_recorder_path(recorder)), ==, 1);
    }
    g_assert_cmpuint(count_files(f->dir, FALSE), ==, 3);
    g_assert_cmpuint(sevmig_directory_trim(f->dir, ".jsonl", 3, 0), ==, 3);
    g_assert_cmpuint(count_files(f->dir, FALSE), ==, 0);
}

/* More migrations at once than records are kept, and the clock set back meanwhile: each goes on
 * being written where its summary says that it is. */
static void
test_running_stay(Fixture *f, gconstpointer data)
{
    const SevmigRecorderLimits limits = {.files = 3, .bytes = 1 << 20, .file_bytes = 1 << 20};
    SevmigRecorder *recorders[10];
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < G_N_ELEMENTS(recorders); i++) {
        g_autofree char *id = g_strdup_printf("2026%02u-%08x-%u", 30 - i, i, i);

        recorders[i] = record(f, id, &limits, &error);
        g_assert_no_error(error);
    }
    for (guint i = 0; i < G_N_ELEMENTS(recorders); i++) {
        g_assert_true(step(recorders[i], &error));
        g_assert_cmpuint(count_steps(sevmig_recorder_path(recorders[i])), ==, 1);
        sevmig_recorder_free(recorders[i]);
    }
    sevmig_recorder_free(record(f, "202640-0-11", &limits, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(count_files(f->dir, FALSE), ==, 3);
}

/* One domain that migrates all the time does not push out what there is of others. */
static void
test_others_stay(Fixture *f, gconstpointer data)
{
    const SevmigRecorderLimits limits = {.files = 20, .bytes = 1 << 20, .file_bytes = 1 << 20};
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < 210; i++) {
        g_autofree char *id = g_strdup_printf("2026%04u-%08x-%u", i, MIN(i, 10), i);

        sevmig_recorder_free(record(f, id, &limits, &error));
        g_assert_no_error(error);
    }
    g_assert_cmpuint(count_files(f->dir, FALSE), ==, 20);
    for (guint i = 0; i < 10; i++) {
        g_autofree char *name = g_strdup_printf("2026%04u-%08x-%u.jsonl", i, i, i);
        g_autofree char *path = g_build_filename(f->dir, name, NULL);

        g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    }
}

static void
test_too_many_bytes(Fixture *f, gconstpointer data)
{
    const char *names[] = {"1-a-1.x", "2-b-2.x", "3-b-3.x", "4-c-4.x"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(f->dir, names[i], NULL);

        g_assert_true(g_file_set_contents(path, "0123456789", i == 2 ? 10 : 4, NULL));
    }
    g_assert_cmpuint(sevmig_directory_trim(f->dir, ".x", 10, 12), ==, 2); /* both of b */
    g_assert_cmpuint(count_files(f->dir, FALSE), ==, 2);
}

static void
test_file_limit(Fixture *f, gconstpointer data)
{
    const SevmigRecorderLimits limits = {.files = 3, .bytes = 1 << 20, .file_bytes = 4096};
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigRecorder) recorder = record(f, "a", &limits, &error);
    GStatBuf st;
    guint n = 0;

    g_assert_no_error(error);
    while (step(recorder, &error))
        g_assert_cmpuint(++n, <, 1000);
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO);
    g_clear_error(&error);
    g_assert_true(step(recorder, &error)); /* said once */
    g_assert_no_error(error);
    g_assert_cmpint(g_stat(sevmig_recorder_path(recorder), &st), ==, 0);
    g_assert_cmpint(st.st_size, <=, 4096);
    g_assert_cmpuint(count_steps(sevmig_recorder_path(recorder)), ==, n);
}

/* A limit on file size stands for a disk that is full: a write comes back short, then fails. */
static void
test_disk_full(Fixture *f, gconstpointer data)
{
    const SevmigRecorderLimits limits = {.files = 3, .bytes = 1 << 20, .file_bytes = 1 << 20};
    g_autoptr(GError) error = NULL;
    g_autoptr(SevmigRecorder) recorder = record(f, "a", &limits, &error);
    struct rlimit before, low;
    gboolean ok = TRUE;

    g_assert_no_error(error);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    low = (struct rlimit){.rlim_cur = 3001, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &low);
    for (guint i = 0; i < 1000 && ok; i++)
        ok = step(recorder, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO);
    g_assert_cmpuint(count_steps(sevmig_recorder_path(recorder)), >, 3);
}

static void
test_no_directory(Fixture *f, gconstpointer data)
{
    g_autofree char *file = g_build_filename(f->dir, "file", NULL);
    g_autofree char *below = g_build_filename(file, "records", NULL);
    SevmigTraceHeader header = {0};
    g_autoptr(GError) error = NULL;

    g_file_set_contents(file, "", 0, NULL);
    g_assert_null(sevmig_recorder_new(below, "a", &header, &SEVMIG_RECORDER_LIMITS, &error));
    g_assert_error(error, SEVMIG_ERROR, SEVMIG_ERROR_IO);
}

#define UUID_OF_TWO "00000000-0000-0000-0000-000000000002"

static void
remember_named(SevmigHistory *history, guint i, const char *name)
{
    g_autofree char *id = g_strdup_printf("2026%04u", i);
    g_autofree char *uuid = g_strdup_printf("00000000-0000-0000-0000-%012u", i);
    SevmigInfo info;

    sevmig_info_init(&info);
    sevmig_info_set(&info.id, id);
    sevmig_info_set(&info.domain, name);
    sevmig_info_set(&info.uuid, uuid);
    g_assert_true(sevmig_history_add(history, &info, NULL));
    sevmig_info_clear(&info);
}

static void
remember(SevmigHistory *history, guint i, guint64 fixed_us)
{
    g_autofree char *id = g_strdup_printf("2026%04u", i);
    g_autoptr(GError) error = NULL;
    SevmigInfo info;

    sevmig_info_init(&info);
    sevmig_info_set(&info.id, id);
    sevmig_info_set(&info.domain, "db\"\n");
    info.fixed_downtime_us = fixed_us;
    info.pages = 900;
    info.commands = 300;
    g_assert_true(sevmig_history_add(history, &info, &error));
    g_assert_no_error(error);
    sevmig_info_clear(&info);
}

static void
test_history(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigHistory) history = sevmig_history_new(f->dir);
    g_autofree char *file = g_build_filename(f->dir, "20260002.json", NULL);
    g_autofree char *rubbish = g_build_filename(f->dir, "20250101.json", NULL);
    struct json_object *object, *member;

    g_assert_cmpuint(sevmig_history_fixed_downtime_us(history), ==, 0);
    remember(history, 1, 0);
    g_assert_cmpuint(sevmig_history_fixed_downtime_us(history), ==, 0);
    remember(history, 2, 50000);
    remember(history, 3, 300000);
    remember(history, 4, 60000);
    g_assert_cmpuint(sevmig_history_fixed_downtime_us(history), ==, 60000);

    object = json_object_from_file(file);
    g_assert_nonnull(object);
    g_assert_true(json_object_object_get_ex(object, "domain", &member));
    g_assert_cmpstr(json_object_get_string(member), ==, "db\"\n");
    g_assert_true(json_object_object_get_ex(object, "pages-per-command", &member));
    g_assert_cmpfloat(json_object_get_double(member), ==, 3.0);
    json_object_put(object);

    /* Another daemon learns the same from the files, whatever else lies there. */
    g_assert_true(g_file_set_contents(rubbish, "{\"fixed-downtime-us\": -4", -1, NULL));
    g_clear_pointer(&history, sevmig_history_free);
    history = sevmig_history_new(f->dir);
    g_assert_cmpuint(sevmig_history_fixed_downtime_us(history), ==, 60000);
}

/* Of a downtime, what memory took is told apart; more than all of it is a mistake of QEMU's. */
static void
test_fixed_downtime(void)
{
    SevmigSample sample = {.switchover_downtime_us = 150000, .switchover_ram_us = 100000};
    SevmigInfo info;

    sevmig_info_init(&info);
    sevmig_info_take_sample(&info, &sample);
    g_assert_cmpuint(info.downtime_us + info.fixed_downtime_us + info.setup_us, ==, 0);
    sample.has_switchover = true;
    sevmig_info_take_sample(&info, &sample);
    g_assert_cmpuint(info.downtime_us, ==, 150000);
    g_assert_cmpuint(info.fixed_downtime_us, ==, 50000);
    sample.switchover_ram_us = 150001;
    sevmig_info_take_sample(&info, &sample);
    g_assert_cmpuint(info.fixed_downtime_us, ==, 0);
    sevmig_info_clear(&info);
}

/* How long it took to set up is told once, by the first sample of the first pass. */
static void
test_setup(void)
{
    SevmigSample sample = {.pass = 1, .pass_elapsed_us = 100000};
    SevmigInfo info;

    sevmig_info_init(&info);
    info.elapsed_us = 400000;
    sevmig_info_take_sample(&info, &sample);
    g_assert_cmpuint(info.setup_us, ==, 300000);
    info.elapsed_us = 9000000;
    sevmig_info_take_sample(&info, &sample);
    g_assert_cmpuint(info.setup_us, ==, 300000);
    info.setup_us = 0;
    sample.pass_elapsed_us = 9000001; /* before it was noticed */
    sevmig_info_take_sample(&info, &sample);
    sample.pass = 2;
    sevmig_info_take_sample(&info, &sample);
    g_assert_cmpuint(info.setup_us, ==, 0);
    sevmig_info_clear(&info);
}

/* Every property that a summary keeps comes back from its text. */
static void
test_summary(void)
{
    g_autofree char *text = NULL;
    g_autoptr(GVariant) before = NULL;
    g_autoptr(GVariant) after = NULL;
    SevmigInfo info, read;

    sevmig_info_init(&info);
    sevmig_info_init(&read);
    g_assert_false(sevmig_summary_parse("", &read));
    g_assert_false(sevmig_summary_parse("[1]", &read));
    g_assert_false(sevmig_summary_parse("{\"sevmig-summary\": 2, \"id\": \"x\"}", &read));
    g_assert_cmpstr(read.id, ==, "");
    sevmig_info_set(&info.id, "20260101-1");
    sevmig_info_set(&info.domain, "db</script>\"\\\n\xff");
    sevmig_info_set(&info.note, "n\xc3\xb6te");
    sevmig_info_set(&info.record_file, "/nowhere/20260101-1.jsonl");
    sevmig_info_set(&info.last_decision, "batch 4 -> 8 pages");
    info.started_realtime_us = G_MAXINT64;
    info.page_size = G_MAXUINT32;
    info.dirty_rate = 1520.25;
    info.promised_downtime_us = 250000;
    info.duration_goal_us = 60000000;
    info.guest_lost_us = 7;
    info.fixed_downtime_us = 60000;
    info.setup_us = 8;
    text = sevmig_summary_format(&info);
    g_assert_true(sevmig_summary_parse(text, &read));
    before = g_variant_ref_sink(sevmig_info_properties(&info));
    after = g_variant_ref_sink(sevmig_info_properties(&read));
    g_assert_cmpvariant(before, after);
    sevmig_info_clear(&info);
    sevmig_info_clear(&read);
}

/* Members of another type, or out of range, are left alone. */
static void
test_summary_odd(void)
{
    const char *text =
        "{\"sevmig-summary\": 1, \"id\": 4, \"pages\": -1, \"page-size\": 4294967296,"
        "\"passes\": \"3\", \"dirty-pages-per-s\": \"x\", \"promised\": 7,"
        "\"fixed-downtime-us\": -4, \"bytes\": 12}";
    SevmigInfo info;

    sevmig_info_init(&info);
    g_assert_true(sevmig_summary_parse(text, &info));
    g_assert_cmpstr(info.id, ==, "");
    g_assert_cmpuint(info.pages + info.page_size + info.passes + info.fixed_downtime_us, ==, 0);
    g_assert_cmpuint(info.sent_bytes, ==, 12);
    sevmig_info_clear(&info);
}

static guint
count_listed(SevmigHistory *history, const char *which, guint limit)
{
    g_autoptr(GVariant) list = g_variant_ref_sink(sevmig_history_list(history, which, limit));

    return (guint)g_variant_n_children(list);
}

/* What one daemon has seen the next one tells, newest first; a record that is gone is not named. */
static void
test_history_list(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigHistory) history = sevmig_history_new(f->dir);
    g_autofree char *foreign = g_build_filename(f->dir, "20270101.json", NULL);
    g_autofree char *copy = g_build_filename(f->dir, "20260009.json", NULL);
    g_autoptr(GVariant) list = NULL;
    g_autoptr(GVariant) newest = NULL;
    const char *text;

    remember(history, 1, 0);
    remember_named(history, 2, "db\"\n");
    remember(history, 3, 0);
    g_assert_true(g_file_set_contents(foreign, "{\"sevmig-summary\": 2}", -1, NULL));
    g_assert_true(
        g_file_set_contents(copy, "{\"sevmig-summary\": 1, \"id\": \"other\"}", -1, NULL));
    g_assert_cmpuint(count_listed(history, "", 0), ==, 3);
    g_clear_pointer(&history, sevmig_history_free);
    history = sevmig_history_new(f->dir);
    g_assert_cmpuint(count_listed(history, "", 0), ==, 3);
    g_assert_cmpuint(count_listed(history, "", 2), ==, 2);
    g_assert_cmpuint(count_listed(history, "20260002", 0), ==, 1);
    g_assert_cmpuint(count_listed(history, "db\"\n", 0), ==, 3);
    g_assert_cmpuint(count_listed(history, "other", 0), ==, 0);
    g_assert_cmpuint(count_listed(history, UUID_OF_TWO, 0), ==, 1);
    remember_named(history, 4, UUID_OF_TWO);
    g_assert_cmpuint(count_listed(history, UUID_OF_TWO, 0), ==, 1);
    g_assert_cmpuint(count_listed(history, "20260004", 0), ==, 1);
    g_assert_cmpuint(count_listed(history, "", 0), ==, 4);
    list = g_variant_ref_sink(sevmig_history_list(history, "", 1));
    newest = g_variant_get_child_value(list, 0);
    g_assert_true(g_variant_lookup(newest, "Id", "&s", &text));
    g_assert_cmpstr(text, ==, "20260004");
    g_assert_true(g_variant_lookup(newest, "State", "&s", &text));
    g_assert_cmpstr(text, ==, "ended");
    g_assert_true(g_variant_lookup(newest, "RecordFile", "&s", &text));
    g_assert_cmpstr(text, ==, "");
}

static void
test_history_bounded(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigHistory) history = NULL;

    for (guint i = 0; i < 300; i++) {
        g_autofree char *name = g_strdup_printf("2025%04u.json", i);
        g_autofree char *path = g_build_filename(f->dir, name, NULL);
        g_autofree char *text = g_strdup_printf("{\"sevmig-summary\": 1, \"id\": \"2025%04u\"}", i);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
    }
    history = sevmig_history_new(f->dir);
    g_assert_cmpuint(count_listed(history, "", 0), ==, 256);
    g_assert_cmpuint(count_listed(history, "20250044", 0), ==, 1);
    remember(history, 1, 0);
    g_assert_cmpuint(count_files(f->dir, FALSE), ==, 256);
    g_assert_cmpuint(count_listed(history, "", 0), ==, 256);
    g_assert_cmpuint(count_listed(history, "20250044", 0), ==, 0);
}

static void
test_history_of_others(Fixture *f, gconstpointer data)
{
    g_autoptr(SevmigHistory) history = sevmig_history_new(f->dir);
    SevmigInfo info;

    sevmig_info_init(&info);
    for (guint i = 0; i < 500; i++) {
        g_autofree char *uuid = g_strdup_printf("%08x-0000-4000-8000-000000000000", MIN(i, 100));
        g_autofree char *id = g_strdup_printf("2026%04u-%.8s-%u", i, uuid, i);
        g_autoptr(GError) error = NULL;

        sevmig_info_set(&info.id, id);
        sevmig_info_set(&info.uuid, uuid);
        g_assert_true(sevmig_history_add(history, &info, &error));
    }
    for (guint again = 0; again < 2; again++) { /* and from the files */
        g_assert_cmpuint(count_listed(history, "", 0), ==, 256);
        for (guint i = 0; i < 100; i++) {
            g_autofree char *uuid = g_strdup_printf("%08x-0000-4000-8000-000000000000", i);

            g_assert_cmpuint(count_listed(history, uuid, 0), ==, 1);
        }
        sevmig_history_free(g_steal_pointer(&history));
        history = sevmig_history_new(f->dir);
    }
    sevmig_info_clear(&info);
}

#define CASE(name, func) g_test_add(name, Fixture, NULL, fixture_set_up, func, fixture_tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASE("/history/of-others", test_history_of_others);
    CASE("/recorder/rotation", test_rotation);
    CASE("/recorder/running-stay", test_running_stay);
    CASE("/recorder/others-stay", test_others_stay);
    CASE("/recorder/too-many-bytes", test_too_many_bytes);
    CASE("/recorder/file-limit", test_file_limit);
    CASE("/recorder/disk-full", test_disk_full);
    CASE("/recorder/no-directory", test_no_directory);
    CASE("/history/learns", test_history);
    g_test_add_func("/summary/fixed-downtime", test_fixed_downtime);
    g_test_add_func("/summary/setup", test_setup);
    g_test_add_func("/summary/round-trip", test_summary);
    g_test_add_func("/summary/odd", test_summary_odd);
    CASE("/history/list", test_history_list);
    CASE("/history/bounded", test_history_bounded);
    return g_test_run();
}
