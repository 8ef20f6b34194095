#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The monitors answer while the firmware works, is slow, or hangs."""

import signal
import time
import unittest

import busy
import firmware
import test_migration

# A firmware that hangs is given 30 s, and a batch of 1024 pages takes it 600 ms. Monitors that wait
# for the one or the other do not pass these; a busy host alone does.
HUNG_S = 5
MOST_MS = 200


class Responsive(test_migration.MigrationTest):

    def pair(self, time_scale):
        args = busy.args(self.dir)
        psp_args = ('--time-scale', str(time_scale))
        src, dst = self.source(args, psp_args=psp_args), self.destination(args, psp_args=psp_args)
        busy.wait_busy(self, src, 2)
        return src, dst

    def timed(self, qemu, command):
        """Seconds that a command takes."""
        start = time.monotonic()
        qemu.qmp.cmd(command)
        return time.monotonic() - start

    def test_large_batches_at_scale_1(self):
        """A whole migration in which a submission takes most of a second."""
        src, dst = self.pair(1)
        times = {src: [], dst: []}
        self.start(src, dst, downtime_ms=300)
        src.qmp.cmd('x-sev-migration-tune', batch_pages=1024)
        while src.qmp.cmd('query-migrate')['status'] != 'completed':
            for qemu, taken in times.items():
                for command in 'query-status', 'x-query-sev-migration', 'query-sev-capabilities':
                    taken.append(self.timed(qemu, command) * 1000)
            time.sleep(0.005)
        for qemu, taken in times.items():
            taken.sort()
            self.assertGreater(len(taken), 100)
            self.assertLess(taken[len(taken) * 19 // 20], MOST_MS, (qemu.log.stem, taken))

    def test_hung_firmware(self):
        """Auto-converge's timer syncs the dirty bitmap each 5 s, and does not wait, either."""
        for side in 'src', 'dst':
            with self.subTest(side):
                self.renew()
                src, dst = self.pair(10)
                self.set_capabilities(src, 'auto-converge')
                self.start(src, dst, downtime_ms=1)
                self.wait_pages(src, 500)
                psp = next(p for p in self.processes if p.log.stem == f'psp-{side}')
                psp.child.send_signal(signal.SIGSTOP)
                end = time.monotonic() + 12
                while time.monotonic() < end:
                    for qemu in src, dst:
                        for command in 'query-status', 'query-sev-capabilities':
                            self.assertLess(self.timed(qemu, command), HUNG_S)
                    time.sleep(0.05)
                busy.wait_busy(self, src, 2)
                self.assertEqual(src.qmp.cmd('query-migrate')['status'], 'active')
                psp.child.send_signal(signal.SIGCONT)
                src.qmp.cmd('x-sev-migration-tune', switchover='now', lease_ms=60000)
                self.wait_status(src, 'completed')
                self.assertNotEqual(firmware.states(dst.psp), [])


if __name__ == '__main__':
    unittest.main()
