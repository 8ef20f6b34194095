# SPDX-License-Identifier: LGPL-2.1-or-later
"""What lab bench real makes of its scenarios and of what it measured."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from bench import bench_sim, real
from bench.real import LARGEST, OURS, SCENARIOS, Scenario


def row(controller, batch, total_ms, downtime_ms, **more):
    return {"controller": controller, "batch": batch, "completed": True, "total_ms": total_ms,
            "first_pass_ms": 1000.0, "downtime_ms": downtime_ms, "downtime_goal_ms": 200.0,
            "qemu_downtime_ms": downtime_ms, "downtime_predicted_ms": downtime_ms + 20.0,
            "guest_lost_ms": 100.0, "pages_per_s": None, "busy": 0.5, "fixed_us": 9000, **more}


class Scenarios(unittest.TestCase):
    def test_there_are_enough(self):
        self.assertGreaterEqual(len(list(SCENARIOS.glob("*.scenario"))), 6)

    def test_the_simulation_takes_them_too(self):
        for path in SCENARIOS.glob("*.scenario"):
            with self.subTest(path.stem):
                result = subprocess.run(
                    [bench_sim.CTL, "simulate", "--json", "--workload", path],
                    capture_output=True, text=True, check=False)
                self.assertEqual(result.stderr, "")
                self.assertTrue(json.loads(result.stdout)[0]["completed"])

    def test_a_guest_is_what_the_scenario_says(self):
        paced = Scenario(SCENARIOS / "paced.scenario").load()
        self.assertIn("pattern=uniform ws=24 run=1", paced)
        self.assertIn("rate=15000", paced)
        scan = Scenario(SCENARIOS / "scan.scenario")
        self.assertIn("pattern=scan ws=48 run=8", scan.load())
        self.assertIn("rate=0 cost=33", scan.load())  # 30000 a second of its own time
        self.assertEqual(scan.time_scale, 10)
        self.assertEqual(scan.goal_ms, 200)

    def test_a_scale_keeps_what_a_guest_does_in_the_firmware_s_time(self):
        with tempfile.TemporaryDirectory() as directory:
            slow = Scenario(SCENARIOS / "busy.scenario").at_scale(2, Path(directory))
            self.assertEqual((slow.name, slow.time_scale, slow.goal_ms, slow.memory_mib), ("busy", 2, 1000, 96))
            self.assertIn("ws=24 run=1", slow.load())
            self.assertIn("rate=0 cost=83", slow.load())  # 12000 a second instead of 60000


class Comparison(unittest.TestCase):
    def compare(self, *rows):
        return real.compare(Scenario(SCENARIOS / "busy.scenario"), list(rows),
                            real.Constants(10.0, 0.0, 5.0, 0.05))

    def test_a_peer_counts_only_where_it_meets_the_goal(self):
        found = self.compare(row(OURS, "chosen", 2000.0, 100.0), row("none", "1", 1500.0, 201.0),
                             row("nova", "1", 4000.0, 150.0), row("nova", LARGEST, 3000.0, 150.0))
        self.assertEqual((found["best_peer"], found["total_vs_peer"]), ("nova", 0.5))
        self.assertEqual((found["best_batched_peer"], found["after_vs_peer"]), ("nova", 0.5))
        self.assertEqual(found["prediction_error"], 0)
        self.assertTrue(found["goal_met"])

    def test_without_a_peer_there_is_no_ratio(self):
        found = self.compare(row(OURS, "chosen", 2000.0, 300.0),
                             row("none", "1", 1500.0, 100.0, completed=False))
        self.assertIsNone(found["total_vs_peer"])
        self.assertFalse(found["goal_met"])

    def test_what_a_machine_adds_is_what_its_idle_guest_shows(self):
        idle = Scenario(SCENARIOS / "idle.scenario")  # 96 MiB, 100.3 us a page, half of it fixed
        rows = [row(OURS, "chosen", 2000.0, 30.0, qemu_downtime_ms=26.0, batch_pages=25,
                    fixed_us=fixed, first_pass_ms=1900.0, pages_per_s=100.0, busy=0.06)
                for fixed in (9000, 8000, 20000)]
        machine = real.constants(idle, rows)
        self.assertEqual((machine.device_ms, machine.outside_ms, machine.idle_busy), (9.0, 4.0, 0.06))
        model, *_ = real.simulate(idle, rows[0], machine)
        self.assertAlmostEqual(model["first_pass_ms"], 1900, delta=50)  # a turn of QEMU

    def test_the_model_is_told_what_the_machine_adds(self):
        def model(**more):
            machine = real.Constants(**{"device_ms": 5.0, "outside_ms": 0.0, "extra_us": 0.0, "idle_busy": 0.0, **more})
            return real.simulated(Scenario(SCENARIOS / "busy.scenario"),
                                  row(OURS, "chosen", 1.0, 1.0, pages_per_s=60000.0), machine)
        plain = model()
        self.assertAlmostEqual(model(outside_ms=50.0)["downtime_ms"] - plain["downtime_ms"], 50, delta=1)
        self.assertGreater(model(extra_us=20.0)["total_ms"], 1.2 * plain["total_ms"])

    def test_the_model_s_guest_writes_at_the_pace_that_was_seen(self):
        def lost_ms(pace):
            scan = row(OURS, "chosen", 1.0, 1.0, pages_per_s=pace)
            rows = real.simulate(Scenario(SCENARIOS / "wide.scenario"), scan, real.Constants(5.0, 0.0, 0.0, 0.0))
            return rows[0]["guest_lost_ms"]
        self.assertLess(lost_ms(15000.0), 0.95 * lost_ms(30000.0))

    def test_the_model_is_as_busy_as_the_guest_was(self):
        """Of one that sleeps between its writes more must be withheld before it writes less."""
        def lost_ms(busy):
            paced = row(OURS, "chosen", 1.0, 1.0, pages_per_s=15000.0, busy=busy)
            return real.simulated(Scenario(SCENARIOS / "paced.scenario"), paced,
                                  real.Constants(5.0, 0.0, 0.0, 0.0))["guest_lost_ms"]
        self.assertGreater(lost_ms(0.1), 1.1 * lost_ms(0.8))

    def test_what_an_idle_guest_uses_writes_nothing(self):
        """A throttle that leaves less than was used may leave all that writing needs: it takes longer."""
        def lost_ms(idle_busy):
            paced = row(OURS, "chosen", 1.0, 1.0, pages_per_s=15000.0, busy=0.5)
            ran, *_ = real.simulate(Scenario(SCENARIOS / "paced.scenario"), paced,
                                    real.Constants(5.0, 0.0, 0.0, idle_busy))
            return ran["guest_lost_ms"]
        self.assertGreater(lost_ms(0.45), 1.3 * lost_ms(0.0))

    def test_peers_without_a_clock_are_held_against_the_model(self):
        paced = {"pages_per_s": 15000.0, "busy": 0.4}
        rows = [row(OURS, "chosen", 2000.0, 50.0, **paced), row("none", LARGEST, 2000.0, 200.0, **paced),
                row("none", "1", 15000.0, 0.0, completed=False, **paced),
                row("nova", LARGEST, 2000.0, 200.0, **paced)]
        found = real.peers_errors(Scenario(SCENARIOS / "paced.scenario"), rows, real.Constants(3.3, 2.4, 4.0, 0.05))
        self.assertEqual(list(found), ["none largest"])
        self.assertEqual(list(found["none largest"]), ["total_ms", "downtime_ms", "guest_lost_ms"])
        self.assertLess(found["none largest"]["total_ms"], 0.2)

    def test_a_migration_that_failed_once_has_not_completed(self):
        rows = [row("none", "1", total, 50.0, completed=total < 3000) for total in (1e3, 2e3, 4e3)]
        median = real.median_row(rows)
        self.assertFalse(median["completed"])
        self.assertEqual((median["total_ms"], median["spread_total_ms"]), (2e3, [1e3, 4e3]))


if __name__ == "__main__":
    unittest.main()
