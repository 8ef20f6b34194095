#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""swpsp.service must allow every system call that swpsp makes.

usage: check-unit.py UNIT SECCOMP_SOURCE

Those of serving are in swpsp's own filter, but for what is there for the sanitizers. Before that it
makes the ones of START, of which systemd counts some among the privileged ones or the resources.
"""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lab"))
from unit_filter import allowed_by  # noqa: E402

START = {
    "bind", "capset", "chmod", "connect", "fchmod", "fsync", "getrlimit", "listen", "mkdir", "mlock", "mlockall",
    "openat", "prctl", "prlimit64", "seccomp", "setrlimit", "signalfd4", "socket", "timerfd_create", "umask",
    "chown", "fchownat",  # --socket-group: one or the other, by the machine
}


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
