# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two QEMUs, each with a software firmware, and a look at them from outside; all of it ends with
the `with` block. Built on the tests' own harness."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import firmware
import guests
import harness
import run
from lab.heartbeat import Follower, Log

IMAGES = Path(run.BUILD) / "images"
LEASE_MS = 60000
BOOT_S = 60.0


def now_us() -> int:
    return time.monotonic_ns() // 1000


def still_guest(ram_mib: int) -> list[str]:
    """A guest that never runs, with memory that is really there."""
    return ["-accel", "tcg", "-S", "-m", str(ram_mib), "-machine", "pc,memory-backend=ram",
            "-object", f"memory-backend-ram,id=ram,size={ram_mib}M,prealloc=on"]


def tiny_guest(ram_mib: int, load: str) -> list[str]:
    return ["-accel", "tcg", "-m", str(ram_mib), "-kernel", str(IMAGES / "tiny.elf"),
            "-append", load]


class Rig(harness.TestCase):
    def __enter__(self) -> Rig:
        self.setUp()
        self._migrations = 0
        return self

    def __exit__(self, *_exc) -> None:
        self.doCleanups()

    def qemu(self, name: str, args: list[str], sev: bool = True,
             time_scale: int = 1) -> harness.Qemu:
        """A QEMU; that of an SEV guest knows the socket of its firmware."""
        psp = self.start_swpsp(f"psp-{name}", ["--time-scale", str(time_scale)]) if sev else None
        qemu = self.start_qemu(name, [*args, *(harness.sev_args(psp) if sev else [])])
        qemu.psp = psp
        return qemu

    def pair(self, args: list[str], **more) -> tuple[harness.Qemu, harness.Qemu]:
        return (self.qemu("src", args, **more),
                self.qemu("dst", [*args, "-incoming", "defer"], **more))

    def observed_pair(self, args: list[str], **more) -> tuple[harness.Qemu, harness.Qemu]:
        """A pair whose serial ports an observer listens to; returns when the guest works."""
        serial = self.observe()
        src, dst = self.pair([*args, *serial], **more)
        self.wait_beats(3)
        return src, dst

    def observe(self) -> list[str]:
        """Start an observer; the arguments that lead a guest's serial port to it."""
        path, log = self.dir / "serial", self.dir / "observer.log"
        observer = harness.Process("observer", [str(IMAGES / "observer"), str(path), str(log)],
                                   self.dir)
        self.addCleanup(observer.stop)
        observer.wait_for(path)
        self.follower = Follower(log)
        return ["-serial", f"unix:{path}"]

    def wait_beats(self, n: int) -> Log:
        """Wait until n more heartbeats have come."""
        until = len(self.follower.poll().beats) + n
        deadline = time.monotonic() + BOOT_S
        while len(self.follower.poll().beats) < until:
            if self.follower.log.fatal or time.monotonic() > deadline:
                raise TimeoutError(f"the guest is silent: {self.follower.log.fatal}")
            time.sleep(0.01)
        return self.follower.log

    def migrate(self, src: harness.Qemu, dst: harness.Qemu,
                link: Callable[[bytearray], int] | None = None, **parameters) -> None:
        """Start a migration, as fast as the link goes, and as long as nobody allows downtime."""
        self._migrations += 1
        uri = to = f"{self.dir}/migration-{self._migrations}"
        for qemu in src, dst:
            qemu.qmp.events.clear()
            qemu.qmp.cmd("migrate-set-capabilities", capabilities=[
                {"capability": name, "state": True} for name in ("return-path", "events")])
        src.qmp.execute("migrate-set-parameters", {"downtime-limit": 1, "max-bandwidth": 0,
                                                   **parameters})
        dst.qmp.cmd("migrate-incoming", uri=f"unix:{uri}")
        if link:
            to = f"{uri}-link"
            proxy = guests.Proxy(to, uri, link)
            self.addCleanup(proxy.close)
            self.addCleanup(src.qmp.cmd, "migrate_cancel")  # before that: it waits for both ends
        src.qmp.cmd("migrate", uri=f"unix:{to}")
        self.wait_status(src, "active")

    def set_cost(self, *qemus: harness.Qemu, **values: float) -> None:
        """Of the firmware, from the next submission on, as `swpspctl set`."""
        for qemu in qemus:
            firmware.control(qemu.psp, "set",
                             **{name.replace("_", "-"): value for name, value in values.items()})


def tune(qemu: harness.Qemu, **arguments) -> None:
    """Tune and hold the migration in pre-copy."""
    qemu.qmp.cmd("x-sev-migration-tune",
                 **{"switchover": "hold", "lease_ms": LEASE_MS, **arguments})


def query(qemu: harness.Qemu) -> dict:
    return qemu.qmp.cmd("x-query-sev-migration")


def wait_pass(qemu: harness.Qemu, number: int) -> dict:
    """Wait for a pass to begin; what the query says then."""
    deadline = time.monotonic() + harness.PATIENCE_S
    while (info := query(qemu))["ram"]["pass"] < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"pass {number} does not begin: {info['ram']}")
        time.sleep(0.02)
    return info


class Link:
    """A link of so many bytes a second for a guests.Proxy; None: as fast as it goes."""

    BURST_S = 0.01  # what a busy machine, or a late wake-up, may make good

    def __init__(self, bytes_per_s: float | None = None) -> None:
        self.bytes_per_s = bytes_per_s
        self._free_s = 0.0  # when the link has sent what it was given

    def __call__(self, buffer: bytearray) -> int:
        if self.bytes_per_s:
            now_s = time.monotonic()
            self._free_s = max(self._free_s, now_s - self.BURST_S) + len(buffer) / self.bytes_per_s
            time.sleep(max(self._free_s - now_s, 0))
        return len(buffer)
