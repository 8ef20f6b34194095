#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What sevmigd does on its bus."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from xml.etree import ElementTree

import dbus
import dbus.lowlevel
from gi.repository import Gio, GLib

from bus_case import (CASES, GOOD, MANAGER, NAME, PATH, POLICY, PROPERTIES, READ, RELOAD, SEVMIGD, STEER, BusCase,
                      wait_until)

SEVMIGCTL = os.environ["SEVMIGCTL"]
DOCUMENTS = CASES.parent


class Reading(BusCase):
    def test_manager(self):
        everything = self.call("GetAll", MANAGER, interface=PROPERTIES)
        self.assertEqual(set(everything), {"Version", "Host", "LibvirtState", "PolicyError",
                                           "ActiveMigrations"})
        self.assertEqual(everything["ActiveMigrations"], 0)
        self.assertEqual(self.get("PolicyError"), "")
        self.assertEqual(list(self.call("ListMigrations", True)), [])

    def test_history_of_an_earlier_one(self):
        self.assertEqual(list(self.call("ListHistory", "", dbus.UInt32(0))), [])
        self.process.terminate()
        self.assertEqual(self.process.wait(20), 0, self.log())
        history = self.dir / "state" / "history"
        history.mkdir(parents=True)
        for number in (1, 2):
            (history / f"2026-{number}.json").write_text(json.dumps(
                {"sevmig-summary": 1, "id": f"2026-{number}", "domain": "db", "result": "done",
                 "promised": {"downtime-predicted-us": 250000}, "actual": {"downtime-us": 240000},
                 "record-file": str(self.dir / "log")}))
        self.process = self.start()
        newest, oldest = self.call("ListHistory", "db", dbus.UInt32(0))
        self.assertEqual((newest["Id"], oldest["Id"]), ("2026-2", "2026-1"))
        self.assertEqual((newest["Phase"], newest["State"], newest["RecordFile"]),
                         ("done", "ended", str(self.dir / "log")))
        self.assertEqual((newest["PromisedDowntimeUs"], newest["DowntimeUs"]), (250000, 240000))
        self.assertEqual([m["Id"] for m in self.call("ListHistory", "2026-1", dbus.UInt32(1))], ["2026-1"])
        self.assertEqual([m["Id"] for m in self.call("ListHistory", "", dbus.UInt32(1))], ["2026-2"])
        self.assertEqual(list(self.call("ListHistory", "web", dbus.UInt32(0))), [])

    def test_policies(self):
        listed = self.call("ListPolicies")
        self.assertEqual([(p["name"], p["state"], p["description"]) for p in listed],
                         [("default", "active", "default")])
        self.assertIn("name=\"default\"", self.call("GetPolicy", "default"))
        message = self.refuse("org.sevmig1.Error.NotFound", "GetPolicy", "nobody")
        self.assertIn("nobody", message)

    def test_libvirt_of_no_use(self):
        wait_until("the state says so", lambda: "QEMU" in self.get("LibvirtState"))
        message = self.refuse("org.sevmig1.Error.Unavailable", "Explain", "test")
        self.assertIn("libvirt", message)
        self.refuse("org.sevmig1.Error.NotAuthorized", "Probe", "test")
        self.allow(READ, STEER)
        self.assertIn("libvirt", self.refuse("org.sevmig1.Error.Unavailable", "Probe", "test"))


