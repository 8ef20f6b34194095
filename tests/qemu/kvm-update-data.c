/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the kernel's SEND_UPDATE_DATA and RECEIVE_UPDATE_DATA against a firmware of a few lines
 *
 * kvm-sev.inc is what test_kernel.py takes out of the kernel's source, with or without the patches.
 * The firmware works on physical addresses alone: a command that runs past contiguous memory
 * reaches a frame of somebody else, which is not pinned.
 */
#include "kvm-stubs.h"

#include "kvm-sev.inc"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { GUEST_PAGES = 8, FRAMES = 32, HEADER_BYTES = 52, LENGTH_ERROR = 4 };

static const unsigned long guest_uaddr = 0x7f0000000000;
static struct page guest[GUEST_PAGES];
static u8 frames[FRAMES][PAGE_SIZE];
static struct kvm_svm svm;
static unsigned int n_commands;
static bool started;

static int
pin_user_pages_fast(unsigned long address, int count, unsigned int flags, struct page **pages)
{
    unsigned long first = (address - guest_uaddr) >> PAGE_SHIFT;
    int i;

    for (i = 0; i < count && first + i < GUEST_PAGES; i++) {
        pages[i] = &guest[first + i];
        pages[i]->pins++;
        pages[i]->pin_flags = flags;
    }
    return i;
}

static void
unpin_user_pages(struct page **pages, unsigned long count)
{
    for (unsigned long i = 0; i < count; i++)
        pages[i]->pins--;
}

static void
sev_clflush_pages(struct page *pages[], unsigned long count)
{
    for (unsigned long i = 0; i < count; i++)
        pages[i]->flushed = true;
}

static const struct page *
page_of_frame(unsigned long pfn)
{
    for (int i = 0; i < GUEST_PAGES; i++) {
        if (guest[i].pfn == pfn)
            return &guest[i];
    }
    return NULL;
}

/* The memory of a command, which must be encrypted, pinned and, to be written, flushed before. */
static u8 *
firmware_memory(u64 address, u32 length, bool write)
{
    unsigned long physical = address & ~sev_me_mask;

    CHECK(address & sev_me_mask);
    for (unsigned long pfn = physical >> PAGE_SHIFT; pfn <= (physical + length - 1) >> PAGE_SHIFT;
         pfn++) {
        const struct page *page = page_of_frame(pfn);

        CHECK(page && page->pins == 1);
        CHECK(!write || ((page->pin_flags & FOLL_WRITE) && page->flushed));
    }
    return &frames[0][0] + physical;
}

static int
sev_issue_cmd(struct kvm *kvm, int id, void *command, int *error)
{
    struct sev_data_send_update_data *data = command;
    u8 *memory, *packet;

    CHECK(sizeof(*data) == sizeof(struct sev_data_receive_update_data));
    if (!started)
        return -EBADF;
    n_commands++;
    CHECK(data->handle == to_kvm_svm(kvm)->sev_info.handle);
    if (!data->hdr_len || !data->trans_len) {
        data->hdr_len = HEADER_BYTES;
        *error = LENGTH_ERROR;
        return -EIO;
    }
    CHECK(data->hdr_len == HEADER_BYTES && data->trans_len == data->guest_len);
    memory =
        firmware_memory(data->guest_address, data->guest_len, id == SEV_CMD_RECEIVE_UPDATE_DATA);
    packet = (u8 *)(uintptr_t)data->trans_address;
    for (u32 i = 0; i < data->guest_len; i++) {
        if (id == SEV_CMD_SEND_UPDATE_DATA)
            packet[i] = memory[i] ^ 0x5a;
        else
            memory[i] = packet[i] ^ 0x5a;
    }
    return 0;
}

/* The guest's pages in the frames from 4 on, with a gap before each page named in gaps (a mask). */
static void
set_up(unsigned int gaps)
{
    unsigned long pfn = 4;

    memset(&svm, 0, sizeof(svm));
    svm.sev_info.active = true;
    svm.sev_info.handle = 7;
    n_commands = 0;
    started = true;
    user_read_only = false;
    memlock_bytes = GUEST_PAGES * PAGE_SIZE;
    for (int i = 0; i < GUEST_PAGES; i++) {
        pfn += gaps >> i & 1 ? 2 : 1;
        guest[i] = (struct page){.pfn = pfn};
        memset(frames[pfn], 'a' + i, PAGE_SIZE);
    }
}

/* Whatever a command came to, nothing stays pinned. */
static void
check_released(void)
{
    CHECK(svm.sev_info.pages_locked == 0);
    for (int i = 0; i < GUEST_PAGES; i++)
        CHECK(guest[i].pins == 0);
}

static u8 header[HEADER_BYTES];
static u8 packet[2 * SEV_FW_BLOB_MAX_SIZE];

/* One command; *length is guest_len before and after. */
static int
update(bool receive, unsigned long offset, u32 *length)
{
    struct kvm_sev_send_update_data params = {
        .hdr_uaddr = (uintptr_t)header,
        .hdr_len = sizeof(header),
        .guest_uaddr = guest_uaddr + offset,
        .guest_len = *length,
        .trans_uaddr = (uintptr_t)packet,
        .trans_len = *length,
    };
    struct kvm_sev_receive_update_data receive_params;
    struct kvm_sev_cmd command = {.data = (uintptr_t)(receive ? (void *)&receive_params : &params)};
    int result;

    CHECK(sizeof(params) == sizeof(receive_params));
    memcpy(&receive_params, &params, sizeof(params));
    result = receive ? sev_receive_update_data(&svm.kvm, &command)
                     : sev_send_update_data(&svm.kvm, &command);
    *length = receive ? receive_params.guest_len : params.guest_len;
    check_released();
    return result;
}

