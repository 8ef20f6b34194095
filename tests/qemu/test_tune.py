# SPDX-License-Identifier: LGPL-2.1-or-later
"""x-sev-migration-tune: what it accepts, what it refuses, how long its values last."""

import os
import pathlib
import socket
import time
import unittest

import busy
import harness

DEFAULTS = {
    'batch-gap-pages': 0,
    'vcpu-throttle': 0,
    'vcpu-throttles': [],
    'throttle-slice-us': 10000,
    'sync-interval-ms': 0,
    'switchover': 'auto',
    'hold-sending': False,
    'pause': False,
    'lease-ms': 0,
    'lease-remaining-ms': 0,
}

# argument, least, most, allowed besides
RANGES = [
    ('batch-pages', 1, None, None),
    ('batch-gap-pages', 0, 16, None),
    ('vcpu-throttle', 0, 99, None),
    ('throttle-slice-us', 200, 100000, None),
    ('sync-interval-ms', 50, 60000, 0),
    ('downtime-limit-us', 1000, 2000000000, None),
    ('lease-ms', 100, 60000, None),
]


def tune(qemu, **arguments):
    return qemu.qmp.cmd('x-sev-migration-tune', **arguments)['tune']


def hold_sending(qemu):
    """Hold what is sent, and wait until the firmware is given nothing more.

    The migration thread looks once in each of its iterations whether it may send, and syncs before it does.
    One sync may be under way already; what was to be sent after it is before the next.
    """
    def syncs():
        return qemu.qmp.cmd('x-query-sev-migration')['ram']['sync-count']

    tune(qemu, hold_sending=True, sync_interval_ms=50, lease_ms=60000)
    first, deadline = syncs(), time.monotonic() + harness.PATIENCE_S
    while syncs() < first + 3:
        if time.monotonic() > deadline:
            raise AssertionError(qemu.qmp.cmd('x-query-sev-migration'))
        time.sleep(0.02)
    tune(qemu, sync_interval_ms=0)


class Refused(harness.TestCase):
    """Where there is nothing to tune."""

    def test_no_sev(self):
        qemu = self.start_qemu('plain', ['-accel', 'tcg', '-machine', 'none'])
        for command in 'x-query-sev-migration', 'x-sev-migration-tune':
            self.assertQmpError('this guest has no SEV', qemu.qmp.cmd, command)

    def test_unstable(self):
        qemu = self.start_qemu('plain', ['-accel', 'tcg', '-machine', 'none'])
        schema = {entry['name']: entry for entry in qemu.qmp.cmd('query-qmp-schema')}
        for name in ('x-query-sev-migration', 'x-sev-migration-tune',
                     'X_SEV_MIGRATION_LEASE_EXPIRED'):
            self.assertEqual(schema[name]['features'], ['unstable'])

    def test_no_migration(self):
        src, dst = self.start_sev_pair(['-accel', 'tcg', '-m', '16'])
        self.assertQmpError('No migration is running', tune, src, batch_pages=1)
        self.assertQmpError('destination', tune, dst, batch_pages=1)
        for qemu in src, dst:
            info = qemu.qmp.cmd('x-query-sev-migration')
            self.assertEqual(info['tune'], DEFAULTS | {
                'batch-pages': info['limits']['max-command-pages']})


class Tuned(harness.TestCase):
    """A migration of a busy guest that does not end by itself."""

    auto_converge = False
    thread = 'multi'
    parameters = {'downtime-limit': 1}

    def setUp(self):
        super().setUp()
        # Three pages a millisecond, while the guest writes 16 over and over.
        self.src, self.dst = self.start_sev_pair(busy.args(self.dir, thread=self.thread),
                                                 time_scale=2)
        busy.wait_busy(self, self.src, 2)
        self.src.qmp.execute('migrate-set-parameters', self.parameters)
        self.src.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'auto-converge', 'state': self.auto_converge}])
        self.migrate(self.src, self.dst)
        self.wait_status(self.src, 'active')

    def query(self):
        return self.src.qmp.cmd('x-query-sev-migration')

    def defaults(self):
        return DEFAULTS | {'batch-pages': self.query()['limits']['max-command-pages']}

    def assertUnthrottled(self):
        """Time kept from running no longer grows."""
        first = busy.vcpus(self.src)
        busy.wait_busy(self, self.src, 2)
        for i, vcpu in busy.vcpus(self.src).items():
            self.assertEqual(vcpu['throttled-us'], first[i]['throttled-us'])
            self.assertEqual(vcpu['throttle'], 0)


