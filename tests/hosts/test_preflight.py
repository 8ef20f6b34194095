# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl preflight of live domains, held against the migrations that follow."""

import json
import unittest
import xml.etree.ElementTree as ET

from lab import firmware, guests, migrate
from lab.hosts import HOSTS
from scene import SLOW_SCALE, HostCase, Under, query, set_time_scale, wait_until, write_on_host

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
GUESTS = {
    "sleeper": {"workload": "idle"},
    "small": {"workload": "pattern=uniform rate=500", "memory_mib": 48},
    "writer": {"workload": "pattern=uniform rate=2000"},
    "torrent": {"workload": "pattern=uniform rate=0 ws=24 cost=60"},
    "narrow": {"workload": "pattern=uniform rate=4000 ws=4"},
    "hotspot": {"workload": "hot"},
    "scanner": {"workload": "pattern=scan rate=1000"},
    "moody": {"workload": "phases"},
    "large": {"workload": "pattern=uniform rate=3000 ws=32", "memory_mib": 192},
    "system": {"workload": "pattern=hot rate=1000", "kind": "linux", "memory_mib": 256},
}
RULES_FILE = "/etc/polkit-1/rules.d/10-nobody.rules"
RULES = """polkit.addRule(function(action, subject) {
    if (action.id == "org.libvirt.unix.manage" && subject.user == "nobody")
        return polkit.Result.YES;
});
"""
# Beyond that the model is wrong, and not only the guest irregular.
MOST_OFF = 2.0


