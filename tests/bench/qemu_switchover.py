# SPDX-License-Identifier: LGPL-2.1-or-later
"""Late passes, the switchover, and how QMP fares during whole migrations."""

from __future__ import annotations

import threading
import time
from typing import Any

import harness
from lab import heartbeat

from . import theory
from .figures import Figures, percentile
from .rig import Rig, now_us, query, tiny_guest, tune, wait_pass
from .runner import Bench, Part

SPLIT = 0.5

# -- late passes: what the guest wrote at random lies in pieces --------------------------------

LATE_SCALE, LATE_BATCH, LATE_WINDOW_S = 4, 64, 1.5
LATE_PASS = 6  # by then what the bulk pass left behind is sent, and passes are alike
# Contiguous pages of one write: gaps of clean pages that may be joined
LATE_CASES = ((1, 0), (1, 4), (4, 0))


def late_guest(run_pages: int) -> list[str]:
    """It writes somewhat more than the firmware encrypts: a good quarter of the working set is
    dirty at the end of each pass, and there is always something to send."""
    return tiny_guest(24, f"pattern=uniform rate=7000 ws=8 run={run_pages} verify=0 beat=100")


def late_run(bench: Bench, run_pages: int, gap_pages: int) -> None:
    with Rig() as rig:
        src, dst = rig.observed_pair(late_guest(run_pages), time_scale=LATE_SCALE)
        rig.migrate(src, dst)
        tune(src, batch_pages=LATE_BATCH, batch_gap_pages=gap_pages)
        first = wait_pass(src, LATE_PASS)["send"]
        start_us = now_us()
        time.sleep(LATE_WINDOW_S)
        last, end_us = query(src)["send"], now_us()
    done = {key: last[key] - first[key] for key in first if key != "run-histogram"}
    case = f"runs of {run_pages}, gap {gap_pages}"
    pages = done["pages"]
    model_us = theory.cost_us(done["submissions"], done["commands"], pages, SPLIT)

    def add(what: str, value: float, unit: str) -> None:
        bench.figures.add(f"{what}, {case}", value, unit, LATE_SCALE, SPLIT)
    add("pages a command", pages / done["commands"], "pages")
    add("cost of a page by the model", model_us / pages, "us at scale 1")
    add("cost of a page that was dirty", model_us / (pages - done["gap-pages"]), "us at scale 1")
    add("firmware busy", done["service-us"] / (end_us - start_us), "")


def late(bench: Bench) -> None:
    for _ in bench.runs():
        for case in LATE_CASES:
            bench.progress("runs of %d, gap %d" % case)
            late_run(bench, *case)


# -- downtime: QEMU's account against the outside observer's -----------------------------------

DOWN_SCALE = 10
# The working set that is left for stop and copy, in MiB
DOWN_WS_MIB = (1, 8, 32)
PARTS_US = ("stop-us", "ram-us", "device-us", "finish-us")


def downtime_run(bench: Bench, ws_mib: int) -> None:
    with Rig() as rig:
        guest = tiny_guest(48, f"pattern=uniform rate=100000 ws={ws_mib} verify=0 beat=1")
        src, dst = rig.observed_pair(guest, time_scale=DOWN_SCALE)
        started_us = now_us()
        rig.migrate(src, dst)
        tune(src, batch_pages=64)
        wait_pass(src, 2)
        tune(src, switchover="now")
        rig.wait_status(src, "completed")
        rig.wait_beats(20)
        parts = query(src)["switchover"]
        seen = heartbeat.handover_gap(rig.follower.log.beats, started_us, now_us())
    told_ms = sum(parts[part] for part in PARTS_US) / 1e3
    seen_ms = seen.length_us / 1e3

    def add(what: str, value: float) -> None:
        bench.figures.add(f"{what}, {ws_mib} MiB", value, "ms", DOWN_SCALE, SPLIT)
    add("downtime seen from outside", seen_ms)
    for part in PARTS_US:
        add(part.removesuffix("-us"), parts[part] / 1e3)
    add("seen less told", seen_ms - told_ms)


