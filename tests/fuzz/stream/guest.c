/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A QEMU without devices, in this process
 */
#include "fuzz.h"

#include "block/thread-pool.h"
#include "exec/memory.h"
#include "hw/boards.h"
#include "io/channel-null.h"
#include "qapi/error.h"
#include "qemu/iov.h"
#include "system/runstate.h"
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
void __wrap_vm_start(void);
void __wrap_dirty_bitmap_mig_before_vm_start(void);
void __real_runstate_set(RunState state);
void __wrap_runstate_set(RunState state);

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

/* Nothing runs here: what would is told to the target. */
void
__wrap_vm_start(void)
{
    fuzz_guest_runs();
}

void
__wrap_runstate_set(RunState state)
{
    if (!fuzz_ram_host) {
        __real_runstate_set(state);
    } else if (runstate_is_live(state)) {
        fuzz_guest_runs();
    }
}

/* It may be called once in the life of a QEMU. */
void
__wrap_dirty_bitmap_mig_before_vm_start(void)
{
}

/* A peer that has said all it will say, and takes whatever it is told */
typedef struct FuzzPeer {
    QIOChannel parent;
    uint8_t *data;
    size_t size, at;
} FuzzPeer;

#define TYPE_FUZZ_PEER "fuzz-peer"
DECLARE_INSTANCE_CHECKER(FuzzPeer, FUZZ_PEER, TYPE_FUZZ_PEER)

static ssize_t
peer_readv(QIOChannel *ioc, const struct iovec *iov, size_t n_iov, int **fds, size_t *n_fds,
           int flags, Error **errp)
{
    FuzzPeer *peer = FUZZ_PEER(ioc);
    size_t len = iov_from_buf(iov, n_iov, 0, peer->data + peer->at, peer->size - peer->at);

    peer->at += len;
    return len;
}

static ssize_t
peer_writev(QIOChannel *ioc, const struct iovec *iov, size_t n_iov, int *fds, size_t n_fds,
            int flags, Error **errp)
{
    return iov_size(iov, n_iov);
}

static int
peer_set_blocking(QIOChannel *ioc, bool enabled, Error **errp)
{
    return 0;
}

static int
peer_close(QIOChannel *ioc, Error **errp)
{
    return 0;
}

static void
peer_finalize(Object *object)
{
    g_free(FUZZ_PEER(object)->data);
}

static void
peer_class_init(ObjectClass *klass, void *data)
{
    QIOChannelClass *channel = QIO_CHANNEL_CLASS(klass);

    channel->io_readv = peer_readv;
    channel->io_writev = peer_writev;
    channel->io_set_blocking = peer_set_blocking;
    channel->io_close = peer_close;
}

static const TypeInfo peer_type = {
    .name = TYPE_FUZZ_PEER,
    .parent = TYPE_QIO_CHANNEL,
    .instance_size = sizeof(FuzzPeer),
    .instance_finalize = peer_finalize,
    .class_init = peer_class_init,
};

static void
register_types(void)
{
    type_register_static(&peer_type);
}
type_init(register_types);

QEMUFile *
fuzz_input(const uint8_t *data, size_t size)
{
    FuzzPeer *peer = FUZZ_PEER(object_new(TYPE_FUZZ_PEER));
    QEMUFile *file;

    peer->data = g_memdup2(data, size);
    peer->size = size;
    file = qemu_file_new_input(QIO_CHANNEL(peer));
    object_unref(OBJECT(peer));
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
