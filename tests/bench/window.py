# SPDX-License-Identifier: LGPL-2.1-or-later
"""How fast a firmware is served, over a while in the middle of a migration.

The firmware counts a submission when it begins to serve it. Where submissions are long, a window
reaches from one such moment to another, so that it holds whole submissions only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import firmware
import harness

LONG_S = 0.004      # submissions longer than this are waited for
LOOKS = 40          # at the counters during one of them
LEAST_SUBMISSIONS = 4
IN_FLIGHT = 3       # submissions that may have been gathered already: two submitted, one on its way


@dataclass(frozen=True)
class Window:
    """What was served, in seconds."""

    seconds: float
    pages: int
    service_s: float

    @property
    def pages_per_s(self) -> float:
        return self.pages / self.seconds

    @property
    def busy(self) -> float:
        """The share of time in which the firmware worked."""
        return self.service_s / self.seconds


def _after(psp: Path, submissions: int, submission_s: float) -> dict:
    """The firmware's counters when it has begun to serve so many more submissions."""
    now = firmware.stats(psp)
    until = now["submissions"] + submissions
    deadline = time.monotonic() + harness.PATIENCE_S
    while now["submissions"] < until:
        if time.monotonic() > deadline:
            raise TimeoutError("the firmware has nothing to do: the guest is too small")
        time.sleep(max(submission_s / LOOKS, 0.001))
        now = firmware.stats(psp)
    return now


def _next(psp: Path, submission_s: float) -> dict:
    """The counters at the beginning of a submission, if those are long."""
    return _after(psp, 1 if submission_s > LONG_S else 0, submission_s)


def settle(psp: Path, batch: int, submission_s: float) -> None:
    """Wait until the firmware is served batches of that size, and what was gathered before the
    newest tune has passed through."""
    now = _after(psp, IN_FLIGHT, submission_s)
    while True:
        before, now = now, _after(psp, 1, submission_s)
        pages, submissions = (now[key] - before[key] for key in ("pages", "submissions"))
        if pages == batch * submissions:
            return


def measure(psp: Path, submission_s: float, least_s: float) -> Window:
    start = _next(psp, submission_s)
    time.sleep(max(least_s, (LEAST_SUBMISSIONS - 0.5) * submission_s))
    end = _next(psp, submission_s)
    seconds, pages, service_s = ((end[key] - start[key]) / scale for key, scale in (
        ("uptime_us", 1e6), ("pages", 1), ("service_us", 1e6)))
    if not pages:
        raise TimeoutError("the firmware has nothing to do: the guest is too small")
    return Window(seconds, int(pages), service_s)
