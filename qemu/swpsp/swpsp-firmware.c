/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-firmware.h"

#include "swpsp-submission.h"
#include "swpsp-version.h"

#include <string.h>

#define PAGE_BYTES 4096

/* One request being executed. */
typedef struct {
    SwpspFirmware *firmware;
    uint64_t owner;
    uint16_t op;
    const uint8_t *in;
    size_t len;
    SwpspAnswer *answer;
    bool wrong_mac; /* a fault, of the command being run */
} Call;

typedef struct {
    enum swpsp_op op;
    SwpspCostKind cost;
    size_t min_len;
    bool exact; /* the payload has min_len bytes and no more */
    enum swpsp_status (*run)(Call *call);
} Command;

struct SwpspFirmware {
    SwpspIdentity *identity;
    SwpspLimits limits;
    SwpspCost cost;
    SwpspGuestTable *guests;
    SwpspFaults *faults;
};

SwpspFirmware *
swpsp_firmware_new(SwpspIdentity *identity, const SwpspLimits *limits, const SwpspCost *cost)
{
    SwpspFirmware *firmware = g_new0(SwpspFirmware, 1);

    firmware->identity = identity;
    firmware->limits = *limits;
    firmware->cost = *cost;
    firmware->guests = swpsp_guest_table_new();
    firmware->faults = swpsp_faults_new();
    return firmware;
}

void
swpsp_firmware_free(SwpspFirmware *firmware)
{
    if (!firmware)
        return;
    swpsp_guest_table_free(firmware->guests);
    swpsp_faults_free(firmware->faults);
    swpsp_identity_free(firmware->identity);
    g_free(firmware);
}

void
swpsp_answer_clear(SwpspAnswer *answer)
{
    g_free(answer->payload);
    *answer = (SwpspAnswer){0};
}

SwpspCost *
swpsp_firmware_cost(SwpspFirmware *firmware)
{
    return &firmware->cost;
}

unsigned
swpsp_firmware_guests(const SwpspFirmware *firmware)
{
    return swpsp_guest_table_size(firmware->guests);
}

void
swpsp_firmware_disown(SwpspFirmware *firmware, uint64_t owner)
{
    swpsp_guest_table_remove_owner(firmware->guests, owner);
}

void
swpsp_firmware_guest_of(SwpspFirmware *firmware, uint64_t owner, uint32_t *handle,
                        enum swpsp_guest_state *state)
{
    const SwpspGuest *guest = swpsp_guest_table_newest(firmware->guests, owner, handle);
    if (guest)
        *state = swpsp_guest_state(guest);
}

/* The guest that the request's first field names; NULL if the owner has none of that handle. */
static SwpspGuest *
guest_find(Call *call)
{
    uint32_t handle;

    memcpy(&handle, call->in, sizeof(handle));
    call->answer->handle = GUINT32_FROM_LE(handle);
    return swpsp_guest_table_find(call->firmware->guests, call->owner, call->answer->handle);
}

static void
answer_set(SwpspAnswer *answer, const void *data, size_t len)
{
    answer->payload = g_memdup2(data, len);
    answer->len = len;
}

static enum swpsp_status
answer_handle(Call *call, SwpspGuest *guest)
{
    call->answer->handle = swpsp_guest_table_add(call->firmware->guests, call->owner, guest);
    const struct swpsp_guest out = {.handle = GUINT32_TO_LE(call->answer->handle)};
    answer_set(call->answer, &out, sizeof(out));
    return SWPSP_OK;
}

static enum swpsp_status
run_hello(Call *call)
{
    const SwpspFirmware *firmware = call->firmware;
    const SwpspContiguity *contiguity = &firmware->limits.contiguity;
    const SwpspApi api = swpsp_identity_api(firmware->identity);
    const struct swpsp_hello hello = {
        .api_major = api.major,
        .api_minor = api.minor,
        .build = SWPSP_API_BUILD,
        .max_command_bytes = GUINT32_TO_LE(firmware->limits.max_command_bytes),
        .max_submit_commands = GUINT32_TO_LE(firmware->limits.max_submit_commands),
        .backing_page_bytes = GUINT32_TO_LE(swpsp_contiguity_receive_boundary(contiguity)),
        .time_scale = GUINT32_TO_LE(firmware->cost.time_scale),
        .send_boundary_bytes = GUINT32_TO_LE(swpsp_contiguity_send_boundary(contiguity)),
    };
    answer_set(call->answer, &hello, sizeof(hello));
    return SWPSP_OK;
}

static enum swpsp_status
run_pdh_cert_export(Call *call)
{
    answer_set(call->answer, swpsp_identity_chain(call->firmware->identity),
               sizeof(SwpspCertChain));
    return SWPSP_OK;
}

