#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Entry of the benchmarks; `lab bench` runs it in the Debian 13 tree.

A benchmark is a module bench_NAME.py of this directory: its first line says what it measures, its
PARTS how (runner.Part), its CONDITIONS what all figures depend on. One without PARTS has a main() of
its own.
"""

import argparse
import importlib
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "qemu")]

import run  # noqa: E402  where the binaries are

os.environ["SEVMIG_QEMU"] = run.qemu_binary()
os.environ["SEVMIG_SWPSP"] = run.swpsp_binary()

from bench.runner import run_parts  # noqa: E402
from lab.console import Console  # noqa: E402


def benches():
    """Name and module of each benchmark."""
    return {path.stem.removeprefix("bench_"): importlib.import_module(f"bench.{path.stem}")
            for path in sorted(HERE.glob("bench_*.py"))}


def chosen(parts, only):
    """The parts named by `only`, or that make the key of that name."""
    return [part for part in parts if not only or only in (part.name, *part.keys)]


def main():
    known = benches()
    words = sys.argv[1:]
    check = "--check" in words
    if check:
        words.remove("--check")
    own = getattr(known.get(words[0]) if words else None, "main", None)
    if own:
        return own(words[1:], check)
    parser = argparse.ArgumentParser(prog="lab bench", allow_abbrev=False)
    parser.add_argument("name", nargs="?", metavar="NAME", choices=known, help=", ".join(known))
    parser.add_argument("--list", action="store_true", help="the benchmarks and their parts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument("--only", metavar="KEY", help="one part, by its name or a key it makes")
    options = parser.parse_args(words)
    if options.list:
        for name, bench in known.items():
            print(f"{name}: {bench.__doc__.splitlines()[0]}")
            for part in getattr(bench, "PARTS", ()):
                print(f"  {part.name:10} {part.what}; makes {', '.join(part.keys) or 'no key'}")
        return 0
    if not options.name:
        parser.error(f"say which benchmark: {', '.join(known)}")
    if options.runs < 1:
        parser.error("--runs must be 1 or more")
    bench = known[options.name]
    if not hasattr(bench, "PARTS"):  # what precedes its name may be an option of its own
        parser.error("say the benchmark's name first")
    parts = chosen(bench.PARTS, options.only)
    if not parts:
        parser.error(f"--only {options.only} is no part of {options.name} and no key; see --list")
    if check:  # of the arguments alone
        return 0
    try:
        whole = run_parts(options.name, bench.CONDITIONS, parts, options.runs, options.json,
                          Console())
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
