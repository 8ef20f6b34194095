# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the two-host tests share: a guest, a migration under way, and what is known of both."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
import unittest
from collections.abc import Callable, Sequence
from typing import Any

import libvirt

from lab import firmware, guests, migrate
from lab.bus import Daemon
from lab.error import LabError
from lab.guests import Guest
from lab.hosts import BUILD, HOSTS, RUN, TOP, Host, other

# A guest that writes flat out over most of its memory: nothing but a throttle lets it converge. What each page
# costs it keeps a fast machine's guest from writing more than the policies' throttle can hold.
BUSY = "pattern=uniform rate=0 ws=64 cost=16"
# A firmware slow enough that every phase of a migration lasts for seconds.
SLOW_SCALE = 2
ADMIN_POLICIES = "/etc/sevmig/policies"


def wait_until(what: str, test: Callable[[], Any], limit_s: float = 30) -> Any:
    """The first true value of test(); an error that names what was waited for."""
    deadline = time.monotonic() + limit_s
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {limit_s:g} s")
        time.sleep(0.05)


def query(host: Host, name: str) -> dict[str, Any]:
    """x-query-sev-migration of a guest, through libvirt."""
    done = host.run(["virsh", "-c", "qemu:///system", "qemu-monitor-command", name,
                     '{"execute":"x-query-sev-migration"}'])
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise LabError(f"guest {name} on host {host}", answer["error"]["desc"])
    return answer["return"]


def daemon_pid(host: Host, program: str) -> int:
    return int((RUN / host.name / "pids" / program).read_text())


def kill_daemon(host: Host, program: str, number: int = signal.SIGKILL) -> None:
    pid = daemon_pid(host, program)
    if not is_alive(pid):
        raise AssertionError(f"{program} of host {host} has ended by itself: see {host.logs / program}.log")
    os.kill(pid, number)
    wait_until(f"{program} of host {host} ends", lambda: not is_alive(pid))


def ask_bus(host: Host, method: str, *arguments: str) -> str:
    """What the system bus of a host itself answers, as busctl prints it."""
    return host.run(["busctl", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                     method, *arguments]).stdout.strip()


