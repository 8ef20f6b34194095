#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The message catalogue explains each message of sevmigd that has an id, and no other.

usage: check-catalog.py SOURCE_ROOT
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FIELDS = {"SEVMIG_DOMAIN", "SEVMIG_UUID", "SEVMIG_MIGRATION", "SEVMIG_PHASE"}


def entries(text):
    """Id -> (headers, paragraphs)."""
    found = {}
    for entry in re.split(r"^-- ", text, flags=re.MULTILINE)[1:]:
        head, *paragraphs = entry.strip().split("\n\n")
        ident, *headers = head.splitlines()
        assert ident not in found, f"{ident} is there twice"
        found[ident] = dict(line.split(": ", 1) for line in headers), paragraphs
    return found


def check_entry(name, headers, paragraphs):
    assert {"Subject", "Defined-By", "Documentation"} <= set(headers), f"{name}: lacks a header"
    assert len(paragraphs) == 2, f"{name}: expected what and why, then what to do"
    assert len(paragraphs[0]) > 20 and paragraphs[1].startswith("What to do: "), name
    text = headers["Subject"] + "".join(paragraphs)
    assert set(re.findall(r"@(\w+)@", text)) <= FIELDS, f"{name}: names a field that sevmigd does not send"


def check_calls(top, names):
    """Each message is said somewhere, and nothing that an administrator should read without one."""
    calls = "".join(path.read_text() for path in (top / "plugin/daemon").glob("*.c") if path.name != "messages.c")
    for name in names:
        assert f"SEVMIG_MESSAGE_{name}" in calls, f"{name}: nothing says it"


def check_with_journalctl(catalog, ids):
    with tempfile.TemporaryDirectory() as root:
        place = pathlib.Path(root, "usr/lib/systemd/catalog")
        place.mkdir(parents=True)
        pathlib.Path(root, "var/lib/systemd/catalog").mkdir(parents=True)
        shutil.copy(catalog, place)
        subprocess.run(["journalctl", f"--root={root}", "--update-catalog"], check=True)
        for ident in ids:
            shown = subprocess.run(["journalctl", f"--root={root}", "--dump-catalog", ident], check=True,
                                   capture_output=True, text=True).stdout
            assert "What to do:" in shown, f"{ident}: journalctl does not show it"


def main(top):
    top = pathlib.Path(top)
    catalog = top / "plugin/data/sevmig.catalog"
    found = entries(catalog.read_text())
    rows = re.findall(r'\[SEVMIG_MESSAGE_(\w+)\] =\s*\{G_LOG_LEVEL_(\w+),\s*(?:"([0-9a-f]{32})"|NULL)\}',
                      (top / "plugin/daemon/messages.c").read_text())
    assert [name for name, _, ident in rows if not ident] == ["DEBUG", "INFO"]
    names = {ident: name for name, _, ident in rows if ident}
    assert len(names) == len(rows) - 2 > 20, "two messages have one id"
    assert set(names) == set(found), f"only on one side: {set(names) ^ set(found)}"
    for ident, (headers, paragraphs) in found.items():
        check_entry(names[ident], headers, paragraphs)
    check_calls(top, names.values())
    if shutil.which("journalctl"):
        check_with_journalctl(catalog, found)


if __name__ == "__main__":
    main(*sys.argv[1:])
