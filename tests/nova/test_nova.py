# SPDX-License-Identifier: LGPL-2.1-or-later
"""Nova's own libvirt driver migrates its instances, and sevmigd steers, as docs/nova.md has it."""

import re
import time
import unittest

import guide
import libvirt
from hosts.scene import SLOW_SCALE, query, set_time_scale, wait_until
from lab import firmware, heartbeat, migrate
from lab.error import LabError
from nova_scene import DESTINATION, SOURCE, NovaCase, cloud, restart_firmware

PROJECT = "5f0c3a1c9d2e4b7f8a6d1e0c2b4f6a80"
MIB = 1 << 20
LIMIT_MIB_PER_S = 20  # of the 40 that the lab's firmware encrypts a page at a time


def setUpModule():
    NovaCase.compute = unittest.enterModuleContext(cloud())


class Policies(NovaCase):
    """Chosen by what Nova wrote into the domain, under combinations of Nova's options."""

    def migrated(self, guest, policy, goal_ms):
        move = self.begin(guest)
        books = self.end(guest, move, "completed")
        self.assert_arrived(guest, move, books)
        self.assertEqual((books["Policy"], books["PolicySource"]), (policy, "match"))
        self.assertEqual(books["DowntimeGoalUs"], goal_ms * 1000)
        self.assertLess(books["DowntimeUs"], 2 * goal_ms * 1000, "the goal, on a busy machine")
        self.assertLess(books["Commands"], books["Pages"], "pages went in batches")
        return books

    def assert_throttled(self, books):
        self.assertGreater(books["MaxThrottlePercent"], 0, "the guest does not converge by itself")

    def test_flavor_and_defaults(self):
        """Nova's own defaults, where the guide has others."""
        self.compute.configure({"live_migration_completion_timeout": 800})
        self.assert_throttled(self.migrated(self.instance(1, flavor="gold.large"), "gold", 150))

    def test_project_and_auto_converge(self):
        self.compute.configure({"live_migration_permit_auto_converge": True})
        self.assert_throttled(self.migrated(self.instance(2, flavor="gold.large", project=PROJECT), "tenant", 400))

    def test_extra_spec_and_bandwidth(self):
        self.compute.configure({"live_migration_bandwidth": LIMIT_MIB_PER_S})
        guest = self.instance(3, project=PROJECT, workload="pattern=uniform rate=3000 ws=16",
                              sevmig__class="interactive")
        books = self.migrated(guest, "interactive", 250)
        self.assertLess(books["SentBytes"] / books["ElapsedUs"] * 1e6, 1.2 * LIMIT_MIB_PER_S * MIB)


class Slow(NovaCase):
    """A firmware so slow that Nova has the time to do something in the middle."""

    def setUp(self):
        super().setUp()
        self.addCleanup(set_time_scale, firmware.time_scale(SOURCE))
        set_time_scale(SLOW_SCALE)


class Steps(Slow):
    STEPS_MS = (33, 55)  # at once, and after 6 s

    def limit_ms(self, guest):
        """What Nova last set."""
        return self.parameters(guest)["downtime-limit"]

    def override_us(self, guest):
        """What sevmigd has in force instead; None before its first word."""
        return query(SOURCE, guest.name)["tune"].get("downtime-limit-us")

    def assert_moves(self, guest):
        """What Nova sees of the migration goes on."""
        seen = []
        for _ in range(4):
            seen.append(self.compute.call("job", uuid=guest.uuid))
            time.sleep(0.5)
        processed = [job["memory_processed"] for job in seen]
        self.assertEqual(processed, sorted(set(processed)))
        # It grows as well, when the guest has written to what was sent.
        self.assertEqual(len({job["memory_remaining"] for job in seen}), len(seen))
        self.assertGreaterEqual(seen[0]["memory_total"], 96 * MIB)

    def test_steps_and_abort(self):
        self.compute.configure({"live_migration_downtime": 100, "live_migration_downtime_steps": 3,
                                "live_migration_downtime_delay": 3})
        # A guest that writes all its memory anew in the first pass is at 0 % for as long.
        guest = self.instance(4, flavor="gold.small", workload="pattern=uniform rate=1000 ws=16")
        move = self.begin(guest)
        self.wait_view(guest, move, "it is steered", lambda view: view["BatchPages"] > 1)
        wait_until("Nova's first step", lambda: self.limit_ms(guest) == self.STEPS_MS[0], 5)
        held_us = wait_until("sevmigd's own limit", lambda: self.override_us(guest), 10)
        self.assertLess(held_us, 1000 * self.STEPS_MS[0], "in the first pass nothing may switch over")
        self.assert_moves(guest)
        wait_until("Nova's second step", lambda: self.limit_ms(guest) == self.STEPS_MS[1], 15)
        self.assertEqual(self.override_us(guest), held_us)
        self.compute.call("abort", uuid=guest.uuid)
        books = self.end(guest, move, "cancelled")
        self.assertEqual(books["Phase"], "cancelled")
        self.assert_stayed(guest)
        progress = self.progress()
        self.assertGreater(progress[-1], progress[0], "Nova shows how far it is")


