# SPDX-License-Identifier: LGPL-2.1-or-later
"""Twenty migrations whose QEMUs and libvirt are fakes."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from bus_case import PROPERTIES, BusCase, wait_until


class Migrations(BusCase):
    """Twenty migrations, whose QEMUs count the ticks that come to them, while something is wrong."""

    N = 20

    def setUp(self):
        self.qemus_dir = tempfile.TemporaryDirectory(prefix="sevmig-qemus-")
        self.addCleanup(self.qemus_dir.cleanup)
        socket_path = pathlib.Path(self.qemus_dir.name, "qemus")
        self.qemus = subprocess.Popen([os.environ["FAKE_QEMUS"], socket_path], stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.qemus.stdout.close)
        self.addCleanup(self.qemus.wait)
        self.addCleanup(self.qemus.kill)
        wait_until("the QEMUs are there", socket_path.is_socket)
        self.monitors = str(socket_path)
        super().setUp()
        wait_until("all are steered", lambda: self.steered() == self.N)

    def environment(self):
        options = os.environ.get("ASAN_OPTIONS", "")
        return dict(os.environ, LD_PRELOAD=os.environ["FAKE_LIBVIRT"], FAKE_DOMAINS=str(self.N),
                    FAKE_QEMUS=self.monitors, ASAN_OPTIONS=f"{options}:verify_asan_link_order=0:detect_leaks=0")

    def say(self, name, number):
        """To the fake libvirt."""
        pathlib.Path(self.qemus_dir.name, name).write_text(f"{number:016d}", encoding="ascii")

    def places(self):
        self.before_start()
        return super().places()

    def before_start(self):
        """For those who need something to be wrong by then."""

    def steered(self):
        return sum(self.call("GetAll", "org.sevmig1.Migration", interface=PROPERTIES, path=path)["State"] == "steered"
                   for path in self.call("ListMigrations", True))

    @contextlib.contextmanager
    def ticks_go_on(self, seconds=3):
        """Meanwhile, and afterwards, each QEMU hears at least one tick in four."""
        self.qemus.send_signal(signal.SIGUSR1)
        begun = time.monotonic()
        yield
        time.sleep(max(0, begun + seconds - time.monotonic()))
        self.assertEqual(self.steered(), self.N)
        elapsed = time.monotonic() - begun
        self.qemus.terminate()
        told = json.loads(self.qemus.stdout.read())
        self.assertGreater(told["ticks"], self.N * elapsed * 10 / 4, told)
