#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the hook can do at all: it starts no program, opens no connection, and asks nobody.

usage: check-symbols.py NM PROGRAM...
"""
import re
import subprocess
import sys

# Of libc, GLib and libvirt; libxml2 is linked, but told to stay off the network.
FORBIDDEN = re.compile(r"^(system|popen|fork|vfork|execv?[lpe]*|posix_spawn\w*|dlopen|socket|connect|sendto|getaddrinfo"
                       r"|g_spawn\w*|g_subprocess\w*|g_dbus_(?!error_register)\w*|g_bus\w*|vir[A-Z]\w*|xmlNano\w*)$")


def main(nm, *programs):
    for program in programs:
        text = subprocess.run([nm, "--undefined-only", "--dynamic", program], check=True, capture_output=True,
                              text=True).stdout
        symbols = {line.split()[-1].partition("@")[0] for line in text.splitlines()}
        assert "read" in symbols, f"{program}: is not what nm looked at"
        found = sorted(filter(FORBIDDEN.match, symbols))
        assert not found, f"{program} may call {', '.join(found)}"


if __name__ == "__main__":
    main(*sys.argv[1:])
