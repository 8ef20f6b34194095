# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests with Nova share: hosts set up as docs/nova.md says, and instances on them."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import libvirt

import guide
from compute import Compute, Pending
from hosts.scene import (ADMIN_POLICIES, BUSY, HostCase, kill_daemon, query, start_daemon, start_libvirtd, wait_until,
                         write_on_host)
from lab import firmware, guests, migrate
from lab.bus import Daemon
from lab.error import LabError
from lab.guests import Guest
from lab.hosts import HOSTS, Host, other

QEMU_FILE = "/etc/sevmig/qemu.conf"
SOURCE, DESTINATION = HOSTS["a"], HOSTS["b"]
NOVA_NS = "http://openstack.org/xmlns/libvirt/nova/1.1"
# What differs from one compute host to the next, and what the lab's guests need.
CONFIGURATION = f"""[DEFAULT]
host = sevmig-{SOURCE.name}
my_ip = {SOURCE.address}
state_path = /var/lib/nova
debug = true
[libvirt]
virt_type = qemu
"""


def restart_libvirtd(host: Host, path: str = "") -> None:
    """With the search path that the drop-in for its unit gives it; without: as the lab starts it."""

    def is_watched() -> bool:
        told = json.loads(host.run(["sevmigctl", "doctor", "--json"], check=False).stdout)
        return {check["check"]: check["state"] for check in told["checks"]}["sevmigd"] == "good"

    kill_daemon(host, "libvirtd", signal.SIGTERM)
    start_libvirtd(host, path)
    wait_until(f"sevmigd of host {host} watches the new libvirtd", is_watched)


def names_on(host: Host) -> list[str]:
    return [domain.name() for domain in host.connect().listAllDomains()]


@contextlib.contextmanager
def cloud() -> Iterator[Compute]:
    """Both hosts with the guide's files, nova-compute on the source."""
    with contextlib.ExitStack() as stack:
        for host in (SOURCE, DESTINATION):
            stack.callback(restart_libvirtd, host)
            restart_libvirtd(host, guide.search_path())
            for path, text in guide.files().items():
                if path.startswith(ADMIN_POLICIES):
                    write_on_host(host, path, text)
                    stack.callback(host.run, ["rm", path])
            # Nova's guests go where their own policy lets them, and nowhere else.
            stack.callback(write_on_host, host, QEMU_FILE, host.run(["cat", QEMU_FILE]).stdout)
            write_on_host(host, QEMU_FILE, guide.files()[QEMU_FILE])
            host.run(["sevmigctl", "policy", "reload"])
        compute = Compute(SOURCE, CONFIGURATION, guide.files()["/etc/nova/nova.conf"])
        stack.callback(compute.close)
        yield compute
    for host in (SOURCE, DESTINATION):
        host.run(["sevmigctl", "policy", "reload"])


@dataclass
class Move:
    """A migration that Nova was asked for."""

    pending: Pending
    since_us: int
    ended_us: int = 0


