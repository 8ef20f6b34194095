# SPDX-License-Identifier: LGPL-2.1-or-later
"""That the other tests' assertion of where a guest runs looks at both hosts."""

import libvirt

from lab import guests
from lab.hosts import HOSTS
from scene import HostCase


class RunsOn(HostCase):
    def test_exactly_one_host(self):
        guest = self.start("double", workload="idle")
        self.assert_runs_on(guest, HOSTS["a"])
        with self.assertRaisesRegex(AssertionError, "runs on host b"):
            self.assert_runs_on(guest, HOSTS["b"], 0.5)
        left = HOSTS["b"].connect().createXML(guests.domain_xml(guest), libvirt.VIR_DOMAIN_START_PAUSED)
        with self.assertRaisesRegex(AssertionError, "is on no other"):
            self.assert_runs_on(guest, HOSTS["a"], 0.5)
        left.resume()
        with self.assertRaisesRegex(AssertionError, "runs twice"):
            self.assert_runs_on(guest, HOSTS["a"], 0.5)
