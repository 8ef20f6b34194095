/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tiny guest: a multiboot kernel of one CPU that runs a load (../common/workload.h) on all of
 * its memory and tells about it on COM1. Parameters come with the command line:
 *   pattern=uniform|hot|scan|phases|idle rate=PAGES_PER_S ws=MIB run=PAGES cost=US
 *   verify=PAGES_PER_S phase=MS beat=MS seed=N
 */

#include <stddef.h>
#include <stdint.h>

#include "../common/workload.h"
#include "hw.h"

#define MULTIBOOT_LOADED 0x2badb002u
#define MULTIBOOT_HAS_MEMORY 0x1u
#define MULTIBOOT_HAS_CMDLINE 0x4u
#define HIGH_MEMORY 0x100000u
#define MOST_MEMORY 0xb0000000u
#define TICK_US 1000u
#define CALIBRATION_ROUNDS 20000u

struct multiboot_info {
    uint32_t flags, mem_lower_kib, mem_upper_kib, boot_device, cmdline;
};

extern char kernel_end[];
void tiny_main(uint32_t magic, const struct multiboot_info *info);
_Noreturn void tiny_exception(uint32_t vector, uint32_t error, uint32_t eip);
/* gcc may turn loops and structure assignments into calls of these */
void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);

static char cmdline[1024];
static struct workload load;

void *
memset(void *to, int c, size_t n)
{
    void *at = to;

    __asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
    return to;
}

void *
memcpy(void *to, const void *from, size_t n)
{
    void *at = to;

    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
    return to;
}

static void
print_hex(uint32_t n)
{
    char s[] = " 0x00000000";

    for (int i = 10; i > 2; i--, n >>= 4)
        s[i] = "0123456789abcdef"[n & 15];
    serial_print(s);
}

void
tiny_exception(uint32_t vector, uint32_t error, uint32_t eip)
{
    serial_print("\nfatal: exception, error code, address:");
    print_hex(vector);
    print_hex(error);
    print_hex(eip);
    serial_print("\n");
    halt_forever();
}

static _Noreturn void
fatal(const char *what, const char *detail)
{
    serial_print("\nfatal: ");
    serial_print(what);
    serial_print(detail);
    serial_print("\n");
    halt_forever();
}

/* The loader's strings may lie in the memory that is filled next. */
static void
save_cmdline(const struct multiboot_info *info)
{
    const char *from = (const char *)(uintptr_t)info->cmdline;

    if (!(info->flags & MULTIBOOT_HAS_CMDLINE))
        return;
    for (uint32_t i = 0; i < sizeof(cmdline) - 1 && from[i]; i++)
        cmdline[i] = from[i];
}

static uint32_t
calibrate_cost(uint32_t cost_us)
{
    uint32_t best_us = UINT32_MAX;

    for (uint32_t i = 0; i < 5; i++) {
        uint64_t start_us = clock_us();
        volatile uint32_t used = wl_burn(CALIBRATION_ROUNDS, i);
        uint32_t took_us = (uint32_t)(clock_us() - start_us);

        (void)used;
        if (took_us < best_us)
            best_us = took_us;
    }
    return (uint32_t)wl_div((uint64_t)cost_us * CALIBRATION_ROUNDS, best_us ? best_us : 1);
}

static void
place_load(const struct wl_params *params, uint32_t mem_upper_kib)
{
    uint32_t start = ((uint32_t)(uintptr_t)kernel_end + WL_PAGE_SIZE - 1) & ~(WL_PAGE_SIZE - 1);
    uint64_t end = HIGH_MEMORY + (uint64_t)mem_upper_kib * 1024;
    uint32_t pages, table_pages;

    if (end > MOST_MEMORY)
        end = MOST_MEMORY;
    if (end < (uint64_t)start + 16 * WL_PAGE_SIZE)
        fatal("too little memory", "");
    pages = ((uint32_t)end - start) / WL_PAGE_SIZE;
    table_pages = pages / WL_PAGE_WORDS + 1;
    wl_init(&load, params, (uint32_t *)(uintptr_t)(start + table_pages * WL_PAGE_SIZE),
            (uint32_t *)(uintptr_t)start, pages - table_pages);
}

static _Noreturn void
run(uint32_t beat_us)
{
    char line[WL_LINE_MAX];
    uint64_t seq = 0, next_beat_us = 0;

    for (;;) {
        uint64_t now_us = clock_us();

        if (now_us >= next_beat_us) {
            serial_write(line, wl_heartbeat(&load, line, seq++, now_us));
            next_beat_us += beat_us;
            if (next_beat_us <= now_us)
                next_beat_us = now_us + beat_us;
        }
        if (!wl_step(&load, now_us))
            idle();
    }
}

void
tiny_main(uint32_t magic, const struct multiboot_info *info)
{
    struct wl_params params;
    const char *bad;
    char line[WL_LINE_MAX];

    serial_init();
    serial_print("tiny: sevmig lab guest\n");
    if (magic != MULTIBOOT_LOADED || !(info->flags & MULTIBOOT_HAS_MEMORY))
        fatal("not loaded by a multiboot loader that tells the memory size", "");
    save_cmdline(info);
    wl_defaults(&params);
    if (!wl_parse(&params, cmdline, &bad))
        fatal("bad parameter: ", bad);
    clock_init();
    interrupts_init(TICK_US);
    params.cost_rounds = calibrate_cost(params.cost_us);
    place_load(&params, info->mem_upper_kib);
    serial_write(line, wl_ready(&load, line));
    run(params.beat_ms * 1000);
}
