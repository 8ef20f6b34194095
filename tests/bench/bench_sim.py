# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every scenario of tests/simulation/scenarios under our controller, the oracle and the peers.

Peers run twice: as they ship (one page a submission) and given the batch ours ended with. A peer
counts in a scenario where it completes and meets the downtime goal.
"""

import argparse
import concurrent.futures
import configparser
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

from lab.console import Console

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SEVMIG_BUILD", TOP / "build"))
CTL = BUILD / "plugin/plugin/cli/sevmigctl"
MEASURE = BUILD / "plugin/tests/simulation/sevmig-simulation-measure"
SCENARIOS = TOP / "tests/simulation/scenarios"
PREDICTED = "downtime_predicted_ms"
TIME_WORTH = 0.1  # as the oracle weighs total time against guest time lost
LEAST_MS = 100  # one tick: what is shorter on both sides is no difference


# What sevmigctl calls it, in microseconds, and what it is called here.
TIMES = {
    "total_us": "total_ms", "first_pass_us": "first_pass_ms", "downtime_us": "downtime_ms",
    "asked_downtime_goal_us": "downtime_goal_ms", "predicted_downtime_us": PREDICTED,
    "guest_lost_us": "guest_lost_ms", "longest_stun_us": "longest_stun_ms", "longest_hold_us": "longest_hold_ms",
}
OTHERS = {
    "workload": "scenario", "controller": "controller", "batch": "batch", "completed": "completed",
    "max_throttle_percent": "throttle_percent", "batch_pages": "batch_pages", "sent_bytes": "bytes",
}


def run(program, *arguments):
    """What a program prints; its status 1 means that it found something."""
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1) or result.stderr:
        raise RuntimeError(f"{program.name} failed: {result.stderr.strip() or result.returncode}")
    return result.stdout


def simulate(path):
    """A scenario under every controller."""
    rows = json.loads(run(CTL, "simulate", "--json", "--compare", "--workload", path))
    return [{name: row[key] / 1e3 for key, name in TIMES.items()}
            | {name: row[key] for key, name in OTHERS.items()} for row in rows]


def measure_with(*arguments):
    """The rows of the tests' own program."""
    return [json.loads(line) for line in run(MEASURE, *arguments).splitlines()]


def in_parallel(what, function, calls):
    """The rows of all calls, in their order."""
    console = Console()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(function, *call) for call in calls]
        for n, _ in enumerate(concurrent.futures.as_completed(futures)):
            console.status(f"{what}: {n + 1} of {len(calls)}")
    console.clear()
    return [row for future in futures for row in future.result()]


def meets(row):
    return row["completed"] and row["downtime_ms"] <= row["downtime_goal_ms"]


def after_first_pass_ms(row):
    return row["total_ms"] - row["first_pass_ms"]


def cost_ms(row):
    """What the oracle optimises: of this alone it is a bound, not of either part."""
    return row["guest_lost_ms"] + TIME_WORTH * row["total_ms"]


def geomean(ratios):
    return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None


def ratio(ours, theirs):
    return max(ours, LEAST_MS) / max(theirs, LEAST_MS)


class Scenario:
    """The rows of one scenario, and how ours compares with the best of the others."""

    def __init__(self, name, rows):
        self.name = name
        self.rows = rows
        self.ours = next(row for row in rows if row["controller"] == "sevmig")
        self.oracle = next(row for row in rows if row["controller"] == "oracle")

    def best_peer(self, batch, key):
        """The least by `key` among the peers with that batch that meet the goal, or None."""
        good = [row for row in self.rows
                if row["controller"] not in ("sevmig", "oracle") and row["batch"] == batch and meets(row)]
        return min(good, key=key, default=None)

    def comparison(self):
        shipped = self.best_peer("1", lambda row: row["total_ms"])
        batched = self.best_peer("largest", after_first_pass_ms)
        return {
            "goal_met": meets(self.ours),
            "oracle_meets": meets(self.oracle),
            "total_vs_peer": shipped and ratio(self.ours["total_ms"], shipped["total_ms"]),
            "after_vs_peer": batched and ratio(after_first_pass_ms(self.ours), after_first_pass_ms(batched)),
            "lost_vs_peer": batched and ratio(self.ours["guest_lost_ms"], batched["guest_lost_ms"]),
            "total_vs_oracle": meets(self.oracle) and ratio(self.ours["total_ms"], self.oracle["total_ms"]) or None,
            "lost_vs_oracle":
                meets(self.oracle) and ratio(self.ours["guest_lost_ms"], self.oracle["guest_lost_ms"]) or None,
            "cost_vs_oracle": meets(self.oracle) and ratio(cost_ms(self.ours), cost_ms(self.oracle)) or None,
            "prediction_error": self.ours["completed"] and self.ours[PREDICTED] > 0
                and abs(self.ours[PREDICTED] - self.ours["downtime_ms"]) / self.ours["downtime_ms"] or None,
            "best_peer": shipped and shipped["controller"],
            "best_batched_peer": batched and batched["controller"],
        }


