/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source migrates to a destination that may answer anything
 *
 * It exchanges keys, saves RAM under the limits that the destination claims, and ends without
 * success. The thread that reads the return path has no time of its own here: it runs whenever the
 * source waits for it, and once more at the end.
 */
#include "fuzz.h"

#include "migration/misc.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "ram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static QEMUFile *return_path; /* NULL once it has ended */

/* One message; false if it ends the return path. */
static bool
return_path_message(MigrationState *s, QEMUFile *f)
{
    uint16_t type = qemu_get_be16(f);
    uint16_t len = qemu_get_be16(f);
    Error *err = NULL;
    bool ok;

    if (type != MIG_RP_MSG_SEV) {
        return false;
    }
    ok = sev_migration_handle_rp(s, f, len, &err);
    g_assert(ok == !err);
    error_free(err);
    return ok;
}

/* In place of a wait for the thread. */
static bool
return_path_wait(QemuCond *cond, QemuMutex *mutex, int ms, const char *file, int line)
{
    MigrationState *s = migrate_get_current();

    if (!return_path) {
        return qemu_cond_timedwait_impl(cond, mutex, ms, file, line);
    }
    qemu_mutex_unlock(mutex);
    if (!return_path_message(s, return_path)) {
        g_clear_pointer(&return_path, qemu_fclose);
        qemu_file_set_error(s->to_dst_file, -EIO);
    }
    qemu_mutex_lock(mutex);
    return true;
}

void
fuzz_start(void)
{
    bql_unlock();
    qemu_cond_timedwait_func = return_path_wait;
}

void
fuzz_guest_runs(void)
{
    g_assert_not_reached();
}

static void
save_ram(MigrationState *s)
{
    QEMUFile *f = s->to_dst_file;
    Error *err = NULL;
    int ret;

    bql_lock();
    ret = fuzz_ram->save_setup(f, fuzz_ram_opaque, &err);
    bql_unlock();
    if (ret == 0) {
        s->state = MIGRATION_STATUS_ACTIVE;
        ret = fuzz_ram->save_live_iterate(f, fuzz_ram_opaque);
    }
    if (ret >= 0) {
        bql_lock();
        fuzz_ram->save_live_complete_precopy(f, fuzz_ram_opaque);
        bql_unlock();
    }
    error_free(err);
    bql_lock();
    fuzz_ram->save_cleanup(fuzz_ram_opaque);
    bql_unlock();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    MigrationState *s = migrate_get_current();
    Error *err = NULL;

    if (size < 2) {
        return -1;
    }
    fuzz_firmware_reset(FUZZ_GUEST_RUNNING, data[0]);
    return_path = fuzz_input(data + 1, size - 1);
    s->to_dst_file = fuzz_sink();
    s->rp_state.rp_thread_created = true;
    s->state = MIGRATION_STATUS_SETUP;

    if (sev_migration_setup(s, &err) == 0) {
        save_ram(s);
    }
    while (return_path && return_path_message(s, return_path)) {
        /* what comes after the keys */
    }
    g_clear_pointer(&return_path, qemu_fclose);

    s->state = MIGRATION_STATUS_FAILED;
    sev_migration_end(s);
    g_assert(fuzz_firmware_state() == FUZZ_GUEST_RUNNING);
    g_clear_pointer(&s->to_dst_file, qemu_fclose);
    g_clear_pointer(&s->error, error_free);
    error_free(err);
    return 0;
}
