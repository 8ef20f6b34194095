# SPDX-License-Identifier: LGPL-2.1-or-later
"""The patched QEMU and swpsp, without libvirt: what the migration itself costs and reports.

Every value of the summary is a median over the runs; where a key stands for several cases it is
the worst of them.
"""

from __future__ import annotations

from . import qemu_bulk, qemu_free, qemu_link, qemu_switchover, qemu_throttle, theory

# Of the cost model, before the time scale; `scale` and `f` stand beside each figure.
CONDITIONS = {"page_us": theory.PAGE_US, "submit_share_of_fixed_cost": theory.SUBMIT_SHARE,
              "command_pages": theory.COMMAND_PAGES}

PARTS = [qemu_bulk.PART, qemu_link.OVERLAP, qemu_link.ZERO_COST, qemu_switchover.LATE,
         qemu_throttle.ACCURACY, qemu_throttle.LEASE, qemu_switchover.DOWNTIME,
         qemu_switchover.QMP, qemu_free.PART]
