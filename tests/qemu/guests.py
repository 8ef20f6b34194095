# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests whose memory can be compared, and a proxy that tampers with what is between them."""

import random
import socket
import struct
import threading

import harness

RAM_MIB = 32


def still_args(directory, fill=True, ram_mib=RAM_MIB):
    """A guest that never runs, its RAM filled with noise from 1 MiB on if `fill`."""
    args = ['-accel', 'tcg', '-S', '-m', str(ram_mib), '-machine', 'pc']
    if not fill:
        return args
    noise = directory / 'noise'
    noise.write_bytes(random.Random(ram_mib).randbytes((ram_mib - 1) << 20))
    return [*args, '-device', f'loader,file={noise},addr={1 << 20:#x},force-raw=on']


def memory(qemu, directory, ram_mib=RAM_MIB):
    """The guest's RAM without the hole between 640 KiB and 1 MiB."""
    path = directory / 'memory'
    ram = b''
    for start, end in ((0, 640 << 10), (1 << 20, ram_mib << 20)):
        qemu.qmp.cmd('pmemsave', val=start, size=end - start, filename=str(path))
        ram += path.read_bytes()
    return ram


class Proxy:
    """Stands between source and destination and hands what the source sends to `tamper`.

    tamper(buffer, flush) gets all that has not been forwarded yet and returns how many bytes of
    it, changed in place or not, are to be forwarded now.
    """

    def __init__(self, listen, target, tamper):
        self.target = str(target)
        self.tamper = tamper
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(listen))
        self.server.listen(1)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        source, _ = self.server.accept()
        dest = socket.socket(socket.AF_UNIX)
        dest.connect(self.target)
        back = threading.Thread(target=self._back, args=(dest, source), daemon=True)
        back.start()
        buffer = bytearray()
        try:
            while data := source.recv(1 << 16):
                buffer += data
                n = self.tamper(buffer)
                dest.sendall(buffer[:n])
                del buffer[:n]
            dest.sendall(buffer)
            dest.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        back.join()
        source.close()
        dest.close()

    def _back(self, dest, source):
        try:
            while data := dest.recv(1 << 16):
                source.sendall(data)
            source.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self):
        self.server.close()
        self.thread.join(harness.PATIENCE_S)


# The first record of encrypted pages follows the name of the block, "pc.ram"; its fields count
# from behind the name.
RECORD = b'\x06pc.ram\x01\x00\x00'
RECORD_FIELDS = {
    'sub-type': (0, '>B'), 'packets': (1, '>I'), 'offset': (5, '>Q'), 'pages': (13, '>I'),
    'header-len': (17, '>H'), 'data-len': (19, '>I'), 'flags': (23, '<I'), 'iv': (27, '>B'),
    'mac': (43, '>B'), 'data': (75, '>B'),
}


def overlap(buffer, needle):
    """How many bytes at the end of the buffer may be the beginning of the needle."""
    return next(n for n in range(min(len(needle), len(buffer)), -1, -1)
                if buffer.endswith(needle[:n]))


class Tamper:
    """Changes one thing, once; `done` says that it was there."""

    def __init__(self, needle, at, change):
        self.needle, self.at, self.change = needle, at, change
        self.done = False

    def __call__(self, buffer):
        if self.done:
            return len(buffer)
        found = buffer.find(self.needle)
        if found < 0:
            return len(buffer) - overlap(buffer, self.needle)
        if len(buffer) < found + self.at + 8:
            return found
        self.change(buffer, found + self.at)
        self.done = True
        return len(buffer)


def set_field(name, value):
    """Set a field of the first record."""
    offset, layout = RECORD_FIELDS[name]
    return Tamper(RECORD, 7 + offset, lambda b, at: struct.pack_into(layout, b, at, value))


def flip_field(name):
    """Flip a bit of a field of the first record."""
    return flip(RECORD, 7 + RECORD_FIELDS[name][0])


def flip(needle, at):
    def change(buffer, pos):
        buffer[pos] ^= 0x10
    return Tamper(needle, at, change)
