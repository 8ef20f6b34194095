#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two submissions are in flight when a migration ends: both are drained, and order is kept.

A submission that nobody collected would be taken for the answer to a later one. A page that came
out of turn would be older than what the destination has already. Either way the guest, which
verifies its memory, or the firmware, which checks every packet, would find out.
"""

import unittest

import firmware
from test_faults import FaultTest

# At time scale 1 the firmware needs 48 ms for one of them.
BATCH_PAGES = 64
COMMANDS = BATCH_PAGES // 4


class Drains(FaultTest):
    def fill(self, dst, side=0):
        """Start a migration that keeps the source's (0) or the destination's firmware busy."""
        slow, fast = (self.firmwares[(self.here + i) % 2].path for i in (side, 1 - side))
        firmware.control(slow, 'set', time_scale=1)
        firmware.control(fast, 'set', time_scale=100)
        firmware.control(slow, 'reset-stats')
        self.src.qmp.events.clear()
        self.start(self.src, dst, downtime_ms=1)
        self.tune(batch_pages=BATCH_PAGES)
        self.wait_until(lambda: firmware.stats(slow)['queue_depth_max'] >= 2)
        return slow

    def again(self):
        for psp in self.firmwares:
            firmware.control(psp.path, 'set', time_scale=100)
        self.migrates_on()
        self.migrates_on()

    def test_cancel(self):
        for side in 0, 1, 0:
            with self.subTest(side=side):
                dst = self.target()
                self.fill(dst, side)
                self.src.qmp.cmd('migrate_cancel')
                self.wait_status(self.src, 'cancelled')
                self.assertGoesOn(dst)
                # What was submitted has been answered: the firmware has nothing left to do.
                self.assertEqual(firmware.states(self.firmwares[self.here].path), ['running'])
                self.again()

    def test_fault(self):
        """The first of two fails in its middle; the firmware still carries out the second."""
        for side, op in enumerate(('SEND_UPDATE_DATA', 'RECEIVE_UPDATE_DATA')):
            for after in COMMANDS + 5, 3 * COMMANDS:
                with self.subTest(op=op, after=after):
                    dst = self.target()
                    firmware.control(self.fill(dst, side), 'fault', op=op, after=after,
                                     error='INVALID_PARAM')
                    self.wait_status(self.src, 'failed')
                    self.assertIn(f'{op} failed: INVALID_PARAM',
                                  self.src.qmp.cmd('query-migrate')['error-desc'])
                    self.assertGoesOn(dst)
                    self.again()


if __name__ == '__main__':
    unittest.main()
