# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demonstration: two guests, each migrated unsteered and under two policies, compared."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import firmware, guests
from .bus import Daemon
from .console import Console, table
from .error import LabError
from .guests import Guest
from .hosts import HOSTS
from .migrate import Result, migrate, wait_verified
from .view import LiveView

LIMIT_S = 120.0


@dataclass(frozen=True)
class Case:
    name: str
    metadata: str | None  # the policy the domain asks for by itself
    auto_converge: bool
    what: str


CASES = (
    Case("unsteered", "unsteered", True,
         "as today: one page a command, QEMU's auto-converge, QEMU's default limit of 300 ms"),
    Case("default", None, False, "the shipped policy for whoever asks for none"),
    Case("low-downtime", "low-downtime", False, "chosen by the domain's own metadata"),
)

# Loads that write faster than the firmware encrypts one page at a time (10000 pages a second at
# scale 10), but not much faster than it encrypts in batches, and use about 60 % of the vCPU: a
# guest worth steering. Unthrottled, such a migration does not end.
WORKLOAD = "pattern=uniform rate=16000 ws=48 run=4 cost=33 verify=16384"
GUESTS = (
    Guest("demo-tiny", "tiny", WORKLOAD, 96),
    Guest("demo-linux", "linux", WORKLOAD, 384),
)

COLUMNS = (
    ("guest", lambda run: run["guest"]),
    ("case", lambda run: run["case"]),
    ("total", lambda run: _ms(run["total_ms"])),
    ("downtime", lambda run: _ms(run["downtime_ms"])),
    ("QEMU's", lambda run: _ms(run["downtime_qemu_ms"])),
    ("guest lost", lambda run: _ms(run["guest_lost_ms"])),
    ("pages/command", lambda run: _number(run["pages_per_command"], 2)),
    ("throttle", lambda run: f"{run['max_throttle']} %" if run["completed"] else "-"),
    ("verified", lambda run: "yes" if run["memory_verified"] else "NO"),
)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def record(guest: Guest, case: Case, result: Result, verified: bool | None) -> dict[str, Any]:
    """A run as the JSON file has it. Outside figures from the observer, QEMU's from libvirt's job
    statistics, the rest from sevmigd."""
    daemon, stats = result.daemon, result.stats
    commands = daemon.get("Commands", 0)
    qemu_us = daemon.get("DowntimeUs") or stats.get("downtime", 0) * 1000
    return {
        "guest": guest.kind,
        "case": case.name,
        "policy": daemon.get("Policy"),
        "total_ms": _rounded(result.total_ms),
        "downtime_ms": _rounded(result.downtime_us / 1e3 if result.downtime_us else None),
        "downtime_qemu_ms": _rounded(qemu_us / 1e3 if qemu_us else None),
        "guest_lost_ms": _rounded(daemon["GuestLostUs"] / 1e3 if "GuestLostUs" in daemon else None),
        "pages_per_command": round(daemon.get("Pages", 0) / commands, 2) if commands else None,
        "max_throttle": max(daemon.get("MaxThrottlePercent", 0),
                            stats.get("auto_converge_throttle", 0)),
        "memory_verified": bool(verified),
        "completed": result.completed,
    }


def failed(guest: Guest, case: Case) -> dict[str, Any]:
    """A run that could not even begin."""
    return {"guest": guest.kind, "case": case.name, "policy": None, "total_ms": None,
            "downtime_ms": None, "downtime_qemu_ms": None, "guest_lost_ms": None,
            "pages_per_command": None, "max_throttle": 0, "memory_verified": False,
            "completed": False}


