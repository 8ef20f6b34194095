#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of sevmigd, run as whoever is to call: what it may, and what it hears.

Standard input: a JSON list of calls [path, interface, method, arguments as GVariant text, whether
polkit may ask the user]. Standard output: a JSON list with "" or the error's name for each. With
the argument --listen: prints "INTERFACE MEMBER" of each signal until standard input ends.
"""
import json
import sys

from gi.repository import Gio, GLib

NAME = "org.sevmig1"


def outcome(bus, path, interface, method, arguments, interactive):
    flags = Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION if interactive else Gio.DBusCallFlags.NONE
    try:
        bus.call_sync(NAME, path, interface, method, GLib.Variant.parse(None, arguments), None, flags, 20000, None)
    except GLib.Error as error:
        return Gio.DBusError.get_remote_error(error) or str(error)
    return ""


def listen(bus):
    bus.signal_subscribe(NAME, None, None, None, None, Gio.DBusSignalFlags.NONE,
                         lambda _bus, _sender, _path, interface, member, _args:
                         print(interface, member, flush=True))
    bus.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId", None, None, 0, -1, None)
    print("listening", flush=True)
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP,
                      lambda *_: loop.quit())
    loop.run()


def main():
    bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
    if sys.argv[1:] == ["--listen"]:
        listen(bus)
    else:
        print(json.dumps([outcome(bus, *call) for call in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