static enum swpsp_status
run_launch_start(Call *call)
{
    struct swpsp_launch in;
    g_autoptr(SwpspGuest) guest = swpsp_guest_new();

    memcpy(&in, call->in, sizeof(in));
    if (swpsp_guest_table_full(call->firmware->guests, call->owner))
        return SWPSP_RESOURCE_LIMIT;
    enum swpsp_status status = swpsp_guest_launch_start(
        guest, swpsp_identity_api(call->firmware->identity), GUINT32_FROM_LE(in.policy));
    if (status != SWPSP_OK)
        return status;
    return answer_handle(call, g_steal_pointer(&guest));
}

static enum swpsp_status
run_decommission(Call *call)
{
    if (!guest_find(call))
        return SWPSP_INVALID_GUEST;
    swpsp_guest_table_remove(call->firmware->guests, call->answer->handle);
    return SWPSP_OK;
}

static enum swpsp_status
run_guest_status(Call *call)
{
    const SwpspGuest *guest = guest_find(call);
    if (!guest)
        return SWPSP_INVALID_GUEST;

    const struct swpsp_guest_status out = {
        .handle = GUINT32_TO_LE(call->answer->handle),
        .policy = GUINT32_TO_LE(swpsp_guest_policy(guest)),
        .state = GUINT32_TO_LE((uint32_t)swpsp_guest_state(guest)),
    };
    answer_set(call->answer, &out, sizeof(out));
    return SWPSP_OK;
}

/* Commands that take a handle and only move the guest's state. */
static enum swpsp_status
run_step(Call *call)
{
    SwpspGuest *guest = guest_find(call);
    if (!guest)
        return SWPSP_INVALID_GUEST;

    switch (call->op) {
    case SWPSP_OP_LAUNCH_FINISH:
        return swpsp_guest_launch_finish(guest);
    case SWPSP_OP_SEND_FINISH:
        return swpsp_guest_send_finish(guest);
    case SWPSP_OP_SEND_CANCEL:
        return swpsp_guest_send_cancel(guest);
    case SWPSP_OP_RECEIVE_FINISH:
        return swpsp_guest_receive_finish(guest);
    default:
        return SWPSP_UNSUPPORTED;
    }
}

static enum swpsp_status
run_send_start(Call *call)
{
    SwpspGuest *guest = guest_find(call);
    SwpspCertChain peer;
    SwpspSession session;

    if (!guest)
        return SWPSP_INVALID_GUEST;
    memcpy(&peer, call->in + sizeof(struct swpsp_guest), sizeof(peer));
    enum swpsp_status status =
        swpsp_guest_send_start(guest, call->firmware->identity, &peer, &session);
    if (status != SWPSP_OK)
        return status;

    session.wrap_mac[0] ^= call->wrong_mac;
    struct swpsp_send_started out = {.policy = GUINT32_TO_LE(swpsp_guest_policy(guest))};
    memcpy(out.session, &session, sizeof(out.session));
    answer_set(call->answer, &out, sizeof(out));
    return SWPSP_OK;
}

static enum swpsp_status
run_receive_start(Call *call)
{
    struct swpsp_receive in;
    memcpy(&in, call->in, sizeof(in));
    const uint32_t pdh_len = GUINT32_FROM_LE(in.pdh_len);
    const uint32_t session_len = GUINT32_FROM_LE(in.session_len);

    if (call->len != sizeof(in) + (uint64_t)pdh_len + session_len) {
        call->answer->malformed = true;
        return SWPSP_INVALID_LENGTH;
    }
    if (pdh_len != SWPSP_CERT_SIZE || session_len != SWPSP_SESSION_SIZE)
        return SWPSP_INVALID_LENGTH;
    if (swpsp_guest_table_full(call->firmware->guests, call->owner))
        return SWPSP_RESOURCE_LIMIT;

    SwpspCert pdh;
    SwpspSession session;
    g_autoptr(SwpspGuest) guest = swpsp_guest_new();
    memcpy(&pdh, call->in + sizeof(in), sizeof(pdh));
    memcpy(&session, call->in + sizeof(in) + sizeof(pdh), sizeof(session));
    session.wrap_mac[0] ^= call->wrong_mac;
    enum swpsp_status status = swpsp_guest_receive_start(
        guest, call->firmware->identity, GUINT32_FROM_LE(in.policy), &pdh, &session);
    if (status != SWPSP_OK)
        return status;
    return answer_handle(call, g_steal_pointer(&guest));
}

/*
 * What the fault that strikes the next command does to it, if one does: an error to refuse it with,
 * or marks for those who come later.
 */
