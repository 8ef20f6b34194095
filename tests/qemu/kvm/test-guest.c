/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test-guest.c - what the guest says of its pages, and how the destination learns it
 */
#include "support.h"

#include "qemu/bitmap.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "stream-double.h"

#define SHARED 0
#define PRIVATE KVM_MAP_GPA_RANGE_ENCRYPTED

static unsigned long *
shared_of(Guest *guest)
{
    Error *err = NULL;
    unsigned long *shared = bitmap_new(RAM_PAGES);

    must(ops->get_shared(guest_cgs(guest), &machine.rb, shared, &err), &err);
    return shared;
}

static void
only(const unsigned long *bitmap, unsigned first, unsigned n)
{
    g_autofree unsigned long *expected = bitmap_new(RAM_PAGES);

    bitmap_set(expected, first, n);
    g_assert_true(bitmap_equal(bitmap, expected, RAM_PAGES));
}

static void
test_shared(void)
{
    Pair pair;
    SevKvm *kvm;

    pair_init(&pair, PAGE, 0, NULL);
    kvm = pair.source.kvm;
    g_assert_true(sev_kvm_set_migration_control(kvm, KVM_MIGRATION_READY));
    g_autofree unsigned long *none = shared_of(&pair.source);
    only(none, 0, 0);
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, 16 * PAGE, 8, PRIVATE), ==, 0);
    g_autofree unsigned long *still_none = shared_of(&pair.source);
    only(still_none, 0, 0);

    bitmap_zero(machine.dirty, RAM_PAGES);
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, 16 * PAGE, 8, SHARED), ==, 0);
    g_autofree unsigned long *eight = shared_of(&pair.source);
    only(eight, 16, 8);
    only(machine.dirty, 16, 8);

    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, 16 * PAGE, 3, PRIVATE), ==, 0);
    g_autofree unsigned long *five = shared_of(&pair.source);
    only(five, 19, 5);

    /* All of the address space: the holes and the device's memory are nobody's pages */
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, 0, 1 << 20, PRIVATE), ==, 0);
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, 0, UINT64_C(1) << 40, SHARED), ==, 0);
    g_autofree unsigned long *all = shared_of(&pair.source);
    only(all, 0, RAM_PAGES);
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, 0, UINT64_C(1) << 40, PRIVATE), ==, 0);

    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, HIGH_RAM + PAGE, 2, SHARED), ==, 0);
    g_autofree unsigned long *high = shared_of(&pair.source);
    only(high, RAM_PAGES / 2 + 1, 2);
    g_assert_cmpint(machine.mr.priority | machine.device_mr.priority, ==, 0);
    pair_clear(&pair);
}

static void
test_shared_refused(void)
{
    Pair pair;

    pair_init(&pair, PAGE, 0, NULL);
    SevKvm *kvm = pair.source.kvm;
    g_assert_true(sev_kvm_set_migration_control(kvm, KVM_MIGRATION_READY));
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, PAGE + 1, 1, SHARED), ==, -EINVAL);
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, PAGE, 0, SHARED), ==, -EINVAL);
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, PAGE, UINT64_MAX / PAGE, SHARED), ==, -EINVAL);
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, PAGE, UINT64_MAX, SHARED), ==, -EINVAL);
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, PAGE, 1, 1 << 5), ==, -EINVAL);
    g_autofree unsigned long *none = shared_of(&pair.source);
    only(none, 0, 0);
    pair_clear(&pair);
}

/* The list comes with the guest, and is forgotten by a reset, which dirties what it knew. */
static void
test_shared_moves(void)
{
    Pair pair;
    Error *err = NULL;
    g_autofree unsigned long *none = bitmap_new(RAM_PAGES);

    pair_init(&pair, PAGE, 0, NULL);
    pair_start(&pair);
    ops->set_shared(guest_cgs(&pair.destination), &machine.rb, 40, 10, true);
    ops->set_shared(guest_cgs(&pair.destination), &machine.rb, 45, 5, false);
    must(ops->receive_finish(guest_cgs(&pair.destination), &err), &err);
    g_autofree unsigned long *moved = shared_of(&pair.destination);
    only(moved, 40, 5);

    bitmap_zero(machine.dirty, RAM_PAGES);
    sev_kvm_reset(pair.destination.kvm);
    g_assert_true(test_bit(40, machine.dirty));
    refused(ops->get_shared(guest_cgs(&pair.destination), &machine.rb, none, &err), &err, "reset",
            NULL);
    g_assert_true(sev_kvm_set_migration_control(pair.destination.kvm, KVM_MIGRATION_READY));
    g_autofree unsigned long *after = shared_of(&pair.destination);
    only(after, 0, 0);
    pair_clear(&pair);
}

