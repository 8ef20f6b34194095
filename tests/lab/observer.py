# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts and stops a guest's observer (observer.c), which outlives the command that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from .error import LabError, tail
from .hosts import IMAGES

START_S = 5.0


def start(directory: Path) -> None:
    socket, log, errors = (directory / name for name in ("serial.sock", "observer.log",
                                                          "observer.err"))
    program = IMAGES / "observer"
    with errors.open("wb") as stderr:
        try:
            process = subprocess.Popen([program, socket, log], stdin=subprocess.DEVNULL,
                                       stdout=stderr, stderr=stderr, start_new_session=True)
        except OSError as error:
            raise LabError(str(program), error.strerror or str(error)) from None
    (directory / "observer.pid").write_text(f"{process.pid}\n")
    deadline = time.monotonic() + START_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError("the observer", f"does not listen on {socket}: {tail(errors)}", errors)
        time.sleep(0.01)


def stop(directory: Path) -> None:
    """Ends the observer recorded in a directory, if it is still that program."""
    try:
        pid = int((directory / "observer.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(directory).encode() in command:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