static enum swpsp_status
take_fault(Call *call)
{
    const SwpspFault *fault = swpsp_faults_take(call->firmware->faults, call->op);
    SwpspAnswer *answer = call->answer;

    call->wrong_mac = fault && fault->kind == SWPSP_FAULT_WRONG_MAC;
    if (!fault)
        return SWPSP_OK;
    answer->fault = fault->kind;
    if (fault->kind == SWPSP_FAULT_DELAY)
        answer->delay_us += fault->delay_ms * 1000.0;
    return fault->kind == SWPSP_FAULT_ERROR ? fault->status : SWPSP_OK;
}

/* Cuts a command to what of it is contiguous; true if that is all. */
static bool
cut_to_contiguous(const SwpspLimits *limits, struct swpsp_command *command)
{
    const uint32_t wanted = command->guest_len;

    command->guest_len =
        swpsp_contiguity_bytes(&limits->contiguity, command->guest_addr, command->guest_len);
    return command->guest_len == wanted;
}

static enum swpsp_status
run_one(Call *call, SwpspGuest *guest, struct swpsp_command *command, const uint8_t *in,
        uint8_t *out)
{
    const SwpspLimits *limits = &call->firmware->limits;

    /* First, as the kernel does it: such a command is none yet for the firmware. */
    if (call->op == SWPSP_OP_SEND_UPDATE_DATA && !cut_to_contiguous(limits, command))
        return SWPSP_NOT_CONTIGUOUS;
    enum swpsp_status status = take_fault(call);
    if (status != SWPSP_OK)
        return status;

    if (call->op == SWPSP_OP_RECEIVE_UPDATE_DATA) {
        struct swpsp_command seen = *command;
        seen.hdr[SWPSP_PACKET_HEADER_SIZE - 1] ^= call->wrong_mac;
        return swpsp_guest_receive_update(guest, limits, &seen, in, out);
    }
    status = swpsp_guest_send_update(guest, limits, command, in, out);
    command->hdr[SWPSP_PACKET_HEADER_SIZE - 1] ^= call->wrong_mac;
    return status;
}

/* What is wrong with the submission as a whole. */
static enum swpsp_status
submission_acceptable(Call *call, const SwpspGuest *guest, const SwpspSubmission *submission)
{
    if (!guest)
        return SWPSP_INVALID_GUEST;
    if (submission->n_commands == 0)
        return SWPSP_INVALID_PARAM;
    if (submission->n_commands > call->firmware->limits.max_submit_commands)
        return SWPSP_INVALID_LENGTH;
    return swpsp_guest_allows(guest, call->op);
}

/*
 * Runs commands until one fails and encodes all of them. Returns the bytes of data done; the answer
 * says how many commands.
 */
static size_t
run_commands(Call *call, SwpspGuest *guest, const SwpspSubmission *submission,
             enum swpsp_status *status)
{
    SwpspAnswer *answer = call->answer;
    const uint8_t *in = submission->data;
    uint8_t *const data = answer->payload + swpsp_submission_answer_front(submission->n_commands);
    size_t done = 0;

    for (uint32_t i = 0; i < submission->n_commands; i++) {
        struct swpsp_command command;
        swpsp_submission_command(submission, i, &command);
        command.status = SWPSP_OK;
        if (*status == SWPSP_OK) {
            /* Input and output advance together: both lengths are equal in a command that is OK. */
            *status = run_one(call, guest, &command, in + done, data + done);
            command.status = *status;
            if (*status == SWPSP_OK) {
                done += command.guest_len;
                answer->commands++;
                answer->pages += (command.guest_len + PAGE_BYTES - 1) / PAGE_BYTES;
            }
        } else if (i == 0) {
            command.status = *status;
        }
        swpsp_submission_answer_command(answer->payload, i, &command);
    }
    return done;
}

static enum swpsp_status
run_submission(Call *call)
{
    const bool receive = call->op == SWPSP_OP_RECEIVE_UPDATE_DATA;
    SwpspAnswer *answer = call->answer;
    SwpspSubmission submission;

    if (!swpsp_submission_parse(call->in, call->len, receive, &submission)) {
        answer->malformed = true;
        return SWPSP_INVALID_LENGTH;
    }
    const size_t front = swpsp_submission_answer_front(submission.n_commands);
    answer->payload = g_try_malloc(front + submission.data_len);
    if (!answer->payload)
        return SWPSP_RESOURCE_LIMIT;

    SwpspGuest *guest = guest_find(call);
    enum swpsp_status status = submission_acceptable(call, guest, &submission);
    const bool refused = status != SWPSP_OK;
    const size_t done = run_commands(call, guest, &submission, &status);

    answer->len = front + done;
    swpsp_submission_answer_head(answer->payload, submission.n_commands, (uint32_t)answer->commands,
                                 0, 0);
    /*
     * A command that fails costs its fixed part; a submission refused as a whole only its own. What
     * is not contiguous was never issued.
     */
    const bool issued = status != SWPSP_NOT_CONTIGUOUS || answer->commands > 0;
    const uint64_t tried =
        answer->commands + (!refused && status != SWPSP_OK && status != SWPSP_NOT_CONTIGUOUS);
    if (issued)
        answer->service_us = swpsp_cost_service_us(
            &call->firmware->cost, receive ? SWPSP_COST_RECEIVE : SWPSP_COST_SEND, tried, done);
    return status;
}

