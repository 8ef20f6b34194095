#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Entry of the lab's Python part; `lab` runs it in the Debian 13 tree."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.cli import main  # noqa: E402

sys.exit(main())
