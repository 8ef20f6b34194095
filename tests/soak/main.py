#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrates a guest that verifies its memory back and forth, tuned at random."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.console import Console  # noqa: E402
from soak import run  # noqa: E402


def count(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def main():
    parser = argparse.ArgumentParser(prog="lab soak", description=__doc__, allow_abbrev=False)
    parser.add_argument("--migrations", type=count, default=500, metavar="N",
                        help="completed ones back and forth (default 500)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:  # of the arguments alone
        return 0
    console = Console()
    try:
        result = run.soak(options.migrations, options.seed, console.status)
    except Exception as error:  # of any kind: the seed is told
        console.line(f"lab: soak with seed {options.seed}: {type(error).__name__}: {error}")
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    run.show(result, console)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if result["leaks"] else 0


if __name__ == "__main__":
    sys.exit(main())
