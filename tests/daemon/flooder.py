#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Calls sevmigd without waiting for answers: ADDRESS CONNECTIONS CALLS METHOD [SIGNATURE]. The
arguments of each call are a line of JSON on standard input; "done" is said when all are sent, and
the connections stay until the input ends.
"""

import json
import sys

import dbus
import dbus.lowlevel

NAME, PATH, MANAGER = "org.sevmig1", "/org/sevmig1", "org.sevmig1.Manager"


def main():
    address, connections, calls, method, *signature = sys.argv[1:]
    message = dbus.lowlevel.MethodCallMessage(NAME, PATH, MANAGER, method)
    message.append(*json.loads(sys.stdin.readline()), signature="".join(signature))
    message.set_no_reply(True)
    buses = [dbus.bus.BusConnection(address) for _ in range(int(connections))]
    for bus in buses:
        for _ in range(int(calls)):
            bus.send_message(message)
        bus.flush()
    print("done", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
