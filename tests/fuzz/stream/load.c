/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The destination loads a stream
 *
 * Of QEMU's stream this takes the SEV commands and the sections of RAM, each as it is on the wire
 * with its head and foot; anything else ends it.
 */
#include "fuzz.h"

#include "block/aio.h"
#include "migration/misc.h"
#include "qapi/error.h"
#include "qemu/coroutine.h"
#include "qemu/main-loop.h"
#include "ram.h"
#include "savevm.h"

#define MIG_CMD_SEV 12
#define RAM_VERSION 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Load {
    QEMUFile *file;
    int result;
    bool done;
} Load;

void
fuzz_start(void)
{
    /* the BQL stays held, as it is while a stream is loaded */
}

/* One piece of the stream: 0, or 1 at its end, or an error. */
static int
load_piece(QEMUFile *f)
{
    switch (qemu_get_byte(f)) {
    case QEMU_VM_COMMAND:
        if (qemu_get_be16(f) != MIG_CMD_SEV) {
            return 1;
        }
        return sev_migration_load_command(f, qemu_get_be16(f));
    case QEMU_VM_SECTION_PART:
        qemu_get_be32(f);
        return fuzz_ram->load_state(f, fuzz_ram_opaque, RAM_VERSION);
    case QEMU_VM_SECTION_FOOTER:
        qemu_get_be32(f);
        return qemu_file_get_error(f);
    default:
        return 1;
    }
}

static void coroutine_fn
load_stream(void *opaque)
{
    Load *load = opaque;

    do {
        load->result = load_piece(load->file);
    } while (load->result == 0);
    if (load->result == 1) {
        load->result = sev_migration_load_finish(load->file);
    }
    load->done = true;
}

/* Nothing of one input is to be left for the next. */
static void
forget(QEMUFile *file)
{
    while (sev_pages_load_flush(file) < 0) {
        /* one that was in flight at the error */
    }
    sev_shared_end();
    sev_set_state(SEV_GUEST_RUNNING);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MigrationIncomingState *mis = migration_incoming_get_current();
    Load load = {};

    if (size < 2) {
        return -1;
    }
    fuzz_firmware_reset(FUZZ_GUEST_NONE, data[0]);
    load.file = fuzz_input(data + 1, size - 1);
    mis->to_src_file = data[0] & 0x80 ? NULL : fuzz_sink();
    g_assert(fuzz_ram->load_setup(load.file, fuzz_ram_opaque, &error_abort) == 0);

    qemu_coroutine_enter(qemu_coroutine_create(load_stream, &load));
    while (!load.done) {
        aio_poll(qemu_get_aio_context(), true);
    }

    g_assert((load.result == 0) == (fuzz_firmware_state() == FUZZ_GUEST_RUNNING));
    fuzz_firmware_check_memory();
    forget(load.file);
    fuzz_ram->load_cleanup(fuzz_ram_opaque);
    g_clear_pointer(&mis->to_src_file, qemu_fclose);
    qemu_fclose(load.file);
    return 0;
}
