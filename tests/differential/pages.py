"""Pages of this process and of a space of ours, laid out alike at the same addresses, and the host's calls on them.

The host's pages lie where no mmap of Python's or of the C library's ever goes, so that a hole stays one, and a kernel
answers for wrong addresses: nothing here is touched but by system calls.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import sys

from axptr import PAGE_SIZE, AddrSpace, MappingFlags

START = 0x10_0000_0000
ROOM = 16  # pages; those that a layout does not name are holes
KINDS = {
    "rw": MappingFlags.READ | MappingFlags.WRITE,
    "r": MappingFlags.READ,
    "w": MappingFlags.WRITE,
    "none": MappingFlags(0),
    "hole": None,
}
_PROT = {MappingFlags.READ: mmap.PROT_READ, MappingFlags.WRITE: mmap.PROT_WRITE}
_MAP = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100000  # MAP_FIXED_NOREPLACE
_libc = ctypes.CDLL(None, use_errno=True)


def reason_to_skip() -> str:
    """Why the host cannot be compared with; empty where it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "needs Linux on x86-64"
    return ""


def call(number: int, *words: int) -> int:
    """A system call of the host's: its result, or minus the errno."""
    # The GIL is let go here: no other thread of the tests maps anything at these addresses.
    _libc.syscall.restype = ctypes.c_long
    result: int = _libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(word % (1 << 64)) for word in words))
    return -ctypes.get_errno() if result == -1 else result


class Pages:
    """A layout of pages on both sides. kinds: for each page from START on, one of `KINDS`. data: their bytes."""

    def __init__(self, space: AddrSpace, kinds: list[str], data: bytes) -> None:
        self.space = space
        self.size = len(kinds) * PAGE_SIZE
        self._pages = [n for n, kind in enumerate(kinds) if kind != "hole"]
        self.clear()
        memory = os.open("/proc/self/mem", os.O_RDWR)
        try:
            for n in self._pages:
                at, flags = START + n * PAGE_SIZE, KINDS[kinds[n]]
                assert flags is not None
                piece = data[n * PAGE_SIZE : (n + 1) * PAGE_SIZE].ljust(PAGE_SIZE, b"\0")
                self.space.map_alloc(at, PAGE_SIZE, flags)
                self.space.write(at, piece)
                assert call(9, at, PAGE_SIZE, 3, _MAP, -1, 0) == at
                os.pwrite(memory, piece, at)
                assert call(10, at, PAGE_SIZE, sum(prot for flag, prot in _PROT.items() if flags & flag)) == 0
        finally:
            os.close(memory)

    def clear(self) -> None:
        self.space.unmap(START, ROOM * PAGE_SIZE)
        assert call(11, START, ROOM * PAGE_SIZE) == 0

    def host(self) -> list[bytes]:
        """The pages that there are, on the host."""
        memory = os.open("/proc/self/mem", os.O_RDONLY)
        try:
            return [os.pread(memory, PAGE_SIZE, START + n * PAGE_SIZE) for n in self._pages]
        finally:
            os.close(memory)

    def ours(self) -> list[bytes]:
        return [self.space.read(START + n * PAGE_SIZE, PAGE_SIZE) for n in self._pages]
