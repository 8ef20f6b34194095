# SPDX-License-Identifier: LGPL-2.1-or-later
"""Busy guests: every vCPU runs busy.S for ever."""

import subprocess
import time

import harness


def build(directory):
    """The boot floppy; its path."""
    image = directory / 'busy.img'
    obj = directory / 'busy.o'
    subprocess.check_call(['gcc', '-m32', '-c', '-o', obj, harness.HERE / 'busy.S'])
    subprocess.check_call(['ld', '-m', 'elf_i386', '-Ttext=0', '-e', '0', '--oformat', 'binary',
                           '-o', image, obj])
    return image


def args(directory, vcpus=2, ram_mib=16, thread='multi'):
    return ['-accel', f'tcg,thread={thread}', '-cpu', 'max', '-smp', str(vcpus),
            '-m', str(ram_mib), '-machine', 'pc',
            '-drive', f'file={build(directory)},format=raw,if=floppy,readonly=on']


def vcpus(qemu):
    """What x-query-sev-migration says of each vCPU, by index."""
    info = qemu.qmp.cmd('x-query-sev-migration')
    return {vcpu['cpu-index']: vcpu for vcpu in info['vcpus']}


def throttled(qemu):
    """How long each vCPU has been kept from running, in microseconds."""
    return [vcpu['throttled-us'] for vcpu in vcpus(qemu).values()]


def work(qemu, vcpus=2):
    """What each vCPU has written so often into the first page of its own."""
    words = (qemu.qmp.cmd('human-monitor-command',
                          command_line=f'xp /1hx {0x10000 + 0x8000 * i:#x}') for i in range(vcpus))
    return [int(word.split(':')[1], 16) for word in words]


def wait_work(test, qemu, vcpus=2):
    """Wait until each vCPU has written again."""
    deadline = time.monotonic() + harness.PATIENCE_S
    start = work(qemu, vcpus)
    while any(now == before for now, before in zip(work(qemu, vcpus), start)):
        test.assertLess(time.monotonic(), deadline, 'the guest does not work')
        time.sleep(0.02)


def wait_busy(test, qemu, n):
    """Wait until n vCPUs have run for a while."""
    deadline = time.monotonic() + harness.PATIENCE_S
    start = vcpus(qemu)
    while True:
        now = vcpus(qemu)
        if sum(now[i]['cpu-us'] - start[i]['cpu-us'] > 100000 for i in now) == n:
            return
        test.assertLess(time.monotonic(), deadline, 'the guest is not busy')
        time.sleep(0.05)
