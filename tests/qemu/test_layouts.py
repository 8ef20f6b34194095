#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests whose memory is more than one block, in every way that libvirt can make one."""

import random
import unittest

import busy
import guests
import test_boot
import tiny
from test_migration import MigrationTest

MIB = 1 << 20
PLUGGED = 4 << 30  # where pc and q35 put the memory of memory devices
TWO_CELLS = ['-object', 'memory-backend-ram,id=cell0,size={first}M',
             '-object', 'memory-backend-ram,id=cell1,size={second}M',
             '-numa', 'node,nodeid=0,cpus=0,memdev=cell0', '-numa', 'node,nodeid=1,memdev=cell1']

# As libvirt has it: the first block is the machine's own, and the smaller one.
OWN_RAM = ['-object', 'memory-backend-ram,id=own,size=32M', '-M', 'memory-backend=own']


def cells(first, second):
    return [arg.format(first=first, second=second) for arg in TWO_CELLS]


class Layouts(MigrationTest):
    """What arrives in each block is what was sent; no block ends the source."""

    def still(self, layout, areas):
        """A guest that never runs, and one that waits for its noise; areas are (start, bytes)."""
        args = ['-accel', 'tcg', '-S', '-machine', 'pc', *layout]
        noise = []
        for i, (start, size) in enumerate(areas):
            path = self.dir / f'noise-{i}'
            path.write_bytes(random.Random(i).randbytes(size))
            noise += ['-device', f'loader,file={path},addr={start:#x},force-raw=on']
        return self.source([*args, *noise]), self.destination(args)

    def memory(self, qemu, areas):
        path = self.dir / 'memory'
        ram = b''
        for start, size in areas:
            qemu.qmp.cmd('pmemsave', val=start, size=size, filename=str(path))
            ram += path.read_bytes()
        return ram

    def moves(self, layout, *areas):
        src, dst = self.still(layout, areas)
        sent = self.memory(src, areas)
        self.assertEqual(sent, b''.join(random.Random(i).randbytes(size)
                                        for i, (_, size) in enumerate(areas)))
        self.assertNotEqual(sent, self.memory(dst, areas))
        self.complete(src, dst)
        self.assertEqual(sent, self.memory(dst, areas))

    def test_cells(self):
        for first, second in ((32, 64), (64, 32), (32, 32)):
            with self.subTest(first=first, second=second):
                self.renew()
                self.moves(['-m', str(first + second), *cells(first, second)],
                           (MIB, (first + second - 1) * MIB))

    def test_dimm(self):
        """Larger than what the machine has; the loader takes no more at once than that."""
        self.moves(['-m', '32,slots=2,maxmem=1G', *OWN_RAM, '-object',
                    'memory-backend-ram,id=dimm,size=64M', '-device', 'pc-dimm,id=dimm0,memdev=dimm'],
                   (MIB, 31 * MIB), (PLUGGED, 32 * MIB), (PLUGGED + 32 * MIB, 32 * MIB))

    def test_nvdimm(self):
        image = self.dir / 'nvdimm'
        image.touch()
        layouts = [['-M', 'nvdimm=on', '-m', '32,slots=2,maxmem=1G', '-object',
                    f'memory-backend-file,id=nv,mem-path={image}-{name},size=64M,share=on',
                    '-device', 'nvdimm,id=nvdimm0,memdev=nv,label-size=256K']
                   for name in ('src', 'dst')]
        path = self.dir / 'noise'
        path.write_bytes(random.Random(1).randbytes(32 * MIB))
        args = ['-accel', 'tcg', '-S', '-machine', 'pc']
        src = self.source([*args, *layouts[0], '-device',
                           f'loader,file={path},addr={PLUGGED:#x},force-raw=on'])
        dst = self.destination([*args, *layouts[1]])
        areas = [(PLUGGED, 60 * MIB)]
        sent = self.memory(src, areas)
        self.complete(src, dst)
        self.assertEqual(sent, self.memory(dst, areas))

    def test_virtio_mem(self):
        """Nothing of it is plugged until the guest's driver asks."""
        self.moves(['-m', '32,slots=2,maxmem=1G', *OWN_RAM, '-object',
                    'memory-backend-ram,id=vmem,size=128M', '-device',
                    'virtio-mem-pci,id=vmem0,memdev=vmem,requested-size=64M'], (MIB, 31 * MIB))

    def test_backends(self):
        for backend in ('ram,share=on', 'memfd,share=on', 'memfd,share=off',
                        'file,share=on,mem-path={dir}', 'file,share=off,mem-path={dir}'):
            with self.subTest(backend=backend):
                self.renew()
                self.moves(['-m', '32', '-M', 'memory-backend=pc.ram', '-object',
                            f'memory-backend-{backend.format(dir=self.dir)},id=pc.ram,size=32M'],
                           (MIB, 31 * MIB))


class Mapped(MigrationTest):
    """What a device maps is not the guest's RAM: refused by name, and told beforehand."""

    def test_shared_memory(self):
        src = self.source([*guests.still_args(self.dir), '-object',
                           'memory-backend-ram,id=other,size=1M,share=on',
                           '-device', 'ivshmem-plain,memdev=other'])
        self.set_capabilities(src, 'return-path', 'events')
        words = ["'other'", 'ivshmem-plain', 'unplug']
        self.assertQmpError(words, src.qmp.cmd, 'migrate', uri=f'unix:{self.dir}/nobody')
        reasons = src.qmp.cmd('query-migrate')['blocked-reasons']
        self.assertTrue(any(all(word in reason for word in words) for reason in reasons), reasons)
        self.assertRunsHere(src, 'prelaunch')

    def test_used_by_none(self):
        """A backend without a device has nothing to migrate."""
        spare = ['-object', 'memory-backend-ram,id=spare,size=1M']
        src = self.source([*guests.still_args(self.dir), *spare])
        self.assertNotIn('blocked-reasons', src.qmp.cmd('query-migrate'))
        self.complete(src, self.destination([*guests.still_args(self.dir, fill=False), *spare]))


class Running(test_boot.Verified):
    """A write to any block is seen, however often its dirty bits have been taken."""

    def test_cells(self):
        for first, second in ((16, 32), (32, 16)):
            with self.subTest(first=first, second=second):
                self.renew()
                self.verify([*tiny.args(self.dir, test_boot.LOAD, ram_mib=first + second),
                             *cells(first, second)])

    def test_busy(self):
        """The guest that works and says nothing: it runs on at either end."""
        plugged = [*OWN_RAM, '-object', 'memory-backend-ram,id=more,size=128M', '-device']
        for machine, ram_mib, layout in (
                ('pc', 48, cells(16, 32)), ('q35', 48, cells(16, 32)),
                ('q35', '32,slots=4,maxmem=1G', [*plugged, 'pc-dimm,id=dimm,memdev=more']),
                ('q35', '32,slots=4,maxmem=1G', [*plugged, 'virtio-mem-pci,id=vmem,memdev=more'])):
            with self.subTest(machine=machine, layout=layout[-1]):
                self.renew()
                src, dst = self.start_sev_pair([*busy.args(self.dir, vcpus=1, ram_mib=ram_mib),
                                                '-M', machine, *layout])
                busy.wait_busy(self, src, 1)
                self.migrate(src, dst)
                self.wait_status(src, 'completed')
                busy.wait_work(self, dst, 1)


if __name__ == '__main__':
    unittest.main()
