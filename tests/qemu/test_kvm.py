#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's KVM backend against a double of the kernel (kvm/).

The files of the series are compiled as QEMU's build compiles them, with sanitizers, and linked with
a double of the ioctls that answers through swpsp's core. No hardware has run them.
"""

import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import tempfile
import unittest

import harness

OBJECTS = harness.BUILD / 'qemu/obj'
SWPSP = harness.BUILD / 'checks/qemu/swpsp/libswpsp.a'
HERE = harness.HERE / 'kvm'
SERIES = ('target/i386/sev-kvm-command.c', 'target/i386/sev-kvm-guest.c',
          'target/i386/sev-kvm-migration.c', 'migration/sev-pages-shared.c')
SANITIZE = ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined']


def run(*command, cwd=OBJECTS):
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f'{shlex.join(command)}\n{result.stdout}{result.stderr}'
    return result.stdout


def qemu_flags(name):
    """Where this source of QEMU is, and how QEMU compiles it."""
    for entry in json.loads((OBJECTS / 'compile_commands.json').read_text()):
        if entry['file'].endswith('/' + name):
            words = iter(shlex.split(entry['command']))
            flags = []
            for word in words:
                if word in ('-o', '-MF', '-MQ', '-c'):
                    next(words)
                elif word != '-MD':
                    flags.append(word)
            return (OBJECTS / entry['file']).resolve(), flags
    raise AssertionError(f'{OBJECTS} does not build {name}')


def compile_all(directory):
    """The files of the series, and the doubles and cases that are linked with them."""
    pkg = [word for word in shlex.split(run('pkg-config', '--cflags', 'glib-2.0'))]
    series = [qemu_flags(name) for name in SERIES]
    quoted = [f'-iquote{path.parent}' for path, _ in (series[0], series[-1])] + [f'-iquote{HERE}']
    jobs = [(path, flags) for path, flags in series]
    for path in sorted(HERE.glob('*.c')):
        if path.name == 'sev-double.c':     # knows the system's headers, not QEMU's
            swpsp = harness.ROOT / 'qemu/swpsp'
            jobs.append((path, ['cc', '-std=gnu11', '-g', '-Wall', '-Wextra', f'-I{swpsp}', *pkg]))
        else:
            jobs.append((path, series[0][1] + quoted))
    objects = [f'{directory}/{path.stem}.o' for path, _ in jobs]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job, out: run(*job[1], *SANITIZE, '-Werror', '-c', str(job[0]),
                                           '-o', out), jobs, objects))
    return objects


def build(directory):
    program = f'{directory}/test-sev-kvm'
    qom = [str(path) for name in ('qom', 'event-loop-base')
           for path in sorted((OBJECTS / f'lib{name}.a.p').glob('*.o'))]
    libraries = shlex.split(run('pkg-config', '--libs', 'glib-2.0', 'libcrypto', 'json-c'))
    run('cc', *SANITIZE, *compile_all(directory), *qom, 'libqemuutil.a', str(SWPSP), *libraries,
        '-lm', '-o', program)
    return program


class Kvm(unittest.TestCase):

    def test_against_double(self):
        harness.qemu_build()
        with tempfile.TemporaryDirectory() as directory:
            output = run(build(directory), cwd=directory)
            planned = int(re.search(r'^1\.\.(\d+)$', output, re.MULTILINE)[1])
            self.assertGreater(planned, 0)
            self.assertEqual(len(re.findall(r'^ok ', output, re.MULTILINE)), planned, output)


if __name__ == '__main__':
    unittest.main()
