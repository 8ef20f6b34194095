# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads an observer's log: downtime, work lost, memory verified, all as seen from outside.

Pure but for reading the file. Times are CLOCK_MONOTONIC microseconds, as time.monotonic_ns().
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_BEAT = re.compile(r"^(\d+) (\d+) hb (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$")
_LINE = re.compile(r"^(\d+) (\d+) (.*)$")
_READY = re.compile(r"^ready (?:\w+=\S+ ?)+$")
_FATAL = re.compile(r"^fatal: (.*)$")


@dataclass(frozen=True)
class Beat:
    at_us: int  # host time
    connection: int
    seq: int
    guest_ms: int
    work_pages: int
    verified_pages: int
    walks: int
    errors: int


@dataclass(frozen=True)
class Gap:
    start_us: int
    length_us: int
    handover: bool  # the silence ended on another connection: the other host


@dataclass
class Log:
    """What a log says so far; `ready` holds the guest's own description of its load."""

    beats: list[Beat] = field(default_factory=list)
    ready: dict[str, str] = field(default_factory=dict)
    fatal: str | None = None
    other_lines: list[str] = field(default_factory=list)

    def feed(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._feed_line(line)

    def _feed_line(self, line: str) -> None:
        beat = _BEAT.match(line)
        if beat:
            self.beats.append(Beat(*map(int, beat.groups())))
            return
        split = _LINE.match(line)
        if not split:
            return
        text = split.group(3)
        if _READY.match(text):
            self.ready = dict(word.split("=", 1) for word in text.split()[1:])
        elif fatal := _FATAL.match(text):
            self.fatal = fatal.group(1)
        elif not text.startswith("hb "):  # a heartbeat cut in two by a migration says nothing
            self.other_lines.append(text)

    @property
    def pages(self) -> int:
        return int(self.ready.get("pages", 0))

    @property
    def rate(self) -> int:
        """Pages a second that the guest is asked to write; 0: as many as it can."""
        return 0 if self.ready.get("pattern") == "idle" else int(self.ready.get("rate", 0))

    @property
    def last(self) -> Beat | None:
        return self.beats[-1] if self.beats else None


class Follower:
    """A log that grows: poll() reads what is new, never half a line."""

    def __init__(self, path: Path) -> None:
        self.path, self.log = path, Log()
        self._offset, self._rest = 0, ""

    def poll(self) -> Log:
        try:
            with self.path.open(errors="replace") as file:
                file.seek(self._offset)
                text = self._rest + file.read()
                self._offset = file.tell()
        except FileNotFoundError:
            return self.log
        *lines, self._rest = text.split("\n")
        self.log.feed(lines)
        return self.log


def between(beats: Sequence[Beat], start_us: int, end_us: int) -> list[Beat]:
    return [beat for beat in beats if start_us <= beat.at_us <= end_us]


def gaps(beats: Sequence[Beat], start_us: int, end_us: int) -> list[Gap]:
    """The silences that overlap a window, whole, in order.

    A last silence without an end is no gap: nobody knows its length.
    """
    return [Gap(a.at_us, b.at_us - a.at_us, a.connection != b.connection)
            for a, b in zip(beats, beats[1:]) if b.at_us > start_us and a.at_us < end_us]


def largest_gap(beats: Sequence[Beat], start_us: int, end_us: int) -> Gap | None:
    return max(gaps(beats, start_us, end_us), key=lambda gap: gap.length_us, default=None)


def handover_gap(beats: Sequence[Beat], start_us: int, end_us: int) -> Gap | None:
    """The silence in which the guest changed hosts; None if it did not."""
    return max((gap for gap in gaps(beats, start_us, end_us) if gap.handover),
               key=lambda gap: gap.length_us, default=None)


def work_rate(beats: Sequence[Beat], start_us: int, end_us: int) -> float | None:
    """Pages written a second within a window; None if it is too short to tell."""
    inside = between(beats, start_us, end_us)
    if len(inside) < 2 or inside[-1].at_us == inside[0].at_us:
        return None
    done = inside[-1].work_pages - inside[0].work_pages
    return done * 1e6 / (inside[-1].at_us - inside[0].at_us)


def work_lost_ms(beats: Sequence[Beat], start_us: int, end_us: int,
                 usual_pages_per_s: float | None) -> float | None:
    """The usual work missing from a window, as time at the usual rate; None for an idle guest.

    Never negative: a guest that catches up has lost nothing.
    """
    inside = between(beats, start_us, end_us)
    if len(inside) < 2 or not usual_pages_per_s:
        return None
    span_s = (inside[-1].at_us - inside[0].at_us) / 1e6
    done = inside[-1].work_pages - inside[0].work_pages
    return max(0.0, (span_s - done / usual_pages_per_s) * 1e3)


def verified_since(log: Log, at_us: int) -> bool | None:
    """Has every page been verified since at_us? None: not yet; False: there were errors.

    The guest walks its pages in a circle, so that as many verifications as there are pages reach
    every page once, wherever the walk stood. Its sum over the generations is checked at the end of
    each walk only, so that one end must lie in between.
    """
    if log.last and log.last.errors:
        return False
    after = [beat for beat in log.beats if beat.at_us >= at_us]
    if not after or not log.pages:
        return None
    first, last = after[0], after[-1]
    enough = last.verified_pages - first.verified_pages >= log.pages
    return True if enough and last.walks > first.walks else None
