#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""SEV guests of a software firmware boot like others, and verify what a migration made of them."""

import json
import subprocess
import unittest

import harness
import test_migration
import tiny


LOAD = 'pattern=hot rate=500 verify=20000 beat=20'


class Verified(test_migration.MigrationTest):

    def verify(self, args, src_psp=(), batch_pages=4):
        here, there = (tiny.Serial(self.dir / f'{name}.serial') for name in ('src', 'dst'))
        scale = ('--time-scale', '20')
        src = self.source([*args, *here.args], psp_args=(*scale, *src_psp))
        dst = self.destination([*args, *there.args], psp_args=scale)
        here.wait(lambda beats: True, 'the boot')
        self.start(src, dst)
        src.qmp.cmd('x-sev-migration-tune', batch_pages=batch_pages)
        self.wait_status(src, 'completed')
        self.wait_status(dst, 'completed')
        there.wait(lambda beats: True, 'a heartbeat')
        first = there.beats[0]
        self.assertGreaterEqual(first.seq, here.poll()[-1].seq)
        there.wait_verified()
        self.assertGreater(there.beats[-1].work_pages, first.work_pages)


class Boot(Verified):

    def args(self):
        return tiny.args(self.dir, LOAD, ram_mib=32)

    def test_verifies_its_memory(self):
        """SeaBIOS and multiboot; the guest writes and verifies while it is migrated."""
        self.verify(self.args())

    def test_verifies_fragmented_memory(self):
        """Packets that are refused and cut do not overtake newer content of their pages."""
        self.verify(self.args(), ('--contiguity', 'fragmented:3:3'), batch_pages=256)


class CpuModel(harness.TestCase):

    def test_names_what_the_guest_is_told(self):
        """The CPUID bits by which a guest knows that it may be migrated are features as others."""
        qemu = self.start_qemu('cpu', ['-accel', 'tcg', '-machine', 'none'])
        model = qemu.qmp.cmd('query-cpu-model-expansion', type='full', model={'name': 'max'})
        for name in 'kvm-hc-map-gpa-range', 'kvm-migration-control':
            self.assertIs(model['model']['props'][name], False)

    def test_older_machine(self):
        """Has them off, and starts."""
        self.start_qemu('old', ['-accel', 'tcg', '-machine', 'pc-q35-9.2', '-S'])


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
