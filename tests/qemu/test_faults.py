#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each fault of the firmware, on either side, in each stage of a migration.

One verifying guest goes through a whole list of cases. In each its migration is struck by a fault.
The guest must run on where it is, unthrottled, and its next migration must succeed; that one takes
it to the other firmware, where the next case finds it. A destination that was struck never runs it.
"""

import time
import unittest
from typing import NamedTuple

import firmware
import harness
import tiny
from test_migration import MigrationTest
from test_tune import DEFAULTS

LOAD = 'pattern=hot rate=4000 run=2 verify=60000 beat=5'
SCALE = 10
TUNE = {'vcpu_throttle': 60, 'switchover': 'hold', 'lease_ms': 60000}
# QMP must answer while a firmware hangs; a client that waited for it would wait for 30 s.
HANG_ANSWER_S = 10


class Case(NamedTuple):
    side: str   # whose firmware
    op: str
    stage: str  # armed before the start: setup, bulk, finish; or in a late pass, or stopped


STARTS = (Case('source', 'SEND_START', 'setup'), Case('destination', 'RECEIVE_START', 'setup'))
UPDATES = tuple(Case(side, op, stage) for side, op in (('source', 'SEND_UPDATE_DATA'),
                                                       ('destination', 'RECEIVE_UPDATE_DATA'))
                for stage in ('bulk', 'late', 'stopped'))
IDENTITY = Case('destination', 'PDH_CERT_EXPORT', 'setup')
RECEIVE_FINISH = Case('destination', 'RECEIVE_FINISH', 'finish')
WITH_MAC = STARTS + UPDATES
ALL = (IDENTITY, *WITH_MAC, RECEIVE_FINISH)


class FaultTest(MigrationTest):
    def setUp(self):
        super().setUp()
        self.firmwares = [self.start_firmware(name) for name in 'ab']
        self.here = 0
        self.count = 0
        self.src = self.start_guest(self.here)
        self.src.serial.wait(lambda beats: True, 'the boot')

    def start_firmware(self, name):
        psp = harness.Swpsp(f'psp-{name}', self.dir, ['--time-scale', str(SCALE)])
        self.addCleanup(psp.stop, kill=True)
        return psp

    def restart(self, psp):
        """Start a firmware that has crashed again."""
        psp.child.wait(harness.PATIENCE_S)
        self.firmwares[self.firmwares.index(psp)] = self.start_firmware(
            psp.log.stem.removeprefix('psp-'))

    def start_guest(self, where, more=()):
        self.count += 1
        serial = tiny.Serial(self.dir / f'guest-{self.count}.serial')
        qemu = self.start_qemu(f'guest-{self.count}', [
            *tiny.args(self.dir, LOAD, vcpus=2), *serial.args, *more,
            *harness.sev_args(self.firmwares[where].path)])
        qemu.serial = serial
        return qemu

    def target(self):
        return self.start_guest(1 - self.here, ['-incoming', 'defer'])

    def each(self, cases, check):
        """Check each case; one that fails spoils what the next would begin with."""
        sound = True
        for case in cases:
            if not sound:
                self.renew()
            sound = False
            with self.subTest(' '.join(case)):
                check(case)
                sound = True

    def struck(self, case):
        return self.firmwares[self.here if case.side == 'source' else 1 - self.here]

    def arm(self, case, **fault):
        after = 100 if case.stage == 'bulk' else 0
        firmware.control(self.struck(case).path, 'fault', op=case.op, after=after, **fault)

    def hits(self, psp):
        return sum(fault['hits'] for fault in firmware.stats(psp.path)['faults'])

    def strike(self, case, dst, **fault):
        """Start a migration and take it to where the fault is to strike."""
        self.src.qmp.events.clear()
        self.set_capabilities(self.src, 'pause-before-switchover', state=case.stage == 'stopped')
        if case.stage in ('setup', 'bulk', 'finish'):
            self.arm(case, **fault)
        self.start(self.src, dst, downtime_ms=1)
        if case.stage == 'setup':
            return
        self.tune(**TUNE)
        if case.stage == 'late':
            self.wait_until(lambda: self.query()['ram']['pass'] >= 3)
            self.arm(case, **fault)
        elif case.stage == 'stopped':
            self.tune(switchover='now', lease_ms=60000)
            self.wait_status(self.src, 'pre-switchover')
            self.arm(case, **fault)
            self.src.qmp.cmd('migrate-continue', state='pre-switchover')
        elif case.stage == 'finish':
            self.tune(switchover='now', lease_ms=60000)

    def tune(self, **arguments):
        self.src.qmp.cmd('x-sev-migration-tune', **arguments)

    def query(self):
        return self.src.qmp.cmd('x-query-sev-migration')

    def assertGoesOn(self, dst):
        """The guest runs here, untuned, and has not run there."""
        self.wait_until(lambda: self.src.qmp.cmd('query-status')['status'] == 'running')
        before = self.query()
        self.assertEqual(before['tune'], DEFAULTS | {
            'batch-pages': before['limits']['max-command-pages']})
        work = self.src.serial.poll()[-1].work_pages
        self.src.serial.wait(lambda beats: beats[-1].work_pages > work, 'the guest to work on')
        after = self.query()
        for vcpu, earlier in zip(after['vcpus'], before['vcpus']):
            self.assertEqual(vcpu['throttle'], 0)
            self.assertEqual(vcpu['throttled-us'], earlier['throttled-us'])
        self.assertEqual(dst.serial.poll(), [], 'the guest has run on the destination')
        dst.stop(kill=True)
        self.assertEqual(dst.serial.poll(), [], 'the guest has run on the destination')

    def clear(self):
        for psp in self.firmwares:
            firmware.control(psp.path, 'clear-faults')

    def arrive(self, dst):
        """The guest is there and its memory is what it was."""
        self.wait_status(dst, 'completed')
        dst.serial.wait_verified()
        self.src.stop()
        self.src, self.here = dst, 1 - self.here

    def migrates_on(self):
        self.clear()
        self.set_capabilities(self.src, 'pause-before-switchover', state=False)
        self.src.qmp.events.clear()
        dst = self.target()
        self.start(self.src, dst, downtime_ms=5000)
        self.wait_status(self.src, 'completed')
        self.arrive(dst)

    def fails(self, case, words, within_s=harness.PATIENCE_S, **fault):
        dst = self.target()
        self.strike(case, dst, **fault)
        started_s = time.monotonic()
        self.wait_status(self.src, 'failed')
        self.assertLess(time.monotonic() - started_s, within_s)
        for word in words:
            self.assertIn(word, self.src.qmp.cmd('query-migrate')['error-desc'])
        self.assertGoesOn(dst)
        self.migrates_on()


class Faults(FaultTest):
    """Every command of a migration, in every stage, in every way."""

    def test_error(self):
        self.each(ALL, lambda case: self.fails(
            case, [f'{case.op} failed: INVALID_PARAM'], kind='error', error='INVALID_PARAM'))

    def test_wrong_mac(self):
        """What is not authentic is told by the destination's firmware, whoever spoilt it."""
        def check(case):
            op = case.op.replace('SEND', 'RECEIVE')
            self.fails(case, [f'destination: sev0: {op} failed: BAD_MEASUREMENT'],
                       kind='wrong-mac')
        self.each(WITH_MAC, check)

    def test_crash(self):
        """The firmware comes back without guests; the source's is launched anew there."""
        def check(case):
            dst = self.target()
            psp = self.struck(case)
            self.strike(case, dst, kind='crash')
            self.wait_status(self.src, 'failed')
            self.assertIn('lost the connection to the firmware',
                          self.src.qmp.cmd('query-migrate')['error-desc'])
            self.assertGoesOn(dst)
            self.restart(psp)
            self.migrates_on()
        self.each(ALL, check)

    def test_delay(self):
        """A slow command is no error."""
        def check(case):
            dst = self.target()
            self.strike(case, dst, kind='delay', delay_ms=200)
            self.wait_until(lambda: self.hits(self.struck(case)))
            if self.src.qmp.cmd('query-migrate')['status'] == 'active':
                self.tune(switchover='now', lease_ms=60000)
            self.wait_status(self.src, 'completed')
            self.arrive(dst)
            self.clear()
        self.each(ALL, check)

    def test_hang(self):
        """Both monitors answer, the migration can be cancelled, and the guest goes on."""
        def check(case):
            dst = self.target()
            self.strike(case, dst, kind='hang')
            self.wait_until(lambda: self.hits(self.struck(case)))
            for qemu in self.src, dst:
                started_s = time.monotonic()
                for command in 'query-status', 'query-migrate', 'x-query-sev-migration':
                    qemu.qmp.cmd(command)
                self.assertLess(time.monotonic() - started_s, HANG_ANSWER_S)
            self.src.qmp.cmd('migrate_cancel')
            # What a management application does before the guest runs on the source.
            dst.stop(kill=True)
            self.clear()
            self.wait_status(self.src, 'cancelled', 'failed')
            self.assertGoesOn(dst)
            self.migrates_on()
        self.each([case for case in ALL if case.stage != 'stopped'], check)

    def test_hang_while_stopped(self):
        """QEMU holds its lock then, as in any migration, so the source's firmware has little more than 1 s."""
        source = Case('source', 'SEND_UPDATE_DATA', 'stopped')
        self.fails(source, ['SEND_UPDATE_DATA', 'did not answer in time'], within_s=HANG_ANSWER_S,
                   kind='hang')
        self.each([case for case in ALL if case.stage == 'stopped' and case != source],
                  lambda case: self.fails(case, [case.op, 'did not answer in time'], kind='hang'))


