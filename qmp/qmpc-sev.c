/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmpc-sev.h"

#include <string.h>

#include "qmpc-call.h"
#include "qmpc-json.h"
#include "qmpc-wire.h"

static const char *const switchover_names[] = {"auto", "hold", "now", NULL};
static const char *const guest_state_names[] = {"running", "sending", "sent", "receiving", NULL};
static const char *const firmware_names[] = {"kvm", "soft", NULL};

const char *
qmpc_sev_switchover_name(QmpcSevSwitchover value)
{
    return switchover_names[value];
}

const char *
qmpc_sev_guest_state_name(QmpcSevGuestState value)
{
    return guest_state_names[value];
}

const char *
qmpc_sev_firmware_name(QmpcSevFirmware value)
{
    return firmware_names[value];
}

void
qmpc_sev_status_clear(QmpcSevStatus *status)
{
    g_free(status->vcpus);
    memset(status, 0, sizeof(*status));
}

/* --- Tune --- */

/* The arguments that are plain numbers. */
static const struct {
    QmpcTuneFlags flag;
    const char *name;
    size_t offset; /* of a uint32_t in QmpcTune */
    uint32_t min;
    uint32_t max;
    bool zero_too; /* 0 is allowed below min: it turns the thing off */
} numbers[] = {
    {QMPC_TUNE_BATCH_PAGES, "batch-pages", offsetof(QmpcTune, batch_pages), 1, UINT32_MAX},
    {QMPC_TUNE_BATCH_GAP_PAGES, "batch-gap-pages", offsetof(QmpcTune, batch_gap_pages), 0, 16},
    {QMPC_TUNE_VCPU_THROTTLE, "vcpu-throttle", offsetof(QmpcTune, vcpu_throttle_percent), 0, 99},
    {QMPC_TUNE_THROTTLE_SLICE, "throttle-slice-us", offsetof(QmpcTune, throttle_slice_us), 200,
     100000},
    {QMPC_TUNE_SYNC_INTERVAL, "sync-interval-ms", offsetof(QmpcTune, sync_interval_ms), 50, 60000,
     true},
    {QMPC_TUNE_DOWNTIME_LIMIT, "downtime-limit-us", offsetof(QmpcTune, downtime_limit_us), 1000,
     2000000000},
    {QMPC_TUNE_LEASE, "lease-ms", offsetof(QmpcTune, lease_ms), 100, 60000},
};

#define NEEDS_LEASE                                                                                \
    (QMPC_TUNE_VCPU_THROTTLE | QMPC_TUNE_VCPU_THROTTLES | QMPC_TUNE_SWITCHOVER |                   \
     QMPC_TUNE_HOLD_SENDING | QMPC_TUNE_PAUSE)

static bool
bad_argument(GError **error, const char *name, uint32_t value, uint32_t min, uint32_t max)
{
    g_set_error(error, QMPC_ERROR, QMPC_ERROR_ARGUMENT,
                QMPC_SEV_TUNE_COMMAND ": %s: %u is not within %u..%u", name, value, min, max);
    return false;
}

static bool
add_numbers(const QmpcTune *tune, QmpcJson *arguments, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if ((tune->present & numbers[i].flag) == 0)
            continue;
        uint32_t value = *(const uint32_t *)((const char *)tune + numbers[i].offset);
        bool off = value == 0 && numbers[i].zero_too;
        if (!off && (value < numbers[i].min || value > numbers[i].max))
            return bad_argument(error, numbers[i].name, value, numbers[i].min, numbers[i].max);
        json_object_object_add(arguments, numbers[i].name, json_object_new_uint64(value));
    }
    return true;
}

