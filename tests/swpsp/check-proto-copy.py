#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The QEMU patch series carries a copy of swpsp-proto.h; they must be the same file.

usage: check-proto-copy.py HEADER PATCH_DIRECTORY

A patch may add the file or change it later: hunks are applied in the order of the series.
"""
import pathlib
import re
import sys

NAME = "swpsp-proto.h"
HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def series(directory):
    for line in (directory / "series").read_text().splitlines():
        name = line.partition("#")[0].strip()
        if name:
            yield directory / name


def apply_hunks(content, lines):
    """Applies the hunks of one file's diff to a list of lines."""
    result, position = [], 0
    for line in lines:
        hunk = HUNK.match(line)
        if hunk:
            # "-0,0" is a new file; a hunk that only adds is placed behind its line.
            start = int(hunk[1]) - (0 if hunk[2] == "0" else 1)
            result += content[position:start]
            position = start
        elif line.startswith("+"):
            result.append(line[1:])
        elif line.startswith((" ", "-")):
            if content[position] != line[1:]:
                sys.exit(f"{NAME}: the series does not apply at line {position + 1}")
            if line[0] == " ":
                result.append(line[1:])
            position += 1
    return result + content[position:]


def hunks_of(patch):
    """The hunks of the header in one patch, with exactly the lines they claim to have."""
    lines, inside, old, new = [], False, 0, 0
    for line in patch.read_text().split("\n"):
        if old > 0 or new > 0:
            old -= not line.startswith("+")
            new -= not line.startswith("-")
            if inside:
                lines.append(line or " ")
        elif line.startswith("+++ "):
            inside = line.split("/")[-1].strip() == NAME
        elif hunk := HUNK.match(line):
            old, new = int(hunk[2] or 1), int(hunk[4] or 1)
            if inside:
                lines.append(line)
    return lines


def main():
    header, directory = map(pathlib.Path, sys.argv[1:])
    content = []
    for patch in series(directory):
        content = apply_hunks(content, hunks_of(patch))
    if not content:
        sys.exit(f"no patch of the series has {NAME}")
    if "\n".join(content) + "\n" != header.read_text():
        sys.exit(f"{NAME} in the series differs from {header}")


main()
