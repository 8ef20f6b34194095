# SPDX-License-Identifier: LGPL-2.1-or-later
"""A migration between two systems on which everything is as the packages installed it."""

import json
import unittest

from built import BUILD, CLEAN, package
from pair import DOMAIN, EMULATOR, System, connect


class Migrated(unittest.TestCase):
    tree = CLEAN
    packages = ("sevmig", "swpsp")

    @classmethod
    def setUpClass(cls):
        cls.a, cls.b = (cls.system(name) for name in "ab")
        connect(cls.a, cls.b)

    @classmethod
    def system(cls, name):
        system = System(cls.tree, name)
        cls.addClassCleanup(system.close)
        system.configure_libvirt()
        system.install(*map(package, cls.packages))
        cls.install_qemu(system)
        system.configure_firmware()
        system.run("cp", system.put(BUILD / "images/tiny.elf"), "/srv/tiny.elf")
        system.wait("sevmigd serves", "sevmigctl", "list")
        return system

    @classmethod
    def install_qemu(cls, system):
        """As `qemu/build --install` does."""
        system.run("install", "-D", system.put(BUILD / "install.qemu" / EMULATOR[1:]), EMULATOR)

    def test_migration(self):
        self.a.write("/root/tiny.xml", DOMAIN)
        self.a.run("virsh", "create", "/root/tiny.xml")
        before = self.a.wait_beats("the guest works", lambda beats: len(beats) > 20)
        self.assert_is_decided()
        self.assert_hook_vetoes()
        self.migrate()
        self.assertEqual(self.a.says("virsh", "list", "--name"), "")
        self.assertEqual(self.b.says("virsh", "list", "--name"), "tiny")
        # It goes on, and finds every page as it was.
        pages = 96 << 8
        last = self.b.wait_beats("the guest verifies its memory",
                                 lambda beats: beats and beats[-1][1] > beats[0][1] + pages)[-1]
        self.assertGreater(last[0], before[-1][0])
        self.assertEqual(last[2], 0)
        self.assert_steered()

    def assert_is_decided(self):
        """No default that ships lets a guest leave its host, nor go where nothing speaks for the platform."""
        self.assertIn("nobody has decided", self.migrate(check=False).stderr)
        self.a.write("/etc/sevmig/qemu.conf", "[sev-guest]\nmigratable=on\n")
        self.assertIn("nothing shows that", self.migrate(check=False).stderr)
        self.a.write("/etc/sevmig/qemu.conf", "[sev-guest]\nmigratable=on\nallow-unverified-peer=on\n")

    def migrate(self, check=True):
        return self.a.run("virsh", "migrate", "--live", "tiny", f"qemu+tcp://{self.b.address}/system",
                          "--migrateuri", f"tcp://{self.b.address}", check=check)

    def assert_hook_vetoes(self):
        """libvirtd runs the hook that the package put there."""
        metadata = ("virsh", "metadata", "tiny", "--uri", "urn:sevmig:domain:1", "--live")
        self.a.run(*metadata, "--key", "sevmig", "--set", "<policy name='nowhere' on-failure='refuse'/>")
        refused = self.migrate(check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertRegex(refused.stderr, 'qemu.d/sevmig .* names the policy "nowhere"')
        self.assertEqual(self.a.says("virsh", "list", "--name"), "tiny")
        self.a.run(*metadata, "--remove")

    def assert_steered(self):
        """By sevmigd, under the policy that ships; its user's file is the record."""
        done = json.loads(self.a.says("sevmigctl", "history", "--domain", "tiny", "--json"))[0]
        self.assertEqual((done["phase"], done["state"], done["policy"]), ("done", "ended", "default"))
        self.assertGreater(done["pages"], done["commands"])
        self.assertEqual(self.a.says("stat", "--format=%U", done["record_file"]), "sevmig")
        self.assertEqual(json.loads(self.b.says("sevmigctl", "history", "--json")), [])
        for system in self.a, self.b:
            self.assertEqual(system.says("systemctl", "list-units", "--failed", "--plain", "--no-legend"), "")


if __name__ == "__main__":
    unittest.main()