static bool
add_vcpu_throttles(const QmpcTune *tune, QmpcJson *arguments, GError **error)
{
    g_autoptr(QmpcJson) list = json_object_new_array();
    for (size_t i = 0; i < tune->n_vcpu_throttles; i++) {
        const QmpcSevVcpuThrottle *throttle = &tune->vcpu_throttles[i];
        if (throttle->percent > 99)
            return bad_argument(error, "vcpu-throttles.percentage", throttle->percent, 0, 99);
        QmpcJson *row = json_object_new_object();
        json_object_object_add(row, "cpu-index", json_object_new_uint64(throttle->cpu_index));
        json_object_object_add(row, "percentage", json_object_new_uint64(throttle->percent));
        json_object_array_add(list, row);
    }
    json_object_object_add(arguments, "vcpu-throttles", g_steal_pointer(&list));
    return true;
}

char *
qmpc_tune_build(const QmpcTune *tune, GError **error)
{
    g_autoptr(QmpcJson) arguments = json_object_new_object();
    if ((tune->present & NEEDS_LEASE) != 0 && (tune->present & QMPC_TUNE_LEASE) == 0) {
        g_set_error_literal(error, QMPC_ERROR, QMPC_ERROR_ARGUMENT,
                            QMPC_SEV_TUNE_COMMAND
                            ": throttle, switchover, hold-sending and pause need lease-ms");
        return NULL;
    }
    if (!add_numbers(tune, arguments, error))
        return NULL;
    if ((tune->present & QMPC_TUNE_VCPU_THROTTLES) != 0 &&
        !add_vcpu_throttles(tune, arguments, error))
        return NULL;
    if ((tune->present & QMPC_TUNE_SWITCHOVER) != 0)
        json_object_object_add(arguments, "switchover",
                               json_object_new_string(qmpc_sev_switchover_name(tune->switchover)));
    if ((tune->present & QMPC_TUNE_HOLD_SENDING) != 0)
        json_object_object_add(arguments, "hold-sending",
                               json_object_new_boolean(tune->hold_sending));
    if ((tune->present & QMPC_TUNE_PAUSE) != 0)
        json_object_object_add(arguments, "pause", json_object_new_boolean(tune->pause));
    return qmpc_json_command(QMPC_SEV_TUNE_COMMAND, arguments);
}

char *
qmpc_sev_query_build(void)
{
    return qmpc_command_build(QMPC_SEV_QUERY_COMMAND, NULL, NULL);
}

/* --- Status --- */

static const QmpcField status_fields[] = {
    QMPC_FIELD_NAMED(QmpcSevStatus, "firmware", firmware, firmware_names),
    QMPC_FIELD_NAMED(QmpcSevStatus, "guest-state", guest_state, guest_state_names),
};

static const QmpcField limits_fields[] = {
    QMPC_FIELD(U32, QmpcSevStatus, "max-command-pages", limits.max_command_pages),
    QMPC_FIELD(U32, QmpcSevStatus, "max-batch-pages", limits.max_batch_pages),
};

static const QmpcField tune_fields[] = {
    QMPC_FIELD(U32, QmpcSevStatus, "batch-pages", tune.batch_pages),
    QMPC_FIELD(U32, QmpcSevStatus, "batch-gap-pages", tune.batch_gap_pages),
    QMPC_FIELD(U32, QmpcSevStatus, "vcpu-throttle", tune.vcpu_throttle_percent),
    QMPC_FIELD(U32, QmpcSevStatus, "throttle-slice-us", tune.throttle_slice_us),
    QMPC_FIELD(U32, QmpcSevStatus, "sync-interval-ms", tune.sync_interval_ms),
    QMPC_FIELD_NAMED(QmpcSevStatus, "switchover", tune.switchover, switchover_names),
    QMPC_FIELD_OPT(U32, QmpcSevStatus, "downtime-limit-us", tune.downtime_limit_us,
                   tune.has_downtime_limit),
    QMPC_FIELD(BOOL, QmpcSevStatus, "hold-sending", tune.hold_sending),
    QMPC_FIELD_OPT(BOOL, QmpcSevStatus, "pause", tune.pause, tune.has_pause),
    QMPC_FIELD(U32, QmpcSevStatus, "lease-ms", tune.lease_ms),
    QMPC_FIELD(U32, QmpcSevStatus, "lease-remaining-ms", tune.lease_remaining_ms),
};

