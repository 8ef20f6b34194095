# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigd itself on a private bus, with a polkit that says what the test wants.

libvirt is its test driver, which has no QEMU events: so the daemon runs, but nothing migrates.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import dbus
import dbusmock

SEVMIGD = os.environ["SEVMIGD"]
CASES = pathlib.Path(__file__).resolve().parent.parent / "policy" / "explain"
NAME, PATH = "org.sevmig1", "/org/sevmig1"
MANAGER, POLICY = "org.sevmig1.Manager", "/org/sevmig1/policy/default"
POLKIT = "org.freedesktop.PolicyKit1"
PROPERTIES = "org.freedesktop.DBus.Properties"
READ, RELOAD, STEER = "org.sevmig1.read", "org.sevmig1.reload-policies", "org.sevmig1.steer"
GOOD = "<policy xmlns='urn:sevmig:policy:1' name='{0}'><description>{0}</description></policy>"
# With the limits of the system bus, and for every user.
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth><policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/></policy></busconfig>"""
STRANGER = 65534  # a user who is not the one who runs sevmigd and the tests


@contextlib.contextmanager
def as_stranger():
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


def wait_until(what, test, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = test()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited in vain until {what}")


class BusCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bus_dir = pathlib.Path(tempfile.mkdtemp(prefix="sevmig-bus-"))
        cls.bus_dir.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.bus_dir)
        cls.address = f"unix:path={cls.bus_dir}/bus"
        (cls.bus_dir / "config").write_text(CONFIG)
        cls.spawn(["dbus-daemon", f"--config-file={cls.bus_dir}/config", "--nofork", "--nopidfile",
                   f"--address={cls.address}"])
        wait_until("the bus is there", (cls.bus_dir / "bus").is_socket)
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = cls.address
        cls.polkit = cls.spawn([sys.executable, "-m", "dbusmock", "--system", "--template", "polkitd"])
        cls.bus = dbus.bus.BusConnection(cls.address)
        cls.addClassCleanup(cls.bus.close)
        wait_until("polkit is there", lambda: cls.bus.name_has_owner(POLKIT))
        cls.authority = dbus.Interface(
            cls.bus.get_object(POLKIT, "/org/freedesktop/PolicyKit1/Authority"), dbusmock.MOCK_IFACE)

    @classmethod
    def spawn(cls, command):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   stdin=subprocess.DEVNULL)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        return process

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sevmig-bus-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.policies = self.dir / "policies"
        self.policies.mkdir()
        self.write("default")
        self.allow(READ)
        self.process = self.start()

    def tearDown(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.assertEqual(self.process.wait(20), 0, self.log())

    def places(self):
        """Where the policies are."""
        return "--policy-dir", str(self.policies), "--ceiling", str(self.dir / "ceiling.xml")

    def environment(self):
        return dict(os.environ)

    def start(self, *options):
        self.log_file = open(self.dir / "log", "ab")
        process = subprocess.Popen(
            [SEVMIGD, "--connect", "test:///default", "--bus", self.address, "--state-dir",
             str(self.dir / "state"), "--log-level", "info", *self.places(), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log_file, cwd=CASES,
            env=self.environment())
        self.log_file.close()
        wait_until("the name is taken or sevmigd ends",
                   lambda: self.bus.name_has_owner(NAME) or process.poll() is not None)
        return process

    def log(self):
        return (self.dir / "log").read_text()

    def write(self, name, text=None):
        (self.policies / f"{name}.xml").write_text(text or GOOD.format(name))

    def allow(self, *actions):
        self.authority.SetAllowed(dbus.Array(actions, signature="s"))

    def call(self, method, *args, interface=MANAGER, path=PATH):
        proxy = self.bus.get_object(NAME, path, introspect=False)
        return proxy.get_dbus_method(method, interface)(*args)

    def refuse(self, name, method, *args, **kwargs):
        with self.assertRaises(dbus.DBusException) as context:
            self.call(method, *args, **kwargs)
        self.assertEqual(context.exception.get_dbus_name(), name)
        return context.exception.get_dbus_message()

    def stranger(self):
        """A connection of another user."""
        with as_stranger():
            connection = dbus.bus.BusConnection(self.address)
        self.addCleanup(connection.close)
        return connection

    def get(self, name):
        return self.call("Get", MANAGER, name, interface=PROPERTIES)
