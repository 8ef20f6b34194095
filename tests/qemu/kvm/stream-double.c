/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream-double.h"

#include "exec/page-vary.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "ram.h"

struct QEMUFile {
    GByteArray *bytes;
    Error *err;
    bool ended; /* more has been asked for than there is */
};

extern const TargetPageBits target_page;

static QEMUFile file;
Guest *stream_guest;
bool stream_collected;
RAMList ram_list;
const TargetPageBits target_page = {.decided = true, .bits = 12, .mask = ~UINT64_C(0xfff)};

void
stream_init(void)
{
    file.bytes = g_byte_array_new();
    stream_collected = false;
    QLIST_INIT(&ram_list.blocks);
    QLIST_INSERT_HEAD(&ram_list.blocks, &machine.rb, next);
}

void
stream_clear(void)
{
    g_byte_array_unref(file.bytes);
    error_free(file.err);
    file = (QEMUFile){NULL};
}

QEMUFile *
stream_file(void)
{
    return &file;
}

size_t
stream_len(void)
{
    return file.bytes->len;
}

uint8_t
stream_get_byte(void)
{
    return (uint8_t)qemu_get_byte(&file);
}

uint32_t
stream_get_be32(void)
{
    return qemu_get_be32(&file);
}

uint64_t
stream_get_be64(void)
{
    return qemu_get_be64(&file);
}

const char *
stream_error(void)
{
    return file.err ? error_get_pretty(file.err) : "";
}

void
qemu_put_buffer(QEMUFile *f, const uint8_t *buf, size_t size)
{
    g_byte_array_append(f->bytes, buf, size);
}

void
qemu_put_byte(QEMUFile *f, int v)
{
    uint8_t byte = v;

    qemu_put_buffer(f, &byte, 1);
}

void
qemu_put_be32(QEMUFile *f, unsigned int v)
{
    uint32_t be = cpu_to_be32(v);

    qemu_put_buffer(f, (const uint8_t *)&be, sizeof(be));
}

void
qemu_put_be64(QEMUFile *f, uint64_t v)
{
    uint64_t be = cpu_to_be64(v);

    qemu_put_buffer(f, (const uint8_t *)&be, sizeof(be));
}

int
qemu_get_byte(QEMUFile *f)
{
    uint8_t byte;

    if (f->bytes->len == 0) {
        f->ended = true;
        return 0;
    }
    byte = f->bytes->data[0];
    g_byte_array_remove_index(f->bytes, 0);
    return byte;
}

unsigned int
qemu_get_be32(QEMUFile *f)
{
    unsigned int v = 0;

    for (int i = 0; i < 4; i++)
        v = v << 8 | qemu_get_byte(f);
    return v;
}

uint64_t
qemu_get_be64(QEMUFile *f)
{
    uint64_t v = (uint64_t)qemu_get_be32(f) << 32;

    return v | qemu_get_be32(f);
}

int
qemu_file_get_error(QEMUFile *f)
{
    return f->err || f->ended ? -EIO : 0;
}

void
qemu_file_set_error_obj(QEMUFile *f, int ret, Error *err)
{
    g_assert_cmpint(ret, <, 0);
    g_assert_null(f->err);
    f->err = err;
}

size_t
ram_put_page_header(QEMUFile *f, RAMBlock *rb, ram_addr_t offset)
{
    g_assert_true(rb == &machine.rb);
    qemu_put_be64(f, offset);
    return 8;
}

void
ram_transferred_add(uint64_t bytes)
{
    g_assert_cmpuint(bytes, >, 8);
}

bool
qemu_ram_is_migratable(RAMBlock *rb)
{
    return true;
}

bool
sev_get_guest(ConfidentialGuestSupport **cgs, const ConfidentialGuestMigrationOps **guest_ops,
              Error **errp)
{
    *cgs = guest_cgs(stream_guest);
    *guest_ops = &sev_kvm_migration_ops;
    return true;
}

bool
sev_block_is_private(RAMBlock *rb)
{
    return rb == &machine.rb;
}

void
sev_put_be64(GByteArray *buf, uint64_t value)
{
    const uint64_t be = cpu_to_be64(value);

    g_byte_array_append(buf, (const uint8_t *)&be, sizeof(be));
}

void
sev_account_record(RAMBlock *rb, uint64_t pages)
{
    g_assert_true(rb == &machine.rb);
    g_assert_cmpuint(pages, ==, 0); /* a record of what is shared has none */
}

int
sev_pages_collect_all(QEMUFile *f)
{
    stream_collected = true;
    return 0;
}
