#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the destination of an SEV guest takes from a stream, and that nothing else runs it."""

import socket
import struct
import time
import unittest

import guests
import harness
from test_migration import MigrationTest

MACHINE = 'pc-i440fx-10.0'
# migration/savevm.h, savevm.c and sev-migration.h of QEMU
FILE_MAGIC, FILE_VERSION, CONFIGURATION = 0x5145564d, 3, 7
COMMAND, SECTION_PART, END = 8, 2, 0
(OPEN_RETURN_PATH, PING, ADVISE, LISTEN, RUN, DISCARD, PACKAGED, COLO, RESUME, RECV_BITMAP,
 SWITCHOVER_START) = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
SEV = 0x5356
HELLO = struct.pack('>IHI', 0x5345564d, 1, 0)
# In a second or so; a busy host may halt for longer.
PROMPT_S = 5


def command(number, data=b''):
    return struct.pack('>BHH', COMMAND, number, len(data)) + data


def packaged(*commands):
    inner = b''.join(commands)
    return command(PACKAGED, struct.pack('>I', len(inner))) + inner


def header():
    name = MACHINE.encode()
    return struct.pack('>IIBI', FILE_MAGIC, FILE_VERSION, CONFIGURATION, len(name)) + name


REFUSED = {
    'POSTCOPY_ADVISE': command(ADVISE),
    'POSTCOPY_LISTEN': command(LISTEN),
    'POSTCOPY_RUN': command(RUN),
    'POSTCOPY_RAM_DISCARD': command(DISCARD, b'\0\6pc.ram'),
    'PACKAGED': packaged(command(LISTEN), command(RUN)),
    'ENABLE_COLO': command(COLO),
    'POSTCOPY_RESUME': command(RESUME),
    'RECV_BITMAP': command(RECV_BITMAP, b'\6pc.ram'),
    'SWITCHOVER_START': command(SWITCHOVER_START),
    'a section of type 2': struct.pack('>BI', SECTION_PART, 2),
    'a section of type 0': struct.pack('>B', END),
}


