#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether an SEV guest may be migrated, and to whom: no session for a platform that nothing speaks for."""

import base64
import hashlib
import subprocess
import unittest

import firmware
import guests
import harness
from test_migration import MigrationTest

CERT = 2084
NOTHING = 'nothing shows that'
FAST = ('--time-scale', '100')


class PeerTest(MigrationTest):
    """Guests that have no more than the properties and the file which a test gives them."""

    def setUp(self):
        super().setUp()
        self.file = self.dir / 'qemu.conf'

    def host(self, name, args, **sev):
        sev = {'policy': 1, 'allow_unverified_peer': 'auto', 'host_defaults': self.file, **sev}
        return super().host(name, args, **sev)

    def pair(self, **sev):
        return self.source(**sev), self.destination(policy=sev.get('policy', 1))

    def write(self, text):
        self.file.write_text(text)

    def digests(self, qemu):
        """SHA-256 of the PDH, and of PEK and OCA, as an administrator would make them."""
        caps = qemu.qmp.cmd('query-sev-capabilities')
        return [hashlib.sha256(base64.b64decode(data)).hexdigest() for data in (
            caps['pdh'], base64.b64encode(base64.b64decode(caps['cert-chain'])[:2 * CERT]))]

    def peer(self, src):
        return src.qmp.cmd('x-query-sev-migration')['peer']

    def assertNoSession(self, src, words=NOTHING):
        """The source's firmware has not been asked for a session."""
        self.wait_status(src, 'failed')
        self.assertIn(words, src.qmp.cmd('query-migrate')['error-desc'])
        self.assertEqual(firmware.stats(src.psp)['ops'].get('SEND_START', {'count': 0})['count'], 0)
        self.assertRunsHere(src, 'prelaunch')

    def assertCompletes(self, src, dst, verified):
        self.complete(src, dst)
        self.assertEqual(self.peer(src)['verified'], verified)
        self.assertEqual(self.peer(src)['pdh-digest'], self.digests(dst)[0])
        self.assertEqual(src.qmp.take_event('X_SEV_MIGRATION_PEER')['data'], self.peer(src))


class Peers(PeerTest):

    def test_nothing_speaks_for_it(self):
        """The default policy, and any other without DOMAIN and SEV: refused, with what to do."""
        for policy in 0x0, 0x1, 0x3:
            with self.subTest(policy=policy):
                self.renew()
                src, dst = self.pair(policy=policy)
                pdh, platform = self.digests(dst)
                self.start(src, dst)
                self.assertNoSession(src)
                desc = src.qmp.cmd('query-migrate')['error-desc']
                for word in f'{policy:#x}', 'TLS', platform, str(self.file), 'peer-digests':
                    self.assertIn(word, desc)
                shown = {'address': self.peer(src)['address'], 'pdh-digest': pdh,
                         'platform-digest': platform, 'verified': []}
                self.assertEqual(self.peer(src), shown)
                self.assertEqual(src.qmp.take_event('X_SEV_MIGRATION_PEER')['data'], shown)

    def test_tcp(self):
        src, dst = self.pair()
        for qemu in src, dst:
            self.set_capabilities(qemu, 'return-path', 'events')
        dst.qmp.cmd('migrate-incoming', uri='tcp:127.0.0.1:0')
        port = dst.qmp.cmd('query-migrate')['socket-address'][0]['port']
        src.qmp.cmd('migrate', uri=f'tcp:127.0.0.1:{port}')
        self.assertNoSession(src)
        self.assertEqual(self.peer(src)['address'], f'tcp:127.0.0.1:{port}')

    def test_pinned(self):
        """Either digest, of the object or of the host's file, which is read when it is needed."""
        src, dst = self.pair()
        self.start(src, dst)
        self.assertNoSession(src)
        src.stop()
        for which in 0, 1:
            for where in 'object', 'file':
                with self.subTest(which=which, where=where):
                    self.renew()
                    src, dst = self.pair()
                    digest = self.digests(dst)[which]
                    if where == 'object':
                        src.qmp.cmd('qom-set', path='/objects/sev0', property='peer-digests',
                                    value=[digest.upper()])
                    else:
                        self.write(f'[peers]\nother = {"0" * 64}\nhost-b = {digest}\n')
                    self.assertCompletes(src, dst, ['pinned'])

    def test_another_is_pinned(self):
        src, dst = self.pair()
        other = self.destination(name='other')
        self.write('[peers]\na=%s\nb=%s\n' % tuple(self.digests(other)))
        self.start(src, dst)
        self.assertNoSession(src)

    def test_policy(self):
        """What the firmware checks itself goes as before."""
        owner = ('--domain-ca', str(self.dir / 'owner.pem'), *FAST)
        for policy, verified in ((0x21, ['sev']), (0x11, ['domain']), (0x33, ['domain', 'sev'])):
            with self.subTest(policy=policy):
                src = self.source(policy=policy, psp_args=owner)
                self.assertCompletes(src, self.destination(policy=policy, psp_args=owner), verified)
                self.renew()
                owner = ('--domain-ca', str(self.dir / 'owner.pem'), *FAST)
        src, dst = self.pair(policy=0x11)
        self.assertFails(src, dst, 'SEND_START failed: INVALID_CERTIFICATE')

    def test_unverified_is_allowed(self):
        self.write('[sev-guest]\nallow-unverified-peer = on\n')
        src, dst = self.pair()
        self.assertCompletes(src, dst, [])
        src.stop()
        # The object's word goes before the file's
        self.renew()
        self.write('[sev-guest]\nallow-unverified-peer = on\n')
        src, dst = self.pair(allow_unverified_peer='off')
        self.start(src, dst)
        self.assertNoSession(src)

    def test_bad_file(self):
        """A file that is not understood lets nobody in."""
        for text, words in (('[peers]\nhost-b=12\n', "peer 'host-b'"),
                            ('[peer]\nhost-b=12\n', "unknown group 'peer'"),
                            ('[sev-guest]\nalow=on\n', "unknown key 'alow'"),
                            ('[sev-guest]\nallow-unverified-peer=maybe\n', 'allow-unverified-peer'),
                            ('migratable=on\n', '/qemu.conf: ')):
            with self.subTest(text):
                self.renew()
                src, dst = self.pair()
                self.write(text)
                self.start(src, dst)
                self.assertNoSession(src, words)

    def test_bad_digest(self):
        src = self.source()
        for value in '12', 'x' * 64, 'a' * 65:
            self.assertQmpError(['peer-digests', value, 'SHA-256'], src.qmp.cmd, 'qom-set',
                                path='/objects/sev0', property='peer-digests', value=[value])


