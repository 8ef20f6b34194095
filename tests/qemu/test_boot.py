#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""SEV guests of a software firmware boot like others, and verify what a migration made of them."""

import json
import subprocess
import unittest

import harness
import test_migration


class Boot(test_migration.MigrationTest):

    def tiny(self, name, load):
        """Arguments of a tiny guest that tells about itself on <name>.serial."""
        subprocess.run(['make', '-s', '-C', harness.ROOT / 'tests/guests/tiny',
                        f'OUT={self.dir}'], check=True)
        return ['-accel', 'tcg', '-m', '32', '-kernel', f'{self.dir}/tiny.elf', '-append', load,
                '-serial', f'file:{self.dir}/{name}.serial']

    def beats(self, name):
        """The heartbeats so far: sequence, guest ms, work, verified pages, walks, errors."""
        text = (self.dir / f'{name}.serial').read_text().replace('\r', '')
        lines = [line.split() for line in text.split('\n')[:-1]]
        return [[int(field) for field in line[1:]] for line in lines if line[:1] == ['hb']]

    def verify(self, src_psp=(), batch_pages=4):
        load = 'pattern=hot rate=500 verify=20000 beat=20'
        scale = ('--time-scale', '20')
        src = self.source(self.tiny('src', load), psp_args=(*scale, *src_psp))
        dst = self.destination(self.tiny('dst', load), psp_args=scale)
        self.wait_until(lambda: self.beats('src'))
        self.start(src, dst)
        src.qmp.cmd('x-sev-migration-tune', batch_pages=batch_pages)
        self.wait_status(src, 'completed')
        self.wait_status(dst, 'completed')
        self.wait_until(lambda: self.beats('dst'))
        first = self.beats('dst')[0]
        self.assertGreaterEqual(first[0], self.beats('src')[-1][0])
        # A whole walk that began here
        self.wait_until(lambda: self.beats('dst')[-1][4] >= first[4] + 2)
        last = self.beats('dst')[-1]
        self.assertEqual(last[5], 0, 'memory is damaged')
        self.assertGreater(last[2], first[2])

    def test_verifies_its_memory(self):
        """SeaBIOS and multiboot; the guest writes and verifies while it is migrated."""
        self.verify()

    def test_verifies_fragmented_memory(self):
        """Packets that are refused and cut do not overtake newer content of their pages."""
        self.verify(('--contiguity', 'fragmented:3:3'), batch_pages=256)


class Probe(harness.TestCase):
    """What libvirt asks a QEMU without a machine, with the firmware at its default place."""

    def test_no_machine(self):
        psp = self.start_swpsp()
        qmp = '\n'.join(json.dumps({'execute': name}) for name in (
            'qmp_capabilities', 'query-sev-capabilities', 'quit'))
        # A /dev of its own, in which /dev/sev leads to the firmware
        script = ('mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9'
                  ' && ln -s "$1" /dev/sev && shift && exec "$@"')
        out = subprocess.run(['unshare', '-m', 'sh', '-e', '-c', script, 'sh', psp, harness.QEMU,
                              '-machine', 'none', '-accel', 'tcg', '-nodefaults', '-display',
                              'none', '-qmp', 'stdio'], input=qmp, text=True, check=True,
                             stdout=subprocess.PIPE).stdout
        answers = [json.loads(line) for line in out.splitlines()]
        caps = next(a['return'] for a in answers if a.get('return'))
        self.assertEqual((caps['cbitpos'], caps['reduced-phys-bits']), (51, 1))


if __name__ == '__main__':
    unittest.main()
