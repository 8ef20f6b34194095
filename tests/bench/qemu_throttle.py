# SPDX-License-Identifier: LGPL-2.1-or-later
"""Throttling, told by the guest's own work: is it what was asked for, and does it end?"""

from __future__ import annotations

import statistics
import time
from typing import Any

import harness
from lab import heartbeat

from . import work
from .figures import Figures
from .rig import Rig, now_us, query, tiny_guest, tune
from .runner import Bench, Part

# Sending is held: nothing but the throttle slows the guest. It computes far more than it writes, for a
# host's caches forget while a guest stands still (at a fifth of the computing, work lost to that was
# up to 3 points of the throttle); and it beats seldom, for a beat takes it about
# 0.4 ms that are its own, however long it stands still between two of them.
GUEST = tiny_guest(24, "pattern=uniform rate=0 ws=1 verify=0 beat=100 cost=100")
SCALE = 100
PERCENTS = (5, 25, 50, 75, 95)
SLICES_US = (200, 1000, 10000)
SETTLE_S = 0.15
# A host's speed drifts by some percent within seconds: many short windows, each between two without a
# throttle, see less of it than a few long ones. Where stuns are long a window is, to have many.
LEAST_WINDOW_S, WINDOW_S = 0.8, 2.0
WINDOW_STUNS = 40
FULL_WINDOW_S = 0.5  # without throttle
ROUNDS = 5

LEASE_GUEST = tiny_guest(24, "pattern=uniform rate=0 ws=1 verify=0 beat=2")
LEASE_MS = 500
LATE_S = 9  # the stun that the lease ends would take this long by itself


def held_pair(rig: Rig, guest: list[str]) -> harness.Qemu:
    src, dst = rig.observed_pair(guest, time_scale=SCALE)
    rig.migrate(src, dst)
    tune(src, hold_sending=True)
    time.sleep(SETTLE_S)
    return src


def throttled_share(src: harness.Qemu) -> tuple[int, int]:
    """When, and how long the vCPU had been kept from running until then."""
    return now_us(), query(src)["vcpus"][0]["throttled-us"]


def window_s(percent: int, slice_us: int) -> float:
    if percent == 0:
        return FULL_WINDOW_S
    period_s = (slice_us + work.stun_us(slice_us, percent)) / 1e6
    return min(max(LEAST_WINDOW_S, WINDOW_STUNS * period_s), WINDOW_S)


def rate(rig: Rig, src: harness.Qemu, percent: int, slice_us: int) -> tuple[float, float]:
    """Work under a throttle, and the percentage that QEMU itself counted."""
    tune(src, vcpu_throttle=percent, throttle_slice_us=slice_us)
    time.sleep(SETTLE_S)
    start_us, before_us = throttled_share(src)
    time.sleep(window_s(percent, slice_us))
    end_us, after_us = throttled_share(src)
    pages_per_s = work.pages_per_s(rig.follower.poll().beats, start_us, end_us,
                                   work.stun_us(slice_us, percent))
    return pages_per_s, 100 * (after_us - before_us) / (end_us - start_us)


def share(rig: Rig, src: harness.Qemu, percent: int, slice_us: int) -> tuple[float, float, float]:
    """Percent that the guest stood still and that QEMU counted, and unthrottled work. Each window is
    compared with those before and after it: a host's speed drifts."""
    full = [rate(rig, src, 0, slice_us)[0]]
    seen, counted = [], []
    for _ in range(ROUNDS):
        pages_per_s, one_counted = rate(rig, src, percent, slice_us)
        full.append(rate(rig, src, 0, slice_us)[0])
        seen.append(100 * (1 - pages_per_s / statistics.fmean(full[-2:])))
        counted.append(one_counted)
    return statistics.median(seen), statistics.median(counted), statistics.median(full)


def accuracy_run(bench: Bench) -> None:
    with Rig() as rig:
        src = held_pair(rig, GUEST)
        for slice_us in SLICES_US:
            for percent in PERCENTS:
                case = f"{percent} %, slice {slice_us} us"
                bench.progress(case)
                seen, counted, full = share(rig, src, percent, slice_us)
                bench.figures.add("unthrottled work", full, "pages/s")
                bench.figures.add(f"seen less asked, {case}", seen - percent, "points")
                bench.figures.add(f"counted less seen, {case}", counted - seen, "points")


def accuracy(bench: Bench) -> None:
    for _ in bench.runs():
        accuracy_run(bench)


def accuracy_summary(figures: Figures) -> dict[str, Any]:
    errors = figures.medians("seen less asked").values()
    return {"throttle_error_points_max": round(max(map(abs, errors)), 3)}


def wait_stunned(rig: Rig) -> None:
    """Wait until the guest has been silent for longer than any slice."""
    while (beat := rig.follower.poll().last) and now_us() - beat.at_us < 300_000:
        time.sleep(0.01)


def lease_run(bench: Bench) -> None:
    with Rig() as rig:
        src = held_pair(rig, LEASE_GUEST)
        throttle = {"vcpu_throttle": 99, "throttle_slice_us": 100000}
        tune(src, **throttle)
        wait_stunned(rig)
        tuned_us = now_us()
        tune(src, **throttle, lease_ms=LEASE_MS)
        deadline = time.monotonic() + LATE_S
        while not (beat := work.first_after(rig.follower.poll().beats, tuned_us)):
            if time.monotonic() > deadline:
                raise TimeoutError("the guest is throttled although its lease has run out")
            time.sleep(0.005)
        released_us = beat.at_us - tuned_us
        # It is gone, and not only in a running slice, if the guest goes on past one.
        time.sleep(0.5)
        silence = heartbeat.largest_gap(rig.follower.poll().beats, beat.at_us, now_us())
        bench.figures.add("from the last tune to the guest's next work", released_us / 1e3, "ms")
        bench.figures.add("longest silence after it", silence.length_us / 1e3, "ms")


def lease(bench: Bench) -> None:
    for _ in bench.runs():
        lease_run(bench)


def lease_summary(figures: Figures) -> dict[str, Any]:
    return {"lease_release_ms": round(
        figures["from the last tune to the guest's next work"].median, 2), "lease_ms": LEASE_MS}


ACCURACY = Part("throttle", "the throttle asked for against the work the guest does",
                ("throttle_error_points_max",), accuracy, accuracy_summary)
LEASE = Part("lease", f"a throttle of 99 % whose lease of {LEASE_MS} ms is not renewed",
             ("lease_release_ms", "lease_ms"), lease, lease_summary)
