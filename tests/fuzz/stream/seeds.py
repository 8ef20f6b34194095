# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the seeds of the stream fuzzers: pieces of a real migration between two QEMUs.

Run it in the lab's tree with tests/qemu in PYTHONPATH; SEVMIG_QEMU and SEVMIG_SWPSP name the
programs. The platform, the first byte of each seed, is a row of the table in firmware.c.
"""

import pathlib
import struct
import unittest

import guests
from test_migration import MigrationTest

CORPUS = pathlib.Path(__file__).resolve().parent / 'corpus'
RAM_PAGES = 64  # of the fuzzers' guest
PAGE = 4096

# migration/savevm.h, migration/savevm.c, migration/ram.h, migration/sev-internal.h
FILE_MAGIC, FILE_VERSION = 0x5145564d, 3
END, SECTION_START, SECTION_PART, VMDESC, CONFIGURATION, COMMAND, SECTION_FOOTER = \
    0, 1, 2, 6, 7, 8, 0x7e
OPEN_RETURN_PATH, PING, ADVISE, LISTEN, RUN, PACKAGED, COLO = 1, 2, 3, 4, 5, 7, 8
CMD_SEV = RP_SEV = 0x5356
FLAG_EOS, FLAG_CONTINUE, FLAG_MEM_SIZE, FLAG_PAGE, FLAG_ENCRYPTED = 0x10, 0x20, 4, 0x08, 0x800
BLOCK = b'\x06pc.ram'
RP_IDENTITY, RP_ERROR = 1, 2
HELLO = struct.pack('>IHI', 0x5345564d, 1, 0)
HEADER = struct.pack('>IIBI', FILE_MAGIC, FILE_VERSION, CONFIGURATION, 4) + b'none'


class Recorder(guests.Proxy):
    """Forwards a migration and keeps what both sides said."""

    def __init__(self, listen, target):
        self.forth, self.back = bytearray(), bytearray()
        super().__init__(listen, target, self.note)

    def note(self, buffer):
        self.forth += buffer
        return len(buffer)

    def _back(self, dest, source):
        try:
            while data := dest.recv(1 << 16):
                self.back += data
                source.sendall(data)
        except OSError:
            pass


def commands(stream):
    """The SEV commands of a stream, as they are on the wire: GET_IDENTITY and SESSION."""
    found = []
    for sub in b'\x01', b'\x02':
        at = 0
        while True:
            at = stream.index(struct.pack('>BH', COMMAND, CMD_SEV), at)
            length, = struct.unpack_from('>H', stream, at + 3)
            if stream[at + 5:at + 6] == sub:
                break
            at += 1
        found.append(bytes(stream[at:at + 5 + length]))
    return found


def packets(stream, count):
    """The first packets of a stream: pairs of their head (with the packet header) and data."""
    at = stream.index(BLOCK + b'\x01\x00\x00') + len(BLOCK)
    found = []
    while len(found) < count:
        n, = struct.unpack_from('>I', stream, at + 1)
        at += 5
        for _ in range(n):
            length, = struct.unpack_from('>I', stream, at + 14)
            found.append(bytes(stream[at:at + 70 + length]))
            at += 70 + length
        at += 8  # flags of the next record, which continues in the same block
    return found[:count]


def some_pages(packet, page, flags=0, count=1):
    """A packet of pages, anywhere; its MAC is of no interest to the fuzzers' firmware."""
    return struct.pack('>QIHI', page * PAGE, count, 52, count * PAGE) + bytes([flags]) + \
        packet[19:70] + bytes(count * PAGE)


def record(*contents, sub_type=1, follows=False):
    flags = FLAG_ENCRYPTED | (FLAG_CONTINUE if follows else 0)
    return struct.pack('>Q', flags) + (b'' if follows else BLOCK) + \
        struct.pack('>BI', sub_type, len(contents)) + b''.join(contents)


def shared(*ranges):
    """What the guest shares: first page, number of pages, whether shared now."""
    return record(*(struct.pack('>QQB', *r) for r in ranges), sub_type=2)


def plain(block, page, flags=FLAG_PAGE):
    return struct.pack('>Q', page * PAGE | flags) + bytes([len(block)]) + block + bytes(PAGE)


def section(*records):
    return struct.pack('>BI', SECTION_PART, 2) + b''.join(records) + \
        struct.pack('>Q', FLAG_EOS) + struct.pack('>BI', SECTION_FOOTER, 2)


def command(number, data=b''):
    return struct.pack('>BHH', COMMAND, number, len(data)) + data


def packaged(*inner):
    inner = b''.join(inner)
    return command(PACKAGED, struct.pack('>I', len(inner))) + inner


def account(records, pages, *left_out):
    """What was sent of the block, and the ranges that were not."""
    return struct.pack('>Q', FLAG_ENCRYPTED) + BLOCK + \
        struct.pack('>BQQI', 3, records, pages, len(left_out)) + \
        b''.join(struct.pack('>QQ', *r) for r in left_out)


def start(*blocks):
    """The first section of RAM, which names the blocks."""
    sizes = b''.join(bytes([len(name)]) + name + struct.pack('>Q', size) for name, size in blocks)
    return struct.pack('>BI', SECTION_START, 2) + b'\3ram' + struct.pack('>II', 0, 4) + \
        struct.pack('>Q', sum(size for _, size in blocks) | FLAG_MEM_SIZE) + sizes + \
        struct.pack('>Q', FLAG_EOS) + struct.pack('>BI', SECTION_FOOTER, 2)


def end():
    return struct.pack('>BBI', END, VMDESC, 0)


