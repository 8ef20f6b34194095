# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sizes of a process over time, and whether it grew."""

import dataclasses
import os
import pathlib
import re
import statistics

# Samples at the beginning and at the end that are compared.
WINDOW = 50
# Fewer say nothing of memory.
ENOUGH = 2 * WINDOW


@dataclasses.dataclass(frozen=True)
class Size:
    rss_kib: int
    fds: int

    @classmethod
    def of(cls, pid):
        status = pathlib.Path(f'/proc/{pid}/status').read_text()
        return cls(int(re.search(r'^VmRSS:\s+(\d+) kB$', status, re.M).group(1)),
                   len(os.listdir(f'/proc/{pid}/fd')))


class Growth:
    """Sizes in the order in which they were taken."""

    def __init__(self):
        self.sizes = []

    def add(self, size):
        self.sizes.append(size)

    def medians(self, field):
        """Of the first and of the last samples; of a third each if there are few."""
        values = [getattr(size, field) for size in self.sizes]
        window = max(1, min(WINDOW, len(values) // 3))
        return statistics.median(values[:window]), statistics.median(values[-window:])

    def enough(self):
        return len(self.sizes) >= ENOUGH

    def summary(self):
        result = {'samples': len(self.sizes)}
        for field in ('rss_kib', 'fds'):
            first, last = self.medians(field)
            result[field] = {'first': first, 'last': last,
                             'max': max(getattr(size, field) for size in self.sizes),
                             'course': self.course(field)}
        return result

    def course(self, field):
        """Medians of tenths: a leak goes up all the way."""
        values = [getattr(size, field) for size in self.sizes]
        ends = [len(values) * i // 10 for i in range(11)]
        return [statistics.median(values[start:end])
                for start, end in zip(ends, ends[1:]) if end > start]
