# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's guests: SEV domains as an operator would define them, but for <domain type='qemu'>."""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import libvirt

from . import observer
from .error import LabError, tail
from .heartbeat import Follower, Log
from .hosts import GUESTS, HOSTS, IMAGES, Host

EMULATOR = "/usr/lib/sevmig/qemu-system-x86_64"
FIRMWARE = Path("/usr/share/OVMF")
DOMAIN_NS = "urn:sevmig:domain:1"
# So that names are safe in paths, and the serial socket's path short enough.
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")

# The position of the C-bit and what it costs in address bits are the EPYC's; debugging is
# forbidden, sending is allowed.
SEV = {"cbitpos": "51", "reducedPhysBits": "1", "policy": "0x0001"}


@dataclass(frozen=True)
class Kind:
    memory_mib: int
    boot_limit_s: float
    firmware: bool  # OVMF, as real SEV guests; else SeaBIOS
    kernel: str
    initrd: str | None
    cmdline: str
    balloon: bool = False  # has a driver for it; reports free pages


KINDS = {
    "tiny": Kind(96, 20, False, "tiny.elf", None, ""),
    # the time stamp counter is sound here, but the kernel cannot know and would take a slow clock
    "linux": Kind(384, 90, True, "vmlinuz", "initrd.img",
                  "console=ttyS0 quiet tsc=reliable clocksource=tsc", balloon=True),
}

# What a guest does with its memory; see tests/guests/common/workload.h for the words.
WORKLOADS = {
    "idle": "pattern=idle",
    "uniform": "pattern=uniform rate=2000",
    "hot": "pattern=hot rate=4000 run=4",
    "scan": "pattern=scan rate=4000",
    "phases": "pattern=phases rate=4000",
    "flat-out": "pattern=uniform rate=0 ws=32",
}