static const QmpcField ram_fields[] = {
    QMPC_FIELD(U32, QmpcSevStatus, "page-size", ram.page_size_bytes),
    QMPC_FIELD(U64, QmpcSevStatus, "private-pages", ram.private_pages),
    QMPC_FIELD(U64, QmpcSevStatus, "shared-pages", ram.shared_pages),
    QMPC_FIELD(U64, QmpcSevStatus, "remaining-pages", ram.remaining_pages),
    QMPC_FIELD(U64, QmpcSevStatus, "pass", ram.pass),
    QMPC_FIELD(U64, QmpcSevStatus, "pass-elapsed-us", ram.pass_elapsed_us),
    QMPC_FIELD(U64, QmpcSevStatus, "sync-count", ram.sync_count),
    QMPC_FIELD(U64, QmpcSevStatus, "sync-dirtied-pages", ram.sync_dirtied_pages),
    QMPC_FIELD(U64, QmpcSevStatus, "sync-interval-us", ram.sync_interval_us),
    QMPC_FIELD(U64, QmpcSevStatus, "sync-guest-cpu-us", ram.sync_guest_cpu_us),
};

/* The members after the switchover come together; the first one's flag stands for all. */
static const QmpcField switchover_fields[] = {
    QMPC_FIELD_OPT(U64, QmpcSevStatus, "expected-us", switchover.expected_us,
                   switchover.has_expected),
    QMPC_FIELD_OPT(U64, QmpcSevStatus, "downtime-us", switchover.downtime_us,
                   switchover.has_result),
};

static const QmpcField switchover_result_fields[] = {
    QMPC_FIELD(U64, QmpcSevStatus, "stop-us", switchover.stop_us),
    QMPC_FIELD(U64, QmpcSevStatus, "ram-us", switchover.ram_us),
    QMPC_FIELD(U64, QmpcSevStatus, "device-us", switchover.device_us),
    QMPC_FIELD(U64, QmpcSevStatus, "finish-us", switchover.finish_us),
};

static const struct {
    const char *name;
    const QmpcField *fields;
    size_t n_fields;
} sections[] = {
    {"limits", limits_fields, G_N_ELEMENTS(limits_fields)},
    {"tune", tune_fields, G_N_ELEMENTS(tune_fields)},
    {"ram", ram_fields, G_N_ELEMENTS(ram_fields)},
    {"switchover", switchover_fields, G_N_ELEMENTS(switchover_fields)},
};

static const QmpcField transfer_fields[] = {
    QMPC_FIELD(U64, QmpcSevTransfer, "submissions", submissions),
    QMPC_FIELD(U64, QmpcSevTransfer, "commands", commands),
    QMPC_FIELD(U64, QmpcSevTransfer, "pages", pages),
    QMPC_FIELD(U64, QmpcSevTransfer, "gap-pages", gap_pages),
    QMPC_FIELD(U64, QmpcSevTransfer, "bytes", bytes),
    QMPC_FIELD(U64, QmpcSevTransfer, "service-us", service_us),
    QMPC_FIELD(U64, QmpcSevTransfer, "wait-us", wait_us),
    QMPC_FIELD(U64, QmpcSevTransfer, "channel-us", channel_us),
    QMPC_FIELD(U64, QmpcSevTransfer, "contiguity-splits", contiguity_splits),
};

