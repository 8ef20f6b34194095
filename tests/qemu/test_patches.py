#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The patch series itself."""

import unittest

import harness

PATCHES = harness.ROOT / 'qemu/patches'


class Patches(unittest.TestCase):

    def test_series(self):
        """The series names each patch once, in order, and each is signed off."""
        series = (PATCHES / 'series').read_text().split()
        self.assertEqual(series, sorted(path.name for path in PATCHES.glob('*.patch')))
        for name in series:
            self.assertIn('\nSigned-off-by: ', (PATCHES / name).read_text(), name)

    def test_protocol(self):
        """QEMU and swpsp have the same description of what they say to each other."""
        ours = (harness.ROOT / 'qemu/swpsp/swpsp-proto.h').read_text()
        theirs = (harness.qemu_build() / 'src/target/i386/swpsp-proto.h').read_text()
        self.assertEqual(theirs, ours)


if __name__ == '__main__':
    unittest.main()
