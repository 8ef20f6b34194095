/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * support.h - two hosts, a guest that is to go from one to the other, and what its tests need
 *
 * Encryption between the hosts is real. Memory is in the clear in both, because the doubles stand
 * for the memory controller too, so that it can be compared.
 */
#ifndef SEV_KVM_SUPPORT_H
#define SEV_KVM_SUPPORT_H

#include "qemu-double.h"

#include "qapi/error.h"
#include "sev-double.h"
#include "sev.h"

#define PAGE DOUBLE_PAGE
#define FOUR_PAGES (4 * PAGE)
#define RAM_PAGES (RAM_BYTES / PAGE)

/* What is tested. */
extern const ConfidentialGuestMigrationOps *const ops;

typedef struct {
    Host *from, *to;
    Guest source, destination;
    CgsMigrationIdentity peer;
    CgsMigrationSession session;
    uint8_t *arrived; /* the destination's RAM; the source's is the machine's */
} Pair;

/* The guest is launched on the source; the destination has the file of AMD's certificates. */
void pair_init(Pair *pair, uint32_t command_bytes, uint32_t policy, const char *amd_cert_file);
void pair_clear(Pair *pair);

/* SEND_START with the destination's keys; and then RECEIVE_START too. */
bool pair_send_start(Pair *pair, Error **errp);
void pair_start(Pair *pair);

/* Both are given the address of the operation's error, because it is set before they are called. */
void must(bool ok, Error **err);
/* The operation has failed with a message that contains all these words, up to NULL. */
void refused(bool ok, Error **err, ...) G_GNUC_NULL_TERMINATED;

/* A submission of at most 8 packets */
typedef struct {
    CgsMigrationPacket packets[8];
    CgsMigrationSubmission sub;
} Batch;

Batch *batch_new(void);
void batch_free(Batch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Batch, batch_free)

/* Its data grows by exactly the packet, so that a byte too many is one outside. */
void batch_add(Batch *batch, unsigned page, uint32_t len);
bool batch_send(Pair *pair, Batch *batch, Error **errp);
/* Receives what has been sent, at the same offsets of the destination's RAM. */
bool batch_receive(Pair *pair, Batch *batch, Error **errp);

/* The cases of test-guest.c */
void add_guest_tests(void);

#endif
