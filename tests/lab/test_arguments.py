# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs that `lab` builds much for look at their arguments first, asked with --check."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
BENCH = ("bench/main.py",)
DEMO = ("lab/main.py", "demo")
FUZZ = ("fuzz/stream/fuzz", "--qemu", "nowhere", "--output", "nowhere")
SOAK = ("soak/main.py",)
TEST = ("run.py",)


class Arguments(unittest.TestCase):
    def check(self, program, words):
        """The program where nothing has been built."""
        with tempfile.TemporaryDirectory() as nothing:
            return subprocess.run(
                [sys.executable, TESTS / program[0], *program[1:], *words.split(), "--check"],
                cwd=nothing, env=os.environ | {"PYTHONPATH": str(TESTS), "SEVMIG_BUILD": nothing},
                capture_output=True, text=True, check=False)

    def test_good(self):
        for program, words in ((BENCH, "qemu --runs 3"), (BENCH, "sim --random 1"), (DEMO, ""),
                               (FUZZ, "--seconds 1"), (SOAK, "--migrations 1 --seed 7")):
            with self.subTest(program=program[0], words=words):
                done = self.check(program, words)
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_suites(self):
        """What is going to run: the lab makes what these suites need."""
        self.assertEqual(self.check(TEST, "lab source").stdout, " lab source \n")
        self.assertEqual(self.check(TEST, "lab --pattern x").stdout, " lab \n")
        self.assertIn(" hosts ", self.check(TEST, "--pattern x").stdout)
        self.assertNotIn(" compat ", self.check(TEST, "--pattern x").stdout)
        self.assertEqual(self.check(TEST, "compat").stdout, " compat \n")

    def test_wrong(self):
        for program, words, why in (
                (BENCH, "", "say which benchmark"),
                (BENCH, "qemu --runs 0", "--runs must be 1 or more"),
                (BENCH, "--runs 3 sim", "say the benchmark's name first"),
                (BENCH, "sim --random 0", "--random must be 1 or more"),
                (DEMO, "--bad", "unrecognized arguments: --bad"),
                (FUZZ, "--seconds 0", "--seconds must be 1 or more"),
                (FUZZ, "--bad", "unrecognized arguments: --bad"),
                (SOAK, "--migrations 0", "--migrations: must be at least 1"),
                (SOAK, "--seed", "--seed: expected one argument"),
                (TEST, "lab nosuch", "'nosuch' is not a suite: say one of")):
            with self.subTest(program=program[0], words=words):
                done = self.check(program, words)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(why, done.stderr)

    def test_help(self):
        for program in BENCH, DEMO, FUZZ, SOAK, TEST:
            with self.subTest(program=program[0]):
                done = self.check(program, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout.startswith("usage: lab "))
                self.assertNotIn("--check", done.stdout)


if __name__ == "__main__":
    unittest.main()
