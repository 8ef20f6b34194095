/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzers of the migration stream of SEV guests
 *
 * Each is QEMU itself, as qemu/build made it, with another main program: the machine "none" with a
 * few pages of RAM, the objects of migration compiled anew with sanitizers and coverage (see
 * build), and a firmware that is a strict double (firmware.c). The input is what comes from the
 * network, byte by byte as on the wire, behind one byte that chooses the platform:
 *
 *   load    what the source sends, from the header of the stream on   (load.c)
 *   source  what the destination sends back over the return path       (source.c)
 *
 * Besides what the sanitizers find, each checks that private memory holds what the firmware has
 * decrypted and nothing else, and that the firmware was called as its interface demands.
 *
 * What is not here: devices, of which the machine has none; and the order of threads, for the work
 * of a worker thread is done at once, so that a finding can be repeated.
 */
#ifndef SEVMIG_FUZZ_H
#define SEVMIG_FUZZ_H

#include "qemu/osdep.h"
#include "migration.h"
#include "migration/register.h"
#include "qemu-file.h"
#include "sev-internal.h"

/* Private RAM has the name it has on the machine "pc", so that real streams fit. */
#define FUZZ_RAM "pc.ram"
#define FUZZ_RAM_BYTES (64 * 4096)

/* That RAM, as QEMU has it. */
extern uint8_t *fuzz_ram_host;

/* How RAM is loaded and saved, and what to give those handlers. */
extern const SaveVMHandlers *fuzz_ram;
extern void *fuzz_ram_opaque;

/* The target's own part of the start; the BQL is held and may be released. */
void fuzz_start(void);

/* The target is told that its vCPUs would run now. */
void fuzz_guest_runs(void);

/* A file to read the input from; one that forgets what is written. */
QEMUFile *fuzz_input(const uint8_t *data, size_t size);
QEMUFile *fuzz_sink(void);

/* firmware.c: a guest */
typedef enum FuzzGuest {
    FUZZ_GUEST_NONE, /* waits for RECEIVE_START */
    FUZZ_GUEST_RUNNING,
    FUZZ_GUEST_SENDING,
    FUZZ_GUEST_RECEIVING,
} FuzzGuest;

/* @platform chooses what the firmware can do; see firmware.c. */
void fuzz_firmware_reset(FuzzGuest state, uint8_t platform);
FuzzGuest fuzz_firmware_state(void);
ConfidentialGuestSupport *fuzz_firmware_guest(void);

/* Private memory holds what the firmware has decrypted, and else what it held at the reset. */
void fuzz_firmware_check_memory(void);

#endif
