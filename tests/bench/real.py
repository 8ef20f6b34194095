# SPDX-License-Identifier: LGPL-2.1-or-later
"""The scenarios of real migrations, and how ours compares with the others and with the model. Pure
but for the simulation that is asked."""

from __future__ import annotations

import configparser
import json
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

from . import bench_sim
from .bench_sim import geomean, ratio
from .theory import PAGE_US

SCENARIOS = Path(__file__).resolve().parent / "real"
OURS = "sevmig"
CLOCKLESS = ("none", "auto-converge")
LARGEST = "largest"
PATTERNS = {"uniform": "uniform", "zipf": "hot", "scan": "scan"}
MIB_PAGES = 256
# What the controller reckons with beside QEMU's own downtime: libvirt's part, measured. There is no
# libvirt here, so that predictions are held against QEMU's figure and this.
OUTSIDE_MS = 20
LEAST_MS = 20  # what is shorter on both sides is no difference
MODELLED = ("total", "downtime", "guest_lost")
MODEL_RUNS = 15  # of the simulation, by chance different
TICK_MS = 100  # nobody knows when ours looks for the first time, and so when its ticks fall


# What a scenario has per second of the firmware's time, and what it has in such time.
SCALED = {("load", "writes-per-s"): -1, ("firmware", "page-us"): 1, ("policy", "downtime-ms"): 1,
          ("policy", "downtime-max-ms"): 1}


@dataclass(frozen=True)
class Scenario:
    """One file, as a guest of the lab."""

    path: Path

    def at_scale(self, scale: int, directory: Path) -> Scenario:
        """The same with all but memory slower or faster; its file is in that directory."""
        keys, times = self._keys(), self.time_scale / scale
        for (group, key), power in SCALED.items():
            keys[group][key] = f"{keys.getfloat(group, key) * times ** power:.10g}"
        path = directory / self.path.name
        with open(path, "w", encoding="utf-8") as stream:
            keys.write(stream, space_around_delimiters=False)
        return Scenario(path)

    @property
    def name(self) -> str:
        return self.path.stem

    def _keys(self) -> configparser.ConfigParser:
        keys = configparser.ConfigParser()
        keys.read(self.path)
        return keys

    @property
    def time_scale(self) -> int:
        return round(PAGE_US / self._keys().getfloat("firmware", "page-us"))

    @property
    def goal_ms(self) -> float:
        return self._keys().getfloat("policy", "downtime-ms")

    @property
    def memory_mib(self) -> int:
        return self._keys().getint("guest", "memory-mib")

    @property
    def is_paced(self) -> bool:
        return self._keys()["load"].get("pace") == "paced"

    def load(self) -> str:
        """What the guest is told to do."""
        keys = self._keys()
        load = keys["load"]
        words = [f"pattern={PATTERNS[load['pattern']]}", f"ws={load['working-set-mib']}",
                 f"run={keys.get('guest', 'block-pages', fallback='1')}", "verify=0", "beat=2"]
        if self.is_paced:
            words.append(f"rate={load['writes-per-s']}")
        else:  # as fast as it can, which is made slow by work on each page
            words += ["rate=0", f"cost={round(1e6 / load.getfloat('writes-per-s'))}"]
        return " ".join(words)


def median_row(rows: list[dict]) -> dict:
    """Of the runs of one controller; completed only if all were."""
    row = {key: statistics.median(r[key] for r in rows)
           if isinstance(value, float) else value for key, value in rows[0].items()}
    row["completed"] = all(r["completed"] for r in rows)
    row["runs"] = len(rows)
    row["spread_total_ms"] = [min(r["total_ms"] for r in rows), max(r["total_ms"] for r in rows)]
    row["spread_downtime_ms"] = [min(r["downtime_ms"] for r in rows),
                                 max(r["downtime_ms"] for r in rows)]
    return row


@dataclass(frozen=True)
class Constants:
    """Of this machine, for the model: seen in migrations of an idle guest, which are not compared."""

    device_ms: float   # of a switchover, beside memory, as QEMU says
    outside_ms: float  # that an observer sees in addition
    extra_us: float    # of QEMU, a page
    idle_busy: float   # share of a CPU that the lab's guest uses when it writes next to nothing


def constants(scenario: Scenario, rows: list[dict]) -> Constants:
    """From rows of that scenario, whose guest leaves next to nothing to send twice."""
    def median(value) -> float:
        return statistics.median(value(row) for row in rows)

    machine = Constants(median(lambda row: row["fixed_us"] / 1e3),
                        max(0, median(lambda row: row["downtime_ms"] - row["qemu_downtime_ms"])), 0,
                        median(lambda row: row["busy"]))
    # The same batches in the same order, so that what the model's first pass lacks is not theirs.
    model, *_ = simulate(scenario, median_row(rows), machine)
    lacks_ms = median(lambda row: row["first_pass_ms"]) - model["first_pass_ms"]
    return replace(machine, extra_us=max(0, lacks_ms * 1e3 / (scenario.memory_mib * MIB_PAGES)))