def summary(comparisons):
    def all_of(key):
        return [c[key] for c in comparisons.values() if c[key] is not None]

    possible = [c for c in comparisons.values() if c["oracle_meets"]]
    errors = all_of("prediction_error")
    return {
        "goal_met_ratio": sum(c["goal_met"] for c in possible) / len(possible) if possible else None,
        "total_vs_best_peer_geomean": geomean(all_of("total_vs_peer")),
        "total_vs_best_peer_worst": max(all_of("total_vs_peer"), default=None),
        "after_first_pass_vs_best_peer_geomean": geomean(all_of("after_vs_peer")),
        "after_first_pass_vs_best_peer_worst": max(all_of("after_vs_peer"), default=None),
        "lost_vs_best_peer_geomean": geomean(all_of("lost_vs_peer")),
        "total_vs_oracle_geomean": geomean(all_of("total_vs_oracle")),
        "lost_vs_oracle_geomean": geomean(all_of("lost_vs_oracle")),
        "cost_vs_oracle_geomean": geomean(all_of("cost_vs_oracle")),
        "cost_vs_oracle_worst": max(all_of("cost_vs_oracle"), default=None),
        "downtime_prediction_error_median": statistics.median(errors) if errors else None,
        "downtime_prediction_error_worst": max(errors, default=None),
    }


def show(value):
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def print_tables(scenarios, comparisons):
    heads = ("total", "after", "lost", "total", "lost", "cost", "pred.")
    print(f"{'':22} {'total s':>9} {'down ms':>8} {'goal':>6} {'lost s':>8}  "
          f"{'against peers':^20} {'the oracle':^20}  error")
    print(f"{'scenario':22} {'':9} {'':8} {'':6} {'':8}  " + " ".join(f"{head:>6}" for head in heads))
    for scenario in scenarios:
        ours, c = scenario.ours, comparisons[scenario.name]
        figures = (c["total_vs_peer"], c["after_vs_peer"], c["lost_vs_peer"], c["total_vs_oracle"],
                   c["lost_vs_oracle"], c["cost_vs_oracle"], c["prediction_error"])
        missed = "" if c["goal_met"] else " goal missed" if c["oracle_meets"] else " (oracle misses it too)"
        print(f"{scenario.name:22} {ours['total_ms'] / 1e3:9.1f} {ours['downtime_ms']:8.0f} "
              f"{ours['downtime_goal_ms']:6.0f} {ours['guest_lost_ms'] / 1e3:8.1f}  "
              + " ".join(f"{show(figure):>6}" for figure in figures) + missed)


def scenario_files(directory, text):
    """Those with that text in their names."""
    files = sorted(path for path in directory.glob("*.scenario") if text in path.stem)
    if not files:
        raise RuntimeError(f"no scenario has '{text}' in its name")
    return files


def memory_mib(path):
    keys = configparser.ConfigParser()
    keys.read(path)
    return keys.getint("guest", "memory-mib", fallback=0)