class EvilProxy(guests.Proxy):
    """Changes, on its way back to the source, what the destination says of itself."""

    change = None

    def _back(self, dest, source):
        buffer = bytearray()
        try:
            while data := dest.recv(1 << 16):
                buffer += data
                if self.change(buffer):
                    source.sendall(buffer)
                    buffer.clear()
        except OSError:
            pass


class Evil(PeerTest):
    """Whoever answers instead of the destination gets no session."""

    def between(self, src, dst, change):
        uri = f'{self.dir}/evil'
        for qemu in src, dst:
            self.set_capabilities(qemu, 'return-path', 'events')
        dst.qmp.cmd('migrate-incoming', uri=f'unix:{uri}')
        proxy = EvilProxy.__new__(EvilProxy)
        proxy.change = change
        proxy.__init__(f'{uri}-proxy', uri, len)
        self.addCleanup(proxy.close)
        src.qmp.cmd('migrate', uri=f'unix:{uri}-proxy')

    def replace_pdh(self, src, dst, make):
        """The PDH of the destination by what `make` makes of it."""
        pdh = base64.b64decode(dst.qmp.cmd('query-sev-capabilities')['pdh'])

        def change(buffer):
            if pdh not in buffer:
                return change.done
            buffer[:] = buffer.replace(pdh, make(pdh))
            change.done = True
            return True
        change.done = False
        self.between(src, dst, change)
        return change

    @staticmethod
    def broken(pdh):
        """With another signature, which the firmware does not look at under the policy 0x1."""
        return pdh[:1100] + bytes([pdh[1100] ^ 0xff]) + pdh[1101:]

    def test_broken_signature(self):
        src, dst = self.pair()
        self.write('[peers]\na=%s\nb=%s\n' % tuple(self.digests(dst)))
        change = self.replace_pdh(src, dst, self.broken)
        self.assertNoSession(src)
        self.assertTrue(change.done)
        self.assertNotIn('platform-digest', self.peer(src))

    def test_key_of_its_own(self):
        """The genuine chain, and a PDH that another platform's PEK has signed."""
        src, dst = self.pair()
        other = self.destination(name='other')
        self.write('[peers]\na=%s\nb=%s\n' % tuple(self.digests(dst)))
        own = base64.b64decode(other.qmp.cmd('query-sev-capabilities')['pdh'])
        change = self.replace_pdh(src, dst, lambda pdh: own)
        self.assertNoSession(src)
        self.assertTrue(change.done)

    def test_untouched(self):
        """The proxy itself is no hindrance."""
        src, dst = self.pair()
        self.write(f'[peers]\na={self.digests(dst)[1]}\n')
        self.between(src, dst, lambda buffer: True)
        self.wait_status(src, 'completed')