class Arguments(Tuned):
    def test_ranges(self):
        most_batch = self.query()['limits']['max-batch-pages']
        for name, least, most, besides in RANGES:
            most = most or most_batch
            for value in (least, most, besides):
                if value is None:
                    continue
                with self.subTest(name=name, value=value):
                    values = self.src.qmp.execute('x-sev-migration-tune',
                                                  {'lease-ms': 60000, name: value})['tune']
                    self.assertEqual(values[name], value)
            for value in (least - 1, most + 1, -2**63, 2**63 - 1):
                if value == besides:
                    continue
                with self.subTest(name=name, value=value):
                    self.assertQmpError(
                        [f"'{name}' is {value},", f'from {least} to {most}'],
                        self.src.qmp.execute, 'x-sev-migration-tune',
                        {'lease-ms': 60000, name: value})

    def test_types(self):
        for arguments in ({'vcpu-throttle': '50'}, {'hold-sending': 1}, {'switchover': 'later'},
                          {'lease-ms': 100.5}, {'vcpu-throttles': {}}, {'vcpu_throttle': 5}):
            with self.subTest(arguments=arguments):
                self.assertQmpError('', self.src.qmp.execute, 'x-sev-migration-tune', arguments)

    def test_vcpus(self):
        def one(index, percentage):
            return {'cpu-index': index, 'percentage': percentage}
        for throttles, words in (
                ([one(2, 10)], 'no vCPU with cpu-index 2'),
                ([one(-1, 10)], 'no vCPU with cpu-index -1'),
                ([one(1, 100)], ['vCPU 1 is 100', 'from 0 to 99']),
                ([one(0, -1)], ['vCPU 0 is -1', 'from 0 to 99']),
                ([one(1, 10), one(1, 20)], 'vCPU 1 is given twice')):
            with self.subTest(throttles=throttles):
                self.assertQmpError(words, tune, self.src, vcpu_throttles=throttles,
                                    lease_ms=60000)
        values = tune(self.src, vcpu_throttles=[one(1, 99), one(0, 0)], lease_ms=60000)
        self.assertEqual(values['vcpu-throttles'], [one(1, 99), one(0, 0)])
        values = tune(self.src, vcpu_throttles=[], lease_ms=60000)
        self.assertEqual(values['vcpu-throttles'], [])

    def test_lease_needed(self):
        for arguments in ({'vcpu-throttle': 0}, {'vcpu-throttles': []}, {'hold-sending': False},
                          {'switchover': 'auto'}, {'pause': False}):
            # Whether or not a lease is held already.
            for lease in ({}, {'lease-ms': 60000}):
                self.src.qmp.execute('x-sev-migration-tune', lease)
                with self.subTest(arguments=arguments, lease=lease):
                    self.assertQmpError([f"'{name}'" for name in [*arguments, 'lease-ms']],
                                        self.src.qmp.execute, 'x-sev-migration-tune', arguments)
        values = tune(self.src, batch_pages=2, batch_gap_pages=1, throttle_slice_us=500,
                      sync_interval_ms=100, downtime_limit_us=1000)
        self.assertEqual((values['batch-pages'], values['downtime-limit-us']), (2, 1000))

    def test_all_or_nothing(self):
        before = tune(self.src, batch_pages=2, vcpu_throttle=10, lease_ms=60000)
        for bad in ({'vcpu-throttle': 100}, {'lease-ms': 1}, {'batch-gap-pages': 17},
                    {'vcpu-throttles': [{'cpu-index': 7, 'percentage': 1}]}):
            with self.subTest(bad=bad), self.assertRaises(harness.QmpError):
                self.src.qmp.execute('x-sev-migration-tune', {
                    'batch-pages': 1, 'vcpu-throttle': 20, 'switchover': 'hold',
                    'vcpu-throttles': [{'cpu-index': 0, 'percentage': 1}],
                    'lease-ms': 30000} | bad)
        after = self.query()['tune']
        self.assertLessEqual(after.pop('lease-remaining-ms'), before.pop('lease-remaining-ms'))
        self.assertEqual(after, before)

    def test_absent_keeps(self):
        tune(self.src, batch_pages=3, vcpu_throttle=10, lease_ms=60000)
        values = tune(self.src, batch_gap_pages=2)
        self.assertEqual((values['batch-pages'], values['batch-gap-pages'],
                          values['vcpu-throttle'], values['lease-ms']), (3, 2, 10, 60000))


