/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qmpc-sev.h - x-sev-migration-tune and x-query-sev-migration, typed
 *
 * Each command exists in pieces (build the text, parse the reply) for those who carry the text
 * themselves, and as an asynchronous call on a transport.
 *
 * Parsing is strict: a member that is missing, of the wrong type or negative is
 * QMPC_ERROR_MEMBER naming its path ("return.ram.pass"). Members this library does not know are
 * ignored. Outputs are not touched on failure.
 */
#ifndef QMPC_SEV_H
#define QMPC_SEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qmpc-transport.h"

#define QMPC_SEV_MAX_VCPUS 4096u
#define QMPC_SEV_MAX_RUN_BUCKETS 64u
#define QMPC_SEV_MAX_PEER_PROOFS 64u

#define QMPC_SEV_TUNE_COMMAND "x-sev-migration-tune"
#define QMPC_SEV_QUERY_COMMAND "x-query-sev-migration"
#define QMPC_SEV_LEASE_EVENT "X_SEV_MIGRATION_LEASE_EXPIRED"

typedef enum {
    QMPC_SEV_SWITCHOVER_AUTO,
    QMPC_SEV_SWITCHOVER_HOLD, /* stay in pre-copy even below the limit */
    QMPC_SEV_SWITCHOVER_NOW,  /* stop and copy at once */
} QmpcSevSwitchover;

typedef enum {
    QMPC_SEV_FIRMWARE_KVM,
    QMPC_SEV_FIRMWARE_SOFT,
} QmpcSevFirmware;

typedef enum {
    QMPC_SEV_GUEST_RUNNING,
    QMPC_SEV_GUEST_SENDING,
    QMPC_SEV_GUEST_SENT,
    QMPC_SEV_GUEST_RECEIVING,
} QmpcSevGuestState;

/* --- Tune --- */

typedef struct {
    uint32_t cpu_index;
    uint32_t percent; /* 0..99 */
} QmpcSevVcpuThrottle;

/* Which members of QmpcTune are sent; what is not sent keeps its value in QEMU. */
typedef enum {
    QMPC_TUNE_BATCH_PAGES = 1 << 0,
    QMPC_TUNE_BATCH_GAP_PAGES = 1 << 1,
    QMPC_TUNE_VCPU_THROTTLE = 1 << 2,
    QMPC_TUNE_VCPU_THROTTLES = 1 << 3,
    QMPC_TUNE_THROTTLE_SLICE = 1 << 4,
    QMPC_TUNE_SYNC_INTERVAL = 1 << 5,
    QMPC_TUNE_SWITCHOVER = 1 << 6,
    QMPC_TUNE_DOWNTIME_LIMIT = 1 << 7,
    QMPC_TUNE_HOLD_SENDING = 1 << 8,
    QMPC_TUNE_LEASE = 1 << 9,
    QMPC_TUNE_PAUSE = 1 << 10,
} QmpcTuneFlags;

typedef struct {
    unsigned present;                          /* QmpcTuneFlags */
    uint32_t batch_pages;                      /* 1..limits.max_batch_pages */
    uint32_t batch_gap_pages;                  /* 0..16 */
    uint32_t vcpu_throttle_percent;            /* 0..99, all vCPUs */
    const QmpcSevVcpuThrottle *vcpu_throttles; /* override the one above; the caller's */
    size_t n_vcpu_throttles;                   /* 0: none overridden */
    uint32_t throttle_slice_us;                /* 200..100000 */
    uint32_t sync_interval_ms;                 /* 0 or 50..60000 */
    QmpcSevSwitchover switchover;
    uint32_t downtime_limit_us; /* 1000..2000000000 */
    bool hold_sending;
    uint32_t lease_ms; /* 100..60000 */
    bool pause;        /* no vCPU runs; only for a QEMU that says tune.has_pause */
} QmpcTune;

/* --- What QEMU answers to either command --- */

typedef struct {
    uint64_t submissions;
    uint64_t commands;
    uint64_t pages;
    uint64_t gap_pages;
    uint64_t bytes;
    uint64_t service_us; /* inside the firmware */
    uint64_t wait_us;    /* queued behind others */
    uint64_t channel_us; /* blocked on the socket */
    uint64_t contiguity_splits;
    uint64_t run_histogram[QMPC_SEV_MAX_RUN_BUCKETS]; /* [i]: runs of 2^i .. 2^(i+1)-1 pages */
    size_t n_run_buckets;
} QmpcSevTransfer;

typedef struct {
    uint32_t cpu_index;
    uint32_t throttle_percent;
    uint64_t cpu_us;        /* CPU time of the vCPU's thread */
    uint64_t throttled_us;  /* time kept from running */
    uint64_t dirtied_pages; /* only if has_dirtied_pages */
    bool has_dirtied_pages;
} QmpcSevVcpu;

