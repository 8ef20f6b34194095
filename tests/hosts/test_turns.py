# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several migrations that leave a host at once: they take turns at its firmware."""

import contextlib
import json
import os
import signal
import time

from lab import firmware, guests, migrate
from lab.error import LabError
from lab.hosts import HOSTS, RUN
from scene import (HostCase, Under, daemon_pid, kill_daemon, query, set_time_scale, start_sevmigd, tell_firmware,
                   wait_until)

# Until one of two that begin together is told to wait both send, so the first differ by more.
EIGHT_MIB = (30, 50, 62, 78, 96, 120, 150, 188)
LEASE_S = 2.0
SCALE = 5
START_MS = 1000


class TurnsCase(HostCase):
    """Guests of different sizes on host a, and a firmware slow enough to wait for."""

    source = HOSTS["a"]

    def setUp(self):
        super().setUp()
        self.addCleanup(set_time_scale, firmware.time_scale(self.source))
        set_time_scale(SCALE)

    def fleet(self, sizes, prefix):
        return [self.start(f"{prefix}{mib}", memory_mib=mib, workload="pattern=hot rate=200")
                for mib in sizes]

    def migrate_all(self, fleet):
        """Under way, all of them, in the order given."""
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        return [stack.enter_context(Under(guest)) for guest in fleet]

    def held(self, guest):
        try:
            return query(self.source, guest.name)["tune"]["hold-sending"]
        except LabError:
            return False  # it has left

    def any_held(self, fleet):
        """Who waits depends on who was there first: one that sends is not lightly told to wait."""
        return any(map(self.held, fleet))

    def books_of(self, unders):
        for under in unders:
            self.assertEqual(under.wait_end(180)[0], 0, under.guest.name)
        return [under.wait_daemon_end() for under in unders]

    def record(self, books):
        text = self.source.run(["cat", books["RecordFile"]]).stdout
        return [json.loads(line) for line in text.splitlines()[1:]]

    def ended_us(self, books):
        return books["StartedRealtimeUs"] + books["ElapsedUs"]

    def assert_verified(self, fleet):
        for guest in fleet:
            self.assert_runs_on(guest, HOSTS["b"])


class Turns(TurnsCase):
    def test_eight_in_order(self):
        fleet = self.fleet(EIGHT_MIB, "one-of-")
        started = fleet[1::2] + fleet[::2]
        # All wait for each that sets out, so that nobody sends much before all are there, on any machine.
        self.addCleanup(tell_firmware, self.source, "clear-faults")
        tell_firmware(self.source, "fault", op="SEND_START", kind="delay", count=len(fleet),
                      **{"delay-ms": START_MS})
        books = self.books_of(self.migrate_all(started))
        books = [books[started.index(guest)] for guest in fleet]
        self.assertEqual([b["Phase"] for b in books], ["done"] * len(fleet))
        ends = [self.ended_us(b) for b in books]
        self.assertEqual(ends, sorted(ends), "the least work goes first")
        words = [[step["turn"] for step in self.record(b) if step["event"] == "turn"] for b in books]
        self.assertTrue(all(words), "each was told")
        self.assertGreaterEqual(sum(any(not word["sends"] for word in told) for told in words), 6)
        for b in books:
            self.assertIn("identical: ", self.source.run(["sevmigctl", "replay", b["RecordFile"]]).stdout)
        self.assert_verified(fleet)

    def test_others_are_unharmed(self):
        """One is aborted, the destination of another dies, and one comes in the middle."""
        fleet = self.fleet((64, 72, 80, 88), "rest-")
        set_time_scale(1)  # none of them is through before its turn to be struck comes
        aborted, struck, *rest = self.migrate_all(fleet)
        wait_until("others wait for the first", lambda: self.any_held(fleet))
        newcomer = self.fleet((48,), "new-")[0]
        late = self.migrate_all([newcomer])[0]
        aborted.press_ctrl_c()
        self.assertNotEqual(aborted.wait_end(60)[0], 0)
        os.kill(int((RUN / "b/libvirt/qemu" / f"{struck.guest.name}.pid").read_text()), signal.SIGKILL)
        self.assertNotEqual(struck.wait_end(60)[0], 0)
        set_time_scale(SCALE)
        for books in self.books_of([*rest, late]):
            self.assertEqual(books["Phase"], "done")
        self.assertEqual(aborted.wait_daemon_end()["Phase"], "cancelled")
        self.assertEqual(struck.wait_daemon_end()["Phase"], "failed")
        for guest in fleet[:2]:
            self.assert_runs_on(guest, self.source)
        self.assert_verified([*fleet[2:], newcomer])

    def test_sevmigd_is_killed(self):
        """Nobody stays held, and who comes after it takes up the turns."""
        fleet = self.fleet((150, 160, 170), "orphan-")  # none has left before sevmigd is back
        unders = self.migrate_all(fleet)
        wait_until("one waits", lambda: self.any_held(fleet))
        kill_daemon(self.source, "sevmigd")
        killed = time.monotonic()
        wait_until("all send again", lambda: not self.any_held(fleet), LEASE_S + 2)
        self.assertLess(time.monotonic() - killed, LEASE_S + 1)
        start_sevmigd(self.source)
        wait_until("one waits again", lambda: self.any_held(fleet))
        for books in self.books_of(unders):
            self.assertEqual(books["Phase"], "done")
        self.assert_verified(fleet)