def end_polkit(host: Host) -> None:
    """Whichever the bus has started last, if there is one."""
    name = ("s", "org.freedesktop.PolicyKit1")
    if ask_bus(host, "NameHasOwner", *name) == "b true":
        os.kill(int(ask_bus(host, "GetConnectionUnixProcessID", *name).split()[1]), signal.SIGKILL)
    wait_until("polkit has gone", lambda: ask_bus(host, "NameHasOwner", *name) == "b false")


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start_daemon(host: Host, program: str, *argv: str) -> None:
    """As the lab's bring-up does; its output goes on in the same log."""
    with open(BUILD / "lab" / host.name / "log" / f"{program}.log", "ab") as log:
        process = subprocess.Popen(host.command(["setsid", *argv]), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    (RUN / host.name / "pids" / program).write_text(f"{process.pid}\n")


def start_sevmigd(host: Host, *options: str) -> None:
    start_daemon(host, "sevmigd", str(TOP / "tests/lab/sevmigd-as-service"), *options)
    wait_until(f"sevmigd of host {host}",
               lambda: host.run(["sevmigctl", "list"], check=False).returncode == 0)


def start_libvirtd(host: Host, path: str = "") -> None:
    """After it was killed, more than once if need be: the last of its threads holds the pid file.

    path: where it looks for programs, if not where the lab has it look.
    """
    argv = [*(["env", f"PATH={path}"] if path else []), "libvirtd", "--listen"]

    def answers() -> bool:
        if not is_alive(daemon_pid(host, "libvirtd")):
            start_daemon(host, "libvirtd", *argv)
        return host.run(["virsh", "-c", "qemu:///system", "version"], check=False).returncode == 0

    wait_until(f"libvirtd of host {host}", answers)


def write_on_host(host: Host, path: str, text: str) -> None:
    subprocess.run(host.command(["tee", path]), input=text, text=True, check=True,
                   stdout=subprocess.DEVNULL)


class Under:
    """A migration under way: virsh in the background, ended at the latest with the block.

    virsh has a terminal, as an operator's has: it heeds Ctrl-C there only.
    """

    def __init__(self, guest: Guest, uri: str | None = None, extra: Sequence[str] = (),
                 live: bool = True) -> None:
        self.guest = guest
        self.source, self.domain = guests.require(guest.name)
        self.destination = other(self.source)
        self.daemon = Daemon(self.source)
        self.since_us = time.time_ns() // 1000
        argv = migrate.command(guest, self.source, False, extra)
        if uri:
            argv[argv.index("--migrateuri") + 1] = uri
        if not live:
            argv.remove("--live")
        self.terminal, stdin = pty.openpty()
        self.process = subprocess.Popen(self.source.command(argv), text=True, stdin=stdin,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.close(stdin)

    def __enter__(self) -> Under:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            try:
                self.domain.abortJob()
            except libvirt.libvirtError:
                pass  # it has just ended
        self.process.communicate(timeout=60)
        os.close(self.terminal)

    def press_ctrl_c(self) -> None:
        os.write(self.terminal, b"\x03")

    def seen(self) -> dict[str, Any] | None:
        return self.daemon.newest(self.guest.name, self.since_us)

    def wait_for(self, what: str, test: Callable[[dict[str, Any]], Any], limit_s: float = 60) -> dict[str, Any]:
        """The daemon's view of this migration once test() of it is true."""

        def look() -> dict[str, Any] | None:
            if self.process.poll() is not None:
                raise AssertionError(f"{what}: the migration ended first: {self.process.stderr.read()}")
            view = self.seen()
            return view if view and test(view) else None

        return wait_until(what, look, limit_s)

    def wait_end(self, limit_s: float = 120) -> tuple[int, str]:
        try:
            _out, errors = self.process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the migration of {self.guest.name} is not over after {limit_s:g} s") from None
        return self.process.returncode, errors

    def wait_daemon_end(self) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            view = self.seen()
            return view if view and view["State"] == "ended" else None

        return wait_until("sevmigd closes its books", ended, 10)


def tell_firmware(host: Host, command: str, **arguments: Any) -> None:
    answer = firmware.call(host, firmware.OP_CONTROL, json.dumps({"command": command, **arguments}).encode())
    if "error" in json.loads(answer):
        raise LabError(f"swpsp of host {host}", answer.decode())


def set_time_scale(scale: int) -> None:
    for host in HOSTS.values():
        tell_firmware(host, "set", **{"time-scale": scale})


class HostCase(unittest.TestCase):
    """Has the hosts up, sevmigd running, and ends the guests it started."""

    def setUp(self) -> None:
        for host in HOSTS.values():
            if not is_alive(daemon_pid(host, "sevmigd")):
                start_sevmigd(host)

    def start(self, name: str, host: str = "a", create: Callable[[Host, str], libvirt.virDomain] | None = None,
              **options: Any) -> Guest:
        guest = Guest(name, **{"kind": "tiny", "workload": BUSY, **options})
        self.said_before = {host: len(self.qemu_log(guest, host)) for host in HOSTS.values()}
        guests.start(guest, HOSTS[host], **({"create": create} if create else {}))
        self.addCleanup(guests.stop, name)
        return guest

    @staticmethod
    def qemu_log(guest: Guest, host: Host) -> str:
        path = guests.qemu_log(guest, host)
        return path.read_text(errors="replace") if path.exists() else ""

    def qemu_said(self, guest: Guest, host: Host) -> str:
        """What the newest guest's QEMUs have logged there; libvirt appends to the logs of earlier ones of that name."""
        return self.qemu_log(guest, host)[self.said_before[host]:]

    def assert_runs_on(self, guest: Guest, host: Host, limit_s: float = 30) -> None:
        """The guest is on that host alone and works there, at full speed, its firmware state back to running.

        limit_s: how long the other host may take to give up what it has of it, which must not run.
        """

        def runs_alone() -> bool:
            states = guests.states(guest.name)
            self.assertLessEqual(list(states.values()).count(libvirt.VIR_DOMAIN_RUNNING), 1, f"{guest.name} runs twice")
            return states == {host: libvirt.VIR_DOMAIN_RUNNING}

        wait_until(f"{guest.name} runs on host {host} and is on no other", runs_alone, limit_s)
        state = wait_until("the firmware state is back to running",
                           lambda: (s := query(host, guest.name))["guest-state"] == "running" and s)
        self.assertEqual(state["tune"]["vcpu-throttle"], 0)
        self.assertEqual([vcpu["throttle"] for vcpu in state["vcpus"]], [0] * len(state["vcpus"]))
        follower = guest.follow()
        before = follower.poll().last
        wait_until("heartbeats go on", lambda: follower.poll().last.seq > before.seq + 20, 10)
        self.assertEqual(follower.poll().last.errors, 0)

    def assert_migrates(self, guest: Guest, extra: Sequence[str] = ()) -> migrate.Result:
        result = migrate.migrate(guest, extra=extra, verify=True)
        self.assertEqual(result.error, "")
        self.assertTrue(result.completed)
        self.assertIs(result.verified, True)
        return result
