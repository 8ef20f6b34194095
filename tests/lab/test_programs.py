# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's own programs in C: the load that both guests run, and the observer."""

import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from lab.heartbeat import Follower

TESTS = Path(__file__).resolve().parents[1]
CC = ["gcc", "-std=gnu11", "-g", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
      "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


class Program(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = Path(self.directory.name)

    def compile(self, name, *sources):
        program = self.path / name
        done = subprocess.run([*CC, "-o", program, *(TESTS / source for source in sources)],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return program


class Workload(Program):
    def test_workload(self):
        program = self.compile("workload", "guests/common/test-workload.c",
                               "guests/common/workload.c")
        done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Observer(Program):
    def setUp(self):
        super().setUp()
        self.socket, log = self.path / "socket", self.path / "log"
        program = self.compile("observer", "lab/observer.c")
        self.process = subprocess.Popen([program, self.socket, log])
        self.addCleanup(self.end)
        self.until(self.socket.exists)
        self.follower = Follower(log)

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=10)

    def until(self, true):
        deadline = time.monotonic() + 20
        while not true():
            self.assertIsNone(self.process.poll(), "the observer ended")
            self.assertLess(time.monotonic(), deadline, "nothing came of it")
            time.sleep(0.01)

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        # The socket is there a moment before the observer listens on it.
        self.until(lambda: client.connect_ex(str(self.socket)) == 0)
        return client

    def test_two_hosts_at_once(self):
        source, destination = self.connect(), self.connect()
        source.sendall(b"hb 1 5 0 0 0 0\r\nhb 2 1")
        self.until(lambda: len(self.follower.poll().beats) == 1)
        destination.sendall(b"0 0 0 0 0\nhb 3 15 0 0 0 0\n")  # the rest of a line that was cut
        self.until(lambda: len(self.follower.poll().beats) == 2)
        beats = self.follower.log.beats
        self.assertEqual([(b.connection, b.seq) for b in beats], [(1, 1), (2, 3)])
        self.assertLessEqual(beats[0].at_us, beats[1].at_us)
        self.assertLess(abs(time.monotonic_ns() // 1000 - beats[1].at_us), 20_000_000)

    def test_endless_and_unprintable_lines(self):
        client = self.connect()
        client.sendall(b"\x1b[2J\x00" + b"x" * 2000 + b"\nhb 1 5 0 0 0 0\n")
        self.until(lambda: self.follower.poll().beats)
        said = self.follower.log.other_lines
        self.assertEqual(said[0], "+open")
        self.assertTrue(said[1].startswith("?[2J?xxx"))
        self.assertTrue(all(len(line) <= 512 for line in said))

    def test_a_closed_connection_leaves_the_others(self):
        first, second = self.connect(), self.connect()
        first.close()
        self.until(lambda: "+close" in self.follower.poll().other_lines)
        second.sendall(b"hb 1 5 0 0 0 0\n")
        self.until(lambda: self.follower.poll().beats)
        self.assertEqual(self.follower.log.beats[0].connection, 2)


if __name__ == "__main__":
    unittest.main()
