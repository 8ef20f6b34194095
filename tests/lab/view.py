# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view of a migration: what `sevmigctl watch` shows on the source host."""

from __future__ import annotations

import subprocess
import threading
from types import TracebackType

from .console import Console
from .hosts import Host

END_S = 3.0  # for the view to tell the end by itself


class LiveView:
    """Runs while a migration does. On a terminal sevmigctl draws by itself, in place."""

    def __init__(self, host: Host, domain: str, console: Console) -> None:
        self._host, self._domain, self._console = host, domain, console

    def __enter__(self) -> LiveView:
        argv = self._host.command(["sevmigctl", "watch", "--interval", "0.5", self._domain])
        own = self._console.terminal
        self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, text=True,
                                         stdout=None if own else subprocess.PIPE,
                                         stderr=None if own else subprocess.STDOUT)
        self._reader = threading.Thread(target=self._forward, daemon=True)
        self._reader.start()
        return self

    def _forward(self) -> None:
        """Line by line; a reason is shown once, not again with every line."""
        shown = ""
        for line in self._process.stdout or ():
            figures, _, reason = line.rstrip().partition(", decision: ")
            self._console.line(f"{figures}, decision: {reason}" if reason not in ("", shown)
                               else figures)
            shown = reason or shown

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: TracebackType | None) -> None:
        try:
            self._process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            self._process.wait()
        self._reader.join()
