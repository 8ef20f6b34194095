# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigd with 1, 100 and 1000 migrating domains at ten ticks a second: what it costs, what it misses.

sevmigd itself, as it is installed, with its bus, recorder and metrics; libvirt is a double that is
loaded into it (fake-libvirt.c), the QEMUs are one other process (fake-qemus.c). So what libvirt's
own client code costs is not in these figures.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from gi.repository import Gio, GLib

from lab.console import Console
from lab.hosts import BUILD, TOP

from .runner import run_whole, whole_parser

COUNTS = (1, 100, 1000)
SETTLE_S, WINDOW_S, IDLE_S = 3, 10, 30
UNUSED_S = 20  # GLib lets go of idle threads after 15 s
STARTS = 20
SEVMIGD = BUILD / "install.plugin/usr/libexec/sevmigd"
HOOK = BUILD / "install.plugin/usr/libexec/sevmig-hook"
QEMUS = BUILD / "plugin/tests/bench/sevmig-fake-qemus"
LIBVIRT = BUILD / "plugin/tests/bench/libsevmig-fake-libvirt.so"
DOMAIN = b"<domain type='kvm'><name>vm</name><launchSecurity type='sev'><cbitpos>51</cbitpos></launchSecurity></domain>"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Host(contextlib.ExitStack):
    """A bus, QEMUs, and sevmigd with so many migrations."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.directory = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="sevmig-")))
        self.address = f"unix:path={self.directory}/bus"
        self.start("dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={self.address}")
        self.qemus = self.start(QEMUS, self.directory / "qemus", stdout=subprocess.PIPE)
        self.wait(lambda: (self.directory / "bus").is_socket() and (self.directory / "qemus").is_socket())
        self.environment = {**os.environ, "LD_PRELOAD": str(LIBVIRT), "FAKE_DOMAINS": str(n),
                            "FAKE_QEMUS": str(self.directory / "qemus")}
        self.started_s = time.monotonic()
        self.sevmigd = self.start(
            SEVMIGD, "--bus", self.address, "--state-dir", self.directory / "state", "--policy-dir",
            TOP / "policies", "--ceiling", self.directory / "none", env=self.environment)

    def start(self, *argv: object, **options: object) -> subprocess.Popen:
        process = subprocess.Popen([str(word) for word in argv], **{
            "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options})
        self.callback(process.wait)
        self.callback(process.kill)
        return process

    @staticmethod
    def wait(test, limit_s: float = 20) -> None:
        end = time.monotonic() + limit_s
        while not test():
            if time.monotonic() > end:
                raise TimeoutError("what is measured did not come up")
            time.sleep(0.0005)

    def owned(self, connection) -> bool:
        return connection.call_sync("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner",
                                    GLib.Variant("(s)", ("org.sevmig1",)), None, 0, -1, None).unpack()[0]

    def ready_s(self) -> float:
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        connection = Gio.DBusConnection.new_for_address_sync(self.address, flags, None, None)
        self.wait(lambda: self.owned(connection))
        ready_s = time.monotonic() - self.started_s
        connection.close_sync(None)
        return ready_s

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.sevmigd.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def rss_mib(self) -> float:
        status = Path(f"/proc/{self.sevmigd.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def switches(self) -> dict[str, int]:
        """How often each thread has gone to sleep, which is how often it was awake."""
        return {task.name: int((task / "status").read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
                for task in Path(f"/proc/{self.sevmigd.pid}/task").iterdir()}





def measure_load(n: int) -> dict:
    with Host(n) as host:
        host.ready_s()
        time.sleep(SETTLE_S)
        host.qemus.send_signal(signal.SIGUSR1)
        cpu_s, began_s = host.cpu_s(), time.monotonic()
        time.sleep(WINDOW_S)
        share = (host.cpu_s() - cpu_s) / (time.monotonic() - began_s)
        rss_mib = host.rss_mib()
        host.qemus.terminate()
        ticks = json.loads(host.qemus.stdout.read())
        if ticks["ticks"] == 0:
            raise RuntimeError(f"{n} domains: sevmigd made no tick")
        return {"n": n, "cpu_percent": round(100 * share, 2), "rss_mib": round(rss_mib, 1),
                "tick_ms_p50": ticks["p50_ms"], "tick_ms_p99": ticks["p99_ms"], "missed": ticks["missed"],
                "ticks": ticks["ticks"], "cpu_us_per_tick": round(1e6 * share * WINDOW_S / ticks["ticks"], 1)}


def measure_idle() -> float:
    with Host(0) as host:
        host.ready_s()
        time.sleep(UNUSED_S)
        before = host.switches()
        time.sleep(IDLE_S)
        woken = sum(count - before.get(task, 0) for task, count in host.switches().items())
        return round(woken * 60 / IDLE_S, 1)


def measure_start() -> float:
    with Host(0) as host:
        return 1000 * host.ready_s()


def measure_hook() -> float:
    began_s = time.monotonic()
    subprocess.run([HOOK, "vm", "migrate", "begin", "-"], input=DOMAIN, stderr=subprocess.DEVNULL, check=True)
    return 1000 * (time.monotonic() - began_s)


def spread(values: list[float]) -> dict:
    return {"median": round(statistics.median(values), 1), "min": round(min(values), 1),
            "max": round(max(values), 1), "n": len(values)}


def measure(options, console: Console) -> list[dict]:
    console.status("idle")
    idle = measure_idle()
    console.status("start-up and hook")
    start_ms = spread([measure_start() for _ in range(STARTS)])
    hook_ms = spread([measure_hook() for _ in range(STARTS)])
    console.line(f"idle wakeups a minute {idle:g}; ready {start_ms} ms; hook {hook_ms} ms")
    rows = []
    for n in COUNTS:
        console.status(f"{n} migrations")
        runs = [measure_load(n) for _ in range(options.runs)]
        row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        row |= {"idle_wakeups_per_min": idle, "start_ms": start_ms, "hook_ms": hook_ms, "runs": runs}
        rows.append(row)
        console.line(f"{n:5} migrations: {row['cpu_percent']:6.2f} % of a core, {row['rss_mib']:5.1f} MiB, "
                     f"late p50 {row['tick_ms_p50']:.2f} ms, p99 {row['tick_ms_p99']:.2f} ms, missed {row['missed']:g} of "
                     f"{row['ticks']:g}, {row['cpu_us_per_tick']:g} us a tick")
    return rows


def main(arguments, check):
    parser = whole_parser("daemon", __doc__)
    return run_whole(measure, parser, arguments, check)