def run_case(guest: Guest, case: Case, console: Console) -> dict[str, Any]:
    guest = guests.set_policy(guest, case.metadata)
    source, _domain = guests.require(guest.name)
    console.line(f"\n{guest.kind}, {case.name} ({case.what}), from host {source}")
    with LiveView(source, guest.name, console):
        result = migrate(guest, auto_converge=case.auto_converge, limit_s=LIMIT_S)
    verified = (wait_verified(guest, result.ended_us, console.status) if result.completed
                else None)
    run = record(guest, case, result, verified)
    if not result.completed:
        console.line(f"FAILED: {result.error}")
        console.line(f"logs: {source.logs}")
    else:
        verdict = {True: "every page verified", False: "PAGES ARE WRONG",
                   None: "NOT VERIFIED in time"}[verified]
        lost = "" if result.work_lost_ms is None else f", work lost {result.work_lost_ms:.0f} ms"
        console.line(f"done in {run['total_ms'] / 1e3:.1f} s, downtime {_ms(run['downtime_ms'])} "
                     f"(longest silence of all {_ms((result.silence_us or 0) / 1e3)}){lost}; "
                     f"{verdict}")
    return run


def run_guest(guest: Guest, console: Console) -> Iterable[dict[str, Any]]:
    """All cases of one guest; one that fails does not stop the others."""
    if guests.find(guest.name):  # a demonstration before this one was interrupted
        guests.stop(guest.name)
    try:
        guests.start(guest, HOSTS["a"], console.status)
    except LabError as error:
        console.line(f"FAILED: {error}")
        yield from (failed(guest, case) for case in CASES)
        return
    try:
        for case in CASES:
            try:
                yield run_case(guest, case, console)
            except LabError as error:
                console.line(f"FAILED: {error}")
                yield failed(guest, case)
    finally:
        guests.stop(guest.name)


def ratios(runs: list[dict[str, Any]]) -> list[str]:
    """Each steered run against the unsteered one of the same guest."""
    base = {run["guest"]: run for run in runs if run["case"] == "unsteered" and run["completed"]}
    lines = []
    for run in runs:
        against = base.get(run["guest"])
        if run["case"] == "unsteered" or not run["completed"] or not against:
            continue
        lines.append(f"{run['guest']}, {run['case']}: "
                     f"{run['total_ms'] / against['total_ms']:.2f} of the unsteered total time, "
                     f"{run['downtime_ms'] / against['downtime_ms']:.2f} of its downtime")
    return lines


def preflight() -> tuple[int, Any]:
    """Both hosts are whole. Returns what every figure depends on, time scale and cost model."""
    for host in HOSTS.values():
        host.connect().close()
        Daemon(host).version()
    found = [(firmware.time_scale(host), firmware.statistics(host).get("cost_model", "default"))
             for host in HOSTS.values()]
    if found[0] != found[1]:
        raise LabError("the hosts' firmware", f"has different costs: {found[0]} and {found[1]}")
    return found[0]


def succeeded(runs: list[dict[str, Any]]) -> bool:
    return (len(runs) == len(GUESTS) * len(CASES)
            and all(run["completed"] and run["memory_verified"] for run in runs))


def report(runs: list[dict[str, Any]], scale: int, cost: Any, console: Console) -> None:
    console.line()
    console.line(table([name for name, _ in COLUMNS],
                       [[cell(run) for _, cell in COLUMNS] for run in runs]))
    console.line()
    for line in ratios(runs):
        console.line(line)
    console.line(f"Firmware costs are divided by {scale} (time scale); cost model: "
                 f"{json.dumps(cost)}. Downtime is the guest's silence while it changed hosts, "
                 "as an outside client saw it.")


def demo(json_path: Path | None, console: Console) -> bool:
    scale, cost = preflight()
    console.line(f"{len(GUESTS)} guests, {len(CASES)} migrations each, time scale {scale}")
    runs: list[dict[str, Any]] = []
    try:
        for guest in GUESTS:
            runs.extend(run_guest(guest, console))
    finally:
        if json_path:
            json_path.write_text(json.dumps({"time_scale": scale, "cost_model": cost,
                                             "runs": runs}, indent=2) + "\n")
    report(runs, scale, cost, console)
    return succeeded(runs)
