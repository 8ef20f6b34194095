/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The destination takes whatever stream a peer sends
 *
 * The input goes through all of QEMU's incoming migration, from the header of the stream to the end
 * of the coroutine and what that leaves to the main loop. Whatever is in it, the guest would run
 * only when the firmware has finished receiving it.
 */
#include "fuzz.h"

#include "block/aio.h"
#include "exec/ramblock.h"
#include "hw/boards.h"
#include "migration/misc.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/yank.h"
#include "yank_functions.h"

#define FUZZ_PAGE_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void
fuzz_start(void)
{
    /* the BQL stays held, as it is while a stream is loaded */
}

void
fuzz_guest_runs(void)
{
    g_assert(fuzz_firmware_state() == FUZZ_GUEST_RUNNING);
    g_assert(!current_machine->cgs->incoming);
}

/* What migrate-incoming does, and a peer that connects then. */
static void
listen_to(MigrationIncomingState *mis, const uint8_t *data, size_t size)
{
    current_machine->cgs->incoming = true;
    yank_register_instance(MIGRATION_YANK_INSTANCE, &error_abort);
    object_ref(migrate_get_current());
    mis->exit_on_error = false;
    mis->state = MIGRATION_STATUS_SETUP;
    mis->from_src_file = fuzz_input(data, size);
}

/* Nothing of one input is to be left for the next. */
static void
forget(void)
{
    RCU_READ_LOCK_GUARD();
    RAMBlock *ram = qemu_ram_block_by_name(FUZZ_RAM);

    /* What was in flight at the error is stored, in accounts that nobody reads any more. */
    ram->receivedmap = bitmap_new(FUZZ_RAM_BYTES / FUZZ_PAGE_BYTES);
    while (sev_pages_load_flush(NULL) < 0) {
        /* that one was refused */
    }
    g_clear_pointer(&ram->receivedmap, g_free);
    sev_shared_end();
    sev_account_end();
    sev_set_state(SEV_GUEST_RUNNING);
    g_clear_pointer(&migrate_get_current()->error, error_free);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MigrationIncomingState *mis = migration_incoming_get_current();

    if (size < 2) {
        return -1;
    }
    fuzz_firmware_reset(FUZZ_GUEST_NONE, data[0]);
    listen_to(mis, data + 1, size - 1);
    migration_incoming_process();
    while (mis->state != MIGRATION_STATUS_COMPLETED && mis->state != MIGRATION_STATUS_FAILED) {
        aio_poll(qemu_get_aio_context(), true);
    }

    g_assert(!mis->from_src_file && !mis->to_src_file);
    g_assert((mis->state == MIGRATION_STATUS_COMPLETED) ==
             (fuzz_firmware_state() == FUZZ_GUEST_RUNNING));
    g_assert(current_machine->cgs->incoming == (fuzz_firmware_state() != FUZZ_GUEST_RUNNING));
    fuzz_firmware_check_memory();
    forget();
    return 0;
}
