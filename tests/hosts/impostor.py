#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""impostor.py CERTIFICATES LISTEN [TARGET] - stands between two hosts that speak TLS.

CERTIFICATES is a directory as tests/lab/certify makes it, LISTEN and TARGET are ADDRESS:PORT. Says `ready`;
then it is the destination for who comes and, with a TARGET, the source for the destination. Says of each
how many bytes it was given once TLS was set up, then hangs up: `source gave 0`, `destination gave 0`.
"""

import socket
import ssl
import sys
from pathlib import Path

PATIENCE_S = 20


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def context(protocol, directory, role):
    made = ssl.SSLContext(protocol)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.load_cert_chain(directory / f"{role}-cert.pem", directory / f"{role}-key.pem")
    return made


def given(connection, tls, **side):
    """How many bytes the peer sends to us at first."""
    try:
        with tls.wrap_socket(connection, **side) as channel:
            channel.settimeout(PATIENCE_S)
            return len(channel.recv(1 << 16))
    except OSError as error:  # it breaks off; SSLError is one
        print(f"impostor: {error}", file=sys.stderr)
        return 0


def main():
    directory, listen = Path(sys.argv[1]), address(sys.argv[2])
    with socket.create_server(listen) as server:
        print("ready", flush=True)
        source, _ = server.accept()
    if len(sys.argv) > 3:
        destination = socket.create_connection(address(sys.argv[3]))
        count = given(destination, context(ssl.PROTOCOL_TLS_CLIENT, directory, "client"))
        print(f"destination gave {count}", flush=True)
    count = given(source, context(ssl.PROTOCOL_TLS_SERVER, directory, "server"), server_side=True)
    print(f"source gave {count}", flush=True)


if __name__ == "__main__":
    main()
