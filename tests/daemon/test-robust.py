#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever is done to sevmigd, it serves the others and says what is wrong."""

import contextlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import time
import unittest

import dbus
import dbus.lowlevel

from bus_case import (MANAGER, NAME, PATH, PROPERTIES, READ, RELOAD, STRANGER, BusCase, as_stranger,
                      wait_until)
from migrations import Migrations


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


class Migrating(Migrations):
    """While something is wrong with the rest of the world."""

    def test_flood(self):
        flood = dbus.bus.BusConnection(self.address)
        self.addCleanup(flood.close)
        message = dbus.lowlevel.MethodCallMessage(NAME, PATH, MANAGER, "ListPolicies")
        message.set_no_reply(True)
        with self.ticks_go_on():
            for _ in range(5000):
                flood.send_message(message.copy())
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

    def test_calls_without_replies(self):
        flood = self.stranger()
        message = dbus.lowlevel.MethodCallMessage(NAME, PATH, MANAGER, "ListPolicies")
        message.set_no_reply(True)
        for _ in range(10000):
            flood.send_message(message.copy())
        flood.flush()
        self.assertEqual(len(self.call("ListPolicies")), 1)
        wait_until("it refuses calls", lambda: "calls of" in self.log())
        self.assertEqual(self.log().count("refusing calls"), 1)
        # it may call again once its calls have been answered
        proxy = flood.get_object(NAME, PATH, introspect=False)
        wait_until("the flood is over", lambda: self.answers(proxy))

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
        with as_stranger():
            client.connect(self.address.partition("path=")[2])
        client.sendall(b"\0AUTH EXTERNAL " + str(STRANGER).encode().hex().encode() + b"\r\nBEGIN\r\n")
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
