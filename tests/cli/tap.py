# SPDX-License-Identifier: LGPL-2.1-or-later
"""Python tests with TAP on standard output."""

import sys
import unittest


class TapResult(unittest.TestResult):
    """One line for each test, as it ends."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def _line(self, test, outcome, detail=""):
        self.count += 1
        print(f"{outcome} {self.count} {test.id().split('.', 1)[1]}")
        for line in detail.splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def addSuccess(self, test):
        self._line(test, "ok")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._line(test, "not ok", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._line(test, "not ok", self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._line(subtest, "not ok", str(err[1]))


def main():
    """Runs the tests of the program that calls this; returns its exit status."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = TapResult()
    print("TAP version 13")
    suite.run(result)
    print(f"1..{result.count}")
    return 0 if result.wasSuccessful() else 1
