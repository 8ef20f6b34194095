# SPDX-License-Identifier: LGPL-2.1-or-later
import tempfile
import unittest
from pathlib import Path

from lab import heartbeat
from lab.heartbeat import Beat, Follower, Log


def beats(*times_ms, connection=1, work_per_ms=2, **fields):
    return [Beat(at_us=t * 1000, connection=connection, seq=i, guest_ms=t,
                 work_pages=t * work_per_ms, verified_pages=fields.get("verified", 0),
                 walks=0, errors=fields.get("errors", 0)) for i, t in enumerate(times_ms)]


class Parsing(unittest.TestCase):
    def test_lines_of_all_kinds(self):
        log = Log()
        log.feed(["100 1 +open", "200 1 SeaBIOS (version 1)",
                  "300 1 ready pages=64 pattern=hot rate=3000 ws_pages=32 run=4 cost=0 verify=8",
                  "400 1 hb 0 10 3 4 5 6", "500 2 b 1 2 3", "600 1 hb 1 2", "junk"])
        self.assertEqual(log.beats, [Beat(400, 1, 0, 10, 3, 4, 5, 6)])
        self.assertEqual((log.pages, log.rate), (64, 3000))
        self.assertEqual(log.ready["pattern"], "hot")
        self.assertEqual(log.other_lines, ["+open", "SeaBIOS (version 1)", "b 1 2 3"])
        self.assertIsNone(log.fatal)

    def test_fatal(self):
        log = Log()
        log.feed(["1 1 fatal: bad parameter: rate=x"])
        self.assertEqual(log.fatal, "bad parameter: rate=x")

    def test_a_growing_file_is_never_read_by_half_lines(self):
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "log"
            follower = Follower(path)
            self.assertEqual(follower.poll().beats, [])
            path.write_text("400 1 hb 0 10 3 4 5 6\n500 1 hb 1 10 3 4 5")
            self.assertEqual(len(follower.poll().beats), 1)
            with path.open("a") as file:
                file.write("7 0\n")
            log = follower.poll()
            self.assertEqual((len(log.beats), log.last.walks, log.last.errors), (2, 57, 0))


class Gaps(unittest.TestCase):
    def test_largest_within_the_window_only(self):
        trail = beats(0, 90, 95, 100, 140, 145, 400)
        gap = heartbeat.largest_gap(trail, 95_000, 145_000)
        self.assertEqual((gap.start_us, gap.length_us), (100_000, 40_000))

    def test_a_gap_across_the_edge_counts_whole(self):
        trail = beats(0, 5, 10, 300, 305)
        self.assertEqual(heartbeat.largest_gap(trail, 100_000, 200_000).length_us, 290_000)

    def test_silence_without_end_is_no_gap(self):
        self.assertIsNone(heartbeat.largest_gap(beats(5), 0, 10_000_000))
        self.assertIsNone(heartbeat.largest_gap([], 0, 10_000_000))

    def test_handover_is_told_from_a_stun(self):
        trail = beats(0, 5, 500) + beats(560, 565, connection=2)
        self.assertEqual(heartbeat.largest_gap(trail, 0, 600_000).length_us, 495_000)
        self.assertEqual(heartbeat.handover_gap(trail, 0, 600_000).length_us, 60_000)
        self.assertIsNone(heartbeat.handover_gap(beats(0, 5, 500), 0, 600_000))


class Work(unittest.TestCase):
    def test_rate(self):
        self.assertAlmostEqual(heartbeat.work_rate(beats(0, 500, 1000), 0, 1_000_000), 2000)
        self.assertIsNone(heartbeat.work_rate(beats(0), 0, 1_000_000))

    def test_lost(self):
        trail = [Beat(0, 1, 0, 0, 0, 0, 0, 0), Beat(1_000_000, 1, 1, 0, 500, 0, 0, 0)]
        self.assertAlmostEqual(heartbeat.work_lost_ms(trail, 0, 1_000_000, 2000), 750)

    def test_catching_up_loses_nothing(self):
        self.assertEqual(heartbeat.work_lost_ms(beats(0, 1000), 0, 1_000_000, 1000), 0)

    def test_an_idle_guest_has_none_to_lose(self):
        self.assertIsNone(heartbeat.work_lost_ms(beats(0, 1000, work_per_ms=0), 0, 1_000_000, 0.0))


class Verification(unittest.TestCase):
    def log(self, *beats_):
        return Log(beats=[Beat(at, 1, 0, 0, 0, verified, walks, errors)
                          for at, verified, walks, errors in beats_], ready={"pages": "100"})

    def test_not_yet(self):
        self.assertIsNone(heartbeat.verified_since(self.log((10, 0, 0, 0), (20, 99, 0, 0)), 10))

    def test_each_page_once_from_the_middle_of_a_walk(self):
        log = self.log((5, 10, 0, 0), (10, 50, 0, 0), (20, 150, 1, 0))
        self.assertTrue(heartbeat.verified_since(log, 10))

    def test_what_was_verified_before_does_not_count(self):
        log = self.log((5, 10, 0, 0), (10, 110, 1, 0), (20, 130, 1, 0))
        self.assertIsNone(heartbeat.verified_since(log, 6))

    def test_any_error_is_final(self):
        log = self.log((10, 0, 0, 0), (20, 150, 1, 1))
        self.assertIs(heartbeat.verified_since(log, 10), False)

    def test_unknown_size_proves_nothing(self):
        log = Log(beats=beats(0, 5, 10))
        self.assertIsNone(heartbeat.verified_since(log, 0))


if __name__ == "__main__":
    unittest.main()
