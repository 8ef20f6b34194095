# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's guests, migrations and demonstration; `lab` (the script) raises the hosts."""
