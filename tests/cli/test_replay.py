#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl replay; TAP on standard output."""

import json
import os
import re
import sys

import tap
from trial import POLICIES, TOP, TrialCase

TRACES = os.path.join(TOP, "tests/golden")
LAB = os.path.join(TRACES, "lab-tiny-low-downtime.trace")
# Members of a sample that are 32 bits wide; the reader refuses more.
NARROW = ("max-command-pages", "max-batch-pages", "batch-pages", "batch-gap-pages", "vcpu-throttle-percent",
          "page-size-bytes")


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

    def test_changes(self):
        """Who gave the migration other parameters while it was recorded."""
        lines = self.lines()
        event = {"t": json.loads(lines[9])["t"], "event": "policy",
                 "by": {"policy": "gentle", "who": "root (uid 0)", "why": "too \x1b[2Jslow"},
                 "params": json.loads(lines[0])["params"]}
        path = self.write("x.jsonl", "".join(lines[:10] + [json.dumps(event) + "\n"] * 52 + lines[10:20]))
        text = self.ctl("replay", path).stdout
        at_us = event["t"] - json.loads(lines[1])["t"]
        self.assertEqual(text.splitlines()[1], f"at {at_us / 1e6:.1f} s gentle by root (uid 0): too ?[2Jslow")
        self.assertEqual(text.count("gentle by root"), 50)
        self.assertIn("\nand 2 more changes\n", text)
        change = json.loads(self.ctl("replay", path, "--json").stdout)["changes"][0]
        self.assertEqual(change, {"at_us": at_us, **event["by"]})

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

    def test_hostile_json(self):
        """What a terminal obeys, or that turns text about, is escaped and comes out whole."""
        name = "db\x7f\u009b31m\u202e\u2066\u200f\U000e0041\u00e9\U0001f40d"
        path = self.changed(1, lambda header: header.update(domain=name, policy=name))
        for verb in ("replay", "report", "tune"):
            text = self.ctl(verb, "--json", path).stdout
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\U000e0041]")
            self.assertIn("\u00e9\U0001f40d", text)
            data = json.loads(text)
            self.assertEqual((data["records"][0] if verb == "tune" else data)["domain"], name)

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


if __name__ == "__main__":
    sys.exit(tap.main())
