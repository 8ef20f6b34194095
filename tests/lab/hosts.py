# SPDX-License-Identifier: LGPL-2.1-or-later
"""The two hosts, as `lab up` raised them: how to reach them and run something on them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import libvirt

from .error import LabError

RUN = Path("/run/sevmig-lab")
GUESTS = RUN / "guests"
IMAGES = RUN / "images"
TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SEVMIG_BUILD", TOP / "build"))

# libvirt's bindings print every error themselves unless told not to
libvirt.registerErrorHandler(lambda _ctx, _error: None, None)


@dataclass(frozen=True)
class Host:
    name: str
    address: str

    @property
    def uri(self) -> str:
        """From outside the hosts."""
        return f"qemu+unix:///system?socket={RUN}/{self.name}/libvirt/libvirt-sock"

    @property
    def peer_uri(self) -> str:
        """From the other host, over the network."""
        return f"qemu+tcp://{self.address}/system"

    @property
    def dbus_address(self) -> str:
        return f"unix:path={RUN}/{self.name}/dbus/system_bus_socket"

    @property
    def firmware_socket(self) -> Path:
        return RUN / self.name / "swpsp" / "sev.sock"

    @property
    def logs(self) -> Path:
        return BUILD / "lab" / self.name / "log"

    @property
    def init_pid(self) -> int:
        path = RUN / self.name / "init.pid"
        try:
            pid = int(path.read_text())
            os.stat(f"/proc/{pid}")
        except (OSError, ValueError):
            raise LabError(f"host {self.name}", "is not up: run 'lab up'", self.logs) from None
        return pid

    def command(self, argv: Sequence[str]) -> list[str]:
        """argv, to be run from outside, on the host and with the host's bus."""
        return ["nsenter", "--target", str(self.init_pid), "--mount", "--net", "--uts", "--",
                "env", "-i", "HOME=/root", "LC_ALL=C.UTF-8",
                f"TERM={os.environ.get('TERM', 'dumb')}",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket", *argv]

    def run(self, argv: Sequence[str], *, check: bool = True,
            timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        try:
            done = subprocess.run(self.command(argv), text=True, capture_output=True,
                                  stdin=subprocess.DEVNULL, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise LabError(f"{argv[0]} on host {self.name}", f"did not end in {timeout_s:g} s",
                           self.logs) from None
        if check and done.returncode:
            why = done.stderr.strip() or f"exit status {done.returncode}"
            raise LabError(f"{' '.join(argv)} on host {self.name}", why, self.logs)
        return done

    def popen(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(argv), text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def connect(self) -> libvirt.virConnect:
        _ = self.init_pid  # a host that is down is said to be down
        try:
            return libvirt.open(self.uri)
        except libvirt.libvirtError as error:
            raise LabError(f"libvirt of host {self.name}", str(error),
                           self.logs / "libvirtd.log") from None

    def __str__(self) -> str:
        return self.name


HOSTS = {"a": Host("a", "10.77.0.1"), "b": Host("b", "10.77.0.2")}


def host(name: str) -> Host:
    try:
        return HOSTS[name]
    except KeyError:
        raise LabError(f"host '{name}'", "the lab's hosts are a and b") from None


def other(one: Host) -> Host:
    return HOSTS["b" if one.name == "a" else "a"]
