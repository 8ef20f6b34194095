#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl policy and steer against a strict sevmigd on a private bus; TAP on standard output.

Usage: test_policies.py SEVMIGCTL INTERFACE.xml COMPLETION [--update]
(--update rewrites the golden files)
"""

import json
import os
import shutil
import sys
import tempfile

from gi.repository import GLib

import tap
from cli_case import CONVERGING, EXPLANATION, FAILED, HERE, MANAGER, POLICIES, CliCase


class Steering(CliCase):
    def test_steer(self):
        daemon = self.serve((CONVERGING, True))
        throttle, batch = ("throttle-percent", 20), ("batch-pages", 4)
        for values, reason in (((throttle,), ""), ((batch,), ""), ((), ""),
                               ((("batch-pages", 4096), ("throttle-percent", 0)), "a try")):
            daemon.answers["Steer", (values, reason)] = GLib.Variant("()", ())
        self.assertEqual(self.good("steer", "db-1", "--throttle", "20"),
                         "db-1: throttle at most 20 %, all else as low-downtime says\n")
        self.assertEqual(self.good("steer", CONVERGING["Id"], "--batch", "4"),
                         "db-1: batch of 4 pages, all else as low-downtime says\n")
        self.assertEqual(json.loads(self.good("steer", "db-1", "--throttle", "0", "--batch", "4096", "--reason",
                                              "a try", "--json")),
                         {"id": CONVERGING["Id"], "domain": "db-1", "throttle_percent": 0, "batch_pages": 4096})
        self.assertEqual(self.good("steer", "db-1", "--auto"), "db-1: as low-downtime says\n")
        daemon.answers["Steer", ((), "")] = ("org.sevmig1.Error.Refused", "migration 1b6f-1 has ended")
        self.assertIn("has ended", self.fails(1, "steer", "db-1", "--auto"))

    def test_uuid_before_name(self):
        """A domain may be named like another's UUID, and its migration be the newer one."""
        uuids = [f"00000000-0000-0000-0000-00000000000{i}" for i in range(2)]
        self.serve(*((dict(CONVERGING, Id=f"1b6f-{i}", Domain=name, Uuid=uuids[i],
                           StartedRealtimeUs=CONVERGING["StartedRealtimeUs"] + i), True)
                     for i, name in enumerate(("right", uuids[0]))))
        shown = json.loads(self.good("show", uuids[0], "--json"))
        self.assertEqual((shown["id"], shown["domain"]), ("1b6f-0", "right"))

    def test_misuse(self):
        for arguments, text in ((["--throttle", "100"], "0 to 99"), (["--throttle", "-2"], "0 to 99"),
                                (["--batch", "0"], "1 to 4096"), (["--batch", "5000"], "1 to 4096"),
                                ([], "needs --throttle"), (["--auto", "--batch", "1"], "--auto alone")):
            with self.subTest(arguments):
                self.assertIn(text, self.fails(2, "steer", "db-1", *arguments))


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
                      self.fails(1, "policy", "unassign", "test", "--uri", "qemu+unix:///system?socket=/no/such"))

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


if __name__ == "__main__":
    sys.exit(tap.main())
