#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""swpsp.service must allow every system call that swpsp makes.

usage: check-unit.py UNIT SECCOMP_SOURCE

Those of serving are in swpsp's own filter, but for what is there for the sanitizers. Before that it
makes the ones of START, of which systemd counts some among the privileged ones or the resources.
"""
import pathlib
import re
import subprocess
import sys

START = {
    "bind", "capset", "chmod", "connect", "fchmod", "fsync", "getrlimit", "listen", "mkdir", "mlock", "mlockall",
    "openat", "prctl", "prlimit64", "seccomp", "setrlimit", "signalfd4", "socket", "timerfd_create", "umask",
    "chown", "fchownat",  # --socket-group: one or the other, by the machine
}


def members(name):
    """The system calls of a set, with those of the sets in it; of a plain name, that one."""
    if not name.startswith("@"):
        return {name}
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True,
                          text=True).stdout
    lines = (line.strip() for line in text.splitlines()[1:])
    return set().union(*(members(line) for line in lines if line and not line.startswith("#")))


def allowed_by(unit):
    """The first line says what is allowed at all; those that follow add to it or, with ~, take away."""
    allowed = members("@default")
    for value in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        named = set().union(*(members(name) for name in value.lstrip("~").split()))
        allowed = allowed - named if value.startswith("~") else allowed | named
    return allowed


def made_by(source):
    calls = re.sub(r"#if SWPSP_SANITIZED.*?#endif", "", source, flags=re.DOTALL)
    return set(re.findall(r"SCMP_SYS\((\w+)\)", calls))


def main(unit, source):
    made = made_by(pathlib.Path(source).read_text())
    assert "accept4" in made and "ptrace" not in made, "not the source of the filter"
    refused = (made | START) - allowed_by(pathlib.Path(unit).read_text())
    for call in sorted(refused):
        print(f"{unit}: {call} is not allowed")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
