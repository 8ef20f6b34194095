# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bulk passes: is the firmware ever idle, and what are batches worth?"""

from __future__ import annotations

from typing import Any

from . import theory, window
from .figures import Figures
from .rig import Rig, still_guest, tune
from .runner import Bench, Part

SPLIT = 0.5
SPLITS = {"f02": 0.2, "f05": 0.5, "f08": 0.8}
MAX_BATCH = 1024  # asserted against QEMU's limit in each run
# Small batches first: a large one takes a while to pass through, and what follows waits for it.
CASES = ((1, 0.2), (1, 0.5), (1, 0.8), (4, 0.5), (64, 0.5),
         (MAX_BATCH, 0.2), (MAX_BATCH, 0.5), (MAX_BATCH, 0.8))
# Time scale: least seconds of a window, RAM that is enough for all windows
SCALES = {1: (1.5, 256), 20: (0.6, 1024)}


def rate_name(scale: int, split: float, batch: int) -> str:
    return f"rate over the model's, scale {scale}, f {split:g}, batch {batch}"


def speedup_name(scale: int, split: float) -> str:
    return f"batch {MAX_BATCH} over batch 1, scale {scale}, f {split:g}"


def bulk_run(bench: Bench, scale: int) -> None:
    least_s, ram_mib = SCALES[scale]
    with Rig() as rig:
        src, dst = rig.pair(still_guest(ram_mib), time_scale=scale)
        rig.migrate(src, dst)
        limits = src.qmp.cmd("x-query-sev-migration")["limits"]
        if limits["max-batch-pages"] != MAX_BATCH:
            raise ValueError(f"the largest batch is {limits['max-batch-pages']}, not {MAX_BATCH}")
        rates = {}
        for batch, split in CASES:
            bench.progress(f"scale {scale}, f {split:g}, batch {batch}")
            submission_s = theory.submission_us(batch, split, scale) / 1e6
            tune(src, batch_pages=batch)
            rig.set_cost(src, dst, cost_split=split)
            for qemu in src, dst:
                window.settle(qemu.psp, batch, submission_s)
            seen = window.measure(src.psp, submission_s, least_s)
            rates[batch, split] = seen.pages_per_s
            bench.figures.add(rate_name(scale, split, batch), seen.pages_per_s /
                              theory.pages_per_s(batch, split, scale), "", scale, split)
            bench.figures.add(f"firmware busy, scale {scale}, f {split:g}, batch {batch}",
                              seen.busy, "", scale, split)
        for split in SPLITS.values():
            bench.figures.add(speedup_name(scale, split), rates[MAX_BATCH, split] /
                              rates[1, split], "times", scale, split)


def run(bench: Bench) -> None:
    for _ in bench.runs():
        for scale in SCALES:
            bulk_run(bench, scale)


def summary_at(figures: Figures, scale: int) -> dict[str, Any]:
    return {
        "bulk_line_rate_ratio": round(min(
            figures[rate_name(scale, SPLIT, batch)].median
            for batch, split in CASES if split == SPLIT), 4),
        "batch_speedup": {key: {
            "measured": round(figures[speedup_name(scale, split)].median, 4),
            "theory": round(theory.speedup(MAX_BATCH, split), 4),
        } for key, split in SPLITS.items()},
    }


def summary(figures: Figures) -> dict[str, Any]:
    """At the firmware's real pace; and 20 times as fast, where QEMU and swpsp must keep up with a
    submission each 50 microseconds, encryption included."""
    return {**summary_at(figures, 1), "at_scale_20": summary_at(figures, 20)}


PART = Part("bulk", "pages a second in a bulk pass against the cost model's maximum, and the "
            "speed-up by batches", ("bulk_line_rate_ratio", "batch_speedup"), run, summary)
