# SPDX-License-Identifier: LGPL-2.1-or-later
"""The pages that sevmigctl report writes, in a real browser: drawn, quiet, inert, and alone."""

import http.server
import json
import os
import subprocess
import threading
import time
import unittest
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SEVMIG_BUILD", TOP / "build"))
CTL = BUILD / "install.plugin/usr/bin/sevmigctl"
OUTPUT = BUILD / "report"   # pages and screenshots stay there
TRACES = sorted((TOP / "tests/golden").glob("*.trace"))
LAB = TOP / "tests/golden/lab-tiny-low-downtime.trace"
CANVASES = {"switchover", "remaining", "rates", "predicted", "throttle", "batch", "timeline"}
HOSTILE = "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=1'>\u202e\x1b"
# Pixels that anything was painted on.
PAINTED = """const c = document.getElementById(arguments[0]);
const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n;"""
# Those of a curve's own colour, or nearly.
COLOURED = """const c = document.getElementById(arguments[0]);
const probe = document.createElement('canvas').getContext('2d');
probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--' + arguments[1]).trim();
probe.fillRect(0, 0, 1, 1);
const want = probe.getImageData(0, 0, 1, 1).data, d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
let n = 0;
for (let i = 0; i < d.length; i += 4)
  n += d[i + 3] > 60 && Math.abs(d[i] - want[0]) + Math.abs(d[i + 1] - want[1]) + Math.abs(d[i + 2] - want[2]) < 24;
return n;"""
X_RANGES = "return Object.values(Chart.instances).filter(c => c.canvas.id !== 'switchover')" \
           ".map(c => [c.scales.x.min, c.scales.x.max]);"


class PageCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        OUTPUT.mkdir(exist_ok=True)
        options = webdriver.ChromeOptions()
        # The tests run as root in a tree of their own, where the browser's sandbox cannot be.
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                         "--hide-scrollbars", "--window-size=1200,1000"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        cls.browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        self.browser.set_window_size(1200, 1000)
        self.scheme("light")

    def scheme(self, name):
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": name}]})

    def run_js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def open(self, record, name=None):
        """Writes the page of a record and opens it; it must be drawn and the console be silent."""
        page = OUTPUT / f"{name or record.stem}.html"
        subprocess.run([CTL, "report", record, "-o", page], check=True, timeout=60)
        self.browser.get(page.as_uri())
        self.assertEqual(self.run_js("return document.documentElement.dataset.drawn"), "yes", self.console())
        self.assertEqual(self.console(), [])
        return page

    def wait_until(self, what, test):
        """The browser tells the page of other colours or sizes in its own time."""
        end = time.monotonic() + 10
        while not test():
            self.assertLess(time.monotonic(), end, f"waited in vain until {what}")
            time.sleep(0.05)

    def console(self):
        return self.browser.get_log("browser")

    def screenshot(self, name):
        height = self.run_js("return document.documentElement.scrollHeight")
        self.browser.set_window_size(1200, height + 150)
        self.browser.save_screenshot(str(OUTPUT / f"{name}.png"))


class Drawn(PageCase):
    def test_every_record(self):
        for record in TRACES:
            with self.subTest(record=record.name):
                self.open(record)
                self.assertEqual({c.get_attribute("id") for c in self.browser.find_elements("css selector", "canvas")},
                                 CANVASES)
                for canvas in CANVASES:
                    self.assertGreater(self.run_js(PAINTED, canvas), 500, canvas)

    def test_curves(self):
        self.open(LAB)
        for canvas, colour in (("remaining", "remaining"), ("rates", "dirty"), ("rates", "encrypt"),
                               ("predicted", "predicted"), ("predicted", "goal"), ("throttle", "throttle"),
                               ("batch", "batch"), ("timeline", "throttle"), ("switchover", "predicted")):
            self.wait_until(f"{colour} is on {canvas}", lambda: self.run_js(COLOURED, canvas, colour) > 30)
        self.screenshot("report-light")

    def test_dark(self):
        """Curves change their colour with the scheme, while the page is open."""
        self.open(LAB)
        light = self.run_js("return getComputedStyle(document.body).backgroundColor")
        self.scheme("dark")
        self.assertNotEqual(self.run_js("return getComputedStyle(document.body).backgroundColor"), light)
        self.wait_until("the curve has its dark colour", lambda: self.run_js(COLOURED, "rates", "encrypt") > 30)
        self.screenshot("report-dark")

    def test_figures(self):
        self.open(LAB)
        data = json.loads(self.run_js("return document.getElementById('data').textContent"))
        self.assertEqual(self.find("h1").text, "tiny done")
        self.assertIn("goal of 100 ms met", self.find("#cards").text)
        rows = self.browser.find_elements("css selector", "#decisions tbody tr")
        self.assertEqual(len(rows), len(data["decisions"]))
        for row, decision in zip(rows, data["decisions"]):
            self.assertTrue(row.get_property("textContent").endswith(decision["reason"]))

    def test_narrow(self):
        self.open(LAB)
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False})
        try:
            self.wait_until("the page is as narrow as its window",
                            lambda: self.run_js("return document.documentElement.scrollWidth") <= 400)
        finally:
            self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