class NovaCase(HostCase):
    """Instances that Nova starts on the source and migrates; nothing is left of them."""

    compute: Compute  # the module's

    def setUp(self) -> None:
        super().setUp()
        self.compute.saved.clear()
        self.compute.configure({})

    def instance(self, number: int, flavor: str = "m1.secure", project: str = "0" * 32, workload: str = BUSY,
                 **extra_specs: str) -> Guest:
        """extra_specs: the colon of a name as two underscores."""
        guest = Guest(f"instance-{number:08x}", workload=workload)
        specs = {"hw:mem_encryption": "true", **{k.replace("__", ":"): v for k, v in extra_specs.items()}}
        asked = {"id": number, "uuid": guest.uuid, "flavor": flavor, "project": project, "memory_mib": 96,
                 "extra_specs": specs}

        def create(host: Host, xml: str) -> libvirt.virDomain:
            started = self.compute.call("start", xml=xml, instance=asked)
            self.assertEqual(started["name"], guest.name)
            return host.connect().lookupByName(guest.name)

        self.addCleanup(self._forget, guest)
        guests.start(guest, SOURCE, create=create)
        return guest

    def _forget(self, guest: Guest) -> None:
        """Nova's domains are defined, and stay so when they are stopped."""
        with contextlib.suppress(LabError):  # it was never started
            guests.stop(guest.name)
        for host in HOSTS.values():
            for domain in host.connect().listAllDomains():
                if domain.name() == guest.name and domain.isPersistent():
                    domain.undefine()

    def begin(self, guest: Guest) -> Move:
        """Nova's driver is asked to migrate an instance to the destination."""
        since_us = time.time_ns() // 1000
        pending = self.compute.begin("migrate", uuid=guest.uuid, host=f"sevmig-{DESTINATION.name}",
                                     address=DESTINATION.address)
        return Move(pending, since_us)

    def view(self, guest: Guest, move: Move) -> dict[str, Any] | None:
        return Daemon(SOURCE).newest(guest.name, move.since_us)

    def wait_view(self, guest: Guest, move: Move, what: str, test: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            if move.pending.answered:
                raise AssertionError(f"{what}: Nova's migration ended first: {move.pending.wait()}")
            view = self.view(guest, move)
            return view if view and test(view) else None

        return wait_until(what, look, 60)

    def end(self, guest: Guest, move: Move, outcome: str) -> dict[str, Any]:
        """Nova's migration ends so; sevmigd's books of it."""
        ended = move.pending.wait(120)
        move.ended_us = migrate.now_us()
        self.assertEqual(ended, {"outcome": outcome})
        return wait_until("sevmigd closes its books",
                          lambda: (view := self.view(guest, move)) and view["State"] == "ended" and view, 10)

    def parameters(self, guest: Guest) -> dict[str, Any]:
        """What a libvirt client set for the migration, in QEMU."""
        done = SOURCE.run(["virsh", "-c", "qemu:///system", "qemu-monitor-command", guest.name,
                           '{"execute":"query-migrate-parameters"}'])
        return json.loads(done.stdout)["return"]

    def progress(self) -> list[int]:
        """The instance's progress as Nova would have shown it, in order."""
        return [saved["changes"]["progress"] for saved in self.compute.saved if "progress" in saved["changes"]]

    def assert_arrived(self, guest: Guest, move: Move, books: dict[str, Any]) -> None:
        self.assertEqual((books["Phase"], books["Error"]), ("done", ""))
        self.assert_runs_on(guest, DESTINATION)
        domain = DESTINATION.connect().lookupByName(guest.name)
        self.assertEqual((domain.isPersistent(), domain.state()[0]), (1, libvirt.VIR_DOMAIN_RUNNING))
        self.assertIn("<flavor", domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NOVA_NS))
        self.assertNotIn(guest.name, names_on(SOURCE))
        self.assertIs(migrate.wait_verified(guest, move.ended_us, lambda _: None), True)

    def assert_stayed(self, guest: Guest) -> None:
        """It works on the source at full speed; nothing is held, paused or left of the migration."""
        self.assert_runs_on(guest, SOURCE)
        self.assertIs(query(SOURCE, guest.name)["tune"]["hold-sending"], False)
        domain = SOURCE.connect().lookupByName(guest.name)
        self.assertEqual(domain.state()[0], libvirt.VIR_DOMAIN_RUNNING)
        wait_until("the destination has forgotten it", lambda: guest.name not in names_on(DESTINATION), 10)


def answers(host: Host) -> bool:
    try:
        return firmware.time_scale(host) > 0
    except LabError:
        return False


def restart_firmware(host: Host, owner: str) -> None:
    """As the lab starts it; owner: the file with the key of whose platform it is."""
    scale = firmware.time_scale(other(host))
    kill_daemon(host, "swpsp", signal.SIGTERM)
    start_daemon(host, "swpsp", "swpsp", "--socket", "/run/swpsp/sev.sock", "--state", "/var/lib/swpsp",
                 "--time-scale", str(scale), "--domain-ca", owner)
    wait_until(f"swpsp of host {host}", lambda: answers(host))
