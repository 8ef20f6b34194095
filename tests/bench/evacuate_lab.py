# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tiny guests that leave a host of the lab together: alone first, then with turns, then without.

At the lab's usual time scale of 10 a tiny guest takes the firmware for about a second, and what libvirt
and QEMU need before and after weighs as much. SEVMIG_TIME_SCALE=2 shows the firmware's part.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "hosts"))

from lab import guests  # noqa: E402
from lab.guests import Guest  # noqa: E402
from lab.hosts import HOSTS  # noqa: E402
from scene import Under, kill_daemon, start_sevmigd, wait_until  # noqa: E402

LAB_N = (4, 8)
SIZES_MIB = (40, 50, 62, 78, 96, 120, 150, 188)
LOAD = "pattern=hot rate=1000"
LIMIT_S = 300


def longest_wait_us(books):
    """The longest mean wait of a submission between two samples: all that the record tells."""
    lines = HOSTS["a"].run(["cat", books["RecordFile"]]).stdout.splitlines()[1:]
    samples = [s["sample"] for s in map(json.loads, lines) if "sample" in s]
    waits = [(b["wait-us"] - a["wait-us"]) / (b["submissions"] - a["submissions"])
             for a, b in zip(samples, samples[1:]) if b["submissions"] > a["submissions"]]
    return max(waits, default=0)


def migrate_together(fleet):
    """Books of all, each with the seconds from the common beginning to its end."""
    with contextlib.ExitStack() as stack:
        begun = time.monotonic()
        unders = [stack.enter_context(Under(guest)) for guest in fleet]
        ends = {}

        def all_ended():
            for under in unders:
                if under not in ends and under.process.poll() is not None:
                    ends[under] = time.monotonic() - begun
            return len(ends) == len(unders)

        wait_until("all have left", all_ended, LIMIT_S)
        for under in unders:
            status, errors = under.wait_end()
            if status:
                raise RuntimeError(f"guest {under.guest.name}: {errors}")
        return [{**under.wait_daemon_end(), "seconds": ends[under]} for under in unders]


def is_met(books):
    goal_us = books["DowntimeGoalUs"]
    return books["Phase"] == "done" and (not goal_us or books["DowntimeUs"] <= goal_us)


def row_of(books, lone):
    """`lone`: the same guests in the same order."""
    could = [pair for pair in zip(books, lone) if is_met(pair[1])]
    return {
        "serial_bound_ms": sum(b["ServiceUs"] for b in lone) / 1e3,
        "makespan_ms": max(b["seconds"] for b in books) * 1e3,
        "mean_completion_ms": sum(b["seconds"] for b in books) / len(books) * 1e3,
        "goals_met_ratio": sum(is_met(b) for b, _lone in could) / len(could) if could else 1,
        "guest_lost_ms": sum(b["GuestLostUs"] for b in books) / 1e3,
        "completed_ratio": sum(b["Phase"] == "done" for b in books) / len(books),
        "longest_firmware_wait_ms": max(map(longest_wait_us, books)) / 1e3,
    }


def restart(*options):
    kill_daemon(HOSTS["a"], "sevmigd")
    start_sevmigd(HOSTS["a"], *options)


def measure(n):
    """One run: a row of figures for each way."""
    fleet = [Guest(f"evacuee-{mib}", kind="tiny", workload=LOAD, memory_mib=mib)
             for mib in SIZES_MIB[::len(SIZES_MIB) // n]]
    with contextlib.ExitStack() as stack:
        for guest in fleet:
            guests.start(guest, HOSTS["a"])
            stack.callback(guests.stop, guest.name)
        lone = [migrate_together([guest])[0] for guest in fleet]
        migrate_together(fleet)  # back
        arbitrated = row_of(migrate_together(fleet), lone)
        migrate_together(fleet)
        stack.callback(restart)
        restart("--no-turns")
        return {"arbitrated": arbitrated, "uncoordinated": row_of(migrate_together(fleet), lone)}
