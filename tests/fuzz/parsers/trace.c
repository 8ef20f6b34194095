/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A recorded migration, which may come from anywhere: read, written again, and all that sevmigctl
 * makes of one: replay, report, derive, tune. */
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "report-data.h"
#include "tune.h"

/* Beside playing: reading, and what a run that is given up does to its end. */
#define MOST_S (DERIVE_MOST_CPU_S + 5)

static void
read_back(const char *data, size_t size)
{
    g_autoptr(SevmigTraceReader) reader =
        sevmig_trace_reader_new_for_data("input", data, size, NULL);
    g_autofree SevmigTraceStep *step = g_new0(SevmigTraceStep, 1);

    while (reader != NULL && sevmig_trace_reader_next(reader, step, NULL)) {
        g_autofree char *line = sevmig_trace_format_step(&step->event, &step->actions, &step->view);

        g_assert_true(g_str_has_suffix(line, "\n"));
    }
}

static void
report(const char *path)
{
    g_autoptr(ReportData) data = report_data_read(path, NULL);
    g_autoptr(GString) out = g_string_new(NULL);

    if (data != NULL)
        report_data_json(out, data);
}

static void
replay_other(const char *path)
{
    SevmigControlParams params;

    sevmig_control_params_default(&params);
    g_autoptr(SevmigReplay) replay = sevmig_replay_new(path, &params, NULL);
    while (replay != NULL && sevmig_replay_next(replay, NULL))
        g_assert_cmpint(sevmig_replay_elapsed_us(replay), >=, 0);
}

static void
tune(const char *path)
{
    g_autoptr(GPtrArray) records =
        g_ptr_array_new_with_free_func((GDestroyNotify)derive_record_free);
    g_autoptr(Progress) progress = progress_new();
    g_autoptr(GString) out = g_string_new(NULL);
    DerivedRecord *record = derive_record(path, NULL);

    if (record == NULL)
        return;
    g_ptr_array_add(records, record);
    if (record->refused == NULL) {
        g_autoptr(SevmigPolicy) today = derive_policy(record, NULL);
        g_autoptr(Tune) tune = tune_run(records, today, progress);
        g_autofree char *document = tune->proposal != NULL ? tune_document(tune, NULL) : NULL;

        tune_render(out, tune, 80);
        tune_json(out, tune, document);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double began_s = fuzz_cpu_s();
    int fd = memfd_create("record", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    g_assert_cmpint(write(fd, data, size), ==, size);
    read_back((const char *)data, size);
    report(path);
    replay_other(path);
    tune(path);
    close(fd);
    g_assert_cmpfloat(fuzz_cpu_s() - began_s, <, MOST_S);
    return 0;
}
