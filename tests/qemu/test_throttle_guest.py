#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Direct throttling as the guest itself sees it, against what QEMU says of it.

The guest stamps a heartbeat every millisecond, with a clock that goes on while its vCPU is held.
A silence between two of them is a time in which it did not work. (The clock's rate is off by what the
host took away while the guest calibrated it, so it is measured.) A busy host makes silences too, but
hardly ever long ones, so stuns are made long where they are measured, and what has to be short is
the best of several tries.
"""

import time
import unittest

import busy
import harness
import tiny
from test_tune import tune

LOAD = 'pattern=hot rate=0 verify=0 beat=1'


class Watched(harness.TestCase):
    """A held migration of a guest whose one working vCPU, 0, is watched."""

    def setUp(self):
        super().setUp()
        self.serial = tiny.Serial(self.dir / 'guest.serial')
        args = tiny.args(self.dir, LOAD, vcpus=2)
        self.src, self.dst = (self.start_sev(name, [*args, *more], time_scale=2) for name, more in (
            ('src', self.serial.args), ('dst', ['-serial', 'null', '-incoming', 'defer'])))
        self.serial.wait(lambda beats: len(beats) > 100, 'the boot')
        self.src.qmp.cmd('migrate-set-parameters', downtime_limit=1)
        self.migrate(self.src, self.dst)
        self.wait_status(self.src, 'active')
        tune(self.src, switchover='hold', lease_ms=60000)
        self.scale = self.measure_clock()

    def measure_clock(self):
        """Milliseconds in one of the guest's, which is not throttled yet."""
        first, started_s = self.serial.poll()[-1], time.monotonic()
        time.sleep(1)
        last, ended_s = self.serial.poll()[-1], time.monotonic()
        return (ended_s - started_s) * 1000 / (last.guest_ms - first.guest_ms)

    def throttle(self, percentage, slice_us=10000, **more):
        tune(self.src, vcpu_throttle=percentage, throttle_slice_us=slice_us, lease_ms=60000, **more)

    def watch(self, seconds):
        """The guest's silences in milliseconds, and what QEMU says vCPU 0 was kept from running."""
        first = len(self.serial.poll())
        before = busy.throttled(self.src)[0]
        time.sleep(seconds)
        kept_ms = (busy.throttled(self.src)[0] - before) / 1000
        stamps = [beat.guest_ms * self.scale for beat in self.serial.poll()[first:]]
        return [later - earlier for earlier, later in zip(stamps, stamps[1:])], kept_ms

    def test_stuns(self):
        """As long as documented, in both directions, and all that throttled-us counts."""
        for percentage, slice_us in ((80, 40000), (60, 100000), (95, 10000)):
            stun_ms = slice_us / 1000 * percentage / (100 - percentage)

            def check(stun_ms=stun_ms):
                silences, kept_ms = self.watch(2)
                stuns = [silence for silence in silences if silence > stun_ms / 2]
                longest = max(silences)
                right = (len(stuns) >= 3 and abs(sum(stuns) - kept_ms) < 0.25 * kept_ms + stun_ms
                         and 0.8 * stun_ms <= longest <= 1.3 * stun_ms + 50)
                self.assertTrue(right, (stun_ms, stuns, kept_ms))
            with self.subTest(percentage=percentage, slice_us=slice_us):
                self.throttle(percentage, slice_us)
                time.sleep(0.2)
                self.attempts(check, 4)

    def test_fine_slices(self):
        """At 200 microseconds the guest is kept from running as much, and never for long."""
        def share(slice_us):
            self.throttle(75, slice_us)
            time.sleep(0.5)
            silences, kept_ms = self.watch(2)
            window_ms = sum(silences)
            return (kept_ms / window_ms,
                    sum(silence for silence in silences if silence > 100) / window_ms)

        def check():
            (coarse, coarse_long), (fine, fine_long) = share(100000), share(200)
            # A busy host ends both slices and stuns late, but by less than 100 ms.
            right = 0.2 < fine < 0.95 and coarse_long > 0.4 and fine_long < coarse_long / 2
            self.assertTrue(right, (coarse, coarse_long, fine, fine_long))
        self.attempts(check, 4)

    def test_one_vcpu(self):
        """Stuns of the vCPU that does not work are no stuns of the one that does."""
        for index, silent in ((1, False), (0, True)):
            def check(silent=silent):
                silences, _ = self.watch(1.5)
                long = sum(silence for silence in silences if silence > 100) / sum(silences)
                self.assertEqual(long > 0.5, silent, (long, max(silences)))
            with self.subTest(index=index):
                self.throttle(0, 20000, vcpu_throttles=[{'cpu-index': index, 'percentage': 90}])
                time.sleep(0.2)
                self.attempts(check, 4)

    def first_stun_s(self, slice_us):
        """How long after the command vCPU 0 is first held."""
        self.throttle(0)
        time.sleep(0.1)
        before, started_s = busy.throttled(self.src)[0], time.monotonic()
        self.throttle(99, slice_us)
        while busy.throttled(self.src)[0] == before:
            self.assertLess(time.monotonic() - started_s, harness.PATIENCE_S)
        return time.monotonic() - started_s

    def test_raised_within_a_slice(self):
        for slice_us in 1000, 100000:
            with self.subTest(slice_us=slice_us):
                self.assertLess(min(self.first_stun_s(slice_us) for _ in range(5)),
                                slice_us / 1e6 + 0.05)

    def test_lowered_at_once(self):
        """A stun of ten seconds ends when the throttle does."""
        def work_after_s():
            self.throttle(99, 100000)
            self.serial.poll()
            while True:  # until it has been silent for a while
                beats = len(self.serial.poll())
                time.sleep(0.3)
                if len(self.serial.poll()) == beats:
                    break
            started_s = time.monotonic()
            self.throttle(10)
            self.serial.wait(lambda all_beats: len(all_beats) > beats, 'work')
            return time.monotonic() - started_s
        self.assertLess(min(work_after_s() for _ in range(3)), 1)


if __name__ == '__main__':
    unittest.main()