/* What speaks for the destination's platform. */
typedef enum {
    QMPC_SEV_PEER_DOMAIN = 1 << 0,
    QMPC_SEV_PEER_SEV = 1 << 1,
    QMPC_SEV_PEER_TLS = 1 << 2,
    QMPC_SEV_PEER_PINNED = 1 << 3,
} QmpcSevPeerProof;

#define QMPC_SEV_DIGEST_LENGTH 64
#define QMPC_SEV_SUBJECT_LENGTH 255

typedef struct {
    bool known;        /* the keys have been exchanged */
    unsigned verified; /* QmpcSevPeerProof flags */
    char pdh_digest[QMPC_SEV_DIGEST_LENGTH + 1];
    char platform_digest[QMPC_SEV_DIGEST_LENGTH + 1]; /* "": it has not signed the PDH */
    char subject[QMPC_SEV_SUBJECT_LENGTH + 1];        /* of its TLS certificate; "": none */
} QmpcSevPeer;

typedef struct {
    QmpcSevFirmware firmware;
    QmpcSevGuestState guest_state;
    struct {
        uint32_t max_command_pages; /* one firmware command */
        uint32_t max_batch_pages;   /* one submission */
    } limits;
    struct { /* effective values */
        uint32_t batch_pages;
        uint32_t batch_gap_pages;
        uint32_t vcpu_throttle_percent;
        uint32_t throttle_slice_us;
        uint32_t sync_interval_ms;
        QmpcSevSwitchover switchover;
        bool has_downtime_limit; /* whether one overrides the client's */
        uint32_t downtime_limit_us;
        bool hold_sending;
        uint32_t lease_ms;           /* its length; 0: no lease is held */
        uint32_t lease_remaining_ms; /* 0: no lease is held */
        bool has_pause;              /* this QEMU knows how */
        bool pause;
    } tune;
    struct {
        uint32_t page_size_bytes;
        uint64_t private_pages;
        uint64_t shared_pages;
        uint64_t remaining_pages;
        uint64_t pass; /* 1 is the first; 0: none has begun */
        uint64_t pass_elapsed_us;
        uint64_t sync_count;
        uint64_t sync_dirtied_pages; /* of the newest sync, as the next two */
        uint64_t sync_interval_us;
        uint64_t sync_guest_cpu_us;
    } ram;
    QmpcSevTransfer send;    /* on a source, since the start */
    QmpcSevTransfer receive; /* on a destination */
    struct {
        bool has_expected; /* before the switchover */
        uint64_t expected_us;
        bool has_result; /* after it: the rest */
        uint64_t stop_us;
        uint64_t ram_us;
        uint64_t device_us;
        uint64_t finish_us;
        uint64_t downtime_us;
    } switchover;
    QmpcSevPeer peer;   /* on a source */
    QmpcSevVcpu *vcpus; /* owned */
    size_t n_vcpus;
} QmpcSevStatus;

/* Frees what it owns and zeroes it; a zeroed struct is fine. */
void qmpc_sev_status_clear(QmpcSevStatus *status);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(QmpcSevStatus, qmpc_sev_status_clear)

/*
 * The command as text (caller frees). NULL with QMPC_ERROR_ARGUMENT if a value is out of its range,
 * or if throttle, hold_sending, pause or switchover is sent without a lease.
 */
char *qmpc_tune_build(const QmpcTune *tune, GError **error);
char *qmpc_sev_query_build(void);

/*
 * The whole reply of either command, as a transport brings it. Fills `status`, which needs no
 * initialisation and is to be cleared. QEMU's own error is QMPC_ERROR_COMMAND with its words.
 */
bool qmpc_sev_status_parse(const char *reply, QmpcSevStatus *status, GError **error);

void qmpc_tune_async(QmpcTransport *transport, const QmpcTune *tune, unsigned timeout_ms,
                     GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user_data);
bool qmpc_tune_finish(QmpcTransport *transport, GAsyncResult *result, QmpcSevStatus *status,
                      GError **error);

void qmpc_sev_query_async(QmpcTransport *transport, unsigned timeout_ms, GCancellable *cancellable,
                          GAsyncReadyCallback callback, gpointer user_data);
bool qmpc_sev_query_finish(QmpcTransport *transport, GAsyncResult *result, QmpcSevStatus *status,
                           GError **error);

const char *qmpc_sev_switchover_name(QmpcSevSwitchover value);  /* "hold" */
const char *qmpc_sev_guest_state_name(QmpcSevGuestState value); /* "sending" */
const char *qmpc_sev_firmware_name(QmpcSevFirmware value);      /* "soft" */

#endif
