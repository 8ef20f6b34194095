# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrations between the two hosts: what must hold when all goes well, and when it does not."""

import json
import os
import signal
import time
import unittest
from pathlib import Path

import libvirt
from prometheus_client.parser import text_string_to_metric_families

from lab import firmware, guests, migrate
from lab.bus import Daemon
from lab.hosts import HOSTS, RUN
from scene import (ADMIN_POLICIES, SLOW_SCALE, HostCase, Under, kill_daemon, query, set_time_scale, start_sevmigd,
                   tell_firmware, wait_until, write_on_host)

LEASE_S = 2.0


class Steered(HostCase):
    def test_a_plain_migration_is_steered(self):
        guest = self.start("steered")
        result = self.assert_migrates(guest)
        books = result.daemon
        self.assertEqual((books["Phase"], books["State"], books["Error"]), ("done", "ended", ""))
        self.assertEqual((books["Policy"], books["PolicySource"]), ("default", "default"))
        self.assertGreater(books["Pages"] / books["Commands"], 2)
        self.assertGreaterEqual(books["Pages"], books["PrivatePages"])
        record = HOSTS["a"].run(["cat", books["RecordFile"]]).stdout.splitlines()
        self.assertGreater(len(record), 5)
        self.assertIn("steered", record[0])
        self.assertIn("\nidentical: ", HOSTS["a"].run(["sevmigctl", "replay", books["RecordFile"]]).stdout)
        self.assert_runs_on(guest, HOSTS["b"])

    def test_history_outlives_sevmigd(self):
        books = self.assert_migrates(self.start("bygone")).daemon
        kill_daemon(HOSTS["a"], "sevmigd")
        start_sevmigd(HOSTS["a"])
        shown = json.loads(HOSTS["a"].run(["sevmigctl", "show", books["Id"], "--json"]).stdout)
        for member, name in (("domain", "Domain"), ("phase", "Phase"), ("state", "State"), ("pages", "Pages"),
                             ("downtime_us", "DowntimeUs"), ("promised_downtime_us", "PromisedDowntimeUs"),
                             ("elapsed_us", "ElapsedUs"), ("record_file", "RecordFile")):
            self.assertEqual(shown[member], books[name], member)
        self.assertGreater(shown["promised_downtime_us"], 0)
        listed = json.loads(HOSTS["a"].run(["sevmigctl", "history", "--domain", "bygone", "--json"]).stdout)
        self.assertEqual(listed[0], shown)

    def test_metrics_tell_of_it(self):
        def figures():
            text = HOSTS["a"].run(["cat", "/run/sevmig/sevmig.prom"]).stdout
            return {(s.name, s.labels.get("domain") or s.labels.get("result", "")): s.value
                    for f in text_string_to_metric_families(text) for s in f.samples if "le" not in s.labels}

        guest = self.start("measured")
        before = figures()
        scale = firmware.time_scale(HOSTS["a"])
        self.addCleanup(set_time_scale, scale)
        set_time_scale(SLOW_SCALE)  # it lasts for several writes
        with Under(guest) as under:
            now = wait_until("its series are there",
                             lambda: (f := figures()).get(("sevmig_migration_remaining_bytes", "measured")) and f)
            self.assertEqual(now["sevmig_migrations_running", ""], 1)
            self.assertGreater(now["sevmig_migration_batch_pages", "measured"], 0)
            set_time_scale(scale)
            self.assertEqual(under.wait_end()[0], 0)
            books = under.wait_daemon_end()
        done = ("sevmig_migrations_total", "done")
        after = wait_until("it is counted", lambda: (f := figures())[done] == before[done] + 1 and f)
        self.assertNotIn(("sevmig_migration_batch_pages", "measured"), after)
        self.assertEqual(after["sevmig_encrypted_pages_total", ""] - before["sevmig_encrypted_pages_total", ""],
                         books["Pages"])
        self.assertEqual(after["sevmig_downtime_seconds_count", ""], before["sevmig_downtime_seconds_count", ""] + 1)

    def test_metadata_chooses_the_policy(self):
        guest = self.start("chosen", policy="low-downtime")
        books = self.assert_migrates(guest).daemon
        self.assertEqual((books["Policy"], books["PolicySource"]), ("low-downtime", "metadata"))

    def with_options(self, *options):
        kill_daemon(HOSTS["a"], "sevmigd")
        self.addCleanup(start_sevmigd, HOSTS["a"])
        self.addCleanup(kill_daemon, HOSTS["a"], "sevmigd")
        start_sevmigd(HOSTS["a"], *options)

    def test_modular_daemon_s_uri(self):
        """Debian has no virtqemud: its socket is libvirtd's here. The way to it is libvirt's for a modular one."""
        socket = "/run/libvirt/virtqemud-sock"
        HOSTS["a"].run(["ln", "-s", "libvirt-sock", socket])
        self.addCleanup(HOSTS["a"].run, ["rm", socket])
        self.with_options("--connect", "qemu:///system?mode=direct")
        books = self.assert_migrates(self.start("modular")).daemon
        self.assertEqual(books["Phase"], "done")
        self.assertLess(books["Commands"], books["Pages"])

    def test_two_guests_share_the_firmware(self):
        self.with_options("--no-turns")
        pair = [self.start("left", workload="idle"), self.start("right", workload="idle")]
        with Under(pair[0]) as left, Under(pair[1]) as right:
            self.assertEqual(left.wait_end()[0], 0)
            self.assertEqual(right.wait_end()[0], 0)
            waits = [under.wait_daemon_end()["WaitUs"] for under in (left, right)]
        self.assertTrue(all(wait > 0 for wait in waits), waits)
        clients = firmware.statistics(HOSTS["a"])["clients"]
        waited = [client for client in clients if client["wait_us"] > 0 and client["pages"] > 0]
        self.assertGreaterEqual(len(waited), 2, "the firmware's statistics show the contention")
        for guest in pair:
            self.assert_runs_on(guest, HOSTS["b"])


