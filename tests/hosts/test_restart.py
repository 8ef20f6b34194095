# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirtd is killed and started again at ten points of a migration: no guest is left throttled or lost.

libvirt cancels a migration that its daemon was in the middle of, wherever that was: the guest runs on at the
source. Once virsh has returned, the guest is the destination's whatever becomes of the source's libvirtd. In
either case sevmigd must end its own book on the migration and connect again.
"""

import contextlib

from lab import firmware, guests
from lab.hosts import HOSTS
from scene import (HostCase, Under, kill_daemon, set_time_scale, start_libvirtd, start_sevmigd, tell_firmware,
                   wait_until)

GUEST = "restarted"
SCALE = 5  # slow enough to tell the points apart, ten of which are not to take long
STEERED, LEFT_ALONE = "default", "observe"
FOUND, ENDED = "it is found", "it has ended"
ATTEMPTS = 3


def share(least):
    """So many pages as that share of the memory has have been sent, some of them twice."""
    return lambda view: view["Pages"] >= least * view["PrivatePages"]


# The policy, and what sevmigd tells from that moment on, in the order of a migration. The guest's later passes
# are long where nothing throttles it.
POINTS = {
    FOUND: (STEERED, lambda view: True),
    "it is steered": (STEERED, lambda view: view["State"] == "steered" and view["Pages"] > 0),
    "a quarter is sent": (STEERED, share(0.25)),
    "half is sent": (STEERED, share(0.5)),
    "three quarters are sent": (STEERED, share(0.75)),
    "it is throttled hard": (STEERED, lambda view: view["MaxThrottlePercent"] >= 50),
    "the second pass begins": (LEFT_ALONE, lambda view: view["Pass"] >= 2),
    "the third pass begins": (LEFT_ALONE, lambda view: view["Pass"] >= 3),
    "the fourth pass begins": (LEFT_ALONE, lambda view: view["Pass"] >= 4),
    ENDED: (STEERED, None),
}


class Restarted(HostCase):
    def setUp(self):
        super().setUp()
        self.source = HOSTS["a"]
        self.fast = firmware.time_scale(self.source)
        self.addCleanup(set_time_scale, self.fast)
        self.addCleanup(tell_firmware, self.source, "clear-faults")

    def connected(self):
        done = self.source.run(["busctl", "get-property", "org.sevmig1", "/org/sevmig1", "org.sevmig1.Manager",
                                "LibvirtState"])
        return done.stdout == 's "connected"\n'

    @contextlib.contextmanager
    def migration_at(self, name):
        """A migration at that point, and sevmigd's view of it, which is not at a later one of its policy yet.

        A busy machine may look too late; that it does so each time is the failure.
        """
        policy, test = POINTS[name]
        later = [test for its_policy, test in POINTS.values() if its_policy == policy and test]
        del later[:later.index(test) + 1]
        if name == FOUND:  # so that it can be seen before its first page is sent
            tell_firmware(self.source, "fault", op="SEND_START", kind="delay", **{"delay-ms": 4000})
        for _attempt in range(ATTEMPTS):
            with Under(self.guest) as under:
                view = under.wait_for(name, test)
                if not any(test(view) for test in later):
                    yield under, view
                    return
            wait_until("it can be tried again", lambda: not self.is_open(under))
        self.fail(f"{name}: a later point is seen at the same time: {view}")

    def restart_libvirtd(self):
        kill_daemon(self.source, "libvirtd")
        start_libvirtd(self.source)

    @staticmethod
    def is_open(under):
        return any(view["State"] != "ended" for view in under.daemon.migrations() if view["Domain"] == GUEST)

    def wait_closed(self, under):
        wait_until("sevmigd is connected again", self.connected)
        wait_until("no migration is left open", lambda: not self.is_open(under), 40)

    def kill_at(self, name):
        with self.migration_at(name) as (under, view):
            self.restart_libvirtd()
            self.assertNotEqual(under.wait_end(60)[0], 0)
            self.wait_closed(under)
            books, = (one for one in under.daemon.migrations() if one["Id"] == view["Id"])
        self.assertEqual((books["Phase"], books["Error"]), ("released", "the connection to libvirt was lost"))

    def kill_after(self):
        set_time_scale(self.fast)
        with Under(self.guest) as under:
            self.assertEqual(under.wait_end()[0], 0)
            self.restart_libvirtd()
            self.wait_closed(under)
            self.assertEqual(under.seen()["Phase"], "done")

    def test_at_ten_points(self):
        self.assertEqual(len(POINTS), 10)
        self.guest = self.start(GUEST)
        for name, (policy, _test) in POINTS.items():
            with self.subTest(name):
                set_time_scale(SCALE)
                guests.set_policy(self.guest, policy)
                tell_firmware(self.source, "clear-faults")
                if name == ENDED:
                    self.kill_after()
                else:
                    self.kill_at(name)
                set_time_scale(self.fast)
                # a new one: it is ever slower to connect again to a libvirt that does not last
                kill_daemon(self.source, "sevmigd")
                start_sevmigd(self.source)
                wait_until("sevmigd is connected", self.connected)
                self.assert_runs_on(self.guest, HOSTS["b"] if name == ENDED else self.source)
