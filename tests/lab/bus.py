# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigd over D-Bus, as any client sees it (plugin/data/org.sevmig1.xml)."""

from __future__ import annotations

from typing import Any

from gi.repository import Gio, GLib

from .error import LabError
from .hosts import Host

NAME = "org.sevmig1"
MANAGER = "/org/sevmig1"
CALL_MS = 5000


class Daemon:
    def __init__(self, host: Host) -> None:
        self.host = host
        flags = (Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
                 | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION)
        try:
            self._bus = Gio.DBusConnection.new_for_address_sync(host.dbus_address, flags, None,
                                                                None)
        except GLib.Error as error:
            raise self._error(error) from None

    def _error(self, error: GLib.Error) -> LabError:
        return LabError(f"sevmigd of host {self.host}", error.message,
                        self.host.logs / "sevmigd.log")

    def _call(self, path: str, interface: str, method: str, args: GLib.Variant | None) -> Any:
        try:
            reply = self._bus.call_sync(NAME, path, interface, method, args, None,
                                        Gio.DBusCallFlags.NONE, CALL_MS, None)
        except GLib.Error as error:
            raise self._error(error) from None
        return reply.unpack()

    def version(self) -> str:
        value, = self._call(MANAGER, "org.freedesktop.DBus.Properties", "Get",
                            GLib.Variant("(ss)", (f"{NAME}.Manager", "Version")))
        return value

    def migrations(self, ended: bool = True) -> list[dict[str, Any]]:
        """All properties of each migration object, oldest first."""
        paths, = self._call(MANAGER, f"{NAME}.Manager", "ListMigrations",
                            GLib.Variant("(b)", (ended,)))
        found = []
        for path in paths:
            try:
                found.append(self.properties(path))
            except LabError:
                continue  # forgotten between the two calls
        return sorted(found, key=lambda migration: migration.get("StartedRealtimeUs", 0))

    def properties(self, path: str) -> dict[str, Any]:
        values, = self._call(path, "org.freedesktop.DBus.Properties", "GetAll",
                             GLib.Variant("(s)", (f"{NAME}.Migration",)))
        return values

    def newest(self, domain: str, since_realtime_us: int = 0) -> dict[str, Any] | None:
        """The newest migration of a domain, if it began after a moment."""
        own = [m for m in self.migrations()
               if m.get("Domain") == domain and m.get("StartedRealtimeUs", 0) >= since_realtime_us]
        return own[-1] if own else None
