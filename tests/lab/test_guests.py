# SPDX-License-Identifier: LGPL-2.1-or-later
import unittest
import xml.etree.ElementTree as ET

from lab import guests
from lab.error import LabError
from lab.guests import Guest


class DomainXml(unittest.TestCase):
    def tree(self, **fields):
        return ET.fromstring(guests.domain_xml(Guest("g", **fields)))

    def test_sev_as_in_production(self):
        domain = self.tree()
        self.assertEqual(domain.get("type"), "qemu")
        security = domain.find("launchSecurity")
        self.assertEqual(security.get("type"), "sev")
        self.assertEqual(security.findtext("policy"), "0x0001")

    def test_policy_in_metadata(self):
        element = self.tree(policy="low-downtime").find(
            "metadata/{urn:sevmig:domain:1}policy")
        self.assertEqual(element.get("name"), "low-downtime")
        self.assertIsNone(self.tree().find("metadata"))

    def test_linux_boots_through_firmware(self):
        domain = self.tree(kind="linux", workload="rate=7 ws=9")
        self.assertEqual(domain.find("os/loader").get("type"), "pflash")
        self.assertIn("rate=7 ws=9", domain.findtext("os/cmdline"))
        self.assertIsNone(self.tree(kind="tiny").find("os/loader"))

    def test_linux_reports_free_memory(self):
        self.assertEqual(self.tree(kind="linux").find("devices/memballoon").attrib,
                         {"model": "virtio", "freePageReporting": "on"})
        self.assertEqual(self.tree(kind="tiny").find("devices/memballoon").get("model"), "none")

    def test_text_is_escaped(self):
        xml = guests.domain_xml(Guest("g", workload="rate=1 x=<&>"))
        self.assertIn("x=<&>", ET.fromstring(xml).findtext("os/cmdline"))

    def test_serial_reaches_the_observer(self):
        source = self.tree().find("devices/serial/source")
        self.assertEqual(source.get("path"), "/run/sevmig-lab/guests/g/serial.sock")

    def test_the_same_name_is_the_same_domain(self):
        self.assertEqual(Guest("g").uuid, Guest("g").uuid)
        self.assertNotEqual(Guest("g").uuid, Guest("h").uuid)


class Refused(unittest.TestCase):
    def test_names(self):
        for name in ("", "../x", "a b", "-a", "x" * 40):
            with self.assertRaises(LabError):
                Guest(name)

    def test_kind_and_workload(self):
        with self.assertRaisesRegex(LabError, "none of tiny, linux"):
            Guest("g", kind="bsd")
        with self.assertRaisesRegex(LabError, "workload 'fast'"):
            Guest("g", workload="fast")


if __name__ == "__main__":
    unittest.main()
