# SPDX-License-Identifier: LGPL-2.1-or-later
import io
import unittest

from lab import demo
from lab.console import Console, table
from lab.demo import CASES, GUESTS
from lab.migrate import Result

# What the demonstration's JSON file promises its readers.
FIELDS = {"guest", "case", "policy", "total_ms", "downtime_ms", "downtime_qemu_ms",
          "guest_lost_ms", "pages_per_command", "max_throttle", "memory_verified", "completed"}


def result(**changes):
    values = dict(guest="demo-tiny", source="a", destination="b", completed=True, error="",
                  started_us=1_000_000, ended_us=5_500_000,
                  stats={"downtime": 210, "auto_converge_throttle": 40},
                  daemon={"Policy": "default", "Pages": 900, "Commands": 300,
                          "GuestLostUs": 700_000, "MaxThrottlePercent": 30,
                          "DowntimeUs": 205_000},
                  downtime_us=240_000, silence_us=260_000, work_lost_ms=1.0)
    return Result(**(values | changes))


class Record(unittest.TestCase):
    def test_fields(self):
        run = demo.record(GUESTS[0], CASES[1], result(), True)
        self.assertEqual(set(run), FIELDS)
        self.assertEqual((run["guest"], run["case"], run["policy"]), ("tiny", "default", "default"))
        self.assertEqual((run["total_ms"], run["downtime_ms"], run["downtime_qemu_ms"]),
                         (4500, 240, 205))
        self.assertEqual((run["guest_lost_ms"], run["pages_per_command"]), (700, 3))
        self.assertEqual(run["max_throttle"], 40)
        self.assertEqual(set(demo.failed(GUESTS[0], CASES[0])), FIELDS)

    def test_without_the_daemon_nothing_is_made_up(self):
        run = demo.record(GUESTS[0], CASES[1], result(daemon={}, stats={}, downtime_us=None),
                          True)
        for field in ("policy", "downtime_ms", "downtime_qemu_ms", "guest_lost_ms",
                      "pages_per_command"):
            self.assertIsNone(run[field], field)

    def test_unverified_is_not_verified(self):
        for verdict in (None, False):
            run = demo.record(GUESTS[0], CASES[1], result(), verdict)
            self.assertIs(run["memory_verified"], False)


class Verdict(unittest.TestCase):
    def runs(self):
        return [demo.record(guest, case, result(), True) for guest in GUESTS for case in CASES]

    def test_success_needs_every_run(self):
        self.assertTrue(demo.succeeded(self.runs()))
        self.assertFalse(demo.succeeded(self.runs()[1:]))
        for field in ("completed", "memory_verified"):
            runs = self.runs()
            runs[3][field] = False
            self.assertFalse(demo.succeeded(runs), field)

    def test_report_with_failed_runs(self):
        out = io.StringIO()
        runs = self.runs()[:5] + [demo.failed(GUESTS[1], CASES[2])]
        demo.report(runs, 10, "default", Console(out))
        self.assertIn("time scale", out.getvalue())
        self.assertIn("1.00 of the unsteered total time", out.getvalue())
        self.assertIn("NO", out.getvalue())


class Lines(unittest.TestCase):
    def test_table_columns(self):
        text = table(["a", "b", "c"], [["xx", "y", "1"], ["x", "yyy", "100"]]).splitlines()
        self.assertEqual(text, ["a   b      c", "--  ---  ---", "xx  y      1", "x   yyy  100"])


if __name__ == "__main__":
    unittest.main()
