# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that stand while they migrate: paused by a policy, or migrated without --live.

Whatever becomes of sevmigd meanwhile, no guest stays paused by it: the pause is QEMU's, under the lease.
"""

import signal
import time

from lab import firmware
from lab.guests import require
from lab.hosts import HOSTS
from scene import (ADMIN_POLICIES, SLOW_SCALE, HostCase, Under, kill_daemon, query, set_time_scale, start_sevmigd,
                   wait_until, write_on_host)

LEASE_S = 2
SLACK_S = 2  # for a busy machine
POLICY = """<policy xmlns='urn:sevmig:policy:1' name='hurried'>
  <goals><downtime unit='ms' max='60000'>200</downtime><duration unit='s'>3</duration></goals>
  <on-deadline>pause</on-deadline>
</policy>
"""


class PauseCase(HostCase):
    """The deadline comes in the first pass, of which much is left."""

    def setUp(self):
        super().setUp()
        self.host = HOSTS["a"]
        for host in HOSTS.values():
            write_on_host(host, f"{ADMIN_POLICIES}/hurried.xml", POLICY)
            host.run(["sevmigctl", "policy", "reload"])
            self.addCleanup(host.run, ["sevmigctl", "policy", "reload"])
            self.addCleanup(host.run, ["rm", f"{ADMIN_POLICIES}/hurried.xml"])
        self.addCleanup(set_time_scale, firmware.time_scale(self.host))
        set_time_scale(SLOW_SCALE)

    def pauses(self, guest):
        return query(self.host, guest.name)["tune"]["pause"]

    def assert_stands(self, guest):
        follower = guest.follow()
        before = follower.poll().last.seq
        time.sleep(0.3)
        self.assertLess(follower.poll().last.seq - before, 3)

    def runs_within(self, guest, seconds):
        follower = guest.follow()
        before = follower.poll().last.seq
        wait_until("heartbeats go on", lambda: follower.poll().last.seq > before + 5, seconds)

    def assert_on_one_host(self, guest, host):
        self.assert_runs_on(guest, host)
        for other in HOSTS.values():
            names = other.run(["virsh", "-c", "qemu:///system", "list", "--name", "--state-running"]).stdout.split()
            self.assertEqual(guest.name in names, other is host, other)


class Paused(PauseCase):
    """The guest stands for seconds."""

    def under_pause(self, guest, then):
        with Under(guest) as under:
            under.wait_for("it is paused", lambda _view: self.pauses(guest))
            self.assert_stands(guest)
            then()
            under.domain.abortJob()
            self.assertNotEqual(under.wait_end()[0], 0)
        self.assert_on_one_host(guest, self.host)

    def test_completes(self):
        guest = self.start("paused", policy="hurried")
        with Under(guest) as under:
            under.wait_for("it is paused", lambda _view: self.pauses(guest))
            self.assertEqual(under.wait_end(), (0, ""))
            books = under.wait_daemon_end()
        self.assertEqual(books["Phase"], "done")
        self.assertGreater(books["DowntimeUs"], 1000000)  # it has stood since the pause
        self.assertGreaterEqual(books["GuestLostUs"], books["DowntimeUs"] / 2)
        self.assert_on_one_host(guest, HOSTS["b"])

    def test_sevmigd_is_killed(self):
        def then():
            kill_daemon(self.host, "sevmigd")
            self.addCleanup(start_sevmigd, self.host)
            self.runs_within(guest, LEASE_S + SLACK_S)
            self.assertFalse(self.pauses(guest))
        guest = self.start("paused-kill", policy="hurried")
        self.under_pause(guest, then)

    def test_sevmigd_is_stopped(self):
        def then():
            kill_daemon(self.host, "sevmigd", signal.SIGTERM)
            self.addCleanup(start_sevmigd, self.host)
            self.assertFalse(self.pauses(guest))
            self.runs_within(guest, SLACK_S)
        guest = self.start("paused-stop", policy="hurried")
        self.under_pause(guest, then)

    def test_cancelled(self):
        guest = self.start("paused-cancel", policy="hurried")
        self.under_pause(guest, lambda: None)


class Silent(PauseCase):
    """The network of the migration carries nothing any more; libvirt's own goes on."""

    ADDRESSES = {"a": "10.77.1.1", "b": "10.77.1.2"}
    DEVICES = {"a": "sevmig-ab", "b": "sevmig-ba"}

    def setUp(self):
        super().setUp()
        for name, host in HOSTS.items():
            host.run(["ip", "addr", "add", f"{self.ADDRESSES[name]}/24", "dev", self.DEVICES[name]])
            self.addCleanup(host.run, ["ip", "addr", "del", f"{self.ADDRESSES[name]}/24", "dev", self.DEVICES[name]])

    def carry(self, carries):
        for peer, host in (("b", HOSTS["a"]), ("a", HOSTS["b"])):
            host.run(["ip", "route", "del" if carries else "add", "blackhole", f"{self.ADDRESSES[peer]}/32"])

    def test_no_pause_while_nothing_moves(self):
        guest = self.start("silent", policy="hurried")
        with Under(guest, uri=f"tcp://{self.ADDRESSES['b']}") as under:
            under.wait_for("the first pass is under way", lambda view: view["Pages"] > 0)
            self.carry(False)
            try:
                under.wait_for("it is said", lambda view: view["StillUs"] > 0, 20)
                # past the deadline, and not paused (any more)
                under.wait_for("the deadline", lambda view: view["ElapsedUs"] > 8000000, 20)
                self.assertEqual(under.seen()["PausedUs"], 0)
                self.assertFalse(self.pauses(guest))
                self.runs_within(guest, 5)
            finally:
                self.carry(True)
            self.assertEqual(under.wait_end(), (0, ""))
            self.assertEqual(under.wait_daemon_end()["Phase"], "done")
        self.assert_on_one_host(guest, HOSTS["b"])


class NotLive(HostCase):
    def test_it_is_followed(self):
        guest = self.start("standing")
        scale = firmware.time_scale(HOSTS["a"])
        self.addCleanup(set_time_scale, scale)
        set_time_scale(SLOW_SCALE)
        with Under(guest, live=False) as under:
            under.wait_for("it is steered", lambda view: view["State"] == "steered" and view["BatchPages"] > 4)
            set_time_scale(scale)
            self.assertEqual(under.wait_end(), (0, ""))
            books = under.wait_daemon_end()
        self.assertEqual(books["Phase"], "done")
        self.assertGreater(books["DowntimeUs"], books["ElapsedUs"] / 2)  # all but the setup
        self.assertEqual(require(guest.name)[0], HOSTS["b"])
        self.assert_runs_on(guest, HOSTS["b"])
