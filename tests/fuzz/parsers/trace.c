/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A recorded migration, which may come from anywhere. */
#include "fuzz.h"

#include "sevmig-trace.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(SevmigTraceReader) reader =
        sevmig_trace_reader_new_for_data("input", (const char *)data, size, NULL);
    g_autofree SevmigTraceStep *step = g_new0(SevmigTraceStep, 1);

    while (reader != NULL && sevmig_trace_reader_next(reader, step, NULL)) {
        g_autofree char *line = sevmig_trace_format_step(&step->event, &step->actions, &step->view);

        g_assert_true(g_str_has_suffix(line, "\n"));
    }
    return 0;
}
