/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-sev-kvm.c - the KVM backend for the migration of SEV guests: its commands
 */
#include "support.h"

static void
round_trip(uint32_t command_bytes)
{
    Pair pair;
    Error *err = NULL;

    pair_init(&pair, command_bytes, 0, NULL);
    pair_start(&pair);
    g_assert_cmpint(pair.source.state, ==, SEV_STATE_SEND_UPDATE);
    g_assert_cmpint(pair.destination.state, ==, SEV_STATE_RECEIVE_UPDATE);
    g_assert_cmpuint(pair.destination.handle, !=, 0);

    const unsigned packet_pages = command_bytes / PAGE;
    for (unsigned page = 0; page < RAM_BYTES / PAGE; page += 8 * packet_pages) {
        g_autoptr(Batch) batch = batch_new();
        for (unsigned i = 0; i < 8; i++)
            batch_add(batch, page + i * packet_pages, command_bytes);
        must(batch_send(&pair, batch, &err), &err);
        g_assert_cmpuint(batch->sub.n_done, ==, 8);
        g_assert_cmpint(memcmp(batch->sub.data, machine.rb.host + page * PAGE, PAGE), !=, 0);
        must(batch_receive(&pair, batch, &err), &err);
        g_assert_cmpuint(batch->sub.n_done, ==, 8);
    }
    must(ops->receive_finish(guest_cgs(&pair.destination), &err), &err);
    must(ops->send_finish(guest_cgs(&pair.source), &err), &err);
    g_assert_true(host_guest_runs(pair.to));
    g_assert_false(host_guest_runs(pair.from));
    g_assert_cmpint(pair.destination.state, ==, SEV_STATE_RUNNING);
    g_assert_cmpint(memcmp(pair.arrived, machine.rb.host, RAM_BYTES), ==, 0);
    g_assert_true(ops->can_send(guest_cgs(&pair.destination), NULL));
    pair_clear(&pair);
}

static void
test_round_trip_single(void)
{
    round_trip(PAGE);
}

static void
test_round_trip_four(void)
{
    round_trip(FOUR_PAGES);
}

/* One command tells how much the kernel takes, and nobody asks again. */
static void
test_probe(void)
{
    static const uint32_t kernels[] = {PAGE, FOUR_PAGES};

    for (unsigned i = 0; i < G_N_ELEMENTS(kernels); i++) {
        Pair pair;
        CgsMigrationLimits limits;

        pair_init(&pair, kernels[i], 0, NULL);
        ops->get_limits(guest_cgs(&pair.source), &limits);
        ops->get_limits(guest_cgs(&pair.source), &limits);
        g_assert_cmpuint(limits.command_bytes, ==, kernels[i]);
        g_assert_cmpuint(host_count(pair.from, KVM_SEV_SEND_UPDATE_DATA), ==, 1);
        g_assert_true(host_guest_runs(pair.from));
        pair_clear(&pair);
    }
}

/* A destination promises what its backing pages do; a source can find out later. */
static void
test_backing(void)
{
    const uint32_t huge = 2 * 1024 * 1024;
    CgsMigrationLimits limits;
    Pair pair;

    pair_init(&pair, FOUR_PAGES, 0, NULL);
    ops->get_limits(guest_cgs(&pair.destination), &limits);
    g_assert_cmpuint(limits.backing_page_bytes, ==, PAGE);
    ops->get_limits(guest_cgs(&pair.source), &limits);
    g_assert_cmpuint(limits.send_backing_bytes, ==, 0);

    machine_backing_page_bytes = huge;
    ops->get_limits(guest_cgs(&pair.destination), &limits);
    g_assert_cmpuint(limits.backing_page_bytes, ==, huge);
    g_assert_false(ops->can_send(guest_cgs(&pair.source), NULL)); /* looks at memory anew */
    ops->get_limits(guest_cgs(&pair.source), &limits);
    g_assert_cmpuint(limits.send_backing_bytes, ==, huge);
    pair_clear(&pair);
}

