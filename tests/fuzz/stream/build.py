# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the stream fuzzers from a QEMU that qemu/build has built.

The files of migration are compiled anew, with QEMU's own options and sanitizers; everything else is
linked as it is. Needs clang with its runtime (libFuzzer).
"""

import json
import os
import pathlib
import shlex
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = ('load', 'source')
COMMON = ('guest', 'firmware')
# What is looked into; the switch of stacks so that AddressSanitizer knows of it.
INSTRUMENTED = ('migration/sev-', 'migration/ram.c', 'migration/qemu-file.c', 'migration/savevm.c',
                'migration/migration.c', 'util/coroutine-ucontext.c')
SANITIZE = 'address,undefined'
FLAGS = ['-w', '-O1', '-g', '-fno-omit-frame-pointer', '-fno-sanitize-recover=all',
         '-DCONFIG_ASAN_IFACE_FIBER']
WRAP = ('register_savevm_live', 'thread_pool_submit_co', 'vm_start', 'runstate_set',
        'dirty_bitmap_mig_before_vm_start')


class Build:
    """Compiles and links in QEMU's build directory, into one of its own."""

    def __init__(self, obj, output):
        self.obj, self.output = obj, output
        commands = json.loads((obj / 'compile_commands.json').read_text())
        self.commands = {entry['output']: entry for entry in commands}

    def run(self, argv):
        subprocess.run(argv, cwd=self.obj, check=True)

    def compile(self, source, options, result):
        """Compiles unless the result is newer than the source and all it includes."""
        depends = result.with_suffix('.d')
        if not newer(result, included(depends, self.obj)):
            print(f'compile {source}', flush=True)
            self.run(['clang', *options, *FLAGS, f'-fsanitize={SANITIZE},fuzzer-no-link',
                      '-MD', '-MF', str(depends), '-o', str(result), '-c', str(source)])
        return str(result)

    def instrument(self):
        """QEMU's object files that are compiled anew, and what takes their place."""
        instead = {}
        for output, entry in self.commands.items():
            source = entry['file'].removeprefix('../').removeprefix('src/')
            if source.startswith(INSTRUMENTED):
                result = self.output / (source.replace('/', '_') + '.o')
                instead[output] = self.compile(entry['file'], options_of(entry), result)
        return instead

    def harness(self, name):
        """An object file of ours, compiled as migration's are."""
        entry = next(e for e in self.commands.values() if e['file'].endswith('/sev-migration.c'))
        options = [*options_of(entry), '-iquote', os.path.dirname(entry['file']), '-I.', '-Iqapi']
        return self.compile(HERE / f'{name}.c', options, self.output / f'{name}.o')

    def link_arguments(self):
        """How QEMU itself is linked, without its compiler and the name of the program."""
        listed = subprocess.run(['ninja', '-t', 'compdb', '-x', 'c_LINKER_RSP'], cwd=self.obj,
                                check=True, capture_output=True, text=True).stdout
        command = next(entry['command'] for entry in json.loads(listed)
                       if entry['output'] == 'qemu-system-x86_64')
        argv = shlex.split(command)
        return argv[argv.index('-o') + 2:]

    def link(self, target, ours, instead):
        program = self.output / f'fuzz-{target}'
        arguments = [instead.get(a, a) for a in self.link_arguments()
                     if not a.endswith('system_main.c.o')]
        # An object in a library is replaced by being there before
        extra = [new for old, new in instead.items() if new not in arguments]
        if newer(program, [self.obj / a for a in [*ours, *extra, *arguments]
                           if a.endswith(('.o', '.a'))]):
            return
        print(f'link {program.name}', flush=True)
        self.run(['clang', f'-fsanitize={SANITIZE},fuzzer',
                  *(f'-Wl,--wrap={name}' for name in WRAP), '-o', str(program),
                  *ours, *extra, *arguments])


def options_of(entry):
    """The compiler's options of a file of QEMU, without its output."""
    argv = shlex.split(entry['command'])
    argv = argv[next(i for i, a in enumerate(argv) if a.startswith('-')):]
    for option in ('-MQ', '-MF', '-o', '-c'):
        at = argv.index(option)
        del argv[at:at + 2]
    argv.remove('-MD')
    return argv


def newer(result, files):
    """Whether the result is there and younger than all it was made of."""
    if not result.exists():
        return False
    made = result.stat().st_mtime
    return all(f.exists() and f.stat().st_mtime <= made for f in [*files, pathlib.Path(__file__)])


def included(depends, directory):
    """What the compiler has read, or something that is nowhere."""
    if not depends.exists():
        return [depends]
    names = depends.read_text().replace('\\\n', ' ').split(':', 1)[1].split()
    return [directory / name for name in names]


def build(qemu, output):
    """Builds every target; `qemu` is where qemu/build worked."""
    output.mkdir(parents=True, exist_ok=True)
    maker = Build(qemu.resolve() / 'obj', output.resolve())
    instead = maker.instrument()
    common = [maker.harness(name) for name in COMMON]
    for target in TARGETS:
        maker.link(target, [maker.harness(target), *common], instead)
