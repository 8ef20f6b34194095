/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fuzz.h - a parser that takes what nobody vouches for, and bytes
 *
 * Each NAME.c is one program: with libFuzzer it looks for bytes that do harm (`lab fuzz parsers`),
 * with replay.c it takes each file of corpus/NAME once, which the unit suites do.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <glib.h>
#include <stdint.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the input is a caller's: seconds of CPU time, half of the lease that has to be renewed
 * meanwhile; with sanitizers, which only make it stricter. */
#define FUZZ_MOST_CALLER_S 1.0

/* Of this thread. */
static inline double
fuzz_cpu_s(void)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

#endif
