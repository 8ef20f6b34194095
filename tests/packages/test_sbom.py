# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bill of materials of the packages."""

import unittest

from bills import BillCase
from built import PACKAGES


class Bill(BillCase):
    def test_bill(self):
        bill = self.check(PACKAGES)
        # What is copied into a program is not among what its package depends on.
        sevmig, = (edge for edge in bill["dependencies"] if edge["ref"].startswith("pkg:deb/sevmig/sevmig@"))
        self.assertTrue(any("libjs-chart.js@" in reference for reference in sevmig["dependsOn"]))


if __name__ == "__main__":
    unittest.main()