@dataclass(frozen=True)
class Guest:
    name: str
    kind: str = "tiny"
    workload: str = "hot"  # a name of WORKLOADS, or its words
    memory_mib: int = 0    # 0: the kind's
    policy: str | None = None
    sev_policy: str = SEV["policy"]  # what the firmware is to keep

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise LabError(f"guest '{self.name}'", "a name has letters, digits and ._- only")
        if self.kind not in KINDS:
            raise LabError(f"guest {self.name}",
                           f"kind '{self.kind}' is none of {', '.join(KINDS)}")
        if self.workload not in WORKLOADS and "=" not in self.workload:
            raise LabError(f"guest {self.name}", f"workload '{self.workload}' is none of "
                           f"{', '.join(WORKLOADS)}, nor words like rate=1000")

    @property
    def directory(self) -> Path:
        return GUESTS / self.name

    @property
    def log_path(self) -> Path:
        return self.directory / "observer.log"

    @property
    def uuid(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.sevmig-lab.invalid"))

    @property
    def cmdline(self) -> str:
        words = WORKLOADS.get(self.workload, self.workload)
        return f"{KINDS[self.kind].cmdline} {words}".strip()

    def follow(self) -> Follower:
        return Follower(self.log_path)


def _add(parent: ET.Element, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element


def _add_policy(domain: ET.Element, name: str) -> None:
    ET.register_namespace("sevmig", DOMAIN_NS)
    _add(_add(domain, "metadata"), f"{{{DOMAIN_NS}}}policy", name=name)


def _add_os(domain: ET.Element, guest: Guest) -> None:
    kind = KINDS[guest.kind]
    os_ = _add(domain, "os")
    _add(os_, "type", "hvm", arch="x86_64", machine="q35")
    if kind.firmware:
        _add(os_, "loader", str(FIRMWARE / "OVMF_CODE_4M.fd"), readonly="yes", type="pflash")
        _add(os_, "nvram", f"/var/lib/libvirt/qemu/nvram/{guest.name}_VARS.fd",
             template=str(FIRMWARE / "OVMF_VARS_4M.fd"))
    _add(os_, "kernel", str(IMAGES / kind.kernel))
    if kind.initrd:
        _add(os_, "initrd", str(IMAGES / kind.initrd))
    _add(os_, "cmdline", guest.cmdline)


def _add_devices(domain: ET.Element, guest: Guest) -> None:
    devices = _add(domain, "devices")
    _add(devices, "emulator", EMULATOR)
    serial = _add(devices, "serial", type="unix")
    source = _add(serial, "source", mode="connect", path=str(guest.directory / "serial.sock"))
    _add(source, "reconnect", enabled="yes", timeout="1")
    _add(devices, "controller", type="usb", model="none")
    _add(devices, "video")
    _add(devices[-1], "model", type="none")
    if KINDS[guest.kind].balloon:
        _add(devices, "memballoon", model="virtio", freePageReporting="on")
    else:
        _add(devices, "memballoon", model="none")


def domain_xml(guest: Guest) -> str:
    domain = ET.Element("domain", {"type": "qemu"})
    _add(domain, "name", guest.name)
    _add(domain, "uuid", guest.uuid)
    if guest.policy:
        _add_policy(domain, guest.policy)
    _add(domain, "memory", str(guest.memory_mib or KINDS[guest.kind].memory_mib), unit="MiB")
    _add(domain, "vcpu", "1")
    _add_os(domain, guest)
    _add(_add(domain, "features"), "acpi")
    _add(domain, "clock", offset="utc")
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        _add(domain, event, "destroy")
    _add_devices(domain, guest)
    security = _add(domain, "launchSecurity", type="sev")
    for name, value in {**SEV, "policy": guest.sev_policy}.items():
        _add(security, name, value)
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode")


def _state(domain: libvirt.virDomain) -> int:
    try:
        return domain.state()[0]
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            # the destination of a migration that was cancelled has just forgotten it
            return libvirt.VIR_DOMAIN_SHUTOFF
        raise


def _found(name: str) -> Iterator[tuple[Host, libvirt.virDomain, int]]:
    for host in HOSTS.values():
        for domain in host.connect().listAllDomains():
            if domain.name() == name and (state := _state(domain)) != libvirt.VIR_DOMAIN_SHUTOFF:
                yield host, domain, state


def find(name: str) -> tuple[Host, libvirt.virDomain] | None:
    """The host on which a guest runs, and its domain there."""
    return next(((host, domain) for host, domain, _ in _found(name)), None)


def states(name: str) -> dict[Host, int]:
    """libvirt's state of a guest on each host that has it, as a migration's source and destination have."""
    return {host: state for host, _, state in _found(name)}


def require(name: str) -> tuple[Host, libvirt.virDomain]:
    found = find(name)
    if not found:
        raise LabError(f"guest {name}", "does not run on any host; 'lab guest list' lists them")
    return found


def load(name: str) -> Guest:
    """What a running guest was started as."""
    try:
        return Guest(**json.loads((GUESTS / name / "guest.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"guest {name}", f"was not started by the lab ({error})") from None


def running() -> list[tuple[Guest, Host, Log]]:
    names = sorted(path.parent.name for path in GUESTS.glob("*/guest.json"))
    return [(load(name), found[0], load(name).follow().poll())
            for name in names if (found := find(name))]


def qemu_log(guest: Guest, host: Host) -> Path:
    return host.logs / "libvirt" / "qemu" / f"{guest.name}.log"


def wait_ready(guest: Guest, host: Host, domain: libvirt.virDomain,
               progress: Callable[[str], None]) -> Log:
    """Waits for the guest's first heartbeats."""
    limit_s = KINDS[guest.kind].boot_limit_s
    started, follower = time.monotonic(), guest.follow()
    while True:
        log, waited_s = follower.poll(), time.monotonic() - started
        if log.fatal:
            raise LabError(f"guest {guest.name}", f"says: {log.fatal}", guest.log_path)
        if log.ready and len(log.beats) >= 3:
            return log
        if not domain.isActive():
            raise LabError(f"guest {guest.name}", f"ended: {tail(qemu_log(guest, host))}",
                           qemu_log(guest, host))
        if waited_s > limit_s:
            said = log.other_lines[-1] if log.other_lines else "nothing"
            raise LabError(f"guest {guest.name}", f"did not boot in {limit_s:g} s; its serial port "
                           f"said last: {said}", guest.log_path)
        progress(f"guest {guest.name} boots on host {host} ({waited_s:.0f} s)")
        time.sleep(0.05)


def _create(host: Host, xml: str) -> libvirt.virDomain:
    return host.connect().createXML(xml, 0)


def start(guest: Guest, host: Host, progress: Callable[[str], None] = lambda _: None,
          create: Callable[[Host, str], libvirt.virDomain] = _create) -> Log:
    """Starts a guest and waits until it works; leaves nothing behind if it does not."""
    if found := find(guest.name):
        raise LabError(f"guest {guest.name}", f"runs already, on host {found[0]}")
    observer.stop(guest.directory)
    guest.directory.mkdir(parents=True, exist_ok=True)
    observer.start(guest.directory)
    domain = None
    try:
        (guest.directory / "guest.json").write_text(json.dumps(asdict(guest)))
        (guest.directory / "domain.xml").write_text(domain_xml(guest))
        domain = create(host, domain_xml(guest))
        return wait_ready(guest, host, domain, progress)
    except (LabError, libvirt.libvirtError, KeyboardInterrupt) as error:
        if domain:
            _destroy(domain)
        observer.stop(guest.directory)
        if isinstance(error, libvirt.libvirtError):
            raise LabError(f"guest {guest.name} on host {host}", str(error),
                           host.logs / "libvirtd.log") from None
        raise


def set_policy(guest: Guest, policy: str | None) -> Guest:
    """Changes the running domain's own metadata, as `virsh metadata --live --set` would."""
    host, domain = require(guest.name)
    element = None
    if policy:  # libvirt adds the namespace by itself, and refuses one that is there already
        element = ET.tostring(ET.Element("policy", {"name": policy}), encoding="unicode")
    try:
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, element,
                           "sevmig" if policy else None, DOMAIN_NS, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        raise LabError(f"metadata of guest {guest.name} on host {host}", str(error)) from None
    return replace(guest, policy=policy)


def _destroy(domain: libvirt.virDomain) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError:
        pass  # it ended by itself


def stop(name: str) -> None:
    directory = GUESTS / name
    found = find(name)
    if not found and not directory.exists():
        raise LabError(f"guest {name}", "does not run on any host; 'lab guest list' lists them")
    while found:
        _destroy(found[1])
        found = find(name)
    observer.stop(directory)
    shutil.rmtree(directory, ignore_errors=True)
