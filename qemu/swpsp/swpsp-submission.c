/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-submission.h"

#include <glib.h>
#include <string.h>

bool
swpsp_submission_parse(const uint8_t *payload, size_t len, bool receive,
                       SwpspSubmission *submission)
{
    struct swpsp_submit head;
    uint64_t data_len = 0;

    if (len < sizeof(head))
        return false;
    memcpy(&head, payload, sizeof(head));
    SwpspSubmission found = {
        .handle = GUINT32_FROM_LE(head.handle),
        .n_commands = GUINT32_FROM_LE(head.n_commands),
        .commands = payload + sizeof(head),
    };
    if (found.n_commands > SWPSP_MAX_COMMANDS ||
        found.n_commands > (len - sizeof(head)) / sizeof(struct swpsp_command))
        return false;

    /* At most 4096 lengths of 32 bits: the sum cannot overflow. */
    for (uint32_t i = 0; i < found.n_commands; i++) {
        struct swpsp_command command;
        swpsp_submission_command(&found, i, &command);
        data_len += receive ? command.trans_len : command.guest_len;
    }
    found.data = found.commands + found.n_commands * sizeof(struct swpsp_command);
    found.data_len = (size_t)data_len;
    if (data_len != len - (size_t)(found.data - payload))
        return false;
    *submission = found;
    return true;
}

void
swpsp_submission_command(const SwpspSubmission *submission, uint32_t i,
                         struct swpsp_command *command)
{
    memcpy(command, submission->commands + i * sizeof(*command), sizeof(*command));
    command->guest_addr = GUINT64_FROM_LE(command->guest_addr);
    command->guest_len = GUINT32_FROM_LE(command->guest_len);
    command->trans_len = GUINT32_FROM_LE(command->trans_len);
    command->status = GUINT32_FROM_LE(command->status);
}

size_t
swpsp_submission_answer_front(uint32_t n_commands)
{
    return sizeof(struct swpsp_submitted) + n_commands * sizeof(struct swpsp_command);
}

void
swpsp_submission_answer_head(uint8_t *answer, uint32_t n_commands, uint32_t done,
                             uint64_t service_us, uint64_t wait_us)
{
    const struct swpsp_submitted head = {
        .n_commands = GUINT32_TO_LE(n_commands),
        .done = GUINT32_TO_LE(done),
        .service_us = GUINT64_TO_LE(service_us),
        .wait_us = GUINT64_TO_LE(wait_us),
    };
    memcpy(answer, &head, sizeof(head));
}

void
swpsp_submission_answer_command(uint8_t *answer, uint32_t i, const struct swpsp_command *command)
{
    struct swpsp_command out = *command;

    out.guest_addr = GUINT64_TO_LE(command->guest_addr);
    out.guest_len = GUINT32_TO_LE(command->guest_len);
    out.trans_len = GUINT32_TO_LE(command->trans_len);
    out.status = GUINT32_TO_LE(command->status);
    memcpy(answer + swpsp_submission_answer_front(i), &out, sizeof(out));
}

void
swpsp_submission_answer_stamp(uint8_t *answer, uint64_t service_us, uint64_t wait_us)
{
    struct swpsp_submitted head;

    memcpy(&head, answer, sizeof(head));
    swpsp_submission_answer_head(answer, GUINT32_FROM_LE(head.n_commands),
                                 GUINT32_FROM_LE(head.done), service_us, wait_us);
}
