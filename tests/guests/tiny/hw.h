/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SEVMIG_TINY_HW_H
#define SEVMIG_TINY_HW_H

/* The PC hardware the tiny guest uses: serial port, interval timer, time stamp counter, halt. */

#include <stdint.h>

void serial_init(void);
void serial_write(const char *data, uint32_t len);
void serial_print(const char *s);

/* Interrupt table, controllers, and a timer interrupt every tick_us microseconds (<= 50000). */
void interrupts_init(uint32_t tick_us);
/* Sleeps until the next timer interrupt. */
void idle(void);

/* Measures the counter's rate against the interval timer; call it before clock_us(). */
void clock_init(void);
uint64_t clock_us(void);
uint32_t clock_khz(void);

_Noreturn void halt_forever(void);

#endif
