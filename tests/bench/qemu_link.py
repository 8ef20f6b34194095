# SPDX-License-Identifier: LGPL-2.1-or-later
"""The link: does encrypting overlap sending, and what is left when the firmware costs nothing?"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from . import theory, window
from .figures import Figures
from .rig import Link, Rig, now_us, query, still_guest, tune
from .runner import Bench, Part

SCALE, SPLIT, BATCH = 10, 0.5, 64
OVERLAP_MIB = 768
WINDOW_S = 1.5
SETTLE_S = 0.5

# What is measured alone and together: is the firmware slow, is the link?
CASES = {"firmware alone": (True, False), "link alone": (False, True), "both": (True, True)}

PLAIN = "plain QEMU"
NOISE_MIB = 256
ZERO_COST_BATCHES = (4, 64, 1024)


def overlap_run(bench: Bench) -> None:
    model_rate = theory.pages_per_s(BATCH, SPLIT, SCALE)
    link, rates = Link(), {}
    with Rig() as rig:
        src, dst = rig.pair(still_guest(OVERLAP_MIB), time_scale=SCALE)
        rig.migrate(src, dst, link)
        tune(src, batch_pages=BATCH)
        time.sleep(SETTLE_S)
        sent = query(src)["send"]
        link_bytes_per_s = model_rate * sent["bytes"] / sent["pages"]
        for case, (slow_firmware, slow_link) in CASES.items():
            link.bytes_per_s = link_bytes_per_s if slow_link else None
            rig.set_cost(src, dst, page_cost_us=theory.PAGE_US if slow_firmware else 0)
            tune(src)
            time.sleep(SETTLE_S)
            seen = window.measure(src.psp, BATCH / model_rate, WINDOW_S)
            rates[case] = seen.pages_per_s
            bench.figures.add(case, seen.pages_per_s, "pages/s", SCALE, SPLIT)
    bench.figures.add("both over the slower alone", rates["both"] / min(
        rates["firmware alone"], rates["link alone"]), "", SCALE, SPLIT)


def overlap(bench: Bench) -> None:
    for _ in bench.runs():
        overlap_run(bench)


def overlap_summary(figures: Figures) -> dict[str, Any]:
    return {"overlap_ratio": round(figures["both over the slower alone"].median, 4)}


def noisy_guest(noise: Path) -> list[str]:
    """A guest that never runs, without a page of zeroes, which a plain migration would not send."""
    return ["-accel", "tcg", "-S", "-m", str(NOISE_MIB + 16), "-machine", "pc",
            "-device", f"loader,file={noise},addr={16 << 20:#x},force-raw=on"]


def zero_cost_run(bench: Bench, noise: Path, batch: int | None) -> None:
    """A whole migration, from its first page to its end; without SEV if there is no batch."""
    guest = noisy_guest(noise)
    with Rig() as rig:
        src = rig.qemu("src", guest, sev=bool(batch))
        dst = rig.qemu("dst", [*guest[:guest.index("-device")], "-incoming", "defer"],
                       sev=bool(batch))
        if batch:
            rig.set_cost(src, dst, page_cost_us=0)
        rig.migrate(src, dst)
        began_us = now_us()
        if batch:
            src.qmp.cmd("x-sev-migration-tune", batch_pages=batch)
        rig.wait_status(src, "completed")
        bench.figures.add(f"no firmware cost, batch {batch}" if batch else PLAIN,
                          NOISE_MIB * 1e6 / (now_us() - began_us), "MiB/s")


def zero_cost(bench: Bench) -> None:
    with Rig() as rig:
        noise = rig.dir / "noise"
        with noise.open("wb") as file:
            for _ in range(NOISE_MIB):
                file.write(os.urandom(1 << 20))
        for _ in bench.runs():
            for batch in (None, *ZERO_COST_BATCHES):
                bench.progress(f"batch {batch}" if batch else PLAIN)
                zero_cost_run(bench, noise, batch)


def zero_cost_summary(figures: Figures) -> dict[str, Any]:
    """The best batch stands for the firmware without cost."""
    return {"zero_cost_mib_s": round(max(figures.medians("no firmware cost").values()), 1),
            "plain_mib_s": round(figures[PLAIN].median, 1)}


OVERLAP = Part("overlap", "a link as fast as the firmware: both against either alone",
               ("overlap_ratio",), overlap, overlap_summary)
ZERO_COST = Part("zerocost", "a firmware that costs nothing, beside plain pre-copy",
                 ("zero_cost_mib_s", "plain_mib_s"), zero_cost, zero_cost_summary)
