# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lab bench ablation is told, and makes of what it measured; and how plots are told."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from bench import ablation, bench_sim, plot
from bench.ablation import CASES
from bench.plot import Curve, Plot


def row(case, total_ms, mib_s=2, scale=1, **more):
    return {"dirty_mib_s": mib_s, "case": case, "time_scale": scale, "total_ms": total_ms,
            "downtime_ms": 100.0, "guest_lost_ms": 200.0, "completed": True, **more}


class Cases(unittest.TestCase):
    def test_four_ways(self):
        self.assertEqual({(bool(without), ceiling > 0) for without, ceiling in CASES.values()},
                         {(True, False), (True, True), (False, False), (False, True)})

    def test_scenarios_are_valid(self):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "a.scenario"
            for scale in ablation.SCALES:
                path.write_text(ablation.scenario_text(2, scale, "batch"), encoding="utf-8")
                done = subprocess.run(
                    [bench_sim.CTL, "simulate", "--json", "--workload", path],
                    capture_output=True, text=True, check=False)
                self.assertEqual(done.stderr, "")
                ours = json.loads(done.stdout)[0]
                self.assertEqual(ours["max_throttle_percent"], 0)
                self.assertTrue(ours["completed"])


class Result(unittest.TestCase):
    def test_medians(self):
        rows = [row("both", total) for total in (3.0, 1.0, 9.0)]
        rows.append(row("both", 5.0, completed=False, scale=20))
        first, second = ablation.medians(rows)
        self.assertEqual((first["total_ms"], first["runs"], first["total_ms_range"]), (3.0, 3, [1.0, 9.0]))
        self.assertTrue(first["completed"])
        self.assertFalse(second["completed"])

    def test_table_marks_what_did_not_end(self):
        rows = [row(case, 1000.0, completed=case != "neither") for case in CASES]
        line = ablation.table(rows, 1)[-1]
        self.assertEqual((line.count("!"), line.split()[0]), (1, "2"))

    def test_a_plot_of_each_figure(self):
        plots = ablation.plots([row(case, 1000.0) for case in CASES], 1)
        self.assertEqual(sorted(plots), ["downtime-scale-1.svg", "lost-scale-1.svg", "total-scale-1.svg"])
        self.assertEqual([curve.points for curve in plots["total-scale-1.svg"].curves], [[(2, 1.0)]] * 4)


class Drawing(unittest.TestCase):
    def test_names_cannot_end_a_string(self):
        told = plot.script(Plot('a "b" \\', "x", "y", [Curve('c"; system("d', [(0, 1)])]), Path("o.svg"))
        self.assertIn('set title "a \\"b\\" \\\\" noenhanced', told)
        self.assertIn('title "c\\"; system(\\"d"', told)

    def test_a_file_is_drawn(self):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "a.svg"
            plot.draw(Plot("title", "x", "y", [Curve("one", [(0, 1), (1, 4)], steps=True)]), path)
            self.assertIn("title", path.read_text(encoding="utf-8"))

    def test_what_cannot_be_drawn(self):
        with self.assertRaisesRegex(RuntimeError, "cannot draw"):
            plot.draw(Plot("t", "x", "y", [Curve("none", [])]), Path("/nonexistent/a.svg"))


if __name__ == "__main__":
    unittest.main()