/* A kernel or firmware that refuses the length while sending: single pages from then on. */
static void
test_fall_back(void)
{
    for (unsigned firmware = 0; firmware < 2; firmware++) {
        Pair pair;
        Error *err = NULL;
        CgsMigrationLimits limits;
        g_autoptr(Batch) batch = batch_new();

        pair_init(&pair, FOUR_PAGES, 0, NULL);
        pair_start(&pair);
        if (firmware) { /* the second packet */
            batch_add(batch, 0, PAGE);
            host_fail_firmware(pair.from, KVM_SEV_SEND_UPDATE_DATA, 1, SEV_RET_INVALID_LEN);
        } else {
            host_fail_kernel(pair.from, KVM_SEV_SEND_UPDATE_DATA, EINVAL);
        }
        batch_add(batch, 1, FOUR_PAGES);
        must(batch_send(&pair, batch, &err), &err);
        g_assert_cmpuint(batch->sub.n_done, ==, firmware);
        g_assert_cmpuint(batch->sub.contiguous_len, ==, PAGE);

        ops->get_limits(guest_cgs(&pair.source), &limits);
        g_assert_cmpuint(limits.command_bytes, ==, PAGE);
        const unsigned asked = host_count(pair.from, KVM_SEV_SEND_UPDATE_DATA);
        g_autoptr(Batch) again = batch_new();
        batch_add(again, 8, 2 * PAGE);
        must(batch_send(&pair, again, &err), &err);
        g_assert_cmpuint(again->sub.contiguous_len, ==, PAGE);
        g_assert_cmpuint(host_count(pair.from, KVM_SEV_SEND_UPDATE_DATA), ==, asked);
        pair_clear(&pair);
    }
}

static void
test_contiguity(void)
{
    Pair pair;
    Error *err = NULL;
    g_autoptr(Batch) batch = batch_new();
    g_autoptr(Batch) rest = batch_new();

    pair_init(&pair, FOUR_PAGES, 0, NULL);
    pair_start(&pair);
    host_break_at(pair.from, machine.rb.host + 7 * PAGE);
    batch_add(batch, 0, FOUR_PAGES);
    batch_add(batch, 4, FOUR_PAGES);
    batch_add(batch, 8, FOUR_PAGES);
    must(batch_send(&pair, batch, &err), &err);
    g_assert_cmpuint(batch->sub.n_done, ==, 1);
    g_assert_cmpuint(batch->sub.contiguous_len, ==, 3 * PAGE);

    batch_add(rest, 4, 3 * PAGE);
    batch_add(rest, 7, PAGE);
    batch_add(rest, 8, FOUR_PAGES);
    must(batch_send(&pair, rest, &err), &err);
    g_assert_cmpuint(rest->sub.n_done, ==, 3);
    g_assert_cmpuint(rest->sub.contiguous_len, ==, 0);

    host_break_at(pair.to, pair.arrived + 5 * PAGE);
    refused(batch_receive(&pair, rest, &err), &err, "sev0: RECEIVE_UPDATE_DATA", "12288 bytes",
            "only 4096 are contiguous", NULL);
    pair_clear(&pair);
}

/* EXDEV with a length that says nothing must not be taken for an answer. */
static void
test_bad_contiguity(void)
{
    Pair pair;
    Error *err = NULL;
    g_autoptr(Batch) batch = batch_new();

    pair_init(&pair, FOUR_PAGES, 0, NULL);
    pair_start(&pair);
    batch_add(batch, 0, FOUR_PAGES);
    host_fail_kernel(pair.from, KVM_SEV_SEND_UPDATE_DATA, EXDEV);
    refused(batch_send(&pair, batch, &err), &err, "sev0: SEND_UPDATE_DATA failed", NULL);
    pair_clear(&pair);
}

/* After a cancel the guest runs, and a second migration succeeds. */
static void
test_cancel(void)
{
    Pair pair;
    Error *err = NULL;
    g_autoptr(Batch) batch = batch_new();

    pair_init(&pair, PAGE, 0, NULL);
    pair_start(&pair);
    batch_add(batch, 0, PAGE);
    must(batch_send(&pair, batch, &err), &err);
    must(ops->send_cancel(guest_cgs(&pair.source), &err), &err);
    g_assert_cmpint(pair.source.state, ==, SEV_STATE_RUNNING);
    g_assert_true(host_guest_runs(pair.from));
    refused(batch_send(&pair, batch, &err), &err, "SEND_UPDATE_DATA", "INVALID_GUEST_STATE", NULL);
    must(pair_send_start(&pair, &err), &err);
    pair_clear(&pair);
}

