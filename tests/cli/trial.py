# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of `sevmigctl simulate` and `replay` share: no sevmigd, no bus.

Figures and decisions are the controller's and have tests of their own: here they are compared with
each other, never with what they were yesterday.

Arguments of such a program: SEVMIGCTL TOP
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

CTL, TOP = sys.argv[1:3]
POLICIES = os.path.join(TOP, "policies")

POLICY = """<?xml version="1.0" encoding="UTF-8"?>
<policy xmlns="urn:sevmig:policy:1" name="{name}"><goals>{goals}</goals>{more}</policy>
"""


class TrialCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="sevmigctl-")
        self.addCleanup(directory.cleanup)
        self.directory = directory.name

    def ctl(self, *arguments, columns=None, **options):
        env = dict(os.environ, LC_ALL="C.UTF-8", DBUS_SYSTEM_BUS_ADDRESS="unix:path=/no/such/bus")
        env.pop("COLUMNS", None)
        if columns:
            env["COLUMNS"] = str(columns)
        return subprocess.run([CTL, *arguments], env=env, text=True, check=False, capture_output=True,
                              timeout=120, **options)

    def good(self, *arguments, columns=None):
        done = self.ctl(*arguments, columns=columns)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def fails(self, status, *arguments, **options):
        """Standard error, which is one line, of an invocation that prints nothing else."""
        done = self.ctl(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertRegex(done.stderr, r"\Asevmigctl: [^\n]+\n\Z")
        return done.stderr

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return path

    def policy(self, name, goals="", more=""):
        return self.write(f"{name}.xml", POLICY.format(name=name, goals=goals, more=more))

    def without_rights(self, path):
        """What `fails` needs to be a user who may not read that file."""
        os.chmod(path, 0)
        if os.geteuid() != 0:
            return {}
        os.chmod(self.directory, 0o755)
        program = shutil.copy(CTL, self.directory)
        os.chmod(program, 0o755)
        return {"executable": program, "user": 65534, "cwd": "/"}