class Refusing(BusCase):
    """Each member of the interface, with a polkit that allows nothing."""

    def test_nothing_allowed(self):
        self.allow()
        xml = self.call("Introspect", interface="org.freedesktop.DBus.Introspectable")
        methods = ElementTree.fromstring(xml).findall(f"interface[@name='{MANAGER}']/method")
        self.assertGreaterEqual(len(methods), 7)
        empty = {"s": "", "b": False, "u": dbus.UInt32(0)}
        for method in methods:
            args = [empty[arg.get("type")] for arg in method if arg.get("direction") == "in"]
            with self.subTest(method.get("name")):
                message = self.refuse("org.sevmig1.Error.NotAuthorized", method.get("name"), *args)
                self.assertIn("polkit refuses org.sevmig1.", message)
        self.refuse("org.sevmig1.Error.NotAuthorized", "GetAll", MANAGER, interface=PROPERTIES)
        self.refuse("org.sevmig1.Error.NotAuthorized", "Get", MANAGER, "Version",
                    interface=PROPERTIES)

    def test_reading_is_not_reloading(self):
        self.refuse("org.sevmig1.Error.NotAuthorized", "ReloadPolicies")
        self.allow(RELOAD)
        self.assertEqual(self.call("ReloadPolicies"), 1)
        self.refuse("org.sevmig1.Error.NotAuthorized", "ListPolicies")

    def test_polkit_is_asked_about_the_caller(self):
        self.allow(READ)
        self.call("ListPolicies")
        asked = self.asked()[-1]
        self.assertEqual(asked[0][0], "system-bus-name")
        self.assertEqual(asked[0][1]["name"], self.bus.get_unique_name())
        self.assertEqual(asked[1], READ)
        self.assertEqual(asked[3] & 1, 0)  # no user interaction unless the message allows it

    def test_polkit_is_told_what_it_is_about(self):
        self.allow(READ, STEER)
        self.call("Get", "org.sevmig1.Policy", "File", interface=PROPERTIES, path=POLICY)
        self.call("GetPolicy", "default")
        self.refuse("org.sevmig1.Error.NotFound", "GetPolicy", "x" * 300)
        self.refuse("org.sevmig1.Error.Unavailable", "Probe", "db1")
        self.assertEqual([(asked[1], asked[2]) for asked in self.asked()[-4:]],
                         [(READ, {"method": "Get", "policy": "default"}),
                          (READ, {"method": "GetPolicy", "policy": "default"}),
                          (READ, {"method": "GetPolicy"}),
                          (STEER, {"method": "Probe", "domain": "db1"})])

    def asked(self):
        return [args for _, name, args in self.authority.GetCalls() if name == "CheckAuthorization"]

    def test_properties_cannot_be_set(self):
        with self.assertRaises(dbus.DBusException):
            self.call("Set", MANAGER, "Version", dbus.String("9", variant_level=1),
                      interface=PROPERTIES)

    def test_introspection_needs_no_leave(self):
        self.allow()
        xml = self.call("Introspect", interface="org.freedesktop.DBus.Introspectable")
        self.assertIn("ReloadPolicies", xml)


class Reloading(BusCase):
    def test_reload(self):
        self.allow(READ, RELOAD)
        self.write("second")
        self.assertEqual(self.call("ReloadPolicies"), 2)
        self.assertEqual(len(self.call("ListPolicies")), 2)

    def test_bad_file_changes_nothing(self):
        self.allow(READ, RELOAD)
        self.write("second")
        self.write("third", "<policy xmlns='urn:sevmig:policy:1' name='third'>\n  <gaols/></policy>")
        message = self.refuse("org.sevmig1.Error.Invalid", "ReloadPolicies")
        self.assertIn("third.xml:2", message)
        self.assertEqual(self.get("PolicyError"), message)
        self.assertEqual(len(self.call("ListPolicies")), 1)
        self.assertIn("third.xml:2", self.log())
        (self.policies / "third.xml").unlink()
        self.assertEqual(self.call("ReloadPolicies"), 2)
        self.assertEqual(self.get("PolicyError"), "")

    def test_hangup(self):
        self.write("second")
        self.process.send_signal(signal.SIGHUP)
        wait_until("the second policy is there", lambda: len(self.call("ListPolicies")) == 2)
        self.write("third", "no XML")
        self.process.send_signal(signal.SIGHUP)
        wait_until("the error is told", lambda: "third.xml" in self.get("PolicyError"))
        self.assertEqual(len(self.call("ListPolicies")), 2)


class PolicyObjects(BusCase):
    """One for each policy in force, and signals of what a reload changes."""

    def setUp(self):
        super().setUp()
        self.allow(READ, RELOAD)
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        watcher = Gio.DBusConnection.new_for_address_sync(self.address, flags, None, None)
        self.addCleanup(watcher.close_sync, None)
        self.signals = []
        watcher.signal_subscribe(NAME, None, None, None, None, 0, self.take)
        watcher.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId", None, None, 0, -1, None)

    def take(self, _bus, _sender, path, _interface, member, arguments):
        if path.startswith("/org/sevmig1/policy") or member.startswith("Policy"):
            self.signals.append((path, member, *arguments.unpack()))

    def wait_signals(self, n):
        def come():
            while GLib.MainContext.default().iteration(False):
                pass
            return len(self.signals) >= n
        wait_until(f"{n} signals have come", come)
        return self.signals

    def properties(self, path):
        return self.call("GetAll", "org.sevmig1.Policy", interface=PROPERTIES, path=path)

    def test_properties(self):
        path, = [policy["path"] for policy in self.call("ListPolicies")]
        self.assertEqual(path, POLICY)
        self.assertEqual(self.properties(path), {"Name": "default", "File": str(self.policies / "default.xml"),
                                                 "Priority": 50, "Description": "default"})
        xml = self.call("GetXml", interface="org.sevmig1.Policy", path=path)
        self.assertEqual(xml, self.call("GetPolicy", "default"))
        self.assertIn("name=\"default\"", xml)

    def test_reload(self):
        self.write("a-b")
        self.write("default", GOOD.format("default").replace(">default<", ">other<"))
        self.call("ReloadPolicies")
        added = "/org/sevmig1/policy/a_2db"
        self.assertCountEqual(self.wait_signals(2), [
            (PATH, "PolicyAdded", added),
            (POLICY, "PropertiesChanged", "org.sevmig1.Policy", {"Description": "other"}, [])])
        self.assertEqual(self.properties(added)["Name"], "a-b")
        self.signals.clear()
        (self.policies / "a-b.xml").unlink()
        self.call("ReloadPolicies")
        self.assertEqual(self.wait_signals(1), [(PATH, "PolicyRemoved", added)])
        with self.assertRaises(dbus.DBusException):
            self.properties(added)