class Ends(FaultTest):
    """Faults of the commands with which the source's part ends."""

    KINDS = ({'kind': 'error', 'error': 'INVALID_PARAM'}, {'kind': 'delay', 'delay_ms': 200},
             {'kind': 'crash'})

    def has_struck(self, psp, kind):
        """Wait until the fault has struck, and mend what it left."""
        if kind == 'crash':
            self.restart(psp)
        else:
            self.wait_until(lambda: self.hits(psp))
            self.clear()

    def test_send_finish(self):
        """It is issued when the source exits: what it does then is of no concern to the guest."""
        for fault in self.KINDS:
            with self.subTest(**fault):
                dst, psp = self.target(), self.firmwares[self.here]
                self.src.qmp.events.clear()
                self.start(self.src, dst, downtime_ms=5000)
                self.wait_status(self.src, 'completed')
                firmware.control(psp.path, 'fault', op='SEND_FINISH', **fault)
                self.arrive(dst)
                self.has_struck(psp, fault['kind'])

    def test_send_cancel(self):
        """Pages are in flight when the client cancels, and the firmware does not let go."""
        for fault in self.KINDS:
            with self.subTest(**fault):
                dst, psp = self.target(), self.firmwares[self.here]
                self.src.qmp.events.clear()
                self.start(self.src, dst, downtime_ms=1)
                self.tune(**TUNE)
                self.wait_pages(self.src, 100)
                firmware.control(psp.path, 'fault', op='SEND_CANCEL', **fault)
                self.src.qmp.cmd('migrate_cancel')
                self.wait_status(self.src, 'cancelled')
                self.assertGoesOn(dst)
                self.has_struck(psp, fault['kind'])
                self.migrates_on()


if __name__ == '__main__':
    unittest.main()