class Lease(Tuned):
    def test_expires(self):
        tune(self.src, batch_pages=2, batch_gap_pages=3, vcpu_throttle=99, sync_interval_ms=500,
             throttle_slice_us=100000, switchover='hold', hold_sending=True,
             downtime_limit_us=5000, vcpu_throttles=[{'cpu-index': 1, 'percentage': 98}],
             lease_ms=300)
        event = self.src.qmp.take_event('X_SEV_MIGRATION_LEASE_EXPIRED')
        self.assertNotIn('data', event)
        self.assertEqual(self.query()['tune'], self.defaults())
        self.assertUnthrottled()
        self.assertFalse(self.src.qmp.seen('X_SEV_MIGRATION_LEASE_EXPIRED'))

    def test_renewed(self):
        """Tunes renew the lease, with and without naming it; queries do not."""
        tune(self.src, vcpu_throttle=50, lease_ms=20000)
        # A test host may stop for seconds, but not for this long.
        self.assertGreater(tune(self.src)['lease-remaining-ms'], 10000)
        self.assertEqual(tune(self.src, lease_ms=60000)['lease-ms'], 60000)
        left = self.query()['tune']['lease-remaining-ms']
        while self.query()['tune']['lease-remaining-ms'] > left - 50:
            pass
        self.assertGreater(tune(self.src)['lease-remaining-ms'], left - 50)
        self.assertFalse(self.src.qmp.seen('X_SEV_MIGRATION_LEASE_EXPIRED'))

    def assertReleased(self):
        self.assertEqual(self.query()['tune'], self.defaults())
        self.assertUnthrottled()
        self.assertFalse(self.src.qmp.seen('X_SEV_MIGRATION_LEASE_EXPIRED'))
        self.assertQmpError('No migration is running', tune, self.src)

    def throttle_hard(self):
        tune(self.src, vcpu_throttle=99, throttle_slice_us=100000, batch_pages=2,
             switchover='hold', lease_ms=60000)

    def test_cancelled(self):
        self.throttle_hard()
        self.src.qmp.cmd('migrate_cancel')
        self.wait_status(self.src, 'cancelled')
        self.assertReleased()

    def test_cancelled_while_sending_is_held(self):
        tune(self.src, hold_sending=True, lease_ms=60000)
        self.src.qmp.cmd('migrate_cancel')
        self.wait_status(self.src, 'cancelled')
        self.assertReleased()

    def test_failed(self):
        self.throttle_hard()
        self.dst.child.kill()
        self.wait_status(self.src, 'failed')
        self.assertReleased()

    def test_completed(self):
        self.throttle_hard()
        tune(self.src, switchover='now', lease_ms=60000)
        self.wait_status(self.src, 'completed')
        self.assertEqual(self.query()['tune'], self.defaults())
        self.assertQmpError('No migration is running', tune, self.src)


