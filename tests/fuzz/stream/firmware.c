/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A firmware that ends the process when it is not called as its interface demands
 *
 * It encrypts with a constant, so that every packet can be authentic and the fuzzer gets past it;
 * the first bytes of a packet's header say whether it is to be refused:
 *
 *   flags 0xfe.. : when it is submitted      flags 0x80..0xfd : when it is collected
 */
#include "fuzz.h"

#include "exec/ramblock.h"
#include "hw/boards.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"

#define TYPE_FUZZ_GUEST "fuzz-guest"
#define FUZZ_KEY 0xa5
#define FUZZ_PAGE 4096

#define FUZZ_PAGES (FUZZ_RAM_BYTES / FUZZ_PAGE)

/* A platform is a row of this table. */
static const struct {
    CgsMigrationLimits limits;
    bool in_place;
    bool shares; /* the guest may share pages with the host */
} platforms[] = {
    {{4 * FUZZ_PAGE, 16, 0}, false, false},
    {{FUZZ_PAGE, 1, 0}, true, true},
    {{4 * FUZZ_PAGE, 2, 2 * FUZZ_PAGE}, false, true},
    {{64 * FUZZ_PAGE, 4094, 2 << 20}, true, false},
    {{5 * FUZZ_PAGE, 4, FUZZ_PAGE}, true, true},
};

static struct {
    FuzzGuest state;
    CgsMigrationLimits limits;
    uint64_t submitted, collected; /* tags */
    bool shared[FUZZ_PAGES];
    uint8_t memory[FUZZ_RAM_BYTES]; /* as it ought to be, where it is not shared */
} firmware;

static ConfidentialGuestMigrationOps operations;
static bool get_shared(ConfidentialGuestSupport *cgs, RAMBlock *rb, unsigned long *shared,
                       Error **errp);
static void set_shared(ConfidentialGuestSupport *cgs, RAMBlock *rb, unsigned long page,
                       unsigned long n_pages, bool shared);

void
fuzz_firmware_reset(FuzzGuest state, uint8_t platform)
{
    const size_t row = platform % ARRAY_SIZE(platforms);

    memset(&firmware, 0, offsetof(typeof(firmware), memory));
    firmware.state = state;
    firmware.limits = platforms[row].limits;
    operations.in_place = platforms[row].in_place;
    operations.get_shared = platforms[row].shares ? get_shared : NULL;
    operations.set_shared = platforms[row].shares ? set_shared : NULL;
}

FuzzGuest
fuzz_firmware_state(void)
{
    return firmware.state;
}

static void
get_limits(ConfidentialGuestSupport *cgs, CgsMigrationLimits *limits)
{
    *limits = firmware.limits;
}

static GByteArray *
bytes_new(size_t len)
{
    return g_byte_array_new_take(g_malloc0(len), len);
}

static bool
get_identity(ConfidentialGuestSupport *cgs, CgsMigrationIdentity *identity, Error **errp)
{
    g_assert(!identity->pdh && !identity->chain && !identity->amd);
    identity->pdh = bytes_new(2084);
    identity->chain = bytes_new(6252);
    identity->amd = bytes_new(0);
    return true;
}

static bool
receive_start(ConfidentialGuestSupport *cgs, const CgsMigrationSession *session, Error **errp)
{
    g_assert(session->pdh && session->session);
    if (firmware.state != FUZZ_GUEST_NONE || session->pdh->len != 2084 ||
        session->session->len != 128) {
        error_setg(errp, "RECEIVE_START refused");
        return false;
    }
    firmware.state = FUZZ_GUEST_RECEIVING;
    return true;
}

/* The firmware has seen an error: it forgets what it was about to do. */
static bool
refuse(CgsMigrationSubmission *sub, uint32_t done, const char *what, Error **errp)
{
    sub->n_done = done;
    firmware.collected = firmware.submitted;
    error_setg(errp, "%s refused", what);
    return false;
}

