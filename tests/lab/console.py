# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a person sees: lines that stay, and one status line that is overwritten."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TextIO

# Without a terminal nothing can be overwritten: then a status is a line, but not too often.
QUIET_S = 5.0


class Console:
    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out, self.terminal = out, out.isatty()
        self._shown, self._last_s = False, 0.0

    def line(self, text: str = "") -> None:
        self.clear()
        print(text, file=self._out, flush=True)

    def status(self, text: str) -> None:
        now_s = time.monotonic()
        if self.terminal:
            self._out.write(f"\r\033[K{text[:110]}")
            self._out.flush()
            self._shown = True
        elif now_s - self._last_s >= QUIET_S:
            print(text, file=self._out, flush=True)
            self._last_s = now_s

    def clear(self) -> None:
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
