# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirtd is killed and started again at ten points of a migration: no guest is left throttled or lost.

libvirt cancels a migration that its daemon was in the middle of, or finishes it where QEMU has already
handed the guest over. Whichever it does, sevmigd must connect again, take the migration up or end its
own book on it, and the guest must run at full speed on exactly one host.
"""

from lab import firmware, guests
from lab.hosts import HOSTS
from scene import HostCase, Under, kill_daemon, set_time_scale, start_libvirtd, start_sevmigd, wait_until

GUEST = "restarted"
SCALE = 5  # slow enough to tell the points apart, ten of which are not to take long


def share(least):
    """So much of the memory has gone out in the first pass."""
    return lambda view: view["Pass"] >= 1 and view["RemainingPages"] <= (1 - least) * view["PrivatePages"]


# What sevmigd tells at that moment, in the order of a migration.
POINTS = {
    "it is found": lambda view: True,
    "it is steered": lambda view: view["State"] == "steered" and view["Pages"] > 0,
    "a quarter is sent": share(0.25),
    "half is sent": share(0.5),
    "three quarters are sent": share(0.75),
    "the second pass begins": lambda view: view["Pass"] >= 2,
    "it is throttled": lambda view: view["ThrottlePercent"] > 0,
    "it is throttled hard": lambda view: view["ThrottlePercent"] >= 50,
    "the fourth pass begins": lambda view: view["Pass"] >= 4,
    "it has ended": None,
}


class Restarted(HostCase):
    def setUp(self):
        super().setUp()
        self.source = HOSTS["a"]
        self.addCleanup(set_time_scale, firmware.time_scale(self.source))

    def connected(self):
        done = self.source.run(["busctl", "get-property", "org.sevmig1", "/org/sevmig1", "org.sevmig1.Manager",
                                "LibvirtState"])
        return done.stdout == 's "connected"\n'

    def kill_at(self, test):
        """Kills libvirtd of the source there and starts it again; whether the guest is still there."""
        with Under(self.guest) as under:
            if test is None:
                set_time_scale(self.fast)
                self.assertEqual(under.wait_end()[0], 0)
            else:
                under.wait_for("the point", test)
            kill_daemon(self.source, "libvirtd")
            start_libvirtd(self.source)
            under.wait_end(60)
            wait_until("sevmigd is connected again", self.connected)
            wait_until("no migration is left open", lambda: not any(
                view["State"] != "ended" for view in under.daemon.migrations() if view["Domain"] == GUEST), 40)
            books = under.seen()
        self.assertIn(books["Phase"], ("done", "failed", "cancelled", "released"))

    def test_at_ten_points(self):
        self.assertEqual(len(POINTS), 10)
        self.fast = firmware.time_scale(self.source)
        self.guest = self.start(GUEST)
        for name, test in POINTS.items():
            with self.subTest(name):
                set_time_scale(SCALE)
                self.kill_at(test)
                set_time_scale(self.fast)
                # a new one: it is ever slower to connect again to a libvirt that does not last
                kill_daemon(self.source, "sevmigd")
                start_sevmigd(self.source)
                wait_until("sevmigd is connected", self.connected)
                host, _domain = guests.require(GUEST)
                self.assert_runs_on(self.guest, host)
                if host is not self.source:
                    guests.stop(GUEST)
                    guests.start(self.guest, self.source)
