/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu-double.h - what QEMU's KVM backend for SEV needs of the rest of QEMU
 *
 * A machine with RAM at [0, 1 MiB) and [4 MiB, 5 MiB), and a device's memory at 2 MiB; nothing
 * elsewhere.
 */
#ifndef QEMU_DOUBLE_H
#define QEMU_DOUBLE_H

#include "qemu/osdep.h"

#include "exec/memory.h"
#include "exec/ramblock.h"
#include "sev-kvm-internal.h"

#define RAM_BYTES (2 * 1024 * 1024u)
#define HIGH_RAM (4 * 1024 * 1024u)
#define DEVICE_MEMORY (2 * 1024 * 1024u)

/* The guest's RAM: one block, its upper half at HIGH_RAM. */
typedef struct {
    MemoryRegion mr, device_mr;
    RAMBlock rb, device_rb;
    unsigned long *dirty; /* a bit for each page of rb */
} Machine;

extern Machine machine;
void machine_init(void);
void machine_clear(void);

/* The smallest page that backs the RAM. */
extern long machine_backing_page_bytes;

/* A guest of QEMU. The cast of its address to the class below is how operations name it. */
typedef struct {
    SevKvm *kvm;
    SevState state;
    uint32_t handle;
} Guest;

static inline ConfidentialGuestSupport *
guest_cgs(Guest *guest)
{
    return (ConfidentialGuestSupport *)guest;
}

#endif
