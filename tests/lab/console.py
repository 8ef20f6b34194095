# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person sees: lines that stay, and one status line that is overwritten."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

# Without a terminal nothing can be overwritten: then a status is a line, but not too often.
QUIET_S = 5.0


class Console:
    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out, self._terminal = out, out.isatty()
        self._shown, self._last_s = False, 0.0

    def line(self, text: str = "") -> None:
        self._clear()
        print(text, file=self._out, flush=True)

    def status(self, text: str) -> None:
        now_s = time.monotonic()
        if self._terminal:
            self._out.write(f"\r\033[K{text[:110]}")
            self._out.flush()
            self._shown = True
        elif now_s - self._last_s >= QUIET_S:
            print(text, file=self._out, flush=True)
            self._last_s = now_s

    def _clear(self) -> None:
        if self._shown:
            self._out.write("\r\033[K")
            self._shown = False
        self._last_s = time.monotonic()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first two to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def format_row(row: Sequence[str]) -> str:
        return "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(row, widths))).rstrip()

    return "\n".join([format_row(head), "  ".join("-" * width for width in widths),
                      *map(format_row, rows)])


def count(n: float) -> str:
    """Three digits or four: 950, 12.3k, 1.20M."""
    for limit, divisor, digits, unit in ((1e4, 1, 0, ""), (1e6, 1e3, 1, "k")):
        if n < limit:
            return f"{n / divisor:.{digits}f}{unit}"
    return f"{n / 1e6:.2f}M"


def milliseconds(us: float | None) -> str:
    return "-" if us is None else f"{us / 1e3:.0f} ms"


LIVE_HEAD = ("  time   phase       pass  remaining   dirty/s  encrypt/s  batch  throttle"
             "  downtime (goal)      ETA")


def live_line(migration: dict[str, Any] | None, elapsed_s: float) -> str:
    """One look at a running migration, from sevmigd's properties; in pages."""
    if migration is None:
        return f"{elapsed_s:5.1f} s  not seen by sevmigd yet"
    get = migration.get
    predicted = milliseconds(get("PredictedDowntimeUs") or None)
    goal = milliseconds(get("DowntimeGoalUs") or None)
    eta = f"{get('EtaUs', 0) / 1e6:.1f} s" if get("EtaUs") else "-"
    return (f"{elapsed_s:5.1f} s  {get('Phase', '?'):<11} {get('Pass', 0):>4}"
            f"  {count(get('RemainingPages', 0)):>9}  {count(get('DirtyRate', 0)):>8}"
            f"  {count(get('EncryptionRate', 0)):>9}  {get('BatchPages', 0):>5}"
            f"  {get('ThrottlePercent', 0):>6} %  {predicted:>8} ({goal})  {eta:>8}")
