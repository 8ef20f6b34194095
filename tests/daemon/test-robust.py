#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever is done to sevmigd, it serves the others and says what is wrong."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import dbus
import dbus.lowlevel

from bus_case import MANAGER, NAME, PATH, PROPERTIES, READ, RELOAD, BusCase, wait_until


OTHER_USER = 65534
LEASE_MS = 2000
UNIT = pathlib.Path(__file__).resolve().parents[2] / "plugin/data/sevmigd.service.in"
MEMORY_MAX_KIB = int(UNIT.read_text().partition("MemoryMax=")[2].partition("M")[0]) << 10


class Overfed(BusCase):
    """Policies by the thousand and by the megabyte: the old set stays in force, and it says why."""

    def setUp(self):
        super().setUp()
        self.allow(READ, RELOAD)

    def refuses(self, *words):
        with self.assertRaises(dbus.DBusException) as context:
            self.call("ReloadPolicies")
        for word in words:
            self.assertIn(word, context.exception.get_dbus_message())
            self.assertIn(word, self.log())
        self.assertEqual([policy["name"] for policy in self.call("ListPolicies")], ["default"])

    def test_ten_thousand_policies(self):
        for number in range(10000):
            self.write(f"p{number}")
        self.refuses(str(self.policies), "more than 1024 policies")

    def test_as_many_as_there_may_be(self):
        for number in range(1023):
            self.write(f"p{number}")
        self.assertEqual(self.call("ReloadPolicies"), 1024)
        self.assertEqual(len(self.call("ListPolicies")), 1024)

    def test_policy_of_100_megabytes(self):
        with open(self.policies / "large.xml", "wb") as file:
            file.write(b"<policy xmlns='urn:sevmig:policy:1' name='large'><description>")
            for _ in range(100):
                file.write(b"x" * (1 << 20))
        before = memory_kib(self.process.pid)
        self.refuses("large.xml", "too large")
        self.assertLess(memory_kib(self.process.pid) - before, 20 << 10, "it was read as a whole")


def memory_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(file.read().partition("VmRSS:")[2].split()[0])


class Migrations(BusCase):
    """Twenty migrations, whose QEMUs count the ticks that come to them, while something is wrong."""

    N = 20

    def setUp(self):
        self.qemus_dir = tempfile.TemporaryDirectory(prefix="sevmig-qemus-")
        self.addCleanup(self.qemus_dir.cleanup)
        socket_path = pathlib.Path(self.qemus_dir.name, "qemus")
        self.qemus = subprocess.Popen([os.environ["FAKE_QEMUS"], socket_path], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.qemus.stdout.close)
        self.addCleanup(self.qemus.wait)
        self.addCleanup(self.qemus.kill)
        wait_until("the QEMUs are there", socket_path.is_socket)
        self.monitors = str(socket_path)
        super().setUp()
        wait_until("all are steered", lambda: self.steered() == self.N)

    def environment(self):
        options = os.environ.get("ASAN_OPTIONS", "")
        return dict(os.environ, LD_PRELOAD=os.environ["FAKE_LIBVIRT"], FAKE_DOMAINS=str(self.N),
                    FAKE_QEMUS=self.monitors, ASAN_OPTIONS=f"{options}:verify_asan_link_order=0:detect_leaks=0")

    def say(self, name, number):
        """To the fake libvirt."""
        pathlib.Path(self.qemus_dir.name, name).write_text(f"{number:016d}", encoding="ascii")

    def places(self):
        self.before_start()
        return super().places()

    def before_start(self):
        """For those who need something to be wrong by then."""

    def steered(self):
        return sum(self.call("GetAll", "org.sevmig1.Migration", interface=PROPERTIES, path=path)["State"] == "steered"
                   for path in self.call("ListMigrations", True))

    @contextlib.contextmanager
    def ticks_go_on(self, seconds=3):
        """Meanwhile, and afterwards, each QEMU hears at least one tick in four."""
        self.qemus.send_signal(signal.SIGUSR1)
        begun = time.monotonic()
        yield
        time.sleep(max(0, begun + seconds - time.monotonic()))
        self.assertEqual(self.steered(), self.N)
        elapsed = time.monotonic() - begun
        self.qemus.terminate()
        told = json.loads(self.qemus.stdout.read())
        self.assertGreater(told["ticks"], self.N * elapsed * 10 / 4, told)


