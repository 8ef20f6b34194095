# SPDX-License-Identifier: LGPL-2.1-or-later
"""Real migrations of the lab's guest under our controller and the peers, side by side.

Each scenario of tests/bench/real is a guest, a firmware and a policy, for the lab and for the
simulation alike. Controllers take turns, so that what drifts on this machine spoils all of them.
Peers run as they ship (one page a submission) and given the batch that ours ended with; their clocks
run faster as the firmware does; one that takes three times as long as ours is given up. Total time,
downtime and guest time lost are what an observer outside and QEMU's own clock of withheld time say.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import heartbeat
from lab.console import Console

from .bench_sim import BUILD, scenario_files, show
from .real import LARGEST, OURS, SCENARIOS, Constants, Scenario, compare, constants, medians, summary
from .rig import Rig, now_us, tiny_guest
from .runner import run_whole, whole_parser

DRIVE = BUILD / "plugin/tests/bench/sevmig-drive"
PEERS = ("none", "auto-converge", "nova", "ovirt-minimal", "kubevirt-stall")
SCALE = 10
LIMIT_S = 40  # at that scale; then a migration of ours is given up
PEER_LIMIT_S = 15  # likewise, a peer's; or after so many times what ours took, if that is longer
PEER_LIMIT = 3
AFTER_BEATS = 20


@dataclass(frozen=True)
class Steering:
    """Who steers, and with what."""

    controller: str
    batch: int = 0  # 0: as it comes
    fixed_us: int = 0  # what earlier migrations have shown a switchover to cost besides memory
    without: tuple[str, ...] = ()  # parts of our law
    limit_s: float = LIMIT_S


def drive(rig: Rig, scenario: Scenario, uri: str, steering: Steering) -> dict:
    """The migration itself; what the driver says of it."""
    result = subprocess.run(
        [DRIVE, rig.dir / "drive", uri, scenario.path, steering.controller, str(steering.batch),
         str(steering.limit_s), str(steering.fixed_us), *steering.without],
        capture_output=True, text=True, check=False)
    if result.returncode or result.stderr:
        raise RuntimeError(f"{scenario.name} under {steering.controller}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def measure_one(scenario: Scenario, steering: Steering) -> dict:
    """One migration; times in milliseconds."""
    with Rig() as rig:
        serial = rig.observe()
        guest = [*tiny_guest(scenario.memory_mib, scenario.load()), *serial]
        src = rig.qemu("src", [*guest, "-qmp", f"unix:{rig.dir}/drive,server=on,wait=off"],
                       time_scale=scenario.time_scale)
        dst = rig.qemu("dst", [*guest, "-incoming", "defer"], time_scale=scenario.time_scale)
        rig.wait_beats(3)
        uri = f"unix:{rig.dir}/migration"
        dst.qmp.cmd("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": True} for name in ("return-path", "events")])
        dst.qmp.cmd("migrate-incoming", uri=uri)
        told = drive(rig, scenario, uri, steering)
        if told["paused"]:
            (dst if told["completed"] else src).qmp.cmd("cont")
        rig.wait_beats(AFTER_BEATS)
        beats = rig.follower.log.beats
        gap = heartbeat.handover_gap(beats, told["begun_us"], now_us())
        pace = heartbeat.work_rate(beats, told["free_from_us"], told["free_from_us"] + told["free_us"])
    downtime_ms = gap.length_us / 1e3 if gap else 0.0
    return {
        "scenario": scenario.name, "controller": steering.controller, "batch": str(steering.batch),
        "completed": told["completed"], "total_ms": told["total_us"] / 1e3,
        "first_pass_ms": told["first_pass_us"] / 1e3, "downtime_ms": downtime_ms,
        "qemu_downtime_ms": told["qemu_downtime_us"] / 1e3, "downtime_goal_ms": scenario.goal_ms,
        "downtime_predicted_ms": told["predicted_downtime_us"] / 1e3,
        "guest_lost_ms": told["throttled_us"] / 1e3 + downtime_ms,
        "longest_stun_ms": told["longest_stun_us"] / 1e3, "bytes": told["bytes"],
        "throttle_percent": told["throttle_percent"], "batch_pages": told["batch_pages"],
        "limit_s": steering.limit_s, "fixed_us": told["fixed_us"], "pages_per_s": pace, "busy": told["busy"],
    }


def show_row(console: Console, row: dict) -> None:
    end = "" if row["completed"] else "  did not complete"
    console.line(f"{row['scenario']:8} {row['controller']:15} {row['batch']:>8} "
                 f"{row['total_ms'] / 1e3:8.2f} s {row['downtime_ms']:7.0f} ms "
                 f"(told {row['downtime_predicted_ms']:5.0f}) lost {row['guest_lost_ms'] / 1e3:6.2f} s "
                 f"throttle {row['throttle_percent']:2} %{end}")


def time_scale(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


def limit_s(scenario: Scenario, ours: dict | None = None) -> float:
    """For ours, or for a peer after it."""
    if not ours:
        return LIMIT_S * SCALE / scenario.time_scale
    return max(PEER_LIMIT_S * SCALE / scenario.time_scale, PEER_LIMIT * ours["total_ms"] / 1e3)


def measure_constants(idle: Scenario, n_runs: int, console: Console) -> Constants:
    """What the model is to know of this machine."""
    rows = []
    for run in range(n_runs):
        console.status(f"what this machine adds: run {run + 1} of {n_runs}")
        rows.append(measure_one(idle, Steering(OURS, limit_s=limit_s(idle))))
    machine = constants(idle, rows)
    console.line(f"this machine, an idle guest: {machine.device_ms:.1f} ms of a switchover are not memory, "
                 f"an observer sees {machine.outside_ms:.1f} ms more, a page takes {machine.extra_us:.0f} us more")
    return machine


def measure_scenario(scenario: Scenario, n_runs: int, controllers: tuple[str, ...],
                     machine: Constants, console: Console) -> list[dict]:
    """Every run of every controller, one after the other and over again."""
    rows = []
    fixed_us = round(machine.device_ms * 1e3)  # as sevmigd has learnt it from its host by then
    for run in range(n_runs):
        console.status(f"{scenario.name}: run {run + 1} of {n_runs}, {OURS}")
        ours = measure_one(scenario, Steering(OURS, fixed_us=fixed_us, limit_s=limit_s(scenario)))
        limit = limit_s(scenario, ours)
        rows.append({**ours, "batch": "chosen"})
        show_row(console, rows[-1])
        for peer in controllers:
            for batch, name in ((1, "1"), (ours["batch_pages"], LARGEST)):
                console.status(f"{scenario.name}: run {run + 1} of {n_runs}, {peer}, {name}")
                rows.append({**measure_one(scenario, Steering(peer, batch, limit_s=limit)), "batch": name})
                show_row(console, rows[-1])
    return rows


def show_model(comparisons: dict[str, dict], console: Console) -> None:
    console.line("\nthe model against the lab: error of total, downtime, guest time lost")
    for name, comparison in comparisons.items():
        if not comparison["model_errors"]:
            console.line(f"{name:8} idle: nothing to set the model's pace by")
            continue
        for who, errors in ({OURS: comparison["model_errors"]} | comparison["peers_model_errors"]).items():
            console.line(f"{name:8} {who:22} " + " ".join(f"{e:6.2f}" for e in errors.values()))
    console.line("")


def measure(options, console: Console) -> dict:
    files = scenario_files(SCENARIOS, options.only)
    with tempfile.TemporaryDirectory(prefix="sevmig-") as directory:
        return measure_all(files, Path(directory), options, console)


def measure_all(files: list[Path], directory: Path, options, console: Console) -> dict:
    peers = () if options.ours else PEERS
    scenarios = [Scenario(path).at_scale(options.scale, directory) for path in files]
    idle = Scenario(SCENARIOS / "idle.scenario").at_scale(options.scale, directory)
    machine = measure_constants(idle, options.runs, console)
    runs = {s.name: measure_scenario(s, options.runs, peers, machine, console) for s in scenarios}
    rows = {s.name: medians(runs[s.name]) for s in scenarios}
    comparisons = {s.name: compare(s, rows[s.name], machine) for s in scenarios}
    result = summary(comparisons)
    show_model(comparisons, console)
    for key, value in result.items():
        console.line(f"{key:40} {show(value)}")
    return {**result, "runs": options.runs, "time_scale": options.scale, "constants": asdict(machine), "rows": [r for n in rows for r in rows[n]],
            "single_runs": [r for n in runs for r in runs[n]], "comparisons": comparisons}


def main(arguments, check):
    parser = whole_parser("real", __doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="scenarios with that in their name")
    parser.add_argument("--ours", action="store_true", help="no peers: only against the model")
    parser.add_argument("--scale", type=time_scale, default=SCALE, metavar="N",
                        help=f"the firmware's costs are divided by it; guests and goals follow (default {SCALE})")
    return run_whole(measure, parser, arguments, check)
