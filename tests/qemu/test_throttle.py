# SPDX-License-Identifier: LGPL-2.1-or-later
"""Direct vCPU throttling. Shares of time are compared with wide margins: a test host is busy."""

import time
import unittest

import busy
import harness
from test_tune import Tuned, tune


class Throttle(Tuned):
    def setUp(self):
        super().setUp()
        tune(self.src, switchover='hold', lease_ms=60000)

    def throttle(self, percentage, **more):
        tune(self.src, vcpu_throttle=percentage, lease_ms=60000, **more)

    def shares(self, qemu=None, seconds=1.0):
        """Shares of time that each vCPU ran and was kept from running."""
        qemu = qemu or self.src
        start, first = time.monotonic(), busy.vcpus(qemu)
        time.sleep(seconds)
        last, end = busy.vcpus(qemu), time.monotonic()
        return {i: tuple((last[i][key] - first[i][key]) / 1e6 / (end - start)
                         for key in ('cpu-us', 'throttled-us')) for i in first}

    def test_up_and_down(self):
        for percentage in (50, 95, 99, 20, 80, 0):
            with self.subTest(percentage=percentage):
                self.throttle(percentage)
                self.attempts(lambda percentage=percentage: self.check_all(percentage), 3)
                for vcpu in busy.vcpus(self.src).values():
                    self.assertEqual(vcpu['throttle'], percentage)

    def check_all(self, percentage):
        for ran, throttled in self.shares().values():
            self.assertShare(percentage, throttled)
            self.assertLess(ran, 1.1 - throttled)

    def assertShare(self, percentage, throttled):
        """What a busy host lets a vCPU run for too long, its account takes back."""
        self.assertAlmostEqual(throttled, percentage / 100, delta=0.12)

    def test_one_vcpu(self):
        self.throttle(0, vcpu_throttles=[{'cpu-index': 1, 'percentage': 95}])
        self.attempts(lambda: self.check_two(0, 95), 3)
        self.throttle(95, vcpu_throttles=[{'cpu-index': 1, 'percentage': 0}])
        self.attempts(lambda: self.check_two(95, 0), 3)

    def check_two(self, *percentages):
        for percentage, (_, throttled) in zip(percentages, self.shares().values(), strict=True):
            if percentage:
                self.assertShare(percentage, throttled)
            else:
                self.assertEqual(throttled, 0)

    def test_dirtied_pages(self):
        """What each vCPU writes, once between two syncs: busy.S goes round eight pages."""
        self.wait_until(lambda: self.query()['ram']['pass'] > 1)
        first = self.query()
        self.wait_until(lambda: self.query()['ram']['sync-count'] >= first['ram']['sync-count'] + 20)
        last = self.query()
        syncs = last['ram']['sync-count'] - first['ram']['sync-count']
        for before, after in zip(first['vcpus'], last['vcpus']):
            dirtied = after['dirtied-pages'] - before['dirtied-pages']
            self.assertGreater(dirtied, 8)
            self.assertLessEqual(dirtied, 8 * (syncs + 1))
        self.src.qmp.cmd('stop')
        first = busy.vcpus(self.src)
        syncs = self.query()['ram']['sync-count']
        self.wait_until(lambda: self.query()['ram']['sync-count'] > syncs + 2)
        for i, vcpu in busy.vcpus(self.src).items():
            self.assertEqual(vcpu['dirtied-pages'], first[i]['dirtied-pages'])

    def wait_until(self, condition):
        deadline = time.monotonic() + harness.PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, 'waited in vain')
            time.sleep(0.02)

    def stuns(self, seconds=2.0):
        """How often vCPU 0 was stunned."""
        first = self.src.text().count('sev_throttle_hold vCPU 0')
        time.sleep(seconds)
        return self.src.text().count('sev_throttle_hold vCPU 0') - first

    def test_slice(self):
        self.src.qmp.cmd('trace-event-set-state', name='sev_throttle_hold', enable=True)
        self.throttle(50, throttle_slice_us=100000)
        coarse = self.stuns()
        self.assertGreater(coarse, 1)
        self.assertLess(coarse, 20)  # 10, were the clock exact
        self.throttle(50, throttle_slice_us=1000)
        self.assertGreater(self.stuns(), 2 * coarse)

    def stun(self):
        """Take both vCPUs into a stun of ten seconds."""
        self.throttle(99, throttle_slice_us=100000)
        while True:
            first = busy.vcpus(self.src)
            time.sleep(0.2)
            last = busy.vcpus(self.src)
            if all(last[i]['throttled-us'] - first[i]['throttled-us'] > 150000 for i in first):
                return

    def timed(self, command, **arguments):
        start = time.monotonic()
        self.src.qmp.cmd(command, **arguments)
        return time.monotonic() - start

    def test_wakes_when_lowered(self):
        self.stun()
        self.throttle(0)
        busy.wait_busy(self, self.src, 2)
        self.assertUnthrottled()

    def test_stun_does_not_delay(self):
        self.stun()
        # Both need the vCPU threads; a stun goes on for nearly ten seconds.
        self.assertLess(self.timed('human-monitor-command',
                                   command_line='info registers -a'), 5)
        self.assertLess(self.timed('stop'), 5)
        first = busy.throttled(self.src)
        time.sleep(0.2)
        self.assertEqual(busy.throttled(self.src), first, 'a paused guest is not kept from running')
        self.src.qmp.cmd('cont')
        while busy.throttled(self.src) == first:
            pass  # the throttle is still on

    def test_stun_does_not_delay_switchover(self):
        self.stun()
        start = time.monotonic()
        tune(self.src, switchover='now', lease_ms=60000)
        self.wait_status(self.src, 'completed')
        self.assertLess(time.monotonic() - start, 8)


class SingleThread(Throttle):
    """Two vCPUs that share one thread are throttled one by one."""

    thread = 'single'

    def test_one_vcpu(self):
        self.throttle(0, vcpu_throttles=[{'cpu-index': 1, 'percentage': 95}])
        self.attempts(lambda: self.check_two(0, 95), 3)
        # Stuns of vCPU 1 are not stuns of the thread.
        self.assertGreater(self.shares()[0][0], 0.15)


if __name__ == '__main__':
    unittest.main()
