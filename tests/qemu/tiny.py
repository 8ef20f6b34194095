# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tiny guest without libvirt: it writes, verifies its memory and tells about both."""

import subprocess
import time
from typing import NamedTuple

import harness


class Beat(NamedTuple):
    """A heartbeat; pages and walks count from the guest's boot."""

    seq: int
    guest_ms: int
    work_pages: int
    verified_pages: int
    walks: int
    errors: int


def args(directory, load, ram_mib=16, vcpus=1):
    """QEMU's arguments for a guest with that load, see tests/guests/common/workload.h."""
    image = directory / 'tiny.elf'
    if not image.exists():
        subprocess.run(['make', '-s', '-C', harness.ROOT / 'tests/guests/tiny',
                        f'OUT={directory}'], check=True)
    # A small translation buffer, so that QEMU's size says something about QEMU.
    return ['-accel', 'tcg,thread=multi,tb-size=8', '-smp', str(vcpus), '-m', str(ram_mib),
            '-kernel', str(image), '-append', load]


class Serial:
    """What one QEMU's guest has said."""

    def __init__(self, path):
        self.path = path
        self.args = ['-serial', f'file:{path}']
        self.offset, self.rest = 0, ''
        self.beats, self.other_lines = [], []

    def poll(self):
        """Read what is new; all heartbeats so far."""
        if self.path.exists():
            with self.path.open(errors='replace') as file:
                file.seek(self.offset)
                *lines, self.rest = (self.rest + file.read()).replace('\r', '').split('\n')
                self.offset = file.tell()
            for line in lines:
                self._line(line.split())
        return self.beats

    def _line(self, words):
        # A heartbeat that a migration cut in two says nothing.
        if words[:1] == ['hb'] and len(words) == 1 + len(Beat._fields):
            self.beats.append(Beat(*map(int, words[1:])))
        elif words and words[0] != 'hb':
            self.other_lines.append(' '.join(words))

    def fatal(self):
        return [line for line in self.other_lines if line.startswith('fatal')]

    def wait(self, condition, what):
        """Wait for condition(beats), and for a first heartbeat in any case."""
        deadline = time.monotonic() + harness.PATIENCE_S
        while not (self.poll() and condition(self.beats)):
            last = self.beats[-1] if self.beats else None
            if self.fatal() or time.monotonic() > deadline:
                raise AssertionError(f'{what}: in vain; {self.path.name} says {last} '
                                     f'{self.other_lines}')
            time.sleep(0.01)

    def wait_verified(self):
        """Wait until the guest has looked at every page, from now on, and check what it found.

        Two walks have to end, because only from the end of a walk on all pages are looked at.
        """
        self.wait(lambda beats: True, 'a heartbeat')
        walks = self.beats[-1].walks
        self.wait(lambda beats: beats[-1].errors or beats[-1].walks >= walks + 2,
                  'verification of all memory')
        if self.beats[-1].errors:
            raise AssertionError(f'memory is damaged: {self.beats[-1]}')
