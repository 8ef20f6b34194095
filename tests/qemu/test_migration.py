#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migration of SEV guests between two QEMUs, each with a software firmware of its own."""

import base64
import os
import signal
import time
import unittest

import busy
import firmware
import guests
import harness
from test_tune import hold_sending


class MigrationTest(harness.TestCase):
    """Sources, destinations and the firmware of each."""

    def host(self, name, args, psp_args=('--time-scale', '100'), **sev):
        """A QEMU with an SEV guest; it knows the socket of its firmware."""
        psp = self.start_swpsp(f'psp-{name}', psp_args)
        qemu = self.start_qemu(name, [*args, *harness.sev_args(psp, **sev)])
        qemu.psp = psp
        return qemu

    def source(self, args=None, **kwargs):
        return self.host('src', args or guests.still_args(self.dir), **kwargs)

    def destination(self, args=None, name='dst', **kwargs):
        args = args or guests.still_args(self.dir, fill=False)
        return self.host(name, [*args, '-incoming', 'defer'], **kwargs)

    def renew(self):
        """End what has been started, as between two tests."""
        self.doCleanups()
        self.setUp()

    def set_capabilities(self, qemu, *names, state=True):
        qemu.qmp.cmd('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': state} for name in names])

    def start(self, src, dst, tamper=None, downtime_ms=None):
        """Start a migration, through a proxy if there is something to tamper with."""
        name = f'{dst.log.stem}-{len(os.listdir(self.dir))}'
        uri = to = f'{self.dir}/{name}'
        for qemu in src, dst:
            self.set_capabilities(qemu, 'return-path', 'events')
        dst.qmp.cmd('migrate-incoming', uri=f'unix:{uri}')
        if tamper:
            to = f'{uri}-proxy'
            proxy = guests.Proxy(to, uri, tamper)
            self.addCleanup(proxy.close)
        if downtime_ms is not None:
            src.qmp.cmd('migrate-set-parameters', downtime_limit=downtime_ms)
        src.qmp.cmd('migrate', uri=f'unix:{to}')

    def complete(self, src, dst, **kwargs):
        self.start(src, dst, **kwargs)
        self.wait_status(src, 'completed')
        self.wait_status(dst, 'completed')

    def assertFails(self, src, dst, words, **kwargs):
        """The migration fails with all these words in the source's log and error."""
        self.start(src, dst, **kwargs)
        self.wait_status(src, 'failed')
        desc = src.qmp.cmd('query-migrate')['error-desc']
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, desc, dst.text())
            self.assertLogged(src, word)

    def assertLogged(self, qemu, word):
        """The log comes a moment after the event."""
        try:
            self.wait_until(lambda: word in qemu.text())
        except AssertionError:
            self.assertIn(word, qemu.text())

    def assertRunsHere(self, src, status='running'):
        """The guest runs on the source and its firmware thinks so too."""
        self.wait_until(lambda: src.qmp.cmd('query-status')['status'] == status)
        self.assertEqual(src.qmp.cmd('query-sev')['state'], 'running')
        self.assertEqual(src.qmp.cmd('x-query-sev-migration')['guest-state'], 'running')
        self.assertEqual(firmware.states(src.psp), ['running'])

    def wait_until(self, condition):
        deadline = time.monotonic() + harness.PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, 'waited in vain')
            time.sleep(0.02)

    def wait_pages(self, src, pages):
        """Wait until so many pages have been sent."""
        self.wait_until(
            lambda: src.qmp.cmd('x-query-sev-migration')['send']['pages'] >= pages)


