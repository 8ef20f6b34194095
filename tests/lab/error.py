# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one error of the lab: what failed, why, and where to look."""

from __future__ import annotations

from pathlib import Path


class LabError(Exception):
    """`what` names the object, `why` the reason, `log` the file that knows more."""

    def __init__(self, what: str, why: str, log: Path | str | None = None) -> None:
        self.what, self.why, self.log = what, why, log
        text = f"{what}: {why}"
        super().__init__(f"{text} (log: {log})" if log else text)


def tail(path: Path, lines: int = 3) -> str:
    """The last lines of a log on one line; says so if there is none."""
    try:
        text = path.read_text(errors="replace").strip().splitlines()
    except OSError as error:
        return f"no log: {error.strerror}"
    return " | ".join(text[-lines:])