static const QmpcField vcpu_fields[] = {
    QMPC_FIELD(U32, QmpcSevVcpu, "cpu-index", cpu_index),
    QMPC_FIELD(U32, QmpcSevVcpu, "throttle", throttle_percent),
    QMPC_FIELD(U64, QmpcSevVcpu, "cpu-us", cpu_us),
    QMPC_FIELD(U64, QmpcSevVcpu, "throttled-us", throttled_us),
    QMPC_FIELD_OPT(U64, QmpcSevVcpu, "dirtied-pages", dirtied_pages, has_dirtied_pages),
};

static bool
too_long(QmpcJson *list, const char *path, size_t limit, GError **error)
{
    if (json_object_array_length(list) <= limit)
        return false;
    g_set_error(error, QMPC_ERROR, QMPC_ERROR_LIMIT, "%s: %zu elements, more than %zu", path,
                json_object_array_length(list), limit);
    return true;
}

static bool
read_histogram(QmpcJson *json, const char *path, QmpcSevTransfer *transfer, GError **error)
{
    g_autofree char *list_path = g_strdup_printf("%s.run-histogram", path);
    QmpcJson *list = qmpc_json_member(json, path, "run-histogram", json_type_array, error);
    if (list == NULL || too_long(list, list_path, QMPC_SEV_MAX_RUN_BUCKETS, error))
        return false;
    transfer->n_run_buckets = json_object_array_length(list);
    for (size_t i = 0; i < transfer->n_run_buckets; i++) {
        if (!qmpc_json_u64(json_object_array_get_idx(list, i), &transfer->run_histogram[i])) {
            g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s[%zu]: not a non-negative integer",
                        list_path, i);
            return false;
        }
    }
    return true;
}

static bool
read_transfer(QmpcJson *root, const char *name, QmpcSevTransfer *transfer, GError **error)
{
    g_autofree char *path = g_strdup_printf("return.%s", name);
    QmpcJson *json = qmpc_json_member(root, "return", name, json_type_object, error);
    return json != NULL &&
           qmpc_json_read(json, path, transfer_fields, G_N_ELEMENTS(transfer_fields), transfer,
                          error) &&
           read_histogram(json, path, transfer, error);
}

static bool
read_vcpus(QmpcJson *root, QmpcSevStatus *status, GError **error)
{
    QmpcJson *list = qmpc_json_member(root, "return", "vcpus", json_type_array, error);
    if (list == NULL || too_long(list, "return.vcpus", QMPC_SEV_MAX_VCPUS, error))
        return false;
    status->n_vcpus = json_object_array_length(list);
    status->vcpus = g_new0(QmpcSevVcpu, status->n_vcpus);
    for (size_t i = 0; i < status->n_vcpus; i++) {
        g_autofree char *path = g_strdup_printf("return.vcpus[%zu]", i);
        QmpcJson *row = json_object_array_get_idx(list, i);
        if (!json_object_is_type(row, json_type_object)) {
            g_set_error(error, QMPC_ERROR, QMPC_ERROR_MEMBER, "%s: not an object", path);
            return false;
        }
        if (!qmpc_json_read(row, path, vcpu_fields, G_N_ELEMENTS(vcpu_fields), &status->vcpus[i],
                            error))
            return false;
    }
    return true;
}

static bool
read_sections(QmpcJson *root, QmpcSevStatus *status, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sections); i++) {
        g_autofree char *path = g_strdup_printf("return.%s", sections[i].name);
        QmpcJson *json =
            qmpc_json_member(root, "return", sections[i].name, json_type_object, error);
        if (json == NULL ||
            !qmpc_json_read(json, path, sections[i].fields, sections[i].n_fields, status, error))
            return false;
    }
    if (!status->switchover.has_result)
        return true;
    return qmpc_json_read(json_object_object_get(root, "switchover"), "return.switchover",
                          switchover_result_fields, G_N_ELEMENTS(switchover_result_fields), status,
                          error);
}

static const char *const peer_proofs[] = {"domain", "sev", "tls", "pinned"};