typedef struct {
    uint32_t id;
    const char *name;
} Command;

static const Command commands[] = {
    {KVM_SEV_SEND_START, "SEND_START"},
    {KVM_SEV_SEND_UPDATE_DATA, "SEND_UPDATE_DATA"},
    {KVM_SEV_SEND_FINISH, "SEND_FINISH"},
    {KVM_SEV_SEND_CANCEL, "SEND_CANCEL"},
    {KVM_SEV_RECEIVE_START, "RECEIVE_START"},
    {KVM_SEV_RECEIVE_UPDATE_DATA, "RECEIVE_UPDATE_DATA"},
    {KVM_SEV_RECEIVE_FINISH, "RECEIVE_FINISH"},
};

/* Issues the command, and those before it, with this fault armed. */
static bool
issue(Pair *pair, uint32_t id, Error **errp)
{
    ConfidentialGuestSupport *source = guest_cgs(&pair->source);
    ConfidentialGuestSupport *destination = guest_cgs(&pair->destination);
    g_autoptr(Batch) batch = batch_new();

    batch_add(batch, 3, PAGE);
    if (!pair_send_start(pair, errp))
        return false;
    switch (id) {
    case KVM_SEV_SEND_FINISH:
        return ops->send_finish(source, errp);
    case KVM_SEV_SEND_CANCEL:
        return ops->send_cancel(source, errp);
    }
    return batch_send(pair, batch, errp) && ops->receive_start(destination, &pair->session, errp) &&
           batch_receive(pair, batch, errp) && ops->receive_finish(destination, errp);
}

static Host *
host_that(Pair *pair, uint32_t id)
{
    return id >= KVM_SEV_RECEIVE_START && id <= KVM_SEV_RECEIVE_FINISH ? pair->to : pair->from;
}

/* Each error of the firmware has a name, and so has each command that meets with one. */
static void
test_errors(void)
{
    static const struct {
        uint32_t number;
        const char *name;
    } errors[] = {
        {SEV_RET_INVALID_PLATFORM_STATE, "INVALID_PLATFORM_STATE (0x01)"},
        {SEV_RET_INVALID_GUEST_STATE, "INVALID_GUEST_STATE (0x02)"},
        {SEV_RET_INVALID_CERTIFICATE, "INVALID_CERTIFICATE (0x06)"},
        {SEV_RET_POLICY_FAILURE, "POLICY_FAILURE (0x07)"},
        {SEV_RET_INACTIVE, "INACTIVE (0x08)"},
        {SEV_RET_INVALID_ADDRESS, "INVALID_ADDRESS (0x09)"},
        {SEV_RET_BAD_SIGNATURE, "BAD_SIGNATURE (0x0a)"},
        {SEV_RET_BAD_MEASUREMENT, "BAD_MEASUREMENT (0x0b)"},
        {SEV_RET_INVALID_GUEST, "INVALID_GUEST (0x10)"},
        {SEV_RET_INVALID_COMMAND, "INVALID_COMMAND (0x11)"},
        {SEV_RET_HWSEV_RET_UNSAFE, "HWERROR_UNSAFE (0x14)"},
        {SEV_RET_UNSUPPORTED, "UNSUPPORTED (0x15)"},
        {SEV_RET_INVALID_PARAM, "INVALID_PARAM (0x16)"},
        {SEV_RET_RESOURCE_LIMIT, "RESOURCE_LIMIT (0x17)"},
        {0x7f, "unknown error (0x7f)"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(errors); i++) {
        const Command *command = &commands[i % G_N_ELEMENTS(commands)];
        Error *err = NULL;
        Pair pair;

        pair_init(&pair, PAGE, 0, NULL);
        host_fail_firmware(host_that(&pair, command->id), command->id, 0, errors[i].number);
        refused(issue(&pair, command->id, &err), &err, "sev0: ", command->name, errors[i].name,
                NULL);
        pair_clear(&pair);
    }
}

/* What the kernel refuses has the kernel's words. */
static void
test_kernel_errors(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        Error *err = NULL;
        Pair pair;

        pair_init(&pair, PAGE, 0, NULL);
        host_fail_kernel(host_that(&pair, commands[i].id), commands[i].id, ENOMEM);
        refused(issue(&pair, commands[i].id, &err), &err, "sev0: ", commands[i].name,
                strerror(ENOMEM), NULL);
        pair_clear(&pair);
    }
}

