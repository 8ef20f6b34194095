#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs every test suite, says what takes how long, and ends with one line of counts.

Suites: the unit suites of the meson build (with sanitizers), then Python suites that drive real
QEMUs and the two hosts of the lab. A skipped test fails the run unless its reason is listed below.
"""

import argparse
import os
import subprocess
import sys
import time
import unittest
import xml.etree.ElementTree as ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("SEVMIG_BUILD", os.path.join(TOP, "build"))
CHECKS = os.path.join(BUILD, "checks")

# Reasons for which a test may be skipped; any other skip is a failure.
ALLOWED_SKIPS = ("SEVMIG_QEMU names a program, and its build is not here",)

MESON_SUITES = ("qmp", "control", "trace", "simulation", "policy", "daemon", "hook", "cli", "swpsp", "fuzz")
PYTHON_SUITES = {
    "source": ("tests/source", "house rules that a program can check"),
    "qemu": ("tests/qemu", "the patched QEMU and swpsp, without libvirt"),
    "soak": ("tests/soak", "migrations back and forth, tuned at random"),
    "lab": ("tests/lab", "the lab's own analysis, without hosts"),
    "bench": ("tests/bench", "the benchmarks' own arithmetic"),
    "report": ("tests/report", "the pages of sevmigctl report, in a browser"),
    "metrics": ("tests/metrics", "sevmigd's figures, in Prometheus"),
    "packages": ("tests/packages", "the Debian packages, in a clean Debian 13"),
    "hosts": ("tests/hosts", "two libvirt hosts"),
    "nova": ("tests/nova", "OpenStack Nova's driver, on the two hosts"),
    "compat": ("tests/compat", "Debian 12 with libvirt 9.0"),
    "packages-qemu": ("tests/packages-qemu", "the package of the patched QEMU"),
}
# Take long to make what they need, and run when they are named.
ON_DEMAND = ("compat", "packages-qemu")


class Tally:
    """What passed, failed and was skipped, over all suites."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.failures = []

    def add(self, name, outcome, seconds, detail=""):
        if outcome == "skip" and detail not in ALLOWED_SKIPS:
            outcome, detail = "fail", f"skipped for a reason that is not listed: {detail}"
        print(f"  {outcome:4} {seconds:7.1f} s  {name}", flush=True)
        if outcome == "pass":
            self.passed += 1
        elif outcome == "skip":
            self.skipped += 1
        else:
            self.failed += 1
            self.failures.append((name, detail))
            for line in detail.rstrip().splitlines()[-40:]:
                print(f"       | {line}")


def run_meson(suites, tally):
    """The unit suites; each test case of a TAP program counts by itself."""
    env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
               MALLOC_PERTURB_="85", SEVMIG_QEMU=qemu_binary(), SEVMIG_SWPSP=swpsp_binary())
    junit = os.path.join(CHECKS, "meson-logs", "testlog.junit.xml")
    for suite in suites:
        print(f"suite {suite}", flush=True)
        if os.path.exists(junit):
            os.unlink(junit)
        result = subprocess.run(
            ["meson", "test", "-C", CHECKS, "--no-rebuild", "--suite", suite, "--print-errorlogs"],
            env=env, capture_output=True, text=True, check=False)
        if not os.path.exists(junit):
            tally.add(suite, "fail", 0, "no test ran\n" + result.stdout + result.stderr)
            continue
        before = tally.failed
        for case in ElementTree.parse(junit).getroot().iter("testcase"):
            add_junit_case(suite, case, tally)
        if result.returncode != 0 and tally.failed == before:
            tally.add(suite, "fail", 0, result.stdout + result.stderr)


def add_junit_case(suite, case, tally):
    name = f"{suite}: {(case.get('name') or '').rpartition(' / ')[2]}"
    seconds = float(case.get("time") or 0)
    for outcome, tag in (("fail", "failure"), ("fail", "error"), ("skip", "skipped")):
        node = case.find(tag)
        if node is not None:
            detail = node.get("message") or node.text or ""
            if outcome == "fail":
                detail += "\n" + "".join(case.itertext())
            tally.add(name, outcome, seconds, detail)
            return
    tally.add(name, "pass", seconds)


class Result(unittest.TestResult):
    """Reports each case to the tally as it ends."""

    def __init__(self, suite, tally):
        super().__init__()
        self.suite = suite
        self.tally = tally
        self.started = 0.0
        self.subtests_failed = False

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()
        self.subtests_failed = False

    def report(self, test, outcome, detail=""):
        name = f"{self.suite}: {test.id()}"
        self.tally.add(name, outcome, time.monotonic() - self.started, detail)

    def addSuccess(self, test):
        if not self.subtests_failed:
            self.report(test, "pass")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.subtests_failed = True
            self.report(subtest, "fail", self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        self.report(test, "fail", self._exc_info_to_string(err, test))

    addError = addFailure

    def addSkip(self, test, reason):
        self.report(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        self.report(test, "fail", "marked as an expected failure: a test either holds or is mended")

    def addUnexpectedSuccess(self, test):
        self.report(test, "fail", "unexpected success")


def run_python(suite, tally, pattern):
    directory, what = PYTHON_SUITES[suite]
    print(f"suite {suite}: {what}", flush=True)
    os.environ["SEVMIG_QEMU"] = qemu_binary()
    os.environ["SEVMIG_SWPSP"] = swpsp_binary()
    path = os.path.join(TOP, directory)
    sys.path.insert(0, path)
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{pattern}*"] if pattern else None
    cases = loader.discover(path, pattern="test_*.py", top_level_dir=path)
    if cases.countTestCases() == 0 and not pattern:
        tally.add(suite, "fail", 0, f"no test found in {directory}")
    cases.run(Result(suite, tally))
    sys.path.remove(path)
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(path):
            del sys.modules[name]


def qemu_binary():
    return os.path.join(BUILD, "install.qemu/usr/lib/sevmig/qemu-system-x86_64")


def swpsp_binary():
    return os.path.join(BUILD, "install.plugin/usr/bin/swpsp")


def main():
    known = MESON_SUITES + tuple(PYTHON_SUITES)
    parser = argparse.ArgumentParser(prog="lab test", description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(known))
    parser.add_argument("--list", action="store_true", help="list the suites and end")
    parser.add_argument("--pattern", help="run only Python tests whose name contains this")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{suite}  (only when named)" if suite in ON_DEMAND else suite for suite in known))
        return 0
    for suite in options.suites:
        if suite not in known:
            parser.error(f"'{suite}' is not a suite: say one of {', '.join(known)}")
    chosen = options.suites or [suite for suite in known if suite not in ON_DEMAND]
    if options.check:  # the arguments alone; what is going to run
        print(f" {' '.join(chosen)} ")
        return 0
    tally = Tally()
    times = []
    for suite in known:
        if suite not in chosen:
            continue
        started = time.monotonic()
        if suite in MESON_SUITES:
            run_meson([suite], tally)
        else:
            run_python(suite, tally, options.pattern)
        times.append((suite, time.monotonic() - started))
    print("\nwhat took how long")
    for suite, seconds in times:
        print(f"  {suite:8} {seconds:7.1f} s")
    for name, _ in tally.failures:
        print(f"FAILED {name}")
    skipped = f", {tally.skipped} skipped" if tally.skipped else ""
    print(f"{tally.passed} passed, {tally.failed} failed{skipped}")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