/* Memory that is unplugged takes its pages along; other memory may come in its place. */
static void
test_unplugged(void)
{
    Pair pair;

    pair_init(&pair, PAGE, 0, NULL);
    SevKvm *kvm = pair.source.kvm;
    g_assert_true(sev_kvm_set_migration_control(kvm, KVM_MIGRATION_READY));
    g_assert_cmpint(sev_kvm_map_gpa_range(kvm, 0, 4, SHARED), ==, 0);
    sev_kvm_forget(kvm, machine.rb.host);
    g_autofree unsigned long *none = shared_of(&pair.source);
    only(none, 0, 0);
    pair_clear(&pair);
}

static void
test_ready(void)
{
    Pair pair;
    Error *err = NULL;

    pair_init(&pair, PAGE, 0, NULL);
    SevKvm *kvm = pair.source.kvm;
    refused(ops->can_send(guest_cgs(&pair.source), &err), &err, "sev0: ", "has not said",
            "MSR_KVM_MIGRATION_CONTROL", NULL);
    g_assert_cmpuint(sev_kvm_get_migration_control(kvm), ==, 0);
    g_assert_false(sev_kvm_set_migration_control(kvm, 2)); /* a reserved bit: #GP */
    g_assert_true(sev_kvm_set_migration_control(kvm, 1));
    g_assert_cmpuint(sev_kvm_get_migration_control(kvm), ==, 1);
    g_assert_true(ops->can_send(guest_cgs(&pair.source), NULL));
    g_assert_true(sev_kvm_set_migration_control(kvm, 0));
    g_assert_false(ops->can_send(guest_cgs(&pair.source), NULL));
    g_assert_cmpuint(sev_kvm_cpuid_features(kvm), ==, 1 << 16 | 1 << 17);
    pair_clear(&pair);
}

/* Without KVM_CAP_EXIT_HYPERCALL the guest is not told that it may, and cannot be migrated. */
static void
test_silent_guest(void)
{
    Host *host = host_new(PAGE);
    Error *err = NULL;
    Guest guest = {.kvm = sev_kvm_new("sev0", host_fd(host), 0, NULL, false, false)};

    g_assert_cmpuint(sev_kvm_cpuid_features(guest.kvm), ==, 0);
    refused(ops->can_send(guest_cgs(&guest), &err), &err, "sev0: ", "KVM_CAP_EXIT_HYPERCALL", NULL);
    sev_kvm_free(guest.kvm);
    host_free(host);
}

/* Nor is a guest that has been told taken in. */
static void
test_deaf_destination(void)
{
    Pair pair;
    Error *err = NULL;

    pair_init(&pair, PAGE, 0, NULL);
    must(pair_send_start(&pair, &err), &err);
    sev_kvm_free(pair.destination.kvm);
    pair.destination.kvm = sev_kvm_new("sev0", host_fd(pair.to), 0, NULL, true, false);
    refused(ops->receive_start(guest_cgs(&pair.destination), &pair.session, &err), &err,
            "sev0: ", "KVM_CAP_EXIT_HYPERCALL", "KVM_CAP_X86_USER_SPACE_MSR", NULL);
    g_assert_cmpuint(host_count(pair.to, KVM_SEV_RECEIVE_START), ==, 0);
    pair_clear(&pair);
}

/* KVM flushes no caches before it has the firmware read what the guest wrote. */
static void
test_incoherent_processor(void)
{
    Pair pair;
    Error *err = NULL;

    pair_init(&pair, PAGE, 0, NULL);
    g_assert_true(sev_kvm_set_migration_control(pair.source.kvm, KVM_MIGRATION_READY));
    g_assert_true(ops->can_send(guest_cgs(&pair.source), NULL));
    sev_kvm_set_incoherent(pair.source.kvm);
    refused(ops->can_send(guest_cgs(&pair.source), &err), &err, "sev0: ", "SME_COHERENT",
            "cannot be sent from here", NULL);
    sev_kvm_set_incoherent(pair.destination.kvm); /* may receive all the same */
    must(pair_send_start(&pair, &err), &err);
    must(ops->receive_start(guest_cgs(&pair.destination), &pair.session, &err), &err);
    pair_clear(&pair);
}

