# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a benchmark measured: figures with their spread, as a table and as JSON. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that at least so many percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


@dataclass
class Figure:
    """One figure, a value for each run."""

    name: str
    unit: str
    time_scale: float | None  # firmware costs were divided by it; None: no firmware cost is in it
    cost_split: float | None  # share of a page's cost that is fixed
    command: str              # measures it again
    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def as_json(self) -> dict[str, Any]:
        return {"n": len(self.values), "median": round(self.median, 4),
                "min": round(min(self.values), 4), "max": round(max(self.values), 4),
                "unit": self.unit, "time_scale": self.time_scale, "cost_split": self.cost_split,
                "command": self.command}


class Figures:
    """Figures by name, in the order in which they were first measured."""

    def __init__(self, command: str = "") -> None:
        self.command = command
        self._figures: dict[str, Figure] = {}

    def add(self, name: str, value: float, unit: str, time_scale: float | None = None,
            cost_split: float | None = None) -> None:
        figure = self._figures.setdefault(
            name, Figure(name, unit, time_scale, cost_split, self.command))
        if (figure.unit, figure.time_scale, figure.cost_split) != (unit, time_scale, cost_split):
            raise ValueError(f"{name}: measured under two conditions")
        figure.values.append(float(value))

    def __iter__(self) -> Iterable[Figure]:
        return iter(self._figures.values())

    def __getitem__(self, name: str) -> Figure:
        return self._figures[name]

    def medians(self, prefix: str) -> dict[str, float]:
        """The medians of all figures whose names begin so."""
        return {figure.name: figure.median for figure in self if figure.name.startswith(prefix)}


COLUMNS = (("figure", 50), ("scale", 5), ("f", 4), ("n", 2), ("median", 10), ("smallest", 10),
           ("largest", 10), ("unit", 0))


def _number(value: float) -> str:
    """Four digits are as many as a measurement is worth."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _line(cells: Sequence[str]) -> str:
    text = [cell.ljust(width) if i in (0, len(COLUMNS) - 1) else cell.rjust(width)
            for i, (cell, (_, width)) in enumerate(zip(cells, COLUMNS))]
    return "  ".join(text).rstrip()


def head() -> str:
    return _line([name for name, _ in COLUMNS])


def row(figure: Figure) -> str:
    def given(value: float | None) -> str:
        return "-" if value is None else f"{value:g}"
    return _line([figure.name, given(figure.time_scale), given(figure.cost_split),
                  str(len(figure.values)), _number(figure.median), _number(min(figure.values)),
                  _number(max(figure.values)), figure.unit])
