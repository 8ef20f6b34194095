#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stream that has lost a record ends as a failure on both sides."""

import re
import struct
import unittest

import busy
import guests
from test_migration import MigrationTest

# Behind the first record: offset and flags (encrypted, continued), sub-type, its first count. The
# offset's lower half is enough, since the records of small guests begin with zeros.
PACKETS = re.compile(rb'\0{4}..[\x08\x18\x28\x38\x48\x58\x68\x78\x88\x98\xa8\xb8\xc8\xd8\xe8\xf8]'
                     rb'\x20\x01\0\0', re.DOTALL)
ACCOUNT = re.compile(rb'\0{6}\x08\x20\x03\0{4}')
HEAD = 9
PAGE = 4096


class Cut:
    """Cuts one record out, behind the first."""

    def __init__(self, pattern):
        self.pattern, self.armed, self.done = pattern, False, False

    def length(self, record):
        """Of a record that is there as a whole, or None."""
        if self.pattern is ACCOUNT:
            end = HEAD + 20
            if len(record) < end:
                return None
            return end + 16 * struct.unpack_from('>I', record, HEAD + 16)[0]
        count, = struct.unpack_from('>I', record, HEAD)
        end = HEAD + 4
        for _ in range(count):
            if len(record) < end + 70:
                return None
            end += 70 + PAGE * struct.unpack_from('>I', record, end + 8)[0]
        return end

    def __call__(self, buffer):
        self.armed = self.armed or guests.RECORD in buffer
        if self.done or not self.armed:
            return len(buffer)
        found = self.pattern.search(buffer)
        if not found:
            return max(0, len(buffer) - 16)
        if len(buffer) < found.start() + HEAD + 4:
            return found.start()
        length = self.length(buffer[found.start():])
        if not length or len(buffer) < found.start() + length:
            return found.start()
        del buffer[found.start():found.start() + length]
        self.done = True
        return len(buffer)


class Lost(MigrationTest):
    """Nothing forged, only left out."""

    def assertNoticed(self, src, dst, cut, words):
        self.wait_status(src, 'failed')
        self.assertTrue(cut.done, 'nothing was cut out')
        self.assertIn(f'destination: {words}', src.qmp.cmd('query-migrate')['error-desc'])
        self.assertLogged(dst, words)
        self.assertEqual(dst.child.wait(), 1)

    def test_record(self):
        """Pages that never come would be zeros."""
        src, dst = self.source(policy=0x21), self.destination(policy=0x21)
        cut = Cut(PACKETS)
        self.start(src, dst, tamper=cut)
        self.assertNoticed(src, dst, cut, 'SEV account of pc.ram: the source has sent')
        self.assertRunsHere(src, 'prelaunch')
        self.complete(src, self.destination(name='again', policy=0x21))

    def test_newer_record(self):
        """Pages of which only the old content comes."""
        args = busy.args(self.dir)
        src, dst = self.source(args), self.destination(args)
        busy.wait_busy(self, src, 2)
        cut = Cut(PACKETS)
        cut.done = True
        self.start(src, dst, tamper=cut)
        src.qmp.cmd('x-sev-migration-tune', switchover='hold', lease_ms=60000)
        self.wait_until(lambda: src.qmp.cmd('x-query-sev-migration')['ram']['pass'] > 2)
        cut.done = False
        self.wait_until(lambda: cut.done)
        src.qmp.cmd('x-sev-migration-tune', switchover='now', lease_ms=60000)
        self.assertNoticed(src, dst, cut, 'SEV account of pc.ram: the source has sent')
        self.assertRunsHere(src)
        busy.wait_busy(self, src, 2)

    def test_account(self):
        """The account itself."""
        src, dst = self.source(), self.destination()
        cut = Cut(ACCOUNT)
        self.start(src, dst, tamper=cut)
        self.assertNoticed(src, dst, cut, 'the source has not said which pages of pc.ram')
        self.assertRunsHere(src, 'prelaunch')


if __name__ == '__main__':
    unittest.main()
