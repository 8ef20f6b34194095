#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""x-query-sev-migration: each member moves as it is documented, and they agree with each other."""

import time
import unittest

import busy
import firmware
import guests
import harness
from test_migration import MigrationTest
from test_tune import Tuned, hold_sending, tune

SLOW = ('--time-scale', '10')
COUNTERS = ('submissions', 'commands', 'pages', 'gap-pages', 'bytes', 'service-us', 'wait-us',
            'channel-us', 'contiguity-splits')


def numbers(value, path=()):
    """All integers below a reply, by their path."""
    if isinstance(value, dict):
        value = value.items()
    elif isinstance(value, list):
        value = enumerate(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, value
        return
    else:
        return
    for key, item in value:
        yield from numbers(item, (*path, key))


class Moves(Tuned):
    """What a migration that goes on says of itself."""

    def watch(self, seconds):
        replies, end_s = [], time.monotonic() + seconds
        while time.monotonic() < end_s:
            replies.append(self.query())
            time.sleep(0.01)
        return replies

    def test_counters_never_go_down(self):
        tune(self.src, switchover='hold', vcpu_throttle=30, batch_gap_pages=2, lease_ms=60000)
        replies = self.watch(2)
        self.assertGreater(len(replies), 5)
        for earlier, later in zip(replies, replies[1:]):
            for part in 'send', 'vcpus':
                now = dict(numbers(later[part]))
                for path, value in numbers(earlier[part]):
                    self.assertGreaterEqual(now[path], value, (part, path))
            for name in 'pass', 'sync-count':
                self.assertGreaterEqual(later['ram'][name], earlier['ram'][name])
        first, last = replies[0], replies[-1]
        for name in 'submissions', 'commands', 'pages', 'bytes', 'service-us':
            self.assertGreater(last['send'][name], first['send'][name], name)
        for before, after in zip(first['vcpus'], last['vcpus']):
            self.assertGreater(after['cpu-us'], before['cpu-us'])
            self.assertGreater(after['throttled-us'], before['throttled-us'])

    def test_sums(self):
        """Sending is held, so that next to nothing is in flight."""
        tune(self.src, switchover='hold', lease_ms=60000)
        self.wait_pass(3)
        hold_sending(self.src)
        info = self.query()
        send, ram = info['send'], info['ram']
        most = info['limits']['max-command-pages']
        self.assertGreaterEqual(send['commands'], send['submissions'])
        self.assertLessEqual(send['pages'], send['commands'] * most)
        self.assertLessEqual(send['gap-pages'], send['pages'])
        # Packets with their headers, nothing compressed, next to nothing else.
        self.assertGreater(send['bytes'], send['pages'] * ram['page-size'])
        self.assertLess(send['bytes'], send['pages'] * (ram['page-size'] + 200))
        self.assertEqual(ram['page-size'], 4096)
        self.assertLessEqual(ram['remaining-pages'], ram['private-pages'] + ram['shared-pages'])
        # Element i has runs of 2^i to 2^(i+1) - 1 pages; the newest may not have been sent yet.
        least = sum(n << i for i, n in enumerate(send['run-histogram']))
        self.assertLessEqual(least, send['pages'] + 64)
        self.assertGreater(2 * least, send['pages'] - send['gap-pages'])
        self.assertNotIn('downtime-us', info['switchover'])

    def test_time_is_time(self):
        """While pages are sent the firmware works, but never for longer than time passes."""
        started_s, first = time.monotonic(), self.query()
        time.sleep(0.5)
        last, ended_s = self.query(), time.monotonic()
        self.assertEqual(last['ram']['pass'], 1)
        passed_us = (ended_s - started_s) * 1e6
        moved = {name: last['send'][name] - first['send'][name] for name in COUNTERS}
        # A submission counts when it has been collected.
        self.assertLess(moved['service-us'], passed_us * 1.1 + 50000)
        self.assertLess(moved['channel-us'], passed_us * 1.1)
        self.assertLess(sum(moved[name] for name in ('service-us', 'wait-us', 'channel-us')),
                        passed_us * 2.1 + 50000)
        self.assertGreater(moved['service-us'], 0)

    def test_service_is_the_firmwares(self):
        """QEMU's sum is the firmware's own."""
        psp = self.dir / 'psp-src.sock'
        tune(self.src, switchover='hold', lease_ms=60000)
        self.watch(1)
        hold_sending(self.src)
        op, send = firmware.stats(psp)['ops']['SEND_UPDATE_DATA'], self.query()['send']
        # One or two may be in flight still, with nobody waiting for them.
        self.assertIn(op['count'] - send['submissions'], range(3))
        self.assertLess(abs(op['service_us'] - send['service-us']), 0.05 * send['service-us'])

    def test_sync(self):
        """Dirtied pages, interval and CPU time are those between two syncs."""
        tune(self.src, switchover='hold', lease_ms=60000)
        self.wait_pass(3)
        samples = {info['ram']['sync-count']: info['ram'] for info in self.watch(2)}
        self.assertGreater(len(samples), 2)
        for ram in samples.values():
            self.assertGreater(ram['sync-interval-us'], 0)
            self.assertLess(ram['sync-guest-cpu-us'], 2.2 * ram['sync-interval-us'] + 50000)
            self.assertLessEqual(ram['sync-dirtied-pages'], ram['private-pages'])
        # Each vCPU writes its 8 pages over and over, if the host lets it.
        dirtied = sorted(ram['sync-dirtied-pages'] for ram in samples.values())
        self.assertIn(dirtied[len(dirtied) // 2], range(8, 64), dirtied)
        self.assertGreater(max(ram['sync-guest-cpu-us'] for ram in samples.values()), 0)
        # What the samples say of the intervals is how often there are syncs.
        usual_us = sorted(ram['sync-interval-us'] for ram in samples.values())[len(samples) // 2]
        self.assertLess((max(samples) - min(samples)) * usual_us, 6e6)

    def wait_pass(self, number):
        deadline_s = time.monotonic() + harness.PATIENCE_S
        while self.query()['ram']['pass'] < number:
            self.assertLess(time.monotonic(), deadline_s)
            time.sleep(0.02)

    def test_pass(self):
        tune(self.src, switchover='hold', lease_ms=60000)
        passes = {}
        for info in self.watch(2):
            passes.setdefault(info['ram']['pass'], []).append(info['ram']['pass-elapsed-us'])
        self.assertEqual(sorted(passes), list(range(min(passes), max(passes) + 1)))
        for elapsed_us in passes.values():
            self.assertEqual(elapsed_us, sorted(elapsed_us))


class Ends(MigrationTest):
    """What is known when it is over."""

    def test_switchover(self):
        """Before it an estimate; after it parts that add up, on top of what a client measures."""
        args = busy.args(self.dir, ram_mib=guests.RAM_MIB)
        src, dst = self.source(args, psp_args=SLOW), self.destination(args, psp_args=SLOW)
        self.start(src, dst, downtime_ms=1)
        src.qmp.cmd('x-sev-migration-tune', switchover='hold', lease_ms=60000)
        self.wait_until(lambda: src.qmp.cmd('x-query-sev-migration')['ram']['pass'] >= 3)
        info = src.qmp.cmd('x-query-sev-migration')
        self.assertEqual(set(info['switchover']), {'expected-us'})
        self.assertEqual(info['guest-state'], 'sending')
        self.assertEqual(dst.qmp.cmd('x-query-sev-migration')['guest-state'], 'receiving')
        src.qmp.cmd('x-sev-migration-tune', switchover='now', lease_ms=60000)
        self.wait_status(src, 'completed')
        self.wait_status(dst, 'completed')
        switchover = src.qmp.cmd('x-query-sev-migration')['switchover']
        parts = ('stop-us', 'ram-us', 'device-us', 'finish-us')
        self.assertEqual(sum(switchover[part] for part in parts), switchover['downtime-us'])
        self.assertGreater(switchover['ram-us'], 0)
        self.assertLess(abs(switchover['downtime-us'] / 1000 -
                            src.qmp.cmd('query-migrate')['downtime']), 50)
        self.assertEqual(dst.qmp.cmd('x-query-sev-migration')['guest-state'], 'running')

    def test_both_ends_agree(self):
        args = busy.args(self.dir, ram_mib=guests.RAM_MIB)
        src, dst = self.source(args), self.destination(args)
        self.start(src, dst, downtime_ms=1)
        src.qmp.cmd('x-sev-migration-tune', batch_pages=64, batch_gap_pages=4)
        src.qmp.cmd('x-sev-migration-tune', switchover='hold', lease_ms=60000)
        self.wait_until(lambda: src.qmp.cmd('x-query-sev-migration')['ram']['pass'] >= 3)
        src.qmp.cmd('x-sev-migration-tune', switchover='now', lease_ms=60000)
        self.wait_status(dst, 'completed')
        send = src.qmp.cmd('x-query-sev-migration')['send']
        receive = dst.qmp.cmd('x-query-sev-migration')['receive']
        for name in 'submissions', 'commands', 'pages', 'bytes':
            self.assertEqual(receive[name], send[name], name)
        self.assertEqual(src.qmp.cmd('x-query-sev-migration')['ram']['remaining-pages'], 0)

    def test_contention(self):
        """wait-us is the time behind others: none alone, much beside a second guest."""
        psp = self.start_swpsp('shared', SLOW)
        args = [*guests.still_args(self.dir), *harness.sev_args(psp)]
        waits = []
        for crowd in 1, 2:
            pairs = [(self.start_qemu(f'src-{crowd}-{i}', args),
                      self.destination(name=f'dst-{crowd}-{i}')) for i in range(crowd)]
            for src, dst in pairs:
                self.start(src, dst)
                src.qmp.cmd('x-sev-migration-tune', batch_pages=16)
            for src, _ in pairs:
                self.wait_status(src, 'completed')
            sends = [src.qmp.cmd('x-query-sev-migration')['send'] for src, _ in pairs]
            waits.append(sum(send['wait-us'] for send in sends) /
                         sum(send['service-us'] for send in sends))
        # With two in flight of its own a guest waits behind itself; that does not count.
        self.assertLess(waits[0], 0.05, waits)
        self.assertGreater(waits[1], 0.05, waits)


if __name__ == '__main__':
    unittest.main()