static bool
submit(CgsMigrationSubmission *sub, Error **errp)
{
    uint64_t bytes = 0;

    g_assert(firmware.submitted - firmware.collected < CGS_SUBMISSIONS_IN_FLIGHT);
    g_assert(sub->n_packets && sub->n_packets <= firmware.limits.submit_commands);
    for (uint32_t i = 0; i < sub->n_packets; i++) {
        const CgsMigrationPacket *packet = &sub->packets[i];

        g_assert(packet->len && packet->len % FUZZ_PAGE == 0 && packet->addr % FUZZ_PAGE == 0);
        g_assert(packet->len <= firmware.limits.command_bytes);
        g_assert(packet->addr < FUZZ_RAM_BYTES && packet->len <= FUZZ_RAM_BYTES - packet->addr);
        g_assert(packet->host == fuzz_ram_host + packet->addr);
        bytes += packet->len;
    }
    g_assert(bytes == sub->data_len);
    if (sub->packets[0].header[0] >= 0xfe) {
        return refuse(sub, 0, "submission", errp);
    }
    sub->tag = ++firmware.submitted;
    return true;
}

static bool
send_submit(ConfidentialGuestSupport *cgs, CgsMigrationSubmission *sub, Error **errp)
{
    g_assert(firmware.state == FUZZ_GUEST_SENDING);
    memset(sub->packets[0].header, 0, CGS_PACKET_HEADER_SIZE);
    return submit(sub, errp);
}

static bool
receive_submit(ConfidentialGuestSupport *cgs, CgsMigrationSubmission *sub, Error **errp)
{
    g_assert(firmware.state == FUZZ_GUEST_RECEIVING);
    return submit(sub, errp);
}

/* Whether the firmware still knows of this submission, which must be the oldest. */
static bool
collect(CgsMigrationSubmission *sub, Error **errp)
{
    if (firmware.submitted == firmware.collected) {
        return refuse(sub, 0, "what was forgotten", errp);
    }
    g_assert(sub->tag == ++firmware.collected);
    sub->n_done = sub->n_packets;
    sub->service_us = sub->wait_us = 1;
    return true;
}

static void
transform(uint8_t *to, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = from[i] ^ FUZZ_KEY;
    }
}

