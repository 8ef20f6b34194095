#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl watch on a pseudo-terminal, as a terminal shows it; TAP on standard output.

Usage: test_watch.py SEVMIGCTL INTERFACE.xml COMPLETION
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import pyte

import tap
from cli_case import CONVERGING, CTL, DONE, FAILED, INTERFACE, MANAGER, OBSERVED, CliCase
from fake_sevmigd import Bus, FakeSevmigd


class Terminal:
    """A watch on a pseudo-terminal, and what is to be seen on it."""

    def __init__(self, case, *arguments, size=(30, 110), **environment):
        self.case = case
        self.screen = pyte.Screen(size[1], size[0])
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        env = dict(case.environment(), **environment)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
            os.execve(CTL, [CTL, "watch", "--interval", "0.1", *arguments], env)
        self.status = None

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self, seconds):
        """Takes what comes within that time; False at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.raw += data
        self.stream.feed(data)
        return bool(data)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait_for(self, *texts):
        """Until all of them are to be seen at once: a frame may come in pieces."""
        return self.wait_for_match(*map(re.escape, texts))

    def wait_for_match(self, *patterns):
        end = time.monotonic() + 20
        while not all(re.search(pattern, self.text()) for pattern in patterns):
            if time.monotonic() > end or not self.read(0.1):
                self.case.fail(f"{patterns} are not to be seen:\n{self.text()}")
        return self.text()

    def wait_end(self):
        while self.read(20):
            pass
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def resize(self, lines, columns):
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def colours(self, text):
        """Those of the characters of that text, which must be there."""
        for row, line in enumerate(self.screen.display):
            at = line.find(text)
            if at >= 0:
                return {self.screen.buffer[row][at + i].fg for i in range(len(text))}
        self.case.fail(f"{text!r} is not to be seen:\n{self.text()}")


class OnTerminal(CliCase):
    def watch(self, *arguments, **options):
        terminal = Terminal(self, *arguments, **options)
        self.addCleanup(terminal.close)
        return terminal

    def test_all_migrations(self):
        daemon = self.serve((CONVERGING, True), (OBSERVED, True))
        terminal = self.watch()
        terminal.wait_for(
            "db-1: converging, pass 3, 41.0 s, 12.4 s left, policy low-downtime", "98 %  4.7 MiB of 256.0 MiB",
            "1520 pages/s", "3180 pages/s", "downtime predicted 280 ms, goal 300 ms", "throttle 35 %, highest 82 %",
            "batch 64", "throttle 35 -> 82 %: the guest uses 18 %", "web-12: bulk", "the policy only observes")
        daemon.migrations["/org/sevmig1/migration/m0"]["RemainingPages"] = 600
        terminal.wait_for("99 %  2.3 MiB of 256.0 MiB")
        os.write(terminal.fd, b"q")
        self.assertEqual(terminal.wait_end(), 0)

    def test_curves_grow_on_one_scale(self):
        """The dirty rate falls to half of the encryption rate, which is the scale of both."""
        daemon = self.serve((dict(CONVERGING, DirtyRate=4000.0, EncryptionRate=4000.0), True))
        terminal = self.watch("db-1")
        terminal.wait_for("██")
        daemon.migrations["/org/sevmig1/migration/m0"].update(DirtyRate=2000.0)
        terminal.wait_for_match(r"dirty +█+▄{3,}  2000 pages/s +encrypted +█+  4000 pages/s")
        self.assertEqual(terminal.colours("▄▄▄"), {"brown"})

    def test_colours(self):
        self.serve((CONVERGING, True))
        for environment, colours in (({}, {"green"}), ({"NO_COLOR": "1"}, {"default"})):
            with self.subTest(environment):
                terminal = self.watch(**environment)
                terminal.wait_for("98 %")
                self.assertEqual(terminal.colours("██████"), colours)
                if environment:
                    self.assertNotRegex(terminal.raw, rb"\x1b\[(?:[0-9;]*;)?[34][0-9][;m]")

    def test_resize(self):
        self.serve((CONVERGING, True), (OBSERVED, True))
        terminal = self.watch(size=(40, 120))
        terminal.wait_for_match("web-12: bulk", "dirty.*encrypted")
        for lines, columns in ((40, 50), (40, 24), (12, 120)):
            terminal.resize(lines, columns)
            terminal.screen.reset()
            terminal.wait_for_match("^db-1: converging", "\nweb-12: bulk")
            if columns < 90:
                self.assertNotRegex(terminal.wait_for("dirty"), "dirty.*encrypted")
        os.kill(terminal.pid, signal.SIGTERM)
        self.assertEqual(terminal.wait_end(), 0)

    def test_more_than_fit(self):
        many = [dict(CONVERGING, Id=f"g-{n}", Domain=f"guest-{n}") for n in range(8)]
        self.serve(*[(m, True) for m in many])
        text = self.watch(size=(10, 80)).wait_for("and 4 more")
        self.assertIn("guest-3: converging", text)
        self.assertNotIn("guest-4: converging", text)
        self.assertNotIn("dirty", text)

    def test_turns(self):
        """In the order of their turns, whoever started first; one that takes none comes last."""
        waits = dict(OBSERVED, Id="w-1", Domain="waits", State="steered", Note="", TurnPlace=2,
                     TurnBeginsUs=12000000, TurnEndsUs=30000000)
        sends = dict(CONVERGING, Id="s-1", Domain="sends", TurnPlace=1, TurnEndsUs=12000000)
        self.serve((OBSERVED, True), (waits, True), (sends, True))
        text = self.watch().wait_for("turn 1: sends, sent in 12.0 s", "turn 2: waits 12.0 s, sent in 30.0 s",
                                     "web-12: bulk")
        self.assertLess(text.index("sends: converging"), text.index("waits: bulk"))
        self.assertLess(text.index("waits: bulk"), text.index("web-12: bulk"))

    def test_end_is_told(self):
        """The screen is left as it was, and how the migration ended stands below what was there."""
        for last, status, told in ((DONE, 0, "db-1: done"), (FAILED, 1, "error: the peer closed the channel")):
            with self.subTest(told):
                bus = self.bus
                self.bus = Bus()
                self.addCleanup(self.bus.close)
                daemon = self.serve((CONVERGING, True))
                terminal = self.watch("db-1")
                terminal.wait_for("db-1: converging")
                daemon.migrations[daemon.running[0]] = last
                daemon.running.clear()
                self.assertEqual(terminal.wait_end(), status)
                self.assertEqual(terminal.raw.count(b"\x1b[?1049h"), 1)
                self.assertIn(told.encode(), terminal.raw.split(b"\x1b[?1049l")[1])
                self.bus = bus

    def test_what_ended_stays_for_a_while(self):
        daemon = self.serve((CONVERGING, True), (OBSERVED, True))
        terminal = self.watch()
        terminal.wait_for("web-12: bulk")
        daemon.migrations[daemon.running[0]] = DONE
        daemon.running.pop(0)
        terminal.wait_for("db-1: done")
        self.assertEqual(terminal.colours("db-1: done"), {"green"})
        os.write(terminal.fd, b"\x03")
        self.assertEqual(terminal.wait_end(), 0)
        self.assertIn(b"db-1: done", terminal.raw.split(b"\x1b[?1049l")[1])

    def test_sevmigd_ends(self):
        daemon = FakeSevmigd(self.bus, INTERFACE)
        daemon.set_manager(**MANAGER)
        daemon.add("m0", CONVERGING)
        terminal = self.watch()
        terminal.wait_for("db-1")
        daemon.close()
        self.assertEqual(terminal.wait_end(), 1)
        self.assertIn(b"sevmigd is not running", terminal.raw.split(b"\x1b[?1049l")[1])

    def test_nothing_runs(self):
        self.serve()
        terminal = self.watch()
        terminal.wait_for("no migrations")
        os.write(terminal.fd, b"Q")
        self.assertEqual(terminal.wait_end(), 0)

    def test_poor_terminals(self):
        """Lines where nothing can be drawn."""
        self.serve((CONVERGING, True))
        for term in ("dumb", "no-such-terminal"):
            with self.subTest(term):
                terminal = self.watch(TERM=term, size=(24, 300))
                terminal.wait_for("41.0 s db-1: converging")
                self.assertNotIn(b"\x1b", terminal.raw)


if __name__ == "__main__":
    sys.exit(tap.main())
