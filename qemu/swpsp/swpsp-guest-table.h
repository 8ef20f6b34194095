/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-guest-table.h - all guests of the platform, by handle and owner
 *
 * An owner is a number that stands for a connection. Handles are unique over all owners, never 0,
 * and not used again until a 32-bit counter wraps.
 */
#ifndef SWPSP_GUEST_TABLE_H
#define SWPSP_GUEST_TABLE_H

#include "swpsp-guest.h"

#define SWPSP_MAX_GUESTS 509 /* ASIDs of a current platform */
#define SWPSP_MAX_GUESTS_PER_OWNER 16

typedef struct SwpspGuestTable SwpspGuestTable;

SwpspGuestTable *swpsp_guest_table_new(void);
void swpsp_guest_table_free(SwpspGuestTable *table);

unsigned swpsp_guest_table_size(const SwpspGuestTable *table);

/* Whether this owner may not add one more. */
bool swpsp_guest_table_full(const SwpspGuestTable *table, uint64_t owner);

/* Takes over the guest; returns its handle. */
uint32_t swpsp_guest_table_add(SwpspGuestTable *table, uint64_t owner, SwpspGuest *guest);

/* The guest, owned by the table; NULL if this owner has none of that handle. */
SwpspGuest *swpsp_guest_table_find(const SwpspGuestTable *table, uint64_t owner, uint32_t handle);

/* The owner's guest that was added last, and its handle; NULL if it has none. */
const SwpspGuest *swpsp_guest_table_newest(const SwpspGuestTable *table, uint64_t owner,
                                           uint32_t *handle);

void swpsp_guest_table_remove(SwpspGuestTable *table, uint32_t handle);
void swpsp_guest_table_remove_owner(SwpspGuestTable *table, uint64_t owner);

#endif
