#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl policy explain --xml without sevmigd, against the cases of tests/policy/explain.

Usage: test_explain.py SEVMIGCTL SOURCE [--update]
(--update rewrites the golden files)
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import tap

CTL, SOURCE = map(os.path.abspath, sys.argv[1:3])
UPDATE = "--update" in sys.argv[3:]
CASES = pathlib.Path(SOURCE) / "tests/policy/explain"
PLACES = ("--policy-dir", "etc", "--policy-dir", "share", "--ceiling", "ceiling.xml")


class Explain(unittest.TestCase):
    maxDiff = None

    def ctl(self, *arguments, stdin=subprocess.DEVNULL):
        env = dict(os.environ, LC_ALL="C.UTF-8", DBUS_SYSTEM_BUS_ADDRESS="unix:path=/no/such/bus")
        env.pop("COLUMNS", None)
        return subprocess.run([CTL, "policy", "explain", *arguments], cwd=CASES, env=env, text=True,
                              check=False, capture_output=True, timeout=60, stdin=stdin)

    def good(self, *arguments, **kwargs):
        done = self.ctl(*arguments, **kwargs)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def fails(self, status, *arguments):
        done = self.ctl(*arguments)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Asevmigctl: policy explain: [^\n]+\n\Z")
        return done.stderr

    def golden(self, name, text):
        if UPDATE:
            (CASES / name).write_text(text)
        self.assertEqual(text, (CASES / name).read_text(), f"{name}: rewrite with --update if this is meant")

    def test_cases(self):
        cases = sorted(path for path in CASES.glob("*.xml") if path.name != "ceiling.xml")
        self.assertGreaterEqual(len(cases), 10)
        for path in cases:
            with self.subTest(path.stem):
                arguments = ("--xml", path.name, *PLACES)
                self.golden(f"{path.stem}.txt", self.good(*arguments))
                self.golden(f"{path.stem}.json", self.good(*arguments, "--json"))

    def test_standard_input(self):
        with open(CASES / "named.xml", encoding="utf-8") as stream:
            told = json.loads(self.good("--xml", "-", *PLACES, "--json", stdin=stream))
        self.assertEqual((told["xml"], told["policy"]), ("-", "low-downtime"))

    def test_one_directory_stands_alone(self):
        told = json.loads(self.good("--xml", "named.xml", "--policy-dir", "share", "--json"))
        self.assertEqual(told["directories"], ["share"])
        chosen, = [candidate for candidate in told["candidates"] if candidate["chosen"]]
        self.assertEqual(chosen["file"], "share/low-downtime.xml")

    def test_without_sevmigd(self):
        """The places of this host, whatever is there."""
        told = self.ctl("--xml", "default.xml")
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("by the files in /etc/sevmig/policies over /usr/share/sevmig/policies "
                      "(sevmigd does not run)\n", told.stdout)

    def test_a_bus_that_is_named_must_answer(self):
        self.assertIn("cannot reach unix:path=/gone", self.fails(
            1, "--xml", "default.xml", "--connect", "unix:path=/gone"))

    def test_no_good_xml(self):
        with tempfile.TemporaryDirectory() as directory:
            bad = pathlib.Path(directory) / "bad.xml"
            for content, expected in (
                    (b"", f"{bad}:1:1: the document is empty; expected XML"),
                    (b"<domain>", f"{bad}:1:9: not well-formed XML"),
                    (b"<network/>", "element <network>; expected <domain>"),
                    (b"<!DOCTYPE domain []><domain/>", "a document type declaration is not allowed"),
                    (b"\xff<domain/>", f"{bad}: not text"), (b"<domain/>\0", f"{bad}: not text"),
                    (b"<domain><name>a</name></domain>\n<domain/>\n", f"{bad}:2:1: not well-formed XML"),
                    (b" " * (1024 * 1024 + 1), f"{bad}: too large; domain XML has at most 1048576 bytes")):
                with self.subTest(content[:20]):
                    bad.write_bytes(content)
                    self.assertIn(expected, self.fails(1, "--xml", str(bad), *PLACES))
        self.assertIn("/no/such: No such file", self.fails(1, "--xml", "/no/such", *PLACES))

    def test_bad_policies(self):
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / "x.xml").write_text("<policy/>\n")
            self.assertIn("x.xml:1:1: ", self.fails(1, "--xml", "default.xml", "--policy-dir", directory))
        self.assertIn("not a directory", self.fails(1, "--xml", "default.xml", "--policy-dir", "/no/such"))
        self.assertIn("/no/such: ", self.fails(1, "--xml", "default.xml", "--ceiling", "/no/such"))

    def test_usage(self):
        for arguments, text in (
                ([], "either a DOMAIN"), (["db-1", "--xml", "named.xml"], "either a DOMAIN"),
                (["db-1", "--policy-dir", "etc"], "need --xml"), (["db-1", "--ceiling", "x"], "need --xml"),
                (["--xml", "named.xml", *PLACES, "--policy-dir", "x"], "at most two")):
            with self.subTest(arguments):
                self.assertIn(text, self.fails(2, *arguments))


if __name__ == "__main__":
    sys.exit(tap.main())
