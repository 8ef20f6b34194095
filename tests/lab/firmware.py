# SPDX-License-Identifier: LGPL-2.1-or-later
"""Asks a host's software firmware what it is and what it did (qemu/swpsp/swpsp-proto.h)."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from .error import LabError
from .hosts import Host

MAGIC = 0x50535753
VERSION = 1
OP_HELLO, OP_STATS, OP_CONTROL = 1, 3, 4
_MSG = struct.Struct("<IHHIIQ")    # struct swpsp_msg
_HELLO = struct.Struct("<4B5I")    # struct swpsp_hello
TIMEOUT_S = 5.0


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("it closed the connection")
        data += part
    return data


def call(host: Host, op: int, payload: bytes = b"") -> bytes:
    what = f"swpsp of host {host}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(f"{host.firmware_socket}{'.control' if op == OP_CONTROL else ''}")
            connection.sendall(_MSG.pack(MAGIC, VERSION, op, len(payload), 0, 1) + payload)
            header = _MSG.unpack(_receive(connection, _MSG.size))
            answer = _receive(connection, header[3])
    except OSError as error:
        raise LabError(what, str(error), host.logs / "swpsp.log") from None
    if header[:3] != (MAGIC, VERSION, op) or header[4]:
        raise LabError(what, f"answered with status {header[4]:#x}", host.logs / "swpsp.log")
    return answer


def time_scale(host: Host) -> int:
    return _HELLO.unpack(call(host, OP_HELLO))[7]


def statistics(host: Host) -> dict[str, Any]:
    return json.loads(call(host, OP_STATS))
