# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that verifies its memory migrates back and forth while it is tuned at random.

Two software firmwares live through all of it. A QEMU lives for two migrations: it is the
destination of one and the source of the next, and is measured when that is over. Now and then a
migration is cancelled or made to fail, and the guest has to go on from where it is. A last series
does nothing else, so that one QEMU is the source of many migrations.

The seed decides what is asked for; what the guest and the clock make of it differs from run to run.
"""

import collections
import pathlib
import random
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / name)
                for name in ('qemu', 'soak')]

import firmware  # noqa: E402
import harness  # noqa: E402
import tiny  # noqa: E402
from growth import Growth, Size  # noqa: E402

PATTERNS = ('uniform', 'hot', 'scan', 'phases')
LOAD = 'pattern={} rate=3000 run=2 verify=60000 beat=10 phase=200'
RAM_MIB = 16
VCPUS = 2  # the guest uses one; the other may be throttled all the same
TIME_SCALE = 200
# One migration in ten is meant to end in one of these ways.
TROUBLE = 0.1
ENDINGS = ('cancel', 'kill', 'source-firmware', 'destination-firmware')
# How a migration may end that was asked to end so. A fault of the firmware strikes the next command, and
# there may be none.
ENDS = {'complete': ('completed',), 'cancel': ('cancelled', 'completed'), 'kill': ('failed',),
        'source-firmware': ('failed', 'completed'), 'destination-firmware': ('failed', 'completed')}


def random_tune(rng, limits):
    """Arguments of a tune: any of them, any values, small ones as often as large ones."""
    def spread(least, most):
        return round(least * (most / least) ** rng.random())
    choices = {
        'batch-pages': lambda: spread(1, limits['max-batch-pages']),
        'batch-gap-pages': lambda: rng.randint(0, 16),
        'vcpu-throttle': lambda: rng.randint(0, 99),
        'vcpu-throttles': lambda: [{'cpu-index': i, 'percentage': rng.randint(0, 99)}
                                   for i in range(VCPUS) if rng.random() < 0.5],
        'throttle-slice-us': lambda: spread(200, 20000),
        'sync-interval-ms': lambda: rng.choice((0, spread(50, 200))),
        'switchover': lambda: rng.choice(('auto', 'hold', 'hold', 'now')),
        'downtime-limit-us': lambda: spread(1000, 100000),
        'hold-sending': lambda: rng.random() < 0.3,
    }
    names = rng.sample(sorted(choices), rng.randint(1, 5))
    return {name: choices[name]() for name in names} | {'lease-ms': spread(100, 2000)}


def wait_end(qemu):
    """How the migration from or to there ended."""
    try:
        while True:
            status = qemu.qmp.take_event('MIGRATION')['data']['status']
            if status in ('completed', 'cancelled', 'failed'):
                return status
    except TimeoutError as error:
        raise AssertionError(f"{error}; {qemu.qmp.cmd('query-migrate')}, "
                             f"{qemu.qmp.cmd('x-query-sev-migration')}") from None


class Soak:
    """The firmwares, the QEMU that has the guest, and the book-keeping."""

    def __init__(self, directory, stack, seed):
        self.directory, self.stack, self.seed = directory, stack, seed
        self.firmwares = [harness.Swpsp(f'swpsp-{name}', directory,
                                        ['--time-scale', str(TIME_SCALE)]) for name in 'ab']
        for psp in self.firmwares:
            stack.callback(psp.stop)
        self.here = 0  # the firmware that has the guest
        self.started = 0
        self.load = ''
        self.qemu = None
        self.counts = collections.Counter()
        self.growth = collections.defaultdict(Growth)

    def start(self, where, more=()):
        """A QEMU with the guest's configuration on one of the two firmwares."""
        self.started += 1
        name = f'qemu-{self.started}'
        serial = tiny.Serial(self.directory / f'{name}.serial')
        qemu = harness.Qemu(name, [
            *tiny.args(self.directory, self.load, RAM_MIB, VCPUS), *serial.args,
            *harness.sev_args(self.firmwares[where].path), *more], self.directory)
        self.stack.callback(qemu.stop, kill=True)
        qemu.serial = serial
        qemu.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': True} for name in ('return-path', 'events')])
        return qemu

    def boot(self, pattern):
        if self.qemu:
            self.qemu.stop(kill=True)
        self.load = LOAD.format(pattern)
        self.qemu = self.start(self.here)
        self.qemu.serial.wait(lambda beats: True, 'the boot')

    def migrate(self, ending, rng):
        """One migration that ends in that way or completes before; how it ended. Any other end is an error."""
        source, target = self.qemu, self.start(1 - self.here, ['-incoming', 'defer'])
        source.qmp.events.clear()
        uri = f'unix:{self.directory}/{self.started}'
        target.qmp.cmd('migrate-incoming', uri=uri)
        source.qmp.cmd('migrate-set-parameters', downtime_limit=1)
        source.qmp.cmd('migrate', uri=uri)
        fixed = {}
        if ending == 'kill':
            # Never when the guest is there; and a source notices only when it sends.
            fixed = {'switchover': 'hold', 'hold-sending': False, 'lease-ms': 60000}
        asked = self.steer(rng, time.monotonic() + rng.uniform(0.05, 0.4), fixed)
        if asked:
            self.end(ending, target)
        status = wait_end(source)
        if status not in (ENDS[ending] if asked else ('completed',)):
            raise AssertionError(f"a migration that was meant to {ending} has {status}: "
                                 f"{source.qmp.cmd('query-migrate').get('error-desc')}")
        self.counts['leases-expired'] += sum(
            event['event'] == 'X_SEV_MIGRATION_LEASE_EXPIRED' for event in source.qmp.events)
        for psp in self.firmwares:
            firmware.control(psp.path, 'clear-faults')
        if status == 'completed':
            self.arrive(target)
        else:
            self.stay(target)
        self.check_verified()
        return status

    def tune(self, arguments):
        """Whether there was still a migration to tune."""
        try:
            self.qemu.qmp.execute('x-sev-migration-tune', arguments)
        except harness.QmpError as error:
            if 'No migration is running' not in error.desc:
                raise
            return False
        self.counts['tunes'] += 1
        return True

    def steer(self, rng, until_s, fixed):
        """Tune at random but for what is fixed; whether the migration is still running then."""
        limits = self.qemu.qmp.cmd('x-query-sev-migration')['limits']
        while time.monotonic() < until_s:
            if not self.tune(random_tune(rng, limits) | fixed):
                return False
            time.sleep(rng.uniform(0, 0.03))
        return True

    def end(self, ending, target):
        if ending == 'complete':
            self.tune({'switchover': 'now', 'hold-sending': False, 'lease-ms': 60000})
        elif ending == 'cancel':
            self.qemu.qmp.cmd('migrate_cancel')
        elif ending == 'kill':
            target.child.kill()
        else:
            op, where = {'source-firmware': ('SEND_UPDATE_DATA', self.here),
                         'destination-firmware': ('RECEIVE_UPDATE_DATA', 1 - self.here)}[ending]
            firmware.control(self.firmwares[where].path, 'fault', op=op, error='INVALID_PARAM')
            # So that there is a command to fail.
            self.tune({'switchover': 'now', 'hold-sending': False, 'lease-ms': 60000})

    def arrive(self, target):
        """The guest has moved: measure the source, which is of no use any more."""
        wait_end(target)
        self.measure('qemu', self.qemu.child.pid)
        self.qemu.stop()
        self.qemu, self.here = target, 1 - self.here

    def stay(self, target):
        """The guest runs on here, free of what held it back."""
        target.stop(kill=True)
        deadline = time.monotonic() + harness.PATIENCE_S
        while self.qemu.qmp.cmd('query-status')['status'] != 'running':
            if time.monotonic() > deadline:
                raise AssertionError('the guest does not run on')
            time.sleep(0.01)
        throttles = [vcpu['throttle'] for vcpu in
                     self.qemu.qmp.cmd('x-query-sev-migration')['vcpus']]
        if any(throttles):
            raise AssertionError(f'a migration has ended and left throttles: {throttles}')

    def check_verified(self):
        serial = self.qemu.serial
        serial.wait_verified()
        self.counts['verified'] += 1
        for psp in self.firmwares:
            self.measure(psp.log.stem, psp.child.pid)

    def measure(self, what, pid):
        self.growth[what].add(Size.of(pid))

    def back_and_forth(self, migrations, progress):
        """So many completed migrations, one guest for each pattern."""
        done = 0
        for i, pattern in enumerate(PATTERNS):
            self.boot(pattern)
            while done < migrations * (i + 1) // len(PATTERNS):
                rng = random.Random(f'{self.seed} {self.started}')
                ending = 'complete' if rng.random() >= TROUBLE else rng.choice(ENDINGS)
                status = self.migrate(ending, rng)
                self.counts[status] += 1
                done += status == 'completed'  # one that was not had been meant not to
                progress(f'{pattern}: {done} of {migrations} migrations')

    def in_place(self, attempts, progress):
        """So many migrations of one QEMU none of which is to complete."""
        self.boot('hot')
        done = 0
        while done < attempts:
            rng = random.Random(f'{self.seed} {self.started}')
            status = self.migrate(rng.choice(ENDINGS), rng)
            self.counts[f'in-place-{status}'] += 1
            if status != 'completed':
                done += 1
                self.measure('qemu-in-place', self.qemu.child.pid)
            progress(f'in place: {done} of {attempts} attempts')
