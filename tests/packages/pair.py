# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two clean systems with sevmig's packages installed, a wire between them, and a guest."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from pathlib import Path

from built import BUILD
from container import Container

ADDRESSES = {"a": "10.78.0.1", "b": "10.78.0.2"}
EMULATOR = "/usr/lib/sevmig/qemu-system-x86_64"
SERIAL = "/var/log/libvirt/qemu/tiny.serial"
BEAT = re.compile(r"^hb (\d+) \d+ \d+ (\d+) \d+ (\d+)$", re.MULTILINE)  # number, pages verified, errors

# Nothing but these namespaces is on the wire: without a password, as no administrator would.
LIBVIRTD = """
host_uuid_source = "machine-id"
auth_tcp = "none"
"""
# As swpsp(8) says.
QEMU = """
namespaces = []
"""
SWPSP = """
[swpsp]
time-scale=20
socket-group=kvm
"""
SWPSP_UNIT = """
[Service]
SupplementaryGroups=kvm
"""
DOMAIN = f"""
<domain type='qemu'>
  <name>tiny</name>
  <memory unit='MiB'>96</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type><kernel>/srv/tiny.elf</kernel>
    <cmdline>pattern=hot rate=1000 run=4</cmdline></os>
  <features><acpi/></features>
  <devices>
    <emulator>{EMULATOR}</emulator>
    <serial type='file'><source path='{SERIAL}'/></serial>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
  <launchSecurity type='sev'><cbitpos>51</cbitpos><reducedPhysBits>1</reducedPhysBits><policy>0x0001</policy>
  </launchSecurity>
</domain>
"""


class System(Container):
    """One of the two, and what its administrator does to it."""

    def __init__(self, tree: Path, name: str) -> None:
        super().__init__(tree, f"sevmig-{name}")
        self.address = ADDRESSES[name]

    def put(self, path: Path) -> str:
        shutil.copy(path, self.share)
        return f"/mnt/{path.name}"

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >>"$1"', "write", path, text)

    def install(self, *packages: Path) -> None:
        self.run("dpkg", "--install", *(self.put(path) for path in packages))

    def configure_libvirt(self) -> None:
        self.write("/etc/libvirt/libvirtd.conf", LIBVIRTD)
        self.write("/etc/libvirt/qemu.conf", QEMU)
        self.run("systemctl", "stop", "libvirtd.service")
        self.run("systemctl", "enable", "--now", "libvirtd-tcp.socket", "libvirtd.service")

    def configure_firmware(self) -> None:
        self.write("/etc/swpsp/swpsp.conf", SWPSP)
        self.write("/etc/systemd/system/swpsp.service.d/kvm.conf", SWPSP_UNIT)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "enable", "--now", "swpsp")
        self.run("ln", "-s", "/run/swpsp/sev", "/dev/sev")

    def beats(self) -> list[tuple[int, int, int]]:
        said = self.run("cat", SERIAL, check=False).stdout
        return [(int(number), int(verified), int(errors)) for number, verified, errors in BEAT.findall(said)]

    def wait_beats(self, what: str, enough, limit_s: float = 60) -> list[tuple[int, int, int]]:
        deadline = time.monotonic() + limit_s
        while not enough(beats := self.beats()):
            if time.monotonic() > deadline:
                log = self.run("tail", "/var/log/libvirt/qemu/tiny.log", check=False).stdout
                raise AssertionError(f"{what}: not within {limit_s:g} s: {beats[-1:]}\n{log}")
            time.sleep(0.2)
        return beats


def on_network(system: System, *argv: str) -> None:
    subprocess.run(["nsenter", "--target", str(system.pid), "--net", "--", "ip", *argv], check=True)


def connect(a: System, b: System) -> None:
    """A wire of which the machine's own network has no end."""
    on_network(a, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", str(b.pid))
    for system in a, b:
        on_network(system, "addr", "add", f"{system.address}/24", "dev", "wire")
        on_network(system, "link", "set", "wire", "up")
