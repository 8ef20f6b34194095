# SPDX-License-Identifier: LGPL-2.1-or-later
"""Batches and throttle, each without the other, in real migrations of guests that write ever more.

The comparison on which sevmig rests: the same law with neither, with batches alone, with the throttle
alone, and with both. A goal that cannot be kept is relaxed as the policy says, so that every
migration ends, and shows how long it stops the guest. Plots go where -o says.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from lab.console import Console

from . import ablation
from .ablation import CASES, RATES_MIB_S, SCALES
from .bench_real import Steering, measure_one
from .plot import draw
from .real import OURS, Scenario
from .runner import run_whole, whole_parser

LIMIT_S = 300


def measure_case(directory: Path, mib_s: float, scale: int, case: str) -> dict:
    path = directory / "ablation.scenario"
    path.write_text(ablation.scenario_text(mib_s, scale, case), encoding="utf-8")
    row = measure_one(Scenario(path), Steering(OURS, without=CASES[case][0], limit_s=LIMIT_S))
    return {"dirty_mib_s": mib_s * scale, "case": case, "time_scale": scale,
            **{key: row[key] for key in ("total_ms", "downtime_ms", "guest_lost_ms", "completed",
                                         "pages_per_s")}}


def measure(options, console: Console) -> dict:
    rows = []
    scales = [options.scale] if options.scale else SCALES
    with tempfile.TemporaryDirectory(prefix="sevmig-") as name:
        for run in range(options.runs):
            for scale in scales:
                for mib_s in RATES_MIB_S:
                    for case in CASES:
                        console.status(f"run {run + 1} of {options.runs}, time scale {scale}, "
                                       f"{mib_s * scale:g} MiB/s, {case}")
                        rows.append(measure_case(Path(name), mib_s, scale, case))
    result = ablation.medians(rows)
    for scale in scales:
        for line in ["", *ablation.table(result, scale)]:
            console.line(line)
        for file, plot in ablation.plots(result, scale).items():
            if options.output:
                options.output.mkdir(parents=True, exist_ok=True)
                draw(plot, options.output / file)
    return {"runs": options.runs, "guest_mib": ablation.GUEST_MIB,
            "working_set_mib": ablation.WORKING_SET_MIB,
            "goal_ms": {str(scale): ablation.GOAL_MS[scale] for scale in scales}, "rows": result}


def main(arguments, check):
    parser = whole_parser("ablation", __doc__)
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="draw plots there, as SVG")
    parser.add_argument("--scale", type=int, choices=SCALES, help="one time scale only")
    return run_whole(measure, parser, arguments, check)
