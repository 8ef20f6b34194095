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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
