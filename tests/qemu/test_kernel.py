#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel patches: whether they apply, are in style, compile, and do what their README says."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import harness

KERNEL = harness.ROOT / 'qemu/kernel'
BUILD = pathlib.Path(os.environ.get('SEVMIG_BUILD', harness.ROOT / 'build')) / 'kernel'
FUNCTIONS = ('sev_pin_memory', 'sev_unpin_memory', 'get_num_contig_pages', 'sev_pin_contig_memory',
             '__sev_send_update_data_query_lengths', 'sev_send_update_data',
             'sev_receive_update_data')
# What kvm-update-data.c runs, and where the kernel has it.
TAKEN = (
    ('include/linux/psp-sev.h', r'^#define SEV_FW_BLOB_MAX_SIZE.*?$'),
    ('include/linux/psp-sev.h', r'^struct sev_data_(?:send|receive)_update_data {.*?^}[^\n]*;'),
    ('drivers/crypto/ccp/sev-dev.c', r'^void \*psp_copy_user_blob\(.*?^}'),
    ('arch/x86/kvm/svm/sev.c',
     rf'^static (?:(?!^static ).)*?\b(?:{"|".join(FUNCTIONS)})\([^;]*?\)\n{{.*?^}}'),
)


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False, **options)


class Kernel(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        checked = run(KERNEL / 'check', '--output', BUILD)
        if checked.returncode != 0:
            raise AssertionError(checked.stdout[-2000:] + checked.stderr[-2000:])

    def patches(self):
        series = (KERNEL / 'patches/series').read_text().split()
        return [KERNEL / 'patches' / name for name in series]

    def test_series(self):
        """The series names each patch once, in order, and each is signed off."""
        self.assertEqual(self.patches(), sorted((KERNEL / 'patches').glob('*.patch')))
        for patch in self.patches():
            self.assertIn('\nSigned-off-by: ', patch.read_text(), patch.name)

    def behave(self, source, kind):
        """Runs the functions of a kernel source as a user program."""
        taken = [text for name, pattern in TAKEN
                 for text in re.findall(pattern, (source / name).read_text(), re.M | re.S)]
        with tempfile.TemporaryDirectory() as place:
            (pathlib.Path(place) / 'kvm-sev.inc').write_text('\n\n'.join(taken) + '\n')
            program = pathlib.Path(place) / 'kvm-update-data'
            # As the kernel itself, without -Wpointer-sign; unpatched, one function has no user.
            built = run('gcc', '-std=gnu11', '-g', '-O1', '-Wall', '-Werror', '-Wno-pointer-sign',
                        '-Wno-unused-function', '-fsanitize=address,undefined',
                        '-fno-sanitize-recover', f'-I{place}', f'-I{harness.HERE}',
                        harness.HERE / 'kvm-update-data.c', '-o', program)
            self.assertEqual(built.returncode, 0, built.stderr)
            ran = run(program, kind)
            self.assertEqual(ran.returncode, 0, ran.stderr)

    def test_patched(self):
        self.behave(BUILD / 'src', 'patched')

    def test_unpatched(self):
        """Debian's kernel is told apart from a patched one as the README says."""
        with tempfile.TemporaryDirectory() as place:
            for name in {name for name, _ in TAKEN}:
                copy = pathlib.Path(place) / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes((BUILD / 'src' / name).read_bytes())
            for patch in reversed(self.patches()):
                undone = run('git', 'apply', '--reverse', '--include=arch/*', patch, cwd=place)
                self.assertEqual(undone.returncode, 0, undone.stderr)
            self.behave(pathlib.Path(place), 'unpatched')


if __name__ == '__main__':
    unittest.main()
