# SPDX-License-Identifier: LGPL-2.1-or-later
"""Free memory: what the first pass gains if the guest reports it (virtio-balloon)."""

from __future__ import annotations

import time
from typing import Any

import harness

from .figures import Figures
from .rig import IMAGES, Rig, now_us, tune, wait_pass
from .runner import Bench, Part

SCALE, SPLIT, BATCH = 20, 0.5, 64
RAM_MIB = 512
# The load takes so much of what is available; the kernel and its caches have the rest.
FILL_PERCENT = 40
# Linux looks for free memory to report every two seconds, and not at all of it at once.
REPORT_S = 10
BALLOON = {"reported": ["-device", "virtio-balloon-pci,free-page-reporting=on"], "not reported": []}


def linux_guest() -> list[str]:
    load = f"pattern=idle verify=0 beat=100 fill={FILL_PERCENT}"
    return ["-accel", "tcg", "-cpu", "max", "-m", str(RAM_MIB), "-kernel", str(IMAGES / "vmlinuz"),
            "-initrd", str(IMAGES / "initrd.img"), "-append",
            f"console=ttyS0 quiet tsc=reliable clocksource=tsc {load}"]


def first_pass(bench: Bench, rig: Rig, src: harness.Qemu, run: int, case: str) -> float:
    """Seconds; the migration is cancelled afterwards, so that the guest stays where it is."""
    dst = rig.qemu(f"dst-{run}", [*linux_guest(), *BALLOON[case], "-serial", "null", "-incoming",
                                  "defer"], time_scale=SCALE)
    rig.migrate(src, dst)
    began_us = now_us()
    tune(src, batch_pages=BATCH)
    sent = wait_pass(src, 2)["send"]["pages"]
    seconds = (now_us() - began_us) / 1e6
    bench.figures.add(f"pages sent, {case}", sent, "pages", SCALE, SPLIT)
    src.qmp.cmd("migrate_cancel")
    rig.wait_status(src, "cancelled")
    dst.stop(kill=True)
    return seconds


def run(bench: Bench) -> None:
    """Both guests are there all the time, and take turns."""
    with Rig() as reported, Rig() as silent:
        rigs = dict(zip(BALLOON, (reported, silent)))
        sources = {}
        for case, rig in rigs.items():
            bench.progress(f"the guest boots, free memory {case}")
            sources[case] = rig.qemu("src", [*linux_guest(), *BALLOON[case], *rig.observe()],
                                     time_scale=SCALE)
            rig.wait_beats(3)
        time.sleep(REPORT_S)
        for i in bench.runs():
            taken_s = {}
            for case, rig in rigs.items():
                taken_s[case] = first_pass(bench, rig, sources[case], i, case)
                bench.figures.add(f"first pass, {case}", taken_s[case], "s", SCALE, SPLIT)
            bench.figures.add("reported over not reported", taken_s["reported"] /
                              taken_s["not reported"], "", SCALE, SPLIT)


def summary(figures: Figures) -> dict[str, Any]:
    return {"free_half_first_pass_ratio": round(figures["reported over not reported"].median, 4)}


PART = Part("free", "the first pass of a Linux guest with half its memory free",
            ("free_half_first_pass_ratio",), run, summary)
