/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sev-double.h - a kernel with SEV, at its ioctls, for tests of QEMU's KVM backend
 *
 * Checks every field of every call against the system's <linux/kvm.h>, <asm/kvm.h> and
 * <linux/psp-sev.h> and ends the test when one is wrong, as a kernel would not; then answers as
 * Linux does, with what swpsp's core makes of the command. A host is one kernel, one secure
 * processor and one guest; the device's file descriptor tells hosts apart.
 *
 * This header knows nothing of QEMU and needs nothing of swpsp.
 */
#ifndef SEV_DOUBLE_H
#define SEV_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOUBLE_PAGE 4096u
#define DOUBLE_BLOB 16384u /* SEV_FW_BLOB_MAX_SIZE */

typedef struct Host Host;

/* A kernel that takes so many bytes in a command: DOUBLE_PAGE is Linux as published. */
Host *host_new(uint32_t command_bytes);
void host_free(Host *host);
int host_fd(const Host *host);

/* KVM_SEV_LAUNCH_START to _FINISH, which QEMU's sev.c issues. */
void host_launch(Host *host, uint32_t policy);

/*
 * Memory that KVM_MEMORY_ENCRYPT_REG_REGION has pinned: commands may be about no other, except
 * before the guest exists. Physically it is contiguous up to `breaks_at` (0: everywhere).
 */
void host_pin(Host *host, void *memory, size_t len);
void host_break_at(Host *host, const void *address);

/* The next command with this KVM_SEV_ number, after `after` more, fails so. */
void host_fail_firmware(Host *host, uint32_t id, unsigned after, uint32_t sev_ret);
void host_fail_kernel(Host *host, uint32_t id, int error_number);

/* How often a command has been issued. */
unsigned host_count(const Host *host, uint32_t id);

/* Whether the firmware thinks that the guest runs here. */
bool host_guest_runs(const Host *host);

/* AMD's certificates for this host's processor; `len` bytes, owned by the host. */
const uint8_t *host_amd_certs(const Host *host, size_t *len);

/* The ioctls. */
int double_vm_ioctl(unsigned long request, void *arg);
int double_sev_ioctl(int sev_fd, unsigned long request, void *arg);

#endif
