#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sevmigctl tune; TAP on standard output.

Usage: test_tune.py SEVMIGCTL TOP [--update]
(--update rewrites the golden file, which changes whenever the controller does)
"""

import json
import os
import re
import resource
import sys

import tap
from trial import POLICIES, TOP, TrialCase

TRACES = os.path.join(TOP, "tests/golden")
GOLDEN = os.path.join(TOP, "tests/cli/golden/tune.txt")


def trace(name):
    return os.path.join(TRACES, f"{name}.trace")


FLAT, IDLE, PACED, ABORTED, LAB = (trace(name) for name in (
    "flat-out", "idle", "paced-biting", "hopeless-aborted", "lab-tiny-low-downtime"))


class Tune(TrialCase):
    def tuned(self, *arguments, status=0):
        done = self.ctl("tune", "--json", *arguments)
        self.assertEqual((done.returncode, done.stderr), (status, ""), done.stdout)
        return json.loads(done.stdout)

    def changed(self, path, change):
        """A record with what `change` makes of its lines."""
        with open(path, encoding="utf-8") as stream:
            lines = [json.loads(line) for line in stream]
        change(lines)
        return self.write("x.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    def hard(self):
        """A policy whose downtime goal is less than a switchover takes without a page."""
        return self.policy("hard", '<downtime unit="ms">12</downtime>',
                           '<match priority="7"><domain name="db-*"/></match>'
                           '<throttle><stun unit="ms">10</stun></throttle>')

    def test_golden(self):
        text = self.ctl("tune", FLAT, IDLE, PACED, ABORTED).stdout
        if "--update" in sys.argv:
            with open(GOLDEN, "w", encoding="utf-8") as stream:
                stream.write(text)
        with open(GOLDEN, encoding="utf-8") as stream:
            self.assertEqual(text, stream.read(), "tune.txt: rewrite with --update if this is meant")

    def test_records_are_reproduced(self):
        """Each that completed undisturbed, from the simulation and from the lab."""
        for path in (FLAT, IDLE, PACED, LAB, *map(trace, ("observed", "one-writer-of-three",
                                                          "unresponsive-relaxed", "bad-messages"))):
            with self.subTest(path=path):
                record, = json.loads(self.ctl("tune", "--json", path).stdout)["records"]
                self.assertTrue(record["used"], record)
                self.assertLessEqual(record["off_factor"], 2)
                ratios = [record["simulated"][key] / record["recorded"][key] for key in ("total_us", "pages")]
                self.assertAlmostEqual(record["off_factor"], max(max(r, 1 / r) for r in ratios), delta=1e-3)

    def test_recorded_figures(self):
        record, = json.loads(self.ctl("tune", "--json", FLAT).stdout)["records"]
        with open(FLAT, encoding="utf-8") as stream:
            steps = [json.loads(line) for line in stream][1:]
        last = steps[-1]["sample"]
        self.assertEqual(record["recorded"], {
            "total_us": steps[-1]["t"] - steps[0]["t"], "downtime_us": last["switchover-downtime-us"],
            "guest_lost_us": last["vcpus"][0]["throttled-us"] + last["switchover-downtime-us"],
            "pages": last["pages"]})

    def test_setting_up_does_not_count(self):
        """What passes until pages are sent is the same under every policy."""
        def wait(lines):
            for line in lines[2:]:
                line["t"] += 5000000
                line["wake"] += 5000000 if line["wake"] else 0
        told = lambda path: json.loads(self.ctl("tune", "--json", path).stdout)["records"][0]
        late, usual = told(self.changed(FLAT, wait)), told(FLAT)
        self.assertEqual((late["recorded"], late["off_factor"]), (usual["recorded"], usual["off_factor"]))

    def test_waiting_for_a_turn_does_not_count(self):
        """How long others had the firmware says nothing of this guest, in its first pass or before."""
        def held(at, us):
            def change(lines):
                word = lambda line, sends: {
                    **{key: line[key] for key in ("actions", "wake", "view")}, "t": line["t"], "event": "turn",
                    "turn": {"sends": sends, "most-hold-us": 0, "reason": ""}}
                lines.insert(at + 1, word(lines[at], True))
                lines.insert(at + 1, word(lines[at], False))
                for line in lines[at + 2:]:
                    line["t"] += us
                    line["wake"] += us if line["wake"] else 0
                    for vcpu in line.get("sample", {}).get("vcpus", ()):
                        vcpu["cpu-us"] += us  # the guest went on
            return change
        told = lambda path: json.loads(self.ctl("tune", "--json", path).stdout)["records"][0]
        usual = told(FLAT)
        with open(FLAT, encoding="utf-8") as stream:
            steps = [json.loads(line) for line in stream]
        first, = [i for i, step in enumerate(steps) if step.get("event") == "start"]
        for at in (first, first + 5):
            self.assertLessEqual(steps[at].get("sample", {"pass": 1})["pass"], 1)
            waited = told(self.changed(FLAT, held(at, 60000000)))
            self.assertEqual((waited["recorded"], waited["off_factor"]), (usual["recorded"], usual["off_factor"]))

    def refusal(self, change):
        data = self.tuned(self.changed(FLAT, change), status=1)
        record, = data["records"]
        self.assertFalse(record["used"])
        self.assertEqual(data["candidates"], [])
        return record["refused"]

    def test_policy_that_cannot_be(self):
        """A record may come from anywhere, and its parameters may be what no policy says."""
        def absurd(lines):
            for line in lines:
                if "params" in line:
                    line["params"]["gap-pages"] = 65535
        self.assertRegex(self.refusal(absurd), "gap-pages.*out of range")

    def test_work_is_bounded(self):
        """A migration of days that never converges would be played for hours."""
        def endless(lines):
            for line in lines:
                if "params" in line:
                    line["params"]["throttle-ceiling-percent"] = 0
                for key in ("t", "wake"):
                    line[key] = 100000 * line.get(key, 0)
                if "sample" in line:
                    line["sample"]["sync-dirtied-pages"] *= 1000
            for key in ("t", "wake"):
                del lines[0][key]
        began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        self.assertEqual(self.refusal(endless), "playing it takes more than 10 s of CPU time")
        self.assertLess(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began, 15)

    def test_goal_that_none_meets(self):
        """A longer one is proposed, the shortest that most of the records meet."""
        data = self.tuned(FLAT, IDLE, "--policy", self.hard())
        rows = data["candidates"]
        self.assertEqual((rows[0]["name"], rows[0]["met"], rows[0]["of"]), ("today", 0, 2))
        chosen, = [row for row in rows if row["proposed"]]
        self.assertEqual(chosen["met"], max(row["met"] for row in rows))
        self.assertEqual(chosen["changes"], "goals/downtime")
        ms = lambda row: int(re.search(r"goal (\d+) ms", row["name"]).group(1))
        self.assertEqual(ms(chosen), min(ms(row) for row in rows if row["met"] == chosen["met"]))
        self.assertGreater(ms(chosen), 12)

    def test_document(self):
        """It passes the lint, states the change, keeps what it matches, and says where it is from."""
        output = os.path.join(self.directory, "proposed.xml")
        data = self.tuned(FLAT, IDLE, ABORTED, "--policy", self.hard(), "-o", output)
        self.good("policy", "lint", output)
        with open(output, encoding="utf-8") as stream:
            text = stream.read()
        self.assertEqual(text, data["proposal"])
        chosen, = [row["name"] for row in data["candidates"] if row["proposed"]]
        goal, = re.findall(r"downtime goal (\d+) ms", chosen)
        self.assertRegex(text, rf'<downtime unit="ms">{goal}</downtime>')
        self.assertIn('<domain name="db-*"/>', text)
        self.assertIn('name="hard"', text)
        comment, = re.findall(r"(?s)<!--(.*?)-->", text)
        self.assertIn(chosen, comment)
        self.assertIn("flat-out.trace of flat-out", comment)
        self.assertNotIn("hopeless", comment)
        shown = self.good("tune", FLAT, IDLE, ABORTED, "--policy", self.hard(), "-o", "-")
        self.assertEqual(shown, text)

    def test_nothing_but_the_change(self):
        """What the proposal states beside it is what the policy stated."""
        policy = self.hard()
        output = os.path.join(self.directory, "proposed.xml")
        self.good("tune", FLAT, "--policy", policy, "-o", output)
        with open(output, encoding="utf-8") as stream:
            text = re.sub(r"(?s)<!--.*?-->\n|<\?xml[^\n]*\n", "", stream.read())
        with open(policy, encoding="utf-8") as stream:
            before = re.sub(r"<\?xml[^\n]*\n", "", stream.read())
        self.assertEqual(sorted(re.findall(r"<(\w+)", text)), sorted(re.findall(r"<(\w+)", before)))

    def test_hostile_name(self):
        """A domain's name cannot end the comment."""
        path = self.changed(FLAT, lambda lines: lines[0].update(domain="--><x/>\x1b[2J"))
        text = self.good("tune", path, "--policy", self.hard(), "-o", "-")
        self.assertEqual(text.count("-->"), 1)
        self.assertNotIn("\x1b", text)
        self.good("policy", "lint", self.write("proposed.xml", text))

    def test_left_out(self):
        """With the reason; without any other record there is nothing to propose."""
        def switch(lines):
            step = dict(lines[1], event="policy", t=lines[5]["t"])
            lines.insert(6, step)

        def slow(lines):
            lines[-1]["t"] += 60000000
        for change, why in ((switch, "another policy"), (slow, r"off by a factor of \d"),
                            (lambda lines: lines.pop(), "did not complete"),
                            (lambda lines: lines.__delitem__(slice(2, None)), "no statistics")):
            with self.subTest(why=why):
                path = self.changed(FLAT, change)
                done = self.ctl("tune", path)
                self.assertEqual((done.returncode, done.stderr), (1, ""))
                self.assertRegex(done.stdout, rf"(?m)^x\.jsonl .*left out: .*{why}")
                self.assertNotIn("CANDIDATE", done.stdout)
                data = self.tuned(path, status=1)
                self.assertEqual((data["candidates"], data["proposal"]), ([], ""))

    def test_nothing_is_written_without_a_proposal(self):
        output = os.path.join(self.directory, "none.xml")
        self.assertEqual(self.ctl("tune", ABORTED, "-o", output).returncode, 1)
        self.assertFalse(os.path.exists(output))

    def test_other_policies(self):
        self.assertIn("recorded under another policy", self.fails(1, "tune", FLAT, LAB))
        data = json.loads(self.ctl("tune", "--json", FLAT, LAB, "--policy", "default", "--policy-dir",
                                   POLICIES).stdout)
        self.assertEqual([record["used"] for record in data["records"]], [True, True])

    def test_bounded(self):
        self.assertLessEqual(len(json.loads(self.ctl("tune", "--json", IDLE).stdout)["candidates"]), 30)
        self.assertIn("at most 64 records, not 65", self.fails(2, "tune", *[IDLE] * 65))

    def test_bad_files(self):
        self.assertIn("/no/such.jsonl: No such file", self.fails(1, "tune", IDLE, "/no/such.jsonl"))
        self.assertIn("not a regular file", self.fails(1, "tune", self.directory))
        self.assertIn("bad.jsonl:1", self.fails(1, "tune", self.write("bad.jsonl", "no record\n")))
        with open(FLAT, encoding="utf-8") as stream:
            cut = self.write("cut.jsonl", stream.read()[:-200])
        self.assertRegex(self.fails(1, "tune", cut), r"cut\.jsonl:\d+: ")
        self.assertIn("/no/such", self.fails(1, "tune", FLAT, "--policy", self.hard(), "-o",
                                             "/no/such/place.xml"))

    def test_usage(self):
        for arguments, text in (([], "needs records, or --history"), ([IDLE, "--history", "x"], "one of them"),
                                (["--history", ""], "empty word"),
                                ([IDLE, "--policy", "a", "--policy", "b"], 'not "b" as well'),
                                ([IDLE, "--json", "-o", "-"], "one too many")):
            with self.subTest(arguments=arguments):
                self.assertIn(text, self.fails(2, "tune", *arguments))
        self.assertIn("Exit status: 1", self.good("tune", "--help"))


if __name__ == "__main__":
    sys.exit(tap.main())
