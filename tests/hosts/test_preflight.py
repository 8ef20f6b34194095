# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl preflight of live domains, held against the migrations that follow."""

import json
import unittest

from lab import firmware, guests
from lab.hosts import HOSTS
from scene import SLOW_SCALE, HostCase, Under, query, set_time_scale

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
GUESTS = (("sleeper", "idle"), ("writer", "pattern=uniform rate=2000"), ("hotspot", "hot"))
# Beyond that the model is wrong, and not only the guest irregular.
MOST_OFF = 2.0


def seconds(us):
    return f"{us / 1e6:.2f}"


class Preflight(HostCase):
    host = HOSTS["a"]

    def look(self, name, *options, user=()):
        done = self.host.run([*user, "sevmigctl", "preflight", name, "--json", *options], check=False)
        self.assertNotEqual(done.stdout, "", done.stderr)
        return json.loads(done.stdout)

    def checks(self, told):
        return {check["check"]: check for check in told["checks"]}

    def go_home(self, guest):
        guests.stop(guest.name)
        guests.start(guest, self.host)

    def test_forecast_and_migration(self):
        """With a migration of each guest in its history; the first one is by assumptions."""
        print(f"\n  {'guest':8} {'figure':14} {'forecast, s':>16} {'real, s':>8}")
        for name, workload in GUESTS:
            with self.subTest(name):
                guest = self.start(name, workload=workload)
                self.assert_migrates(guest)
                self.go_home(guest)
                told = self.look(name)
                self.assertTrue(told["can_migrate"], told["checks"])
                result = self.assert_migrates(guest)
                books = result.daemon
                self.assertEqual(told["inputs"]["page_us"]["from"], "domain-history")
                self.assertEqual(told["inputs"]["pages"], {"value": books["PrivatePages"], "from": "measured"})
                self.compare(name, told["forecast"], {
                    "total_us": books["ElapsedUs"], "downtime_us": result.downtime_us,
                    "guest_lost_us": books["GuestLostUs"]})
                # A busy machine makes all of it longer but what the firmware itself takes.
                total = told["forecast"]["total_us"]
                self.assertLess(books["ServiceUs"], total["most"] * MOST_OFF)
                self.assertGreater(books["ElapsedUs"], total["least"] / MOST_OFF)

    def compare(self, name, forecast, real):
        for key, value in real.items():
            span = forecast[key]
            reach = f"{seconds(span['least'])} .. {seconds(span['most'])}"
            within = span["least"] <= value <= span["most"]
            print(f"  {name:8} {key:14} {reach:>16} {seconds(value):>8}  {'within' if within else 'outside'}",
                  flush=True)

    def test_nothing_is_changed(self):
        # Large enough for QEMU to sample; a fifth of its pages change within a second.
        guest = self.start("untouched", memory_mib=160, workload="pattern=uniform rate=8000")
        before = query(self.host, guest.name)
        inputs = self.look(guest.name)["inputs"]
        self.assertEqual(inputs["dirty_pages_per_s"]["from"], "measured")
        self.assertEqual(inputs["busy_share"]["from"], "measured")
        self.assertGreater(inputs["dirty_pages_per_s"]["value"], 1500)
        self.assertLess(inputs["dirty_pages_per_s"]["value"], 20000)
        after = query(self.host, guest.name)
        self.assertEqual((before["tune"], before["guest-state"]), (after["tune"], after["guest-state"]))
        self.assert_runs_on(guest, self.host)

    def test_writing_nothing_is_measured(self):
        self.start("quiet", memory_mib=160, workload="idle")
        rate = self.look("quiet")["inputs"]["dirty_pages_per_s"]
        self.assertEqual(rate["from"], "measured")
        self.assertLess(rate["value"], 1500)
    def test_destination(self):
        guest = self.start("traveller")
        there = HOSTS["b"].peer_uri
        told = self.look(guest.name, "--to", there)
        self.assertTrue(told["can_migrate"], told["checks"])
        checks = self.checks(told)
        for name in ("destination", "another host", "name there", "memory there", "emulator there", "SEV there",
                     "CPU there"):
            self.assertEqual(checks[name]["state"], "good", checks)
        self.assertIn("/usr/lib/sevmig/qemu-system-x86_64", checks["emulator there"]["found"])
        told = self.look(guest.name, "--to", "qemu:///system")
        self.assertFalse(told["can_migrate"])
        self.assertEqual({name for name, check in self.checks(told).items() if check["state"] == "bad"},
                         {"another host", "name there"})
        told = self.look(guest.name, "--to", "qemu+unix:///system?socket=/no/such")
        self.assertEqual(self.checks(told)["destination"]["state"], "bad")
        self.assertIn("/no/such", self.checks(told)["destination"]["found"])
        self.assert_runs_on(guest, self.host)

    def test_under_way(self):
        scale = firmware.time_scale(self.host)
        self.addCleanup(set_time_scale, scale)
        set_time_scale(SLOW_SCALE)
        guest = self.start("underway")
        with Under(guest) as under:
            under.wait_for("it is steered", lambda view: view["State"] == "steered")
            told = self.look(guest.name)
            self.assertFalse(told["can_migrate"])
            self.assertEqual(self.checks(told)["at rest"]["state"], "bad")
            done = self.host.run(["busctl", "call", "org.sevmig1", "/org/sevmig1", "org.sevmig1.Manager", "Probe",
                                  "s", guest.name], check=False)
            self.assertIn("is being migrated", done.stderr)
            under.domain.abortJob()
            under.wait_end(30)
            under.wait_daemon_end()

    def test_who_may(self):
        """Whoever reaches libvirt sees all but what takes a command to the monitor."""
        guest = self.start("private")
        told = self.look(guest.name, user=NOBODY)
        self.assertFalse(told["can_migrate"])
        check = self.checks(told)["QEMU"]
        self.assertEqual(check["state"], "unknown")
        self.assertIn("org.sevmig1.steer", check["found"])


if __name__ == "__main__":
    unittest.main()
