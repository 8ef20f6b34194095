# SPDX-License-Identifier: LGPL-2.1-or-later
import unittest

from bench import figures
from bench.figures import Figures, percentile


class Percentile(unittest.TestCase):
    def test_nearest_rank(self):
        values = list(range(100, 0, -1))
        self.assertEqual([percentile(values, p) for p in (0, 1, 50, 99, 99.5, 100)],
                         [1, 1, 50, 99, 100, 100])

    def test_a_rare_value_is_the_99th_percentile_of_few(self):
        self.assertEqual(percentile([1] * 98 + [500], 99), 500)
        self.assertEqual(percentile([1] * 199 + [500], 99), 1)
        self.assertEqual(percentile([7], 50), 7)


class Spread(unittest.TestCase):
    def setUp(self):
        self.figures = Figures("lab bench x")
        for value in (5, 1, 9, 2):
            self.figures.add("time, a", value, "ms", 20, 0.5)
        self.figures.add("time, b", -1, "ms", 20, 0.5)
        self.figures.add("other", 3, "", None, None)

    def test_json(self):
        self.assertEqual(self.figures["time, a"].as_json(), {
            "n": 4, "median": 3.5, "min": 1, "max": 9, "unit": "ms", "time_scale": 20,
            "cost_split": 0.5, "command": "lab bench x"})

    def test_medians_by_prefix(self):
        self.assertEqual(self.figures.medians("time"), {"time, a": 3.5, "time, b": -1})

    def test_one_figure_has_one_condition(self):
        with self.assertRaises(ValueError):
            self.figures.add("time, a", 1, "ms", 1, 0.5)

    def test_rows_stand_below_the_head(self):
        head, row = figures.head(), figures.row(self.figures["time, a"])
        for name, cell in (("median", "3.5"), ("smallest", "1"), ("largest", "9"), ("n", "4")):
            end = head.index(f" {name} ") + len(name) + 1
            self.assertTrue(row[:end].endswith(f" {cell}"), (name, row))
        self.assertTrue(row.endswith("ms"))


if __name__ == "__main__":
    unittest.main()
