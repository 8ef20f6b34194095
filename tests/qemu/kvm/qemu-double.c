/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qemu-double.h"

#include "exec/address-spaces.h"
#include "exec/cpu-common.h"
#include "qemu/bitmap.h"
#include "qemu/memalign.h"
#include "system/hostmem.h"
#include "system/kvm.h"

#define PAGE 4096

Machine machine;
long machine_backing_page_bytes;
KVMState *kvm_state;

void
machine_init(void)
{
    machine_backing_page_bytes = PAGE;
    machine.rb = (RAMBlock){
        .mr = &machine.mr, .used_length = RAM_BYTES, .max_length = RAM_BYTES, .idstr = "ram"};
    machine.rb.host = qemu_memalign(PAGE, RAM_BYTES);
    memset(machine.rb.host, 0, RAM_BYTES);
    machine.mr.ram = true;
    machine.mr.ram_block = &machine.rb;
    machine.device_rb = (RAMBlock){.mr = &machine.device_mr, .used_length = PAGE};
    machine.device_mr.ram = machine.device_mr.ram_device = true;
    machine.device_mr.ram_block = &machine.device_rb;
    machine.dirty = bitmap_new(RAM_BYTES / PAGE);
}

void
machine_clear(void)
{
    qemu_vfree(machine.rb.host);
    g_free(machine.dirty);
}

MemoryRegion *
get_system_memory(void)
{
    static MemoryRegion system_memory;

    return &system_memory;
}

/* The first of the three ranges that overlaps with [addr, addr + size). */
MemoryRegionSection
memory_region_find(MemoryRegion *mr, hwaddr addr, uint64_t size)
{
    const struct {
        hwaddr start, len;
        MemoryRegion *mr;
        hwaddr offset;
    } map[] = {
        {0, RAM_BYTES / 2, &machine.mr, 0},
        {DEVICE_MEMORY, PAGE, &machine.device_mr, 0},
        {HIGH_RAM, RAM_BYTES / 2, &machine.mr, RAM_BYTES / 2},
    };

    g_assert_true(mr == get_system_memory());
    for (size_t i = 0; i < G_N_ELEMENTS(map); i++) {
        hwaddr start = MAX(addr, map[i].start);
        hwaddr end = MIN(addr + size, map[i].start + map[i].len);
        if (start < end) {
            memory_region_ref(map[i].mr);
            return (MemoryRegionSection){
                .mr = map[i].mr,
                .size = int128_make64(end - start),
                .offset_within_region = map[i].offset + start - map[i].start,
                .offset_within_address_space = start,
            };
        }
    }
    return (MemoryRegionSection){.mr = NULL, .size = int128_zero()};
}

void
memory_region_ref(MemoryRegion *mr)
{
    mr->priority++; /* not used for anything else here */
}

void
memory_region_unref(MemoryRegion *mr)
{
    g_assert_cmpint(mr->priority--, >, 0);
}

bool
memory_region_is_ram_device(MemoryRegion *mr)
{
    return mr->ram_device;
}

void
memory_region_set_dirty(MemoryRegion *mr, hwaddr addr, hwaddr size)
{
    g_assert_true(mr == &machine.mr);
    g_assert_cmpuint(addr + size, <=, RAM_BYTES);
    bitmap_set(machine.dirty, addr / PAGE, size / PAGE);
}

RAMBlock *
qemu_ram_block_from_host(void *ptr, bool round_offset, ram_addr_t *offset)
{
    uint8_t *p = ptr;

    *offset = 0;
    return p >= machine.rb.host && p < machine.rb.host + RAM_BYTES ? &machine.rb : NULL;
}

long
qemu_minrampagesize(void)
{
    return machine_backing_page_bytes;
}

/* The seam is above it. */
int
kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
    g_assert_not_reached();
}

SevKvm *
sev_guest_get_kvm(ConfidentialGuestSupport *cgs)
{
    return ((Guest *)cgs)->kvm;
}

void
sev_guest_set_state(ConfidentialGuestSupport *cgs, SevState state)
{
    ((Guest *)cgs)->state = state;
}

void
sev_guest_set_handle(ConfidentialGuestSupport *cgs, uint32_t handle)
{
    ((Guest *)cgs)->handle = handle;
}
