# SPDX-License-Identifier: LGPL-2.1-or-later
"""The firmware's cost model (qemu/swpsp/swpsp-cost.h), written down a second time on purpose: what
is measured is compared with what the model says, not with what the program says of itself."""

from __future__ import annotations

import math

PAGE_US = 1003.0       # one page in a submission of its own
SUBMIT_SHARE = 0.5     # of the fixed part; the rest belongs to each command
COMMAND_PAGES = 4      # most pages of one command


def cost_us(submissions: float, commands: float, pages: float, split: float,
            time_scale: float = 1) -> float:
    """How long the firmware needs for so much work; `split` is the fixed share of a page's cost."""
    fixed_us = PAGE_US * split
    return (submissions * fixed_us * SUBMIT_SHARE + commands * fixed_us * (1 - SUBMIT_SHARE)
            + pages * PAGE_US * (1 - split)) / time_scale


def submission_us(batch_pages: int, split: float, time_scale: float = 1) -> float:
    """One submission of contiguous pages."""
    return cost_us(1, math.ceil(batch_pages / COMMAND_PAGES), batch_pages, split, time_scale)


def pages_per_s(batch_pages: int, split: float, time_scale: float = 1) -> float:
    """The most the model allows, were the firmware never idle."""
    return batch_pages * 1e6 / submission_us(batch_pages, split, time_scale)


def speedup(batch_pages: int, split: float) -> float:
    """Pages a second in such submissions over pages a second one by one."""
    return pages_per_s(batch_pages, split) / pages_per_s(1, split)
