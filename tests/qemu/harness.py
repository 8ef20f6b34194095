# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of the patched QEMU share: QEMU processes, a strict QMP client, swpsp.

SEVMIG_QEMU and SEVMIG_SWPSP name the binaries; without them the build tree's are used.
Everything a test starts is ended, by process id, when the test ends.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get('SEVMIG_BUILD', ROOT / 'build'))
QEMU = os.environ.get('SEVMIG_QEMU',
                      str(BUILD / 'install.qemu/usr/lib/sevmig/qemu-system-x86_64'))
SWPSP = os.environ.get('SEVMIG_SWPSP', str(BUILD / 'install.plugin/usr/bin/swpsp'))
# Where a QEMU that is not installed finds the guests' firmware.
FIRMWARE = [arg for path in ('/usr/share/seabios', '/usr/share/qemu') for arg in ('-L', path)]
# Generous: a test host may be slow. No test measures anything against it.
PATIENCE_S = 60


def qemu_build():
    """Where qemu/build worked: the sources and objects of the QEMU under test."""
    place = pathlib.Path(os.environ.get('SEVMIG_QEMU_BUILD', BUILD / 'qemu'))
    if not (place / 'obj/build.ninja').exists():
        raise unittest.SkipTest('SEVMIG_QEMU names a program, and its build is not here')
    return place


class QmpError(Exception):
    """An error reply: its class and its words."""

    def __init__(self, error):
        super().__init__(error['desc'])
        self.error_class = error['class']
        self.desc = error['desc']


class Qmp:
    """One QMP session. Anything unexpected on the line is an AssertionError."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self._connect(str(path))
        self.lines = self.sock.makefile('rb')
        self.events = []
        self.next_id = 0
        assert set(self._read()) == {'QMP'}, 'no QMP greeting'
        self.cmd('qmp_capabilities')

    def _connect(self, path):
        """The socket is there a moment before somebody listens on it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self.sock.connect(path)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _read(self):
        line = self.lines.readline()
        if not line:
            raise EOFError('QMP connection closed')
        return json.loads(line)

    def cmd(self, name, /, **arguments):
        """The return value of a command; underscores in argument names stand for dashes."""
        return self.execute(name, {k.replace('_', '-'): v for k, v in arguments.items()})

    def execute(self, name, arguments):
        self.next_id += 1
        request = {'execute': name, 'arguments': arguments, 'id': self.next_id}
        self.sock.sendall(json.dumps(request).encode() + b'\n')
        while True:
            reply = self._read()
            if 'event' in reply:
                self.events.append(reply)
                continue
            assert reply.get('id') == self.next_id, f'reply to nothing: {reply}'
            if 'error' in reply:
                raise QmpError(reply['error'])
            assert set(reply) == {'return', 'id'}, f'odd reply: {reply}'
            return reply['return']

    def take_event(self, name, timeout_s=PATIENCE_S):
        """The next event of that name, earlier events of other names stay queued."""
        deadline = time.monotonic() + timeout_s
        while True:
            for i, event in enumerate(self.events):
                if event['event'] == name:
                    return self.events.pop(i)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f'no event {name} within {timeout_s} s')
            self.sock.settimeout(left)
            try:
                reply = self._read()
            finally:
                self.sock.settimeout(PATIENCE_S)
            assert 'event' in reply, f'reply to nothing: {reply}'
            self.events.append(reply)

    def seen(self, name):
        """Whether an event of that name has arrived."""
        self.cmd('query-status')
        return any(event['event'] == name for event in self.events)

    def close(self):
        self.lines.close()
        self.sock.close()


def _die_with_parent():
    """In the child: a test that is killed leaves nothing behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _ptrace(request, pid):
    if ctypes.CDLL(None, use_errno=True).ptrace(request, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), f'ptrace({request:#x}, {pid})')


@contextlib.contextmanager
def halted_thread(pid):
    """A child's first thread does not run, while its others do."""
    _ptrace(0x4206, pid)  # PTRACE_SEIZE
    try:
        _ptrace(0x4207, pid)  # PTRACE_INTERRUPT
        os.waitpid(pid, 0)
        yield
    finally:
        _ptrace(17, pid)  # PTRACE_DETACH