def documents(*kinds, root):
    """The documents of tests/policy whose root element is of that name (all others: a policy)."""
    found = sorted(path for kind in kinds for path in (DOCUMENTS / kind).glob("*.xml"))
    return [path for path in found if (b"<ceiling xmlns" in path.read_bytes()) == (root == "ceiling")]


class Linting(BusCase):
    """Every document of tests/policy: sevmigctl policy lint and sevmigd say the same of it."""

    FAULTY = ("invalid", "absurd", "malformed")

    def lint(self, *paths):
        done = subprocess.run([SEVMIGCTL, "policy", "lint", *paths], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        return done.stdout.splitlines()

    def said(self):
        """The faults that sevmigd has written into its log."""
        lines = [line.partition(": warning: ")[2] for line in self.log().splitlines()]
        return [line for line in lines if line.startswith(str(self.dir))]

    def test_faulty_policies(self):
        self.allow(READ, RELOAD)
        faulty = documents(*self.FAULTY, root="policy")
        for path in faulty:
            shutil.copy(path, self.policies / f"{path.parent.name}-{path.name}")
        message = self.refuse("org.sevmig1.Error.Invalid", "ReloadPolicies")
        linted = self.lint(self.policies)
        self.assertGreaterEqual(len(linted), len(faulty))
        self.assertEqual(self.said(), linted)
        self.assertEqual(message, f"{linted[0]} (and {len(linted) - 1} more)")
        self.assertEqual(self.get("PolicyError"), message)
        self.assertEqual(self.lint(*(self.policies / f"{path.parent.name}-{path.name}" for path in faulty)),
                         linted)

    def test_expected_messages(self):
        """The program's own output, to the letter."""
        for root in ("policy", "ceiling"):
            for path in documents(*self.FAULTY, root=root):
                expected = path.with_suffix(".expected").read_text().splitlines()
                self.assertEqual(self.lint(path), [f"{path}:{line}" for line in expected])

    def test_faulty_ceilings(self):
        self.allow(READ, RELOAD)
        ceiling = self.dir / "ceiling.xml"
        for path in documents(*self.FAULTY, root="ceiling"):
            shutil.copy(path, ceiling)
            before = len(self.said())
            self.refuse("org.sevmig1.Error.Invalid", "ReloadPolicies")
            self.assertEqual(self.said()[before:], self.lint(ceiling))

    def test_valid_ones(self):
        self.allow(READ, RELOAD)
        for root, target in (("policy", self.policies / "p.xml"), ("ceiling", self.dir / "ceiling.xml")):
            for path in documents("valid", root=root):
                shutil.copy(path, target)
                self.assertEqual(self.call("ReloadPolicies"), 2, path)
        self.assertEqual(self.said(), [])


class Explaining(BusCase):
    """sevmigd explains the cases of tests/policy/explain as sevmigctl does by itself."""

    def places(self):
        return "--policy-dir", "etc", "--policy-dir", "share", "--ceiling", "ceiling.xml"

    def explain(self, path):
        done = subprocess.run([SEVMIGCTL, "--connect", self.address, "policy", "explain", "--xml", path.name],
                              cwd=CASES, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def test_cases(self):
        cases = [path for path in CASES.glob("*.xml") if path.name != "ceiling.xml"]
        self.assertGreaterEqual(len(cases), 10)
        for path in cases:
            with self.subTest(path.stem):
                alone = path.with_suffix(".txt").read_text().splitlines()
                self.assertEqual(self.explain(path),
                                 [*alone[:-1], "by the policies that sevmigd has in force"])

    def test_bounds(self):
        for xml, expected in (("<domain>", "not well-formed"), ("<network/>", "expected <domain>"),
                              ("<!DOCTYPE d [<!ENTITY e 'x'>]><domain/>", "document type"),
                              ("<domain>" + " " * (64 << 10) + "</domain>", "too large to be explained"),
                              ("<domain " + " ".join(f"a{n}=''" for n in range(800)) + "/>",
                               "more than 256 attributes")):
            with self.subTest(expected):
                begun = time.monotonic()
                message = self.refuse("org.sevmig1.Error.Invalid", "ExplainXml", xml)
                self.assertIn(expected, message)
                self.assertLess(time.monotonic() - begun, 2, "a lease lasts that long")


class Metrics(BusCase):
    """The file, of a daemon that sees nothing migrate."""

    def test_written_and_last_written(self):
        file = self.dir / "state" / "metrics" / "sevmig.prom"
        wait_until("the file is there", file.exists)
        self.assertIn("\nsevmig_libvirt_connected 0\n", file.read_text())
        self.assertIn("\nsevmig_migrations_running 0\n", file.read_text())
        self.assertEqual(file.stat().st_mode & 0o777, 0o644, "Prometheus reads it")
        before = file.stat().st_ino
        self.process.terminate()
        self.assertEqual(self.process.wait(20), 0, self.log())
        self.assertNotEqual(file.stat().st_ino, before)

    def test_readable_under_the_mask_of_the_unit(self):
        self.process.terminate()
        self.process.wait(20)
        before = os.umask(0o027)
        try:
            self.process = self.start("--metrics", str(self.dir / "masked.prom"))
        finally:
            os.umask(before)
        wait_until("the file is there", (self.dir / "masked.prom").exists)
        self.assertEqual((self.dir / "masked.prom").stat().st_mode & 0o777, 0o644)

    def test_somebody_elses_pipe(self):
        """In a directory of others it is not waited for."""
        self.process.terminate()
        self.process.wait(20)
        os.mkfifo(self.dir / "piped.prom.new")
        self.process = self.start("--metrics", str(self.dir / "piped.prom"))
        wait_until("the file is there", (self.dir / "piped.prom").is_file)
        self.call("ListPolicies")

    def test_one_that_gives_up_leaves_the_file_alone(self):
        self.assertEqual(self.start("--metrics", str(self.dir / "second.prom")).wait(20), 1)
        self.assertFalse((self.dir / "second.prom").exists())

    def test_elsewhere_or_nowhere(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.dir / "state")
        self.process = self.start("--metrics", str(self.dir / "sevmig.txt"))
        wait_until("the file is there", (self.dir / "sevmig.txt").exists)
        self.assertTrue((self.dir / "sevmig.txt").read_text().endswith("\n# EOF\n"))
        self.process.terminate()
        self.process.wait(20)
        self.process = self.start("--metrics", "none")
        self.call("ListPolicies")
        self.assertFalse((self.dir / "state" / "metrics").exists())


class Asking(BusCase):
    """A polkit that wants the user's word."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.authority.AddMethod("org.freedesktop.PolicyKit1.Authority", "CheckAuthorization", "(sa{sv})sa{ss}us",
                                "(bba{ss})", "ret = (False, True, {})")

    def test_only_if_the_message_says_so(self):
        for allow in False, True:
            self.authority.ClearCalls()
            message = dbus.lowlevel.MethodCallMessage(NAME, PATH, MANAGER, "ReloadPolicies")
            message.set_allow_interactive_authorization(allow)
            with self.assertRaises(dbus.DBusException) as context:
                self.bus.send_message_with_reply_and_block(message, 20)
            self.assertIn("needs authentication", context.exception.get_dbus_message())
            # asked first without: what takes no user must be answered within seconds
            self.assertEqual([flags & 1 for flags in self.asked_flags()], [0, 1] if allow else [0])

    def asked_flags(self):
        return [args[3] for _, name, args in self.authority.GetCalls() if name == "CheckAuthorization"]


class Notifying(BusCase):
    """What systemd is told, on a socket of the test's own."""

    WATCHDOG_US = 400000

    def setUp(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.place = tempfile.TemporaryDirectory(prefix="sevmig-notify-")
        self.addCleanup(self.place.cleanup)
        self.address_told = self.bind()
        self.environ = {"NOTIFY_SOCKET": self.address_told, "WATCHDOG_USEC": str(self.WATCHDOG_US)}
        super().setUp()

    def bind(self):
        self.socket.bind(f"{self.place.name}/notify")
        return f"{self.place.name}/notify"

    def environment(self):
        return {**super().environment(), **self.environ}

    def told(self, seconds):
        """What comes within that time."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(4096).decode()
        except TimeoutError:
            return None

    def drain(self):
        while self.told(0.01):
            pass

    def test_ready_and_fed(self):
        self.assertEqual(self.told(5), "READY=1")
        for _ in range(5):
            self.assertEqual(self.told(5), "WATCHDOG=1")

    def test_held_main_loop_is_not_fed(self):
        self.assertEqual(self.told(5), "READY=1")
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            self.drain()
            self.assertIsNone(self.told(2 * self.WATCHDOG_US / 1e6))
        finally:
            os.kill(self.process.pid, signal.SIGCONT)
        self.assertEqual(self.told(5), "WATCHDOG=1")

    def test_stopping(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(20), 0, self.log())
        heard = [text for text in iter(lambda: self.told(0.1), None) if text != "WATCHDOG=1"]
        self.assertEqual(heard, ["READY=1", "STOPPING=1"])

    def test_not_ready_without_a_name(self):
        """Another has it: this one ends, and systemd is not told that it serves."""
        self.told(5)
        self.environ["WATCHDOG_USEC"] = "0"
        self.assertEqual(self.start().wait(20), 1)
        heard = [text for text in iter(lambda: self.told(0.1), None) if text != "WATCHDOG=1"]
        self.assertNotIn("READY=1", heard)

    def test_nobody_watches(self):
        for environ in ({"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"}):
            self.process.terminate()
            self.process.wait(20)
            self.drain()
            self.environ = {"NOTIFY_SOCKET": self.address_told, **environ}
            self.process = self.start()
            self.assertEqual(self.told(5), "READY=1")
            self.assertIsNone(self.told(0.5))


class NotifyingAbstract(Notifying):
    """systemd may have a socket in the abstract space."""

    def bind(self):
        name = f"sevmig-test-{os.getpid()}-{time.monotonic_ns()}"
        self.socket.bind(f"\0{name}")
        return f"@{name}"


class Hanging(BusCase):
    """A polkit that has its name and answers nobody."""

    def hang(self):
        os.kill(self.polkit.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.polkit.pid, signal.SIGCONT)

    def test_is_named(self):
        self.call("ListPolicies")
        self.hang()
        begun = time.monotonic()
        message = self.refuse("org.sevmig1.Error.NotAuthorized", "ListPolicies")
        self.assertIn("polkit did not answer within 5 s", message)
        self.assertIn("systemctl restart polkit", message)
        self.assertLess(time.monotonic() - begun, 9)

    def test_is_named_where_a_user_could_be_asked(self):
        self.hang()
        done = subprocess.run([SEVMIGCTL, "--connect", self.address, "list"], capture_output=True, text=True,
                              timeout=30, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("polkit did not answer within 5 s", done.stderr)
        doctor = subprocess.run([SEVMIGCTL, "--connect", self.address, "--timeout", "2", "doctor", "--json",
                                 "--uri", "test:///default"], capture_output=True, text=True, timeout=60, check=False)
        checks = {check["check"]: check for check in json.loads(doctor.stdout)["checks"]}
        self.assertEqual(checks["polkit"]["found"], "did not answer within 2 s")
        self.assertIn("systemctl restart polkit", checks["polkit"]["mend"])


class Living(BusCase):
    def test_second_one_gives_up(self):
        second = subprocess.run(
            [SEVMIGD, "--connect", "test:///default", "--bus", self.address, "--state-dir",
             str(self.dir / "state"), "--policy-dir", str(self.policies)],
            stderr=subprocess.PIPE, text=True, timeout=20, check=False)
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn("bus name", second.stderr)
        self.assertIsNone(self.process.poll())

    def test_no_bus(self):
        lost = subprocess.run([SEVMIGD, "--bus", "unix:path=/nonexistent", "--policy-dir",
                               str(self.policies), "--state-dir", str(self.dir)],
                              stderr=subprocess.PIPE, text=True, timeout=20, check=False)
        self.assertEqual(lost.returncode, 1, lost.stderr)
        self.assertIn("/nonexistent", lost.stderr)

    def test_options(self):
        for options, status, text in ((["--version"], 0, "sevmigd"), (["--help"], 0, "--dry-run"),
                                      (["--colour"], 2, "--colour"), (["extra"], 2, "extra"),
                                      (["--log-level", "loud"], 2, "loud")):
            with self.subTest(options):
                done = subprocess.run([SEVMIGD, *options], capture_output=True, text=True,
                                      timeout=20, check=False)
                self.assertEqual(done.returncode, status)
                self.assertIn(text, done.stdout + done.stderr)


if __name__ == "__main__":
    if not shutil.which("dbus-daemon"):
        sys.exit("dbus-daemon is missing")
    unittest.main(verbosity=2)
