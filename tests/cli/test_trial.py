#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl simulate and replay, which need neither sevmigd nor a bus; TAP on standard output.

Figures and decisions are the controller's and have tests of their own: here they are compared with
each other, never with what they were yesterday.

Usage: test_trial.py SEVMIGCTL TOP
"""

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import tap

CTL, TOP = sys.argv[1:3]
POLICIES = os.path.join(TOP, "policies")
SCENARIOS = os.path.join(TOP, "tests/simulation/scenarios")
TRACES = os.path.join(TOP, "tests/golden")
LAB = os.path.join(TRACES, "lab-tiny-low-downtime.trace")
SMALL = ("--memory", "64MiB", "--set", "firmware.page-us=100")    # a second of model time

POLICY = """<?xml version="1.0" encoding="UTF-8"?>
<policy xmlns="urn:sevmig:policy:1" name="{name}"><goals>{goals}</goals>{more}</policy>
"""
EASY = '<downtime unit="s">10</downtime><duration unit="h">10</duration><slowdown unit="percent">99</slowdown>'
HARD = '<downtime unit="ms">1</downtime><duration unit="s">1</duration>'


class TrialCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="sevmigctl-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def ctl(self, *arguments, columns=None, **options):
        env = dict(os.environ, LC_ALL="C.UTF-8", DBUS_SYSTEM_BUS_ADDRESS="unix:path=/no/such/bus")
        env.pop("COLUMNS", None)
        if columns:
            env["COLUMNS"] = str(columns)
        return subprocess.run([CTL, *arguments], env=env, text=True, check=False, capture_output=True,
                              timeout=120, **options)

    def good(self, *arguments, columns=None):
        done = self.ctl(*arguments, columns=columns)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def fails(self, status, *arguments, **options):
        """Standard error, which is one line, of an invocation that prints nothing else."""
        done = self.ctl(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Asevmigctl: [^\n]+\n\Z")
        return done.stderr

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def policy(self, name, goals="", more=""):
        return self.write(f"{name}.xml", POLICY.format(name=name, goals=goals, more=more))

    def without_rights(self, path):
        """What `fails` needs to be a user who may not read that file."""
        os.chmod(path, 0)
        if os.geteuid() != 0:
            return {}
        os.chmod(self.directory, 0o755)
        program = shutil.copy(CTL, self.directory)
        os.chmod(program, 0o755)
        return {"executable": program, "user": 65534, "cwd": "/"}


class Simulate(TrialCase):
    def rows(self, *arguments, status=0):
        done = self.ctl("simulate", "--json", "--policy-dir", POLICIES, *arguments)
        self.assertEqual((done.returncode, done.stderr), (status, ""))
        return json.loads(done.stdout)

    def test_usual_guests(self):
        """Without a word: the policy default, three guests, each beside itself without control."""
        rows = self.rows()
        self.assertEqual([(row["workload"], row["controller"]) for row in rows],
                         [(guest, who) for guest in ("idle", "paced", "zipf") for who in ("sevmig", "none")])
        self.assertEqual({row["policy"] for row in rows if row["controller"] == "sevmig"}, {"default"})
        for row in rows:
            self.assertEqual(row["memory_bytes"], 1 << 30)
            self.assertEqual(row["asked_downtime_goal_us"], 200000)    # policies/default.xml
            if row["controller"] == "sevmig":
                self.assertTrue(row["completed"] and row["good"])
                self.assertLessEqual(row["downtime_us"], 200000)
                self.assertGreater(row["predicted_downtime_us"], 0)
                self.assertGreaterEqual(row["guest_lost_us"], row["downtime_us"])

    def test_same_again(self):
        arguments = ("--workload", "zipf", *SMALL)
        self.assertEqual(self.rows(*arguments), self.rows(*arguments))
        self.assertNotEqual(self.rows(*arguments), self.rows(*arguments, "--seed", "5"))

    def test_text(self):
        text = self.good("simulate", "--policy-dir", POLICIES, "--workload", "paced", *SMALL)
        self.assertRegex(text, r"(?m)\Apaced: 64\.0 MiB, 1 vCPU; firmware 100 us a page alone, 50 % of it fixed$")
        self.assertRegex(text, r"(?m)^  writes 5\.9 MiB/s over 8\.0 MiB, at random, at its own pace$")
        self.assertRegex(text, r"(?m)^CONTROL +BATCH +TOTAL +DOWNTIME +PROMISED +GUEST LOST +STUN +THROTTLE$")
        self.assertRegex(text, r"(?m)^default +\d+ ")
        self.assertRegex(text, r"(?m)^no control +1 ")
        self.assertRegex(text, r"(?m)^default: downtime goal of 200 ms met$")
        self.assertRegex(text, r"(?m)^no control: a page a submission, downtime limit 200 ms$")

    def test_narrow(self):
        text = self.good("simulate", "--policy-dir", POLICIES, "--workload", "idle", *SMALL, columns=50)
        table = [line for line in text.splitlines() if line.startswith(("CONTROL", "default ", "no control "))]
        self.assertEqual(len(table), 3)
        self.assertTrue(all(len(line) <= 50 for line in table), table)

    def test_every_workload(self):
        named = json.loads(self.good("simulate", "--list", "--json"))
        self.assertGreaterEqual(len(named), 10)
        text = self.good("simulate", "--list")
        for row in named:
            self.assertRegex(text, rf'(?m)^{row["name"]} +{re.escape(row["description"])}$')
        words = [word for row in named for word in ("--workload", row["name"])]
        rows = json.loads(self.ctl("simulate", "--json", *words, *SMALL).stdout)
        self.assertEqual([row["workload"] for row in rows[::2]], [row["name"] for row in named])

    def test_options_reach_the_guest(self):
        rows = self.rows("--workload", "uniform", *SMALL)
        idle = self.rows("--workload", "uniform", *SMALL, "--dirty-rate", "4KiB/s")
        self.assertEqual(rows[0]["memory_bytes"], 64 << 20)
        self.assertGreater(rows[0]["sent_bytes"], idle[0]["sent_bytes"])
        text = self.good("simulate", "--policy-dir", POLICIES, "--workload", "phases", "--memory", "0.0625GiB",
                         "--set", "firmware.page-us=50", "--vcpus", "3", "--dirty-rate", "1MiB/s",
                         "--working-set", "2 MiB", "--set", "load.pattern=scan")
        self.assertIn("64.0 MiB, 3 vCPUs; firmware 50 us a page", text)
        self.assertRegex(text, r"from \d.* on writes 1\.0 MiB/s over 2\.0 MiB")
        self.assertIn("one page after the other", text)

    def test_several_policies(self):
        night = self.policy("night", EASY)
        rows = self.rows("--workload", "zipf", *SMALL, "--policy", night, "--policy", "gentle")
        self.assertEqual([row["policy"] for row in rows], ["night", "gentle", ""])
        self.assertEqual([row["asked_downtime_goal_us"] for row in rows], [10000000, 2000000, 10000000])

    def test_goals(self):
        """Exit status and words say what became of each goal."""
        easy, hard = self.policy("easy", EASY), self.policy("hard", HARD)
        guest = ("--workload", "zipf", *SMALL)
        text = self.good("simulate", "--policy", easy, *guest)
        self.assertRegex(text, r"(?m)^easy: downtime goal of 10\.0 s met, duration goal of 10 h 0 min met, "
                               r"slowdown goal of 99 % met$")
        done = self.ctl("simulate", "--policy", easy, "--policy", hard, *guest)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertRegex(done.stdout, r"(?m)^hard: downtime goal of 1\.0 ms missed( \([^)]+\))?, duration goal")
        none = self.policy("none")
        self.assertIn("none: states no goal", self.good("simulate", "--policy", none, *guest))

    def test_throttle_left_to_qemu(self):
        """Auto-converge is the guest's throttle then."""
        more = '<throttle mode="qemu"/>'
        row = self.rows("--workload", "uniform", "--memory", "256MiB", "--set", "firmware.page-us=1000",
                        "--dirty-rate", "40MiB/s", "--policy", self.policy("left", EASY, more), "--decisions")[0]
        self.assertFalse([d for d in row["decisions"] if d["action"] == "throttle" and d["value"] > 0])

    def test_ceiling_holds(self):
        more = '<throttle><ceiling unit="percent">0</ceiling></throttle>'
        row = self.rows("--workload", "uniform", *SMALL, "--policy", self.policy("free", EASY, more))[0]
        self.assertEqual((row["max_throttle_percent"], row["longest_stun_us"]), (0, 0))

    def test_decisions(self):
        arguments = ("--workload", "uniform", *SMALL, "--decisions")
        rows = self.rows(*arguments)
        decisions = rows[0]["decisions"]
        self.assertNotIn("decisions", rows[1])
        self.assertTrue(decisions)
        self.assertEqual([d["at_us"] for d in decisions], sorted(d["at_us"] for d in decisions))
        for decision in decisions:
            self.assertTrue(decision["reason"] and decision["action"] and decision["phase"])
        text = self.good("simulate", "--policy-dir", POLICIES, *arguments)
        listed = re.findall(r"(?m)^ +([0-9.]+) s  (\w+) +(.+)$", text.split("and why:\n")[1])
        self.assertEqual([reason for _, _, reason in listed], [d["reason"] for d in decisions])

    def test_compare(self):
        rows = self.rows("--workload", "zipf", *SMALL, "--compare")
        self.assertEqual([row["controller"] for row in rows[:2]], ["sevmig", "oracle"])
        peers = {row["controller"] for row in rows[2:]}
        self.assertEqual(peers, {"none", "auto-converge", "nova", "ovirt-minimal", "ovirt-suspend", "kubevirt",
                                 "kubevirt-stall", "proxmox", "cloud-hypervisor"})
        self.assertEqual(len(rows), 2 + 2 * len(peers))
        for one, largest in zip(rows[2::2], rows[3::2]):
            self.assertEqual((one["controller"], one["batch"], one["batch_pages"]), (largest["controller"], "1", 1))
            self.assertEqual((largest["batch"], largest["batch_pages"]), ("largest", rows[0]["batch_pages"]))
        text = self.good("simulate", "--policy-dir", POLICIES, "--workload", "zipf", *SMALL, "--compare")
        self.assertRegex(text, r"(?m)^best possible ")
        self.assertEqual(len(re.findall(r"(?m)^nova ", text)), 2)

    def test_endless(self):
        """Who never ends is told with how long was tried."""
        done = self.ctl("simulate", "--workload", "wide", "--memory", "64MiB", "--policy-dir", POLICIES)
        self.assertRegex(done.stdout, r"(?m)^no control +1 +endless \(\d+ min \d+ s\) +- +- ")
        self.assertEqual(done.stderr, "")

    def test_scenario_file(self):
        """A file brings its own policy, which --policy replaces; its name is what it is called by."""
        path = self.write("mine.scenario", "[guest]\nmemory-mib=64\n[firmware]\npage-us=100\n"
                                           "[policy]\ndowntime-ms=700\n")
        rows = self.rows("--workload", path)
        self.assertEqual([(row["workload"], row["policy"]) for row in rows], [("mine", ""), ("mine", "")])
        self.assertEqual({row["asked_downtime_goal_us"] for row in rows}, {700000})
        self.assertIn("its own policy: downtime goal of 700 ms met", self.good("simulate", "--workload", path))
        rows = self.rows("--workload", path, "--policy", self.policy("night", EASY))
        self.assertEqual((rows[0]["policy"], rows[0]["asked_downtime_goal_us"]), ("night", 10000000))
        self.assertEqual(self.rows("--workload", path, "--memory", "32MiB")[0]["memory_bytes"], 32 << 20)

    def test_every_scenario_is_read(self):
        """The project's own files; played elsewhere."""
        words = [word for name in sorted(os.listdir(SCENARIOS)) for word in
                 ("--workload", os.path.join(SCENARIOS, name))]
        self.assertIn('no policy "ghost"', self.fails(1, "simulate", *words, "--policy", "ghost"))

    def test_random(self):
        rows = [json.loads(self.ctl("simulate", "--json", "--workload", "random", "--seed", seed).stdout)
                for seed in ("3", "4")]
        self.assertEqual([row[0]["workload"] for row in rows], ["random-3", "random-4"])
        self.assertNotEqual(rows[0][0]["memory_bytes"], rows[1][0]["memory_bytes"])

    def test_wrong_usage(self):
        for arguments, text in (
                (("--workload", "ghost"), 'no workload "ghost": --list shows them'),
                (("--memory", "4"), '--memory takes a number and its unit, such as 4GiB, not "4"'),
                (("--memory", "GiB"), "--memory takes"),
                (("--memory", "4parsec"), '"4parsec"'),
                (("--memory", "infGiB"), "--memory takes"),
                (("--memory", "-4GiB"), "--memory: [guest] memory-mib: expected a number from 1 to 1048576"),
                (("--memory", "2000000GiB"), "expected a number from 1"),
                (("--dirty-rate", "fast"), "such as 200MiB/s"),
                (("--dirty-rate", "999999TiB/s"), "--dirty-rate: [load] writes-per-s: expected"),
                (("--working-set", "2GiB"), "a working set beyond the end of memory"),
                (("--vcpus", "0"), "--vcpus: [guest] vcpus: expected a whole number from 1 to 64"),
                (("--vcpus", "1.5"), "expected a whole number"),
                (("--seed", "-1"), "--seed: [run] seed"),
                (("--set", "busy"), "--set: expected GROUP.KEY=VALUE"),
                (("--set", "guest.colour=red"), "not a key of this group, which has memory-mib"),
                (("--set", "ghost.a=1"), "not a group"),
                (("--set", "load.busy=2"), 'expected a number from 0.001 to 1, not "2"'),
                (("--set", "guest.writers=2"), "more writers than vCPUs"),
                (("--memory",), "--memory"), (("zipf",), '"zipf" is one argument too many')):
            with self.subTest(arguments=arguments):
                self.assertIn(text, self.fails(2, "simulate", *arguments))

    def test_bad_policies(self):
        fails = lambda *arguments: self.fails(1, "simulate", *arguments)
        text = fails("--policy-dir", POLICIES, "--policy", "ghost")
        self.assertIn(f'no policy "ghost" in {POLICIES}, there are: default, evacuate, gentle', text)
        self.assertIn("/no/such.xml: cannot be opened: No such file", fails("--policy", "/no/such.xml"))
        bad = os.path.join(TOP, "tests/cli/bad.xml")
        self.assertRegex(fails("--policy", bad), rf"simulate: {bad}:4:\d+: ")
        self.assertIn("not a directory", fails("--policy-dir", "/no/such", "--policy", "x"))
        self.policy("fine", EASY)
        shutil.copy(bad, self.directory)
        self.assertRegex(fails("--policy-dir", self.directory, "--policy", "fine"), r"bad\.xml:4:\d+: ")
        secret = self.policy("secret", EASY)
        self.assertIn("Permission denied", self.fails(1, "simulate", "--policy", secret,
                                                      **self.without_rights(secret)))

    def test_bad_scenarios(self):
        fails = lambda path: self.fails(1, "simulate", "--workload", path)
        self.assertIn("/no/such.scenario: No such file", fails("/no/such.scenario"))
        self.assertIn("not a regular file", fails(self.directory + "/"))
        fifo = os.path.join(self.directory, "fifo.scenario")
        os.mkfifo(fifo)
        self.assertIn("not a regular file", fails(fifo))
        for text, message in (
                ("nothing", "x.scenario: "),
                ("[guest]\ncolour=red\n", "x.scenario: [guest] colour: not a key of this group, which has"),
                ("[ghost]\na=1\n", "x.scenario: [ghost] a: not a group"),
                ("[guest]\nvcpus=0\n", "x.scenario: [guest] vcpus: expected a whole number from 1 to 64"),
                ("[load]\nworking-set-mib=512\n", "x.scenario: a working set beyond"),
                ("[load]\npattern=\x1b[2J\n", "expected one of uniform, zipf, scan")):
            with self.subTest(text=text):
                error = fails(self.write("x.scenario", text))
                self.assertIn(message, error)
                self.assertNotIn("\x1b", error)
        secret = self.write("secret.scenario", "")
        self.assertIn("Permission denied", self.fails(1, "simulate", "--workload", secret,
                                                      **self.without_rights(secret)))

    def refusal(self, assignment):
        """Why --set is refused."""
        return self.fails(2, "simulate", "--set", assignment).rpartition("]")[2]

    def test_manual_knows_the_keys(self):
        """Every key stands in sevmig-scenario(5) with what it takes, and no other does."""
        with open(os.path.join(TOP, "plugin/man/sevmig-scenario.5"), encoding="utf-8") as stream:
            page = stream.read().replace("\\-", "-")
        sections = dict(re.findall(r"(?s)\n\.SS \[(\w+)\][^\n]*\n(.*?)(?=\n\.S[SH] )", page))
        named = self.refusal("ghost.key=1")
        self.assertEqual(set(sections), set(re.findall(r"[a-z]{3,}", named.split("there are ")[1])) - {"to", "and"})
        for group, text in sections.items():
            keys = set(self.refusal(f"{group}.ghost=1").split("which has ")[1].strip().split(", "))
            entries = dict(re.findall(r"(?s)\.TP\n\.B ([a-z-]+)\n(.*?)(?=\n\.TP\n|\Z)", text))
            if group == "bounds":    # the tests' own: named, no more
                self.assertEqual(set(re.findall(r"(?:completes|most-[a-z-]+|least-[a-z-]+)", text)), keys)
                continue
            self.assertEqual(set(entries), keys, group)
            for key, entry in entries.items():
                expected = re.search("expected (.+), not", self.refusal(f"{group}.{key}=?"))[1]
                bounds = re.search(r"(whole )?number (from \S+ to \S+)", expected)
                if bounds:
                    self.assertIn(bounds[2], entry.replace("From", "from"), key)
                    self.assertEqual(bool(bounds[1]), "whole number" in entry or "power of two" in entry, key)
                else:
                    words = re.split(", | or ", expected.removeprefix("one of "))
                    self.assertEqual([w for w in words if not re.search(rf"\b{w}\b", entry)], [], key)

    def on_terminal(self, *arguments):
        """Standard error as a terminal receives it, and standard output."""
        main, other = pty.openpty()
        with subprocess.Popen([CTL, *arguments], stdout=subprocess.PIPE, stderr=other, text=True,
                              env=dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")) as process:
            os.close(other)
            stdout = process.stdout.read()
            seen = b""
            while True:
                try:
                    chunk = os.read(main, 4096)
                except OSError:
                    break
                if not chunk:
                    break
                seen += chunk
        os.close(main)
        return seen.decode(), stdout

    def test_progress(self):
        """What takes long says how far it is, and wipes that away."""
        seen, stdout = self.on_terminal("simulate", "--workload", "wide", "--memory", "6GiB",
                                        "--policy", "observe", "--policy-dir", POLICIES)
        self.assertRegex(seen, r"\r\x1b\[Kwide under (observe|none), \d")
        self.assertTrue(seen.endswith("\r\x1b[K"))
        self.assertNotIn("\x1b", stdout)
        seen, _ = self.on_terminal("simulate", "--list")
        self.assertEqual(seen, "")


class Replay(TrialCase):
    def lines(self, path=LAB):
        with open(path, encoding="utf-8") as stream:
            return stream.read().splitlines(keepends=True)

    def changed(self, number, change):
        """The lab's record with what `change` makes of the step on that line."""
        lines = self.lines()
        step = json.loads(lines[number - 1])
        change(step)
        lines[number - 1] = json.dumps(step) + "\n"
        return self.write("x.jsonl", "".join(lines))

    def decided(self):
        """The number of a line with decisions."""
        return next(n for n, line in enumerate(self.lines(), 1) if '"actions":[{' in line)

    def test_identical(self):
        for name in sorted(os.listdir(TRACES)):
            path = os.path.join(TRACES, name)
            lines = self.lines(path)
            with self.subTest(name=name):
                text = self.good("replay", path)
                self.assertRegex(text, rf"\A{path}: \S+ under \S+, {len(lines) - 1} events in .+\n"
                                       rf"identical: \d+ decisions and \d+ remarks at {len(lines) - 1} events\n\Z")
                report = json.loads(self.good("replay", path, "--json"))
                self.assertEqual((report["events"], report["compared"], report["different"]),
                                 (len(lines) - 1, len(lines) - 1, 0))
                self.assertTrue(report["complete"])

    def test_decisions(self):
        text = self.good("replay", LAB, "--decisions")
        reasons = [action["reason"] for line in self.lines()[1:] for action in json.loads(line)["actions"]]
        self.assertEqual(re.findall(r"(?m)^ +[0-9.]+ s  \w+ +(.+)$", text), reasons)
        report = json.loads(self.good("replay", LAB, "--decisions", "--json"))
        self.assertEqual([d["reason"] for d in report["decisions"]], reasons)

    def test_first_difference(self):
        """Line, both decisions, and how many others; whatever it is that differs."""
        number = self.decided()
        recorded = json.loads(self.lines()[number - 1])["actions"][0]
        for key, value, shown in (("value", recorded["value"] + 1, r"recorded  \S.*"),
                                  ("reason", "a whim", "recorded  .*: a whim"),
                                  ("action", "abort", "recorded  abort: ")):
            with self.subTest(key=key):
                path = self.changed(number, lambda step: step["actions"][0].update({key: value}))
                done = self.ctl("replay", path)
                self.assertEqual((done.returncode, done.stderr), (1, ""))
                self.assertIn(f"{path}:{number}: the first decision that differs, at ", done.stdout)
                self.assertRegex(done.stdout, rf"(?m)^  {shown}")
                self.assertRegex(done.stdout, rf'(?m)^  replayed  .*{re.escape(recorded["reason"])}$')
                self.assertIn("different at 1 of ", done.stdout)
        report = json.loads(self.ctl("replay", path, "--json").stdout)
        first = report["first_difference"]
        self.assertEqual((report["different"], first["line"]), (1, number))
        self.assertEqual(first["recorded"][0]["action"], "abort")
        self.assertEqual(first["replayed"][0]["action"], recorded["action"])

    def test_missing_and_more(self):
        number = self.decided()
        path = self.changed(number, lambda step: step["actions"].clear())
        self.assertIn("  recorded  nothing\n", self.ctl("replay", path).stdout)
        path = self.changed(2, lambda step: step["actions"].append({"action": "note", "value": 0, "reason": "hm"}))
        text = self.ctl("replay", path).stdout
        self.assertIn("  recorded  note: hm\n  replayed  nothing\n", text)

    def test_wake(self):
        path = self.changed(5, lambda step: step.update(wake=step["wake"] + 1))
        done = self.ctl("replay", path)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"recorded  wakes at \d+ us")

    def test_other_policy(self):
        """Side by side, and honest about what that is worth; a difference is then no failure."""
        text = self.good("replay", LAB, "--policy", "gentle", "--policy-dir", POLICIES)
        self.assertRegex(text, r"(?m)^LINE +TIME +RECORDED \(low-downtime\) +GENTLE$")
        self.assertRegex(text, r"(?m)^ +\d+ +[0-9.]+ s +\S")
        self.assertRegex(text, r"(?m)^downtime goal at the end +100 ms +2\.0 s$")
        self.assertRegex(text, r"(?m)^real downtime +\d+ ms +cannot be told$")
        self.assertIn("not what would have come of it", text)
        self.assertNotIn("Today's controller", text)
        report = json.loads(self.good("replay", LAB, "--policy", "gentle", "--policy-dir", POLICIES, "--json"))
        self.assertEqual((report["policy"], report["replayed_policy"]), ("low-downtime", "gentle"))
        self.assertIn("not what would have come of it", report["caveat"])
        self.assertGreater(report["different"], 0)
        self.assertEqual(report["replayed"]["downtime_goal_us"], 2000000)
        for moment in report["moments"]:
            recorded = json.loads(self.lines()[moment["line"] - 1])
            self.assertEqual(moment["recorded"], recorded["actions"])
            self.assertEqual(recorded["t"] - json.loads(self.lines()[1])["t"], moment["at_us"])

    def test_other_policy_narrow(self):
        text = self.good("replay", LAB, "--policy", "gentle", "--policy-dir", POLICIES, columns=60)
        for line in text.split("\n\nThe events")[0].splitlines()[1:]:
            self.assertLessEqual(len(line), 60, line)

    def test_observer(self):
        """A policy that only observes has remarks for decisions."""
        text = self.good("replay", LAB, "--policy", "observe", "--policy-dir", POLICIES)
        self.assertRegex(text, r"(?m)^decisions +\d+ +0$")
        self.assertIn("would: batch-pages", text)

    def test_other_controller_is_told_apart(self):
        """A record of another controller: not all of the difference is the policy's."""
        path = self.changed(self.decided(), lambda step: step["actions"][0].update(reason="a whim"))
        text = self.good("replay", path, "--policy", "gentle", "--policy-dir", POLICIES)
        self.assertIn("under the recorded policy it differs at 1 events", text)

    def test_input_only(self):
        def strip(line):
            step = json.loads(line)
            for key in ("actions", "wake", "view"):
                step.pop(key, None)
            return json.dumps(step) + "\n"
        path = self.write("x.jsonl", "".join([self.lines()[0], *map(strip, self.lines()[1:])]))
        done = self.ctl("replay", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no decision is on record: there is nothing to compare", done.stdout)
        self.assertIn("GENTLE", self.good("replay", path, "--policy", "gentle", "--policy-dir", POLICIES))

    def test_cut_short(self):
        """As a crash of the host leaves it: what is whole is told, the rest named."""
        text = "".join(self.lines()[:12])
        path = self.write("x.jsonl", text[:-20])
        done = self.ctl("replay", path)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout, r"identical: .* at 10 events\n\Z")
        self.assertEqual(done.stderr,
                         f"sevmigctl: replay: {path}:12: the line is cut short; replayed up to there\n")
        report = json.loads(self.ctl("replay", path, "--json").stdout)
        self.assertEqual((report["complete"], report["events"]), (False, 10))

    def test_header_alone(self):
        path = self.write("x.jsonl", self.lines()[0])
        self.assertIn("a header and no event", self.fails(1, "replay", path))

    def test_refused(self):
        head, start = self.lines()[:2]
        for text, message in (
                ("", "x.jsonl: empty file"),
                ("hello\n", "x.jsonl:1: not one JSON object"),
                (head.rstrip("\n"), "x.jsonl:1: the line is cut short"),
                ("{}\n", "x.jsonl:1: not a trace: 'sevmig-trace' does not give its version"),
                (head.replace('"sevmig-trace":1', '"sevmig-trace":2'),
                 "x.jsonl:1: a trace of version 2, this reader knows version 1"),
                (head.replace('"uuid"', '"ghost"'), "x.jsonl:1: header: 'ghost'"),
                (head + start.replace('"start"', '"policy"', 1), "x.jsonl:2: the first event is not 'start'"),
                (head + start.replace('"start"', '"begin"', 1), "x.jsonl:2: 'event' has no such value"),
                (head + re.sub(r'"t":\d+', '"t":-5', start), "x.jsonl:2: 't' is out of range"),
                (head + re.sub(r'"t":\d+', '"t":1e99', start), "x.jsonl:2: 't' is not an integer"),
                (head + "\x00" * 50 + "\n", "x.jsonl:2: the line is not UTF-8"),
                (head + '{"t":' + "[" * 5000 + "\n", "x.jsonl:2: not one JSON object"),
                (head + '"' + "x" * (2 << 20) + '"\n', "x.jsonl:2: the line is too long")):
            with self.subTest(message=message):
                self.assertIn(message, self.fails(1, "replay", self.write("x.jsonl", text)))

    def test_time_goes_back(self):
        first = json.loads(self.lines()[1])["t"]
        done = self.ctl("replay", self.changed(9, lambda step: step.update(t=first)))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"x\.jsonl:9: 't' goes back; replayed up to there\n\Z")

    def test_impossible_figures(self):
        """Whatever a file claims to have been measured, the controller copes."""
        extremes = (0, 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)
        keys = [key for key, value in json.loads(self.lines()[4])["sample"].items() if type(value) is int]
        self.assertGreater(len(keys), 20)
        for extreme in extremes:
            def change(step, extreme=extreme):
                for key in keys:
                    step["sample"][key] = min(extreme, 2**32 - 1) if key in NARROW else extreme
            done = self.ctl("replay", self.changed(5, change))
            self.assertEqual((done.returncode, done.stderr), (1, ""), extreme)

    def test_impossible_policy(self):
        """Goals beyond all bounds, in the first event and in the header."""
        def change(step):
            for key, value in step["params"].items():
                if type(value) is int and key != "gap-pages":
                    step["params"][key] = 2**32 - 1 if key.endswith(("percent", "pages")) else 2**64 - 1
        self.assertEqual(self.ctl("replay", self.changed(2, change)).stderr, "")
        self.assertEqual(self.ctl("replay", self.changed(1, change)).returncode, 0)

    def test_hostile_text(self):
        def change(header):
            header.update(domain="db\x1b[2J\n\u202ex", policy="p\x07")
        for arguments in ((), ("--policy", "gentle", "--policy-dir", POLICIES)):
            text = self.good("replay", self.changed(1, change), *arguments)
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\u202e]")
        number = self.decided()
        path = self.changed(number, lambda step: step["actions"][0].update(reason="\x1b[2J\u202e"))
        self.assertNotRegex(self.ctl("replay", path).stdout, "[\x00-\x09\x0b-\x1f\u202e]")

    def test_no_such_file(self):
        self.assertIn("/no/such: No such file", self.fails(1, "replay", "/no/such"))
        self.assertIn("not a regular file", self.fails(1, "replay", self.directory))
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        self.assertIn("not a regular file", self.fails(1, "replay", fifo))
        secret = self.write("secret", "".join(self.lines()))
        self.assertIn("secret: Permission denied",
                      self.fails(1, "replay", secret, **self.without_rights(secret)))

    def test_usage(self):
        self.assertIn("FILE is missing", self.fails(2, "replay"))
        self.assertIn("one argument too many", self.fails(2, "replay", LAB, LAB))
        self.assertIn("one policy can be replayed at a time",
                      self.fails(2, "replay", LAB, "--policy", "a", "--policy", "b"))
        self.assertIn('no policy "ghost"', self.fails(1, "replay", LAB, "--policy", "ghost"))


# Members of a sample that are 32 bits wide; the reader refuses more.
NARROW = ("max-command-pages", "max-batch-pages", "batch-pages", "batch-gap-pages", "vcpu-throttle-percent",
          "page-size-bytes")


if __name__ == "__main__":
    sys.exit(tap.main())
