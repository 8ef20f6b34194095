# SPDX-License-Identifier: LGPL-2.1-or-later
"""Policies and live domains: written into a domain, and changed in the middle of a migration."""

import json
import time
import unittest

from lab import firmware
from lab.hosts import HOSTS
from scene import ADMIN_POLICIES, SLOW_SCALE, HostCase, Under, set_time_scale, write_on_host

SINGLE = "<policy xmlns='urn:sevmig:policy:1' name='single'><batch><pages>1</pages></batch></policy>\n"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


class PolicyCase(HostCase):
    host = HOSTS["a"]

    def ctl(self, *arguments):
        return self.host.run(["sevmigctl", "policy", *arguments]).stdout

    def refused(self, *arguments, user=()):
        done = self.host.run([*user, "sevmigctl", "policy", *arguments], check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        return done.stderr

    def ctl_steer(self, *arguments):
        return self.host.run(["sevmigctl", "steer", *arguments]).stdout

    def ctl_steer_refused(self, *arguments, user=()):
        done = self.host.run([*user, "sevmigctl", "steer", *arguments], check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        return done.stderr

    def slow(self):
        scale = firmware.time_scale(self.host)
        self.addCleanup(set_time_scale, scale)
        set_time_scale(SLOW_SCALE)

    def end(self, under):
        under.domain.abortJob()
        under.wait_end(30)
        return under.wait_daemon_end()


class Assigned(PolicyCase):
    def metadata(self, guest):
        return self.host.run(["virsh", "-c", "qemu:///system", "metadata", guest.name, "urn:sevmig:domain:1"],
                             check=False).stdout.strip()

    def test_in_and_out(self):
        guest = self.start("assigned")
        self.assertEqual(self.ctl("assign", guest.name, "low-downtime", "--live", "--on-failure", "refuse"),
                         "assigned: assigned low-downtime\n")
        self.assertRegex(self.metadata(guest), r"^<policy name=.low-downtime. on-failure=.refuse./>$")
        self.assertIn("governed by low-downtime", self.ctl("explain", guest.name))
        self.ctl("assign", guest.name, "gentle")
        self.assertIn("gentle", self.metadata(guest))
        self.assertEqual(self.ctl("unassign", guest.name), "assigned: no policy of its own\n")
        self.assertEqual(self.metadata(guest), "")
        self.assertIn("governed by default", self.ctl("explain", guest.name))

    def test_not_during_a_migration(self):
        self.slow()
        guest = self.start("moving")
        with Under(guest) as under:
            under.wait_for("the first pass is under way", lambda view: view["Phase"] == "bulk")
            for arguments in (("assign", guest.name, "gentle"), ("unassign", guest.name)):
                started = time.monotonic()
                message = self.refused(*arguments)
                self.assertIn("sevmigctl policy switch", message)
                self.assertLess(time.monotonic() - started, 5, "libvirt alone would wait for 30 s")
            self.end(under)


class Switched(PolicyCase):
    def setUp(self):
        super().setUp()
        self.slow()
        write_on_host(self.host, f"{ADMIN_POLICIES}/single.xml", SINGLE)
        self.addCleanup(self.ctl, "reload")
        self.addCleanup(self.host.run, ["rm", f"{ADMIN_POLICIES}/single.xml"])
        self.ctl("reload")

    def record(self, books):
        text = self.host.run(["cat", books["RecordFile"]]).stdout
        return [json.loads(line) for line in text.splitlines()[1:]]

    def in_force_after(self, steps, change, single):
        """How many samples after the change the batch shows it, and how many milliseconds."""
        after = [step for step in steps[change + 1:] if step["event"] == "sample"]
        number, first = next((number, step) for number, step in enumerate(after, 1)
                             if (step["sample"]["batch-pages"] == 1) == single)
        return number, (first["t"] - steps[change]["t"]) / 1000

    def test_there_and_back(self):
        guest = self.start("switched")
        with Under(guest) as under:
            before = under.wait_for("pages go in batches", lambda view: view["BatchPages"] > 1)
            self.assertEqual((before["Policy"], before["PolicySource"]), ("default", "default"))
            self.assertIn("single from now on, default before",
                          self.ctl("switch", guest.name, "single", "--reason", "a rehearsal"))
            there = under.wait_for("one page a batch", lambda view: view["BatchPages"] == 1, 10)
            self.assertEqual((there["Policy"], there["PolicySource"]), ("single", "operator"))
            self.assertEqual(there["Note"], "policy single by root (uid 0): a rehearsal")
            self.ctl("switch", there["Id"], "default")
            under.wait_for("batches again", lambda view: view["BatchPages"] > 1, 10)
            books = self.end(under)
        steps = self.record(books)
        changes = [number for number, step in enumerate(steps) if step["event"] == "policy"]
        self.assertEqual([steps[number]["by"] for number in changes],
                         [{"policy": "single", "who": "root (uid 0)", "why": "a rehearsal"},
                          {"policy": "default", "who": "root (uid 0)", "why": ""}])
        self.assertEqual([steps[number]["params"]["batch-pages"] for number in changes], [1, 0])
        # One sample brings what is decided on, the next what is in force then; before them one may come
        # that was under way, or too soon after another to say anything.
        for change, single in zip(changes, (True, False)):
            samples, milliseconds = self.in_force_after(steps, change, single)
            self.assertLessEqual(samples, 3)
            self.assertLess(milliseconds, 500, "a tick is 100 ms, a busy machine late")
        replayed = self.host.run(["sevmigctl", "replay", books["RecordFile"]]).stdout
        self.assertIn("\nidentical: ", replayed)
        self.assertRegex(replayed, r"(?m)^at \d+\.\d s single by root \(uid 0\): a rehearsal$")
        self.assertIn("has ended", self.refused("switch", books["Id"], "single"))
        self.assert_runs_on(guest, self.host)

    def test_by_hand(self):
        guest = self.start("steered")
        with Under(guest) as under:
            under.wait_for("it is throttled", lambda view: view["ThrottlePercent"] > 0)
            self.assertIn("expected at most", self.ctl_steer_refused(guest.name, "--throttle", "99"))
            self.ctl_steer(guest.name, "--throttle", "0", "--batch", "2", "--reason", "too slow")
            view = under.wait_for("it runs freely", lambda view: view["ThrottlePercent"] == 0
                                  and view["BatchPages"] == 2, 10)
            self.assertEqual((view["Policy"], view["PolicySource"]), ("default", "default"))
            self.assertIn("set by hand by root (uid 0): too slow", view["Note"])
            self.ctl_steer(guest.name, "--auto")
            under.wait_for("it is throttled again", lambda view: view["ThrottlePercent"] > 0
                           and view["BatchPages"] > 2, 20)
            books = self.end(under)
        by_hand, back = [step for step in self.record(books) if step["event"] == "policy"]
        self.assertEqual(by_hand["by"], {"policy": "default", "who": "root (uid 0)", "why": "too slow"})
        self.assertEqual((by_hand["params"]["throttle-ceiling-percent"], by_hand["params"]["batch-pages"]), (0, 2))
        self.assertGreater(back["params"]["throttle-ceiling-percent"], 0)
        self.assert_runs_on(guest, self.host)

    def test_who_may(self):
        guest = self.start("guarded")
        with Under(guest) as under:
            view = under.wait_for("it is steered", lambda view: view["State"] == "steered")
            self.assertIn("org.sevmig1.steer", self.refused("switch", guest.name, "single", user=NOBODY))
            self.assertIn("org.sevmig1.steer", self.ctl_steer_refused(guest.name, "--auto", user=NOBODY))
            self.assertIn('no policy is named "gold"', self.refused("switch", guest.name, "gold"))
            self.assertEqual(under.seen()["Policy"], view["Policy"])
            self.end(under)


if __name__ == "__main__":
    unittest.main()
