# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl doctor on a host that is well, and after each fault that it looks for."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from lab.hosts import BUILD, HOSTS
from scene import (ADMIN_POLICIES, HostCase, ask_bus, daemon_pid, end_polkit, kill_daemon, start_libvirtd,
                   start_sevmigd, wait_until, write_on_host)

HOOK = "/etc/libvirt/hooks/qemu.d/sevmig"
QEMU = "/usr/lib/sevmig/qemu-system-x86_64"
CHECKS = ["libvirt", "patched QEMU", "SEV in libvirt", "certificates", "firmware", "hook", "incoming", "records", "clock",
          "platform", "migratable", "peers", "bus", "polkit", "sevmigd", "policies"]


class Doctor(HostCase):
    host = HOSTS["a"]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.clock = BUILD / "fake-clock.so"
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", cls.clock, Path(__file__).with_name("fake-clock.c")],
                       check=True)
        cls.addClassCleanup(os.unlink, cls.clock)

    def setUp(self):
        super().setUp()
        wait_until("all is well", lambda: self.look()["good"])

    def doctor(self, *arguments, synchronised=True):
        return self.host.run(["env", f"LD_PRELOAD={self.clock}", f"SYNCHRONISED={int(synchronised)}", "sevmigctl",
                              "doctor", "--timeout", "5", *arguments], check=False)

    def look(self, **options):
        done = self.doctor("--json", **options)
        self.assertEqual(done.stderr, "")
        told = json.loads(done.stdout)
        self.assertEqual(told["good"], done.returncode == 0)
        self.assertEqual(told["good"], all(check["state"] != "bad" for check in told["checks"]))
        return told

    def finds(self, name, state, *words, **options):
        """Exactly that check differs from a host that is well, and says how to mend it."""
        checks = {check["check"]: check for check in self.look(**options)["checks"]}
        self.assertEqual(checks[name]["state"], state, checks[name])
        for word in words:
            self.assertIn(word, checks[name]["found"])
        self.assertGreater(len(checks[name]["mend"]), 20)
        others = {check["check"]: check["found"] for check in checks.values()
                  if check["state"] == "bad" and check["check"] != name}
        return others

    def finds_alone(self, name, state, *words, **options):
        self.assertEqual(self.finds(name, state, *words, **options), {})

    def test_well(self):
        told = self.look()
        self.assertEqual([check["check"] for check in told["checks"]], CHECKS)
        self.assertEqual([check for check in told["checks"] if check["state"] == "bad"], [])
        self.assertTrue(all(check["mend"] == "" for check in told["checks"] if check["state"] == "good"))
        text = self.doctor()
        self.assertEqual((text.returncode, text.stderr), (0, ""))
        self.assertEqual(len([line for line in text.stdout.splitlines() if line[:1] in "+!?"]), len(CHECKS))

    def changed(self, undo, *command):
        """Runs a command on the host; the other undoes it."""
        self.addCleanup(self.host.run, undo)
        self.host.run(list(command))

    def test_clock(self):
        self.finds_alone("clock", "bad", "not synchronised", synchronised=False)

    def test_no_firmware(self):
        self.changed(["mv", "/dev/sev.away", "/dev/sev"], "mv", "/dev/sev", "/dev/sev.away")
        self.finds_alone("firmware", "bad", "No such file")
        write_on_host(self.host, "/dev/sev", "")
        self.finds_alone("firmware", "bad", "neither a character device nor a socket")

    def test_no_patched_qemu(self):
        self.changed(["umount", QEMU], "mount", "--bind", "/usr/bin/qemu-system-x86_64", QEMU)
        others = self.finds("patched QEMU", "bad", "does not know x-sev-migration-tune")
        self.assertEqual(list(others), ["SEV in libvirt"])

    def test_hook(self):
        target = "/usr/libexec/sevmig-hook"
        for undo, do, word in ((["chown", "root", target], ["chown", "nobody", target], "not to root"),
                               (["chmod", "755", target], ["chmod", "777", target], "by others"),
                               (["chmod", "755", target], ["chmod", "644", target], "no program"),
                               (["chmod", "755", "/etc/libvirt/hooks"], ["chmod", "777", "/etc/libvirt/hooks"],
                                "/etc/libvirt/hooks can be written"),
                               (["ln", "-s", target, HOOK], ["rm", HOOK], "No such file")):
            with self.subTest(word):
                self.host.run(do)
                try:
                    self.finds_alone("hook", "bad", word)
                finally:
                    self.host.run(undo)
        # made anew: libvirt has not looked since
        self.finds_alone("hook", "unknown", "younger")
        os.kill(daemon_pid(self.host, "libvirtd"), signal.SIGHUP)

    def test_records(self):
        state = "/var/lib/sevmig"
        self.changed(["chown", "sevmig", state], "chown", "root", state)
        self.finds_alone("records", "bad", "does not belong to the user sevmig")
        self.host.run(["chown", "sevmig", state])
        with self.mounted(state, "size=1m,uid=sevmig"):
            self.finds_alone("records", "bad", "free")
        with self.mounted(state, "ro,uid=sevmig"):
            self.finds_alone("records", "bad", "read-only")

    @contextlib.contextmanager
    def mounted(self, place, options):
        self.host.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place])
        try:
            yield
        finally:
            self.host.run(["umount", place])

    def test_policies(self):
        path = f"{ADMIN_POLICIES}/faulty.xml"
        self.addCleanup(self.host.run, ["sevmigctl", "policy", "reload"])
        self.addCleanup(self.host.run, ["rm", path])
        write_on_host(self.host, path, "<policy")
        self.host.run(["sevmigctl", "policy", "reload"], check=False)
        self.finds_alone("policies", "bad", "faulty.xml:1")

    def test_no_sevmigd(self):
        self.addCleanup(start_sevmigd, self.host)
        kill_daemon(self.host, "sevmigd")
        self.finds_alone("sevmigd", "bad", "not running")

    def test_no_libvirt(self):
        self.addCleanup(start_libvirtd, self.host)
        kill_daemon(self.host, "libvirtd")
        others = wait_until("sevmigd says so too", lambda: self.finds("libvirt", "bad", "cannot connect"))
        self.assertEqual(list(others), ["sevmigd"])

    def test_no_polkit(self):
        path = "/etc/dbus-1/lab-services/org.freedesktop.PolicyKit1.service"  # by which the bus would start it
        self.addCleanup(ask_bus, self.host, "ReloadConfig")
        self.changed(["mv", "/tmp/polkit.service", path], "mv", path, "/tmp/polkit.service")
        ask_bus(self.host, "ReloadConfig")
        end_polkit(self.host)
        self.assertEqual(list(self.finds("polkit", "bad", "PolicyKit1")), ["sevmigd"])

    def test_polkit_has_ended_before(self):
        """It may at any time, and whoever asks next has the bus start another one."""
        end_polkit(self.host)
        self.assertTrue(self.look()["good"])
        self.test_no_polkit()

    def test_polkit_hangs(self):
        self.look()  # has it started, if it was not
        pid = int(ask_bus(self.host, "GetConnectionUnixProcessID", "s", "org.freedesktop.PolicyKit1").split()[1])
        os.kill(pid, signal.SIGSTOP)
        try:
            self.finds("polkit", "bad", "did not answer within 5 s")
            done = self.host.run(["sevmigctl", "list"], check=False)
            self.assertIn("polkit did not answer within 5 s", done.stderr)
        finally:
            os.kill(pid, signal.SIGCONT)

    def test_actions_are_missing(self):
        path = "/usr/share/polkit-1/actions/org.sevmig1.policy"
        self.changed(["mv", "/tmp/actions", path], "mv", path, "/tmp/actions")
        wait_until("polkit has noticed", self.polkit_knows_none)
        self.assertEqual(list(self.finds("polkit", "bad", "knows 0 actions")), ["sevmigd"])

    def polkit_knows_none(self):
        checks = {check["check"]: check for check in self.look()["checks"]}
        return "knows 0" in checks["polkit"]["found"]

    def test_no_bus(self):
        done = self.doctor("--json", "--connect", "unix:path=/nonexistent")
        checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
        self.assertEqual((done.returncode, checks["bus"]["state"]), (1, "bad"))
        self.assertNotIn("sevmigd", checks)