def simulate(scenario: Scenario, ours: dict, machine: Constants, *more: str) -> list[dict]:
    """The same in the model, at the pace that was seen while it migrated and nothing throttled it, for
    the senders are on the same machine. One that writes at its own pace needs for it what it uses
    more than an idle one."""
    busy = ()
    if scenario.is_paced:
        writing = min(1, max(0.001, ours["busy"] - machine.idle_busy))
        busy = ("--set", f"load.busy={writing:.3f}", "--set", f"guest.idle-busy={machine.idle_busy:.3f}")
    rows = json.loads(bench_sim.run(
        bench_sim.CTL, "simulate", "--json", "--workload", scenario.path,
        "--set", f"load.writes-per-s={ours['pages_per_s']:.0f}",
        *busy,
        "--set", f"firmware.extra-us={machine.extra_us:.1f}",
        "--set", f"host.device-ms={machine.device_ms:.1f}",
        "--set", f"host.outside-ms={machine.outside_ms:.1f}",
        "--set", f"host.known-fixed-ms={machine.device_ms:.1f}", *more))
    return [{"controller": row["controller"], "batch": row["batch"], "completed": row["completed"],
             **{f"{key}_ms": row[f"{key}_us"] / 1e3 for key in (*MODELLED, "first_pass")}} for row in rows]


def simulated(scenario: Scenario, ours: dict, machine: Constants) -> dict | None:
    """The medians under our controller, of some guests of that kind; None: an idle one has no pace."""
    if not ours["pages_per_s"]:
        return None
    rows = [simulate(scenario, ours, machine, "--seed", str(seed),
                     "--set", f"host.notice-ms={seed * TICK_MS / MODEL_RUNS:.1f}")[0]
            for seed in range(MODEL_RUNS)]
    return {f"{key}_ms": statistics.median(row[f"{key}_ms"] for row in rows) for key in MODELLED}


def peers_errors(scenario: Scenario, rows: list[dict], machine: Constants) -> dict[str, dict]:
    """Of the model for each peer without a clock of its own that came to an end in both."""
    ours = next(r for r in rows if r["controller"] == OURS)
    if not ours["pages_per_s"] or len(rows) == 1:
        return {}
    models = {(r["controller"], r["batch"]): r
              for r in simulate(scenario, ours, machine, "--compare") if r["completed"]}
    return {f"{r['controller']} {r['batch']}": model_errors(models[r["controller"], r["batch"]], r)
            for r in rows if r["controller"] in CLOCKLESS and r["completed"]
            and (r["controller"], r["batch"]) in models}


def model_errors(model: dict, real: dict) -> dict[str, float]:
    return {f"{key}_ms": error(model[f"{key}_ms"], real[f"{key}_ms"]) for key in MODELLED}


def error(model: float, real: float) -> float:
    return abs(model - real) / max(real, LEAST_MS)


def best(rows: list[dict], batch: str, key) -> dict | None:
    good = [r for r in rows if r["controller"] != OURS and r["batch"] == batch
            and bench_sim.meets(r)]
    return min(good, key=key, default=None)


def compare(scenario: Scenario, rows: list[dict], machine: Constants) -> dict:
    ours = next(r for r in rows if r["controller"] == OURS)
    shipped = best(rows, "1", lambda r: r["total_ms"])
    batched = best(rows, LARGEST, bench_sim.after_first_pass_ms)
    model = simulated(scenario, ours, machine)
    return {
        "goal_met": bench_sim.meets(ours),
        "total_vs_peer": shipped and ratio(ours["total_ms"], shipped["total_ms"]),
        "after_vs_peer": batched and ratio(bench_sim.after_first_pass_ms(ours),
                                           bench_sim.after_first_pass_ms(batched)),
        "lost_vs_peer": batched and ratio(ours["guest_lost_ms"], batched["guest_lost_ms"]),
        "prediction_error": error(ours["downtime_predicted_ms"],
                                  ours["qemu_downtime_ms"] + OUTSIDE_MS),
        "best_peer": shipped and shipped["controller"],
        "best_batched_peer": batched and batched["controller"],
        "model": model,
        "model_errors": model and model_errors(model, ours),
        "peers_model_errors": peers_errors(scenario, rows, machine),
    }


def summary(comparisons: dict[str, dict]) -> dict:
    def all_of(key):
        return [c[key] for c in comparisons.values() if c[key] is not None]

    errors = [e for c in comparisons.values() for e in (c["model_errors"] or {}).values()]
    peers = [e for c in comparisons.values() for row in c["peers_model_errors"].values() for e in row.values()]
    return {
        "goal_met_ratio": statistics.fmean(all_of("goal_met")),
        "total_vs_best_peer_geomean": geomean(all_of("total_vs_peer")),
        "total_vs_best_peer_worst": max(all_of("total_vs_peer"), default=None),
        "after_first_pass_vs_best_peer_geomean": geomean(all_of("after_vs_peer")),
        "after_first_pass_vs_best_peer_worst": max(all_of("after_vs_peer"), default=None),
        "lost_vs_best_peer_geomean": geomean(all_of("lost_vs_peer")),
        "downtime_prediction_error_median": statistics.median(all_of("prediction_error")),
        "downtime_prediction_error_worst": max(all_of("prediction_error")),
        "sim_vs_real_error_max": max(errors, default=None),
        "sim_vs_real_error_median": statistics.median(errors) if errors else None,
        "sim_vs_real_peers_error_max": max(peers, default=None),
        "sim_vs_real_peers_error_median": statistics.median(peers) if peers else None,
    }


def medians(rows: list[dict]) -> list[dict]:
    kinds = {(r["controller"], r["batch"]): None for r in rows}
    return [median_row([r for r in rows if (r["controller"], r["batch"]) == kind])
            for kind in kinds]
