#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QMP answers on both ends while the firmware works at its real, slow pace, or hangs."""

import itertools
import math
import signal
import threading
import time
import unittest

import busy
import firmware
import harness
import tiny
from test_migration import MigrationTest

# At time scale 1 a submission of this size keeps the firmware busy for 0.7 s.
BATCH_PAGES = 1024
# A tenth of that is what a monitor could not do that waited for the firmware; a busy host may stop
# anybody for a moment.
MOST_S = 0.2
# A firmware that hangs is given 30 s.
HUNG_S = 5


def percentile(values, percent):
    """The smallest value that so many percent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


class Poller(threading.Thread):
    """Asks one QEMU over and over on a QMP session of its own."""

    commands = 'x-query-sev-migration', 'query-sev-capabilities'

    def __init__(self, qemu):
        super().__init__(daemon=True)
        self.qmp = harness.Qmp(qemu.second_qmp)
        self.stopping = threading.Event()
        self.answers_s = []

    def run(self):
        for command in itertools.cycle(self.commands):
            if self.stopping.wait(0.01):
                return
            started_s = time.monotonic()
            self.qmp.cmd(command)
            self.answers_s.append(time.monotonic() - started_s)

    def stop(self):
        self.stopping.set()
        self.join(harness.PATIENCE_S)
        self.qmp.close()
        return self.answers_s


class Responsive(MigrationTest):
    def guest(self, name, more=()):
        second = self.dir / f'{name}.qmp2'
        serial = tiny.Serial(self.dir / f'{name}.serial')
        qemu = self.host(name, [
            *tiny.args(self.dir, 'pattern=hot rate=200 verify=20000 beat=10'), *serial.args,
            '-qmp', f'unix:{second},server=on,wait=off', *more], psp_args=('--time-scale', '1'))
        qemu.second_qmp, qemu.serial = second, serial
        return qemu

    def test_whole_migration(self):
        src, dst = self.guest('src'), self.guest('dst', ['-incoming', 'defer'])
        src.serial.wait(lambda beats: True, 'the boot')
        pollers = [Poller(qemu) for qemu in (src, dst)]
        for poller in pollers:
            poller.start()
        self.start(src, dst, downtime_ms=2000)
        src.qmp.cmd('x-sev-migration-tune', batch_pages=BATCH_PAGES, throttle_slice_us=1000,
                    vcpu_throttle=50, lease_ms=60000)
        self.wait_status(src, 'completed')
        answers = [poller.stop() for poller in pollers]
        send = src.qmp.cmd('x-query-sev-migration')['send']
        # The firmware was as slow as this test supposes.
        self.assertGreater(send['service-us'], 2000000)
        self.assertGreater(send['pages'], send['submissions'] * 100)
        for name, answers_s in zip(('source', 'destination'), answers):
            self.assertGreater(len(answers_s), 20)
            late_s = percentile(answers_s, 99)
            self.assertLess(late_s, MOST_S, f'{name}: {len(answers_s)} answers, half within '
                            f'{percentile(answers_s, 50):.4f} s, the last after '
                            f'{max(answers_s):.3f} s')

    def test_hung_firmware(self):
        """Auto-converge's timer syncs the dirty bitmap each 5 s, and does not wait, either."""
        for side in 'src', 'dst':
            with self.subTest(side):
                self.renew()
                args = busy.args(self.dir)
                scale = ('--time-scale', '10')
                src, dst = self.source(args, psp_args=scale), self.destination(args, psp_args=scale)
                busy.wait_busy(self, src, 2)
                self.set_capabilities(src, 'auto-converge')
                self.start(src, dst, downtime_ms=1)
                self.wait_pages(src, 500)
                psp = next(p for p in self.processes if p.log.stem == f'psp-{side}')
                psp.child.send_signal(signal.SIGSTOP)
                end = time.monotonic() + 12
                while time.monotonic() < end:
                    for qemu in src, dst:
                        for command in 'query-status', 'query-sev-capabilities':
                            started = time.monotonic()
                            qemu.qmp.cmd(command)
                            self.assertLess(time.monotonic() - started, HUNG_S)
                    time.sleep(0.05)
                busy.wait_busy(self, src, 2)
                self.assertEqual(src.qmp.cmd('query-migrate')['status'], 'active')
                psp.child.send_signal(signal.SIGCONT)
                src.qmp.cmd('x-sev-migration-tune', switchover='now', lease_ms=60000)
                self.wait_status(src, 'completed')
                self.assertNotEqual(firmware.states(dst.psp), [])


if __name__ == '__main__':
    unittest.main()