/* Sends a region, loses it, receives it again. */
static void
check_round_trip(unsigned long offset, u32 length)
{
    u32 sent = length, received = length;
    unsigned long first = offset >> PAGE_SHIFT, in_page = offset_in_page(offset);

    CHECK(update(false, offset, &sent) == 0 && sent == length);
    memset(frames[guest[first].pfn] + in_page, 0, length);
    CHECK(update(true, offset, &received) == 0 && received == length);
    for (u32 i = 0; i < length; i++) {
        unsigned long page = (offset + i) >> PAGE_SHIFT;

        CHECK(frames[guest[page].pfn][offset_in_page(offset + i)] == 'a' + page);
    }
    CHECK(n_commands == 2);
}

static void
check_refused(bool receive, unsigned long offset, u32 length, int error)
{
    u32 after = length;

    CHECK(update(receive, offset, &after) == error && after == length);
    CHECK(n_commands == 0);
}

/* What every kernel does: regions within a page, the query, errors that do not depend on length. */
static void
test_one_page(void)
{
    struct kvm_sev_send_update_data params = {.guest_len = 123};
    struct kvm_sev_cmd command = {.data = (uintptr_t)&params};

    set_up(~0u);
    check_round_trip(PAGE_SIZE, PAGE_SIZE);
    set_up(~0u);
    check_round_trip(2 * PAGE_SIZE + 512, 1024);
    set_up(0);
    CHECK(sev_send_update_data(&svm.kvm, &command) == -EIO && command.error == LENGTH_ERROR);
    CHECK(params.hdr_len == HEADER_BYTES && params.guest_len == 123);
    for (int receive = 0; receive < 2; receive++) {
        set_up(0);
        check_refused(receive, 512, PAGE_SIZE, -EINVAL);
        check_refused(receive, 0, SEV_FW_BLOB_MAX_SIZE + 16, -EINVAL);
        check_refused(receive, 0, UINT_MAX, -EINVAL);
        memlock_bytes = 0;
        check_refused(receive, 0, PAGE_SIZE, -ENOMEM);
        svm.sev_info.active = false;
        check_refused(receive, 0, 2 * PAGE_SIZE, receive ? -EINVAL : -ENOTTY);
    }
}

/* What tells a kernel without the patches: EINVAL, before anything else is looked at. */
static void
test_unpatched(void)
{
    for (int receive = 0; receive < 2; receive++) {
        set_up(0);
        check_refused(receive, 0, 2 * PAGE_SIZE, -EINVAL);
        started = false;
        check_refused(receive, 0, 2 * PAGE_SIZE, -EINVAL);
    }
}

static void
test_many_pages(void)
{
    for (u32 pages = 2; pages <= SEV_FW_BLOB_MAX_SIZE / PAGE_SIZE; pages++) {
        set_up(0);
        check_round_trip(PAGE_SIZE, pages * PAGE_SIZE);
    }
    set_up(1 << 1 | 1 << 3);
    check_round_trip(PAGE_SIZE, 2 * PAGE_SIZE);
    set_up(0);
    check_round_trip(0, PAGE_SIZE + 16);
}

/* EXDEV says how much is contiguous; taking its word, the region goes through in parts. */
static void
test_split(void)
{
    for (int receive = 0; receive < 2; receive++) {
        for (u32 contiguous = 1; contiguous < 4; contiguous++) {
            u32 length = 4 * PAGE_SIZE, rest;

            set_up(1u << contiguous);
            CHECK(update(receive, 0, &length) == -EXDEV && length == contiguous * PAGE_SIZE);
            CHECK(n_commands == 0 && frames[guest[0].pfn][0] == 'a');
            CHECK(update(receive, 0, &length) == 0 && n_commands == 1);
            rest = 4 * PAGE_SIZE - length;
            CHECK(update(receive, length, &rest) == 0 && n_commands == 2);
        }
    }
}

/* The probe: before START there is no firmware to talk to, so that the length is all that counts.
 */
static void
test_probe(void)
{
    for (int receive = 0; receive < 2; receive++) {
        set_up(0);
        started = false;
        check_refused(receive, 0, 2 * PAGE_SIZE, -EBADF);
    }
}

static void
test_errors(void)
{
    for (int receive = 0; receive < 2; receive++) {
        set_up(1 << 1);
        user_read_only = true;
        check_refused(receive, 0, 2 * PAGE_SIZE, -EFAULT);
        set_up(0);
        memlock_bytes = 3 * PAGE_SIZE;
        check_refused(receive, 0, 4 * PAGE_SIZE, -ENOMEM);
        set_up(0);
        check_refused(receive, (GUEST_PAGES - 1) * PAGE_SIZE, 2 * PAGE_SIZE, -ENOMEM);
    }
}

int
main(int argc, char **argv)
{
    test_one_page();
    if (argc > 1 && strcmp(argv[1], "unpatched") == 0) {
        test_unpatched();
    } else {
        test_many_pages();
        test_split();
        test_probe();
        test_errors();
    }
    return 0;
}
