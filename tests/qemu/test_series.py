#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The patch series as QEMU's maintainers would look at it, and QEMU's own tests of what it touches.

That each patch builds by itself is for qemu/check, by hand.
"""

import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness

PATCHES = harness.ROOT / 'qemu/patches'
# Those of QEMU's unit tests that the series can break: what migration stands on.
UNIT_TESTS = ('test-vmstate', 'test-xbzrle', 'test-bitmap', 'test-hbitmap', 'test-throttle',
              'test-io-channel-buffer')
# Guests without SEV migrate as ever, are cancelled as ever, and their stream reads as ever.
MIGRATIONS = ('precopy/unix/plain', 'precopy/tcp/plain', 'multifd/tcp/plain/cancel',
              'analyze-script')


def series():
    return [PATCHES / name for name in (PATCHES / 'series').read_text().split()]


def run(argv, **kwargs):
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False, **kwargs)


class Files(unittest.TestCase):
    def test_series(self):
        """The series names each patch once, in order, and each is signed off."""
        self.assertEqual(series(), sorted(PATCHES.glob('*.patch')))
        for patch in series():
            self.assertIn('\nSigned-off-by: ', patch.read_text(), patch.name)

    def test_protocol(self):
        """QEMU and swpsp have the same description of what they say to each other."""
        ours = (harness.ROOT / 'qemu/swpsp/swpsp-proto.h').read_text()
        theirs = (harness.qemu_build() / 'src/target/i386/swpsp-proto.h').read_text()
        self.assertEqual(theirs, ours)


class Style(unittest.TestCase):
    def test_checkpatch(self):
        result = run([harness.ROOT / 'qemu/check', '--style', harness.qemu_build() / 'src'])
        self.assertEqual((result.stdout + result.stderr, result.returncode), ('', 0))

    def test_maintainers(self):
        """Somebody is responsible for each file that is added, and not just for everything."""
        text = (harness.qemu_build() / 'src/MAINTAINERS').read_text()
        patterns = [p for p in re.findall(r'^F: (\S+)$', text, re.M) if p not in ('*', '*/')]
        added = [name for patch in series() for name in
                 re.findall(r'^--- /dev/null\n\+\+\+ b/(\S+)$', patch.read_text(), re.M)]
        self.assertTrue(added)
        for name in added:
            self.assertTrue(any(name.startswith(p) if p.endswith('/') else fnmatch.fnmatch(name, p)
                                for p in patterns), name)


class Export(unittest.TestCase):
    """qemu/export writes what it was made of, from a tree of just the files that are touched."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='sevmig-'))
        self.addCleanup(shutil.rmtree, self.dir)
        self.tree = self.dir / 'tree'
        self.env = dict(os.environ, HOME=str(self.dir), GIT_COMMITTER_NAME='A Tester',
                        GIT_COMMITTER_EMAIL='a@localhost')
        source = harness.qemu_build() / 'src'
        for patch in series():
            for name in re.findall(r'^\+\+\+ b/(\S+)$', patch.read_text(), re.M):
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source / name, self.tree / name)
        for patch in reversed(series()):
            self.must('patch', '--reverse', '-p1', '--quiet', '--input', patch)
        self.must('git', 'init', '--quiet')
        self.must('git', 'add', '--all', '--force')
        self.must('git', 'commit', '--quiet', '--author=A <a@localhost>', '--message=base')
        self.must('git', 'tag', 'base')
        self.must('git', 'am', '--quiet', *series())

    def must(self, *argv):
        result = run(argv, cwd=self.tree, env=self.env)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def export(self):
        return run([harness.ROOT / 'qemu/export', '--patches', self.dir / 'out', self.tree],
                   env=self.env)

    def test_unchanged(self):
        # Whatever the user prefers, the patches are the same
        for setting in ('diff.noprefix true', 'diff.algorithm patience', 'format.signature me',
                        'diff.context 7', 'core.abbrev 12', 'format.subjectPrefix RFC'):
            self.must('git', 'config', *setting.split())
        result = self.export()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(sorted(os.listdir(self.dir / 'out')),
                         sorted([*(patch.name for patch in series()), 'series']))
        for path in [*series(), PATCHES / 'series']:
            self.assertEqual((self.dir / 'out' / path.name).read_text(), path.read_text(), path.name)

    def test_refused(self):
        """What is not ready to be sent is named."""
        def commit(message):
            self.must('git', 'commit', '--quiet', '--allow-empty', '--author=A <a@localhost>',
                      '--message', message)
        for message, words in (('fixup! x', "'fixup! x' is meant for another commit"),
                               ('x: do', "'x: do' is not signed off by its author")):
            commit(message)
            result = self.export()
            self.assertEqual(result.returncode, 1)
            self.assertIn(words, result.stderr)
            self.must('git', 'reset', '--quiet', '--hard', 'HEAD~')
        self.assertFalse((self.dir / 'out').exists())


class QemusOwn(unittest.TestCase):
    """Tests of QEMU's, built and run in its own build directory."""

    def build(self, *targets):
        result = run(['ninja', '-C', harness.qemu_build() / 'obj', *targets])
        self.assertEqual(result.returncode, 0, result.stdout[-4000:])

    def passes(self, argv, **env):
        """A TAP program passes: something is ok, nothing is not, nothing is skipped."""
        result = run(argv, cwd=harness.qemu_build() / 'obj', env={**os.environ, **env})
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r'(?m)^ok 1 ')
        self.assertNotRegex(result.stdout, r'(?m)^not ok|^ok .*# SKIP')

    def test_unit(self):
        self.build(*(f'tests/unit/{name}' for name in UNIT_TESTS))
        for name in UNIT_TESTS:
            with self.subTest(name):
                self.passes([f'tests/unit/{name}'])

    def test_migration(self):
        # Not the program in the build directory: that one looks for the BIOS in the sources
        self.build('tests/qtest/migration-test')
        for name in MIGRATIONS:
            with self.subTest(name):
                self.passes(['tests/qtest/migration-test', '-p', f'/x86_64/migration/{name}'],
                            QTEST_QEMU_BINARY=harness.QEMU, PYTHON=sys.executable)


if __name__ == '__main__':
    unittest.main()
