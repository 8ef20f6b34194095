# SPDX-License-Identifier: LGPL-2.1-or-later
"""One plain `virsh migrate --live --p2p`, watched from outside, with its figures."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import libvirt

from . import guests, heartbeat
from .bus import Daemon
from .error import LabError
from .guests import Guest
from .heartbeat import Follower, Log
from .hosts import Host, other

# How long before the migration the usual rate of work of a guest without a fixed one is taken from
BASELINE_US = 2_000_000
ALIVE_S = 10.0           # the guest must speak again within this after virsh says it is over
VERIFY_S = 60.0
ENDED_S = 3.0            # how long after virsh the daemon may take to close its books
# A heartbeat is due every 5 ms: what virsh takes after the switchover is well within this.
AFTER_US = 500_000


@dataclass(frozen=True)
class Result:
    guest: str
    source: str
    destination: str
    completed: bool
    error: str
    started_us: int  # monotonic
    ended_us: int
    stats: dict[str, Any]      # libvirt's, of the completed job
    daemon: dict[str, Any]     # sevmigd's migration object, {} if it saw none
    downtime_us: int | None    # the silence in which the guest changed hosts, from outside
    silence_us: int | None     # the largest of all: a throttle's stun, or a busy machine
    work_lost_ms: float | None
    verified: bool | None = None  # None: not asked for, or not within the time

    @property
    def total_ms(self) -> float:
        return (self.ended_us - self.started_us) / 1e3


def now_us() -> int:
    return time.monotonic_ns() // 1000


def command(guest: Guest, source: Host, auto_converge: bool, extra: Sequence[str]) -> list[str]:
    destination = other(source)
    argv = ["virsh", "-q", "-c", "qemu:///system", "migrate", "--live", "--p2p"]
    if auto_converge:
        argv.append("--auto-converge")
    return [*argv, *extra, guest.name, destination.peer_uri,
            "--migrateuri", f"tcp://{destination.address}"]


def _cancel(guest: Guest, source: Host) -> None:
    try:
        source.connect().lookupByName(guest.name).abortJob()
    except libvirt.libvirtError:
        pass  # it has just ended


def _run_virsh(argv: Sequence[str], guest: Guest, source: Host, limit_s: float) -> tuple[int, str]:
    """Status and errors of virsh; whatever ends this early, Ctrl-C too, cancels the migration."""
    process = source.popen(argv)
    try:
        _out, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise LabError(f"migration of guest {guest.name}", f"is not over after {limit_s:g} s",
                       source.logs) from None
    finally:
        if process.poll() is None:
            _cancel(guest, source)  # virsh itself heeds Ctrl-C only on a terminal of its own
            process.communicate()
    return process.returncode, errors.strip()


def _job_stats(host: Host, name: str) -> dict[str, Any]:
    """Of the newest completed job; the destination knows it, through the migration's cookie."""
    try:
        domain = host.connect().lookupByName(name)
        return dict(domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED))
    except libvirt.libvirtError:
        return {}


def _daemon_summary(daemon: Daemon, name: str, since_us: int) -> dict[str, Any]:
    deadline = time.monotonic() + ENDED_S
    while True:
        try:
            found = daemon.newest(name, since_us)
        except LabError:
            found = None
        if (found and found.get("State") == "ended") or time.monotonic() > deadline:
            return found or {}
        time.sleep(0.1)


def _wait_alive(follower: Follower, after_us: int) -> bool:
    deadline = time.monotonic() + ALIVE_S
    while time.monotonic() < deadline:
        last = follower.poll().last
        if last and last.at_us > after_us + AFTER_US:
            return True
        time.sleep(0.05)
    return False


def wait_verified(guest: Guest, since_us: int, progress: Callable[[str], None],
                  limit_s: float = VERIFY_S) -> bool | None:
    """Waits until each page was verified after since_us; None if that takes too long."""
    started, follower = time.monotonic(), guest.follow()
    while time.monotonic() - started < limit_s:
        log = follower.poll()
        verdict = heartbeat.verified_since(log, since_us)
        if verdict is not None:
            return verdict
        progress(f"the guest verifies its memory ({time.monotonic() - started:.0f} s)")
        time.sleep(0.1)
    return None


def _measure(log: Log, started_us: int, ended_us: int) -> dict[str, Any]:
    beats = log.beats
    end_us = ended_us + AFTER_US
    downtime = heartbeat.handover_gap(beats, started_us, end_us)
    silence = heartbeat.largest_gap(beats, started_us, end_us)
    usual = log.rate or heartbeat.work_rate(beats, started_us - BASELINE_US, started_us)
    return {"downtime_us": downtime.length_us if downtime else None,
            "silence_us": silence.length_us if silence else None,
            "work_lost_ms": heartbeat.work_lost_ms(beats, started_us, end_us, usual)}


def migrate(guest: Guest, *, auto_converge: bool = False, extra: Sequence[str] = (),
            verify: bool = False, limit_s: float = 600) -> Result:
    """Migrates a guest from the host it is on to the other one.

    A migration that fails is a result, not an exception: `error` holds virsh's words. To verify
    the memory, it waits afterwards; wait_verified() does it by itself, with progress.
    """
    source, _domain = guests.require(guest.name)
    destination, daemon, follower = other(source), Daemon(source), guest.follow()
    since_us, started_us = time.time_ns() // 1000, now_us()
    status, error = _run_virsh(command(guest, source, auto_converge, extra), guest, source, limit_s)
    ended_us = now_us()
    alive = _wait_alive(follower, ended_us)
    completed = status == 0 and alive
    if status == 0 and not alive:
        error = f"the guest is silent on host {destination}"
    verified = wait_verified(guest, ended_us, lambda _: None) if completed and verify else None
    return Result(guest.name, source.name, destination.name, completed, error, started_us,
                  ended_us, _job_stats(destination, guest.name) if completed else {},
                  _daemon_summary(daemon, guest.name, since_us), verified=verified,
                  **_measure(follower.poll(), started_us, ended_us))
