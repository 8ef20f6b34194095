#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""tamper.py WHERE LISTEN TARGET - forwards one migration and flips one bit of it on the way.

WHERE is packet (ciphertext of the first packet), header (its MAC) or session (the wrapped keys).
LISTEN and TARGET are ADDRESS:PORT. Says `ready`, then `tampered WHERE` once it has.
"""

import socket
import sys
import threading

# The first record of encrypted pages stands behind the name of its block; its one packet follows
# with a header of 52 bytes (flags, iv, mac), then the ciphertext. See docs/devel/migration/sev.rst
# of the QEMU patches.
RECORD = b"\x06pc.ram\x01\x00\x00"
PACKET_HEADER = 7 + 23
# The session record: sub-type, policy of the guest, lengths of PDH and session, then both. (Not the
# lengths alone: the message before ends with zeros, and what may be their beginning is held back.)
SESSION = b"\x02" + (1).to_bytes(4, "big") + (2084).to_bytes(4, "big") + (128).to_bytes(4, "big")
PLACES = {
    "packet": (RECORD, PACKET_HEADER + 52 + 100),
    "header": (RECORD, PACKET_HEADER + 4 + 16),
    "session": (SESSION, len(SESSION) + 2084 + 16),
}


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def pump(source, destination):
    """Back from the destination, unchanged."""
    try:
        while data := source.recv(1 << 16):
            destination.sendall(data)
        destination.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def held_back(data, needle):
    """How many bytes at the end of data may be the beginning of needle."""
    for size in range(min(len(data), len(needle) - 1), 0, -1):
        if data.endswith(needle[:size]):
            return size
    return 0


def forward(source, destination, where):
    needle, offset = PLACES[where]
    held, done = bytearray(), False
    while data := source.recv(1 << 16):
        held += data
        found = -1 if done else held.find(needle)
        if found >= 0:
            if len(held) <= found + offset:
                continue  # its end has not come yet
            held[found + offset] ^= 0x10
            done = True
            print(f"tampered {where}", flush=True)
        ready = len(held) - (0 if done else held_back(held, needle))
        destination.sendall(held[:ready])
        del held[:ready]
    destination.sendall(held)
    destination.shutdown(socket.SHUT_WR)


def main():
    where, listen, target = sys.argv[1], address(sys.argv[2]), address(sys.argv[3])
    with socket.create_server(listen) as server:
        print("ready", flush=True)
        source, _ = server.accept()
    destination = socket.create_connection(target)
    back = threading.Thread(target=pump, args=(destination, source), daemon=True)
    back.start()
    try:
        forward(source, destination, where)
    except OSError:
        pass  # one side has ended the migration, as it should
    back.join(10)


if __name__ == "__main__":
    main()
