/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hw.h"

#include "../common/workload.h"

enum {
    COM1 = 0x3f8,
    UART_LSR = COM1 + 5,
    UART_LSR_THRE = 0x20,
    UART_FIFO_BYTES = 16,

    PIC1 = 0x20,
    PIC2 = 0xa0,
    TIMER_VECTOR = 0x20,

    PIT_CH0 = 0x40,
    PIT_CH2 = 0x42,
    PIT_MODE = 0x43,
    PIT_GATE = 0x61,
    PIT_HZ = 1193182,

    CALIBRATION_MS = 10,
    CALIBRATION_ROUNDS = 5,
    CODE_SELECTOR = 0x08,
    INTERRUPT_GATE = 0x8e,
    EXCEPTIONS = 32,
    STUB_BYTES = 16,
};

struct gate {
    uint16_t offset_low, selector;
    uint8_t zero, type;
    uint16_t offset_high;
} __attribute__((packed));

extern char exception_stubs[], timer_stub[], ignore_stub[];
void tiny_exception(uint32_t vector, uint32_t error, uint32_t eip);

static struct gate idt[256];
static uint32_t tsc_khz;
static uint64_t tsc_start;

static inline void
outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t
inb(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t
rdtsc(void)
{
    uint64_t tsc;

    __asm__ volatile("rdtsc" : "=A"(tsc));
    return tsc;
}

void
serial_init(void)
{
    outb(COM1 + 1, 0x00); /* no interrupts */
    outb(COM1 + 3, 0x80); /* divisor: 115200 */
    outb(COM1 + 0, 0x01);
    outb(COM1 + 1, 0x00);
    outb(COM1 + 3, 0x03); /* 8n1 */
    outb(COM1 + 2, 0x07); /* FIFOs on and empty */
    outb(COM1 + 4, 0x03);
}

void
serial_write(const char *data, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        /* an empty FIFO takes 16 bytes, so that one look is enough for them */
        if (i % UART_FIFO_BYTES == 0) {
            while (!(inb(UART_LSR) & UART_LSR_THRE)) {
            }
        }
        outb(COM1, (uint8_t)data[i]);
    }
}

void
serial_print(const char *s)
{
    uint32_t len = 0;

    while (s[len])
        len++;
    serial_write(s, len);
}

static void
set_gate(uint32_t vector, const char *stub)
{
    uint32_t offset = (uint32_t)(uintptr_t)stub;

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)offset,
        .selector = CODE_SELECTOR,
        .type = INTERRUPT_GATE,
        .offset_high = (uint16_t)(offset >> 16),
    };
}

static void
pic_init(void)
{
    outb(PIC1, 0x11);
    outb(PIC2, 0x11);
    outb(PIC1 + 1, TIMER_VECTOR);
    outb(PIC2 + 1, TIMER_VECTOR + 8);
    outb(PIC1 + 1, 0x04);
    outb(PIC2 + 1, 0x02);
    outb(PIC1 + 1, 0x01);
    outb(PIC2 + 1, 0x01);
    outb(PIC1 + 1, 0xfe); /* the timer alone */
    outb(PIC2 + 1, 0xff);
}

void
interrupts_init(uint32_t tick_us)
{
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint32_t)(uintptr_t)idt};
    uint32_t count = (uint32_t)wl_div((uint64_t)tick_us * PIT_HZ, 1000000);

    for (uint32_t i = 0; i < 256; i++)
        set_gate(i, i < EXCEPTIONS ? exception_stubs + i * STUB_BYTES : ignore_stub);
    set_gate(TIMER_VECTOR, timer_stub);
    __asm__ volatile("lidt %0" : : "m"(pointer));
    pic_init();
    outb(PIT_MODE, 0x34); /* channel 0, both bytes, rate generator */
    outb(PIT_CH0, (uint8_t)count);
    outb(PIT_CH0, (uint8_t)(count >> 8));
}

void
idle(void)
{
    /* sti takes effect after the next instruction: no interrupt is lost in between */
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static uint32_t
measure_khz(void)
{
    uint32_t count = PIT_HZ / 1000 * CALIBRATION_MS;
    uint64_t start;

    outb(PIT_GATE, (uint8_t)((inb(PIT_GATE) & ~0x02) | 0x01)); /* gate on, speaker off */
    outb(PIT_MODE, 0xb0);                                      /* channel 2, one shot */
    outb(PIT_CH2, (uint8_t)count);
    outb(PIT_CH2, (uint8_t)(count >> 8));
    start = rdtsc();
    while (!(inb(PIT_GATE) & 0x20)) {
    }
    return (uint32_t)wl_div(rdtsc() - start, CALIBRATION_MS);
}

void
clock_init(void)
{
    /* Whoever is interrupted by the host measures too much, never too little. */
    tsc_khz = UINT32_MAX;
    for (uint32_t i = 0; i < CALIBRATION_ROUNDS; i++) {
        uint32_t khz = measure_khz();

        if (khz < tsc_khz)
            tsc_khz = khz;
    }
    if (tsc_khz == 0)
        tsc_khz = 1;
    tsc_start = rdtsc();
}

uint32_t
clock_khz(void)
{
    return tsc_khz;
}

uint64_t
clock_us(void)
{
    return wl_div((rdtsc() - tsc_start) * 1000, tsc_khz);
}

void
halt_forever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt");
}