class Tls(PeerTest):
    """A channel that has verified the peer speaks for it; one that has not does not."""

    def certificate(self, name, issuer='ca', *more):
        """name-cert.pem and name-key.pem in the directory of the credentials."""
        own = issuer == name
        subprocess.run(
            ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
             '-nodes', '-days', '2', '-subj', f'/CN={name}', '-keyout', f'{name}-key.pem',
             '-out', f'{name}-cert.pem', *more,
             *([] if own else ['-CA', f'{issuer}-cert.pem', '-CAkey', f'{issuer}-key.pem'])],
            cwd=self.dir, check=True, capture_output=True)

    def setUp(self):
        super().setUp()
        self.certificate('ca', 'ca')
        self.certificate('server', 'ca', '-addext', 'subjectAltName=DNS:host-b',
                         '-addext', 'basicConstraints=critical,CA:FALSE')

    def start_tls(self, client='x509'):
        """A migration with credentials of that kind."""
        src, dst = self.pair()
        more = {'x509': {'dir': str(self.dir), 'verify-peer': True},
                'x509-any': {'dir': str(self.dir), 'verify-peer': False}, 'anon': {}}[client]
        kind = f'tls-creds-{client.removesuffix("-any")}'
        for qemu, endpoint in (src, 'client'), (dst, 'server'):
            props = dict(more)
            if endpoint == 'server' and 'verify-peer' in props:
                props['verify-peer'] = False  # the source has no certificate of its own
            qemu.qmp.execute('object-add', {'qom-type': kind, 'id': 'tls', 'endpoint': endpoint,
                                            **props})
            qemu.qmp.cmd('migrate-set-parameters', tls_creds='tls')
        src.qmp.cmd('migrate-set-parameters', tls_hostname='host-b')
        self.start(src, dst)
        return src, dst

    def test_verified(self):
        src, dst = self.start_tls()
        self.wait_status(src, 'completed')
        self.assertEqual(self.peer(src)['verified'], ['tls'])
        self.assertEqual(self.peer(src)['subject'], 'CN=server')

    def test_not_verified(self):
        for kind in 'x509-any', 'anon':
            with self.subTest(kind):
                self.renew()
                src, _ = self.start_tls(kind)
                self.assertNoSession(src)
                self.assertNotIn('subject', self.peer(src))


class Migratable(PeerTest):
    """That a guest may be migrated is somebody's decision."""

    WORDS = ('nobody has decided', 'migratable=on', 'sev0')

    def host(self, name, args, **sev):
        return super().host(name, args, **{'migratable': 'auto', 'allow_unverified_peer': 'on', **sev})

    def reasons(self, qemu):
        return qemu.qmp.cmd('query-migrate').get('blocked-reasons', [])

    def assertBlocked(self, src, words):
        self.assertEqual(len(self.reasons(src)), 1)
        self.set_capabilities(src, 'return-path')
        for word in words:
            self.assertIn(word, self.reasons(src)[0])
        self.assertQmpError(words, src.qmp.cmd, 'migrate', uri=f'unix:{self.dir}/nowhere')

    def test_default(self):
        src, dst = self.pair()
        self.assertBlocked(src, (*self.WORDS, str(self.file)))
        # A decision holds for guests that run
        self.write('[sev-guest]\nmigratable = on\n')
        self.assertEqual(self.reasons(src), [])
        self.complete(src, dst)

    def test_file_says_no(self):
        src = self.source()
        self.write('[sev-guest]\nmigratable=off\n')
        self.assertBlocked(src, self.WORDS)
        src.qmp.cmd('qom-set', path='/objects/sev0', property='migratable', value='on')
        self.assertEqual(self.reasons(src), [])

    def test_property_says_no(self):
        self.write('[sev-guest]\nmigratable=on\n')
        self.assertBlocked(self.source(migratable='off'), self.WORDS)

    def test_bad_file(self):
        src = self.source()
        self.write('[sev-guest]\nmigratable=perhaps\n')
        self.assertBlocked(src, ['is not known', 'migratable'])


if __name__ == '__main__':
    unittest.main()
