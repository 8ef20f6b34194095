#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl against a strict sevmigd on a private bus; TAP on standard output.

Usage: test_cli.py SEVMIGCTL INTERFACE.xml COMPLETION [--update]
(--update rewrites the golden files)
"""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import unittest

from gi.repository import GLib

import tap
from fake_sevmigd import Bus, FakeSevmigd

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden")
CTL, INTERFACE, COMPLETION = sys.argv[1:4]
UPDATE = "--update" in sys.argv[4:]

CONVERGING = {
    "Id": "1b6f-1", "Domain": "db-1", "Uuid": "1b6f0b5e-4cb2-4d25-9a8c-8b1a6d0a2f11",
    "Policy": "low-downtime", "PolicySource": "metadata", "Phase": "converging", "State": "steered",
    "Note": "", "StartedRealtimeUs": 1795453200000000, "ElapsedUs": 41000000, "Pass": 3,
    "PageSize": 4096, "PrivatePages": 65536, "RemainingPages": 1200, "DirtyRate": 1520.25,
    "EncryptionRate": 3180.0, "BatchPages": 64, "ThrottlePercent": 35, "MaxThrottlePercent": 82,
    "PredictedDowntimeUs": 280000, "DowntimeGoalUs": 300000, "EtaUs": 12400000,
    "GuestLostUs": 1210000, "Submissions": 2200, "Commands": 18000, "Pages": 71000,
    "SentBytes": 292000000, "ServiceUs": 44000000, "WaitUs": 1000, "DowntimeUs": 0,
    "LastDecision": "throttle 35 -> 82 %: the guest uses 18 % of its vCPU, less throttle has no effect",
    "RecordFile": "/var/lib/sevmig/records/1b6f-1.jsonl", "Error": "",
}
OBSERVED = dict(
    CONVERGING, Id="77aa-1", Domain="web-12", Uuid="77aa0b5e-4cb2-4d25-9a8c-8b1a6d0a2f12",
    Policy="observe", PolicySource="match", Phase="bulk", State="observed",
    Note="the policy only observes", StartedRealtimeUs=1795453230000000, ElapsedUs=11000000, Pass=1,
    RemainingPages=60000, DirtyRate=0.0, BatchPages=1, ThrottlePercent=0, MaxThrottlePercent=0,
    PredictedDowntimeUs=0, DowntimeGoalUs=0, EtaUs=0, GuestLostUs=0, LastDecision="")
FAILED = dict(
    CONVERGING, Id="1b6f-0", Phase="failed", State="ended", StartedRealtimeUs=1795449600000000,
    ElapsedUs=7384000000, EtaUs=0, Error="the peer closed the channel", LastDecision="")
DONE = dict(CONVERGING, Phase="done", State="ended", RemainingPages=0, EtaUs=0, DowntimeUs=245000)
MANAGER = {"Version": "0.1.0", "Host": "host-a", "LibvirtState": "connected", "PolicyError": "",
           "ActiveMigrations": 2}
POLICIES = GLib.Variant("(aa{sv})", ([
    {"name": GLib.Variant("s", "default"), "file": GLib.Variant("s", "/usr/share/sevmig/policies/default.xml"),
     "priority": GLib.Variant("u", 50), "description": GLib.Variant("s", "Balanced goals"),
     "state": GLib.Variant("s", "active")},
    {"name": GLib.Variant("s", "gentle"), "file": GLib.Variant("s", "/etc/sevmig/policies/gentle.xml"),
     "priority": GLib.Variant("u", 5), "description": GLib.Variant("s", "Little slowdown, any duration"),
     "state": GLib.Variant("s", "replaced")}],))
EXPLANATION = GLib.Variant("(saa{sv})", ("low-downtime", [
    {"name": GLib.Variant("s", "low-downtime"), "source": GLib.Variant("s", "metadata"),
     "file": GLib.Variant("s", "/etc/sevmig/policies/low-downtime.xml"),
     "chosen": GLib.Variant("b", True), "reason": GLib.Variant("s", "named in the domain's metadata")},
    {"name": GLib.Variant("s", "gentle"), "source": GLib.Variant("s", "match"),
     "file": GLib.Variant("s", "/usr/share/sevmig/policies/gentle.xml"),
     "chosen": GLib.Variant("b", False), "reason": GLib.Variant("s", "the domain's name is not \"web-*\"")}]))


class CliCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.bus = Bus()
        self.addCleanup(self.bus.close)

    def serve(self, *migrations):
        """A daemon with these (properties, running) migrations."""
        daemon = FakeSevmigd(self.bus, INTERFACE)
        self.addCleanup(lambda: self.assertEqual(daemon.unexpected, []))
        self.addCleanup(daemon.close)
        daemon.set_manager(**MANAGER)
        for number, (properties, running) in enumerate(migrations):
            daemon.add(f"m{number}", properties, running)
        return daemon

    def environment(self, columns=None):
        env = dict(os.environ, LC_ALL="C.UTF-8", TZ="UTC", TERM="xterm",
                   DBUS_SYSTEM_BUS_ADDRESS=self.bus.address)
        for name in ("COLUMNS", "NO_COLOR"):
            env.pop(name, None)
        if columns:
            env["COLUMNS"] = str(columns)
        return env

    def ctl(self, *arguments, columns=None):
        return subprocess.run([CTL, *arguments], env=self.environment(columns), text=True, check=False,
                              capture_output=True, timeout=60)

    def good(self, *arguments, columns=None):
        done = self.ctl(*arguments, columns=columns)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def fails(self, status, *arguments):
        """Standard error, which is one line, of an invocation that prints nothing else."""
        done = self.ctl(*arguments)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Asevmigctl: [^\n]+\n\Z")
        return done.stderr

    def golden_text(self, name):
        with open(os.path.join(GOLDEN, name), encoding="utf-8") as stream:
            return stream.read()

    def golden(self, name, text):
        if UPDATE:
            with open(os.path.join(GOLDEN, name), "w", encoding="utf-8") as stream:
                stream.write(text)
        self.assertEqual(text, self.golden_text(name), f"{name}: rewrite with --update if this is meant")

    def fits(self, text, width):
        for line in text.splitlines():
            self.assertLessEqual(len(line), width, line)


class Migrations(CliCase):
    def test_list(self):
        self.serve((FAILED, False), (OBSERVED, True), (CONVERGING, True))
        self.golden("list.txt", self.good("list"))
        self.golden("list-all.txt", self.good("list", "--all"))
        for width in (60, 30):
            text = self.good("list", "--all", columns=width)
            self.fits(text, width)
            self.golden(f"list-all-{width}.txt", text)

    def test_list_json(self):
        self.serve((FAILED, False), (CONVERGING, True))
        text = self.good("list", "--json")
        self.golden("list.json", text)
        only, = json.loads(text)
        self.assertEqual(only["domain"], "db-1")
        self.assertEqual(only["remaining_pages"], 1200)
        self.assertEqual(only["dirty_pages_per_s"], 1520.25)
        self.assertEqual(len(only), len(CONVERGING))
        self.assertEqual(len(json.loads(self.good("--json", "list", "--all"))), 2)

    def test_every_property(self):
        """What the interface has arrives, each property under its own key."""
        daemon = self.serve()
        by_type = {"s": "text {}", "u": "{}", "t": "{}", "d": "{}.5"}
        values = {info.name: by_type[info.signature].format(1000 + number) for number, info
                  in enumerate(daemon.interfaces["org.sevmig1.Migration"].properties)}
        daemon.add("m", {name: text if text.startswith("text") else float(text) if "." in text else int(text)
                         for name, text in values.items()})
        told, = json.loads(self.good("list", "--json"))
        self.assertEqual(sorted(map(str, told.values())), sorted(values.values()))
        for name, text in values.items():
            words = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
            own, = [key for key, value in told.items() if str(value) == text]
            self.assertTrue(own.startswith(words) or own in ("dirty_pages_per_s", "encrypt_pages_per_s"),
                            f"{name} arrives as {own}")

    def test_list_nothing(self):
        self.serve((FAILED, False))
        self.assertEqual(self.good("list"), "no migrations\n")
        self.assertEqual(self.good("list", "--json"), "[]\n")

    def test_list_without_libvirt(self):
        daemon = self.serve()
        daemon.set_manager(**dict(MANAGER, LibvirtState="cannot connect to qemu:///system"))
        done = self.ctl("list")
        self.assertEqual(done.returncode, 0)
        self.assertIn("not connected to libvirt: cannot connect to qemu:///system", done.stderr)

    def test_show(self):
        self.serve((FAILED, False), (CONVERGING, True), (OBSERVED, True))
        by_domain = self.good("show", "db-1")
        self.golden("show.txt", by_domain)
        self.assertEqual(self.good("show", CONVERGING["Uuid"]), by_domain)
        self.assertEqual(self.good("show", "1b6f-1"), by_domain)
        self.golden("show-failed.txt", self.good("show", "1b6f-0"))
        self.golden("show-observed.txt", self.good("show", "web-12"))
        self.assertEqual(json.loads(self.good("show", "db-1", "--json"))["id"], "1b6f-1")

    def test_show_no_policy(self):
        self.serve((dict(OBSERVED, Policy="", PolicySource=""), True))
        self.assertRegex(self.good("show", "web-12"), r"(?m)^policy +none$")

    def test_show_prefers_what_runs(self):
        later = dict(FAILED, Id="1b6f-2", StartedRealtimeUs=1795459999000000)
        self.serve((CONVERGING, True), (later, False))
        self.assertEqual(json.loads(self.good("show", "db-1", "--json"))["id"], "1b6f-1")

    def test_show_unknown(self):
        self.serve((CONVERGING, True))
        self.assertIn('"db-2" is known', self.fails(1, "show", "db-2"))

    def test_hostile_text(self):
        evil = dict(CONVERGING, Domain="db\x1b[2J\n\u202ex", Error="a\"b\\c\x07")
        self.serve((evil, True))
        for verb in (["list"], ["show", "1b6f-1"], ["watch", "--once"], ["list", "--json"]):
            text = self.good(*verb)
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\u202e]")
        self.assertEqual(json.loads(self.good("list", "--json"))[0]["error"], 'a"b\\c?')


class Watching(CliCase):
    def test_once(self):
        self.serve((CONVERGING, True), (OBSERVED, True))
        for width in (100, 40):
            text = self.good("watch", "--once", columns=width)
            self.fits(text, width)
            self.golden(f"watch-once-{width}.txt", text)
        text = self.good("watch", "web-12", "--once", "--json")
        self.assertEqual(json.loads(text)["domain"], "web-12")
        self.assertEqual(text.count("\n"), 1)

    def test_once_nothing(self):
        self.serve((FAILED, False))
        self.assertEqual(self.good("watch", "--once"), "no migrations\n")
        self.assertEqual(self.good("watch", "--once", "--json"), "")
        self.assertIn('"db-1"', self.fails(1, "watch", "db-1", "--once"))

    def follow(self, daemon, path, end, *arguments):
        """Runs a watch, changes the migration to `end` once it was seen, and gives all output."""
        with subprocess.Popen([CTL, "watch", "--interval", "0.1", *arguments], env=self.environment(),
                              stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline(), process.stdout.readline()]
            daemon.migrations[path] = end
            daemon.running.remove(path)
            rest, _ = process.communicate(timeout=60)
        return process.returncode, lines + rest.splitlines(keepends=True)

    def test_follow_to_the_end(self):
        daemon = self.serve((CONVERGING, True))
        status, lines = self.follow(daemon, "/org/sevmig1/migration/m0", DONE, "db-1")
        self.assertEqual(status, 0)
        self.assertIn("converging", lines[0])
        self.assertIn("done", lines[-1])
        self.assertEqual(sum("done" in line for line in lines), 1)
        self.golden("watch-lines.txt", lines[0] + lines[-1])

    def test_follow_to_failure(self):
        daemon = self.serve((CONVERGING, True))
        status, lines = self.follow(daemon, "/org/sevmig1/migration/m0", FAILED, "db-1", "--json")
        self.assertEqual(status, 1)
        self.assertEqual(json.loads(lines[0])["phase"], "converging")
        self.assertEqual(json.loads(lines[-1])["error"], "the peer closed the channel")

    def test_waits_for_a_migration(self):
        daemon = self.serve()
        with subprocess.Popen([CTL, "watch", "db-1", "--interval", "0.1"], env=self.environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self.assertIn("waiting for a migration of db-1", process.stderr.readline())
            daemon.add("late", CONVERGING)
            self.assertIn("db-1: converging", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_daemon_ends(self):
        daemon = FakeSevmigd(self.bus, INTERFACE)
        daemon.set_manager(**MANAGER)
        daemon.add("m0", CONVERGING)
        with subprocess.Popen([CTL, "watch", "--interval", "0.1"], env=self.environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            daemon.close()
            _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn("sevmigd is not running", stderr)

    def on_terminal(self, daemon, columns, no_color):
        """What a terminal of that width receives from a watch up to the end of the migration."""
        env = self.environment()
        if no_color:
            env["NO_COLOR"] = "1"
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(CTL, [CTL, "watch", "db-1", "--interval", "0.1"], env)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        data = b""
        while True:
            try:
                chunk = os.read(fd, 4096)
            except OSError:
                break
            data += chunk
            if data.count(b"db-1: converging") >= 3 and daemon.running:
                daemon.migrations[daemon.running[0]] = DONE
                daemon.running.clear()
        os.close(fd)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        return data.decode()

    def test_terminal(self):
        text = self.on_terminal(self.serve((CONVERGING, True)), 80, no_color=False)
        self.assertIn("\x1b[32mdb-1: done", text)
        frames = text.split("\x1b[J")
        self.assertGreaterEqual(len(frames), 3)
        for frame, following in zip(frames, frames[1:]):
            move = frame.rsplit("\x1b[", 1)[1]
            self.assertEqual(move, f"{frame.count(chr(10))}A\r")    # up by as many lines as were drawn
            self.assertTrue(following.startswith("\x1b["))

    def test_terminal_without_colour(self):
        text = self.on_terminal(self.serve((CONVERGING, True)), 80, no_color=True)
        self.assertNotRegex(text, r"\x1b\[[0-9;]*m")
        self.assertIn("\x1b[J", text)


class Tuning(CliCase):
    def test_tune(self):
        daemon = self.serve((CONVERGING, True))
        throttle, batch = ("throttle-percent", 20), ("batch-pages", 4)
        for values, reason in (((throttle,), ""), ((batch,), ""), ((), ""),
                               ((("batch-pages", 4096), ("throttle-percent", 0)), "a try")):
            daemon.answers["Tune", (values, reason)] = GLib.Variant("()", ())
        self.assertEqual(self.good("tune", "db-1", "--throttle", "20"),
                         "db-1: throttle at most 20 %, all else as low-downtime says\n")
        self.assertEqual(self.good("tune", CONVERGING["Id"], "--batch", "4"),
                         "db-1: batch of 4 pages, all else as low-downtime says\n")
        self.assertEqual(json.loads(self.good("tune", "db-1", "--throttle", "0", "--batch", "4096", "--reason",
                                              "a try", "--json")),
                         {"id": CONVERGING["Id"], "domain": "db-1", "throttle_percent": 0, "batch_pages": 4096})
        self.assertEqual(self.good("tune", "db-1", "--auto"), "db-1: as low-downtime says\n")
        daemon.answers["Tune", ((), "")] = ("org.sevmig1.Error.Refused", "migration 1b6f-1 has ended")
        self.assertIn("has ended", self.fails(1, "tune", "db-1", "--auto"))

    def test_misuse(self):
        for arguments, text in ((["--throttle", "100"], "0 to 99"), (["--throttle", "-2"], "0 to 99"),
                                (["--batch", "0"], "1 to 4096"), (["--batch", "5000"], "1 to 4096"),
                                ([], "needs --throttle"), (["--auto", "--batch", "1"], "--auto alone")):
            with self.subTest(arguments):
                self.assertIn(text, self.fails(2, "tune", "db-1", *arguments))


class Policies(CliCase):
    def test_list(self):
        daemon = self.serve()
        daemon.answers["ListPolicies", ()] = POLICIES
        self.golden("policy-list.txt", self.good("policy", "list"))
        text = self.good("policy", "list", columns=40)
        self.fits(text, 40)
        self.golden("policy-list-40.txt", text)
        self.golden("policy-list.json", self.good("policy", "list", "--json"))

    def test_list_after_failed_reload(self):
        daemon = self.serve()
        daemon.answers["ListPolicies", ()] = POLICIES
        daemon.set_manager(**dict(MANAGER, PolicyError="/etc/x.xml:3:1: unknown element"))
        done = self.ctl("policy", "list")
        self.assertEqual(done.returncode, 0)
        self.assertIn("/etc/x.xml:3:1: unknown element", done.stderr)

    def test_show(self):
        daemon = self.serve()
        xml = '<policy xmlns="urn:sevmig:policy:1" name="default"/>'
        daemon.answers["GetPolicy", ("default",)] = GLib.Variant("(s)", (xml,))
        daemon.answers["GetPolicy", ("none",)] = ("org.sevmig1.Error.NotFound", 'no policy "none"')
        self.assertEqual(self.good("policy", "show", "default"), xml + "\n")
        self.assertEqual(json.loads(self.good("policy", "show", "default", "--json")),
                         {"name": "default", "xml": xml})
        self.assertEqual(self.fails(1, "policy", "show", "none"),
                         'sevmigctl: policy show: no policy "none"\n')

    def test_explain(self):
        daemon = self.serve()
        daemon.answers["Explain", ("db-1",)] = EXPLANATION
        daemon.answers["Explain", ("bad",)] = GLib.Variant("(saa{sv})", ("", []))
        self.golden("policy-explain.txt", self.good("policy", "explain", "db-1"))
        self.golden("policy-explain.json", self.good("policy", "explain", "db-1", "--json"))
        self.assertEqual(self.good("policy", "explain", "bad"),
                         "bad: refused\nby the policies that sevmigd has in force\n")

    def test_explain_xml(self):
        daemon = self.serve()
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write("<domain><name>n\u00e4her</name></domain>")
            file.flush()
            daemon.answers["ExplainXml", ("<domain><name>n\u00e4her</name></domain>",)] = EXPLANATION
            text = self.good("policy", "explain", "--xml", file.name)
            self.assertEqual(text, self.golden_text("policy-explain.txt").replace("db-1", file.name))
            told = json.loads(self.good("policy", "explain", "--xml", file.name, "--json"))
            self.assertEqual((told["xml"], told["policy"], told["directories"]),
                             (file.name, "low-downtime", []))
            refused = ("org.sevmig1.Error.NotAuthorized", "not authorized")
            daemon.answers["ExplainXml", ("<domain><name>n\u00e4her</name></domain>",)] = refused
            self.assertIn("not authorized", self.fails(1, "policy", "explain", "--xml", file.name))

    # libvirt is its test driver: a host in the memory of the program that asks.
    TEST_HOST = ("--uri", "test:///default")

    def test_assign(self):
        daemon = self.serve()
        daemon.answers["GetPolicy", ("gentle",)] = GLib.Variant("(s)", ("<policy/>",))
        daemon.answers["GetPolicy", ("gold",)] = ("org.sevmig1.Error.NotFound", "no policy")
        assign = ("policy", "assign", *self.TEST_HOST)
        self.assertEqual(self.good(*assign, "test", "gentle"), "test: assigned gentle\n")
        self.assertEqual(json.loads(self.good(*assign, "test", "gentle", "--json", "--live", "--config",
                                              "--on-failure", "refuse")),
                         {"domain": "test", "policy": "gentle"})
        self.assertIn('this host has no policy "gold"', self.fails(1, *assign, "test", "gold"))
        self.assertEqual(self.good(*assign, "test", "gold", "--unknown"), "test: assigned gold\n")
        self.assertIn("not a policy name", self.fails(1, *assign, "test", "a'/><b", "--unknown"))
        self.assertIn("domain other of test:///default", self.fails(1, *assign, "other", "gentle"))
        self.assertIn("not maybe", self.fails(2, *assign, "test", "gentle", "--on-failure", "maybe"))
        daemon.answers["GetPolicy", ("gentle",)] = ("org.sevmig1.Error.NotAuthorized", "not authorized")
        message = self.fails(1, *assign, "test", "gentle")
        self.assertIn("--unknown does without", message)
        self.assertIn("not authorized", message)

    def test_assign_without_sevmigd(self):
        """The policies that it would read are known; a bus that is named must answer."""
        assign = ("policy", "assign", *self.TEST_HOST, "test")
        self.assertEqual(self.good(*assign, "default"), "test: assigned default\n")
        self.assertIn("no policy", self.fails(1, *assign, "no-such-policy"))
        self.assertIn("not running", self.fails(1, *assign, "default", "--connect", self.bus.address))

    def test_unassign(self):
        self.assertEqual(self.good("policy", "unassign", *self.TEST_HOST, "test"),
                         "test: no policy of its own\n")
        self.assertIn("--uri chooses another",
                      self.fails(1, "policy", "unassign", "test", "--uri", "test:///no/such/file"))

    def test_switch(self):
        daemon = self.serve((FAILED, False), (CONVERGING, True))
        daemon.answers["SetPolicy", ("gentle", "")] = GLib.Variant("()", ())
        daemon.answers["SetPolicy", ("gentle", "it's late")] = GLib.Variant("()", ())
        daemon.answers["SetPolicy", ("gold", "")] = ("org.sevmig1.Error.NotFound", "no policy is named gold")
        self.assertEqual(self.good("policy", "switch", "db-1", "gentle"),
                         "db-1: gentle from now on, low-downtime before\n")
        self.assertEqual(json.loads(self.good("policy", "switch", CONVERGING["Id"], "gentle", "--reason",
                                              "it's late", "--json")),
                         {"id": CONVERGING["Id"], "domain": "db-1", "before": "low-downtime",
                          "policy": "gentle"})
        self.assertIn("no policy is named gold", self.fails(1, "policy", "switch", "db-1", "gold"))
        self.assertIn('"db-2" is known', self.fails(1, "policy", "switch", "db-2", "gentle"))
        self.assertIn("NAME is missing", self.fails(2, "policy", "switch", "db-1"))

    def test_reload(self):
        daemon = self.serve()
        daemon.answers["ReloadPolicies", ()] = GLib.Variant("(u)", (5,))
        self.assertEqual(self.good("policy", "reload"), "5 policies in force\n")
        daemon.answers["ReloadPolicies", ()] = ("org.sevmig1.Error.Invalid", "/etc/x.xml:3:1: bad\nworse")
        self.assertEqual(self.fails(1, "policy", "reload"),
                         "sevmigctl: policy reload: /etc/x.xml:3:1: bad worse\n")
        daemon.answers["ReloadPolicies", ()] = ("org.sevmig1.Error.NotAuthorized", "not authorized")
        self.assertIn("not authorized", self.fails(1, "policy", "reload"))

    def test_lint(self):
        good = os.path.join(HERE, "good.xml")
        bad = os.path.join(HERE, "bad.xml")
        self.assertEqual(self.good("policy", "lint", good), f"{good}: good\n")
        done = self.ctl("policy", "lint", good, bad)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, rf"(?m)^{bad}:4:\d+: .+$")
        done = self.ctl("policy", "lint", bad, "--json")
        self.assertEqual(done.returncode, 1)
        self.assertEqual({issue["line"] for issue in json.loads(done.stdout)}, {4})
        self.assertEqual(self.ctl("policy", "lint", "/no/such/file.xml").returncode, 1)

    def test_lint_hostile_name(self):
        with tempfile.TemporaryDirectory() as directory:
            for name in ("good", "bad"):
                hostile = os.path.join(directory, f"{name}\x1b[2J\n.xml")
                shutil.copy(os.path.join(HERE, f"{name}.xml"), hostile)
                self.assertNotRegex(self.ctl("policy", "lint", hostile).stdout, r"\x1b|\n\.xml")


class Trouble(CliCase):
    def test_not_running(self):
        message = self.fails(1, "list")
        self.assertIn("sevmigd is not running on the system bus", message)
        self.assertIn("start it", message)
        other = Bus()
        self.addCleanup(other.close)
        self.assertIn(f"not running on {other.address}", self.fails(1, "--connect", other.address, "list"))

    def test_no_bus(self):
        message = self.fails(1, "list", "--connect", "unix:path=/no/such/bus")
        self.assertIn("cannot reach unix:path=/no/such/bus", message)

    def test_connect(self):
        daemon_bus = Bus()
        self.addCleanup(daemon_bus.close)
        daemon = FakeSevmigd(daemon_bus, INTERFACE)
        self.addCleanup(daemon.close)
        daemon.set_manager(**MANAGER)
        self.assertEqual(self.good("list", "--connect", daemon_bus.address), "no migrations\n")

    def test_denied(self):
        bus = Bus('<deny send_destination="org.sevmig1"/>')
        self.addCleanup(bus.close)
        daemon = FakeSevmigd(bus, INTERFACE)
        self.addCleanup(daemon.close)
        self.assertIn("try as root", self.fails(1, "list", "--connect", bus.address))

    def test_no_answer(self):
        daemon = self.serve()
        daemon.answers["ReloadPolicies", ()] = None
        self.assertIn("did not answer within 1 s", self.fails(1, "--timeout", "1", "policy", "reload"))

    def test_version(self):
        self.assertRegex(self.good("version"), r"\Asevmigctl [0-9.]+\nsevmigd is not running on this bus\n\Z")
        self.serve()
        self.assertIn("sevmigd 0.1.0\nhost host-a\nlibvirt connected\n", self.good("version"))
        self.assertEqual(json.loads(self.good("version", "--json"))["daemon"], "0.1.0")

    def test_usage(self):
        for arguments, text in (
                ([], "verb is missing"), (["frobnicate"], 'unknown verb "frobnicate"'),
                (["policy"], "list, show, lint"), (["policy", "frob"], 'not "frob"'),
                (["list", "x"], '"x" is one argument too many'), (["show"], "ID|DOMAIN is missing"),
                (["policy", "lint"], "FILE... is missing"), (["list", "--once"], "--once"),
                (["--frob", "list"], "--frob"), (["--timeout", "0", "list"], "--timeout"),
                (["watch", "--interval", "0.01"], "--interval")):
            with self.subTest(arguments=arguments):
                self.assertIn(text, self.fails(2, *arguments))

    def test_help(self):
        text = self.good("--help")
        for verb in ("list", "show", "watch", "policy list", "policy show", "policy lint",
                     "policy explain", "policy assign", "policy unassign", "policy switch", "policy reload", "tune", "simulate", "replay", "version"):
            self.assertRegex(text, rf"(?m)^  {verb} ")
            self.assertIn("Usage:", self.good(*verb.split(), "--help"))
        self.assertIn("policy reload", self.good("policy", "--help"))


class Completion(CliCase):
    def complete(self, line):
        """What bash would offer for the last word of that line."""
        script = ('PATH="$1:$PATH"; source "$2"; COMP_WORDS=($3); [[ $3 == *" " ]] && COMP_WORDS+=("");'
                  'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sevmigctl; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ["bash", "-c", script, "bash", os.path.dirname(os.path.abspath(CTL)), COMPLETION, line],
            env=self.environment(), capture_output=True, text=True, check=True, timeout=60)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_verbs(self):
        """All that the program knows, and only that."""
        listed = re.findall(r"(?m)^  ([a-z]+)(?: ([a-z]+) )?", self.good("--help").split("Options:")[0])
        self.assertEqual(set(self.complete("sevmigctl ")), {verb for verb, _ in listed})
        self.assertEqual(set(self.complete("sevmigctl --json policy ")),
                         {sub for verb, sub in listed if verb == "policy"})
        self.assertEqual(self.complete("sevmigctl pol"), ["policy"])

    def test_options(self):
        self.assertEqual(self.complete("sevmigctl list --a"), ["--all"])
        self.assertEqual(self.complete("sevmigctl show --a"), [])
        self.assertEqual(self.complete("sevmigctl watch --o"), ["--once"])
        self.assertEqual(self.complete("sevmigctl --timeout 5 li"), ["list"])
        self.assertEqual(self.complete("sevmigctl replay x --d"), ["--decisions"])
        self.assertEqual(self.complete("sevmigctl simulate --memory 4GiB --com"), ["--compare"])
        self.assertEqual(self.complete("sevmigctl simulate --memory "), [])

    def test_every_option(self):
        """Completion knows the options that --help names."""
        for verb in ("list", "watch", "policy explain", "policy assign", "policy unassign", "policy switch",
                     "tune", "simulate", "replay"):
            named = set(re.findall(r"(?m)^  (?:-h, )?(--[a-z-]+)", self.good(*verb.split(), "--help")))
            self.assertEqual(set(self.complete(f"sevmigctl {verb} --")), named, verb)

    def test_words(self):
        daemon = self.serve()
        daemon.answers["ListPolicies", ()] = POLICIES
        self.assertEqual(self.complete("sevmigctl simulate --policy gen"), ["gentle"])
        self.assertEqual(self.complete("sevmigctl simulate --workload z"), ["zipf"])
        self.assertEqual(self.complete(f"sevmigctl replay {HERE}/goo"), [f"{HERE}/good.xml"])
        self.assertEqual(self.complete(f"sevmigctl simulate --policy {HERE}/goo"), [f"{HERE}/good.xml"])

    def test_names(self):
        daemon = self.serve((FAILED, False), (OBSERVED, True))
        daemon.answers["ListPolicies", ()] = POLICIES
        self.assertEqual(self.complete("sevmigctl show "), ["db-1", "web-12"])
        self.assertEqual(self.complete("sevmigctl watch "), ["web-12"])
        self.assertEqual(self.complete("sevmigctl policy show g"), ["gentle"])
        self.assertEqual(self.complete("sevmigctl policy switch "), ["web-12"])
        self.assertEqual(self.complete("sevmigctl policy switch web-12 "), ["default", "gentle"])
        self.assertEqual(self.complete("sevmigctl policy assign vm g"), ["gentle"])
        self.assertEqual(self.complete("sevmigctl policy unassign vm g"), [])
        self.assertEqual(self.complete("sevmigctl policy assign vm gentle --on-failure r"), ["refuse"])


if __name__ == "__main__":
    sys.exit(tap.main())
