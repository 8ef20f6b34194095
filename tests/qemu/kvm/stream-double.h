/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream-double.h - what migration/sev-pages-shared.c needs of migration: a channel, and the guest
 *
 * What is put on the channel can be got from it.
 */
#ifndef STREAM_DOUBLE_H
#define STREAM_DOUBLE_H

#include "qemu-double.h"

#include "sev-internal.h"

extern Guest *stream_guest;   /* which side it is */
extern bool stream_collected; /* sev_pages_collect_all() has been called */

void stream_init(void);
void stream_clear(void);
QEMUFile *stream_file(void);

size_t stream_len(void); /* bytes to be got */
uint8_t stream_get_byte(void);
uint32_t stream_get_be32(void);
uint64_t stream_get_be64(void);

/* The error that has been set on it. */
const char *stream_error(void);

#endif
