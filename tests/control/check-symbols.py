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
    'ceil', 'exp2f', 'floor', 'fmax', 'fmaxf', 'fmin', 'fminf', 'log2f', 'pow', 'powf',
    # what the compiler adds
    '_GLOBAL_OFFSET_TABLE_', '__stack_chk_fail',
}
# Sanitizers instrument every function; their own symbols are no calls of ours.
INSTRUMENTED = re.compile(r'^__(asan|ubsan|sanitizer|gcov|lsan|tsan)')
# File-scope state has no place in a pure function; constant tables of pointers are only relocated.
WRITABLE = re.compile(r'^(\.data|\.bss|\*COM\*)(?!\.rel\.ro)')


def main():
    nm, archive = sys.argv[1:]
    out = subprocess.run([nm, '--format=sysv', archive], check=True, capture_output=True,
                         text=True).stdout
    defined, undefined, writable = set(), set(), set()
    for line in out.splitlines():
        fields = [field.strip() for field in line.split('|')]
        if len(fields) != 7:
            continue
        name, kind, section = fields[0], fields[2], fields[6]
        if kind in ('U', 'w'):
            undefined.add(name)
        else:
            defined.add(name)
            if WRITABLE.match(section) and not name.startswith(('__', '.', '*.')):
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