class Incoming(MigrationTest):
    """The peer is whoever connects, and it sends what it likes."""

    def listener(self, exit_on_error, *capabilities, extra=()):
        dst = self.host('dst', ['-accel', 'tcg', '-m', '32', '-machine', MACHINE, *extra,
                                '-incoming', 'defer'], policy=0x21)
        self.set_capabilities(dst, 'return-path', 'events', *capabilities)
        dst.qmp.cmd('migrate-incoming', uri=f'unix:{self.dir}/m', exit_on_error=exit_on_error)
        return dst

    def connect(self, stream):
        peer = socket.socket(socket.AF_UNIX)
        self.addCleanup(peer.close)
        peer.connect(str(self.dir / 'm'))
        peer.sendall(stream)
        return peer

    def status(self, dst):
        """What the guest does, if QEMU is still there; it answers at once."""
        start = time.monotonic()
        try:
            status = dst.qmp.cmd('query-status')['status']
        except (EOFError, OSError):
            return None
        self.assertLess(time.monotonic() - start, PROMPT_S, 'QMP was held up')
        return status

    def assertEnds(self, dst, exit_on_error):
        """It fails without ever having left inmigrate, in one of the two ways."""
        deadline = time.monotonic() + harness.PATIENCE_S
        while True:
            status = self.status(dst)
            if status is None:
                break
            self.assertEqual(status, 'inmigrate')
            if not exit_on_error and dst.qmp.cmd('query-migrate').get('status') == 'failed':
                break
            self.assertLess(time.monotonic(), deadline, 'the migration goes on')
            time.sleep(0.05)
        if exit_on_error:
            self.assertEqual(dst.child.wait(harness.PATIENCE_S), 1, dst.text())
        else:
            self.assertIsNone(dst.child.poll(), dst.text())

    def assertRefuses(self, stream, words, exit_on_error):
        dst = self.listener(exit_on_error)
        self.connect(stream)
        self.assertEnds(dst, exit_on_error)
        self.assertLogged(dst, words)
        self.assertEqual(dst.text().count(words), 1, 'said more than once')

    def assertAlwaysRefuses(self, piece, words):
        """Without and with a return path; whether QEMU is to exit then or not."""
        for opened in b'', command(OPEN_RETURN_PATH):
            for exit_on_error in True, False:
                with self.subTest(words=words, opened=bool(opened), exit_on_error=exit_on_error):
                    self.renew()
                    self.assertRefuses(header() + opened + piece, words, exit_on_error)

    def test_refused(self):
        """Each piece that an SEV guest does not take."""
        for name, piece in REFUSED.items():
            self.assertAlwaysRefuses(piece, name)

    def test_started_by_postcopy(self):
        """The shortest ways to run a guest: listen and run, with and without advise."""
        package = packaged(command(LISTEN), command(RUN))
        self.assertAlwaysRefuses(command(ADVISE) + package, 'POSTCOPY_ADVISE')
        self.assertAlwaysRefuses(package, 'PACKAGED')

    def test_in_a_session(self):
        """Postcopy is refused in a session, too: a real one, into which the command is put."""
        for name in 'POSTCOPY_ADVISE', 'POSTCOPY_LISTEN', 'PACKAGED', 'ENABLE_COLO':
            with self.subTest(name):
                self.renew()
                src, dst = self.source(), self.destination()
                insert = Insert(REFUSED[name])
                self.assertFails(src, dst, f'destination: the stream has the command {name}',
                                 tamper=insert)
                self.assertTrue(insert.done)
                self.assertRunsHere(src, 'prelaunch')

    def test_greeting(self):
        """Another magic, version or feature ends it, and the error says which."""
        for words, hello in (
                ("does not speak this QEMU's protocol", struct.pack('>IHI', 1, 1, 0)),
                ('speaks version 7', struct.pack('>IHI', 0x5345564d, 7, 0)),
                ('the features 0x40000000', struct.pack('>IHI', 0x5345564d, 1, 1 << 30)),
                ('question of 0 bytes', b'')):
            with self.subTest(words):
                self.renew()
                self.assertRefuses(header() + command(OPEN_RETURN_PATH) +
                                   command(SEV, b'\1' + hello), words, True)

    def test_configuration(self):
        """No memory is taken for what the stream only claims to bring."""
        name = MACHINE.encode()
        claims = struct.pack('>BB26sI', 5, 26, b'configuration/capabilities', 1) + b'\xff' * 4
        for words, rest in (('configuration/length of the name', b'\xff' * 4),
                            ('capabilities/number of capabilities',
                             struct.pack('>I', len(name)) + name + claims)):
            with self.subTest(words):
                self.renew()
                self.assertRefuses(struct.pack('>IIB', FILE_MAGIC, FILE_VERSION, CONFIGURATION) +
                                   rest, words, True)

    def test_session_without_greeting(self):
        self.assertRefuses(header() + command(OPEN_RETURN_PATH) + command(SEV, b'\2' + bytes(12)),
                           'without SEV key exchange', True)

    def test_identity(self):
        """A source that greets gets the identity, in parts that have their length."""
        dst = self.listener(False)
        peer = self.connect(header() + command(OPEN_RETURN_PATH) + command(SEV, b'\1' + HELLO))
        answers = peer.makefile('rb')
        number, length, sub, part, parts = struct.unpack('>HHBHH', answers.read(9))
        self.assertEqual((number, sub, part), (SEV, 1, 0))
        body = answers.read(length - 5)
        for expected in range(1, parts):
            number, length, sub, part, _ = struct.unpack('>HHBHH', answers.read(9))
            self.assertEqual((number, sub, part), (SEV, 1, expected))
            body += answers.read(length - 5)
        self.assertEqual(body[:10], HELLO)
        self.assertEqual(sum(struct.unpack('>III', body[22:34])), len(body) - 34)
        self.assertEqual(self.status(dst), 'inmigrate')

    def test_peer_that_goes_on(self):
        """One that neither reads nor stops holds up nobody."""
        dst = self.listener(True)
        peer = self.connect(header() + command(OPEN_RETURN_PATH) + command(ADVISE))
        peer.setblocking(False)
        deadline = time.monotonic() + harness.PATIENCE_S
        while self.status(dst) == 'inmigrate':
            self.assertLess(time.monotonic(), deadline)
            try:
                peer.send(bytes(1 << 16))
            except OSError:
                pass
        self.assertEqual(dst.child.wait(harness.PATIENCE_S), 1, dst.text())

    def test_capabilities(self):
        """What cannot go with SEV is refused when the migration is to come, and when it comes."""
        dst = self.host('dst', ['-accel', 'tcg', '-m', '32', '-machine', MACHINE,
                                '-incoming', 'defer'])
        for name in 'xbzrle', 'multifd', 'dirty-bitmaps':
            self.set_capabilities(dst, name)
            self.assertQmpError(f"the capability '{name}'", dst.qmp.cmd, 'migrate-incoming',
                                uri=f'unix:{self.dir}/m')
            self.set_capabilities(dst, name, state=False)
        dst.qmp.cmd('migrate-incoming', uri=f'unix:{self.dir}/m')
        self.set_capabilities(dst, 'xbzrle')
        self.connect(header())
        self.assertEnds(dst, True)
        self.assertLogged(dst, "the capability 'xbzrle'")

    def test_client_cannot_start_it(self):
        """Neither cont nor a debugger runs a guest that has not come, before and after."""
        gdb_path = self.dir / 'gdb'
        dst = self.listener(False, extra=['-gdb', f'unix:{gdb_path},server=on,wait=off'])
        gdb = socket.socket(socket.AF_UNIX)
        self.addCleanup(gdb.close)
        gdb.connect(str(gdb_path))
        for stream in b'', header() + command(ADVISE):
            if stream:
                self.connect(stream)
                self.assertEnds(dst, False)
            dst.qmp.cmd('cont')
            gdb.sendall(b'+$c#63')
            self.assertLogged(dst, 'has not come by migration')
            for _ in range(5):
                self.assertEqual(self.status(dst), 'inmigrate')
                time.sleep(0.05)

    def test_plain_guest_by_postcopy(self):
        """It is refused at the advise, and the source has its guest back."""
        src = self.start_qemu('src', [*guests.still_args(self.dir), '-machine', MACHINE])
        self.set_capabilities(src, 'return-path', 'events', 'postcopy-ram')
        dst = self.listener(False)
        src.qmp.cmd('cont')
        src.qmp.cmd('migrate', uri=f'unix:{self.dir}/m')
        src.qmp.cmd('migrate-start-postcopy')
        self.wait_status(src, 'failed')
        self.wait_until(lambda: src.qmp.cmd('query-status')['status'] == 'running')
        self.assertEnds(dst, False)
        self.assertLogged(dst, 'POSTCOPY_ADVISE')


class Insert:
    """Puts a piece of stream in front of the first section of RAM."""

    SECTION = b'\1\0\0\0\1\3ram'

    def __init__(self, piece):
        self.piece, self.done = piece, False

    def __call__(self, buffer):
        if self.done:
            return len(buffer)
        found = buffer.find(self.SECTION)
        if found < 0:
            return len(buffer) - guests.overlap(buffer, self.SECTION)
        buffer[found:found] = self.piece
        self.done = True
        return len(buffer)


if __name__ == '__main__':
    unittest.main()
