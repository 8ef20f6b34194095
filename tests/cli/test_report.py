#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl report, as far as it needs no browser; TAP on standard output."""

import base64
import hashlib
import json
import os
import re
import sys

import tap
from trial import TOP, TrialCase

TRACES = os.path.join(TOP, "tests/golden")
LAB = os.path.join(TRACES, "lab-tiny-low-downtime.trace")
HOSTILE = "</script><!--<script>\u2028'\"&\x1b\u202e"


class Report(TrialCase):
    def lines(self, path=LAB):
        with open(path, encoding="utf-8") as stream:
            return stream.read().splitlines(keepends=True)

    def data(self, path=LAB):
        return json.loads(self.good("report", path, "--json"))

    def page(self, path=LAB):
        output = os.path.join(self.directory, "page.html")
        self.assertEqual(self.good("report", path, "-o", output), "")
        with open(output, encoding="utf-8") as stream:
            return stream.read()

    def hostile(self):
        """The lab's record with names and a reason that would break out of a careless page."""
        lines = self.lines()
        header, step = json.loads(lines[0]), json.loads(lines[2])
        header.update(domain=HOSTILE, policy=HOSTILE)
        step["actions"][0]["reason"] = HOSTILE
        lines[0], lines[2] = json.dumps(header) + "\n", json.dumps(step) + "\n"
        return self.write("hostile.jsonl", "".join(lines))

    def long(self, samples):
        """So many samples, a tenth of a second apart, the last as recorded."""
        lines = self.lines()
        middle, last = json.loads(lines[10]), json.loads(lines[-1])
        steps = []
        for number in range(samples):
            middle["t"] += 100000
            steps.append(json.dumps(middle) + "\n")
        last["t"] = middle["t"] + 1
        return self.write("long.jsonl", "".join([*lines[:2], *steps, json.dumps(last) + "\n"]))

    def test_figures_are_those_on_record(self):
        data = self.data()
        steps = [json.loads(line) for line in self.lines()[1:]]
        samples = [step for step in steps if "sample" in step]
        self.assertEqual((data["domain"], data["policy"], data["result"]), ("tiny", "low-downtime", "done"))
        self.assertEqual(data["goals"], {"downtime_us": 100000, "duration_us": 0, "slowdown_percent": 0})
        self.assertEqual(data["curves"]["remaining_pages"], [s["sample"]["remaining-pages"] for s in samples])
        self.assertEqual(data["curves"]["predicted_downtime_us"],
                         [s["view"]["predicted-downtime-us"] for s in samples])
        self.assertEqual(data["curves"]["at_us"], [s["t"] - steps[0]["t"] for s in samples])
        self.assertEqual([d["reason"] for d in data["decisions"]],
                         [a["reason"] for s in steps for a in s["actions"]])
        self.assertEqual(data["switchover"]["downtime_us"], samples[-1]["sample"]["switchover-downtime-us"])
        stop = next(n for n, step in enumerate(steps) if step["event"] == "switchover")
        self.assertEqual(data["promised_downtime_us"], steps[stop]["view"]["predicted-downtime-us"])
        self.assertEqual(data["totals"]["pages"], samples[-1]["sample"]["pages"])
        self.assertEqual(sum(p["pages"] for p in data["passes"]), samples[-1]["sample"]["pages"])
        self.assertEqual([p["phase"] for p in data["phases"]],
                         ["detected", "bulk", "converging", "switchover", "done"])

    def test_every_record(self):
        for name in sorted(os.listdir(TRACES)):
            with self.subTest(name=name):
                data = self.data(os.path.join(TRACES, name))
                lengths = {len(v) for v in data["curves"].values() if isinstance(v, list)}
                self.assertEqual(len(lengths), 1)
                self.assertIn("<title>Migration of ", self.page(os.path.join(TRACES, name)))

    def test_input_only(self):
        """Where no decision is on record, those of today's controller are shown."""
        lines = self.lines()
        for n, line in enumerate(lines[1:], 1):
            lines[n] = json.dumps({k: v for k, v in json.loads(line).items() if k not in ("actions", "wake", "view")})
            lines[n] += "\n"
        bare, full = self.data(self.write("bare.jsonl", "".join(lines))), self.data()
        self.assertEqual(bare, full)

    def test_page_allows_itself_alone(self):
        """One policy, of digests; each names a script or style that is there, and every one is named."""
        page = self.page()
        policy, = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        self.assertEqual(rules.pop("default-src"), "'none'")
        self.assertEqual((rules.pop("base-uri"), rules.pop("form-action")), ("'none'", "'none'"))
        self.assertEqual(set(rules), {"script-src", "style-src"})
        for rule, pattern in (("script-src", r"(?s)<script>(.*?)</script>"), ("style-src", r"(?s)<style>(.*?)</style>")):
            digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
                       for text in re.findall(pattern, page)]
            self.assertEqual(rules[rule].split(), [f"'sha256-{digest}'" for digest in digests])
        self.assertLess(page.index("Content-Security-Policy"), page.index("<title>"))
        self.assertNotRegex(page, r"<(?:link|img|iframe|script [^>]*src)|<[a-z]+ [^>]*\b(?:style|on[a-z]+)=|@import|url\(")

    def test_hostile_text(self):
        page = self.page(self.hostile())
        text, = re.findall(r'(?s)<script type="application/json" id="data">(.*?)</script>', page)
        self.assertNotRegex(text, "[<>&]")
        data = json.loads(text)
        self.assertEqual((data["domain"], data["policy"], data["decisions"][0]["reason"]), (HOSTILE,) * 3)
        title, = re.findall(r"<title>(.*)</title>", page)
        self.assertNotRegex(title, "[<>\x1b\u202e]")
        self.assertEqual(page.count("<script"), 3)

    def test_bounded(self):
        data = self.data(self.long(9000))
        self.assertEqual(data["curves"]["stride"], 4)
        self.assertLessEqual(len(data["curves"]["at_us"]), 4096)
        self.assertGreater(len(data["curves"]["at_us"]), 2048)
        self.assertEqual(data["totals"]["samples"], 9001)
        self.assertLess(len(self.page(self.long(9000))), 1 << 20)

    def test_most_decisions(self):
        lines = self.lines()
        step = json.loads(lines[2])
        step["actions"] = step["actions"][:1] * 16
        steps = []
        for _ in range(130):
            step["t"] += 1000
            steps.append(json.dumps(step) + "\n")
        data = self.data(self.write("many.jsonl", "".join([*lines[:2], *steps])))
        self.assertEqual((len(data["decisions"]), data["decisions_left_out"]), (2000, 80))

    def test_cut_short(self):
        """What is there is shown, and the fault is told twice: on the page and by the exit status."""
        path = self.write("cut.jsonl", "".join(self.lines())[:-200])
        output = os.path.join(self.directory, "cut.html")
        message = self.fails(1, "report", path, "-o", output)
        self.assertIn(f"{path}:{len(self.lines())}", message)
        self.assertIn("the report ends there", message)
        done = self.ctl("report", path, "--json")
        self.assertEqual(done.returncode, 1)
        self.assertIn(":29:", json.loads(done.stdout)["problem"])
        self.assertTrue(os.path.getsize(output) > 100000)

    def test_nothing_to_show(self):
        output = os.path.join(self.directory, "none.html")
        for text, why in (("", "header"), (self.lines()[0], "no statistics"), ("no record\n", "JSON"),
                          ("".join(self.lines()[:2]), "no statistics")):
            with self.subTest(text=text[:20]):
                self.fails(1, "report", self.write("none.jsonl", text), "-o", output)
                self.assertFalse(os.path.exists(output))

    def test_no_such_file(self):
        self.assertIn("/no/such.jsonl: No such file", self.fails(1, "report", "/no/such.jsonl", "-o", "x.html"))
        self.assertIn("not a regular file", self.fails(1, "report", self.directory + "/", "-o", "x.html"))
        # any other word is a migration's name, which only sevmigd knows
        self.assertIn("bus", self.fails(1, "report", "db-1", "-o", "x.html"))

    def test_cannot_write(self):
        output = os.path.join(self.directory, "no/such/place.html")
        self.assertIn(output, self.fails(1, "report", LAB, "-o", output))

    def test_standard_output(self):
        path = self.write("x.jsonl", "".join(self.lines()))
        self.assertEqual(self.good("report", path, "-o", "-"), self.page(path))

    def test_usage(self):
        for arguments, text in ((["report"], "ID|DOMAIN|FILE is missing"), (["report", LAB], "-o FILE"),
                                (["report", LAB, "-o", "x.html", "--json"], "one of them"),
                                (["report", LAB, LAB], "too many")):
            with self.subTest(arguments=arguments):
                self.assertIn(text, self.fails(2, *arguments))
        self.assertIn("no\nnetwork", self.good("report", "--help"))


if __name__ == "__main__":
    sys.exit(tap.main())
