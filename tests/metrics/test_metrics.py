# SPDX-License-Identifier: LGPL-2.1-or-later
"""What sevmigd writes for Prometheus, read by those it is for: the strict parser of OpenMetrics,
promtool, node exporter, and a Prometheus that scrapes it and runs alerts and the dashboard's queries."""

import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SEVMIG_BUILD", TOP / "build"))
SAMPLE = BUILD / "plugin/tests/daemon/metrics-sample"
RULES = TOP / "plugin/data/prometheus/sevmig.rules.yml"
DASHBOARD = TOP / "plugin/data/grafana/sevmig.json"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ODD = 'odd "name"\\\n'  # as metrics-sample has it

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ["127.0.0.1:{exporter}"]}}]
  - job_name: openmetrics
    static_configs: [{{targets: ["127.0.0.1:{openmetrics}"]}}]
"""


def wait_until(what, test, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = test()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f"waited in vain until {what}")


def sample(path, step):
    """The file is replaced, as sevmigd does it."""
    new = path.with_name(f"new-{path.name}")
    subprocess.run([SAMPLE, new, str(step)], check=True, timeout=20)
    new.rename(path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def fetch(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return None


class Written(unittest.TestCase):
    """The two formats, by their own parsers."""

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(prefix="sevmig-metrics-")
        cls.addClassCleanup(directory.cleanup)
        cls.text, cls.openmetrics = (Path(directory.name) / name for name in ("sevmig.prom", "sevmig.txt"))
        for path in (cls.text, cls.openmetrics):
            sample(path, 0)
        cls.families = {f.name: f for f in text_string_to_metric_families(cls.openmetrics.read_text())}

    def value(self, name, **labels):
        return next(s.value for f in self.families.values() for s in f.samples
                    if s.name == name and s.labels == labels)

    def test_openmetrics(self):
        self.assertTrue(self.openmetrics.read_text().endswith("\n# EOF\n"))
        for family in self.families.values():
            self.assertTrue(family.documentation.endswith("."), family.name)
            self.assertTrue(family.samples, family.name)
            if family.unit:
                self.assertTrue(family.name.endswith(f"_{family.unit}"))
            has_unit = re.search("_(seconds|bytes|ratio|pages|per_second)$", family.name)
            self.assertEqual(bool(family.unit), bool(has_unit), family.name)
        self.assertEqual(self.value("sevmig_migration_remaining_bytes", domain="db-1"), 1200 * 4096)
        self.assertEqual(self.value("sevmig_migration_throttle_ratio", domain=ODD), 0.95)
        self.assertEqual(self.value("sevmig_migration_phase", domain=ODD, phase="stalled"), 1)
        self.assertEqual(self.value("sevmig_migrations_total", result="done"), 3)
        self.assertEqual(self.value("sevmig_downtime_seconds_bucket", le="0.3"), 2)
        self.assertEqual(self.value("sevmig_downtime_goals_missed_total"), 1)

    def test_text_says_the_same(self):
        def lines(path):
            return [line for line in path.read_text().splitlines() if not line.startswith("#")]
        self.assertEqual(lines(self.text), lines(self.openmetrics))

    def test_promtool(self):
        with open(self.text, encoding="utf-8") as stream:
            done = subprocess.run(["promtool", "check", "metrics"], stdin=stream, capture_output=True, text=True,
                                  timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_manual_knows_every_name(self):
        manual = (TOP / "plugin/man/sevmigd.8").read_text().replace("\\-", "-")
        names = {f.name + ("_total" if f.type == "counter" else "") for f in self.families.values()}
        self.assertEqual(set(re.findall(r"(?m)^\.B (sevmig_\w+)", manual)), names)


class Place(unittest.TestCase):
    """Where the unit has it written, everybody can read it, and the records stay what they are."""

    UNIT = TOP / "plugin/data/sevmigd.service.in"

    def setting(self, name):
        value, = re.findall(rf"(?m)^{name}=(.*)$", self.UNIT.read_text())
        return value

    def test_manual_links_what_the_unit_writes(self):
        path = self.setting("ExecStart").split("--metrics ")[1].replace("%t", "/run")
        self.assertEqual(Path(path).parent, Path("/run") / self.setting("RuntimeDirectory"))
        self.assertEqual(self.setting("RuntimeDirectoryMode"), "0755")
        self.assertEqual(self.setting("StateDirectoryMode"), "0750")
        manual = (TOP / "plugin/man/sevmigd.8").read_text().replace("\\-", "-")
        self.assertIn(f"\nln -s {path} ", manual)
        self.assertNotIn("-G sevmig", manual, "the group reads the records")


class Rules(unittest.TestCase):
    def promtool(self, *arguments):
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_check(self):
        self.assertIn("5 rules found", self.promtool("check", "rules", "--lint-fatal", str(RULES)))

    def test_alerts(self):
        with tempfile.TemporaryDirectory(prefix="sevmig-metrics-") as directory:
            path = Path(directory) / "rules.test.yml"
            path.write_text((Path(__file__).parent / "rules.test.yml").read_text().replace("RULES", str(RULES)))
            self.assertIn("SUCCESS", self.promtool("test", "rules", str(path)))


class Scraped(unittest.TestCase):
    """sevmigd's file -> node exporter -> Prometheus -> queries; and the other format without the exporter."""

    @classmethod
    def setUpClass(cls):
        cls.directory = Path(tempfile.mkdtemp(prefix="sevmig-metrics-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        (cls.directory / "textfile").mkdir()
        cls.files = cls.directory / "textfile/sevmig.prom", cls.directory / "sevmig.txt"
        cls.step(0)
        exporter, prometheus = free_port(), free_port()
        cls.spawn("prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
                  f"--collector.textfile.directory={cls.directory}/textfile",
                  f"--web.listen-address=127.0.0.1:{exporter}")
        config = cls.directory / "prometheus.yml"
        config.write_text(CONFIG.format(rules=RULES, exporter=exporter, openmetrics=cls.serve_openmetrics()))
        cls.spawn("prometheus", f"--config.file={config}", f"--storage.tsdb.path={cls.directory}/data",
                  f"--web.listen-address=127.0.0.1:{prometheus}")
        cls.exporter, cls.prometheus = f"http://127.0.0.1:{exporter}", f"http://127.0.0.1:{prometheus}"
        wait_until("both are scraped", lambda: len(cls.query("up == 1")) == 2, 60)
        cls.step(1)
        wait_until("the second round is there in both",
                   lambda: len(cls.query('sevmig_migrations_total{result="failed"} == 2')) == 2)

    @classmethod
    def step(cls, number):
        for path in cls.files:
            sample(path, number)

    @classmethod
    def spawn(cls, *command):
        with open(cls.directory / f"{command[0]}.log", "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)

    @classmethod
    def serve_openmetrics(cls):
        path = cls.files[1]

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = path.read_bytes()
                self.send_response(200)
                self.send_header("Content-Type", OPENMETRICS)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server.server_port

    @classmethod
    def api(cls, path, **arguments):
        text = fetch(f"{cls.prometheus}/api/v1/{path}?{urllib.parse.urlencode(arguments)}")
        return json.loads(text)["data"] if text else {"result": [], "alerts": []}

    @classmethod
    def query(cls, expression):
        return cls.api("query", query=expression)["result"]

    def figure(self, expression):
        only, = self.query(expression)
        return float(only["value"][1])

    def test_figures(self):
        for job in ("node", "openmetrics"):
            with self.subTest(job=job):
                self.assertEqual(self.figure(f'sevmig_migration_predicted_downtime_seconds{{job="{job}",domain="db-1"}}'),
                                 0.28)
                self.assertEqual(self.figure(f'sevmig_migration_dirty_bytes_per_second{{job="{job}",domain="db-1"}}'),
                                 1520.25 * 4096)
                self.assertEqual(self.figure(f'sevmig_migrations_total{{job="{job}",result="done"}}'), 6)
                self.assertEqual(self.figure(f'sevmig_encrypted_pages_total{{job="{job}"}}'),
                                 2 * (70000 + 1000) + 10 * 70000)
                self.assertAlmostEqual(self.figure(f'sevmig_downtime_seconds_sum{{job="{job}"}}'), 2 * 0.995)
                odd, = self.query(f'sevmig_migration_batch_pages{{job="{job}",domain=~"(?s)odd.*"}}')
                self.assertEqual(odd["metric"]["domain"], ODD)

    def test_exporter_has_nothing_to_complain_of(self):
        text = fetch(f"{self.exporter}/metrics")
        self.assertIn("node_textfile_scrape_error 0", text)
        for kind in ("sevmig_migrations_total counter", "sevmig_downtime_seconds histogram",
                     "sevmig_migration_throttle_ratio gauge"):
            self.assertIn(f"# TYPE {kind}\n", text)

    def test_alerts_are_seen(self):
        """The stalled guests are pending, the goal that was missed between the two rounds fires."""
        def states():
            return {(a["labels"]["alertname"], a["state"]) for a in self.api("alerts")["alerts"]}
        wait_until("the alerts are there", lambda: states() >= {("SevmigMigrationStalled", "pending"),
                                                               ("SevmigDowntimeGoalMissed", "firing")})
        health = {rule["name"]: rule["health"] for group in json.loads(fetch(f"{self.prometheus}/api/v1/rules"))
                  ["data"]["groups"] for rule in group["rules"]}
        self.assertEqual(set(health.values()), {"ok"})

    def test_dashboard(self):
        """Every query of every panel answers with series; every variable has values."""
        dashboard = json.loads(DASHBOARD.read_text())
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        self.assertGreater(len(queries), 15)
        for query in queries:
            asked = query.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$domain", ".*")
            with self.subTest(query=query):
                self.assertNotIn("$", asked)
                self.assertTrue(self.query(asked), "no series")
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
                self.assertTrue(self.api(f"label/{label}/values", **{"match[]": metric}))
        used = set(re.findall(r"sevmig_\w+", " ".join(queries)))
        known = {s.split("{")[0].split(" ")[0] for s in self.files[1].read_text().splitlines() if s[0] != "#"}
        self.assertEqual({name for name in used if name not in known}, set())
        self.assertEqual(len({panel["id"] for panel in dashboard["panels"]}), len(dashboard["panels"]))


if __name__ == "__main__":
    unittest.main()