class Migrating(Migrations):
    """While something is wrong with the rest of the world."""

    def test_flood(self):
        flood = dbus.bus.BusConnection(self.address)
        self.addCleanup(flood.close)
        message = dbus.lowlevel.MethodCallMessage(NAME, PATH, MANAGER, "ListPolicies")
        message.set_no_reply(True)
        with self.ticks_go_on():
            for _ in range(5000):
                flood.send_message(message)
            flood.flush()

    def test_reload_of_many_policies(self):
        self.allow(READ, RELOAD)
        for number in range(1000):
            self.write(f"p{number}")
        with self.ticks_go_on():
            self.assertEqual(self.call("ReloadPolicies"), 1001)

    def test_clock_jumps(self):
        """A day back, a year on: what is timed is timed by another clock."""
        with self.ticks_go_on():
            for offset in (-86400, 366 * 86400):
                self.say("offset", offset)
                time.sleep(1)
        elapsed = [self.call("Get", "org.sevmig1.Migration", "ElapsedUs", interface=PROPERTIES, path=path)
                   for path in self.call("ListMigrations", True)]
        self.assertLess(max(elapsed), 3600e6)


class Pausing(Migrations):
    """At the deadline all guests are paused, and then sevmigd is stopped: it lets go of each before it ends."""

    N = 5
    POLICY = ("<policy xmlns='urn:sevmig:policy:1' name='default'><goals><downtime unit='s' max='600'>1</downtime>"
              "<duration unit='s'>1</duration></goals><on-deadline>pause</on-deadline></policy>")

    def write(self, name, text=None):
        super().write(name, self.POLICY if name == "default" else text)

    def told(self):
        self.qemus.terminate()
        return json.loads(self.qemus.stdout.read())

    def test_stopped(self):
        wait_until("all are paused", lambda: self.log().count("pausing the guest") == self.N, 20)
        time.sleep(0.5)  # two ticks, and the words are there
        self.process.terminate()
        self.assertEqual(self.process.wait(10), 0)
        told = self.told()
        self.assertEqual((told["pauses"], told["paused"]), (self.N, 0), told)


class NotSaid(Migrations):
    """libvirt is too busy to say of most domains whether they migrate, twice."""

    def before_start(self):
        self.say("job-failures", 2 * self.N - 5)

    def test_asked_again(self):
        self.assertIn("looking again", self.log())
        self.assertGreater(self.log().count("migration found"), self.N - 1)


class Standing(Migrations):
    """Migrations without --live are followed and steered as any other."""

    N = 3

    def before_start(self):
        self.say("standing", 1)

    def test_found(self):
        self.assertEqual(self.steered(), self.N)


class Copied(Migrations):
    """What libvirt took to copy disks is not the memory's time."""

    N = 3

    def before_start(self):
        self.say("copied", 1000)

    def test_time_of_memory(self):
        for path in self.call("ListMigrations", True):
            elapsed_us = self.call("Get", "org.sevmig1.Migration", "ElapsedUs", interface=PROPERTIES, path=path)
            self.assertLess(elapsed_us, 100e6)


class Talking(Migrations):
    """A QEMU that says all the time that it migrates anew: nothing of the others' is lost by it."""

    N = 70

    def test_others_stay(self):
        others = [path for path in self.call("ListMigrations", True) if self.name_of(path) != "guest-0"]
        records = [self.call("Get", "org.sevmig1.Migration", "RecordFile", interface=PROPERTIES, path=path)
                   for path in others]
        self.say("events", 100)
        begun = time.monotonic()
        wait_until("it is followed anew", lambda: self.sessions() > 3, 20)
        time.sleep(2)
        self.assertLessEqual(self.sessions(), 2 + time.monotonic() - begun)
        self.assertGreaterEqual(self.steered(), self.N - 1)
        for record in records:
            self.assertTrue(os.path.exists(record), record)

    def name_of(self, path):
        return self.call("Get", "org.sevmig1.Migration", "Domain", interface=PROPERTIES, path=path)

    def sessions(self):
        return sum("guest-0" in line and "migration found" in line for line in self.log().splitlines())


