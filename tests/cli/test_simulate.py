#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl simulate; TAP on standard output."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import tap
from trial import CTL, POLICIES, TOP, TrialCase

SCENARIOS = os.path.join(TOP, "tests/simulation/scenarios")
SMALL = ("--memory", "64MiB", "--set", "firmware.page-us=100")    # a second of model time
EASY = '<downtime unit="s">10</downtime><duration unit="h">10</duration><slowdown unit="percent">99</slowdown>'
HARD = '<downtime unit="ms">1</downtime><duration unit="s">1</duration>'


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
                (("--memory", "-4GiB"), "--memory: [guest] memory-mib: expected a number from 1 to 16777216"),
                (("--memory", "2000000GiB"), "expected a number from 1"),
                (("--dirty-rate", "fast"), "such as 200MiB/s"),
                (("--dirty-rate", "999999TiB/s"), "--dirty-rate: [load] writes-per-s: expected"),
                (("--working-set", "2GiB"), "a working set beyond the end of memory"),
                (("--vcpus", "0"), "--vcpus: [guest] vcpus: expected a whole number from 1 to 512"),
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
                ("[guest]\nvcpus=0\n", "x.scenario: [guest] vcpus: expected a whole number from 1 to 512"),
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

    def shipped(self):
        """Command and table of sevmig-policy(5): the words of one, the rows of the other."""
        with open(os.path.join(TOP, "plugin/man/sevmig-policy.5"), encoding="utf-8") as stream:
            section = re.search(r"(?s)\n\.SH SHIPPED POLICIES\n(.*?)\n\.SH ", stream.read().replace("\\-", "-"))[1]
        command = re.search(r"(?s)\.EX\n\$ sevmigctl (.*?)\n\.EE", section)[1].replace("\\e\n", " ").split()
        table = re.search(r"(?s)\nGUEST  POLICY[^\n]*\n(.*?)\n\.fi", section)[1]
        return command, [re.split(" {2,}", line) for line in table.splitlines()]

    def test_manual_knows_the_shipped(self):
        """What the page says of the policies that ship is what its command shows, within 10 %."""
        units = {"min": 60e6, "s": 1e6, "ms": 1e3}
        us = lambda text: sum(float(n) * units[unit] for n, unit in re.findall(r"([0-9.]+) (min|s|ms)\b", text))
        command, table = self.shipped()
        done = self.ctl(*command, "--json", "--policy-dir", POLICIES)
        self.assertEqual((done.returncode, done.stderr), (1, ""))    # some miss a goal
        rows = [row for row in json.loads(done.stdout) if row["policy"]]
        self.assertEqual([row[:2] for row in table], [[row["workload"], row["policy"]] for row in rows])
        self.assertEqual({row["policy"] for row in rows}, {name.removesuffix(".xml") for name in os.listdir(POLICIES)
                                                           if name.endswith(".xml")})
        for row, (_, _, total, downtime, lost, goals) in zip(rows, table):
            with self.subTest(guest=row["workload"], policy=row["policy"]):
                self.assertEqual((row["memory_bytes"], row["completed"]), (4 << 30, total != "endless"))
                self.assertEqual(goals, "met" if row["good"] else "missed")
                for text, key in ((total, "total_us"), (downtime, "downtime_us"), (lost, "guest_lost_us")):
                    if row["completed"]:
                        self.assertAlmostEqual(us(text), row[key], delta=0.1 * row[key], msg=key)

    def stop_at_work(self, process, seconds):
        """For so long, once it can show its progress: what it does takes that much longer on any machine."""
        def names():
            return {Path(task, "comm").read_text().strip() for task in Path(f"/proc/{process.pid}/task").iterdir()}

        while "progress" not in names():
            self.assertIsNone(process.poll(), "it ended without a thread that shows progress")
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def on_terminal(self, *arguments, stop_s=0):
        """Standard error as a terminal receives it, and standard output."""
        main, other = pty.openpty()
        with subprocess.Popen([CTL, *arguments], stdout=subprocess.PIPE, stderr=other, text=True,
                              env=dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")) as process:
            os.close(other)
            if stop_s:
                self.stop_at_work(process, stop_s)
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
                                        "--policy", "observe", "--policy-dir", POLICIES, stop_s=1.5)
        self.assertRegex(seen, r"\r\x1b\[Kwide under (observe|none), \d")
        self.assertTrue(seen.endswith("\r\x1b[K"))
        self.assertNotIn("\x1b", stdout)
        seen, _ = self.on_terminal("simulate", "--list")
        self.assertEqual(seen, "")


if __name__ == "__main__":
    sys.exit(tap.main())
