# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which system calls a systemd unit allows, by its SystemCallFilter= lines."""

import re
import subprocess


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
