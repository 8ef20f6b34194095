# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cases of lab bench ablation, and what is made of what it measured. Pure."""

from __future__ import annotations

import statistics

from .plot import Curve, Plot
from .theory import PAGE_US

# Throttle alone: one page a submission. Batches alone: the policy allows no throttle.
CASES = {"neither": (("batch",), 0), "batch": ((), 0), "throttle": (("batch",), 95), "both": ((), 95)}
# What the guest writes at time scale 1, in MiB a second; the firmware encrypts some 4 there.
RATES_MIB_S = (0.5, 1, 2, 3, 4, 6)
SCALES = (1, 20)
GUEST_MIB, WORKING_SET_MIB = 32, 16
PAGES_PER_MIB = 256
LIMIT_S = 300
GOAL_MS = {1: 300, 20: 100}
GOAL_MOST_MS = 20000  # whatever it takes

SCENARIO = """\
[guest]
memory-mib={memory}

[load]
pattern=uniform
working-set-mib={working_set}
writes-per-s={rate:.0f}
pace=paced

[firmware]
page-us={page_us:.4f}
fixed-share=0.5

[policy]
downtime-ms={goal}
downtime-max-ms={most}
ceiling-percent={ceiling}
"""


def scenario_text(mib_s: float, scale: int, case: str) -> str:
    """A guest that writes so much at time scale 1, as a scenario of the simulation."""
    return SCENARIO.format(
        memory=GUEST_MIB, working_set=WORKING_SET_MIB, rate=mib_s * scale * PAGES_PER_MIB,
        page_us=PAGE_US / scale, goal=GOAL_MS[scale], most=GOAL_MOST_MS, ceiling=CASES[case][1])


def medians(rows: list[dict]) -> list[dict]:
    """Of the runs of each case; with how far they lie apart."""
    groups: dict[tuple, list[dict]] = {}
    for row in rows:
        groups.setdefault((row["time_scale"], row["dirty_mib_s"], row["case"]), []).append(row)
    return [{"dirty_mib_s": mib_s, "case": case, "time_scale": scale, "runs": len(group),
             "completed": all(r["completed"] for r in group),
             **{key: statistics.median(r[key] for r in group)
                for key in ("total_ms", "downtime_ms", "guest_lost_ms")},
             **{f"{key}_range": [min(r[key] for r in group), max(r[key] for r in group)]
                for key in ("total_ms", "downtime_ms")}}
            for (scale, mib_s, case), group in groups.items()]


def plots(rows: list[dict], scale: int) -> dict[str, Plot]:
    """By the name of their file."""
    conditions = f"time scale {scale}, goal {GOAL_MS[scale]} ms"
    whats = {"total": ("total_ms", "total time", "s", 1e3, False),
             "downtime": ("downtime_ms", "downtime", "ms", 1, True),
             "lost": ("guest_lost_ms", "guest time lost", "s", 1e3, False)}
    return {f"{name}-scale-{scale}.svg": Plot(
        f"{what} ({conditions})", "what the guest writes, MiB/s", f"{what}, {unit}",
        [Curve(case, [(r["dirty_mib_s"], r[key] / divisor) for r in rows
                      if r["case"] == case and r["time_scale"] == scale]) for case in CASES],
        log_y=log) for name, (key, what, unit, divisor, log) in whats.items()}


def table(rows: list[dict], scale: int) -> list[str]:
    """Lines of text: total time, downtime and guest time lost of each case."""
    lines = [f"time scale {scale}, goal {GOAL_MS[scale]} ms: total time s / downtime ms / guest time "
             "lost s", f"{'MiB/s':>6} " + " ".join(f"{case:^24}" for case in CASES)]
    for mib_s in dict.fromkeys(r["dirty_mib_s"] for r in rows if r["time_scale"] == scale):
        cells = []
        for case in CASES:
            row = next(r for r in rows if (r["time_scale"], r["dirty_mib_s"], r["case"])
                       == (scale, mib_s, case))
            cells.append(f"{row['total_ms'] / 1e3:7.1f} /{row['downtime_ms']:6.0f} /"
                         f"{row['guest_lost_ms'] / 1e3:6.2f}" + (" " if row["completed"] else "!"))
        lines.append(f"{mib_s:6g} " + " ".join(cells))
    return lines
