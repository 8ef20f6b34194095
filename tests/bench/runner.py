# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the parts of a benchmark, shows figures as they come, and writes the JSON file."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.console import Console

from . import figures
from .figures import Figures

BUSY = 1.0  # load average


@dataclass(frozen=True)
class Part:
    """`run` measures into the figures of its bench, `summary` makes the keys of them."""

    name: str
    what: str
    keys: tuple[str, ...]
    run: Callable[[Bench], None]
    summary: Callable[[Figures], dict[str, Any]]


class Bench:
    """What a part is run with."""

    def __init__(self, part: Part, n_runs: int, command: str, console: Console) -> None:
        self.figures = Figures(command)
        self._part, self._n_runs, self._console = part, n_runs, console

    def runs(self) -> Iterator[int]:
        for run in range(self._n_runs):
            self.progress(f"run {run + 1} of {self._n_runs}")
            yield run

    def progress(self, text: str) -> None:
        self._console.status(f"{self._part.name}: {text}")


def run_part(part: Part, bench: Bench, console: Console) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys that the part makes, and its figures as JSON."""
    started_s = time.monotonic()
    console.line(f"\n{part.name}: {part.what}")
    part.run(bench)
    for figure in bench.figures:
        console.line(figures.row(figure))
    summary = part.summary(bench.figures)
    for key, value in summary.items():
        console.line(f"  {key} = {json.dumps(value)}")
    console.line(f"  ({time.monotonic() - started_s:.0f} s)")
    return summary, {f"{part.name}: {figure.name}": figure.as_json() for figure in bench.figures}


def run_parts(name: str, conditions: dict[str, Any], parts: list[Part], n_runs: int,
              json_path: Path | None, console: Console) -> bool:
    """A part that fails does not stop the others; false if one did."""
    result: dict[str, Any] = {}
    details: dict[str, Any] = {}
    failed: list[str] = []
    load = os.getloadavg()[0]
    console.line(f"{name}, {n_runs} runs; {json.dumps(conditions)}")
    if load > BUSY:
        console.line(f"This machine is busy (load {load:.1f}): figures suffer.")
    console.line(figures.head())
    try:
        for part in parts:
            command = f"lab bench {name} --only {part.name} --runs {n_runs}"
            try:
                summary, figures_json = run_part(part, Bench(part, n_runs, command, console),
                                                 console)
            except Exception as error:  # whatever it is, the other parts can be measured
                console.line(f"  FAILED: {type(error).__name__}: {error}")
                failed.append(part.name)
                continue
            result.update(summary)
            details.update(figures_json)
    finally:
        if json_path:
            json_path.write_text(json.dumps({
                **result, "bench": name, "runs": n_runs, "conditions": conditions,
                "load_at_start": load, "failed": failed, "figures": details}, indent=2) + "\n")
    return not failed


def whole_parser(name: str, document: str, runs_help: str = "default 3") -> argparse.ArgumentParser:
    """Of a benchmark that has no parts: what each of them takes."""
    parser = argparse.ArgumentParser(prog=f"lab bench {name}", description=document.splitlines()[0],
                                     allow_abbrev=False)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help=runs_help)
    return parser


def run_whole(measure: Callable[[Any, Console], Any], parser: argparse.ArgumentParser,
              arguments: list[str], check: bool) -> int:
    """Its result goes to --json; the exit status. `check`: the arguments are looked at, no more."""
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("--runs must be 1 or more")
    if check:
        return 0
    try:
        result = measure(options, Console())
    except (RuntimeError, TimeoutError) as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0
