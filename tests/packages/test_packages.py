# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian packages: are they sound, and do they install, upgrade and go without a trace?"""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from built import BUILD, CLEAN, PACKAGES, package
from container import Container
from nova import guide

NAMES = ("sevmig", "sevmig-doc", "swpsp")
POLICY = ("<policy xmlns='urn:sevmig:policy:1' name='site'><goals><downtime unit='ms'>250</downtime></goals>"
          "</policy>")


def newer(path: Path, directory: Path) -> Path:
    """The same package as the next version."""
    tree = directory / f"{path.stem}.tree"
    made = directory / f"newer-{path.name}"
    subprocess.run(["dpkg-deb", "--raw-extract", path, tree], check=True)
    control = tree / "DEBIAN/control"
    text = control.read_text()
    control.write_text(text.replace("\nVersion: ", "\nVersion: 1:", 1))
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, made], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return made


class Built(unittest.TestCase):
    def test_lintian(self):
        changes = list(PACKAGES.glob("sevmig_*.changes"))
        self.assertEqual(len(changes), 1)
        done = subprocess.run(["lintian", "--allow-root", "--display-info", "--fail-on", "error,warning,info",
                               changes[0]], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_reproducible(self):
        """Built twice, under another path, time zone and language, each is the same to the last byte."""
        built = sorted(path.name for kind in ("*.deb", "*.cdx.json") for path in PACKAGES.glob(kind))
        self.assertGreater(len(built), len(NAMES))
        for name in built:
            same = (PACKAGES / name).read_bytes() == (BUILD / "packages.again" / name).read_bytes()
            self.assertTrue(same, name)

    def test_everything_is_packaged(self):
        """What meson installs is in exactly one package."""
        owners: dict[str, list[str]] = {}
        for name in NAMES:
            listing = subprocess.run(["dpkg-deb", "--fsys-tarfile", package(name)], capture_output=True, check=True)
            names = subprocess.run(["tar", "-t"], input=listing.stdout, capture_output=True, check=True).stdout
            for entry in names.decode().splitlines():
                if not entry.endswith("/"):
                    owners.setdefault(entry.removeprefix(".").removesuffix(".gz"), []).append(name)
        self.assertEqual({path: names for path, names in owners.items() if len(names) > 1}, {})
        installed = {f"/{path.relative_to(BUILD / 'install.plugin')}"
                     for path in (BUILD / "install.plugin").rglob("*") if path.is_symlink() or path.is_file()}
        self.assertGreater(len(installed), 30)
        self.assertEqual(installed - set(owners), set())


class Installed(unittest.TestCase):
    """In the order of a package's life."""

    @classmethod
    def setUpClass(cls):
        cls.host = Container(CLEAN)
        cls.addClassCleanup(cls.host.close)
        cls.host.run("systemctl", "start", "libvirtd")

    def put(self, *paths):
        for path in paths:
            shutil.copy(path, self.host.share)
        return [f"/mnt/{path.name}" for path in paths]

    def reloads(self):
        return self.host.says("journalctl", "--unit=libvirtd", "--output=cat").count("Reloaded libvirtd.service")

    def failed_units(self):
        return self.host.says("systemctl", "list-units", "--failed", "--plain", "--no-legend")

    def main_pid(self):
        return int(self.host.says("systemctl", "show", "--property=MainPID", "--value", "sevmigd"))

    def assert_serves(self):
        self.host.wait("sevmigd serves", "sevmigctl", "list")
        self.assertEqual(self.failed_units(), "")
        self.assertEqual(self.host.says("ps", "-o", "user=", "-p", str(self.main_pid())), "sevmig")

    def test_life(self):
        before = self.host.files()
        with self.subTest("install"):
            self.install()
        with self.subTest("under Nova"):
            self.under_nova()
        with self.subTest("upgrade"):
            self.upgrade()
        with self.subTest("remove"):
            self.remove()
        with self.subTest("purge"):
            self.purge(before)

    def install(self):
        self.host.run("dpkg", "--install", *self.put(package("sevmig"), package("swpsp")))
        self.assert_serves()
        self.assertEqual(self.host.says("systemctl", "is-enabled", "sevmigd"), "enabled")
        self.assert_shows_figures_alone()
        self.assert_is_watched()
        self.assert_stays_stopped()
        # libvirtd sees a new hook when it is reloaded, and not before.
        self.assertEqual(self.reloads(), 1)
        self.assertIn("default", self.host.says("sevmigctl", "policy", "list"))
        # A firmware that protects nothing starts when somebody asks for it.
        self.assertEqual(self.host.run("systemctl", "is-active", "swpsp", check=False).stdout.strip(), "inactive")
        self.assertEqual(self.host.run("systemctl", "is-enabled", "swpsp", check=False).stdout.strip(), "disabled")
        self.host.run("systemctl", "start", "swpsp")
        self.host.wait("swpsp answers", "swpspctl", "stats")

    def assert_shows_figures_alone(self):
        """Whoever scrapes reads the figures, and neither records nor history."""
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        self.host.wait("the figures are written", *nobody, "grep", "^sevmig_libvirt_connected 1",
                       "/run/sevmig/sevmig.prom")
        self.assertEqual(self.host.says("ls", "-A", "/run/sevmig"), "sevmig.prom")
        done = self.host.run(*nobody, "ls", "/var/lib/sevmig", check=False)
        self.assertIn("Permission denied", done.stderr)

    def assert_is_watched(self):
        """One that hangs is ended and started anew."""
        old = self.main_pid()
        self.host.run("kill", "-STOP", str(old))
        self.host.wait("another one serves", "sh", "-c",
                       'pid=$(systemctl show --property=MainPID --value sevmigd); [ "$pid" != 0 ] && '
                       f'[ "$pid" != {old} ] && systemctl --quiet is-active sevmigd')
        self.assertIn("watchdog", self.host.says("journalctl", "--unit=sevmigd", "--grep=watchdog", "--no-pager").lower())
        self.assert_serves()

    def assert_stays_stopped(self):
        """No caller of the bus undoes what an administrator did."""
        self.host.run("systemctl", "stop", "sevmigd")
        done = self.host.run("sevmigctl", "list", check=False)
        self.assertIn("not running", done.stderr)
        self.assertEqual(self.host.run("systemctl", "is-active", "sevmigd", check=False).stdout.strip(), "inactive")
        self.host.run("test", "-e", "/run/sevmig/sevmig.prom")  # its age tells
        self.host.run("systemctl", "start", "sevmigd")
        self.assert_serves()

    def under_nova(self):
        """docs/nova.md: libvirtd looks for QEMU where the drop-in has it look first."""
        before, drop_in = self.host.files(), "/etc/systemd/system/libvirtd.service.d/sevmig.conf"
        (self.host.share / "drop-in").write_text(guide.files()[drop_in])
        self.host.run("install", "-D", "-m", "644", "/mnt/drop-in", drop_in)
        commands = [command for command in guide.commands() if command.startswith("systemctl ")]
        self.assertEqual(len(commands), 2)
        for command in commands:
            self.host.run(*command.split())
        pid = self.host.says("systemctl", "show", "--property=MainPID", "--value", "libvirtd")
        self.assertIn(f"PATH={guide.search_path()}", self.host.says("cat", f"/proc/{pid}/environ").split("\0"))
        self.host.run("rm", "-r", str(Path(drop_in).parent))
        for command in commands:
            self.host.run(*command.split())
        self.assertEqual(self.host.files(), before)

    def upgrade(self):
        """State and an administrator's files stay; the new daemon runs."""
        old = self.main_pid()
        self.host.run("sh", "-c", 'printf %s "$1" >/etc/sevmig/policies/site.xml', "put", POLICY)
        self.host.run("install", "-o", "sevmig", "-g", "sevmig", "-m", "640", "/etc/hostname", "/var/lib/sevmig/kept")
        with tempfile.TemporaryDirectory() as directory:
            made = [newer(package(name), Path(directory)) for name in ("sevmig", "swpsp")]
            self.host.run("dpkg", "--install", *self.put(*made))
        self.assert_serves()
        self.assertNotEqual(self.main_pid(), old)
        self.assertIn("site", self.host.says("sevmigctl", "policy", "list"))
        self.assertEqual(self.host.says("stat", "--format=%U %a", "/var/lib/sevmig/kept"), "sevmig 640")

    def remove(self):
        reloads = self.reloads()
        self.host.run("dpkg", "--remove", "sevmig", "swpsp")
        self.assertEqual(self.failed_units(), "")
        for path in ("/usr/libexec/sevmigd", "/etc/libvirt/hooks/qemu.d/sevmig",
                     "/usr/lib/systemd/system/sevmigd.service"):
            self.assertEqual(self.host.run("test", "-e", path, check=False).returncode, 1, path)
        for path in ("/etc/sevmig/policies/site.xml", "/var/lib/sevmig/kept"):
            self.host.run("test", "-e", path)
        self.assertEqual(self.reloads(), reloads + 1)
        self.assertEqual(self.host.run("pgrep", "sevmigd|swpsp", check=False).stdout, "")

    def purge(self, before):
        self.host.run("dpkg", "--purge", "sevmig", "swpsp")
        # Users stay, as Debian's do: files of theirs may be anywhere.
        books = {"/etc/passwd-", "/etc/shadow-", "/etc/group-", "/etc/gshadow-", "/etc/.pwd.lock"}
        # Nor is what an administrator wrote the package's to remove.
        site = {"/etc/sevmig", "/etc/sevmig/policies", "/etc/sevmig/policies/site.xml"}
        self.assertEqual(self.host.files() - before - books, site)


if __name__ == "__main__":
    unittest.main()