def load_seeds(stream):
    """Streams for the fuzzers' guest: keys from a real one, and what goes with them."""
    opened = command(OPEN_RETURN_PATH)
    blocks = (BLOCK[1:], RAM_PAGES * PAGE), (b'vram', PAGE)
    keys = b''.join(commands(stream)) + start(*blocks)
    seeds = records_seeds(stream, keys)
    seeds['no-session'] = b'\0' + commands(stream)[0] + seeds.pop('no-session')
    seeds = {name: seed[:1] + HEADER + opened + seed[1:] for name, seed in seeds.items()}
    run = packaged(command(LISTEN), command(RUN))
    one = section(record(some_pages(packets(stream, 1)[0], 0)), account(1, 1, (1, RAM_PAGES - 1)))
    cut = section(account(1, 1, (1, RAM_PAGES - 1)))
    return seeds | {
        'no-return-path': b'\0' + HEADER + keys,
        'complete': b'\0' + HEADER + opened + keys + one + end(),
        'record-cut-out': b'\0' + HEADER + opened + keys + cut + end(),
        'no-account': b'\0' + HEADER + opened + keys + end(),
        'run-with-return-path': b'\0' + HEADER + opened + command(ADVISE) + run,
        'run-without-return-path': b'\0' + HEADER + command(ADVISE) + run,
        'run-in-a-session': b'\0' + HEADER + opened + keys + one + command(ADVISE) + run,
        'plain-by-postcopy': b'\0' + HEADER + opened + command(PING, bytes(4)) +
                             command(ADVISE, bytes(16)) + start(*blocks),
        'colo': b'\0' + HEADER + opened + command(COLO) + start(*blocks),
        'plain-guest': b'\0' + HEADER + opened + start(*blocks) + end(),
    }


def records_seeds(stream, keys):
    real = packets(stream, 2)
    one = some_pages(real[0], 1)
    return {
        'keys': b'\0' + keys,
        'real': b'\0' + keys + section(record(real[0])),
        'many-records': b'\0' + keys + section(
            record(one), record(one, some_pages(real[0], 2), follows=True),
            record(one, follows=True)) + section(record(one)),
        'plain-memory': b'\0' + keys + section(plain(b'vram', 0), record(one)),
        'plain-for-private': b'\0' + keys + section(plain(BLOCK[1:], 0)),
        'refused-submission': b'\0' + keys + section(record(one), record(
            some_pages(real[0], 2, 0xfe), follows=True)),
        'refused-packet': b'\2' + keys + section(record(one, some_pages(real[0], 3, 0x80))),
        'last-page': b'\0' + keys + section(record(some_pages(real[0], RAM_PAGES - 1))),
        'across-the-end': b'\0' + keys + section(
            record(some_pages(real[0], RAM_PAGES - 1, count=2))),
        'shared': b'\2' + keys + section(
            shared((8, 4, 1), (RAM_PAGES - 1, 1, 1)), plain(BLOCK[1:], 9),
            record(some_pages(real[0], 1))),
        'shared-no-more': b'\4' + keys + section(
            shared((8, 4, 1)), plain(BLOCK[1:], 9), shared((8, 2, 0)), plain(BLOCK[1:], 9)),
        'shared-by-none': b'\0' + keys + section(shared((8, 4, 1))),
        'shared-beyond': b'\2' + keys + section(shared((RAM_PAGES - 1, 2, 1))),
        'no-session': section(record(one)),
        'small-firmware': b'\1' + keys + section(record(one)),
        'large-firmware': b'\3' + keys + section(record(real[0])),
    }


def message(sub_type, data, part=0, parts=1):
    return struct.pack('>HHBHH', RP_SEV, 5 + len(data), sub_type, part, parts) + data


def source_seeds(answers):
    at = answers.index(struct.pack('>H', RP_SEV))
    size, = struct.unpack_from('>H', answers, at + 2)
    identity = bytes(answers[at:at + 4 + size])
    body = identity[9:]
    error = message(RP_ERROR, b'no\x07guest')

    def with_limits(*values):
        return message(RP_IDENTITY, HELLO + struct.pack('>III', *values) + body[22:])
    return {
        'in-parts': b'\0' + message(RP_IDENTITY, body[:30], 0, 3) +
                    message(RP_IDENTITY, body[30:99], 1, 3) + message(RP_IDENTITY, body[99:], 2, 3),
        'parts-missing': b'\0' + message(RP_IDENTITY, body, 1, 2),
        'unknown-feature': b'\0' + message(RP_IDENTITY, body[:6] + b'\x80' + body[7:]),
        'real': b'\0' + identity,
        'error-at-once': b'\0' + error,
        'error-later': b'\0' + identity + error,
        'answered-twice': b'\0' + identity + identity,
        'no-limits': b'\3' + with_limits(0xffffffff, 0xffffffff, 0),
        'least-limits': b'\0' + with_limits(PAGE, 1, PAGE),
        'odd-limits': b'\3' + with_limits(PAGE + 1, 3, 2 * PAGE + 1),
    }


class Record(MigrationTest):
    def test_record(self):
        src, dst = self.source(), self.destination()
        for qemu in src, dst:
            self.set_capabilities(qemu, 'return-path', 'events')
        dst.qmp.cmd('migrate-incoming', uri=f'unix:{self.dir}/to')
        recorder = Recorder(f'{self.dir}/proxy', f'{self.dir}/to')
        self.addCleanup(recorder.close)
        src.qmp.cmd('migrate', uri=f'unix:{self.dir}/proxy')
        self.wait_status(src, 'completed')
        for target, seeds in (('load', load_seeds(recorder.forth)),
                              ('source', source_seeds(recorder.back))):
            (CORPUS / target).mkdir(parents=True, exist_ok=True)
            for name, content in seeds.items():
                (CORPUS / target / name).write_bytes(content)


if __name__ == '__main__':
    unittest.main(defaultTest='Record')
