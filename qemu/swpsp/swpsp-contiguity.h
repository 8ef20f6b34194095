/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-contiguity.h - which guest memory is contiguous in the host's physical memory
 *
 * A command of the real firmware takes host-physical addresses, so its pages have to follow each
 * other there. Whoever issues it (the kernel) pins them first and finds out. Two models:
 *
 *   hugepage    memory is contiguous within each page of the backing
 *   fragmented  runs of 4 KiB pages whose lengths are drawn (geometrically, about a mean) from a
 *               seed; the same guest address lies in the same run every time
 *
 * Pure: no state, no I/O.
 */
#ifndef SWPSP_CONTIGUITY_H
#define SWPSP_CONTIGUITY_H

#include <stdbool.h>
#include <stdint.h>

#define SWPSP_FRAGMENT_BYTES 4096u /* the grain of host-physical memory */
#define SWPSP_MEAN_PAGES_DEFAULT 8u
#define SWPSP_MEAN_PAGES_MAX 4096u

typedef struct {
    uint32_t backing_page_bytes; /* hugepage: a power of two; 0: all is contiguous */
    uint32_t mean_pages;         /* fragmented: mean length of a run; 0: hugepage */
    uint64_t seed;               /* fragmented */
} SwpspContiguity;

/*
 * Reads "hugepage" or "fragmented:SEED[:MEAN]"; backing_page_bytes is left as it is. False, and
 * nothing changed, if the text is neither.
 */
bool swpsp_contiguity_parse(SwpspContiguity *contiguity, const char *text);

/*
 * Bytes from a guest-physical address on that are contiguous, at most `len`. At least up to the
 * next multiple of 4096.
 */
uint32_t swpsp_contiguity_bytes(const SwpspContiguity *contiguity, uint64_t address, uint32_t len);

/*
 * Boundaries that a packet must not cross to be safe; 0: none. On the way in they are strict, for a
 * packet cannot be split there; on the way out, memory in between may still not be contiguous.
 */
uint32_t swpsp_contiguity_receive_boundary(const SwpspContiguity *contiguity);
uint32_t swpsp_contiguity_send_boundary(const SwpspContiguity *contiguity);

#endif