class Pause(Tuned):
    """No vCPU runs, for no longer than the lease."""

    def pause(self, **more):
        values = tune(self.src, **{'pause': True, 'switchover': 'hold', 'lease_ms': 60000} | more)
        self.assertIs(values['pause'], True)

    def assertStands(self):
        time.sleep(0.1)  # a vCPU that is told runs to its next look
        work = busy.work(self.src)
        time.sleep(0.3)
        self.assertEqual(busy.work(self.src), work)

    def test_until_false(self):
        self.pause()
        self.assertStands()
        self.assertEqual(self.src.qmp.cmd('query-status')['status'], 'running')
        self.assertIs(tune(self.src, pause=False, lease_ms=60000)['pause'], False)
        busy.wait_work(self, self.src)
        self.assertUnthrottled()

    def test_counted(self):
        before = busy.throttled(self.src)
        self.pause()
        started_s = time.monotonic()
        time.sleep(0.5)
        standing = busy.throttled(self.src)
        tune(self.src, pause=False, lease_ms=60000)
        busy.wait_work(self, self.src)
        most_us = (time.monotonic() - started_s + 1) * 1e6
        for first, then, last in zip(before, standing, busy.throttled(self.src)):
            self.assertGreater(then - first, 400000)
            self.assertGreaterEqual(last, then)
            self.assertLess(last - first, most_us)

    def test_lease_expires(self):
        """Nobody says anything after it."""
        self.pause(lease_ms=1000)
        self.assertStands()
        self.src.qmp.take_event('X_SEV_MIGRATION_LEASE_EXPIRED')
        busy.wait_work(self, self.src)
        self.assertEqual(self.query()['tune'], self.defaults())
        self.assertUnthrottled()

    def test_lease_renewed(self):
        self.pause(lease_ms=2000)
        for _ in range(5):
            time.sleep(0.6)
            self.assertIs(tune(self.src)['pause'], True)
        self.assertStands()

    def test_throttled_besides(self):
        """It goes before the percentages, and they apply again after it."""
        self.pause(vcpu_throttle=50, vcpu_throttles=[{'cpu-index': 1, 'percentage': 0}])
        self.assertStands()
        self.assertEqual([v['throttle'] for v in busy.vcpus(self.src).values()], [50, 0])
        tune(self.src, vcpu_throttle=60, lease_ms=60000)
        self.assertStands()
        tune(self.src, pause=False, lease_ms=60000)
        busy.wait_work(self, self.src)
        first = busy.throttled(self.src)
        busy.wait_busy(self, self.src, 2)
        last = busy.throttled(self.src)
        self.assertGreater(last[0], first[0])
        self.assertEqual(last[1], first[1])

    def test_stop_and_cont(self):
        """They are the client's, and neither ends a pause nor is undone by its end."""
        self.pause()
        self.src.qmp.cmd('stop')
        stopped = busy.throttled(self.src)
        time.sleep(0.2)
        self.assertEqual(busy.throttled(self.src), stopped)
        self.src.qmp.cmd('cont')
        self.assertEqual(self.src.qmp.cmd('query-status')['status'], 'running')
        self.assertStands()
        self.src.qmp.cmd('stop')
        tune(self.src, pause=False, lease_ms=60000)
        self.assertStands()
        self.assertEqual(self.src.qmp.cmd('query-status')['status'], 'paused')
        self.src.qmp.cmd('cont')
        busy.wait_work(self, self.src)

    def test_started_into_a_pause(self):
        """Not one instruction."""
        self.src.qmp.cmd('stop')
        self.pause()
        work = busy.work(self.src)
        self.src.qmp.cmd('cont')
        time.sleep(0.3)
        self.assertEqual(busy.work(self.src), work)

    def test_reset(self):
        self.pause()
        self.src.qmp.cmd('system_reset')
        self.src.qmp.take_event('RESET')
        self.assertStands()
        tune(self.src, pause=False, lease_ms=60000)
        busy.wait_work(self, self.src)

    def test_plugged(self):
        """Nothing can be, while a migration runs."""
        self.pause()
        self.assertQmpError('migrating', self.src.qmp.cmd, 'device_add',
                            driver='max-x86_64-cpu', id='more', socket_id=2, core_id=0,
                            thread_id=0, node_id=0)
        self.assertStands()

    def test_cancelled(self):
        self.pause()
        self.assertStands()
        self.src.qmp.cmd('migrate_cancel')
        self.wait_status(self.src, 'cancelled')
        busy.wait_work(self, self.src)

    def test_failed(self):
        self.pause()
        self.assertStands()
        self.dst.child.kill()
        self.wait_status(self.src, 'failed')
        busy.wait_work(self, self.src)

    def test_completed(self):
        """The destination knows nothing of it."""
        self.pause()
        self.assertStands()
        work = busy.work(self.src)
        tune(self.src, switchover='now', lease_ms=60000)
        self.wait_status(self.src, 'completed')
        self.assertEqual(busy.work(self.src), work)
        busy.wait_work(self, self.dst)
        self.assertEqual(self.query()['tune'], self.defaults())

    def test_completes_by_itself(self):
        """What stands dirties nothing."""
        self.pause(switchover='auto')
        self.wait_status(self.src, 'completed')
        busy.wait_work(self, self.dst)


class WithoutMainLoop(Tuned):
    """The main loop does not run; whoever is to end a stun there cannot."""

    def cpu_s(self):
        """CPU time of the threads that run vCPUs."""
        ticks = 0
        for thread in self.threads:
            stat = pathlib.Path(f'/proc/{self.src.child.pid}/task/{thread}/stat').read_text()
            ticks += sum(int(word) for word in stat.rpartition(')')[2].split()[11:13])
        return ticks / os.sysconf('SC_CLK_TCK')

    def assertEnds(self, after_s, **arguments):
        """What is withheld from the vCPUs is theirs again after that long."""
        self.threads = {cpu['thread-id'] for cpu in self.src.qmp.cmd('query-cpus-fast')}

        def worked_s(wall_s):
            before_s = self.cpu_s()
            time.sleep(wall_s)
            return self.cpu_s() - before_s

        def check():
            tune(self.src, switchover='hold', **arguments)
            time.sleep(0.3)  # the first slice is over
            with harness.halted_thread(self.src.child.pid):
                self.assertLess(worked_s(0.2), 0.05, 'not within a stun')
                time.sleep(after_s)
                self.assertGreater(worked_s(1), 0.1)
        self.attempts(check, 5)

    def test_pause(self):
        self.assertEnds(2, pause=True, lease_ms=1000)

    def test_stun(self):
        self.assertEnds(2, vcpu_throttle=90, throttle_slice_us=100000, lease_ms=60000)

    def test_lease_within_a_stun(self):
        self.assertEnds(2, vcpu_throttle=99, throttle_slice_us=100000, lease_ms=1000)


