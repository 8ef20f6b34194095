# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plugin on Debian 12: built against its libvirt 9.0, its unit suites run there."""

import os
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SEVMIG_BUILD", TOP / "build"))
COMPAT = BUILD / "compat"
JUNIT = COMPAT / "meson-logs/testlog.junit.xml"
QEMU = "/usr/bin/qemu-system-x86_64"
SUITES = ("qmp", "control", "trace", "simulation", "policy", "daemon", "hook", "cli", "swpsp", "fuzz")
# Debian 12's own QEMU stands in for the patched one, which needs Debian 13's libraries.
ALLOWED_SKIPS = {"this QEMU is not patched: set SEVMIG_QEMU"}


def on_debian_12(*argv):
    """A command in the tree of Debian 12, and what it said."""
    return subprocess.run(
        ["bash", "-euc", 'top=$1 build=$2 run=/run/sevmig-lab; shift 2; . "$top/tests/lab/tree.sh"; '
         'tree=$build/bookworm tree_run "$@"', "on_debian_12", TOP, BUILD, *argv],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


class Compat(unittest.TestCase):
    def test_versions(self):
        """It is the libvirt that README.md names."""
        for module in ("libvirt", "libvirt-qemu"):
            self.assertEqual(on_debian_12("pkg-config", "--modversion", module).stdout, "9.0.0\n")

    def test_installs(self):
        done = on_debian_12("env", "DESTDIR=/tmp/install", "meson", "install", "-C", str(COMPAT), "--no-rebuild")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lint = on_debian_12(str(COMPAT / "plugin/cli/sevmigctl"), "policy", "lint", str(TOP / "policies"))
        self.assertEqual((lint.returncode, lint.stderr), (0, ""))

    def run_suite(self, suite):
        JUNIT.unlink(missing_ok=True)
        done = on_debian_12("env", f"SEVMIG_QEMU={QEMU}", "MALLOC_PERTURB_=85", "meson", "test", "-C", str(COMPAT),
                            "--no-rebuild", "--suite", suite, "--print-errorlogs")
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr)
        cases = list(ElementTree.parse(JUNIT).getroot().iter("testcase"))
        self.assertGreater(len(cases), 0, done.stdout)
        skipped = {case.findtext("system-out") for case in cases if case.find("skipped") is not None}
        self.assertLessEqual(skipped, ALLOWED_SKIPS)


def add_suite(suite):
    setattr(Compat, f"test_suite_{suite}", lambda self: self.run_suite(suite))


for name in SUITES:
    add_suite(name)


if __name__ == "__main__":
    unittest.main()
