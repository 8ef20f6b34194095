#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What fuzzing has taught: the kept corpus of the stream fuzzers, once, with sanitizers."""

import subprocess
import unittest

import harness

FUZZ = harness.ROOT / 'tests/fuzz/stream/fuzz'


class Stream(unittest.TestCase):
    def test_corpus(self):
        result = subprocess.run(
            [FUZZ, '--replay', '--qemu', harness.qemu_build(), '--output', harness.BUILD / 'fuzz'],
            capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn('load: ', result.stdout)
        self.assertIn('source: ', result.stdout)


if __name__ == '__main__':
    unittest.main()
