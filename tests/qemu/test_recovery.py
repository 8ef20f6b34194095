# SPDX-License-Identifier: LGPL-2.1-or-later
"""A firmware that refuses to clean up, and what else must not spoil the next migration."""

import os
import unittest

import busy
import firmware
import guests
from test_migration import MigrationTest

SLOW = ('--time-scale', '10')


class Recovery(MigrationTest):
    """The guest runs on and can be migrated, whatever the firmware refused before."""

    def pair(self, name='dst'):
        args = busy.args(self.dir, ram_mib=guests.RAM_MIB)
        return self.source(args, psp_args=SLOW), self.destination(args, name=name, psp_args=SLOW)

    def another(self, name):
        return self.destination(busy.args(self.dir, ram_mib=guests.RAM_MIB), name=name)

    def start_and_send(self, src, dst):
        src.qmp.events.clear()
        self.start(src, dst, downtime_ms=1)
        self.wait_pages(src, 200)

    def test_cancel_refused(self):
        """The state in the firmware is unknown then: the next migration launches anew."""
        src, dst = self.pair()
        firmware.control(src.psp, 'fault', op='SEND_CANCEL', error='INVALID_PARAM')
        self.start_and_send(src, dst)
        src.qmp.cmd('migrate_cancel')
        self.wait_status(src, 'cancelled')
        self.wait_until(lambda: src.qmp.cmd('query-status')['status'] == 'running')
        self.assertLogged(src, 'SEND_CANCEL failed: INVALID_PARAM (0x16)')
        src.qmp.events.clear()
        self.complete(src, self.another('again'), downtime_ms=300)

    def test_relaunch_refused(self):
        """A firmware that came back and refuses the guest may be asked again."""
        src, dst = self.pair()
        self.start_and_send(src, dst)
        next(p for p in self.processes if p.log.stem == 'psp-src').stop(kill=True)
        self.wait_status(src, 'failed')
        os.unlink(src.psp)
        self.start_swpsp('psp-src', ['--time-scale', '100'])
        firmware.control(src.psp, 'fault', op='LAUNCH_START', error='INVALID_PARAM')
        src.qmp.events.clear()
        self.start(src, self.another('refused'))
        self.wait_status(src, 'failed')
        self.assertLogged(src, 'LAUNCH_START failed: INVALID_PARAM (0x16)')
        src.qmp.events.clear()
        self.complete(src, self.another('again'), downtime_ms=300)

    def test_capability_of_the_destination(self):
        """Pages must not come in by a way that does not ask for a packet."""
        src, dst = self.pair()
        self.set_capabilities(dst, 'xbzrle')
        self.assertQmpError("an SEV guest cannot be migrated with the capability 'xbzrle'",
                            self.start, src, dst)
        self.assertRunsHere(src)


class Runs(MigrationTest):
    def test_late_passes_count_their_runs(self):
        """A run is counted in each pass that finds it dirty, not only in the first."""
        args = busy.args(self.dir, ram_mib=guests.RAM_MIB)
        src, dst = self.source(args), self.destination(args)
        self.start(src, dst)
        src.qmp.cmd('x-sev-migration-tune', switchover='hold', lease_ms=60000)
        self.wait_until(lambda: src.qmp.cmd('x-query-sev-migration')['ram']['pass'] >= 4)
        histogram = src.qmp.cmd('x-query-sev-migration')['send']['run-histogram']
        src.qmp.cmd('migrate_cancel')
        self.wait_status(src, 'cancelled')
        self.assertGreaterEqual(sum(histogram), 4, histogram)


if __name__ == '__main__':
    unittest.main()
