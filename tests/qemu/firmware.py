# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of swpsp's own control and statistics, see qemu/swpsp/swpsp-proto.h."""

import json
import socket
import struct

import harness

MAGIC = 0x50535753
OP_STATS = 3
OP_CONTROL = 4


def call(path, op, body=b''):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(harness.PATIENCE_S)
        sock.connect(str(path))
        sock.sendall(struct.pack('<IHHIIQ', MAGIC, 1, op, len(body), 0, 1) + body)
        answer = sock.makefile('rb')
        _, _, _, length, status, _ = struct.unpack('<IHHIIQ', answer.read(24))
        assert status == 0, f'swpsp answers {status}'
        text = answer.read(length)
        answer.close()
        return json.loads(text)


def stats(path):
    return call(path, OP_STATS)


def control(path, command, **arguments):
    """Underscores in argument names stand for dashes."""
    arguments = {name.replace('_', '-'): value for name, value in arguments.items()}
    answer = call(f'{path}.control', OP_CONTROL,
                  json.dumps({'command': command, **arguments}).encode())
    assert 'error' not in answer, answer


def states(path):
    """The states of the guests that are connected."""
    return [client['state'] for client in stats(path)['clients']
            if client['connected'] and client['state'] is not None]
