# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verbs of `lab` that deal with guests."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import guests
from .console import Console
from .demo import demo
from .error import LabError
from .guests import KINDS, WORKLOADS, Guest
from .hosts import HOSTS, host
from .migrate import migrate, wait_verified
from .view import LiveView


def guest_start(args: argparse.Namespace, console: Console) -> int:
    guest = Guest(args.name, args.kind, args.workload, args.memory, args.policy)
    log = guests.start(guest, host(args.host), console.status)
    load = " ".join(f"{key}={value}" for key, value in log.ready.items())
    console.line(f"guest {guest.name} runs on host {args.host}: {load}")
    return 0


def guest_stop(args: argparse.Namespace, console: Console) -> int:
    guests.stop(args.name)
    console.line(f"guest {args.name} is stopped")
    return 0


def guest_list(_args: argparse.Namespace, console: Console) -> int:
    for guest, where, log in guests.running():
        last = log.last
        state = (f"{last.work_pages} pages written, {last.walks} walks, {last.errors} errors"
                 if last else "no heartbeat yet")
        console.line(f"{guest.name}  {guest.kind} on host {where}, {guest.workload}: {state}")
    return 0


def migrate_guest(args: argparse.Namespace, console: Console) -> int:
    guest = guests.load(args.name)
    source, _domain = guests.require(args.name)
    if args.source and source != host(args.source):
        raise LabError(f"guest {args.name}", f"is on host {source}, not {args.source}")
    if args.destination and source == host(args.destination):
        raise LabError(f"guest {args.name}", f"is on host {source} already")
    with LiveView(source, guest.name, console):
        result = migrate(guest, auto_converge=args.auto_converge)
    if not result.completed:
        raise LabError(f"migration of guest {guest.name} from host {source}", result.error,
                       source.logs)
    down = "-" if result.downtime_us is None else f"{result.downtime_us / 1e3:.0f} ms"
    console.line(f"{guest.name} moved from host {result.source} to {result.destination} in "
                 f"{result.total_ms / 1e3:.1f} s, downtime {down}")
    if not args.verify:
        return 0
    verified = wait_verified(guest, result.ended_us, console.status)
    console.line({True: "every page verified", False: "pages are wrong",
                  None: "not verified in time"}[verified])
    return 0 if verified else 1


def run_demo(args: argparse.Namespace, console: Console) -> int:
    return 0 if args.check or demo(args.json, console) else 1


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="lab", allow_abbrev=False)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    group = verbs.add_parser("guest", help="guests").add_subparsers(required=True, metavar="VERB")

    start = group.add_parser("start", help="start a guest and wait until it works")
    start.add_argument("name")
    start.add_argument("--kind", choices=KINDS, default="tiny")
    start.add_argument("--workload", default="hot",
                       help=f"{', '.join(WORKLOADS)}, or words like 'pattern=hot rate=4000 ws=32'")
    start.add_argument("--host", choices=HOSTS, default="a")
    start.add_argument("--policy", help="the policy its metadata names")
    start.add_argument("--memory", type=int, default=0, metavar="MIB")
    start.set_defaults(run=guest_start)
    stop = group.add_parser("stop", help="stop a guest, wherever it is")
    stop.add_argument("name")
    stop.set_defaults(run=guest_stop)
    group.add_parser("list", help="the guests and how they are").set_defaults(run=guest_list)

    move = verbs.add_parser("migrate", help="migrate a guest with plain virsh")
    move.add_argument("name")
    move.add_argument("source", nargs="?", choices=HOSTS)
    move.add_argument("destination", nargs="?", choices=HOSTS)
    move.add_argument("--auto-converge", action="store_true")
    move.add_argument("--verify", action="store_true", help="wait until its memory is verified")
    move.set_defaults(run=migrate_guest)

    show = verbs.add_parser("demo", help="migrate two guests under three policies, compare")
    show.add_argument("--json", type=Path, metavar="FILE")
    show.add_argument("--check", action="store_true", help=argparse.SUPPRESS)  # the arguments alone
    show.set_defaults(run=run_demo)
    return top


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    try:
        return args.run(args, Console())
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