/* A word that is not known speaks for nothing. */
static bool
read_proofs(QmpcJson *peer, QmpcSevPeer *out, GError **error)
{
    QmpcJson *list = qmpc_json_member(peer, "return.peer", "verified", json_type_array, error);

    if (list == NULL || too_long(list, "return.peer.verified", QMPC_SEV_MAX_PEER_PROOFS, error))
        return false;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        QmpcJson *word = json_object_array_get_idx(list, i);

        for (size_t j = 0; j < G_N_ELEMENTS(peer_proofs); j++) {
            if (json_object_is_type(word, json_type_string) &&
                strcmp(json_object_get_string(word), peer_proofs[j]) == 0)
                out->verified |= 1u << j;
        }
    }
    return true;
}

/* `must` FALSE: the member may be absent. What is longer than the room is cut. */
static bool
read_text(QmpcJson *json, const char *name, bool must, char *room, size_t size, GError **error)
{
    const char *text;

    if (!must && !json_object_object_get_ex(json, name, NULL))
        return true;
    text = qmpc_json_string(json, "return.peer", name, error);
    if (text == NULL)
        return false;
    g_strlcpy(room, text, size);
    return true;
}

/* There is one from the exchange of keys on. */
static bool
read_peer(QmpcJson *root, QmpcSevPeer *out, GError **error)
{
    QmpcJson *peer;

    if (!qmpc_json_optional(root, "return", "peer", json_type_object, &peer, error))
        return false;
    if (peer == NULL)
        return true;
    out->known = true;
    return read_proofs(peer, out, error) &&
           read_text(peer, "pdh-digest", true, out->pdh_digest, sizeof(out->pdh_digest), error) &&
           read_text(peer, "platform-digest", false, out->platform_digest,
                     sizeof(out->platform_digest), error) &&
           read_text(peer, "subject", false, out->subject, sizeof(out->subject), error);
}

bool
qmpc_sev_status_parse(const char *reply, QmpcSevStatus *out, GError **error)
{
    g_auto(QmpcSevStatus) status = {0};
    g_autoptr(QmpcJson) root =
        qmpc_json_reply(QMPC_SEV_QUERY_COMMAND, reply, json_type_object, error);
    if (root == NULL)
        return false;
    if (!qmpc_json_read(root, "return", status_fields, G_N_ELEMENTS(status_fields), &status,
                        error) ||
        !read_sections(root, &status, error) || !read_transfer(root, "send", &status.send, error) ||
        !read_transfer(root, "receive", &status.receive, error) ||
        !read_vcpus(root, &status, error) || !read_peer(root, &status.peer, error)) {
        g_prefix_error(error, QMPC_SEV_QUERY_COMMAND ": ");
        return false;
    }
    *out = status;
    memset(&status, 0, sizeof(status));
    return true;
}

/* --- Asynchronous --- */

void
qmpc_tune_async(QmpcTransport *transport, const QmpcTune *tune, unsigned timeout_ms,
                GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data)
{
    GError *error = NULL;
    char *command = qmpc_tune_build(tune, &error);
    qmpc_call_async(transport, command, error, timeout_ms, cancellable, callback, user_data);
}

bool
qmpc_tune_finish(QmpcTransport *transport, GAsyncResult *result, QmpcSevStatus *status,
                 GError **error)
{
    return qmpc_sev_query_finish(transport, result, status, error);
}

void
qmpc_sev_query_async(QmpcTransport *transport, unsigned timeout_ms, GCancellable *cancellable,
                     GAsyncReadyCallback callback, gpointer user_data)
{
    qmpc_call_async(transport, qmpc_sev_query_build(), NULL, timeout_ms, cancellable, callback,
                    user_data);
}

bool
qmpc_sev_query_finish(QmpcTransport *transport, GAsyncResult *result, QmpcSevStatus *status,
                      GError **error)
{
    g_autofree char *reply = qmpc_call_finish(result, error);
    return reply != NULL && qmpc_sev_status_parse(reply, status, error);
}