class OnDisk(Migrations):
    """The state directory is a disk of its own."""

    OPTIONS = ""

    def before_start(self):
        state = self.dir / "state"
        state.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", self.OPTIONS, "tmpfs", state], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", state], check=True)


class OnSmallDisk(OnDisk):
    OPTIONS = "size=4m"

    def test_full_disk(self):
        """The records are on a disk that fills up under them."""
        with self.ticks_go_on(5):
            (self.dir / "state" / "filler").write_bytes(b"x" * (64 << 10))
            with contextlib.suppress(OSError):
                for number in range(100):
                    (self.dir / "state" / f"filler{number}").write_bytes(b"x" * (64 << 10))
        self.assertIn("No space left on device", self.log())
        self.assertEqual(self.log().count("recording no more"), self.N)


class OnReadOnlyDisk(OnDisk):
    """Nothing can be recorded from the start."""

    OPTIONS = "ro"

    def test_it_steers_all_the_same(self):
        with self.ticks_go_on():
            pass
        self.assertEqual(self.log().count("recording nothing"), self.N)
        self.assertIn("Read-only file system", self.log())
        files = [self.call("Get", "org.sevmig1.Migration", "RecordFile", interface=PROPERTIES, path=path)
                 for path in self.call("ListMigrations", True)]
        self.assertEqual(files, [""] * self.N)


