# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plots of docs/control, from the simulation: `lab bench curves -o docs/control` draws them anew."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from .bench_sim import CTL, SCENARIOS, in_parallel, measure_with, run
from .plot import Curve, Plot, draw

PAGES_PER_MIB = 256
LEAST_MIB = 0.1  # a logarithm needs some
TIME_LINE_S = 420  # what takes longer is cut there
POINTS_MOST = 400


def scenario(name: str) -> Path:
    return SCENARIOS / f"{name}.scenario"


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Not more than are seen, the last one included."""
    step = max(1, len(points) // POINTS_MOST)
    return points[::step] + points[-1:] if points else []


def simulate(name: str, *options: str) -> list[dict]:
    return json.loads(run(CTL, "simulate", "--json", "--workload", scenario(name), *options))


def dirty_curve() -> Plot:
    names = {"uniform-f5": "uniform, 128 MiB", "zipf-f5": "Zipf 1.1, 512 MiB",
             "scan-f5": "scan, 256 MiB", "idle-f5": "idle, 8 MiB"}
    curves = []
    for name, label in names.items():
        rows = measure_with("curve", scenario(name))
        curves.append(Curve(label, [(row["guest_us"] / 1e6, max(row["pages"], 1)) for row in rows]))
    return Plot("What a guest dirties in a time of running", "guest time, s", "distinct pages", curves,
                log_y=True, more=["set logscale x"])


def response_point(name: str, percent: int) -> list[dict]:
    """Where the passes come down to if that much throttle is allowed."""
    row = simulate(name, "--set", f"policy.ceiling-percent={percent}", "--set", "policy.downtime-ms=60",
                   "--set", "policy.downtime-max-ms=120000")[0]
    return [{"name": name, "percent": percent, "downtime_ms": row["downtime_us"] / 1e3}]


def throttle_response() -> Plot:
    names = {"uniform-f5": "as fast as it can", "paced-f5": "paced, busy 15 %",
             "unresponsive-f5": "a device writes"}
    percents = (*range(0, 95, 10), 95, 98)
    rows = in_parallel("throttles", response_point,
                       [(name, percent) for name in names for percent in percents])
    return Plot("How short a stop a throttle reaches", "highest throttle allowed, %", "downtime, ms",
                [Curve(label, sorted((row["percent"], row["downtime_ms"]) for row in rows
                                     if row["name"] == name)) for name, label in names.items()],
                log_y=True)


COURSES = (("sevmig", 0), ("auto-converge", 1), *((peer, 7) for peer in (
    "none", "auto-converge", "nova", "ovirt-minimal", "ovirt-suspend", "kubevirt", "kubevirt-stall",
    "proxmox", "cloud-hypervisor")))


def course(controller: str, batch: int) -> list[dict]:
    rows = measure_with("course", scenario("uniform-f5"), controller, batch)
    return [{"controller": controller, "batch": batch, "samples": [r for r in rows if "at_us" in r],
             "end": rows[-1]}]


def time_lines() -> dict[str, Plot]:
    runs = in_parallel("time lines", course, COURSES)
    throttled = [r for r in runs if any(s["throttle_percent"] > 0 for s in r["samples"])]

    def curves(value: Callable[[dict], float], steps: bool, runs: list[dict]) -> list[Curve]:
        return [Curve(f"{r['controller']}" + (f", batch {r['batch']}" if r["batch"] else ""), thinned(
            [(s["at_us"] / 1e6 - 1, value(s)) for s in r["samples"]
             if s["at_us"] / 1e6 - 1 < TIME_LINE_S]), steps) for r in runs]
    where = "a guest that writes 128 MiB at random, f = 0.5"
    return {
        "time-line-remaining.svg": Plot(f"What remains ({where})", "s", "MiB", curves(
            lambda s: max(s["remaining_pages"] / PAGES_PER_MIB, LEAST_MIB), False, runs), log_y=True),
        "time-line-throttle.svg": Plot(f"Throttle ({where})", "s", "%", curves(
            lambda s: s["throttle_percent"], True, throttled), more=["set yrange [0:100]"]),
    }


def sweep_point(tenths: int) -> list[dict]:
    rows = simulate("uniform-f5", "--compare", "--set", f"firmware.fixed-share={tenths / 10}")
    return [{**row, "f": tenths / 10} for row in rows]


def sweep() -> Plot:
    rows = in_parallel("cost splits", sweep_point, [(tenths,) for tenths in range(1, 10)])
    kinds = {("sevmig", "chosen"): "sevmig", ("oracle", "chosen"): "best possible",
             ("auto-converge", "1"): "auto-converge, batch 1",
             ("auto-converge", "largest"): "auto-converge, our batch"}
    return Plot("Total time by how much of a lone page's cost is fixed", "f", "s", [
        Curve(label, [(row["f"], row["total_us"] / 1e6) for row in rows
                      if (row["controller"], row["batch"]) == kind and row["completed"]])
        for kind, label in kinds.items()])


def measure(output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    plots = {"dirty-curve.svg": dirty_curve(), "throttle-response.svg": throttle_response(),
             **time_lines(), "sweep-f.svg": sweep()}
    for name, plot in plots.items():
        draw(plot, output / name)
        print(f"{name}: {plot.title}")


def main(arguments, check):
    parser = argparse.ArgumentParser(prog="lab bench curves", description=__doc__.splitlines()[0],
                                     allow_abbrev=False)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="draw there")
    options = parser.parse_args(arguments)
    if check:
        return 0
    if not options.output:
        parser.error("-o DIR says where the plots go")
    try:
        measure(options.output)
    except RuntimeError as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1
    return 0
