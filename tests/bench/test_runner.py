# SPDX-License-Identifier: LGPL-2.1-or-later
import io
import json
import tempfile
import unittest
from pathlib import Path

from bench.runner import Part, run_parts
from lab.console import Console


def good(bench):
    for run in bench.runs():
        bench.figures.add("size", 10 * run, "cm", 20, 0.5)


def bad(bench):
    bench.figures.add("size", 1, "cm")
    raise TimeoutError("nothing moves")


PARTS = [Part("bad", "fails", ("x",), bad, lambda _: {"x": 1}),
         Part("good", "works", ("y",), good, lambda figures: {"y": figures["size"].median})]


class Run(unittest.TestCase):
    def test_a_part_that_fails_leaves_the_others(self):
        out = io.StringIO()
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "json"
            self.assertFalse(run_parts("some", {"a": 1}, PARTS, 3, path, Console(out)))
            found = json.loads(path.read_text())
        self.assertEqual((found["y"], found["failed"], found["conditions"]),
                         (10, ["bad"], {"a": 1}))
        self.assertNotIn("x", found)
        self.assertEqual(list(found["figures"]), ["good: size"])
        self.assertEqual(found["figures"]["good: size"]["command"],
                         "lab bench some --only good --runs 3")
        self.assertIn("FAILED: TimeoutError: nothing moves", out.getvalue())

    def test_without_a_file(self):
        self.assertTrue(run_parts("some", {}, PARTS[1:], 1, None, Console(io.StringIO())))


if __name__ == "__main__":
    unittest.main()
