#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whatever is done to sevmigd, it serves the others and says what is wrong."""

import os
import socket
import struct
import unittest

import dbus
import dbus.lowlevel

from bus_case import MANAGER, NAME, PATH, BusCase, wait_until


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
        for _ in range(20000):
            flood.send_message(message)
        flood.flush()
        self.assertEqual(len(self.call("ListPolicies")), 1)
        self.assertIn("calls of", self.log())
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
        client.connect(self.address.partition("path=")[2])
        client.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\nBEGIN\r\n")
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