/* The guest's firmware, which is not RAM, is private once it has been encrypted. */
static void
test_private_firmware(void)
{
    Pair pair;

    pair_init(&pair, PAGE, 0, NULL);
    g_assert_false(ops->block_is_private(guest_cgs(&pair.source), &machine.rb));
    sev_kvm_add_private(pair.source.kvm, machine.rb.host + 3 * PAGE);
    g_assert_true(ops->block_is_private(guest_cgs(&pair.source), &machine.rb));
    g_assert_false(ops->block_is_private(guest_cgs(&pair.destination), &machine.rb));
    pair_clear(&pair);
}

/* The list on the wire (migration/sev-pages-shared.c) */

/* Takes what is on the stream to the destination. */
static bool
list_load(Pair *pair, Error **errp)
{
    stream_guest = &pair->destination;
    sev_shared_begin();
    return sev_shared_load(stream_file(), &machine.rb, errp);
}

static void
list_begin(Pair *pair)
{
    pair_init(pair, PAGE, 0, NULL);
    g_assert_true(sev_kvm_set_migration_control(pair->source.kvm, KVM_MIGRATION_READY));
    pair_start(pair);
    stream_init();
    stream_guest = &pair->source;
    sev_shared_begin();
}

static void
list_end(Pair *pair)
{
    sev_shared_end();
    stream_clear();
    pair_clear(pair);
}

/* Sets apart the front of a record, which the loader has read before it calls. */
static void
record_front(void)
{
    g_assert_cmpuint(stream_get_be64(), ==, 0x800); /* the block, RAM_SAVE_FLAG_ENCRYPTED */
    g_assert_cmpuint(stream_get_byte(), ==, SEV_PAGES_SHARED);
}

/* What one guest declares, the other knows; it is told once, and only after a sync again. */
static void
test_list(void)
{
    Pair pair;
    Error *err = NULL;

    list_begin(&pair);
    g_assert_cmpint(sev_kvm_map_gpa_range(pair.source.kvm, 3 * PAGE, 5, SHARED), ==, 0);
    g_assert_cmpint(sev_kvm_map_gpa_range(pair.source.kvm, HIGH_RAM, 1, SHARED), ==, 0);
    g_assert_cmpint(sev_shared_update(stream_file()), ==, 0);
    g_assert_true(stream_collected); /* nothing was in flight when the list changed */
    g_assert_true(sev_page_is_shared(&machine.rb, 3));
    g_assert_false(sev_page_is_shared(&machine.rb, 8));
    g_assert_cmpuint(sev_next_shared(&machine.rb, 8, RAM_PAGES), ==, RAM_PAGES / 2);
    const size_t len = stream_len();
    g_assert_cmpint(sev_kvm_map_gpa_range(pair.source.kvm, 0, 1, SHARED), ==, 0);
    g_assert_cmpint(sev_shared_update(stream_file()), ==, 0);
    g_assert_cmpuint(stream_len(), ==, len);
    sev_pages_synced();
    g_assert_cmpint(sev_kvm_map_gpa_range(pair.source.kvm, 3 * PAGE, 1, PRIVATE), ==, 0);
    g_assert_cmpint(sev_shared_update(stream_file()), ==, 0);
    g_assert_cmpuint(stream_len(), >, len);
    g_assert_true(sev_page_is_shared(&machine.rb, 0));
    g_assert_false(sev_page_is_shared(&machine.rb, 3));

    record_front();
    must(list_load(&pair, &err), &err);
    record_front();
    must(sev_shared_load(stream_file(), &machine.rb, &err), &err);
    g_assert_cmpuint(stream_len(), ==, 0);
    g_assert_true(sev_page_is_shared(&machine.rb, 4));
    must(ops->receive_finish(guest_cgs(&pair.destination), &err), &err);
    g_autofree unsigned long *here = shared_of(&pair.source);
    g_autofree unsigned long *there = shared_of(&pair.destination);
    g_assert_true(bitmap_equal(here, there, RAM_PAGES));
    g_assert_true(test_bit(0, there));
    list_end(&pair);
}

