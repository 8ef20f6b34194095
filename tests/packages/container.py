# SPDX-License-Identifier: LGPL-2.1-or-later
"""A clean Debian 13 under its own systemd, in which packages are installed as an administrator would."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

INIT = Path(__file__).resolve().parent / "container-init"
BOOT_LIMIT_S = 120


class Container:
    def __init__(self, tree: Path, name: str = "sevmig-packages") -> None:
        self.state = Path(tempfile.mkdtemp(prefix="sevmig-container-"))
        self.share = self.state / "share"  # /mnt inside
        self.share.mkdir()
        self.console = open(self.state / "console", "w+", encoding="utf-8", errors="replace")
        self.outer = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private",
             str(INIT), str(tree), str(self.state), name],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        self.pid = 0
        try:
            self._wait_booted()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        init = self._init()
        if init:
            subprocess.run(["kill", "-KILL", str(init)], check=False)
        try:
            self.outer.wait(30)
        except subprocess.TimeoutExpired:
            self.outer.kill()
            self.outer.wait()
        self.console.seek(0)
        said = self.console.read()[-1000:]
        self.console.close()
        shutil.rmtree(self.state, ignore_errors=True)
        if init and self.outer.returncode != 0:
            raise AssertionError(f"the container did not clean up after itself:\n{said}")

    def _init(self) -> int:
        """Process 1 of the container: the grandchild."""
        pid = self.outer.pid
        for _ in range(2):
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            except OSError:
                return 0
            if not children:
                return 0
            pid = int(children[0])
        return pid

    def _wait_booted(self) -> None:
        deadline = time.monotonic() + BOOT_LIMIT_S
        while time.monotonic() < deadline and self.outer.poll() is None:
            self.pid = self._init()
            if self.pid and self._comm() == "systemd":
                done = self.run("systemctl", "is-system-running", "--wait", check=False)
                if done.stdout.strip() in ("running", "degraded"):
                    return
            time.sleep(0.2)
        self.console.seek(0)
        raise AssertionError(f"systemd did not come up:\n{self.console.read()[-3000:]}")

    def _comm(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/comm").read_text().strip()
        except OSError:
            return ""

    def run(self, *argv: str, check: bool = True, user: str = "") -> subprocess.CompletedProcess[str]:
        """A command in the container; an error with all it said unless `check` is false."""
        as_user = ["setpriv", f"--reuid={user}", "--clear-groups"] if user else []
        done = subprocess.run(
            ["nsenter", "--target", str(self.pid), "--all", "--root", "--wd", "--", "env", "-i", "HOME=/root",
             "LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive",
             *as_user, *argv],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def says(self, *argv: str) -> str:
        return self.run(*argv).stdout.strip()

    def files(self) -> set[str]:
        """All there is, but for what dpkg, systemd and libvirt keep books in."""
        apart = ("/var/lib/dpkg", "/var/log", "/var/cache", "/var/lib/libvirt", "/var/lib/systemd", "/tmp", "/var/tmp",
                 "/mnt")
        paths = [word for path in apart for word in ("-o", "-path", path)][1:]
        return set(self.says("find", "/", "-xdev", "(", *paths, ")", "-prune", "-o", "-print").splitlines())

    def wait(self, what: str, *argv: str, limit_s: float = 30) -> None:
        """Until the command succeeds."""
        deadline = time.monotonic() + limit_s
        while (done := self.run(*argv, check=False)).returncode != 0:
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not within {limit_s:g} s: {done.stdout}{done.stderr}")
            time.sleep(0.2)
