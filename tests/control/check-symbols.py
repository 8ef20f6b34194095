#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks that the controller calls nothing but arithmetic: no clock, I/O, allocation or locale.

usage: check-symbols.py NM ARCHIVE
"""
import re
import subprocess
import sys

ALLOWED = {
    # memory and text in the caller's buffers
    'memcpy', 'memset', 'memmove', 'memcmp', 'strlen', 'snprintf', 'vsnprintf',
    '__snprintf_chk', '__vsnprintf_chk', '__memcpy_chk', '__memset_chk',
    # libm
    'ceil', 'exp2', 'floor', 'fmax', 'fmin', 'log2', 'pow',
    # what the compiler adds
    '_GLOBAL_OFFSET_TABLE_', '__stack_chk_fail',
}
# Sanitizers instrument every function; their own symbols are no calls of ours.
INSTRUMENTED = re.compile(r'^__(asan|ubsan|sanitizer|gcov|lsan|tsan)')
DATA = 'bBdDcC'  # writable: file-scope state has no place in a pure function


def main():
    nm, archive = sys.argv[1:]
    out = subprocess.run([nm, archive], check=True, capture_output=True, text=True).stdout
    defined, undefined, writable = set(), set(), set()
    for line in out.splitlines():
        match = re.match(r'^(?:[0-9a-f]+)?\s+([A-Za-z])\s+(\S+)$', line)
        if not match:
            continue
        kind, name = match.groups()
        if kind in 'Uw':
            undefined.add(name)
        else:
            defined.add(name)
            if kind in DATA and not name.startswith(('__', '.', '*.')) and '.LASAN' not in name:
                writable.add(name)
    bad = sorted(n for n in undefined - defined
                 if n not in ALLOWED and not INSTRUMENTED.match(n))
    print('TAP version 14\n1..3')
    print('ok 1 - the archive defines sevmig_control_step'
          if 'sevmig_control_step' in defined else 'not ok 1 - not the controller')
    print(('not ' if bad else '') + 'ok 2 - calls only what is allowed')
    for name in bad:
        print(f'# not allowed: {name}')
    instrumented = any(INSTRUMENTED.match(n) for n in undefined)
    if instrumented:
        writable = set()
    print(('not ' if writable else '') + 'ok 3 - no writable data')
    for name in sorted(writable):
        print(f'# writable: {name}')
    return 1 if bad or writable or 'sevmig_control_step' not in defined else 0


sys.exit(main())
