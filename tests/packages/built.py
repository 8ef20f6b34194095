# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `lab build packages` made."""

import os
from pathlib import Path

BUILD = Path(os.environ.get("SEVMIG_BUILD", Path(__file__).resolve().parents[2] / "build"))
PACKAGES = BUILD / "packages"
CLEAN = BUILD / "clean"


def package(name: str, directory: Path = PACKAGES) -> Path:
    found = sorted(directory.glob(f"{name}_*.deb"))
    if len(found) != 1:
        raise AssertionError(f"{directory} has {len(found)} packages {name}")
    return found[0]
