#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl preflight against a strict sevmigd and libvirt's test driver; TAP on standard output.

The test driver knows no dirty rate, so the load is what sevmigd remembers, or assumed. A real guest
is looked at in the suite `hosts`.

Usage: test_preflight.py SEVMIGCTL INTERFACE.xml COMPLETION
"""

import json
import os
import sys
import tempfile

from gi.repository import GLib

import tap
from cli_case import DONE, INTERFACE, CliCase, history

RECORD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/lab-tiny-low-downtime.trace")
UUID = "1b6f0b5e-4cb2-4d25-9a8c-8b1a6d0a2f11"
OTHER = "9d0c1e55-6f0a-4c8e-8a55-0f2f4a1b7c10"
NODE = """<node>
  <domain type='test'>
    <name>db-1</name><uuid>{uuid}</uuid><memory unit='MiB'>{memory_mib}</memory><vcpu>{vcpus}</vcpu>
    <os><type>hvm</type></os>{security}{metadata}<devices>{devices}</devices>
  </domain>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <test:runstate>{other}</test:runstate>
    <name>other</name><uuid>{other_uuid}</uuid><memory unit='MiB'>256</memory><vcpu>1</vcpu><os><type>hvm</type></os>{security}
  </domain>
</node>
"""
SEV = "<launchSecurity type='sev'><policy>0x21</policy></launchSecurity>"
ABLE = GLib.Variant("(a{sv})", ({
    "steerable": GLib.Variant("b", True), "reason": GLib.Variant("s", ""),
    "firmware": GLib.Variant("s", "soft"), "max-command-pages": GLib.Variant("u", 4),
    "max-batch-pages": GLib.Variant("u", 512), "private-pages": GLib.Variant("t", 32768),
    "page-size": GLib.Variant("u", 4096), "blocked-reasons": GLib.Variant("as", ())},))
UNABLE = GLib.Variant("(a{sv})", ({
    "steerable": GLib.Variant("b", False),
    "reason": GLib.Variant("s", "The command x-query-sev-migration has not been found"),
    "blocked-reasons": GLib.Variant("as", ("SEV: Migration is not implemented",))},))
POLICY = ("<policy xmlns='urn:sevmig:policy:1' name='night'><goals><downtime unit='ms'>{}</downtime>"
          "<duration unit='min'>60</duration></goals></policy>")


def explained(name, source="match", reason="the domain's name is db-*"):
    return GLib.Variant("(saa{sv})", (name, [
        {"name": GLib.Variant("s", "other"), "source": GLib.Variant("s", "match"),
         "file": GLib.Variant("s", ""), "chosen": GLib.Variant("b", False),
         "reason": GLib.Variant("s", "the domain's name is not \"web-*\"")},
        {"name": GLib.Variant("s", name or "gold"), "source": GLib.Variant("s", source),
         "file": GLib.Variant("s", ""), "chosen": GLib.Variant("b", bool(name)),
         "reason": GLib.Variant("s", reason)}]))


class Preflight(CliCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.host()

    def host(self, security=SEV, metadata="", other=5, devices="", vcpus=1, memory_mib=256):
        """Another host for the next call: two domains, of which the second is in that state."""
        path = os.path.join(self.directory, "node.xml")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(NODE.format(uuid=UUID, other_uuid=OTHER, security=security, metadata=metadata, other=other,
                                     devices=devices, vcpus=vcpus, memory_mib=memory_mib))
        self.uri = f"test://{path}"

    def able(self, policy=POLICY.format(300), mine=(), all_=()):
        daemon = self.serve()
        daemon.answers["Probe", ("db-1",)] = ABLE
        daemon.answers["Explain", ("db-1",)] = explained("night")
        daemon.answers["GetPolicy", ("night",)] = GLib.Variant("(s)", (policy,))
        daemon.answers["ListHistory", (UUID, 9)] = history(INTERFACE, *mine)
        daemon.answers["ListHistory", ("", 9)] = history(INTERFACE, *all_)
        return daemon

    def preflight(self, status, *arguments, domain="db-1"):
        done = self.ctl("preflight", domain, "--uri", self.uri, *arguments)
        self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout)
        return done.stdout

    def told(self, status, *arguments, **kwargs):
        return json.loads(self.preflight(status, "--json", *arguments, **kwargs))

    def checks(self, told):
        return {check["check"]: check for check in told["checks"]}

    def test_good(self):
        self.able()
        told = self.told(0)
        self.assertTrue(told["can_migrate"])
        self.assertEqual((told["domain"], told["uuid"], told["policy"]), ("db-1", UUID, "night"))
        self.assertEqual(told["policy_reason"], "the domain's name is db-*")
        self.assertEqual({check["state"] for check in told["checks"]}, {"good"})
        self.assertEqual([check["mend"] for check in told["checks"]], [""] * len(told["checks"]))
        self.assertEqual(told["inputs"]["pages"], {"value": 32768, "from": "measured"})
        self.assertEqual(told["inputs"]["dirty_pages_per_s"], {"value": 128, "from": "assumed"})
        self.assertEqual(told["inputs"]["page_us"]["from"], "assumed")
        forecast = told["forecast"]
        self.assertEqual((forecast["runs"], forecast["runs_ended"]), (27, 27))
        for key in ("total_us", "downtime_us", "guest_lost_us"):
            self.assertLess(forecast[key]["least"], forecast[key]["most"], key)
        self.assertEqual([(goal["goal"], goal["asked_us"]) for goal in forecast["goals"]],
                         [("downtime", 300000), ("duration", 3600000000)])
        text = self.preflight(0)
        self.assertIn("db-1: can migrate\n", text)
        self.assertIn("governed by night: the domain's name is db-*\n", text)
        self.assertIn("night: downtime goal of 300 ms met in 27 of 27 runs\n", text)
        self.assertRegex(text, r"(?m)^memory to send +128\.?0? MiB +measured now$")

    def test_peer(self):
        """Whose platform it may go to: known by the guest's policy, or TLS is left, or nothing is."""
        guarded = POLICY.format(300).replace("</policy>", "<peer require='{}'/></policy>")
        daemon = self.able()
        for bits, policy, state, word in (
                ("0x21", POLICY.format(300), "good", "known by sev"), ("0x33", POLICY.format(300), "good", "domain sev"),
                ("0x1", POLICY.format(300), "unknown", "guest policy 0x1"),
                ("0x21", guarded.format("sev"), "good", "known by sev"),
                ("0x21", guarded.format("tls"), "unknown", "nothing known yet of tls"),
                ("0x21", guarded.format("domain"), "bad", "nothing known yet of domain")):
            with self.subTest(bits=bits, policy=policy):
                self.host(security=SEV.replace("0x21", bits))
                daemon.answers["GetPolicy", ("night",)] = GLib.Variant("(s)", (policy,))
                check = self.checks(self.told(0 if state == "good" else 1))["peer"]
                self.assertEqual(check["state"], state)
                self.assertIn(word, check["found"])
                for fix in () if state == "good" else ("--tls", "/etc/sevmig/qemu.conf"):
                    self.assertIn(fix, check["mend"])

    def test_same_again(self):
        """But for what is measured now, which the test driver lets nobody do."""
        self.able()
        first, second = self.told(0), self.told(0)
        for told in (first, second):
            del told["inputs"]["busy_share"]
        self.assertEqual(first["inputs"], second["inputs"])
        self.assertEqual(first["checks"], second["checks"])

    def test_history(self):
        """A hundred microseconds a page alone: half of it for the page, a quarter a command and a
        quarter a submission."""
        books = dict(DONE, Pages=4000, Commands=1000, Submissions=200, MaxThrottlePercent=0, DirtyRate=900.0,
                     FixedDowntimeUs=7000, SetupUs=30000, ServiceUs=4000 * 50 + 1000 * 25 + 200 * 25)
        self.able(mine=[books], all_=[dict(books, ServiceUs=10 * books["ServiceUs"])])
        inputs = self.told(0)["inputs"]
        self.assertEqual(inputs["page_us"]["from"], "domain-history")
        self.assertAlmostEqual(inputs["page_us"]["value"], 100)
        self.assertEqual(inputs["dirty_pages_per_s"], {"value": 900, "from": "domain-history"})
        self.assertEqual(inputs["fixed_downtime_us"], {"value": 7000, "from": "domain-history"})
        self.assertEqual(inputs["setup_us"], {"value": 30000, "from": "domain-history"})

    def test_record(self):
        """The load is the recorded one, and so is the firmware; a record that cannot be read is passed over."""
        books = dict(DONE, Pages=1000, Commands=1000, Submissions=1000, ServiceUs=200000, DirtyRate=900.0)
        daemon = self.able(mine=[dict(books, RecordFile="/no/such"), dict(books, RecordFile=RECORD)])
        told = self.told(0)
        inputs = told["inputs"]
        for name in ("page_us", "dirty_pages_per_s", "working_set_pages"):
            self.assertEqual(inputs[name]["from"], "domain-record", name)
        self.assertLess(inputs["page_us"]["value"], 150, "not the 200 us of the books")
        self.assertLess(inputs["working_set_pages"]["value"], inputs["pages"]["value"])
        self.assertIn("this domain's record", self.preflight(0))
        daemon.answers["ListHistory", (UUID, 9)] = history(INTERFACE, dict(books, RecordFile="/no/such"))
        inputs = self.told(0)["inputs"]
        self.assertEqual((inputs["page_us"]["from"], inputs["working_set_pages"]["from"]),
                         ("domain-history", "assumed"))

    def test_median(self):
        """One odd migration among three changes nothing."""
        books = dict(DONE, Pages=1000, Commands=1000, Submissions=1000, ServiceUs=100000, SetupUs=40000)
        odd = dict(books, ServiceUs=100000000, SetupUs=9000000)
        self.able(mine=[odd, books, dict(books, SetupUs=30000)])
        inputs = self.told(0)["inputs"]
        self.assertEqual((inputs["page_us"]["value"], inputs["setup_us"]["value"]), (100, 40000))

    def test_history_of_others(self):
        """Of another domain only what the host makes of it is taken."""
        self.able(all_=[dict(DONE, Pages=1000, Commands=1000, Submissions=1000, ServiceUs=200000,
                             FixedDowntimeUs=9000)])
        inputs = self.told(0)["inputs"]
        self.assertEqual(inputs["page_us"]["from"], "host-history")
        self.assertEqual(inputs["fixed_downtime_us"], {"value": 9000, "from": "host-history"})
        self.assertAlmostEqual(inputs["page_us"]["value"], 200)
        self.assertEqual(inputs["dirty_pages_per_s"]["from"], "assumed")

    def test_speed_shows(self):
        fast = dict(DONE, Pages=1000, Commands=1000, Submissions=1000, ServiceUs=100000)
        daemon = self.able(all_=[fast])
        quick = self.told(0)["forecast"]["total_us"]
        daemon.answers["ListHistory", ("", 9)] = history(INTERFACE, dict(fast, ServiceUs=1000000))
        slow = self.told(0)["forecast"]["total_us"]
        self.assertLess(quick["most"] * 3, slow["least"])

    def test_goal_out_of_reach(self):
        self.able(POLICY.format(1))
        told = self.told(1)
        self.assertTrue(told["can_migrate"])
        self.assertFalse(told["forecast"]["good"])
        self.assertEqual(told["forecast"]["goals"][0]["runs_met"], 0)
        self.assertRegex(self.preflight(1), r"downtime goal of 1.0 ms met in 0 of 27 runs, [\d.]+ ms at worst")

    def test_policy_named(self):
        daemon = self.able()
        del daemon.answers["Explain", ("db-1",)]
        self.assertEqual(self.told(0, "--policy", "night")["policy_reason"], "named by --policy")
        path = os.path.join(self.directory, "night.xml")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(POLICY.format(1))
        self.assertEqual(self.told(1, "--policy", path)["policy"], "night")
        daemon.answers["GetPolicy", ("gold",)] = ("org.sevmig1.Error.NotFound", "no policy is named gold")
        told = self.told(1, "--policy", "gold")
        self.assertEqual(self.checks(told)["policy"]["found"], "no policy is named gold")
        self.assertNotIn("forecast", told)

    def test_policy_contained(self):
        daemon = self.able()
        daemon.answers["Explain", ("db-1",)] = explained("night", "inline", "contained in the domain's metadata")
        del daemon.answers["GetPolicy", ("night",)]
        self.host(metadata=f"<metadata>{POLICY.format(250)}</metadata>")
        told = self.told(0)
        self.assertEqual((told["policy"], told["forecast"]["goals"][0]["asked_us"]), ("night", 250000))

    def test_policy_refused(self):
        daemon = self.able()
        daemon.answers["Explain", ("db-1",)] = explained("", "metadata", "this host has no such policy")
        told = self.told(1)
        self.assertFalse(told["can_migrate"])
        self.assertEqual(self.checks(told)["policy"]["found"], "refused: this host has no such policy")
        self.assertIn("policy list", self.checks(told)["policy"]["mend"])

    def cannot(self, told, name, state):
        self.assertFalse(told["can_migrate"])
        self.assertNotIn("forecast", told)
        check = self.checks(told)[name]
        self.assertEqual(check["state"], state)
        self.assertNotEqual(check["mend"], "")
        return check

    def test_other_security(self):
        self.able()
        self.host(security="")
        self.assertEqual(self.cannot(self.told(1), "launch security", "bad")["found"], "none")
        text = self.preflight(1)
        self.assertIn("db-1: cannot migrate now\n", text)
        self.assertIn("launch security: sevmig is for <launchSecurity type='sev'>", text)

    def test_not_running(self):
        daemon = self.able()
        daemon.answers["Explain", ("other",)] = explained("night")
        self.host(other=5)
        told = self.told(1, domain="other")
        self.assertEqual(self.cannot(told, "running", "bad")["found"], "no")
        self.assertNotIn("QEMU", self.checks(told), "nobody asks it")

    def test_paused(self):
        """libvirt migrates it, and it stays paused."""
        daemon = self.able()
        daemon.answers["Explain", ("other",)] = explained("night")
        daemon.answers["Probe", ("other",)] = ABLE
        self.host(other=3)
        daemon.answers["ListHistory", (OTHER, 9)] = history(INTERFACE)
        told = self.told(0, domain="other")
        self.assertTrue(told["can_migrate"])
        check = self.checks(told)["running"]
        self.assertEqual((check["state"], check["found"]), ("note", "paused"))
        self.assertIn("cannot be measured", check["mend"])
        for name in ("busy_share", "dirty_pages_per_s"):
            self.assertEqual(told["inputs"][name]["from"], "assumed")
        self.assertRegex(self.preflight(0, domain="other"), r"~ +running +paused\n")

    def test_sev_policy(self):
        self.able()
        for value, name in (("0x9", "NOSEND"), ("0x5", "ES")):
            self.host(security=SEV.replace("0x21", value))
            check = self.cannot(self.told(1), "SEV policy", "bad")
            self.assertIn(f"({name})", check["found"])
            self.assertIn(f"000{value[2:]}", check["found"])
        self.host(security=SEV.replace("0x21", "0x33"))
        self.assertEqual(self.checks(self.told(0))["SEV policy"]["found"], "0x0033")

    def test_large(self):
        """128 vCPUs and 2 TiB are played as they are, more than can be reckoned with is said to be."""
        daemon = self.able()
        quick = dict(DONE, Pages=1000000, Commands=1000, Submissions=1000, ServiceUs=1000000)
        daemon.answers["ListHistory", (UUID, 9)] = history(INTERFACE, quick)
        self.host(vcpus=600)
        check = self.cannot(self.told(1), "size", "bad")
        self.assertIn("600 vCPUs", check["found"])
        self.assertIn("at most 512 vCPUs and 16.0 TiB", check["mend"])
        self.host(memory_mib=32 << 20)
        self.assertIn("32.0 TiB", self.cannot(self.told(1), "size", "bad")["found"])
        self.host(vcpus=128)
        told = self.told(0)
        self.assertEqual(told["inputs"]["vcpus"]["value"], 128)
        self.assertEqual(told["forecast"]["runs_ended"], 27)

    def test_qemu_blocks(self):
        daemon = self.able()
        reasons = GLib.Variant("as", ("device a cannot be moved", "nor b"))
        daemon.answers["Probe", ("db-1",)] = GLib.Variant("(a{sv})", ({
            "steerable": GLib.Variant("b", True), "firmware": GLib.Variant("s", "soft"),
            "blocked-reasons": reasons},))
        self.assertEqual(self.cannot(self.told(1), "QEMU allows it", "bad")["found"],
                         "device a cannot be moved; nor b")
        (guest,) = json.loads(self.evacuate(1, "--json"))
        self.assertEqual((guest["can_migrate"], guest["remark"]), (False, "device a cannot be moved; nor b"))

    def disk(self, source, more="", kind="file"):
        return (f"<disk type='{kind}' device='disk'><driver name='qemu' type='raw'/>{source}"
                f"<target dev='vda' bus='virtio'/>{more}</disk>")

    def test_local_disk(self):
        self.able()
        image = os.path.join(self.directory, "disk.img")
        with open(image, "wb") as stream:
            stream.write(bytes(512))
        local = self.disk(f"<source file='{image}'/>")
        self.host(devices=local)
        check = self.cannot(self.told(1), "disks", "bad")
        self.assertIn(f"vda: {image} is on this host alone", check["found"])
        self.assertIn("--copy-storage-all", check["mend"])
        (guest,) = json.loads(self.evacuate(1, "--json"))
        self.assertIn("on this host alone", guest["remark"])
        self.assertIn("copied along", self.checks(self.told(0, "--copy-storage"))["disks"]["found"])
        self.evacuate(0, "--copy-storage")

    def test_disks_that_can_stay(self):
        self.able()
        image = os.path.join(self.directory, "none")
        for devices, state in ((self.disk("<source dev='/dev/vg/db'/>", kind="block"), "good"),
                               (self.disk(f"<source file='{image}'/>", "<readonly/>"), "good"),
                               (self.disk("<source protocol='rbd' name='p/i'><host name='ceph'/></source>",
                                          kind="network"), "good"),
                               (self.disk("<source pool='p' volume='v'/>", kind="volume"), "note")):
            self.host(devices=devices)
            self.assertEqual(self.checks(self.told(0))["disks"]["state"], state, devices)
        self.host(devices=self.disk(f"<source file='{image}'/>"))
        self.assertIn("cannot be looked at", self.cannot(self.told(1), "disks", "unknown")["found"])

    def test_devices(self):
        self.able()
        self.host(devices="<shmem name='shm'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>")
        self.assertEqual(self.cannot(self.told(1), "devices", "bad")["found"], "shared memory shm (shmem)")

    def test_unable(self):
        daemon = self.able()
        daemon.answers["Probe", ("db-1",)] = UNABLE
        check = self.cannot(self.told(1), "QEMU", "bad")
        self.assertIn("has not been found", check["found"])
        self.assertIn("<emulator>", check["mend"])

    def test_not_told(self):
        daemon = self.able()
        daemon.answers["Probe", ("db-1",)] = ("org.sevmig1.Error.NotAuthorized", "org.sevmig1.steer: denied")
        self.assertIn("denied", self.cannot(self.told(1), "QEMU", "unknown")["found"])

    def test_destination(self):
        """That one can be had is shown with real hosts."""
        self.able()
        told = self.told(1, "--to", "qemu+unix:///system?socket=/no/such")
        check = self.cannot(told, "destination", "bad")
        self.assertIn("qemu+unix:///system?socket=/no/such", check["found"])
        self.assertNotIn("another host", self.checks(told))
        told = self.told(1, "--to", self.uri)
        self.assertRegex(self.checks(told)["destination"]["found"], r"^libvirt \d+\.\d+\.\d+$")
        self.assertEqual(self.cannot(told, "name there", "bad")["found"], "this domain runs there too")

    def test_without_sevmigd(self):
        self.assertIn("systemctl start sevmigd", self.cannot(self.told(1), "QEMU", "bad")["found"])

    def test_unknown_domain(self):
        self.assertIn("domain nobody of test:", self.fails(1, "preflight", "nobody", "--uri", self.uri))
        self.assertIn("--uri chooses another",
                      self.fails(1, "preflight", "db-1", "--uri", "qemu+unix:///system?socket=/no/such"))
        self.assertIn("DOMAIN is missing", self.fails(2, "preflight"))
        self.assertIn("one argument too many", self.fails(2, "preflight", "db-1", "db-2"))

    def evacuate(self, status, *arguments):
        done = self.ctl("evacuate", "--plan", "--uri", self.uri, *arguments)
        self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout)
        return done.stdout

    def test_evacuate(self):
        self.able()
        (guest,) = json.loads(self.evacuate(0, "--json"))
        self.assertEqual((guest["domain"], guest["policy"], guest["remark"]), ("db-1", "night", ""))
        self.assertTrue(guest["can_migrate"] and guest["good"])
        self.assertEqual((guest["begins_us"], guest["pages"]), (0, 32768))
        self.assertGreater(guest["ends_us"], guest["downtime_us"])
        self.assertRegex(self.evacuate(0), r"1 +db-1 +night +50 +128\.0 MiB +0 s ")

    def test_evacuate_with_one_that_cannot(self):
        self.host(other=1)
        daemon = self.able()
        daemon.answers["Probe", ("other",)] = UNABLE
        daemon.answers["Explain", ("other",)] = explained("night")
        first, second = json.loads(self.evacuate(1, "--json"))
        self.assertEqual((first["domain"], first["can_migrate"]), ("db-1", True))
        self.assertEqual((second["domain"], second["can_migrate"], second["good"]), ("other", False, False))
        self.assertIn("x-query-sev-migration", second["remark"])
        self.assertRegex(self.evacuate(1), r"- +other ")

    def test_evacuate_nobody(self):
        self.host(security="")
        self.assertEqual(self.evacuate(0), "no SEV guest runs here\n")
        self.assertIn("say --plan", self.fails(2, "evacuate", "--uri", self.uri))


if __name__ == "__main__":
    sys.exit(tap.main())
