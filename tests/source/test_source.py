# SPDX-License-Identifier: LGPL-2.1-or-later
"""House rules that a program can check, on the sources as git knows them."""

import os
import re
import subprocess
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CODE = (".c", ".h", ".py", ".sh", ".build", ".rng", ".xml", ".conf", ".in")
# Documents of the tests are data: some are broken on purpose.
DATA = ("tests/policy/", "tests/hook/", "tests/golden/", "tests/cli/golden", "tests/lab/golden", "tests/fuzz/parsers/corpus")


def tracked():
    """Every file of the project: what git knows or, in a tree without git, all but the build."""
    git = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
                         cwd=TOP, check=False, capture_output=True, text=True)
    if git.returncode == 0:
        names = git.stdout.split("\0")
    else:
        names = [os.path.relpath(os.path.join(place, name), TOP) for place, _, files in os.walk(TOP) for name in files]
        names = [name for name in names if not name.startswith(("build/", ".git"))]
    return sorted(name for name in names if name and os.path.isfile(os.path.join(TOP, name)))


def text_of(name):
    with open(os.path.join(TOP, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def is_test(path, name):
    """Whether that file has a test of that name: CLASS.FUNCTION in Python, else a string."""
    if not os.path.isfile(os.path.join(TOP, path)):
        return False
    if not path.endswith(".py") or "." not in name:
        return f'"{name}"' in text_of(path)
    owner, _, function = name.partition(".")
    body = re.search(rf"^class {owner}\b.*?(?=^\S|\Z)", text_of(path), re.MULTILINE | re.DOTALL)
    return bool(body) and f"    def {function}(self" in body.group()


class Source(unittest.TestCase):
    def test_every_source_names_its_licence(self):
        missing = []
        for name in tracked():
            if name.startswith(DATA) and not name.endswith((".c", ".h", ".py")):
                continue
            code = name.endswith(CODE) or text_of(name)[:2] == "#!"
            if code and "SPDX-License-Identifier" not in text_of(name)[:600]:
                missing.append(name)
        self.assertEqual(missing, [])

    def test_dependencies_point_down(self):
        """control <- simulation, policy <- daemon -> qmp; swpsp and qemu depend on nothing of plugin/ or qmp/."""
        allowed = {
            "plugin/control/": ("sevmig-control",),
            "plugin/simulation/": ("sevmig-arbiter", "sevmig-control", "sevmig-simulation"),
            "qmp/": ("qmpc",),
            "qemu/swpsp/": ("swpsp",),
        }
        wrong = []
        for name in tracked():
            for place, prefixes in allowed.items():
                if not (name.startswith(place) and name.endswith((".c", ".h"))):
                    continue
                for header in re.findall(r'#include "([^"]+)"', text_of(name)):
                    local = os.path.exists(os.path.join(TOP, os.path.dirname(name), header))
                    if not local and header != "sevmig-config.h" and not header.startswith(prefixes):
                        wrong.append(f"{name} includes {header}")
        self.assertEqual(wrong, [])

    def test_shell_scripts_are_clean(self):
        scripts = [n for n in tracked() if re.match(r"#!.*\b(ba)?sh\b", text_of(n)[:40]) or n.endswith(".sh")]
        self.assertIn("lab", scripts)
        result = subprocess.run(["shellcheck", "-x", *scripts], cwd=TOP, capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_manual_pages_are_clean(self):
        pages = [n for n in tracked() if re.search(r"\.[1-8]$", n)]
        self.assertTrue(pages)
        for page in pages:
            with self.subTest(page=page):
                result = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page], cwd=TOP,
                                        capture_output=True, text=True, check=False)
                self.assertEqual(result.stderr, "")
                self.assertEqual(result.returncode, 0)

    def test_security_s_tests_exist(self):
        """SECURITY.md names a test for each row of its table, as FILE:NAME, and no row is missing or of no use."""
        text = text_of("SECURITY.md")
        named = re.findall(r"`(tests/[^`]+)`", text)
        self.assertTrue(named)
        self.assertNotIn("TBD", text)
        self.assertEqual([name for name in named if not is_test(*name.partition(":")[::2])], [])
        rows = re.findall(r"^\| (\d+) \|.*\| ([^|]*) \|$", text, re.MULTILINE)
        self.assertEqual([row for row, tests in rows if "`tests/" not in tests], [])
        cells = [cell for line in re.findall(r"^\| \*\*.*\*\* \|(.*)\|$", text, re.MULTILINE)
                 for cell in re.findall(r"\d+", line)]
        self.assertEqual(cells, [row for row, _tests in rows])


if __name__ == "__main__":
    unittest.main()