class WithoutMainLoopOneThread(WithoutMainLoop):
    thread = 'single'


class PauseOneThread(Pause):
    """vCPUs that share a thread stand together."""

    thread = 'single'


class Stages(harness.TestCase):
    """A migration can be tuned from its setup on, until it has ended."""

    def setUp(self):
        super().setUp()
        self.src, self.dst = self.start_sev_pair(busy.args(self.dir))
        busy.wait_busy(self, self.src, 2)

    def test_setup(self):
        """Nobody answers the key exchange."""
        self.src.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': True}
            for name in ('return-path', 'events', 'auto-converge')])
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(str(self.dir / 'mute'))
            mute.listen()
            self.src.qmp.cmd('migrate', uri=f'unix:{self.dir}/mute')
            self.wait_status(self.src, 'setup')
            tune(self.src, vcpu_throttle=99, batch_pages=2, lease_ms=60000)
            self.assertEqual(self.src.qmp.cmd('query-migrate')['status'], 'setup')
            self.src.qmp.cmd('migrate_cancel')
            self.wait_status(self.src, 'cancelled')
        self.assertEqual(self.src.qmp.cmd('x-query-sev-migration')['tune'],
                         DEFAULTS | {'batch-pages': 4})
        busy.wait_busy(self, self.src, 2)

    def test_pre_switchover(self):
        """While the client prepares the switchover, and the guest is paused for it."""
        self.src.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': 'pause-before-switchover', 'state': True}])
        self.migrate(self.src, self.dst)
        tune(self.src, vcpu_throttle=50, switchover='now', lease_ms=60000)
        self.wait_status(self.src, 'pre-switchover')
        tune(self.src, batch_pages=2)
        first = busy.throttled(self.src)
        time.sleep(0.2)
        self.assertEqual(busy.throttled(self.src), first)
        self.src.qmp.cmd('migrate-continue', state='pre-switchover')
        self.wait_status(self.src, 'completed')

    def test_twice(self):
        """The next migration starts from the defaults and from zero."""
        self.migrate(self.src, self.dst)
        self.wait_status(self.src, 'active')
        tune(self.src, vcpu_throttle=99, throttle_slice_us=100000, switchover='hold',
             lease_ms=60000)
        while not busy.vcpus(self.src)[0]['throttled-us']:
            pass
        self.src.qmp.cmd('migrate_cancel')
        self.wait_status(self.src, 'cancelled')
        self.assertTrue(busy.vcpus(self.src)[0]['throttled-us'])
        self.src.qmp.cmd('migrate', uri=f'unix:{self.dir}/nobody-listens-here')
        self.wait_status(self.src, 'failed')
        info = self.src.qmp.cmd('x-query-sev-migration')
        self.assertEqual(info['tune'], DEFAULTS | {'batch-pages': 4})
        self.assertEqual({vcpu['throttled-us'] for vcpu in info['vcpus']}, {0})


class AutoConverge(Tuned):
    auto_converge = True

    def percentage(self):
        return self.src.qmp.cmd('query-migrate').get('cpu-throttle-percentage', 0)

    def wait_percentage(self):
        while not self.percentage():
            self.src.qmp.cmd('query-status')

    def test_stands_aside(self):
        # Not so much that the guest stands still and the migration ends.
        self.src.qmp.cmd('migrate-set-parameters', cpu_throttle_initial=20,
                         cpu_throttle_increment=1, throttle_trigger_threshold=1)
        self.wait_percentage()
        # Its own throttle counts as time kept from running, too.
        before = busy.vcpus(self.src)
        while busy.vcpus(self.src)[0]['throttled-us'] == before[0]['throttled-us']:
            pass
        self.assertEqual(before[0]['throttle'], self.percentage())

        tune(self.src, sync_interval_ms=50, lease_ms=60000)
        self.assertEqual(self.percentage(), 0)
        # It looks at syncs once a second and acts on the second high one.
        end = time.monotonic() + 5
        while time.monotonic() < end:
            self.assertEqual(self.percentage(), 0)
        self.assertUnthrottled()

        tune(self.src, lease_ms=100)
        self.src.qmp.take_event('X_SEV_MIGRATION_LEASE_EXPIRED')
        self.wait_percentage()


if __name__ == '__main__':
    unittest.main()
