#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A migration over TLS goes on while its keys are changed."""

import os
import secrets
import subprocess
import unittest
from unittest import mock

import guests
import harness
from test_migration import MigrationTest


class Rekey(MigrationTest):
    """One thread writes and changes keys, while another reads what comes over the return path."""

    def setUp(self):
        super().setUp()
        keys = self.dir / 'psk'
        keys.mkdir()
        (keys / 'keys.psk').write_text(f'qemu:{secrets.token_hex(32)}\n')
        self.credentials = ['-object', f'tls-creds-psk,id=tls0,dir={keys},endpoint=']
        self.preload = self.dir / 'rekey.so'
        subprocess.check_call(['gcc', '-shared', '-fPIC', '-o', self.preload,
                               harness.HERE / 'rekey.c', '-lgnutls'])

    def test_keys_change(self):
        scale = ('--time-scale', '2')
        flag, endpoint = self.credentials
        with mock.patch.dict(os.environ, LD_PRELOAD=str(self.preload)):
            src = self.source([*guests.still_args(self.dir), flag, f'{endpoint}client'],
                              psp_args=scale)
        dst = self.destination([*guests.still_args(self.dir, fill=False), flag,
                                f'{endpoint}server'], psp_args=scale)
        before = guests.memory(src, self.dir)
        for qemu in src, dst:
            qemu.qmp.cmd('migrate-set-parameters', tls_creds='tls0', tls_hostname='')
        self.complete(src, dst)
        self.assertEqual(before, guests.memory(dst, self.dir))
        changes = src.text().count('rekey: Success')
        self.assertGreaterEqual(changes, 5, src.text())
        self.assertEqual(src.text().count('rekey: '), changes)


if __name__ == '__main__':
    unittest.main()
