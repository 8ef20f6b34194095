# SPDX-License-Identifier: LGPL-2.1-or-later
"""What docs/nova.md has operators do: its indented blocks, which are files or commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs/nova.md"
_BLOCK = re.compile(r"\n\n((?:    .*\n|\n(?=    ))+)")
_PATH = re.compile(r"`(/etc/[^`]+)`[^`]*:$")


@dataclass(frozen=True)
class Block:
    path: str  # "": commands
    text: str

    @property
    def commands(self) -> list[str]:
        return [] if self.path else self.text.splitlines()


def blocks() -> list[Block]:
    """In order; a file's block follows its path in backquotes, at the end of a paragraph."""
    text = GUIDE.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        before = text[:match.start()].rpartition("\n\n")[2].replace("\n", " ")
        path = _PATH.search(before)
        body = re.sub(r"(?m)^    ", "", match.group(1)).strip("\n") + "\n"
        found.append(Block(path.group(1) if path else "", body))
    return found


def files() -> dict[str, str]:
    return {block.path: block.text for block in blocks() if block.path}


def commands() -> list[str]:
    return [command for block in blocks() for command in block.commands]


def search_path() -> str:
    """The path that the guide gives libvirtd."""
    drop_in = files()["/etc/systemd/system/libvirtd.service.d/sevmig.conf"]
    path, = re.findall(r"(?m)^Environment=PATH=(\S+)$", drop_in)
    return path