def downtime(bench: Bench) -> None:
    for _ in bench.runs():
        for ws_mib in DOWN_WS_MIB:
            bench.progress(f"{ws_mib} MiB left")
            downtime_run(bench, ws_mib)


def downtime_summary(figures: Figures) -> dict[str, Any]:
    errors = figures.medians("seen less told").values()
    return {"downtime_breakdown_error_ms_max": round(max(map(abs, errors)), 2)}


# -- QMP: how long does a client wait for an answer? -------------------------------------------

QMP_PERIOD_S = 1 / 25
QMP_BATCHES = (1, 4, 1024)
QMP_GUEST = tiny_guest(24, "pattern=uniform rate=200 ws=1 verify=0 beat=100")
QMP_DOWNTIME_MS = 300
ENDS = ("source", "destination")


class Poller(threading.Thread):
    """Asks as a management application does: at a fixed rate, one question at a time."""

    def __init__(self, qemu: harness.Qemu) -> None:
        super().__init__(daemon=True)
        self._qemu, self._end = qemu, threading.Event()
        self.waits_ms: list[float] = []
        self.error: Exception | None = None

    def run(self) -> None:
        due_s = time.monotonic()
        try:
            while not self._end.is_set():
                asked_s = time.monotonic()
                query(self._qemu)
                self.waits_ms.append((time.monotonic() - asked_s) * 1e3)
                due_s = max(due_s + QMP_PERIOD_S, time.monotonic())
                time.sleep(max(due_s - time.monotonic(), 0))
        except (OSError, EOFError, AssertionError, harness.QmpError) as error:
            self.error = error

    def ended(self) -> bool:
        """Whether the events that its questions brought in say so."""
        return any(event["event"] == "MIGRATION" and event["data"]["status"] == "completed"
                   for event in self._qemu.qmp.events)

    def stop(self) -> list[float]:
        self._end.set()
        self.join()
        if self.error:
            raise self.error
        return self.waits_ms


def qmp_run(bench: Bench, batch: int) -> None:
    with Rig() as rig:
        src, dst = rig.observed_pair(QMP_GUEST)
        rig.migrate(src, dst, **{"downtime-limit": QMP_DOWNTIME_MS})
        src.qmp.cmd("x-sev-migration-tune", batch_pages=batch)
        pollers = dict(zip(ENDS, (Poller(src), Poller(dst))))
        for poller in pollers.values():
            poller.start()
        deadline = time.monotonic() + 2 * harness.PATIENCE_S
        while not all(poller.ended() or poller.error for poller in pollers.values()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the migration with batches of {batch} pages does not end")
            time.sleep(0.05)
        waits = {end: poller.stop() for end, poller in pollers.items()}
        downtime_ms = query(src)["switchover"]["downtime-us"] / 1e3
    for end, values in waits.items():
        for percent, name in ((50, "50th"), (99, "99th"), (100, "longest")):
            bench.figures.add(f"{name}, {end}, batch {batch}", percentile(values, percent), "ms",
                              1, SPLIT)
    bench.figures.add(f"downtime, batch {batch}", downtime_ms, "ms", 1, SPLIT)


def qmp(bench: Bench) -> None:
    for _ in bench.runs():
        for batch in QMP_BATCHES:
            bench.progress(f"batch {batch}")
            qmp_run(bench, batch)


def qmp_summary(figures: Figures) -> dict[str, Any]:
    return {f"qmp_ms_p99_{end}": round(max(figures.medians(f"99th, {end}").values()), 3)
            for end in ENDS}


LATE = Part("late", "late passes, whose dirty pages lie in pieces", (), late, lambda _: {})
DOWNTIME = Part("downtime", "QEMU's account of the downtime against the outside observer's",
                ("downtime_breakdown_error_ms_max",), downtime, downtime_summary)
QMP = Part("qmp", "how long a QMP client waits for an answer during whole migrations",
           tuple(f"qmp_ms_p99_{end}" for end in ENDS), qmp, qmp_summary)
