# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package qemu-sevmig: beside Debian's QEMU, with all that one has, and in a migration."""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "packages"))

import test_migration  # noqa: E402
from bills import BillCase  # noqa: E402
from built import BUILD, package  # noqa: E402
from pair import EMULATOR, System  # noqa: E402

PACKAGES = BUILD / "packages-qemu"
BOTH = BUILD / "clean-qemu"
DEBIAN = "/usr/bin/qemu-system-x86_64"
LISTS = (("-machine", "help"), ("-cpu", "help"), ("-accel", "help"), ("-device", "help"), ("-object", "help"),
         ("-netdev", "help"), ("-chardev", "help"), ("-audiodev", "help"), ("-display", "help"),
         ("-drive", "format=help"), ("-tpmdev", "help"))
DROP_IN = "[Service]\nEnvironment=PATH=/usr/lib/sevmig:/usr/sbin:/usr/bin:/sbin:/bin\n"


class Built(BillCase):
    def test_lintian(self):
        changes, = PACKAGES.glob("qemu-sevmig_*.changes")
        done = subprocess.run(["lintian", "--allow-root", "--display-info", "--fail-on", "error,warning,info", changes],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_bill(self):
        self.check(PACKAGES)

    def test_apparmor(self):
        """A domain's profile, as libvirt makes it of its template, lets this QEMU and its modules be run."""
        with tempfile.TemporaryDirectory() as made:
            shutil.copytree("/etc/apparmor.d", made, dirs_exist_ok=True)
            self.assertNotIn("/usr/lib/sevmig", self.profile(made))
            subprocess.run(["dpkg-deb", "--extract", package("qemu-sevmig", PACKAGES), f"{made}/package"], check=True)
            shutil.copytree(f"{made}/package/etc/apparmor.d", made, dirs_exist_ok=True)
            for line in ("/usr/lib/sevmig/qemu-system-x86_64 rmix,", "/usr/lib/sevmig/qemu/*.so mr,"):
                self.assertIn(line, self.profile(made))

    def profile(self, directory):
        text = (Path(directory) / "libvirt/TEMPLATE.qemu").read_text().replace("LIBVIRT_TEMPLATE", "libvirt-tiny")
        parser = ("apparmor_parser", "--base", directory, "--skip-cache")
        for arguments in ("--skip-kernel-load", "--preprocess"):
            done = subprocess.run([*parser, arguments], input=text, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class Beside(unittest.TestCase):
    """On a system with libvirt and Debian's QEMU, as one is that gets it."""

    @classmethod
    def setUpClass(cls):
        cls.host = System(BOTH, "a")
        cls.addClassCleanup(cls.host.close)
        cls.before = cls.host.files()
        cls.host.install(package("qemu-sevmig", PACKAGES))

    def listed(self, emulator, words):
        done = self.host.run(emulator, *words, check=False)
        return set((done.stdout + done.stderr).replace(",", " ").split())

    def test_has_what_debian_has(self):
        for words in LISTS:
            with self.subTest(words=words):
                theirs = self.listed(DEBIAN, words)
                self.assertGreater(len(theirs), 2)
                self.assertEqual(theirs - self.listed(EMULATOR, words), set())

    def test_modules_find_all_they_need(self):
        """What is recommended is all there is to recommend."""
        modules = self.host.says("sh", "-c", "ls /usr/lib/sevmig/qemu/*.so").split()
        self.assertGreater(len(modules), 20)
        for module in modules:
            self.assertNotIn("not found", self.host.says("ldd", module), module)

    def test_starts_without_what_is_recommended(self):
        self.host.run("sh", "-c", "cd /usr/lib/x86_64-linux-gnu && mkdir -p away && mv librbd.so* libspice-server.so* away")
        self.addCleanup(self.host.run, "sh", "-c", "cd /usr/lib/x86_64-linux-gnu && mv away/* . && rmdir away")
        self.assertIn("not found", self.host.says("ldd", "/usr/lib/sevmig/qemu/ui-spice-core.so"))
        done = self.host.run("sh", "-c", f"echo quit | {EMULATOR} -machine q35 -display none -S -monitor stdio")
        self.assertIn("QEMU 10.0", done.stdout)

    def test_upgrade_keeps_the_modules_of_those_that_run(self):
        """Where a QEMU looks that was started before: below a name made of its version."""
        version = self.host.says(EMULATOR, "-version").partition("(")[2].partition(")")[0]
        kept = f"/run/qemu/{re.sub('[^A-Za-z0-9.+~-]', '_', version)}"
        self.host.run(EMULATOR, "-display", "none", "-S", "-daemonize", "-pidfile", "/run/running.pid")
        self.addCleanup(self.host.run, "sh", "-c", 'kill "$(cat /run/running.pid)"')
        self.assertEqual(self.host.run("test", "-e", kept, check=False).returncode, 1)
        self.host.install(package("qemu-sevmig", PACKAGES))
        self.host.run("diff", "-r", "--exclude=.savemoddir", "/usr/lib/sevmig/qemu", kept)

    def emulator(self):
        said = self.host.says("virsh", "domcapabilities", "--virttype", "qemu", "--arch", "x86_64", "--machine", "q35")
        return said.partition("<path>")[2].partition("</path>")[0]

    def test_libvirt_takes_it_when_told(self):
        self.assertEqual(self.emulator(), DEBIAN)
        drop_in = "/etc/systemd/system/libvirtd.service.d/sevmig.conf"
        self.host.write(drop_in, DROP_IN)
        self.addCleanup(self.host.run, "rm", drop_in)
        self.host.run("systemctl", "daemon-reload")
        self.host.run("systemctl", "restart", "libvirtd")
        self.assertEqual(self.emulator(), EMULATOR)

    def test_zz_goes_without_a_trace(self):  # the last, by its name
        self.host.run("dpkg", "--purge", "qemu-sevmig")
        left = {path for path in self.host.files() - self.before if "sevmig" in path}
        self.assertEqual(left, set())
        self.assertEqual(self.host.run("sh", "-c", "ls -d /run/qemu/sevmig*", check=False).stdout, "")


class Migrated(test_migration.Migrated):
    """Between two such systems."""

    tree = BOTH

    @classmethod
    def install_qemu(cls, system):
        system.install(package("qemu-sevmig", PACKAGES))


if __name__ == "__main__":
    unittest.main()
