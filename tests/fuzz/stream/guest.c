/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A QEMU without devices, in this process
 */
#include "fuzz.h"

#include "block/thread-pool.h"
#include "exec/memory.h"
#include "hw/boards.h"
#include "io/channel-buffer.h"
#include "io/channel-null.h"
#include "qapi/error.h"
#include "system/system.h"

#include <sanitizer/lsan_interface.h>

uint8_t *fuzz_ram_host;
const SaveVMHandlers *fuzz_ram;
void *fuzz_ram_opaque;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int __real_register_savevm_live(const char *idstr, uint32_t instance_id, int version_id,
                                const SaveVMHandlers *ops, void *opaque);
int __wrap_register_savevm_live(const char *idstr, uint32_t instance_id, int version_id,
                                const SaveVMHandlers *ops, void *opaque);
int coroutine_fn __wrap_thread_pool_submit_co(ThreadPoolFunc *func, void *arg);

/* The handlers of RAM are private to ram.c; it hands them out here. */
int
__wrap_register_savevm_live(const char *idstr, uint32_t instance_id, int version_id,
                            const SaveVMHandlers *ops, void *opaque)
{
    if (g_str_equal(idstr, "ram")) {
        fuzz_ram = ops;
        fuzz_ram_opaque = opaque;
    }
    return __real_register_savevm_live(idstr, instance_id, version_id, ops, opaque);
}

int coroutine_fn
__wrap_thread_pool_submit_co(ThreadPoolFunc *func, void *arg)
{
    return func(arg);
}

QEMUFile *
fuzz_input(const uint8_t *data, size_t size)
{
    QIOChannelBuffer *channel = qio_channel_buffer_new(size);
    QEMUFile *file;

    memcpy(channel->data, data, size);
    channel->usage = size;
    file = qemu_file_new_input(QIO_CHANNEL(channel));
    object_unref(OBJECT(channel));
    return file;
}

QEMUFile *
fuzz_sink(void)
{
    QIOChannelNull *channel = qio_channel_null_new();
    QEMUFile *file = qemu_file_new_output(QIO_CHANNEL(channel));

    object_unref(OBJECT(channel));
    return file;
}

static void
find_ram(void)
{
    RCU_READ_LOCK_GUARD();
    RAMBlock *block = qemu_ram_block_by_name(FUZZ_RAM);

    g_assert(block->used_length == FUZZ_RAM_BYTES);
    fuzz_ram_host = block->host;
}

/* Memory that is not private, as a video card's. */
static void
add_plain_memory(void)
{
    static MemoryRegion plain;

    memory_region_init_ram(&plain, NULL, "vram", 4096, &error_abort);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char *const arguments[] = {
        "fuzz",        "-accel",
        "qtest",       "-S",
        "-machine",    "none,memory-backend=" FUZZ_RAM,
        "-object",     "memory-backend-ram,id=" FUZZ_RAM ",size=256K",
        "-nodefaults", "-display",
        "none",        "-incoming",
        "defer",
    };

    __lsan_disable(); /* what lives as long as QEMU is no leak */
    qemu_init(ARRAY_SIZE(arguments), (char **)arguments);
    find_ram();
    add_plain_memory();
    current_machine->cgs = fuzz_firmware_guest();
    fuzz_start();
    __lsan_enable();
    return 0;
}
