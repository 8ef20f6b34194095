#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A short soak, and what tells a leak from noise."""

import contextlib
import io
import unittest
from unittest import mock

from growth import Growth, Size
from lab.console import Console
from soak import hops, main, run

import firmware


class Leaks(unittest.TestCase):
    def growth(self, values):
        growth = Growth()
        for rss_kib, fds in values:
            growth.add(Size(rss_kib, fds))
        return growth

    def test_steady(self):
        noisy = [(50000 + 3000 * (i % 2), 16 + i % 2) for i in range(500)]
        self.assertEqual(run.leaks({'qemu': self.growth(noisy)}), [])

    def test_one_page_each_time(self):
        growth = self.growth([(50000 + 8 * i, 16) for i in range(500)])
        self.assertEqual(run.leaks({'qemu': growth}),
                         ['qemu: rss_kib grew from 50196 to 53796'])

    def test_one_file_in_ten(self):
        growth = self.growth([(50000, 16 + i // 10) for i in range(500)])
        self.assertEqual(run.leaks({'swpsp-a': growth}), ['swpsp-a: fds grew from 18 to 63'])

    def test_few_samples(self):
        self.assertEqual(self.growth([(1, 1), (2, 2), (30, 3)]).medians('rss_kib'), (1, 30))
        self.assertEqual(self.growth([(1, 1)]).medians('fds'), (1, 1))
        self.assertEqual(run.leaks({'qemu': self.growth([(1, 1), (2, 2), (9000, 2)])}), [])

    def test_course(self):
        growth = self.growth([(i, 1) for i in range(100)])
        self.assertEqual(growth.course('rss_kib'), [4.5 + 10 * i for i in range(10)])
        self.assertEqual(self.growth([(5, 1), (7, 1)]).course('rss_kib'), [5, 7])


class Ends(unittest.TestCase):
    """How `lab soak` ends when a run fails or is interrupted."""

    def ends(self, error):
        said = io.StringIO()
        with mock.patch.object(run, 'soak', side_effect=error), \
                mock.patch('sys.argv', ['soak', '--seed', '7']), \
                mock.patch.object(main, 'Console', lambda: Console(said)), \
                contextlib.redirect_stderr(said):
            return main.main(), said.getvalue()

    def test_error(self):
        for error in AssertionError('a wrong page'), TimeoutError('nothing moves'):
            with self.subTest(error=error):
                self.assertEqual(self.ends(error), (
                    1, f'lab: soak with seed 7: {type(error).__name__}: {error}\n'))

    def test_interrupted(self):
        self.assertEqual(self.ends(KeyboardInterrupt), (130, 'lab: interrupted\n'))


class Fails(unittest.TestCase):
    """The first migration that does not end as it was meant to ends the soak."""

    def test_one_that_was_to_complete(self):
        end = hops.Soak.end

        def spoilt(soak, ending, target):
            firmware.control(soak.firmwares[1 - soak.here].path, 'fault', op='RECEIVE_UPDATE_DATA',
                             error='INVALID_PARAM')
            end(soak, ending, target)

        said = io.StringIO()
        with mock.patch.object(hops.Soak, 'end', spoilt), mock.patch.object(hops, 'TROUBLE', 0), \
                mock.patch('sys.argv', ['soak', '--migrations', '20']), \
                mock.patch.object(main, 'Console', lambda: Console(said)):
            self.assertEqual(main.main(), 1)
        self.assertRegex(said.getvalue(), 'lab: soak with seed 1: AssertionError: a migration that was meant to '
                                          'complete has failed: .*RECEIVE_UPDATE_DATA failed: INVALID_PARAM')


class Short(unittest.TestCase):
    def test_dozen(self):
        """Twelve completed migrations; `lab soak` makes hundreds."""
        result = run.soak(12, 1, lambda text: None)
        self.assertEqual(result['counts']['completed'], 12, result)
        self.assertGreaterEqual(result['counts']['verified'], 12)
        self.assertGreaterEqual(result['counts']['tunes'], 24)
        self.assertLessEqual(result['processes']['qemu']['fds']['max'],
                             result['processes']['qemu']['fds']['first'] + 1, result)


if __name__ == '__main__':
    unittest.main()
