# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the parts of a benchmark, shows figures as they come, and writes the JSON file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.console import Console

from . import figures
from .figures import Figures


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


def run_parts(name: str, parts: list[Part], n_runs: int, json_path: Path | None,
              console: Console) -> None:
    """A part that fails ends the run, with what was measured before in the file."""
    result: dict[str, Any] = {"bench": name, "runs": n_runs}
    details: dict[str, Any] = {}
    console.line(figures.head())
    try:
        for part in parts:
            started_s = time.monotonic()
            console.line(f"\n{part.name}: {part.what}")
            bench = Bench(part, n_runs, f"lab bench {name} --only {part.name} --runs {n_runs}",
                          console)
            part.run(bench)
            for figure in bench.figures:
                console.line(figures.row(figure))
                details[f"{part.name}: {figure.name}"] = figure.as_json()
            summary = part.summary(bench.figures)
            result.update(summary)
            for key, value in summary.items():
                console.line(f"  {key} = {json.dumps(value)}")
            console.line(f"  ({time.monotonic() - started_s:.0f} s)")
    finally:
        if json_path:
            json_path.write_text(json.dumps({**result, "figures": details}, indent=2) + "\n")
