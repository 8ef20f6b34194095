# SPDX-License-Identifier: LGPL-2.1-or-later
"""Benchmarks: `lab bench NAME` runs bench_NAME.py. They measure and report; they do not judge."""