static const Command commands[] = {
    {SWPSP_OP_HELLO, SWPSP_COST_NONE, 0, true, run_hello},
    {SWPSP_OP_PDH_CERT_EXPORT, SWPSP_COST_NONE, 0, true, run_pdh_cert_export},
    {SWPSP_OP_LAUNCH_START, SWPSP_COST_START, sizeof(struct swpsp_launch), true, run_launch_start},
    {SWPSP_OP_LAUNCH_FINISH, SWPSP_COST_FINISH, sizeof(struct swpsp_guest), true, run_step},
    {SWPSP_OP_DECOMMISSION, SWPSP_COST_NONE, sizeof(struct swpsp_guest), true, run_decommission},
    {SWPSP_OP_GUEST_STATUS, SWPSP_COST_NONE, sizeof(struct swpsp_guest), true, run_guest_status},
    {SWPSP_OP_SEND_START, SWPSP_COST_START, sizeof(struct swpsp_guest) + sizeof(SwpspCertChain),
     true, run_send_start},
    {SWPSP_OP_SEND_UPDATE_DATA, SWPSP_COST_SEND, sizeof(struct swpsp_submit), false,
     run_submission},
    {SWPSP_OP_SEND_FINISH, SWPSP_COST_FINISH, sizeof(struct swpsp_guest), true, run_step},
    {SWPSP_OP_SEND_CANCEL, SWPSP_COST_FINISH, sizeof(struct swpsp_guest), true, run_step},
    {SWPSP_OP_RECEIVE_START, SWPSP_COST_START, sizeof(struct swpsp_receive), false,
     run_receive_start},
    {SWPSP_OP_RECEIVE_UPDATE_DATA, SWPSP_COST_RECEIVE, sizeof(struct swpsp_submit), false,
     run_submission},
    {SWPSP_OP_RECEIVE_FINISH, SWPSP_COST_FINISH, sizeof(struct swpsp_guest), true, run_step},
};

static const Command *
command_of(uint16_t op)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].op == op)
            return &commands[i];
    }
    return NULL;
}

/* Whether it makes a MAC or checks one. */
static bool
has_mac(uint16_t op)
{
    return op == SWPSP_OP_SEND_START || op == SWPSP_OP_SEND_UPDATE_DATA ||
           op == SWPSP_OP_RECEIVE_START || op == SWPSP_OP_RECEIVE_UPDATE_DATA;
}

bool
swpsp_firmware_set_fault(SwpspFirmware *firmware, uint16_t op, const SwpspFault *fault)
{
    if (!command_of(op) || (fault->kind == SWPSP_FAULT_WRONG_MAC && !has_mac(op)))
        return false;
    swpsp_faults_set(firmware->faults, op, fault);
    return true;
}

void
swpsp_firmware_clear_faults(SwpspFirmware *firmware)
{
    swpsp_faults_clear(firmware->faults);
}

const SwpspFaults *
swpsp_firmware_faults(const SwpspFirmware *firmware)
{
    return firmware->faults;
}

static void
execute(Call *call, const Command *command)
{
    SwpspAnswer *answer = call->answer;

    if (call->len < command->min_len || (command->exact && call->len != command->min_len)) {
        answer->malformed = true;
        return;
    }
    if (command->run != run_submission) { /* which counts its own */
        answer->service_us = swpsp_cost_service_us(&call->firmware->cost, command->cost, 0, 0);
        answer->status = take_fault(call);
    }
    if (answer->status == SWPSP_OK)
        answer->status = command->run(call);
    answer->service_us += answer->delay_us;
}

void
swpsp_firmware_execute(SwpspFirmware *firmware, uint64_t owner, uint16_t op, const uint8_t *payload,
                       size_t len, SwpspAnswer *answer)
{
    const Command *command = command_of(op);
    Call call = {firmware, owner, op, payload, len, answer};

    if (command)
        execute(&call, command);
    else
        answer->status = SWPSP_UNSUPPORTED;
}

void
swpsp_firmware_stamp(uint16_t op, SwpspAnswer *answer, uint64_t service_us, uint64_t wait_us)
{
    if (answer->payload && (op == SWPSP_OP_SEND_UPDATE_DATA || op == SWPSP_OP_RECEIVE_UPDATE_DATA))
        swpsp_submission_answer_stamp(answer->payload, service_us, wait_us);
}