class Used(PageCase):
    def test_zoom(self):
        self.open(LAB)
        whole = self.run_js(X_RANGES)
        canvas = self.find("#rates")
        ActionChains(self.browser).move_to_element_with_offset(canvas, -100, 0).click_and_hold() \
            .move_by_offset(200, 0).release().perform()
        zoomed = self.run_js(X_RANGES)
        self.assertEqual(len({tuple(x) for x in zoomed}), 1, "all charts show the same time")
        self.assertGreater(zoomed[0][0], whole[0][0])
        self.assertLess(zoomed[0][1], whole[0][1])
        self.assertTrue(self.find("#reset").is_displayed())
        ActionChains(self.browser).double_click(canvas).perform()
        self.assertEqual(self.run_js(X_RANGES), whole)
        self.assertFalse(self.find("#reset").is_displayed())
        self.assertEqual(self.console(), [])

    def test_pointing_reads_the_figures(self):
        self.open(LAB)
        data = json.loads(self.run_js("return document.getElementById('data').textContent"))
        ActionChains(self.browser).move_to_element(self.find("#batch")).perform()
        shown = {figure.text.split()[0]: figure.text for figure in self.browser.find_elements("css selector", "figure")}
        middle = self.run_js("const c = Object.values(Chart.instances).find(c => c.canvas.id === 'batch');"
                             "return c.scales.x.getValueForPixel(c.canvas.getBoundingClientRect().width / 2)")
        at = min(range(len(data["curves"]["at_us"])), key=lambda i: abs(data["curves"]["at_us"][i] / 1e6 - middle))
        self.assertIn(f"pages a submission {data['curves']['batch_pages'][at]}", shown["Batch"])

    def test_pointing_at_a_decision(self):
        self.open(LAB)
        data = json.loads(self.run_js("return document.getElementById('data').textContent"))
        index = next(i for i, d in enumerate(data["decisions"]) if d["action"] == "throttle")
        x, y = self.run_js("""const c = Object.values(Chart.instances).find(c => c.canvas.id === 'timeline');
            const box = c.canvas.getBoundingClientRect();
            return [c.scales.x.getPixelForValue(arguments[0]) - box.width / 2,
                    c.scales.y.getPixelForValue(c.data.labels ? 0 : arguments[1]) - box.height / 2];""",
                           data["decisions"][index]["at_us"] / 1e6,
                           sorted({d["action"] for d in data["decisions"]},
                                  key=[d["action"] for d in data["decisions"]].index).index("throttle"))
        ActionChains(self.browser).move_to_element_with_offset(self.find("#timeline"), int(x), int(y)).perform()
        self.assertIn(data["decisions"][index]["reason"], self.find("#why").text)

    def test_kinds_are_hidden(self):
        self.open(LAB)
        count = "return [...document.querySelectorAll('#decisions tbody tr')].filter(r => !r.hidden).length"
        before = self.run_js(count)
        self.find("#kinds button").click()
        self.assertLess(self.run_js(count), before)
        self.find("#kinds button").click()
        self.assertEqual(self.run_js(count), before)


class Inert(PageCase):
    def test_hostile_names(self):
        lines = LAB.read_text().splitlines()
        header, step = json.loads(lines[0]), json.loads(lines[2])
        header.update(domain=HOSTILE, policy=HOSTILE, uuid=HOSTILE)
        step["actions"][0]["reason"] = HOSTILE[:150]
        lines[0], lines[2] = json.dumps(header), json.dumps(step)
        record = OUTPUT / "hostile.jsonl"
        record.write_text("\n".join(lines) + "\n")
        self.open(record)
        self.assertIsNone(self.run_js("return window.pwned === undefined ? null : window.pwned"))
        self.assertEqual(self.run_js("return document.images.length + document.links.length"), 0)
        self.assertEqual(self.run_js("return document.scripts.length"), 3)
        shown = self.find("#domain").get_property("textContent")
        self.assertEqual(shown, HOSTILE.replace("\u202e", "?").replace("\x1b", "?"))
        self.assertIn(HOSTILE[:60], self.find("#decisions").get_property("textContent"))

    def test_no_network_and_no_other_script(self):
        """What a page that was broken into would try."""
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_error(404)

            def log_message(self, *_arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"http://127.0.0.1:{server.server_port}"
        self.open(LAB)
        refused = self.browser.execute_async_script("""const [where, done] = arguments;
            const image = new Image();
            image.src = where + '/image';
            const script = document.createElement('script');
            script.textContent = 'window.pwned = 1';
            document.body.append(script);
            const frame = document.createElement('iframe');
            frame.src = where + '/frame';
            document.body.append(frame);
            fetch(where + '/fetch', {mode: 'no-cors'}).then(() => done(false), () => setTimeout(() => done(true), 300));""",
                                                        where)
        self.assertTrue(refused)
        self.assertIsNone(self.run_js("return window.pwned === undefined ? null : window.pwned"))
        self.assertEqual(asked, [])
        self.assertGreaterEqual(sum("Content Security Policy" in line["message"] for line in self.console()), 3)


if __name__ == "__main__":
    unittest.main()
