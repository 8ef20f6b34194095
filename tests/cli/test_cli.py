#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl against a strict sevmigd on a private bus; TAP on standard output.

Usage: test_cli.py SEVMIGCTL INTERFACE.xml COMPLETION [--update]
(--update rewrites the golden files)
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import tap
from cli_case import COMPLETION, CONVERGING, CTL, DONE, FAILED, HERE, INTERFACE, MANAGER, OBSERVED, POLICIES, CliCase, \
    history
from fake_sevmigd import Bus, FakeSevmigd


class Migrations(CliCase):
    def test_list(self):
        self.serve((FAILED, False), (OBSERVED, True), (CONVERGING, True))
        self.golden("list.txt", self.good("list"))
        self.golden("list-all.txt", self.good("list", "--all"))
        for width in (60, 30):
            text = self.good("list", "--all", columns=width)
            self.fits(text, width)
            self.golden(f"list-all-{width}.txt", text)

    def test_list_json(self):
        self.serve((FAILED, False), (CONVERGING, True))
        text = self.good("list", "--json")
        self.golden("list.json", text)
        only, = json.loads(text)
        self.assertEqual(only["domain"], "db-1")
        self.assertEqual(only["remaining_pages"], 1200)
        self.assertEqual(only["dirty_pages_per_s"], 1520.25)
        self.assertEqual(len(only), len(CONVERGING))
        self.assertEqual(len(json.loads(self.good("--json", "list", "--all"))), 2)

    def test_every_property(self):
        """What the interface has arrives, each property under its own key."""
        daemon = self.serve()
        by_type = {"s": "text {}", "u": "{}", "t": "{}", "d": "{}.5"}
        values = {info.name: by_type[info.signature].format(1000 + number) for number, info
                  in enumerate(daemon.interfaces["org.sevmig1.Migration"].properties)}
        daemon.add("m", {name: text if text.startswith("text") else float(text) if "." in text else int(text)
                         for name, text in values.items()})
        told, = json.loads(self.good("list", "--json"))
        self.assertEqual(sorted(map(str, told.values())), sorted(values.values()))
        for name, text in values.items():
            words = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
            own, = [key for key, value in told.items() if str(value) == text]
            self.assertTrue(own.startswith(words) or own in ("dirty_pages_per_s", "encrypt_pages_per_s"),
                            f"{name} arrives as {own}")

    def test_list_nothing(self):
        self.serve((FAILED, False))
        self.assertEqual(self.good("list"), "no migrations\n")
        self.assertEqual(self.good("list", "--json"), "[]\n")

    def test_list_without_libvirt(self):
        daemon = self.serve()
        daemon.set_manager(**dict(MANAGER, LibvirtState="cannot connect to qemu:///system"))
        done = self.ctl("list")
        self.assertEqual(done.returncode, 0)
        self.assertIn("not connected to libvirt: cannot connect to qemu:///system", done.stderr)

    def test_show(self):
        self.serve((FAILED, False), (CONVERGING, True), (OBSERVED, True))
        by_domain = self.good("show", "db-1")
        self.golden("show.txt", by_domain)
        self.assertEqual(self.good("show", CONVERGING["Uuid"]), by_domain)
        self.assertEqual(self.good("show", "1b6f-1"), by_domain)
        self.golden("show-failed.txt", self.good("show", "1b6f-0"))
        self.golden("show-observed.txt", self.good("show", "web-12"))
        self.assertEqual(json.loads(self.good("show", "db-1", "--json"))["id"], "1b6f-1")

    def test_nothing_moves(self):
        self.serve((dict(CONVERGING, StillUs=12400000, PausedUs=2000000), True))
        self.assertRegex(self.good("show", "db-1"),
                         r"(?m)^phase +converging \(steered\), the guest is paused for 2.0 s, "
                         r"nothing has moved for 12.4 s$")
        self.assertIn("converging, paused, still", self.good("list", columns=200))

    def test_show_no_policy(self):
        self.serve((dict(OBSERVED, Policy="", PolicySource=""), True))
        self.assertRegex(self.good("show", "web-12"), r"(?m)^policy +none$")

    def test_show_prefers_what_runs(self):
        later = dict(FAILED, Id="1b6f-2", StartedRealtimeUs=1795459999000000)
        self.serve((CONVERGING, True), (later, False))
        self.assertEqual(json.loads(self.good("show", "db-1", "--json"))["id"], "1b6f-1")

    def test_show_unknown(self):
        daemon = self.serve((CONVERGING, True))
        daemon.answers["ListHistory", ("db-2", 1)] = history(INTERFACE)
        self.assertIn('"db-2" is known', self.fails(1, "show", "db-2"))

    def test_show_of_an_earlier_sevmigd(self):
        daemon = self.serve((CONVERGING, True))
        daemon.answers["ListHistory", ("1a-9", 1)] = history(INTERFACE, dict(DONE, Id="1a-9"))
        text = self.good("show", "1a-9")
        self.assertRegex(text, r"(?m)^downtime +245 ms, promised 250 ms, goal 300 ms$")
        self.assertRegex(text, r"(?m)^record +/var/lib/sevmig/records/1b6f-1.jsonl$")

    def test_history(self):
        daemon = self.serve()
        daemon.answers["ListHistory", ("", 20)] = history(INTERFACE, dict(FAILED, Policy=""), DONE)
        self.golden("history.txt", self.good("history"))
        text = self.good("history", columns=60)
        self.fits(text, 60)
        self.golden("history-60.txt", text)
        listed = json.loads(self.good("history", "--json"))
        self.assertEqual([m["id"] for m in listed], ["1b6f-0", "1b6f-1"])
        self.assertEqual(listed[1]["promised_downtime_us"], 250000)
        self.assertEqual(len(listed[1]), len(DONE))

    def test_report(self):
        """A migration's own record, wherever sevmigd says that it is."""
        record = os.path.join(HERE, "../golden/lab-tiny-low-downtime.trace")
        self.serve((dict(DONE, RecordFile=record), False), (dict(FAILED, RecordFile=""), False))
        self.assertEqual(json.loads(self.good("report", "1b6f-1", "--json"))["domain"], "tiny")
        self.assertIn("1b6f-0 of db-1 has no record", self.fails(1, "report", "1b6f-0", "--json"))

    def test_tune(self):
        """The records that sevmigd keeps of a domain; those that are gone are passed over."""
        record = os.path.join(HERE, "../golden/lab-tiny-low-downtime.trace")
        daemon = self.serve()
        daemon.answers["ListHistory", ("db-1", 64)] = history(
            INTERFACE, dict(DONE, RecordFile=record), dict(FAILED, RecordFile=""))
        told = json.loads(self.ctl("tune", "--history", "db-1", "--json").stdout)
        self.assertEqual([(r["file"], r["domain"]) for r in told["records"]], [(record, "tiny")])
        daemon.answers["ListHistory", ("db-1", 64)] = history(INTERFACE, dict(FAILED, RecordFile=""))
        self.assertIn("no record of db-1 is kept", self.fails(1, "tune", "--history", "db-1"))

    def test_history_chosen(self):
        daemon = self.serve()
        daemon.answers["ListHistory", ("db-1", 3)] = history(INTERFACE, DONE)
        self.assertIn("1b6f-1", self.good("history", "--domain", "db-1", "--limit", "3"))
        daemon.answers["ListHistory", ("", 0)] = history(INTERFACE)
        self.assertEqual(self.good("history", "--limit", "0"), "no migration has ended\n")
        self.assertEqual(self.good("history", "--limit", "0", "--json"), "[]\n")
        self.assertIn("not -1", self.fails(2, "history", "--limit", "-1"))
        self.assertIn("empty word", self.fails(2, "history", "--domain", ""))

    def test_hostile_text(self):
        evil = dict(CONVERGING, Domain="db\x1b[2J\n\u202ex", Error="a\"b\\c\x07")
        self.serve((evil, True))
        for verb in (["list"], ["show", "1b6f-1"], ["watch", "--once"], ["list", "--json"]):
            text = self.good(*verb)
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\u202e]")
        self.assertEqual(json.loads(self.good("list", "--json"))[0]["error"], 'a"b\\c?')