/* As docs/devel/migration/sev.rst has it. */
static void
test_list_format(void)
{
    Pair pair;

    list_begin(&pair);
    g_assert_cmpint(sev_kvm_map_gpa_range(pair.source.kvm, 3 * PAGE, 5, SHARED), ==, 0);
    g_assert_cmpint(sev_shared_update(stream_file()), ==, 0);
    record_front();
    g_assert_cmpuint(stream_get_be32(), ==, 1);
    g_assert_cmpuint(stream_get_be64(), ==, 3);
    g_assert_cmpuint(stream_get_be64(), ==, 5);
    g_assert_cmpuint(stream_get_byte(), ==, 1);
    g_assert_cmpuint(stream_len(), ==, 0);

    sev_pages_synced();
    g_assert_cmpint(sev_kvm_map_gpa_range(pair.source.kvm, 4 * PAGE, 1, PRIVATE), ==, 0);
    g_assert_cmpint(sev_kvm_map_gpa_range(pair.source.kvm, 5 * PAGE, 9, SHARED), ==, 0);
    g_assert_cmpint(sev_shared_update(stream_file()), ==, 0);
    record_front();
    g_assert_cmpuint(stream_get_be32(), ==, 2);
    g_assert_cmpuint(stream_get_be64(), ==, 4);
    g_assert_cmpuint(stream_get_be64(), ==, 1);
    g_assert_cmpuint(stream_get_byte(), ==, 0);
    g_assert_cmpuint(stream_get_be64(), ==, 8);
    g_assert_cmpuint(stream_get_be64(), ==, 6);
    g_assert_cmpuint(stream_get_byte(), ==, 1);
    list_end(&pair);
}

static void
test_bad_ranges(void)
{
    static const struct {
        uint64_t page, n_pages;
        uint8_t shared;
    } bad[] = {
        {RAM_PAGES, 1, 1},  {RAM_PAGES - 1, 2, 1}, {0, 0, 1}, {0, RAM_PAGES + 1, 1},
        {1, UINT64_MAX, 0}, {UINT64_MAX, 1, 0},    {0, 1, 2},
    };
    Pair pair;
    Error *err = NULL;

    list_begin(&pair);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        qemu_put_be32(stream_file(), 1);
        qemu_put_be64(stream_file(), bad[i].page);
        qemu_put_be64(stream_file(), bad[i].n_pages);
        qemu_put_byte(stream_file(), bad[i].shared);
        refused(list_load(&pair, &err), &err, "shared pages of ram", "status", NULL);
    }
    qemu_put_be32(stream_file(), RAM_PAGES + 1);
    refused(list_load(&pair, &err), &err, "shared pages of ram", "ranges", NULL);
    qemu_put_be32(stream_file(), 1);
    refused(list_load(&pair, &err), &err, "shared pages of ram is cut short", NULL);
    list_end(&pair);
}

/* A guest that is reset while it is migrated has no list to go by. */
static void
test_list_unready(void)
{
    Pair pair;

    list_begin(&pair);
    sev_kvm_reset(pair.source.kvm);
    g_assert_cmpint(sev_shared_update(stream_file()), <, 0);
    g_assert_nonnull(strstr(stream_error(), "sev0: the guest has been reset"));
    list_end(&pair);
}

void
add_guest_tests(void)
{
    g_test_add_func("/guest/shared", test_shared);
    g_test_add_func("/guest/shared-refused", test_shared_refused);
    g_test_add_func("/guest/shared-moves", test_shared_moves);
    g_test_add_func("/guest/unplugged", test_unplugged);
    g_test_add_func("/guest/ready", test_ready);
    g_test_add_func("/guest/silent", test_silent_guest);
    g_test_add_func("/guest/deaf-destination", test_deaf_destination);
    g_test_add_func("/guest/incoherent", test_incoherent_processor);
    g_test_add_func("/guest/firmware", test_private_firmware);
    g_test_add_func("/stream/list", test_list);
    g_test_add_func("/stream/format", test_list_format);
    g_test_add_func("/stream/bad-ranges", test_bad_ranges);
    g_test_add_func("/stream/unready", test_list_unready);
}