class Process:
    """A child process with its log, ended by its id."""

    def __init__(self, name, argv, directory):
        self.log = directory / f'{name}.log'
        with open(self.log, 'wb') as log:
            self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=subprocess.STDOUT,
                                          preexec_fn=_die_with_parent)

    def wait_for(self, path):
        deadline = time.monotonic() + PATIENCE_S
        while not path.exists():
            if self.child.poll() is not None:
                raise RuntimeError(f'ended with {self.child.returncode}: {self.text()}')
            if time.monotonic() > deadline:
                raise TimeoutError(f'{path} did not appear: {self.text()}')
            time.sleep(0.01)

    def text(self):
        return self.log.read_text(errors='replace')

    def stop(self, kill=False):
        if self.child.poll() is None:
            if kill:
                self.child.kill()
            else:
                self.child.terminate()
        try:
            return self.child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()


class Qemu(Process):
    """A QEMU under TCG with a QMP socket."""

    def __init__(self, name, args, directory):
        self.qmp_path = directory / f'{name}.qmp'
        argv = [QEMU, *FIRMWARE, '-name', name, '-nodefaults', '-display', 'none', '-no-user-config',
                '-qmp', f'unix:{self.qmp_path},server=on,wait=off', *args]
        super().__init__(name, argv, directory)
        self.wait_for(self.qmp_path)
        self.qmp = Qmp(self.qmp_path)

    def stop(self, kill=False):
        self.qmp.close()
        return super().stop(kill)


class Swpsp(Process):
    """A software firmware that listens on `path`."""

    def __init__(self, name, directory, args=()):
        self.path = directory / f'{name}.sock'
        self.path.unlink(missing_ok=True)  # of one that was killed
        super().__init__(name, [SWPSP, '--socket', str(self.path), '--state',
                                str(directory / f'{name}.d'), *args], directory)
        self.wait_for(self.path)


def sev_args(firmware, policy=0, **more):
    """QEMU arguments that make a guest an SEV guest of the firmware behind a socket.

    It may be migrated to any platform, for most tests are not about that; test_peer.py is.
    """
    more = {'migratable': 'on', 'allow_unverified_peer': 'on', **more}
    extra = ''.join(f',{k.replace("_", "-")}={v}' for k, v in more.items())
    return ['-object', f'sev-guest,id=sev0,sev-device={firmware},cbitpos=51,'
            f'reduced-phys-bits=1,policy={policy:#x}{extra}',
            '-machine', 'confidential-guest-support=sev0']


class TestCase(unittest.TestCase):
    """A test with a directory of its own, and ways to start things that end with it."""

    def setUp(self):
        # Socket paths are short; the build tree's may not be.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='sevmig-'))
        self.addCleanup(shutil.rmtree, self.dir)
        self.processes = []

    def attempts(self, check, n):
        """A busy host may spoil a measurement; that it does so each time is the failure."""
        found = []
        for _ in range(n):
            try:
                return check()
            except self.failureException as error:
                found.append(str(error))
        self.fail(found)

    def start_qemu(self, name, args):
        qemu = Qemu(name, args, self.dir)
        self.addCleanup(qemu.stop, kill=True)
        return qemu

    def start_swpsp(self, name='psp', args=()):
        """A software firmware; the path of its socket."""
        psp = Swpsp(name, self.dir, args)
        self.addCleanup(psp.stop)
        self.processes.append(psp)
        return psp.path

    def start_sev_pair(self, args, time_scale=100):
        """Source and destination, each with a firmware that is `time_scale` times too fast."""
        return [self.start_sev(name, [*args, *more], time_scale)
                for name, more in (('src', []), ('dst', ['-incoming', 'defer']))]

    def start_sev(self, name, args, time_scale):
        """A QEMU with an SEV guest and a firmware of its own."""
        psp = self.start_swpsp(f'psp-{name}', ['--time-scale', str(time_scale)])
        return self.start_qemu(name, [*args, *sev_args(psp)])

    def migrate(self, src, dst):
        """Start a migration, with a return path as libvirt has it."""
        uri = f'unix:{self.dir}/migration'
        for qemu in src, dst:
            qemu.qmp.cmd('migrate-set-capabilities', capabilities=[
                {'capability': name, 'state': True} for name in ('return-path', 'events')])
        dst.qmp.cmd('migrate-incoming', uri=uri)
        src.qmp.cmd('migrate', uri=uri)

    def wait_status(self, qemu, *statuses):
        """The first of the MIGRATION event's statuses to come that is among these."""
        while True:
            status = qemu.qmp.take_event('MIGRATION')['data']['status']
            if status in statuses:
                return status
            if status in ('completed', 'failed', 'cancelled'):
                raise AssertionError(f'migration {status}: {qemu.text()}')

    def assertQmpError(self, words, call, *args, **kwargs):
        """The call fails with GenericError and all these words."""
        with self.assertRaises(QmpError) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.error_class, 'GenericError')
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, caught.exception.desc)