def seconds(us):
    return f"{us / 1e6:.3f}"


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
        within = []
        for name, options in GUESTS.items():
            with self.subTest(name):
                guest = self.start(name, **options)
                first = migrate.migrate(guest)  # whose memory other tests verify
                self.assertTrue(first.completed, first.error)
                self.go_home(guest)
                told = self.look(name)
                self.assertTrue(told["can_migrate"], told["checks"])
                result = self.assert_migrates(guest)
                self.doCleanups()  # ten guests would be many at once
                books = result.daemon
                inputs = told["inputs"]
                for figure, origin in (("page_us", "domain-record"), ("working_set_pages", "domain-record"),
                                       ("setup_us", "domain-history"), ("fixed_downtime_us", "domain-history")):
                    self.assertEqual(inputs[figure]["from"], origin, figure)
                if name == "system":  # reports what it has free
                    self.assertLessEqual(inputs["pages"]["value"], books["PrivatePages"])
                else:
                    self.assertEqual(inputs["pages"], {"value": books["PrivatePages"], "from": "measured"})
                # The downtime is a client's; the books have QEMU's.
                outside_us = result.downtime_us - books["DowntimeUs"]
                within += self.compare(name, told["forecast"], {
                    "total_us": books["ElapsedUs"], "downtime_us": result.downtime_us,
                    "guest_lost_us": books["GuestLostUs"] + outside_us})
                # A busy machine makes all of it longer but what the firmware itself takes.
                total = told["forecast"]["total_us"]
                self.assertLess(books["ServiceUs"], total["most"] * MOST_OFF)
                self.assertGreater(books["ElapsedUs"], total["least"] / MOST_OFF)
        print(f"  {within.count(True)} of {len(within)} within the range", flush=True)

    def compare(self, name, forecast, real):
        """Prints a row for each figure; whether it lay in its range."""
        within = []
        for key, value in real.items():
            span = forecast[key]
            reach = f"{seconds(span['least'])} .. {seconds(span['most'])}"
            within.append(span["least"] <= value <= span["most"])
            beyond = value / min(max(value, span["least"]), span["most"]) - 1
            place = "within" if within[-1] else f"{100 * beyond:+.0f} % beyond"
            print(f"  {name:8} {key:14} {reach:>16} {seconds(value):>8}  {place}", flush=True)
        return within

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

    def other_guest(self, name, change):
        """A domain that the lab's guests are not, and that nobody listens to."""
        guest = guests.Guest(name, workload="pattern=uniform rate=2000")
        domain = ET.fromstring(guests.domain_xml(guest))
        serial = domain.find("devices/serial")
        serial.clear()
        serial.set("type", "null")
        change(domain)
        there = self.host.connect().createXML(ET.tostring(domain, encoding="unicode"))
        self.addCleanup(there.destroy)
        return guest

    def assert_neither(self, name, change, check, *words):
        """preflight names it, and libvirt or QEMU refuses it at once."""
        guest = self.other_guest(name, change)
        told = self.look(name)
        self.assertFalse(told["can_migrate"])
        bad = {row["check"]: row["found"] for row in told["checks"] if row["state"] == "bad"}
        for word in words:
            self.assertIn(word, bad[check])
        planned = {row["domain"]: row for row in
                   json.loads(self.host.run(["sevmigctl", "evacuate", "--plan", "--json"], check=False).stdout)}
        self.assertFalse(planned[name]["can_migrate"])
        done = self.host.run(migrate.command(guest, self.host, False, ()), check=False)
        self.assertNotEqual(done.returncode, 0, "it migrated all the same")

    def test_firmware_forbids_it(self):
        def change(domain):
            domain.find("launchSecurity/policy").text = "0x0009"
        self.assert_neither("nosend", change, "SEV policy", "NOSEND")

    def test_local_disk(self):
        image = "/var/lib/libvirt/images/local.img"
        self.host.run(["sh", "-c", f"mkdir -p $(dirname {image}) && truncate -s 16M {image}"])
        self.addCleanup(self.host.run, ["rm", image])

        def change(domain):
            domain.find("devices").append(ET.fromstring(
                "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
                f"<source file='{image}'/><target dev='vda' bus='virtio'/></disk>"))
        self.assert_neither("localdisk", change, "disks", f"vda: {image} is on this host alone")
        self.assertTrue(self.look("localdisk", "--copy-storage")["can_migrate"])

    def test_shared_memory(self):
        def change(domain):
            domain.find("devices").append(ET.fromstring(
                "<shmem name='shm'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>"))
        self.assert_neither("shmem", change, "devices", "shared memory shm")

    def test_qemu_blocks(self):
        """It says itself what it cannot move: here, memory of which another guest is the master."""
        def change(domain):
            domain.find("devices").append(ET.fromstring(
                "<shmem name='shm' role='peer'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>"))
        self.assert_neither("peer", change, "QEMU allows it", "ivshmem")

    def test_paused(self):
        """It can, and stays paused there."""
        guest = self.other_guest("paused", lambda domain: None)
        domain = self.host.connect().lookupByName(guest.name)
        domain.suspend()
        told = self.look(guest.name)
        self.assertTrue(told["can_migrate"], told["checks"])
        self.assertEqual(self.checks(told)["running"]["state"], "note")
        domain.resume()

    def test_tls_is_forced(self):
        """With the certificates that the lab's hosts have, and without the authority's."""
        guest = self.start("private-line")
        path = "/etc/libvirt/qemu.conf"
        authority = "/etc/pki/libvirt-migrate/ca-cert.pem"
        before = self.host.run(["cat", path]).stdout
        self.addCleanup(write_on_host, self.host, path, before)
        write_on_host(self.host, path, before + "migrate_tls_force = 1\n")
        self.assertEqual(self.checks(self.look(guest.name))["TLS"]["state"], "good")
        self.host.run(["mv", authority, f"{authority}.away"])
        self.addCleanup(self.host.run, ["mv", f"{authority}.away", authority])
        check = self.checks(self.look(guest.name))["TLS"]
        self.assertEqual(check["state"], "bad")
        self.assertIn(f"forced (migrate_tls_force), but {authority}", check["found"])

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
        write_on_host(self.host, RULES_FILE, RULES)
        self.addCleanup(self.host.run, ["rm", RULES_FILE])
        wait_until("libvirt lets it in",
                   lambda: self.host.run([*NOBODY, "virsh", "-c", "qemu:///system", "list"], check=False).returncode == 0)
        told = self.look(guest.name, user=NOBODY)
        self.assertFalse(told["can_migrate"])
        check = self.checks(told)["QEMU"]
        self.assertEqual(check["state"], "unknown")
        self.assertIn("org.sevmig1.steer", check["found"])


if __name__ == "__main__":
    unittest.main()
