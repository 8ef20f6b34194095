# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that leave a host together, with turns at its firmware and without.

serial_bound_ms is the sum of the firmware's time that the same guests take when each leaves alone:
the firmware does one thing at a time, and a guest that has it for itself has the shortest passes and
so the least to send again. It bounds orders of sending, not controllers: one that throttles more
sends less, and can end below it. No migration of any kind ends below every_page_once_ms (simulation):
each private page encrypted once, in the largest submissions allowed.

A fleet that is not done after the sum of all its guests' limits is given up, and its makespan is that
time; completed_ratio tells. Without turns each migration is steered by the same controller, which knows nothing of the others.
goals_met_ratio is over the guests that meet their goals alone.
"""

from __future__ import annotations

import os
import statistics

from lab.console import Console

from .bench_sim import in_parallel, measure_with, show
from .runner import run_whole, whole_parser

SIM_N = (2, 4, 8, 16, 32)
BOUNDS = ("serial_bound_ms", "every_page_once_ms")
FIGURES = ("makespan_ms", "mean_completion_ms", "goals_met_ratio", "guest_lost_ms", "longest_firmware_wait_ms",
           "completed_ratio")
WAYS = ("arbitrated", "uncoordinated")
AIMS = {"sim": 1.05, "lab": 1.15}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def summed_up(place, n, rows):
    """The figures of one n; `rows`: of each way, one for each run."""
    result = {"place": place, "n": n}
    for key in BOUNDS:
        if key in rows[WAYS[0]][0]:
            result[key] = spread([row[key] for row in rows[WAYS[0]]])
    for way in WAYS:
        result[way] = {key: spread([row[key] for row in rows[way]]) for key in FIGURES}
        result[way]["makespan_over_bound"] = spread(
            [row["makespan_ms"] / row["serial_bound_ms"] for row in rows[way]])
    return result


def show_place(console, entry):
    console.line(f"{entry['place']} {entry['n']:2} guests, serial bound "
                 f"{entry['serial_bound_ms']['median'] / 1e3:.1f} s")
    for way in WAYS:
        f = {key: value["median"] for key, value in entry[way].items()}
        console.line(f"  {way:13} makespan {f['makespan_ms'] / 1e3:9.1f} s ({show(f['makespan_over_bound'])} of the "
                     f"bound)  mean {f['mean_completion_ms'] / 1e3:8.1f} s  completed {f['completed_ratio']:.2f}  goals met {f['goals_met_ratio']:.2f}  "
                     f"lost {f['guest_lost_ms'] / 1e3:9.1f} s  longest wait {f['longest_firmware_wait_ms']:6.1f} ms")


def simulate(options, _console):
    seeds = range(options.seed, options.seed + options.runs)
    calls = [["fleet", n, seed, turns] for n in reversed(SIM_N) for seed in seeds for turns in (0, 1)]
    rows = in_parallel("fleets in simulation", lambda *call: [(call[3], row) for row in measure_with(*call)], calls)
    for n in SIM_N:
        yield summed_up("sim", n, {
            way: sorted((row for turns, row in rows if row["n"] == n and turns == (way == WAYS[0])),
                        key=lambda row: row["seed"]) for way in WAYS})


def on_hosts(options, console):
    from . import evacuate_lab  # needs the hosts

    for n in evacuate_lab.LAB_N:
        rows = {way: [] for way in WAYS}
        for run in range(options.runs):
            console.status(f"lab: {n} guests, run {run + 1} of {options.runs}")
            for way, row in evacuate_lab.measure(n).items():
                rows[way].append(row)
        yield summed_up("lab", n, rows)


def measure(options, console: Console) -> dict:
    entries = []
    for place, function in (("sim", simulate), ("lab", on_hosts)):
        if options.only in (None, place):
            for entry in function(options, console):
                show_place(console, entry)
                entries.append(entry)
    for place, aim in AIMS.items():
        ratios = [e[WAYS[0]]["makespan_over_bound"]["median"] for e in entries if e["place"] == place]
        if ratios:
            console.line(f"{place}: makespan over the serial bound, arbitrated, at most {max(ratios):.3f} (aim {aim})")
    return {"runs": options.runs, "seed": options.seed, "time_scale": {
        "sim": 1, "lab": int(os.environ.get("SEVMIG_TIME_SCALE", "10"))}, "cost_split": 0.5, "fleets": entries}


def main(arguments, check):
    parser = whole_parser("evacuate", __doc__, "default 3; each has guests of its own in simulation")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="of the first run's guests, default 7")
    parser.add_argument("--only", choices=("sim", "lab"), help="not both")
    return run_whole(measure, parser, arguments, check)
