/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-submission.h - the layout of a submission of commands, and of its answer
 *
 * Wire format only: see struct swpsp_submit in swpsp-proto.h. Commands are given and taken with
 * integers of the host.
 */
#ifndef SWPSP_SUBMISSION_H
#define SWPSP_SUBMISSION_H

#include "swpsp-proto.h"

#include <stdbool.h>
#include <stddef.h>

/* A request, pointing into the payload it was parsed from. */
typedef struct {
    uint32_t handle;
    uint32_t n_commands;
    const uint8_t *commands;
    const uint8_t *data; /* of all commands, one after the other */
    size_t data_len;
} SwpspSubmission;

/*
 * Splits a payload; `receive` says which length counts a command's data. False if the counts do not
 * add up to `len` exactly, or there are more than SWPSP_MAX_COMMANDS.
 */
bool swpsp_submission_parse(const uint8_t *payload, size_t len, bool receive,
                            SwpspSubmission *submission);

void swpsp_submission_command(const SwpspSubmission *submission, uint32_t i,
                              struct swpsp_command *command);

/* Bytes of an answer in front of its data. */
size_t swpsp_submission_answer_front(uint32_t n_commands);

/* Both write into an answer of at least that size. */
void swpsp_submission_answer_head(uint8_t *answer, uint32_t n_commands, uint32_t done,
                                  uint64_t service_us, uint64_t wait_us);
void swpsp_submission_answer_command(uint8_t *answer, uint32_t i,
                                     const struct swpsp_command *command);

/* Changes the times of an answer. */
void swpsp_submission_answer_stamp(uint8_t *answer, uint64_t service_us, uint64_t wait_us);

#endif
