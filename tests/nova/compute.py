# SPDX-License-Identifier: LGPL-2.1-or-later
"""nova-compute's driver on a host of the lab: asks agent.py, which has it, and waits for the answers."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.error import LabError, tail
from lab.hosts import BUILD, RUN, TOP, Host

HERE = Path(__file__).resolve().parent
START_S = 120  # the first time, Python compiles Nova


class Pending:
    """A request that was made; its answer comes some day."""

    def __init__(self, compute: Compute, what: str) -> None:
        self._compute, self._what = compute, what
        self._answered = threading.Event()
        self._answer: dict[str, Any] = {}

    def give(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self._answered.set()

    @property
    def answered(self) -> bool:
        return self._answered.is_set()

    def wait(self, limit_s: float = 60) -> Any:
        if not self._answered.wait(limit_s):
            raise LabError(f"Nova's {self._what}", f"is not over after {limit_s:g} s", self._compute.log)
        if "error" in self._answer:
            raise LabError(f"Nova's {self._what}", self._answer["error"], self._compute.log)
        return self._answer["value"]


class Compute:
    """One on a host; close() ends it."""

    def __init__(self, host: Host, *configuration: str) -> None:
        self.host, self.log = host, host.logs / "nova.log"
        self.saved: list[dict[str, Any]] = []  # what it would have written to the database
        self._number, self._pending, self._ready = 0, {}, Pending(self, "start")
        run = RUN / host.name
        files = []
        for number, text in enumerate(configuration):
            (run / f"nova-{number}.conf").write_text(text)
            files.append(f"/run/nova-{number}.conf")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [HERE / "beside", str(host.init_pid), TOP, BUILD, run, "python3", HERE / "agent.py", *files],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._ready.wait(START_S)
        except LabError:
            self.close()
            raise

    def _read(self) -> None:
        for line in self._process.stdout:
            message = json.loads(line)
            if message.get("event") == "save":
                self.saved.append(message)
            elif message.get("event") == "ready":
                self._ready.give({"value": None})
            else:
                self._pending.pop(message["answer"]).give(message)
        ended = {"error": f"it ended: {tail(self.log)}"}
        for pending in (self._ready, *self._pending.values()):
            pending.give(ended)

    def begin(self, do: str, **arguments: Any) -> Pending:
        self._number += 1
        pending = self._pending[self._number] = Pending(self, do)
        request = {"number": self._number, "do": do, "arguments": arguments}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return pending

    def call(self, do: str, **arguments: Any) -> Any:
        return self.begin(do, **arguments).wait()

    def configure(self, options: Mapping[str, Any]) -> None:
        self.call("configure", options=dict(options))

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
