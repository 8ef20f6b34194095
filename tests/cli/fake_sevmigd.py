# SPDX-License-Identifier: LGPL-2.1-or-later
"""A strict sevmigd on a private bus: the interface is the XML that ships, the answers are the test's.

A call that the test did not prepare is answered with an error and remembered in `unexpected`; what
is exported has exactly the types of the XML, since GDBus checks them.
"""

import os
import subprocess
import tempfile
import threading

from gi.repository import Gio, GLib

NAME = "org.sevmig1"
MANAGER = "/org/sevmig1"
MIGRATIONS = "/org/sevmig1/migration/"

BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/><allow send_destination="*"/><allow eavesdrop="false"/>
    {extra}
  </policy>
</busconfig>
"""


class Bus:
    """A private message bus."""

    def __init__(self, extra_policy=""):
        self.directory = tempfile.TemporaryDirectory(prefix="sevmigctl-")
        socket = os.path.join(self.directory.name, "bus")
        config = os.path.join(self.directory.name, "bus.conf")
        with open(config, "w", encoding="utf-8") as stream:
            stream.write(BUS_CONFIG.format(socket=socket, extra=extra_policy))
        log = os.path.join(self.directory.name, "log")
        with open(log, "w", encoding="utf-8") as stream:
            self.process = subprocess.Popen(
                ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"],
                stdout=subprocess.PIPE, stderr=stream, text=True)
        self.address = self.process.stdout.readline().strip()
        if not self.address:
            with open(log, encoding="utf-8") as stream:
                raise RuntimeError(f"no private bus: {stream.read()}")

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.directory.cleanup()


class FakeSevmigd:
    """Serves org.sevmig1 from a thread of its own until closed."""

    def __init__(self, bus, interface_xml):
        with open(interface_xml, encoding="utf-8") as stream:
            node = Gio.DBusNodeInfo.new_for_xml(stream.read())
        self.interfaces = {interface.name: interface for interface in node.interfaces}
        self.manager = {}
        self.migrations = {}    # object path -> properties
        self.running = []       # object paths
        # (method, arguments) -> GLib.Variant, ("error name", "text"), or None: never; a dictionary among
        # the arguments counts as a tuple of its sorted items
        self.answers = {}
        self.calls = []
        self.unexpected = []
        self.context = GLib.MainContext.new()
        self.loop = GLib.MainLoop.new(self.context, False)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(bus.address,))
        self.thread.start()
        self.ready.wait()

    def close(self):
        self._in_thread(self.loop.quit)
        self.thread.join()

    def add(self, name, properties, running=True):
        """One migration below /org/sevmig1/migration; its properties may be changed at any time."""
        path = MIGRATIONS + name
        self._check(properties, "org.sevmig1.Migration")
        self.migrations[path] = properties
        if running:
            self.running.append(path)
        self._in_thread(lambda: self._register(path, "org.sevmig1.Migration"))
        return path

    def set_manager(self, **properties):
        self._check(properties, "org.sevmig1.Manager")
        self.manager = properties

    def _check(self, properties, interface):
        expected = {p.name for p in self.interfaces[interface].properties}
        assert set(properties) == expected, set(properties) ^ expected

    def _in_thread(self, function):
        done = threading.Event()

        def run(*_):
            function()
            done.set()
            return False
        source = GLib.idle_source_new()
        source.set_callback(run)
        source.attach(self.context)
        done.wait()

    def _serve(self, address):
        self.context.push_thread_default()
        self.connection = Gio.DBusConnection.new_for_address_sync(
            address, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
            | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION, None, None)
        self._register(MANAGER, "org.sevmig1.Manager")
        reply = self.connection.call_sync(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
            GLib.Variant("(su)", (NAME, 4)), None, Gio.DBusCallFlags.NONE, -1, None)
        assert reply.unpack() == (1,)
        self.ready.set()
        self.loop.run()
        self.connection.close_sync(None)
        self.context.pop_thread_default()

    def _register(self, path, interface):
        self.connection.register_object(path, self.interfaces[interface], self._call, self._get, None)

    def _get(self, _connection, _sender, path, interface, name):
        properties = self.manager if path == MANAGER else self.migrations[path]
        info = self.interfaces[interface].lookup_property(name)
        return GLib.Variant(info.signature, properties[name])

    def _call(self, _connection, _sender, _path, _interface, method, parameters, invocation):
        arguments = tuple(tuple(sorted(a.items())) if isinstance(a, dict) else a for a in parameters.unpack())
        self.calls.append((method, arguments))
        if method == "ListMigrations":
            paths = list(self.migrations) if arguments[0] else list(self.running)
            invocation.return_value(GLib.Variant("(ao)", (paths,)))
            return
        if (method, arguments) not in self.answers:
            self.unexpected.append((method, arguments))
            invocation.return_dbus_error("org.sevmig1.Error.Failed", f"unexpected {method}{arguments}")
            return
        answer = self.answers[method, arguments]
        if isinstance(answer, tuple):
            invocation.return_dbus_error(*answer)
        elif answer is not None:
            invocation.return_value(answer)
