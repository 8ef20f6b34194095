# SPDX-License-Identifier: LGPL-2.1-or-later
"""Curves as SVG files, drawn by gnuplot."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

COLOURS = ("#1b6ca8", "#d1495b", "#66a182", "#edae49", "#6a4c93", "#444444", "#00798c", "#8d6b94")


MARKED_MOST = 60  # more points than that are a line


@dataclass
class Curve:
    name: str
    points: list[tuple[float, float]]
    steps: bool = False  # a value holds until the next


@dataclass
class Plot:
    title: str
    x: str
    y: str
    curves: list[Curve]
    log_y: bool = False
    more: list[str] = field(default_factory=list)  # further gnuplot commands


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def script(plot: Plot, path: Path) -> str:
    """What gnuplot is told; the points stand in it."""
    lines = ["set terminal svg size 760,420 font 'DejaVu Sans,13' background '#ffffff'",
             f"set output {_quoted(str(path))}", f"set title {_quoted(plot.title)} noenhanced",
             f"set xlabel {_quoted(plot.x)} noenhanced", f"set ylabel {_quoted(plot.y)} noenhanced",
             "set key outside right top noenhanced", "set grid lc rgb '#dddddd'",
             "set logscale y" if plot.log_y else "set yrange [0:*]", *plot.more]
    drawn = []
    for i, curve in enumerate(plot.curves):
        lines += [f"$c{i} << END", *(f"{x} {y}" for x, y in curve.points), "END"]
        marked = len(curve.points) <= MARKED_MOST
        kind = "steps" if curve.steps else "linespoints pt 7 ps 0.4" if marked else "lines"
        dashes = f"dt {1 + i // len(COLOURS)}"
        drawn.append(f"$c{i} with {kind} lw 2 {dashes} lc rgb '{COLOURS[i % len(COLOURS)]}' "
                     f"title {_quoted(curve.name)}")
    return "\n".join([*lines, "plot " + ", \\\n  ".join(drawn), ""])


def draw(plot: Plot, path: Path) -> None:
    result = subprocess.run(["gnuplot"], input=script(plot, path), capture_output=True, text=True,
                            check=False)
    if result.returncode or not path.exists():
        raise RuntimeError(f"gnuplot cannot draw {path.name}: {result.stderr.strip()}")
