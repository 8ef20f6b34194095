#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""AppArmor's parser takes the profiles that ship, and the lines for libvirt's own.

usage: check-apparmor.py DIRECTORY
"""
import pathlib
import subprocess
import sys
import tempfile

WRAPPER = "abi <abi/4.0>,\ninclude <tunables/global>\nprofile wrapped {{\n{}\n}}\n"


def parse(name, text):
    with tempfile.NamedTemporaryFile("w", suffix=f"-{name}") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(["apparmor_parser", "--skip-kernel-load", "--skip-cache", file.name],
                              capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr


def main(directory):
    profiles = [path for path in sorted(pathlib.Path(directory).iterdir()) if path.suffix != ".md"]
    assert len(profiles) == 4, profiles
    for path in profiles:
        text = path.read_text()
        whole = text if "\nprofile " in text else WRAPPER.format(text)
        good, errors = parse(path.name, whole)
        assert good, f"{path.name}: {errors}"
        assert not parse(path.name, whole.replace("/usr/", "usr/ nonsense ", 1))[0], "the parser takes anything"
        print(f"{path.name}: good")


if __name__ == "__main__":
    main(*sys.argv[1:])
