# SPDX-License-Identifier: LGPL-2.1-or-later
"""A soak: many migrations, then whether anything was damaged or grew."""

import contextlib
import os
import pathlib
import tempfile
import time
from unittest import mock

from lab.console import table
from soak import hops

# A leak of one page of the guest in each of 500 migrations would show as 1800 KiB more.
MOST_GROWTH_KIB = 1500
# What is freed goes back at once, or a heap that holds on to it would look like a leak.
MALLOC = {'MALLOC_ARENA_MAX': '1', 'MALLOC_MMAP_THRESHOLD_': '32768',
          'MALLOC_TRIM_THRESHOLD_': '32768'}
# One in five migrations more, in place, none of which completes.
IN_PLACE_SHARE = 5


def leaks(growth):
    """What grew, in words; samples say how often each process was looked at."""
    found = []
    for name, one in growth.items():
        for field, most in (('rss_kib', MOST_GROWTH_KIB), ('fds', 1)):
            first, last = one.medians(field)
            if last > first + most and (field == 'fds' or one.enough()):
                found.append(f'{name}: {field} grew from {first:g} to {last:g}')
    return found


def soak(migrations, seed, progress):
    """The result as it is written to --json; an AssertionError if anything went wrong."""
    started_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        directory = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix='sevmig-')))
        stack.enter_context(mock.patch.dict(os.environ, MALLOC))
        run = hops.Soak(directory, stack, seed)
        run.back_and_forth(migrations, progress)
        migrations_s = time.monotonic() - started_s
        run.in_place(max(1, migrations // IN_PLACE_SHARE), progress)
    return {
        'migrations': migrations,
        'seed': seed,
        'time_scale': hops.TIME_SCALE,
        'seconds': round(time.monotonic() - started_s, 1),
        'seconds_per_migration': round(migrations_s / migrations, 3),
        'counts': dict(run.counts),
        'processes': {name: one.summary() for name, one in sorted(run.growth.items())},
        'leaks': leaks(run.growth),
    }


def show(result, console):
    rows = [[name, str(one['samples'])] + [f'{one[field][when]:g}'
                                           for field in ('rss_kib', 'fds')
                                           for when in ('first', 'last', 'max')]
            for name, one in result['processes'].items()]
    console.line(table(['process', 'samples', 'RSS KiB', 'then', 'most', 'files', 'then', 'most'],
                       rows))
    console.line(f"{result['migrations']} migrations at time scale {result['time_scale']}, "
                 f"{result['seconds_per_migration']:.2f} s each, memory verified after each; "
                 + ', '.join(f'{count} {name}' for name, count in result['counts'].items()))
    for leak in result['leaks']:
        console.line(f'LEAK: {leak}')

