# SPDX-License-Identifier: LGPL-2.1-or-later
"""When a tuned migration stops and copies, and when it sends."""

import time
import unittest

import busy
import firmware
import harness
from test_tune import Tuned, hold_sending, tune


class SwitchoverCase(Tuned):
    def status(self):
        return self.src.qmp.cmd('query-migrate')['status']

    def wait_query(self, condition):
        deadline = time.monotonic() + harness.PATIENCE_S / 2
        while not condition(self.query()):
            self.assertEqual(self.status(), 'active')
            self.assertLess(time.monotonic(), deadline, self.query())
            time.sleep(0.02)


class Switchover(SwitchoverCase):
    def test_hold(self):
        """Holding outlasts the limit, and what the guest writes is still followed."""
        tune(self.src, switchover='hold', lease_ms=60000)
        self.src.qmp.cmd('migrate-set-parameters', downtime_limit=2000000)
        self.wait_query(lambda info: info['ram']['pass'] > 1)
        sent = self.query()['send']['pages']
        # Each time the pages that the guest never stops writing.
        self.wait_query(lambda info: info['send']['pages'] > sent + 64)
        tune(self.src, switchover='auto', lease_ms=60000)
        self.wait_status(self.src, 'completed')

    def test_hold_idle(self):
        """With nothing to send, a held migration does not spin."""
        tune(self.src, switchover='hold', lease_ms=60000)
        self.src.qmp.cmd('stop')
        self.wait_query(lambda info: info['ram']['pass'] > 2)
        first, start = self.query()['ram']['sync-count'], time.monotonic()
        time.sleep(1)
        syncs = self.query()['ram']['sync-count'] - first
        self.assertGreater(syncs, 1)
        self.assertLess(syncs, 30 * (time.monotonic() - start))

    def test_hold_ends_with_the_lease(self):
        self.src.qmp.cmd('migrate-set-parameters', downtime_limit=2000000)
        tune(self.src, switchover='hold', lease_ms=1000)
        self.wait_status(self.src, 'completed')
        self.assertTrue(self.src.qmp.seen('X_SEV_MIGRATION_LEASE_EXPIRED'))

    def test_hold_and_cancel(self):
        tune(self.src, switchover='hold', lease_ms=60000)
        self.src.qmp.cmd('migrate-set-parameters', downtime_limit=2000000)
        self.wait_query(lambda info: info['ram']['pass'] > 1)
        self.src.qmp.cmd('migrate_cancel')
        self.wait_status(self.src, 'cancelled')
        self.assertEqual(self.src.qmp.cmd('query-status')['status'], 'running')
        busy.wait_busy(self, self.src, 2)

    def test_now(self):
        """The client does not allow enough downtime; now stops and copies nevertheless."""
        self.wait_query(lambda info: info['ram']['sync-count'] > 20)
        tune(self.src, switchover='now', lease_ms=60000)
        self.wait_status(self.src, 'completed')
        self.assertEqual(self.dst.qmp.cmd('query-status')['status'], 'running')

    def test_downtime_limit(self):
        """The override decides, and is not seen in the client's parameter."""
        tune(self.src, downtime_limit_us=2000000000)
        self.wait_status(self.src, 'completed')
        self.assertEqual(self.src.qmp.cmd('query-migrate-parameters')['downtime-limit'], 1)

    def test_lower_downtime_limit(self):
        tune(self.src, downtime_limit_us=1000)
        self.src.qmp.cmd('migrate-set-parameters', downtime_limit=2000000)
        first = self.query()['ram']['sync-count']
        self.wait_query(lambda info: info['ram']['sync-count'] > first + 20)
        self.assertEqual(self.query()['tune']['downtime-limit-us'], 1000)

    def test_hold_sending(self):
        hold_sending(self.src)
        self.src.qmp.cmd('migrate-set-parameters', downtime_limit=2000000)
        first = self.query()['send']
        busy.wait_busy(self, self.src, 2)
        time.sleep(1)
        self.assertEqual(self.query()['send'], first)
        self.assertEqual(self.status(), 'active')
        tune(self.src, hold_sending=False, lease_ms=60000)
        self.wait_status(self.src, 'completed')

    def test_hold_sending_from_a_dead_destination(self):
        """Who does not send still notices, long before the lease ends."""
        tune(self.src, vcpu_throttle=50, lease_ms=60000)
        hold_sending(self.src)
        start = time.monotonic()
        self.dst.stop(kill=True)
        self.wait_status(self.src, 'failed')
        self.assertLess(time.monotonic() - start, 20)
        self.assertEqual(self.query()['tune']['vcpu-throttle'], 0)
        busy.wait_busy(self, self.src, 2)

    def test_sync_interval(self):
        """Syncs go on within a pass; held sending makes sure that it is one pass."""
        hold_sending(self.src)
        busy.wait_busy(self, self.src, 2)  # a sync may have been under way when the interval was put back
        first = self.query()['ram']
        time.sleep(0.5)
        self.assertEqual(self.query()['ram']['sync-count'], first['sync-count'])
        started_s = time.monotonic()
        tune(self.src, sync_interval_ms=50)
        self.wait_query(lambda info: info['ram']['sync-count'] > first['sync-count'] + 5)
        last, passed_s = self.query()['ram'], time.monotonic() - started_s
        self.assertEqual(last['pass'], first['pass'])
        self.assertLess(last['sync-count'] - first['sync-count'], passed_s / 0.05 + 2)
        self.assertGreaterEqual(last['sync-interval-us'], 50000)

    def test_sync_interval_ends_with_the_lease(self):
        """And so does held sending; what is idle then is synced between passes only."""
        tune(self.src, sync_interval_ms=50, hold_sending=True, lease_ms=500)
        self.src.qmp.take_event('X_SEV_MIGRATION_LEASE_EXPIRED')
        self.assertEqual(self.query()['tune']['sync-interval-ms'], 0)
        sent = self.query()['send']['pages']
        self.wait_query(lambda info: info['send']['pages'] > sent)