class MovesMemory(MigrationTest):
    """What arrives is what was sent."""

    def test_memory(self):
        src = self.source()
        dst = self.destination()
        before = guests.memory(src, self.dir)
        self.assertNotEqual(before, guests.memory(dst, self.dir))
        self.complete(src, dst)
        self.assertEqual(before, guests.memory(dst, self.dir))

        info = src.qmp.cmd('x-query-sev-migration')
        pages = guests.RAM_MIB << 8
        self.assertEqual(info['firmware'], 'soft')
        self.assertEqual(info['ram']['private-pages'], pages)
        self.assertEqual(info['ram']['remaining-pages'], 0)
        self.assertEqual(info['send']['pages'], pages)
        self.assertEqual(info['send']['commands'], pages // 4)
        self.assertEqual(info['send']['submissions'], pages // 4)
        self.assertEqual(sum(info['send']['run-histogram']), 1)
        received = dst.qmp.cmd('x-query-sev-migration')['receive']
        for counter in 'pages', 'commands', 'submissions':
            self.assertEqual(received[counter], info['send'][counter], counter)
        switchover = info['switchover']
        parts = [switchover[part] for part in ('stop-us', 'ram-us', 'device-us', 'finish-us')]
        self.assertEqual(sum(parts), switchover['downtime-us'])
        self.assertNotIn('expected-us', switchover)

    def test_back_and_forth(self):
        """A guest that has come by migration can go on by migration."""
        src = self.source()
        dst = self.destination()
        before = guests.memory(src, self.dir)
        self.complete(src, dst)
        self.assertEqual(dst.qmp.cmd('query-sev')['state'], 'running')
        src.stop()
        third = self.destination(name='third')
        self.complete(dst, third)
        self.assertEqual(before, guests.memory(third, self.dir))

    def test_busy(self):
        """A guest that runs and writes goes on running at the destination."""
        args = busy.args(self.dir)
        src = self.source(args)
        dst = self.destination(args)
        busy.wait_busy(self, src, 2)
        self.complete(src, dst)
        busy.wait_busy(self, dst, 2)

    def test_one_page_a_command(self):
        src = self.source(psp_args=('--time-scale', '10'))
        dst = self.destination(psp_args=('--time-scale', '10'))
        self.start(src, dst)
        src.qmp.cmd('x-sev-migration-tune', batch_pages=1)
        # What was gathered before may still be on its way
        self.wait_pages(src, 64)
        a = src.qmp.cmd('x-query-sev-migration')['send']
        self.wait_pages(src, a['pages'] + 200)
        b = src.qmp.cmd('x-query-sev-migration')['send']
        pages = b['pages'] - a['pages']
        self.assertEqual(b['commands'] - a['commands'], pages)
        self.assertEqual(b['submissions'] - a['submissions'], pages)
        src.qmp.cmd('x-sev-migration-tune', batch_pages=64)
        self.wait_status(src, 'completed')
        c = src.qmp.cmd('x-query-sev-migration')['send']
        self.assertLess((c['submissions'] - b['submissions']) * 32, c['pages'] - b['pages'])
        self.assertEqual(guests.memory(src, self.dir), guests.memory(dst, self.dir))

    def test_backing_page(self):
        """No command crosses a backing page, whichever side's is smaller."""
        src = self.source()
        dst = self.destination(psp_args=('--time-scale', '100', '--backing-page', '4096'))
        self.complete(src, dst)
        send = src.qmp.cmd('x-query-sev-migration')['send']
        self.assertEqual(send['commands'], send['pages'])
        self.assertEqual(send['contiguity-splits'], send['pages'] - 1)

    def test_fragmented(self):
        """A packet that is not contiguous on the host is cut there and sent nevertheless."""
        for batch_pages, submit in (4, ()), (64, ()), (12, ('--max-submit-commands', '3')):
            with self.subTest(batch_pages=batch_pages, submit=submit):
                self.renew()
                psp_args = ('--time-scale', '100', '--contiguity', 'fragmented:7:3')
                src = self.source(psp_args=psp_args + submit)
                dst = self.destination()
                self.start(src, dst)
                src.qmp.cmd('x-sev-migration-tune', batch_pages=batch_pages)
                self.wait_status(src, 'completed')
                self.wait_status(dst, 'completed')
                self.assertEqual(guests.memory(src, self.dir), guests.memory(dst, self.dir))
                send = src.qmp.cmd('x-query-sev-migration')['send']
                received = dst.qmp.cmd('x-query-sev-migration')['receive']
                self.assertEqual(send['pages'], guests.RAM_MIB << 8)
                refused = firmware.stats(src.psp)['contiguity_splits']
                # The destination's backing pages are 2 MiB
                self.assertEqual(send['contiguity-splits'], refused + guests.RAM_MIB // 2 - 1)
                # Runs of three pages on average, some of which a command would end at anyhow
                self.assertGreater(refused, send['pages'] // 12)
                self.assertLess(refused, send['pages'] // 2)
                self.assertEqual(send['commands'], received['commands'])

    def test_fragmented_busy(self):
        """Where memory is apart is found out once: later passes are not refused."""
        psp_args = ('--time-scale', '50', '--contiguity', 'fragmented:7:2')
        src = self.source(busy.args(self.dir), psp_args=psp_args)
        dst = self.destination(busy.args(self.dir))
        busy.wait_busy(self, src, 2)
        self.start(src, dst, downtime_ms=1)
        src.qmp.cmd('x-sev-migration-tune', switchover='hold', batch_pages=16, lease_ms=60000)
        self.wait_until(lambda: src.qmp.cmd('x-query-sev-migration')['ram']['pass'] > 3)
        refused = firmware.stats(src.psp)['contiguity_splits']
        self.assertGreater(refused, 0)
        self.wait_until(lambda: src.qmp.cmd('x-query-sev-migration')['ram']['pass'] > 9)
        self.assertEqual(firmware.stats(src.psp)['contiguity_splits'], refused)
        src.qmp.cmd('x-sev-migration-tune', switchover='now', lease_ms=60000)
        self.wait_status(src, 'completed')
        busy.wait_busy(self, dst, 2)

    def test_smaller_commands_there(self):
        """The destination's firmware may take less in a command than the source's."""
        src = self.source()
        dst = self.destination(psp_args=('--time-scale', '100', '--max-command-pages', '2'))
        self.complete(src, dst)
        send = src.qmp.cmd('x-query-sev-migration')['send']
        self.assertEqual(send['commands'] * 2, send['pages'])

    def test_hold_sending(self):
        src = self.source(psp_args=('--time-scale', '10'))
        dst = self.destination()
        self.start(src, dst)
        hold_sending(src)
        a = src.qmp.cmd('x-query-sev-migration')['send']['pages']
        time.sleep(0.3)
        b = src.qmp.cmd('x-query-sev-migration')['send']['pages']
        self.assertLessEqual(b - a, 8)
        src.qmp.cmd('x-sev-migration-tune', hold_sending=False, lease_ms=60000)
        self.wait_status(src, 'completed')
        self.assertEqual(guests.memory(src, self.dir), guests.memory(dst, self.dir))

    def test_sync_within_pass(self):
        src = self.source(psp_args=('--time-scale', '10'))
        dst = self.destination()
        self.start(src, dst, downtime_ms=1)
        src.qmp.cmd('x-sev-migration-tune', sync_interval_ms=50)
        self.wait_until(lambda: src.qmp.cmd('x-query-sev-migration')['ram']['sync-count'] >= 4)
        ram = src.qmp.cmd('x-query-sev-migration')['ram']
        self.assertEqual(ram['pass'], 1)
        self.assertGreaterEqual(ram['sync-interval-us'], 50000)
        self.wait_status(src, 'completed')


class Ends(MigrationTest):
    """Whatever ends a migration, the guest runs on and can be migrated afterwards."""

    SLOW = ('--time-scale', '10')

    def slow_pair(self):
        args = busy.args(self.dir, ram_mib=guests.RAM_MIB)
        return self.source(args, psp_args=self.SLOW), self.destination(args, psp_args=self.SLOW)

    def migrates_again(self, src):
        firmware.control(src.psp, 'set', **{'time-scale': 100})
        args = busy.args(self.dir, ram_mib=guests.RAM_MIB)
        dst = self.destination(args, name='again')
        src.qmp.events.clear()
        self.complete(src, dst, downtime_ms=300)
        busy.wait_busy(self, dst, 2)

    def test_cancel(self):
        src, dst = self.slow_pair()
        for pages in 100, 3000:
            self.start(src, dst, downtime_ms=1)
            self.wait_pages(src, pages)
            src.qmp.cmd('migrate_cancel')
            self.wait_status(src, 'cancelled')
            self.assertRunsHere(src)
            src.qmp.events.clear()
            dst = self.destination(busy.args(self.dir, ram_mib=guests.RAM_MIB),
                                   name=f'dst{pages}', psp_args=self.SLOW)
        self.assertEqual(firmware.stats(src.psp)['ops']['SEND_CANCEL']['count'], 2)
        self.migrates_again(src)

    def test_destination_killed(self):
        src, dst = self.slow_pair()
        self.start(src, dst, downtime_ms=1)
        self.wait_pages(src, 500)
        dst.stop(kill=True)
        self.wait_status(src, 'failed')
        self.assertRunsHere(src)
        self.migrates_again(src)

    def test_source_firmware_killed(self):
        src, dst = self.slow_pair()
        self.start(src, dst, downtime_ms=1)
        self.wait_pages(src, 500)
        self.kill_firmware('psp-src')
        self.wait_status(src, 'failed')
        self.assertLogged(src, 'lost the connection to the firmware')
        self.wait_until(lambda: src.qmp.cmd('query-status')['status'] == 'running')
        os.unlink(src.psp)
        self.start_swpsp('psp-src', ['--time-scale', '100'])
        self.migrates_again(src)

    def test_destination_firmware_killed(self):
        src, dst = self.slow_pair()
        self.start(src, dst, downtime_ms=1)
        self.wait_pages(src, 500)
        self.kill_firmware('psp-dst')
        self.wait_status(src, 'failed')
        for qemu in src, dst:
            self.assertLogged(qemu, 'lost the connection to the firmware')
        self.assertRunsHere(src)
        self.migrates_again(src)

    def test_firmware_stuck(self):
        """A firmware that does not answer costs a while, but neither monitor nor guest."""
        src, dst = self.slow_pair()
        self.start(src, dst, downtime_ms=1)
        self.wait_pages(src, 500)
        psp = next(p for p in self.processes if p.log.stem == 'psp-src')
        psp.child.send_signal(signal.SIGSTOP)
        src.qmp.cmd('migrate_cancel')
        self.assertEqual(src.qmp.cmd('query-migrate')['status'], 'cancelling')
        busy.wait_busy(self, src, 2)
        self.wait_status(src, 'cancelled')
        self.assertEqual(src.qmp.cmd('query-status')['status'], 'running')
        self.kill_firmware('psp-src')
        os.unlink(src.psp)
        self.start_swpsp('psp-src', ['--time-scale', '100'])
        self.migrates_again(src)

    def kill_firmware(self, name):
        next(p for p in self.processes if p.log.stem == name).stop(kill=True)

    def test_continue_after_completion(self):
        """The management application may find that the destination is no good after all."""
        src, dst = self.slow_pair()
        firmware.control(src.psp, 'set', **{'time-scale': 100})
        firmware.control(dst.psp, 'set', **{'time-scale': 100})
        self.complete(src, dst)
        self.assertEqual(firmware.states(src.psp), ['sending'])
        dst.stop(kill=True)
        src.qmp.cmd('cont')
        self.assertRunsHere(src)
        self.migrates_again(src)

    def test_finish_at_exit(self):
        src, dst = self.slow_pair()
        firmware.control(src.psp, 'set', **{'time-scale': 100})
        self.complete(src, dst)
        ops = firmware.stats(src.psp)['ops']
        self.assertEqual(ops.get('SEND_FINISH', {'count': 0})['count'], 0)
        src.stop()
        self.assertEqual(firmware.stats(src.psp)['ops']['SEND_FINISH']['count'], 1)

    def test_firmware_refuses(self):
        """The firmware's error is in the source's log, whichever side it comes from."""
        for side, op in (('src', 'SEND_UPDATE_DATA'), ('dst', 'RECEIVE_UPDATE_DATA'),
                         ('dst', 'RECEIVE_FINISH'), ('dst', 'RECEIVE_START'),
                         ('src', 'SEND_START')):
            with self.subTest(op):
                self.renew()
                src = self.source()
                dst = self.destination()
                firmware.control({'src': src, 'dst': dst}[side].psp, 'fault', op=op,
                                 error='INVALID_PARAM')
                origin = 'destination: sev0: ' if side == 'dst' else 'sev0: '
                self.assertFails(src, dst, f'{origin}{op} failed: INVALID_PARAM (0x16)')
                if side == 'dst':
                    self.assertLogged(dst, f'sev0: {op} failed: INVALID_PARAM (0x16)')
                self.assertRunsHere(src, 'prelaunch')

    def test_policy_other(self):
        """What query-sev tells of an incoming guest's policy is true."""
        src = self.source(policy=0x1)
        self.assertFails(src, self.destination(), [
            'the guest has the policy 0x1, but the sev-guest object here has 0x0'])
        self.assertRunsHere(src, 'prelaunch')
        dst = self.destination(name='same', policy=0x1)
        self.complete(src, dst)
        self.assertEqual(dst.qmp.cmd('query-sev')['policy'], 0x1)

    def test_policy_nosend(self):
        src = self.source(policy=0x8)
        self.assertFails(src, self.destination(), 'SEND_START failed: POLICY_FAILURE (0x07)')
        self.assertRunsHere(src, 'prelaunch')

    def test_key_exchange_without_answer(self):
        """A destination that says nothing is named; the monitor works meanwhile."""
        import socket
        path = f'{self.dir}/silent'
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen(1)
            src = self.source()
            self.set_capabilities(src, 'return-path', 'events')
            src.qmp.cmd('migrate', uri=f'unix:{path}')
            self.assertEqual(src.qmp.cmd('query-migrate')['status'], 'setup')
            self.wait_status(src, 'failed')
            self.assertLogged(src, f'unix:{path} did not answer within 10 s')
            self.assertRunsHere(src, 'prelaunch')

            src.qmp.events.clear()
            src.qmp.cmd('migrate', uri=f'unix:{path}')
            src.qmp.cmd('migrate_cancel')
            self.wait_status(src, 'cancelled')
            self.assertRunsHere(src, 'prelaunch')


class Refuses(MigrationTest):
    """What cannot be combined is refused by name, at migrate time."""

    def assertRefused(self, *names, words=None, uri='unix:/nowhere'):
        """With these capabilities the command is refused; the error says which it is about."""
        src = self.source()
        self.set_capabilities(src, 'return-path')

        with self.assertRaises(harness.QmpError) as caught:
            if names:
                self.set_capabilities(src, *names)
            src.qmp.cmd('migrate', uri=uri)
        self.assertRegex(caught.exception.desc, words or f"with the capability '{names[0]}'")
        self.assertRunsHere(src, 'prelaunch')

    def test_postcopy(self):
        self.assertRefused('postcopy-ram')

    def test_multifd(self):
        self.assertRefused('multifd')

    def test_xbzrle(self):
        self.assertRefused('xbzrle')

    def test_mapped_ram(self):
        self.assertRefused('mapped-ram', uri=f'file:{self.dir}/out')

    def test_background_snapshot(self):
        """QEMU refuses the capability itself where the host has no write tracking."""
        self.assertRefused('background-snapshot', words='(?i)background-snapshot')

    def test_colo(self):
        """A QEMU without replication refuses the capability itself."""
        self.assertRefused('x-colo', words='(?i)colo')

    def test_zero_copy(self):
        """Only multifd has it; it is named all the same."""
        self.assertRefused('zero-copy-send', 'multifd')

    def test_release_ram(self):
        self.assertRefused('release-ram')

    def test_ignore_shared(self):
        self.assertRefused('x-ignore-shared')

    def test_rdma(self):
        self.assertRefused(uri='rdma:10.77.0.2:1', words="over 'rdma'")

    def test_checkpoint_restart(self):
        src = self.source()
        self.set_capabilities(src, 'return-path')
        src.qmp.cmd('migrate-set-parameters', mode='cpr-reboot')
        self.assertQmpError("in mode 'cpr-reboot'", src.qmp.cmd, 'migrate', uri='unix:/nowhere')
        self.assertRunsHere(src, 'prelaunch')

    def test_no_return_path(self):
        """As when libvirt tunnels a migration."""
        src = self.source()
        self.assertQmpError("enable the capability 'return-path'", src.qmp.cmd, 'migrate',
                            uri='unix:/nowhere')
        self.assertRunsHere(src, 'prelaunch')

    def test_one_way_channel(self):
        src = self.source()
        self.set_capabilities(src, 'return-path', 'events')
        with self.assertRaises(harness.QmpError):
            src.qmp.cmd('migrate', uri=f'file:{self.dir}/out')
            self.wait_status(src, 'failed')
            raise harness.QmpError({'class': 'GenericError', 'desc': ''})
        self.assertRunsHere(src, 'prelaunch')

    def test_other_kind_of_guest(self):
        """An SEV guest goes to no plain guest, and a plain one to no SEV guest."""
        plain = self.start_qemu('plain', [*guests.still_args(self.dir, fill=False),
                                          '-incoming', 'defer'])
        src = self.source()
        self.assertFails(src, plain, 'destination: this guest has no SEV')
        self.assertRunsHere(src, 'prelaunch')

        src = self.start_qemu('plain-src', guests.still_args(self.dir))
        dst = self.destination()
        self.start(src, dst)
        self.wait_status(src, 'failed')
        self.assertLogged(dst, 'before any SEV session, and an SEV guest takes none')

    def test_plain_guest_migrates_as_before(self):
        src = self.start_qemu('src', guests.still_args(self.dir))
        dst = self.start_qemu('dst', [*guests.still_args(self.dir, fill=False),
                                      '-incoming', 'defer'])
        self.assertQmpError('this guest has no SEV', src.qmp.cmd, 'x-query-sev-migration')
        self.complete(src, dst)
        self.assertEqual(guests.memory(src, self.dir), guests.memory(dst, self.dir))


class Tampering(MigrationTest):
    """A stream that has been tampered with ends with a clear error on both sides."""

    def tampered(self, tamper, words):
        self.renew()
        src = self.source()
        dst = self.destination()
        self.assertFails(src, dst, words, tamper=tamper)
        self.assertTrue(tamper.done, 'there was nothing to tamper with')
        for word in [words] if isinstance(words, str) else words:
            self.assertLogged(dst, word.removeprefix('destination: '))
        self.assertRunsHere(src, 'prelaunch')
        self.complete(src, self.destination(name='again'))

    def test_flipped_bits(self):
        error = 'destination: sev0: RECEIVE_UPDATE_DATA failed: BAD_MEASUREMENT (0x0b)'
        for field in 'iv', 'mac', 'data':
            with self.subTest(field):
                self.tampered(guests.flip_field(field), error)
        with self.subTest('flags'):
            self.tampered(guests.flip_field('flags'),
                          'destination: sev0: RECEIVE_UPDATE_DATA failed: ')

    def test_flipped_session(self):
        # Fields of the session behind the PDH: their offsets there
        for what, at in (('nonce', 0), ('wrap_tk', 16), ('wrap_iv', 48), ('wrap_mac', 64),
                         ('policy_mac', 96)):
            with self.subTest(what):
                self.tampered_session(lambda pdh, at=at: guests.flip(pdh[40:80], 2084 - 40 + at))

    def test_flipped_policy(self):
        # The minor version that the policy asks for, between sub-type and the two lengths
        lengths = (2084).to_bytes(4) + (128).to_bytes(4)
        self.tampered_session(lambda pdh: guests.flip(b'\x02' + bytes(4) + lengths, 1),
                              policy=0x10 << 24)

    def test_flipped_pdh(self):
        self.tampered_session(lambda pdh: guests.flip(pdh[40:80], 0))

    def tampered_session(self, make_tamper, policy=0):
        self.renew()
        src = self.source()
        tamper = make_tamper(base64.b64decode(src.qmp.cmd('query-sev-capabilities')['pdh']))
        dst = self.destination(policy=policy)
        self.assertFails(src, dst, 'destination: sev0: RECEIVE_START failed: ', tamper=tamper)
        self.assertTrue(tamper.done)
        self.assertLogged(dst, 'sev0: RECEIVE_START failed: ')
        self.assertRunsHere(src, 'prelaunch')

    def test_malformed_records(self):
        far = guests.RAM_MIB << 20
        for field, value, words in (
                ('sub-type', 9, 'SEV record of unknown sub-type 9 for pc.ram'),
                ('packets', 0, 'SEV record of 0 packets'),
                ('packets', 0xffffffff, 'SEV record of 4294967295 packets'),
                ('offset', far, 'is outside pc.ram'),
                ('offset', far - 4096, 'is outside pc.ram'),
                ('offset', 2 ** 64 - 4096, 'is outside pc.ram'),
                ('offset', 8, 'is outside pc.ram'),
                ('pages', 0, 'SEV packet of 0 pages'),
                ('pages', 5, 'SEV packet of 5 pages'),
                ('pages', 0xffffffff, 'SEV packet of 4294967295 pages'),
                ('header-len', 51, 'SEV packet header of 51 bytes'),
                ('header-len', 0xffff, 'SEV packet header of 65535 bytes'),
                ('data-len', 4096, 'SEV packet of 4 pages but 4096 bytes'),
                ('data-len', 0xffffffff, 'SEV packet of 4 pages but 4294967295 bytes')):
            with self.subTest(field=field, value=value):
                self.tampered(guests.set_field(field, value), f'destination: {words}' if
                              words.startswith('SEV') else words)

    def test_cut_short(self):
        src = self.source()
        dst = self.destination()

        def cut(buffer):
            found = buffer.find(guests.RECORD)
            if found >= 0:
                raise OSError
            return len(buffer) - guests.overlap(buffer, guests.RECORD)
        self.start(src, dst, tamper=cut)
        src.qmp.cmd('migrate_cancel')
        self.wait_status(src, 'cancelled', 'failed')
        self.assertRunsHere(src, 'prelaunch')


class Firmware(MigrationTest):
    """The sev-guest object and the queries, with a socket as sev-device."""

    def test_capabilities(self):
        src = self.source()
        caps = src.qmp.cmd('query-sev-capabilities')
        self.assertEqual(len(base64.b64decode(caps['pdh'])), 2084)
        self.assertEqual(len(base64.b64decode(caps['cert-chain'])), 3 * 2084)
        self.assertTrue(base64.b64decode(caps['cpu0-id']))
        self.assertEqual((caps['cbitpos'], caps['reduced-phys-bits']), (51, 1))

    def test_no_firmware(self):
        with self.assertRaises((EOFError, RuntimeError, ConnectionError)) as caught:
            args = harness.sev_args('/nowhere')
            self.start_qemu('none', [*guests.still_args(self.dir, fill=False), *args])
        del caught
        self.assertIn('sev-guest', (self.dir / 'none.log').read_text())

    def test_dead_socket(self):
        """A socket that nobody listens on is named."""
        import socket
        path = f'{self.dir}/dead'
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
        with self.assertRaises((EOFError, RuntimeError, ConnectionError)):
            self.start_qemu('dead', [*guests.still_args(self.dir, fill=False),
                                     *harness.sev_args(path)])
        self.assertIn(f"sev0: sev-device '{path}': cannot connect",
                      (self.dir / 'dead.log').read_text())

    def test_refused_options(self):
        for more, words in (({'policy': 5}, 'neither SEV-ES nor SEV-SNP'),
                            ({'kernel_hashes': 'on'}, 'kernel-hashes')):
            with self.subTest(words):
                self.renew()
                psp = self.start_swpsp()
                with self.assertRaises((EOFError, RuntimeError, ConnectionError)):
                    self.start_qemu('refused', [*guests.still_args(self.dir, fill=False),
                                                *harness.sev_args(psp, **more)])
                self.assertIn(words, (self.dir / 'refused.log').read_text())

    def test_no_measurement(self):
        src = self.source()
        self.assertQmpError('not available', src.qmp.cmd, 'query-sev-launch-measure')
        self.assertQmpError('no attestation report', src.qmp.cmd,
                            'query-sev-attestation-report',
                            mnonce=base64.b64encode(bytes(16)).decode())


if __name__ == '__main__':
    unittest.main()
