/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What KVM's SEND_UPDATE_DATA and RECEIVE_UPDATE_DATA need of the kernel, as a user program
 *
 * The functions under test are taken out of the kernel's source as they stand. Guest memory is an
 * array of page frames: only their physical addresses count, user addresses are numbers that
 * pin_user_pages_fast() looks up.
 */
#ifndef KVM_STUBS_H
#define KVM_STUBS_H

#include <asm/kvm.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#define __packed __attribute__((packed))
#define __user
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define GFP_KERNEL_ACCOUNT 0
#define FOLL_WRITE 1u
#define CAP_IPC_LOCK 0
#define RLIMIT_MEMLOCK 0

#define ERR_PTR(error) ((void *)(intptr_t)(error))
#define PTR_ERR(pointer) ((int)(intptr_t)(pointer))
#define IS_ERR(pointer) ((uintptr_t)(pointer) >= (uintptr_t)-4095)
#define lockdep_assert_held(lock) ((void)(lock))
#define pr_err(...) ((void)0)
#define capable(capability) false
#define rlimit(limit) memlock_bytes
#define __vmalloc(size, flags) malloc(size)
#define kmalloc(size, flags) malloc(size)
#define kzalloc(size, flags) calloc(1, size)
#define kfree(pointer) free(pointer)
#define kvfree(pointer) free(pointer)
#define u64_to_user_ptr(address) ((void *)(uintptr_t)(address))
#define copy_from_user(to, from, size) (memcpy(to, from, size), 0UL)
#define copy_to_user(to, from, size) (user_read_only ? (size) : (memcpy(to, from, size), 0UL))
#define put_user(value, to) (user_read_only ? -EFAULT : (*(to) = (value), 0))
#define offset_in_page(address) ((unsigned long)(address) & ~PAGE_MASK)
#define page_to_pfn(page) ((page)->pfn)
#define __sme_page_pa(page) ((page)->pfn << PAGE_SHIFT)
#define __psp_pa(pointer) ((uintptr_t)(pointer))

struct page {
    unsigned long pfn;
    unsigned int pins;
    unsigned int pin_flags;
    bool flushed;
};

struct kvm {
    int lock;
};

struct kvm_sev_info {
    bool active;
    unsigned int handle;
    unsigned long pages_locked;
};

struct kvm_svm {
    struct kvm kvm;
    struct kvm_sev_info sev_info;
};

#define to_kvm_svm(pointer) ((struct kvm_svm *)(pointer))
#define sev_guest(kvm) (to_kvm_svm(kvm)->sev_info.active)

enum { SEV_CMD_SEND_UPDATE_DATA = 0x41, SEV_CMD_RECEIVE_UPDATE_DATA = 0x51 };

static const unsigned long sev_me_mask = 1UL << 51;
static unsigned long memlock_bytes;
static bool user_read_only;

static int pin_user_pages_fast(unsigned long address, int count, unsigned int flags,
                               struct page **pages);
static void unpin_user_pages(struct page **pages, unsigned long count);
static void sev_clflush_pages(struct page *pages[], unsigned long count);
static int sev_issue_cmd(struct kvm *kvm, int id, void *data, int *error);

static inline void *
memdup_user(const void *from, size_t size)
{
    void *copy = malloc(size);
    return copy ? memcpy(copy, from, size) : ERR_PTR(-ENOMEM);
}

#endif