class LongPasses(SwitchoverCase):
    """Once memory is sent, the 16 pages that the guest writes take the firmware 64 ms."""

    def setUp(self):
        super().setUp()
        tune(self.src, switchover='hold', lease_ms=60000)
        self.wait_query(lambda info: info['ram']['pass'] > 1)
        firmware.control(self.dir / 'psp-src.sock', 'set', page_cost_us=8000)

    def pages_per_s(self, switchover):
        tune(self.src, batch_pages=1, switchover=switchover, lease_ms=60000)
        first, start = self.query()['send']['pages'], time.monotonic()
        time.sleep(1)
        last = self.query()['send']['pages']
        return (last - first) / (time.monotonic() - start)

    def test_hold_does_not_wait_between_them(self):
        """What a guest dirties meanwhile is to be sent as well."""
        rates = [(self.pages_per_s('auto'), self.pages_per_s('hold')) for _ in range(2)]
        free, held = (sum(rate) for rate in zip(*rates))
        self.assertGreater(held, 0.8 * free, rates)


class SlowPass(SwitchoverCase):
    """The first pass is slow enough to be synced before the pages in use are sent."""

    parameters = {'downtime-limit': 1, 'max-bandwidth': 4096}

    def test_sync_loses_no_writes(self):
        tune(self.src, sync_interval_ms=50, switchover='hold', lease_ms=60000)
        self.wait_query(lambda info: info['ram']['sync-count'] > 3)
        self.src.qmp.cmd('migrate-set-parameters', max_bandwidth=0)
        self.wait_query(lambda info: info['ram']['pass'] > 1)
        sent = self.query()['send']['pages']
        self.wait_query(lambda info: info['send']['pages'] > sent + 64)


if __name__ == '__main__':
    unittest.main()