class Timeouts(Slow):
    """Nova's completion timeout: seconds a GiB, of at least two."""

    def test_abort(self):
        self.compute.configure({"live_migration_completion_timeout": 1})
        guest = self.instance(5)
        move = self.begin(guest)
        books = self.end(guest, move, "cancelled")
        self.assertEqual(books["Phase"], "cancelled")
        self.assert_stayed(guest)

    def test_force_complete(self):
        """Nova pauses the guest until all is sent; it goes on at the destination."""
        self.compute.configure({"live_migration_completion_timeout": 2,
                                "live_migration_timeout_action": "force_complete"})
        guest = self.instance(6)
        move = self.begin(guest)
        wait_until("Nova pauses the guest", lambda: self.is_paused(guest))
        paused_us = migrate.now_us()
        books = self.end(guest, move, "completed")
        self.assert_arrived(guest, move, books)
        log = guest.follow().poll()
        gap = heartbeat.handover_gap(log.beats, paused_us, move.ended_us)
        self.assertGreater(gap.length_us, 1_000_000, "much was left to send")
        self.assertAlmostEqual(books["DowntimeUs"] / gap.length_us, 1, delta=0.2)
        self.assertGreaterEqual(books["GuestLostUs"], books["DowntimeUs"])

    def is_paused(self, guest):
        return SOURCE.connect().lookupByName(guest.name).state()[0] == libvirt.VIR_DOMAIN_PAUSED


class Refused(NovaCase):
    """The driver rolls back; the instance works on."""

    def refused(self, guest, why):
        move = self.begin(guest)
        self.assertEqual(move.pending.wait(60), {"outcome": "error"})
        # The driver rolls back as soon as libvirt says that the job has failed, and hears why later.
        said = re.compile(rf"{guest.uuid}\] Live Migration failure: .*{re.escape(why)}")
        wait_until(f"Nova logs: {why}", lambda: said.search(self.compute.log.read_text(errors="replace")), 10)
        self.assert_stayed(guest)

    def test_post_copy(self):
        self.compute.configure({"live_migration_permit_post_copy": True})
        self.refused(self.instance(7), "an SEV guest cannot be migrated with the capability 'postcopy-ram'")

    def test_another_owner(self):
        self.addCleanup(restart_firmware, DESTINATION, "/run/sevmig-lab/owner-ca")
        restart_firmware(DESTINATION, "/run/owner-ca")
        self.refused(self.instance(8), "SEND_START failed: INVALID_CERTIFICATE")

    def test_the_api(self):
        """What stands in the way above the driver; the guide names it."""
        guest = self.instance(9)
        answer = self.compute.call("api_answer", uuid=guest.uuid)
        text = " ".join(guide.GUIDE.read_text(encoding="utf-8").split())
        check = "@reject_sev_instances(instance_actions.LIVE_MIGRATION)"
        self.assertEqual((answer["source"].count(check), text.count(check)), (1, 1))
        self.assertIn(" not supported for SEV-enabled instance", answer["says"])
        self.assertIn(answer["says"].partition(" (")[0], text)


class Guide(Slow):
    """Every command of docs/nova.md, in its order; systemd's are in tests/packages."""

    def run_on_source(self, command):
        done = SOURCE.run(["sh", "-c", command], check=False)
        # Whether the machine's clock is synchronised is not the lab's affair.
        faults = [line for line in done.stdout.splitlines() if line.startswith("!")]
        good = done.returncode == 0 or [fault.split()[1] for fault in faults] == ["clock"]
        self.assertTrue(good, f"{command}\n{done.stdout}{done.stderr}")
        return done.stdout

    def test_commands(self):
        before, during, after = self.commands()
        guest = self.instance(0x2a, flavor="gold.large")
        said = "".join(map(self.run_on_source, before))
        for words in ("<path>/usr/lib/sevmig/qemu-system-x86_64</path>", 'supported="yes"', "gold.xml: good",
                      f"{guest.name}: governed by gold", f"{guest.name}: can migrate"):
            self.assertIn(words, said)
        move = self.begin(guest)
        self.wait_view(guest, move, "it is steered", lambda view: view["BatchPages"] > 1)
        for command in during:
            self.run_on_source(command)
        view = self.view(guest, move)
        self.assertEqual((view["Policy"], view["PolicySource"]), ("evacuate", "operator"))
        self.compute.call("abort", uuid=guest.uuid)
        self.end(guest, move, "cancelled")
        self.assert_stayed(guest)
        self.assertRegex("".join(map(self.run_on_source, after)), f"{guest.name} +evacuate +cancelled")

    def commands(self):
        """Those for before a migration, for during one, and for afterwards."""
        commands = [command for command in guide.commands() if not command.startswith("systemctl")]
        first = commands.index(f"sevmigctl show instance-{0x2a:08x}")
        last = commands.index("sevmigctl history")
        return commands[:first], commands[first:last], commands[last:]


if __name__ == "__main__":
    unittest.main()
