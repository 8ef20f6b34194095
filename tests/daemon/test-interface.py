#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""org.sevmig1.xml, its manual page and the rows that the build makes of it say the same.

usage: test-interface.py SOURCE_ROOT
"""
import copy
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from xml.etree import ElementTree

TOP = pathlib.Path(sys.argv.pop(1))
DATA = TOP / "plugin/data"
XML, POLICY = DATA / "org.sevmig1.xml", DATA / "org.sevmig1.policy"
ACTION = "annotation[@name='org.sevmig1.Action']"


def arguments(member, direction):
    return ", ".join(f"{a.get('type')} {a.get('name')}" for a in member.findall("arg")
                     if a.get("direction", "out") == direction)


def heading(member):
    """As the manual page has it."""
    name = f"\\fB{member.get('name')}\\fR"
    if member.tag == "property":
        return f"{name}: {member.get('type')}"
    if member.tag == "signal":
        return f"{name}({arguments(member, 'out')})"
    out = arguments(member, "out")
    return f"{name}({arguments(member, 'in')})" + (f" \\(-> {out}" if out else "")


class Manual(unittest.TestCase):
    def setUp(self):
        self.interface = ElementTree.parse(XML).getroot()
        self.page = (TOP / "plugin/man/org.sevmig1.5").read_text()

    def test_members(self):
        """Each member, in the interface's order, with its types; and no other."""
        members = [m for kind in self.interface for tag in ("property", "method", "signal") for m in kind.findall(tag)]
        self.assertGreaterEqual(len(members), 60)
        self.assertEqual(re.findall(r"^\.T[PQ]\n(\\fB.*)$", self.page, re.MULTILINE), [heading(m) for m in members])

    def section(self, name):
        return self.page.partition(f"\n.SH {name}\n")[2].partition("\n.SH ")[0].replace("\\-", "-")

    def terms(self, section):
        return re.findall(r"^\.T[PQ]\n\.B (\S+)$", self.section(section), re.MULTILINE)

    def test_actions_and_details(self):
        """Those of polkit's file, each with the methods that need it by name unless it is for reading."""
        actions = [action.get("id") for action in ElementTree.parse(POLICY).getroot().iter("action")]
        details = ["method", "domain", "uuid", "migration", "policy", "new-policy"]
        self.assertEqual(self.terms("ACCESS"), actions + details)
        for method in self.interface.iter("method"):
            action = method.find(ACTION).get("value")
            paragraph = self.section("ACCESS").partition(f"\n.B {action}\n")[2].partition("\n.TP")[0]
            named = re.search(rf"\b{method.get('name')}\b", paragraph) is not None
            self.assertEqual(named, action != "org.sevmig1.read", method.get("name"))
        for detail in self.interface.iter("annotation"):
            if detail.get("name") == "org.sevmig1.Detail":
                self.assertIn(detail.get("value"), details)

    def test_errors(self):
        source = (TOP / "plugin/common/sevmig-error.c").read_text()
        self.assertCountEqual(self.terms("ERRORS"), re.findall(r'"(org\.sevmig1\.Error\.\w+)"', source))

    def test_constants(self):
        """What is said to be constant here is annotated so, and the other way round."""
        for prop in self.interface.iter("property"):
            text = self.page.partition(heading(prop) + "\n")[2].partition("\n.T")[0]
            const = prop.find("annotation[@value='const']") is not None
            if prop.get("name") not in ("Domain", "Uuid"):  # "as the next two"
                self.assertEqual("onstant" in text, const, prop.get("name"))

    def test_polkit_answers_sevmigd(self):
        """polkit tells only root and an action's owner whether somebody else may."""
        for action in ElementTree.parse(POLICY).getroot().iter("action"):
            owner = action.find("annotate[@key='org.freedesktop.policykit.owner']")
            self.assertEqual(owner.text, "unix-user:sevmig", action.get("id"))


class Rows(unittest.TestCase):
    """What is not whole ends the build."""

    def make(self, change=lambda root: None):
        root = copy.deepcopy(ElementTree.parse(XML).getroot())
        change(root)
        with tempfile.TemporaryDirectory() as place:
            xml, rows = pathlib.Path(place, "i.xml"), pathlib.Path(place, "rows.h")
            ElementTree.ElementTree(root).write(xml)
            done = subprocess.run([DATA / "bus-rows", xml, POLICY, rows], capture_output=True, text=True, check=False)
            return done, rows.read_text() if rows.exists() else ""

    def refuses(self, change, *words):
        done, rows = self.make(change)
        self.assertEqual((done.returncode, done.stdout, rows), (1, "", ""))
        for word in words:
            self.assertIn(word, done.stderr)

    def test_each_method_has_one(self):
        done, rows = self.make()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for kind in ElementTree.parse(XML).getroot():
            for method in ["Get", "GetAll", *(m.get("name") for m in kind.findall("method"))]:
                self.assertEqual(rows.count(f'METHOD("{kind.get("name")}", "{method}", "org.sevmig1.'), 1)

    def test_method_without_action(self):
        def change(root):
            ElementTree.SubElement(root[0], "method", name="Forget")
        self.refuses(change, "org.sevmig1.Manager.Forget", "org.sevmig1.Action")

    def test_action_that_polkit_does_not_know(self):
        self.refuses(lambda root: root.find(f"interface/method/{ACTION}").set("value", "org.sevmig1.raed"),
                     "ListMigrations", "org.sevmig1.raed", "org.sevmig1.steer")

    def test_property_that_can_be_written(self):
        self.refuses(lambda root: root.find("interface/property").set("access", "readwrite"), "Version", "written")

    def test_method_without_handler(self):
        """Gets a row, which names what sevmigd does not have."""
        def change(root):
            method = ElementTree.SubElement(root[0], "method", name="ForgetAll")
            ElementTree.SubElement(method, "annotation", name="org.sevmig1.Action", value="org.sevmig1.steer")
        self.assertIn('"ForgetAll", "org.sevmig1.steer", manager_forget_all)\n', self.make(change)[1])
        self.assertNotIn("manager_forget_all", (TOP / "plugin/daemon/bus-methods.c").read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