static bool
send_collect(ConfidentialGuestSupport *cgs, CgsMigrationSubmission *sub, Error **errp)
{
    uint8_t *data = sub->data;

    g_assert(firmware.state == FUZZ_GUEST_SENDING);
    if (!collect(sub, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < sub->n_packets; i++) {
        const CgsMigrationPacket *packet = &sub->packets[i];

        transform(data, operations.in_place ? packet->host : data, packet->len);
        data += packet->len;
    }
    return true;
}

static bool
receive_collect(ConfidentialGuestSupport *cgs, CgsMigrationSubmission *sub, Error **errp)
{
    uint8_t *data = sub->data;

    g_assert(firmware.state == FUZZ_GUEST_RECEIVING);
    for (uint32_t i = 0; i < sub->n_packets; i++) {
        if (sub->packets[i].header[0] >= 0x80) {
            return refuse(sub, i, "packet", errp);
        }
    }
    if (!collect(sub, errp)) {
        return false;
    }
    for (uint32_t i = 0; i < sub->n_packets; i++) {
        const CgsMigrationPacket *packet = &sub->packets[i];

        transform(operations.in_place ? packet->host : data, data, packet->len);
        memcpy(firmware.memory + packet->addr, operations.in_place ? packet->host : data,
               packet->len);
        data += packet->len;
    }
    return true;
}

/* The source's guest shares some pages, always the same. */
static bool
get_shared(ConfidentialGuestSupport *cgs, RAMBlock *rb, unsigned long *shared, Error **errp)
{
    g_assert(g_str_equal(rb->idstr, FUZZ_RAM));
    bitmap_set(shared, 8, 4);
    set_bit(FUZZ_PAGES - 1, shared);
    return true;
}

static void
set_shared(ConfidentialGuestSupport *cgs, RAMBlock *rb, unsigned long page, unsigned long n_pages,
           bool shared)
{
    g_assert(firmware.state == FUZZ_GUEST_RECEIVING && g_str_equal(rb->idstr, FUZZ_RAM));
    g_assert(firmware.submitted == firmware.collected);
    g_assert(n_pages && page < FUZZ_PAGES && n_pages <= FUZZ_PAGES - page);
    for (unsigned long i = page; i < page + n_pages; i++) {
        if (firmware.shared[i]) {
            memcpy(firmware.memory + i * FUZZ_PAGE, fuzz_ram_host + i * FUZZ_PAGE, FUZZ_PAGE);
        }
        firmware.shared[i] = shared;
    }
}

void
fuzz_firmware_check_memory(void)
{
    for (size_t i = 0; i < FUZZ_PAGES; i++) {
        uint8_t *ought = firmware.memory + i * FUZZ_PAGE;
        const uint8_t *is = fuzz_ram_host + i * FUZZ_PAGE;

        if (firmware.shared[i]) {
            memcpy(ought, is, FUZZ_PAGE);
        }
        g_assert(memcmp(ought, is, FUZZ_PAGE) == 0);
    }
}

static bool
receive_finish(ConfidentialGuestSupport *cgs, Error **errp)
{
    g_assert(firmware.state == FUZZ_GUEST_RECEIVING);
    g_assert(firmware.submitted == firmware.collected);
    firmware.state = FUZZ_GUEST_RUNNING;
    return true;
}

static bool
send_start(ConfidentialGuestSupport *cgs, const CgsMigrationIdentity *peer,
           CgsMigrationSession *session, Error **errp)
{
    g_assert(firmware.state == FUZZ_GUEST_RUNNING);
    g_assert(peer->pdh && peer->chain && peer->amd && !session->pdh && !session->session);
    if (peer->pdh->len && peer->pdh->data[0] >= 0x80) {
        error_setg(errp, "SEND_START refused");
        return false;
    }
    session->pdh = bytes_new(2084);
    session->session = bytes_new(128);
    firmware.state = FUZZ_GUEST_SENDING;
    return true;
}

static bool
send_cancel(ConfidentialGuestSupport *cgs, Error **errp)
{
    g_assert(firmware.state == FUZZ_GUEST_SENDING);
    firmware.state = FUZZ_GUEST_RUNNING;
    firmware.collected = firmware.submitted;
    return true;
}

static bool
send_finish(ConfidentialGuestSupport *cgs, Error **errp)
{
    g_assert_not_reached(); /* no migration is completed here */
}

static ConfidentialGuestMigrationOps operations = {
    .firmware = "fuzz",
    .get_limits = get_limits,
    .send_start = send_start,
    .send_submit = send_submit,
    .send_collect = send_collect,
    .send_finish = send_finish,
    .send_cancel = send_cancel,
    .get_identity = get_identity,
    .receive_start = receive_start,
    .receive_submit = receive_submit,
    .receive_collect = receive_collect,
    .receive_finish = receive_finish,
};

static const ConfidentialGuestMigrationOps *
get_migration_ops(ConfidentialGuestSupport *cgs, Error **errp)
{
    return &operations;
}

/* Any peer may have this guest. */
static bool
judge_peer(ConfidentialGuestSupport *cgs, const CgsMigrationIdentity *peer,
           CgsMigrationPeer *judged, Error **errp)
{
    judged->pdh_digest = g_strdup("digest");
    judged->allow_unverified = true;
    return true;
}

static void
class_init(ObjectClass *class, void *data)
{
    CONFIDENTIAL_GUEST_SUPPORT_CLASS(class)->get_migration_ops = get_migration_ops;
    CONFIDENTIAL_GUEST_SUPPORT_CLASS(class)->judge_peer = judge_peer;
}

ConfidentialGuestSupport *
fuzz_firmware_guest(void)
{
    static const TypeInfo info = {
        .name = TYPE_FUZZ_GUEST,
        .parent = TYPE_CONFIDENTIAL_GUEST_SUPPORT,
        .class_init = class_init,
    };

    type_register_static(&info);
    return CONFIDENTIAL_GUEST_SUPPORT(object_new(TYPE_FUZZ_GUEST));
}