def measure(options):
    files = scenario_files(SCENARIOS, options.only)
    by_size = sorted(files, key=memory_mib, reverse=True)  # the largest takes as long as all others
    rows = in_parallel("scenarios", simulate, [[path] for path in by_size])
    steps = in_parallel("decisions timed", measure_with, [["steps", path] for path in files])
    scenarios = [Scenario(path.stem, [row for row in rows if row["scenario"] == path.stem]) for path in files]
    comparisons = {scenario.name: scenario.comparison() for scenario in scenarios}
    result = summary(comparisons)
    result["step_ns_p50"] = statistics.median(row["step_ns_p50"] for row in steps)
    result["step_ns_p99"] = max(row["step_ns_p99"] for row in steps)
    print_tables(scenarios, comparisons)
    print()
    for key, value in result.items():
        print(f"{key:40} {show(value)}")
    return {"rows": rows, "comparisons": comparisons, "summary": result}


def measure_random(options):
    """Random scenarios, in parts so that every core works; the worst are named by their seed."""
    part = max(1, math.ceil(options.random / (8 * os.cpu_count())))
    calls = [["random", min(part, options.random - i), options.seed + i] for i in range(0, options.random, part)]
    problems = in_parallel(f"parts of {part}", measure_with, calls)
    for row in problems:
        print(f"seed {row['seed']}: {row['problem']}")
    print(f"{options.random} random scenarios from seed {options.seed}: {len(problems)} with a problem")
    return {"random": options.random, "seed": options.seed, "problems": problems}


def without_part(rows, part):
    """What it costs to leave a part out: over the scenarios where the whole law and what is left of it
    both meet the goal, and how many goals it costs."""
    whole = {row["scenario"]: row for row in rows if row["without"] == "nothing"}
    left = [row for row in rows if row["without"] == part]
    both = [(row, whole[row["scenario"]]) for row in left if meets(row) and meets(whole[row["scenario"]])]
    costs = {row["scenario"]: ratio(cost_ms(row), cost_ms(ours)) for row, ours in both}
    worst = max(costs, key=costs.get, default=None)
    return {
        "total_geomean": geomean([ratio(row["total_ms"], ours["total_ms"]) for row, ours in both]),
        "lost_geomean": geomean([ratio(row["guest_lost_ms"], ours["guest_lost_ms"]) for row, ours in both]),
        "cost_geomean": geomean(list(costs.values())),
        "cost_worst": costs.get(worst), "cost_worst_in": worst,
        "goals_lost": sum(meets(whole[row["scenario"]]) and not meets(row) for row in left),
        "goals_won": sum(meets(row) and not meets(whole[row["scenario"]]) for row in left),
    }


def measure_ablation(options):
    """Each part of the law left out, one at a time."""
    files = scenario_files(SCENARIOS, options.only)
    rows = in_parallel("scenarios", measure_with, [["without", path] for path in files])
    parts = {part: without_part(rows, part)
             for part in dict.fromkeys(row["without"] for row in rows) if part != "nothing"}
    print(f"{len(files)} scenarios; without a part, over the whole law:")
    print(f"{'part':8} {'total':>6} {'lost':>6} {'cost':>6} {'worst':>6}  {'in':18} {'goals lost, won':>16}")
    for part, row in parts.items():
        print(f"{part:8} {show(row['total_geomean']):>6} {show(row['lost_geomean']):>6} "
              f"{show(row['cost_geomean']):>6} {show(row['cost_worst']):>6}  {row['cost_worst_in'] or '-':18} "
              f"{row['goals_lost']:>8}, {row['goals_won']}")
    return {"ablation": parts, "rows": rows}


def main(arguments, check):
    parser = argparse.ArgumentParser(prog="lab bench sim", description=__doc__.splitlines()[0],
                                     allow_abbrev=False)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios with that in their name")
    parser.add_argument("--random", type=int, metavar="N", help="so many random scenarios instead")
    parser.add_argument("--ablation", action="store_true", help="what each part of the law is worth instead")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="the first one's seed")
    options = parser.parse_args(arguments)
    if options.random is not None and options.random < 1:
        parser.error("--random must be 1 or more")
    if check:
        return 0
    try:
        kind = measure_random if options.random else measure_ablation if options.ablation else measure
        result = kind(options)
    except RuntimeError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if result.get("problems") else 0
