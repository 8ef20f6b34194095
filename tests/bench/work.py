# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's own work, read from its heartbeats: how much of the time did it run? Pure."""

from __future__ import annotations

from collections.abc import Sequence

from lab.heartbeat import Beat, between

# A stun shorter than this is not seen as a silence between heartbeats.
LEAST_SILENCE_US = 10_000


def whole_periods(beats: Sequence[Beat], stun_us: float) -> list[Beat]:
    """The beats that end a stun, if stuns are long enough to be seen: between any two of them there
    is a whole number of periods. Else all beats."""
    if stun_us < LEAST_SILENCE_US:
        return list(beats)
    return [b for a, b in zip(beats, beats[1:]) if b.at_us - a.at_us > stun_us / 2]


def pages_per_s(beats: Sequence[Beat], start_us: int, end_us: int, stun_us: float = 0) -> float:
    """Work within a window."""
    inside = whole_periods(between(beats, start_us, end_us), stun_us)
    if len(inside) < 2 or inside[-1].at_us == inside[0].at_us:
        raise ValueError("too few heartbeats to tell how much work was done")
    done = inside[-1].work_pages - inside[0].work_pages
    return done * 1e6 / (inside[-1].at_us - inside[0].at_us)


def stun_us(slice_us: int, percent: int) -> float:
    """How long QEMU keeps a vCPU from running after each slice."""
    return slice_us * percent / (100 - percent)


def first_after(beats: Sequence[Beat], at_us: int) -> Beat | None:
    return next((beat for beat in beats if beat.at_us > at_us), None)
