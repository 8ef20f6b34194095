#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that a Linux guest says is free is not encrypted, and its data arrives nevertheless."""

import os
import pathlib
import time
import unittest

import harness
import test_migration

# Linux reports nothing of a zone unless more than 64 MiB of it are free
RAM_MIB = 256
PAGES = RAM_MIB << 8
# The lab's Linux guest, built with everything else
IMAGES = pathlib.Path(os.environ.get('SEVMIG_BUILD', harness.ROOT / 'build')) / 'images'
# A kernel of a cloud and SeaBIOS; as slow as TCG is on a busy host
BOOT_S = 180
# The guest waits 2 s between two reports
REPORTS_S = 120
CMDLINE = ('console=ttyS0 quiet tsc=reliable clocksource=tsc pattern=hot rate=200 verify=20000 '
           'beat=50 used=85 fill=25')
BALLOON = ['-device', 'virtio-balloon-pci,free-page-reporting=on']
HINTS = ['-object', 'iothread,id=io0',
         '-device', 'virtio-balloon-pci,free-page-hint=on,iothread=io0']


class LinuxGuest(test_migration.MigrationTest):
    """A Linux guest half of which is free, having been used."""

    PSP = ('--time-scale', '50')

    def args(self, name, devices):
        return ['-accel', 'tcg', '-m', str(RAM_MIB), '-kernel', f'{IMAGES}/vmlinuz',
                '-initrd', f'{IMAGES}/initrd.img', '-append', CMDLINE, *devices,
                '-serial', f'file:{self.dir}/{name}.serial']

    def beats(self, name):
        """The heartbeats so far: sequence, guest ms, work, verified pages, walks, errors."""
        text = (self.dir / f'{name}.serial').read_text(errors='replace').replace('\r', '')
        self.assertNotIn('fatal:', text)
        lines = [line.split() for line in text.split('\n')[:-1]]
        return [[int(field) for field in line[1:]] for line in lines if line[:1] == ['hb']]

    def wait_until(self, condition, seconds=harness.PATIENCE_S):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, 'waited in vain')
            time.sleep(0.1)

    def boot(self, devices):
        src = self.source(self.args('src', devices), psp_args=self.PSP)
        self.wait_until(lambda: self.beats('src'), BOOT_S)
        return src

    def destination_for(self, devices, name='dst'):
        return self.destination(self.args(name, devices), name=name, psp_args=self.PSP)

    def populated_mib(self, qemu):
        """How much of the guest's memory takes memory of the host."""
        with open(f'/proc/{qemu.child.pid}/smaps', encoding='ascii') as smaps:
            for line in smaps:
                if line.split() == ['Size:', str(RAM_MIB << 10), 'kB']:
                    return next(int(line.split()[1]) >> 10 for line in smaps
                                if line.startswith('Rss:'))
        return self.fail('the guest has no memory')

    def wait_reported(self, qemu):
        self.wait_until(lambda: self.populated_mib(qemu) < RAM_MIB * 0.54, REPORTS_S)

    def first_pass(self, src, dst):
        """Migrate; how many pages the first pass sent."""
        self.start(src, dst, downtime_ms=1)
        src.qmp.cmd('x-sev-migration-tune', switchover='hold', lease_ms=60000)
        self.wait_until(lambda: src.qmp.cmd('x-query-sev-migration')['ram']['pass'] > 1)
        info = src.qmp.cmd('x-query-sev-migration')
        self.assertEqual(info['ram']['private-pages'], PAGES)
        src.qmp.cmd('x-sev-migration-tune', switchover='now', lease_ms=60000)
        self.wait_status(src, 'completed')
        self.wait_status(dst, 'completed')
        return info['send']['pages']

    def assertSound(self, name):
        """The guest runs on, and each page of its data is what it wrote last."""
        self.wait_until(lambda: self.beats(name))
        first = self.beats(name)[0]
        self.wait_until(lambda: self.beats(name)[-1][4] >= first[4] + 2)
        last = self.beats(name)[-1]
        self.assertEqual(last[5], 0, 'memory is damaged')
        self.assertGreater(last[2], first[2])


class Free(LinuxGuest):

    def test_reported(self):
        """What was reported is left out, here and at the next hop."""
        src = self.boot(BALLOON)
        self.wait_reported(src)
        dst = self.destination_for(BALLOON)
        self.assertLess(self.first_pass(src, dst), PAGES * 0.55)
        self.assertSound('dst')
        src.stop()

        third = self.destination_for(BALLOON, name='third')
        dst.qmp.events.clear()
        self.assertLess(self.first_pass(dst, third), PAGES * 0.55)
        self.assertSound('third')

    def test_hinted(self):
        """Hints come in while the firmware works, before the pages in question are encrypted."""
        src = self.boot(HINTS)
        dst = self.destination_for(HINTS)
        self.assertLess(self.first_pass(src, dst), PAGES * 0.75)
        self.assertSound('dst')

    def test_unreported(self):
        """Memory that the guest says nothing about is encrypted, populated or not."""
        src = self.boot([])
        dst = self.destination_for([])
        self.assertGreaterEqual(self.first_pass(src, dst), PAGES)
        self.assertSound('dst')


if __name__ == '__main__':
    unittest.main()
