# SPDX-License-Identifier: LGPL-2.1-or-later
import unittest

from bench import work
from lab.heartbeat import Beat


def guest(percent, slice_us, seconds, beat_us=2000, per_us=0.1):
    """Beats of a guest that works in running slices only."""
    beats, period_us = [], slice_us * 100 / (100 - percent)
    ran_us = due_us = 0
    for at_us in range(0, int(seconds * 1e6), 100):
        if at_us % period_us >= slice_us:
            continue
        ran_us += 100
        if at_us >= due_us:
            beats.append(Beat(at_us, 1, len(beats), 0, int(ran_us * per_us), 0, 0, 0))
            due_us = at_us + beat_us
    return beats


class Share(unittest.TestCase):
    def test_what_is_asked_is_seen(self):
        for slice_us in (1000, 10000):
            for percent in (0, 5, 25, 50, 75, 95):
                with self.subTest(slice_us=slice_us, percent=percent):
                    beats = guest(percent, slice_us, 4)
                    rate = work.pages_per_s(beats, 170_000, 3_930_000,
                                            work.stun_us(slice_us, percent))
                    self.assertAlmostEqual(100 * (1 - rate / 100_000), percent, delta=0.25)

    def test_whole_periods_only(self):
        beats = guest(90, 10000, 1)
        ends = work.whole_periods(beats, work.stun_us(10000, 90))
        self.assertEqual({(b.at_us - a.at_us) // 100_000 for a, b in zip(ends, ends[1:])}, {1})
        self.assertEqual(work.whole_periods(beats, 4000), beats)

    def test_silence_tells_nothing(self):
        with self.assertRaises(ValueError):
            work.pages_per_s(guest(0, 1000, 1), 2_000_000, 3_000_000)

    def test_stun(self):
        self.assertEqual(work.stun_us(10000, 95), 190000)
        self.assertEqual(work.stun_us(10000, 0), 0)

    def test_first_after(self):
        beats = guest(0, 1000, 1)
        self.assertEqual(work.first_after(beats, 5000).at_us, 6000)
        self.assertIsNone(work.first_after(beats, 10**9))


if __name__ == "__main__":
    unittest.main()