class Flooding(BusCase):
    """Whoever asks without end, or never reads, is the only one to suffer."""

    def own_connection(self):
        client = dbus.bus.BusConnection(self.address)
        self.addCleanup(client.close)
        return client

    def test_calls_without_replies(self):
        flood = self.own_connection()
        message = dbus.lowlevel.MethodCallMessage(NAME, PATH, MANAGER, "ListPolicies")
        message.set_no_reply(True)
        for _ in range(10000):
            flood.send_message(message)
        flood.flush()
        wait_until("it is refused", lambda: "refusing calls" in self.log())
        self.assertIn("calls of uid", self.log())
        # it may call again once its calls have been answered
        proxy = flood.get_object(NAME, PATH, introspect=False)
        wait_until("the flood is over", lambda: self.answers(proxy))
        self.assertEqual(self.log().count("refusing calls"), 1)

    @staticmethod
    def answers(proxy):
        try:
            return len(proxy.get_dbus_method("ListPolicies", MANAGER)()) == 1
        except dbus.DBusException as error:
            if error.get_dbus_name() != "org.sevmig1.Error.Busy":
                raise
            return False

    def test_client_that_never_reads(self):
        """By hand, since a library reads: the first messages of a client, then calls and signals for ever."""
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        os.seteuid(OTHER_USER)
        try:
            client.connect(self.address.partition("path=")[2])
        finally:
            os.seteuid(0)
        client.sendall(b"\0AUTH EXTERNAL " + str(OTHER_USER).encode().hex().encode() + b"\r\nBEGIN\r\n")
        hello = dbus.lowlevel.MethodCallMessage("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "Hello")
        call = dbus.lowlevel.MethodCallMessage(NAME, PATH, MANAGER, "GetPolicy")
        call.append("default", signature="s")
        stream = [wire(hello, 1), *(wire(call, n) for n in range(2, 4000))]
        client.settimeout(2)
        try:
            client.sendall(b"".join(stream))
        except (TimeoutError, BrokenPipeError, ConnectionResetError):
            pass  # the bus has had enough of it
        for _ in range(20):
            self.assertEqual(len(self.call("ListPolicies")), 1)


def peak_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(file.read().partition("VmHWM:")[2].split()[0])


def slow_xml(size):
    """A document of one tag: libxml2's time for it grows with the square of its size."""
    names = "".join(f"xmlns:a{i:x}='u' " for i in range(size // 12))
    return f"<domain {names[:size - 16]}/>"


class Flooded(Migrations):
    """Another user with nothing but read asks for what costs most, on as many connections as it likes."""

    POLICIES, HISTORY = 1000, 256

    def before_start(self):
        for number in range(self.POLICIES - 1):
            self.write(f"p{number}")
        history = self.dir / "state" / "history"
        history.mkdir(parents=True)
        for n in range(self.HISTORY):
            (history / f"2026-{n:03d}.json").write_text(json.dumps({
                "sevmig-summary": 1, "id": f"2026-{n:03d}", "domain": f"db{n}", "result": "done", "policy": "default",
                "last-decision": "x" * 100, "record-file": str(self.dir / "log")}))

    def flood(self, connections, calls, method, *arguments, signature=""):
        flooder = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("flooder.py"), self.address, str(connections),
             str(calls), method, signature], user=OTHER_USER, group=OTHER_USER, extra_groups=[],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(flooder.stdout.close)
        self.addCleanup(flooder.wait)
        self.addCleanup(flooder.kill)
        flooder.stdin.write(json.dumps(arguments) + "\n")
        flooder.stdin.flush()
        self.addCleanup(flooder.stdin.close)
        self.assertEqual(flooder.stdout.readline(), "done\n")

    def survives(self, *args, **kwargs):
        """Three ticks in four are heard, none of the others waits for long, and memory stays bounded."""
        self.qemus.send_signal(signal.SIGUSR1)
        begun = time.monotonic()
        self.flood(*args, **kwargs)
        asked = time.monotonic()
        self.assertEqual(len(self.call("ListMigrations", False)), self.N)
        waited = time.monotonic() - asked
        time.sleep(max(0, begun + 4 - time.monotonic()))
        elapsed = time.monotonic() - begun
        self.qemus.terminate()
        told = json.loads(self.qemus.stdout.read())
        print(f"# {self.id().rpartition('.')[2]}: {told}, {self.N * elapsed * 10:.0f} due, another user waited "
              f"{waited:.2f} s, {peak_kib(self.process.pid) >> 10} MiB at most", flush=True)
        self.assertGreater(told["ticks"], self.N * elapsed * 10 * 3 / 4)
        self.assertLess(told["worst_ms"], LEASE_MS)
        self.assertLess(waited, LEASE_MS / 1000)

    def test_explain_xml(self):
        self.survives(8, 64, "ExplainXml", slow_xml(64 << 10), signature="s")

    def test_explain_xml_too_large(self):
        self.survives(8, 64, "ExplainXml", slow_xml(256 << 10), signature="s")

    def test_list_history(self):
        self.survives(8, 64, "ListHistory", "", 0, signature="su")

    def test_list_policies(self):
        self.survives(8, 64, "ListPolicies")

    def test_explain(self):
        self.survives(8, 64, "Explain", "fake-1", signature="s")

    def test_large_messages(self):
        self.survives(1, 12, "GetPolicy", "x" * (31 << 20), signature="s")
        self.assertLess(peak_kib(self.process.pid), MEMORY_MAX_KIB)


def wire(message, serial):
    """A message as bytes, without a connection: the tests' own, little-endian, strings only."""
    def string(text):
        return struct.pack("<I", len(text)) + text.encode() + b"\0"

    def pad(data):
        return data + b"\0" * (-len(data) % 8)
    fields, body = b"", b"".join(string(arg) for arg in message.get_args_list())
    for code, kind, value in ((1, "o", message.get_path()), (2, "s", message.get_interface()),
                              (3, "s", message.get_member()), (6, "s", message.get_destination())):
        fields = pad(fields) + struct.pack("<BB2s", code, 1, kind.encode() + b"\0") + string(value)
    if body:
        fields = pad(fields) + struct.pack("<BB2s", 8, 1, b"g\0") + b"\1s\0"
    return pad(struct.pack("<cBBBIII", b"l", 1, 0, 1, len(body), serial, len(fields)) + fields) + body


if __name__ == "__main__":
    unittest.main(verbosity=2)