static void
test_bad_packet(void)
{
    Pair pair;
    Error *err = NULL;
    g_autoptr(Batch) batch = batch_new();

    pair_init(&pair, PAGE, 0, NULL);
    pair_start(&pair);
    batch_add(batch, 5, PAGE);
    batch_add(batch, 9, PAGE);
    must(batch_send(&pair, batch, &err), &err);
    batch->sub.data[PAGE + 17] ^= 1;
    refused(batch_receive(&pair, batch, &err), &err, "sev0: RECEIVE_UPDATE_DATA failed",
            "BAD_MEASUREMENT (0x0b)", "packet 2 of 2, 4096 bytes at 0x9000", NULL);
    g_assert_cmpuint(batch->sub.n_done, ==, 1);
    pair_clear(&pair);
}

static void
test_wrong_session(void)
{
    Pair pair;
    Error *err = NULL;

    pair_init(&pair, PAGE, 0, NULL);
    must(pair_send_start(&pair, &err), &err);
    pair.session.session->data[20] ^= 1;
    refused(ops->receive_start(guest_cgs(&pair.destination), &pair.session, &err), &err,
            "sev0: RECEIVE_START failed: ", NULL);
    g_byte_array_set_size(pair.session.session, 0);
    refused(ops->receive_start(guest_cgs(&pair.destination), &pair.session, &err), &err,
            "wrong length", NULL);
    g_byte_array_set_size(pair.session.session, DOUBLE_BLOB + 1);
    refused(ops->receive_start(guest_cgs(&pair.destination), &pair.session, &err), &err,
            "wrong length", NULL);
    g_assert_cmpint(pair.destination.state, ==, SEV_STATE_UNINIT);
    pair_clear(&pair);
}

static void
test_no_send(void)
{
    Pair pair;
    Error *err = NULL;

    pair_init(&pair, PAGE, SEV_POLICY_NOSEND, NULL);
    refused(pair_send_start(&pair, &err), &err, "sev0: SEND_START failed: POLICY_FAILURE (0x07)",
            NULL);
    g_assert_cmpint(pair.source.state, !=, SEV_STATE_SEND_UPDATE);
    pair_clear(&pair);
}

static void
test_other_policy(void)
{
    Pair pair;
    Error *err = NULL;

    pair_init(&pair, PAGE, SEV_POLICY_NODBG, NULL);
    must(pair_send_start(&pair, &err), &err);
    pair.session.policy = SEV_POLICY_NOKS;
    refused(ops->receive_start(guest_cgs(&pair.destination), &pair.session, &err), &err,
            "policy 0x2", "here has 0x1", NULL);
    g_assert_cmpuint(host_count(pair.to, KVM_SEV_RECEIVE_START), ==, 0);
    pair_clear(&pair);
}

static char *
amd_cert_file(const uint8_t *data, size_t len)
{
    g_autoptr(GError) error = NULL;
    char *path;
    int fd = g_file_open_tmp("amd-cert-XXXXXX", &path, &error);

    g_assert_no_error(error);
    close(fd);
    g_assert_true(g_file_set_contents(path, (const char *)data, (gssize)len, &error));
    return path;
}