class Watching(CliCase):
    def test_once(self):
        self.serve((CONVERGING, True), (OBSERVED, True))
        for width in (100, 40):
            text = self.good("watch", "--once", columns=width)
            self.fits(text, width)
            self.golden(f"watch-once-{width}.txt", text)
        text = self.good("watch", "web-12", "--once", "--json")
        self.assertEqual(json.loads(text)["domain"], "web-12")
        self.assertEqual(text.count("\n"), 1)

    def test_once_nothing(self):
        self.serve((FAILED, False))
        self.assertEqual(self.good("watch", "--once"), "no migrations\n")
        self.assertEqual(self.good("watch", "--once", "--json"), "")
        self.assertIn('"db-1"', self.fails(1, "watch", "db-1", "--once"))

    def follow(self, daemon, path, end, *arguments):
        """Runs a watch, changes the migration to `end` once it was seen, and gives all output."""
        with subprocess.Popen([CTL, "watch", "--interval", "0.1", *arguments], env=self.environment(),
                              stdout=subprocess.PIPE, text=True) as process:
            lines = [process.stdout.readline(), process.stdout.readline()]
            daemon.migrations[path] = end
            daemon.running.remove(path)
            rest, _ = process.communicate(timeout=60)
        return process.returncode, lines + rest.splitlines(keepends=True)

    def test_follow_to_the_end(self):
        daemon = self.serve((CONVERGING, True))
        status, lines = self.follow(daemon, "/org/sevmig1/migration/m0", DONE, "db-1")
        self.assertEqual(status, 0)
        self.assertIn("converging", lines[0])
        self.assertIn("done", lines[-1])
        self.assertEqual(sum("done" in line for line in lines), 1)
        self.golden("watch-lines.txt", lines[0] + lines[-1])

    def test_follow_to_failure(self):
        daemon = self.serve((CONVERGING, True))
        status, lines = self.follow(daemon, "/org/sevmig1/migration/m0", FAILED, "db-1", "--json")
        self.assertEqual(status, 1)
        self.assertEqual(json.loads(lines[0])["phase"], "converging")
        self.assertEqual(json.loads(lines[-1])["error"], "the peer closed the channel")

    def test_waits_for_a_migration(self):
        daemon = self.serve()
        with subprocess.Popen([CTL, "watch", "db-1", "--interval", "0.1"], env=self.environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            self.assertIn("waiting for a migration of db-1", process.stderr.readline())
            daemon.add("late", CONVERGING)
            self.assertIn("db-1: converging", process.stdout.readline())
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)

    def test_daemon_ends(self):
        daemon = FakeSevmigd(self.bus, INTERFACE)
        daemon.set_manager(**MANAGER)
        daemon.add("m0", CONVERGING)
        with subprocess.Popen([CTL, "watch", "--interval", "0.1"], env=self.environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            daemon.close()
            _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn("sevmigd is not running", stderr)

    def test_once_in_ascii(self):
        """A locale that has no block characters gets none."""
        self.serve((CONVERGING, True))
        done = subprocess.run([CTL, "watch", "--once"], env=dict(self.environment(80), LC_ALL="C"), text=True,
                              check=True, capture_output=True, timeout=60)
        self.assertTrue(done.stdout.isascii())
        self.assertRegex(done.stdout, r"(?m)^  #+\.  98 %  4\.7 MiB of 256\.0 MiB left$")


class Trouble(CliCase):
    def test_not_running(self):
        message = self.fails(1, "list")
        self.assertIn("sevmigd is not running on the system bus", message)
        self.assertIn("start it", message)
        other = Bus()
        self.addCleanup(other.close)
        self.assertIn(f"not running on {other.address}", self.fails(1, "--connect", other.address, "list"))

    def test_no_bus(self):
        message = self.fails(1, "list", "--connect", "unix:path=/no/such/bus")
        self.assertIn("cannot reach unix:path=/no/such/bus", message)

    def test_connect(self):
        daemon_bus = Bus()
        self.addCleanup(daemon_bus.close)
        daemon = FakeSevmigd(daemon_bus, INTERFACE)
        self.addCleanup(daemon.close)
        daemon.set_manager(**MANAGER)
        self.assertEqual(self.good("list", "--connect", daemon_bus.address), "no migrations\n")

    def test_denied(self):
        bus = Bus('<deny send_destination="org.sevmig1"/>')
        self.addCleanup(bus.close)
        daemon = FakeSevmigd(bus, INTERFACE)
        self.addCleanup(daemon.close)
        self.assertIn("try as root", self.fails(1, "list", "--connect", bus.address))

    def test_no_answer(self):
        daemon = self.serve()
        daemon.answers["ReloadPolicies", ()] = None
        self.assertIn("did not answer within 1 s", self.fails(1, "--timeout", "1", "policy", "reload"))

    def test_version(self):
        self.assertRegex(self.good("version"), r"\Asevmigctl [0-9.]+\nsevmigd is not running on this bus\n\Z")
        self.serve()
        self.assertIn("sevmigd 0.1.0\nhost host-a\nlibvirt connected\n", self.good("version"))
        self.assertEqual(json.loads(self.good("version", "--json"))["daemon"], "0.1.0")

    def test_usage(self):
        for arguments, text in (
                ([], "verb is missing"), (["frobnicate"], 'unknown verb "frobnicate"'),
                (["policy"], "list, show, lint"), (["policy", "frob"], 'not "frob"'),
                (["list", "x"], '"x" is one argument too many'), (["show"], "ID|DOMAIN is missing"),
                (["policy", "lint"], "FILE... is missing"), (["list", "--once"], "--once"),
                (["--frob", "list"], "--frob"), (["--timeout", "0", "list"], "--timeout"),
                (["watch", "--interval", "0.01"], "--interval")):
            with self.subTest(arguments=arguments):
                self.assertIn(text, self.fails(2, *arguments))

    def test_help(self):
        text = self.good("--help")
        for verb in ("list", "show", "watch", "history", "policy list", "policy show", "policy lint",
                     "policy explain", "policy assign", "policy unassign", "policy switch", "policy reload",
                     "steer", "preflight", "evacuate", "simulate", "replay", "tune", "report", "version"):
            self.assertRegex(text, rf"(?m)^  {verb} ")
            self.assertIn("Usage:", self.good(*verb.split(), "--help"))
        self.assertIn("policy reload", self.good("policy", "--help"))


class Completion(CliCase):
    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def complete(self, line):
        """What bash would offer for the last word of that line."""
        return self.complete_lines(line).split()

    def complete_lines(self, line, path=""):
        """The same, as lines; programs of `path` come first."""
        script = ('PATH="$4:$1:$PATH"; source "$2"; read -ra COMP_WORDS <<<"$3"; [[ $3 == *" " ]] && COMP_WORDS+=("");'
                  'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sevmigctl; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(
            ["bash", "-c", script, "bash", os.path.dirname(os.path.abspath(CTL)), os.path.abspath(COMPLETION), line, path],
            cwd=self.directory, env=self.environment(), capture_output=True, text=True, check=True, timeout=60)
        self.assertEqual(done.stderr, "")
        return done.stdout

    def test_verbs(self):
        """All that the program knows, and only that."""
        listed = re.findall(r"(?m)^  ([a-z]+)(?: ([a-z]+) )?", self.good("--help").split("Options:")[0])
        self.assertEqual(set(self.complete("sevmigctl ")), {verb for verb, _ in listed})
        self.assertEqual(set(self.complete("sevmigctl --json policy ")),
                         {sub for verb, sub in listed if verb == "policy"})
        self.assertEqual(self.complete("sevmigctl pol"), ["policy"])

    def test_options(self):
        self.assertEqual(self.complete("sevmigctl list --a"), ["--all"])
        self.assertEqual(self.complete("sevmigctl show --a"), [])
        self.assertEqual(self.complete("sevmigctl watch --o"), ["--once"])
        self.assertEqual(self.complete("sevmigctl --timeout 5 li"), ["list"])
        self.assertEqual(self.complete("sevmigctl replay x --d"), ["--decisions"])
        self.assertEqual(self.complete("sevmigctl simulate --memory 4GiB --com"), ["--compare"])
        self.assertEqual(self.complete("sevmigctl simulate --memory "), [])

    def test_every_option(self):
        """Completion knows the options that --help names."""
        for verb in ("list", "watch", "history", "policy explain", "policy assign", "policy unassign",
                     "policy switch", "steer", "preflight", "evacuate", "simulate", "replay", "tune", "report"):
            named = set(re.findall(r"(?m)^  (?:-[a-z], )?(--[a-z-]+)", self.good(*verb.split(), "--help")))
            self.assertEqual(set(self.complete(f"sevmigctl {verb} --")), named, verb)

    def test_words(self):
        daemon = self.serve()
        daemon.answers["ListPolicies", ()] = POLICIES
        self.assertEqual(self.complete("sevmigctl simulate --policy gen"), ["gentle"])
        self.assertEqual(self.complete("sevmigctl preflight vm --policy gen"), ["gentle"])
        for option in ("--uri", "--to"):
            self.assertEqual(self.complete(f"sevmigctl preflight vm {option} "), [])
        self.assertEqual(self.complete("sevmigctl simulate --workload z"), ["zipf"])
        self.assertEqual(self.complete(f"sevmigctl replay {HERE}/goo"), [f"{HERE}/good.xml"])
        self.assertEqual(self.complete(f"sevmigctl report {HERE}/goo"), [f"{HERE}/good.xml"])
        self.assertEqual(self.complete(f"sevmigctl tune x {HERE}/goo"), [f"{HERE}/good.xml"])
        self.assertEqual(self.complete(f"sevmigctl report x -o {HERE}/goo"), [f"{HERE}/good.xml"])
        self.assertEqual(self.complete(f"sevmigctl simulate --policy {HERE}/goo"), [f"{HERE}/good.xml"])

    def test_names(self):
        daemon = self.serve((FAILED, False), (OBSERVED, True))
        daemon.answers["ListPolicies", ()] = POLICIES
        self.assertEqual(self.complete("sevmigctl show "), ["db-1", "web-12"])
        self.assertEqual(self.complete("sevmigctl watch "), ["web-12"])
        self.assertEqual(self.complete("sevmigctl report db"), ["db-1"])
        self.assertEqual(self.complete("sevmigctl policy show g"), ["gentle"])
        self.assertEqual(self.complete("sevmigctl policy switch "), ["web-12"])
        self.assertEqual(self.complete("sevmigctl policy switch web-12 "), ["default", "gentle"])
        self.assertEqual(self.complete("sevmigctl policy assign vm g"), ["gentle"])
        self.assertEqual(self.complete("sevmigctl policy unassign vm g"), [])
        self.assertEqual(self.complete("sevmigctl policy assign vm gentle --on-failure r"), ["refuse"])
        daemon.answers["ListHistory", ("", 0)] = history(INTERFACE, FAILED, DONE)
        self.assertEqual(self.complete("sevmigctl history --domain "), ["db-1"])
        self.assertEqual(self.complete("sevmigctl tune --history "), ["db-1"])

    HOSTILE = ("db-$(touch pwned)", "db-`touch${IFS}pwned`", "db-${IFS}x", "db- two  blanks", "db-*", "db-?",
               "db-'single'", 'db-"double"', "db-back\\slash", "db-a;touch pwned", "db-~", "db-\u00e9")

    def offered(self, line, path=""):
        """As the shell would take what is offered, which must run nothing."""
        text = self.complete_lines(line, path)
        words = subprocess.run(["bash", "-c", f"cd / && printf '%s\\0' {text}".replace("\n", " ")],
                               env=self.environment(), capture_output=True, text=True, check=True).stdout
        self.assertEqual(os.path.exists(os.path.join(self.directory, "pwned")), False, line)
        return set(words.split("\0")[:-1])

    def test_hostile_names(self):
        """Names may be commands; they are offered quoted, and are never run."""
        self.serve(*((dict(CONVERGING, Domain=name), True) for name in self.HOSTILE))
        virsh = os.path.join(self.directory, "virsh")
        with open(virsh, "w", encoding="utf-8") as stream:
            stream.write("#!/bin/sh\ncat <<'END'\n" + "\n".join(("-x", *self.HOSTILE)) + "\nEND\n")
        os.chmod(virsh, 0o755)
        for verb in ("show", "watch", "steer", "policy switch"):
            self.assertEqual(self.offered(f"sevmigctl {verb} "), set(self.HOSTILE), verb)
        for verb in ("policy assign", "policy explain", "policy unassign", "preflight"):
            self.assertEqual(self.offered(f"sevmigctl {verb} ", self.directory), set(self.HOSTILE), verb)
        self.assertEqual(self.offered("sevmigctl show db-$"), {"db-$(touch pwned)", "db-${IFS}x"})
        self.assertEqual(self.offered(r"sevmigctl show db-\$"), {"db-$(touch pwned)", "db-${IFS}x"})


if __name__ == "__main__":
    sys.exit(tap.main())
