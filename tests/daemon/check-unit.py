#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigd.service leaves sevmigd next to nothing, by the judgement of systemd and by name.

usage: check-unit.py UNIT

That sevmigd can work under it is shown on the lab's hosts, where it runs under the unit's filter.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

MOST_EXPOSURE = 1.5
# What a reader must find, whatever systemd thinks of its weight.
EXPECTED = {"User": r"sevmig", "CapabilityBoundingSet": r"", "NoNewPrivileges": r"yes", "ProtectSystem": r"strict",
            "PrivateNetwork": r"yes", "RestrictAddressFamilies": r"AF_UNIX", "IPAddressDeny": r"any",
            "SystemCallFilter": r"@system-service", "MemoryMax": r"\d+M", "TasksMax": r"\d+", "LimitNOFILE": r"\d+",
            "StateDirectory": r"sevmig", "StateDirectoryMode": r"0750", "UMask": r"0027",
            "RestrictFileSystems": r"~@.*",
            # The figures are for everybody, and not among what is not.
            "RuntimeDirectory": r"sevmig", "RuntimeDirectoryMode": r"0755", "RuntimeDirectoryPreserve": r"yes",
            "ExecStart": r"/usr/libexec/sevmigd --metrics %t/sevmig/sevmig\.prom",
            # One that hangs is ended, one that ends comes back, whatever the boot is like.
            "Type": r"notify", "WatchdogSec": r"10", "Restart": r"on-failure", "RestartSec": r"\d",
            "StartLimitIntervalSec": r"0"}


def main(unit):
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copy(unit, pathlib.Path(place, "sevmigd.service"))
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                               f"--threshold={round(10 * MOST_EXPOSURE)}", copy], capture_output=True, text=True,
                              check=False)
    print(done.stdout + done.stderr)
    exposure = re.search(r"Overall exposure level for sevmigd.service: ([0-9.]+)", done.stdout)
    assert exposure and done.returncode == 0 and float(exposure[1]) <= MOST_EXPOSURE, "too exposed"
    assert not re.search("[Uu]nknown|[Ff]ailed to parse|[Ii]nvalid", done.stdout + done.stderr), "not understood"
    text = pathlib.Path(unit).read_text()
    for name, pattern in EXPECTED.items():
        assert re.search(rf"^{name}={pattern}$", text, re.MULTILINE), f"{name}= is not {pattern}"


if __name__ == "__main__":
    main(*sys.argv[1:])