/* A policy that demands a genuine platform: AMD's certificates come from a file. */
static void
test_certified(void)
{
    Pair pair;
    Error *err = NULL;
    size_t len;
    g_autofree char *path = amd_cert_file((const uint8_t *)"", 0);

    pair_init(&pair, PAGE, SEV_POLICY_SEV, NULL);
    refused(pair_send_start(&pair, &err), &err, "policy 0x20", "amd-cert-file", NULL);
    g_assert_cmpuint(host_count(pair.from, KVM_SEV_SEND_START), ==, 0);
    pair_clear(&pair);

    pair_init(&pair, PAGE, SEV_POLICY_SEV, path);
    refused(ops->get_identity(guest_cgs(&pair.destination), &pair.peer, &err), &err,
            "amd-cert-file", "0 bytes", NULL);
    const uint8_t *certs = host_amd_certs(pair.to, &len);
    g_autofree uint8_t *bad = g_memdup2(certs, len);
    bad[20] ^= 1;
    g_assert_true(g_file_set_contents(path, (const char *)certs, (gssize)len, NULL));
    must(pair_send_start(&pair, &err), &err);
    must(ops->send_cancel(guest_cgs(&pair.source), &err), &err);

    g_assert_true(g_file_set_contents(path, (const char *)bad, (gssize)len, NULL));
    refused(pair_send_start(&pair, &err), &err, "SEND_START failed: INVALID_CERTIFICATE (0x06)",
            NULL);
    pair_clear(&pair);

    unlink(path);
    pair_init(&pair, PAGE, 0, path);
    refused(ops->get_identity(guest_cgs(&pair.destination), &pair.peer, &err), &err,
            "amd-cert-file", path, NULL);
    pair_clear(&pair);
}

/* Without the property they come from where the host has them, if it does. */
static void
test_certified_by_host(void)
{
    Pair pair;
    Error *err = NULL;
    size_t len;
    g_autofree char *path = amd_cert_file((const uint8_t *)"", 0);

    g_assert_cmpstr(sev_kvm_amd_certs, ==, "/etc/sevmig/ask-ark.cert");
    sev_kvm_amd_certs = path;
    pair_init(&pair, PAGE, SEV_POLICY_SEV | SEV_POLICY_DOMAIN, NULL);
    const uint8_t *certs = host_amd_certs(pair.to, &len);
    refused(ops->get_identity(guest_cgs(&pair.destination), &pair.peer, &err), &err, path,
            "0 bytes", NULL);
    g_assert_true(g_file_set_contents(path, (const char *)certs, (gssize)len, NULL));
    must(ops->get_identity(guest_cgs(&pair.destination), &pair.peer, &err), &err);
    g_assert_cmpmem(pair.peer.amd->data, pair.peer.amd->len, certs, len);
    pair_clear(&pair);

    pair_init(&pair, PAGE, SEV_POLICY_SEV, NULL);
    must(pair_send_start(&pair, &err), &err);
    must(ops->send_cancel(guest_cgs(&pair.source), &err), &err);
    unlink(path);
    refused(pair_send_start(&pair, &err), &err, "policy 0x20", "/etc/sevmig/ask-ark.cert",
            "amd-cert-file", NULL);
    pair_clear(&pair);
    sev_kvm_amd_certs = SEV_KVM_AMD_CERTS;
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    sev_kvm_calls = (SevKvmCalls){double_vm_ioctl, double_sev_ioctl};

    g_test_add_func("/round-trip/single-pages", test_round_trip_single);
    g_test_add_func("/round-trip/four-pages", test_round_trip_four);
    g_test_add_func("/limits/probe", test_probe);
    g_test_add_func("/limits/backing", test_backing);
    g_test_add_func("/limits/fall-back", test_fall_back);
    g_test_add_func("/limits/contiguity", test_contiguity);
    g_test_add_func("/limits/bad-contiguity", test_bad_contiguity);
    g_test_add_func("/cancel", test_cancel);
    g_test_add_func("/errors/firmware", test_errors);
    g_test_add_func("/errors/kernel", test_kernel_errors);
    g_test_add_func("/errors/packet", test_bad_packet);
    g_test_add_func("/errors/session", test_wrong_session);
    g_test_add_func("/policy/no-send", test_no_send);
    g_test_add_func("/policy/other", test_other_policy);
    g_test_add_func("/policy/certified", test_certified);
    g_test_add_func("/policy/certified-by-host", test_certified_by_host);
    add_guest_tests();
    return g_test_run();
}
