# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold for the bill of materials that debian/sbom wrote beside packages."""

import hashlib
import json
import subprocess
import unittest
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

TOP = Path(__file__).resolve().parents[2]


def depends(deb):
    """The first word of each dependency."""
    text = subprocess.run(["dpkg-deb", "--field", deb, "Depends"], capture_output=True, text=True, check=True).stdout
    return {part.split("|")[0].split()[0] for part in text.split(",") if part.strip()}


def problem(text):
    """What the schema of CycloneDX says against it, in a line or two; none: an empty text."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return str(error)[:400] if error else ""


class BillCase(unittest.TestCase):
    def check(self, directory):
        """The bill of the packages in a directory; returns it."""
        path, = directory.glob("*.cdx.json")
        bill = json.loads(path.read_text())
        self.assertEqual(problem(path.read_text()), "")
        self.assertNotEqual(problem(json.dumps(bill | {"components": [{"type": "none"}]})), "")
        references = [component["bom-ref"] for component in bill["components"]]
        self.assertEqual(len(references), len(set(references)))
        for edge in bill["dependencies"]:
            self.assertLessEqual(set(edge["dependsOn"]), set(references))
        debs = sorted(directory.glob("*.deb"))
        self.assertGreater(len(debs), 0)
        for deb in debs:
            self.check_package(bill, deb)
        self.check_qemu(bill)
        return bill

    def check_package(self, bill, deb):
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        mine, = (part for part in bill["components"] if {"alg": "SHA-256", "content": digest} in part.get("hashes", ()))
        self.assertEqual(mine["name"], deb.name.partition("_")[0])
        needed, = (edge["dependsOn"] for edge in bill["dependencies"] if edge["ref"] == mine["bom-ref"])
        by_reference = {part["bom-ref"]: part["name"] for part in bill["components"]}
        self.assertLessEqual(depends(deb), {by_reference[reference] for reference in needed})

    def check_qemu(self, bill):
        """The source that the patches are for is the one that qemu/build verifies."""
        qemu, = (part for part in bill["components"] if part["bom-ref"].endswith("#patched") and part["name"] == "qemu")
        hashes = {entry["content"] for reference in qemu["externalReferences"] for entry in reference["hashes"]}
        pinned = {line.split()[1] for line in (TOP / "qemu/sources").read_text().splitlines()
                  if line.startswith("sha256")}
        self.assertEqual(hashes, pinned)
        series = (TOP / "qemu/patches/series").read_text().split()
        self.assertEqual([patch["diff"]["url"] for patch in qemu["pedigree"]["patches"]],
                         [f"qemu/patches/{name}" for name in series])