class Refused(HostCase):
    def test_tunnelled(self):
        """libvirt's tunnel is a pipe that nothing comes back through."""
        guest = self.start("tunnelled")
        argv = migrate.command(guest, HOSTS["a"], False, ["--tunnelled"])
        argv = argv[:argv.index("--migrateuri")]
        done = HOSTS["a"].run(argv, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("enable the capability 'return-path'", done.stderr)
        self.assert_runs_on(guest, HOSTS["a"])
        self.assert_migrates(guest)


class Interrupted(HostCase):
    """The source guest runs on, unthrottled, and migrates afterwards."""

    def setUp(self):
        super().setUp()
        scale = firmware.time_scale(HOSTS["a"])
        self.addCleanup(set_time_scale, scale)
        self.fast = lambda: set_time_scale(scale)
        set_time_scale(SLOW_SCALE)

    def after(self, guest):
        self.assert_runs_on(guest, HOSTS["a"])
        self.fast()
        self.assert_migrates(guest)

    def cancel(self, under):
        under.press_ctrl_c()
        status, _errors = under.wait_end(30)
        self.assertNotEqual(status, 0)
        self.assertEqual(under.wait_daemon_end()["Phase"], "cancelled")

    def kill_destination(self, under):
        pid = int((RUN / under.destination.name / "libvirt/qemu" / f"{under.guest.name}.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        status, errors = under.wait_end(60)
        self.assertNotEqual(status, 0)
        self.assertNotEqual(errors, "")
        self.assertEqual(under.wait_daemon_end()["Phase"], "failed")

    def in_bulk(self, view):
        return view["Phase"] == "bulk" and 0 < view["RemainingPages"] < 0.8 * view["PrivatePages"]

    def late(self, view):
        return view["Pass"] >= 2 and view["ThrottlePercent"] > 0

    def test_source_crashes(self):
        """Its books say so, and not that it was stopped."""
        guest = self.start("crasher")
        with Under(guest) as under:
            under.wait_for("the first pass is under way", self.in_bulk)
            os.kill(int((RUN / "a/libvirt/qemu" / f"{guest.name}.pid").read_text()), signal.SIGKILL)
            under.wait_end(60)
            view = under.wait_daemon_end()
        self.assertEqual(view["Phase"], "failed")
        self.assertIn("the domain crashed while it was migrated", view["Error"])

    def test_cancelled_in_bulk(self):
        guest = self.start("bulk-cancel")
        with Under(guest) as under:
            under.wait_for("the first pass is under way", self.in_bulk)
            self.cancel(under)
        self.after(guest)

    def test_cancelled_late(self):
        guest = self.start("late-cancel")
        with Under(guest) as under:
            under.wait_for("late pre-copy, throttled", self.late)
            self.cancel(under)
        self.after(guest)

    def test_destination_killed_in_bulk(self):
        guest = self.start("bulk-kill")
        with Under(guest) as under:
            under.wait_for("the first pass is under way", self.in_bulk)
            self.kill_destination(under)
        self.after(guest)

    def test_destination_killed_late(self):
        guest = self.start("late-kill")
        with Under(guest) as under:
            under.wait_for("late pre-copy, throttled", self.late)
            self.kill_destination(under)
        self.after(guest)

    def test_sevmigd_killed_while_it_throttles(self):
        guest = self.start("orphan")
        with Under(guest) as under:
            under.wait_for("the guest is throttled", lambda view: view["ThrottlePercent"] > 0)
            kill_daemon(HOSTS["a"], "sevmigd")
            wait_until("the guest is at full speed",
                       lambda: query(HOSTS["a"], guest.name)["tune"]["vcpu-throttle"] == 0, LEASE_S + 3)
            self.assertIsNone(under.process.poll(), "the migration goes on")
            start_sevmigd(HOSTS["a"])
            under.daemon = Daemon(HOSTS["a"])
            under.since_us = 0
            adopted = under.wait_for("the new sevmigd steers it", lambda view: view["ThrottlePercent"] > 0, 30)
            self.assertEqual(adopted["State"], "steered")
            self.cancel(under)
        self.after(guest)

    def test_sevmigd_stopped_lets_go_at_once(self):
        guest = self.start("released")
        with Under(guest) as under:
            under.wait_for("the guest is throttled", lambda view: view["ThrottlePercent"] > 0)
            kill_daemon(HOSTS["a"], "sevmigd", signal.SIGTERM)
            self.assertEqual(query(HOSTS["a"], guest.name)["tune"]["vcpu-throttle"], 0)
            start_sevmigd(HOSTS["a"])
        self.after(guest)


BAD_POLICIES = {
    "not well-formed": ("<policy xmlns='urn:sevmig:policy:1' name='bad'>\n<goals>\n</policy>\n", "bad.xml:3"),
    "not valid": ("<policy xmlns='urn:sevmig:policy:1' name='bad'>\n<goal/>\n</policy>\n", "goal"),
    "absurd": ("<policy xmlns='urn:sevmig:policy:1' name='bad'>\n"
               "<throttle><ceiling unit='percent'>250</ceiling></throttle>\n</policy>\n", "250"),
    "billion laughs": ("<!DOCTYPE policy [<!ENTITY a 'ha'>"
                       + "".join(f"<!ENTITY {chr(98 + i)} '{('&' + chr(97 + i) + ';') * 10}'>" for i in range(9))
                       + "]>\n<policy xmlns='urn:sevmig:policy:1' name='bad'>"
                       "<description>&j;</description></policy>\n", "document type declaration"),
}


class Policies(HostCase):
    def names(self):
        return HOSTS["a"].run(["sevmigctl", "policy", "list", "--json"]).stdout

    def test_bad_policies_leave_the_old_set_in_force(self):
        host = HOSTS["a"]
        host.run(["sevmigctl", "policy", "reload"])
        before = self.names()
        for what, (text, expected) in BAD_POLICIES.items():
            with self.subTest(what=what):
                write_on_host(host, f"{ADMIN_POLICIES}/bad.xml", text)
                refused = host.run(["sevmigctl", "policy", "reload"], check=False)
                linted = host.run(["sevmigctl", "policy", "lint", f"{ADMIN_POLICIES}/bad.xml"], check=False)
                host.run(["rm", f"{ADMIN_POLICIES}/bad.xml"])
                self.assertNotEqual(refused.returncode, 0)
                self.assertIn("bad.xml:", refused.stderr)
                self.assertIn(expected, refused.stderr)
                self.assertEqual(len(refused.stderr.strip().splitlines()), 1, refused.stderr)
                self.assertNotEqual(linted.returncode, 0)
                self.assertIn(expected, linted.stdout + linted.stderr)
                self.assertEqual(self.names(), before)
        host.run(["sevmigctl", "policy", "reload"])
        self.assertEqual(self.names(), before)

    def test_an_unknown_policy_can_refuse_the_migration(self):
        guest = self.start("refused")
        _host, domain = guests.require(guest.name)
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT,
                           '<policy name="no-such-policy" on-failure="refuse"/>', "sevmig",
                           guests.DOMAIN_NS, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        started = time.monotonic()
        with Under(guest) as under:
            status, errors = under.wait_end(30)
        self.assertNotEqual(status, 0)
        self.assertIn("no-such-policy", errors)
        self.assertLess(time.monotonic() - started, 15)
        self.assert_runs_on(guest, HOSTS["a"])
        guests.set_policy(guest, "default")
        self.assert_migrates(guest)


class Tampered(HostCase):
    """Whatever changes a byte on the way, the firmware notices and the source runs on."""

    PORT = 49400

    def tampered(self, where):
        guest = self.start(f"tamper-{where}")
        source, destination = HOSTS["a"], HOSTS["b"]
        proxy = source.popen(["python3", str(Path(__file__).with_name("tamper.py")), where,
                              f"{source.address}:{self.PORT}", f"{destination.address}:{self.PORT}"])
        self.addCleanup(proxy.stdout.close)
        self.addCleanup(proxy.stderr.close)
        self.addCleanup(proxy.wait)
        self.addCleanup(proxy.kill)
        self.assertEqual(proxy.stdout.readline(), "ready\n", "the proxy listens")
        # Long enough to be noticed: one that fails at its first packet is over before anybody looks.
        self.addCleanup(tell_firmware, source, "clear-faults")
        tell_firmware(source, "fault", op="SEND_START", kind="delay", **{"delay-ms": 1000})
        with Under(guest, f"tcp://{source.address}:{self.PORT}") as under:
            status, _errors = under.wait_end(60)
            self.assertNotEqual(status, 0)
            self.assertEqual(under.wait_daemon_end()["Phase"], "failed")
        self.assertEqual(proxy.stdout.readline(), f"tampered {where}\n")
        for host in HOSTS.values():
            self.assertRegex(self.qemu_said(guest, host), r"RECEIVE_(START|UPDATE_DATA) failed: BAD_MEASUREMENT \(0x0b\)")
        self.assert_runs_on(guest, source)
        self.assert_migrates(guest)

    def test_packet(self):
        self.tampered("packet")

    def test_header(self):
        self.tampered("header")

    def test_session(self):
        self.tampered("session")


if __name__ == "__main__":
    unittest.main()
