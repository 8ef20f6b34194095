# SPDX-License-Identifier: LGPL-2.1-or-later
import unittest

from bench import theory


class Theory(unittest.TestCase):
    def test_published_cost_of_one_page(self):
        for split in (0, 0.2, 0.5, 0.8, 1):
            self.assertAlmostEqual(theory.submission_us(1, split), 1003)
        self.assertAlmostEqual(theory.submission_us(1, 0.5, 20), 50.15)

    def test_one_full_command(self):
        """Pages a second at four pages a command, as the published figures have them."""
        for split, pages_per_s in ((0.2, 1173), (0.5, 1595), (0.8, 2493)):
            self.assertAlmostEqual(theory.pages_per_s(4, split), pages_per_s, delta=1)

    def test_the_last_command_of_a_batch_may_be_short(self):
        self.assertAlmostEqual(theory.submission_us(5, 0.5),
                               0.25 * 1003 + 2 * 0.25 * 1003 + 5 * 0.5 * 1003)

    def test_speedup_has_a_limit(self):
        """All that remains of the fixed part is a quarter of a command's."""
        for split in (0.2, 0.5, 0.8):
            limit = 1 / (1 - split + split / 8)
            self.assertLess(theory.speedup(1024, split), limit)
            self.assertGreater(theory.speedup(1024, split), 0.995 * limit)

    def test_pieces(self):
        """A late pass of single pages pays a command for each."""
        self.assertAlmostEqual(theory.cost_us(1, 64, 64, 0.5) / 64, 1003 * (0.75 + 0.25 / 64))


if __name__ == "__main__":
    unittest.main()
