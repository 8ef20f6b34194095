# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of sevmigctl against a strict sevmigd share; arguments as test_cli.py has them."""

import os
import subprocess
import sys
import unittest

from gi.repository import Gio, GLib

from fake_sevmigd import Bus, FakeSevmigd

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden")
CTL, INTERFACE, COMPLETION = sys.argv[1:4]
UPDATE = "--update" in sys.argv[4:]

CONVERGING = {
    "Id": "1b6f-1", "Domain": "db-1", "Uuid": "1b6f0b5e-4cb2-4d25-9a8c-8b1a6d0a2f11",
    "Policy": "low-downtime", "PolicySource": "metadata", "Phase": "converging", "State": "steered",
    "Note": "", "StartedRealtimeUs": 1795453200000000, "ElapsedUs": 41000000, "SetupUs": 0, "Pass": 3,
    "PageSize": 4096, "PrivatePages": 65536, "RemainingPages": 1200, "DirtyRate": 1520.25,
    "EncryptionRate": 3180.0, "BatchPages": 64, "ThrottlePercent": 35, "MaxThrottlePercent": 82,
    "PredictedDowntimeUs": 280000, "PromisedDowntimeUs": 0, "DowntimeGoalUs": 300000,
    "DurationGoalUs": 0, "EtaUs": 12400000, "TurnPlace": 0, "TurnBeginsUs": 0, "TurnEndsUs": 0, "HeldUs": 0,
    "StillUs": 0, "PausedUs": 0,
    "GuestLostUs": 1210000, "Submissions": 2200, "Commands": 18000, "Pages": 71000,
    "SentBytes": 292000000, "ServiceUs": 44000000, "WaitUs": 1000, "DowntimeUs": 0, "FixedDowntimeUs": 0,
    "Peer": "domain sev", "PeerDigest": "5e" * 32, "PeerSubject": "",
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
DONE = dict(CONVERGING, Phase="done", State="ended", RemainingPages=0, EtaUs=0, DowntimeUs=245000,
            PromisedDowntimeUs=250000)
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


def history(interface, *migrations):
    """What ListHistory answers: each property with the type that the interface says."""
    with open(interface, encoding="utf-8") as stream:
        node = Gio.DBusNodeInfo.new_for_xml(stream.read())
    types = {p.name: p.signature for p in node.lookup_interface("org.sevmig1.Migration").properties}
    return GLib.Variant("(aa{sv})", ([
        {name: GLib.Variant(types[name], value) for name, value in properties.items()}
        for properties in migrations],))


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
            daemon.add(f"m{number}", dict(properties), running)
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
