"""Our side: a task of the Linux personality without a CPU, its system calls made with raw registers."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from axptr import AddrSpace, FaultReason, LinuxError, MappingFlags, PhysMemory
from axptr.linux.fs.host.tree import file_of
from axptr.linux.fs.setup import host_tree
from axptr.linux.fs.walk import FsContext
from axptr.linux.machine import Machine
from axptr.linux.personality import LinuxKernel
from axptr.linux.proc.maps import format_maps
from axptr.linux.proc.tree import Proc
from axptr.linux.task.filetable import FileTable
from axptr.linux.task.task import LinuxTask
from axptr.linux.uaccess import Bytes, ConstBytes

from .host import ELSEWHERE, Answer
from .operations import ARENA, ARENA_END, ARGUMENTS, CALLS, FILES, PAGE, SCRATCH, Op, P, translate

READ, WRITE = MappingFlags.READ, MappingFlags.WRITE
MOST_MOVED = 64 * PAGE
_SIGNALS = {
    FaultReason.UNMAPPED: 11_001,
    FaultReason.OUT_OF_RANGE: 11_001,
    FaultReason.PROTECTION: 11_002,
    FaultReason.BACKING_FAILED: 7_002,
}


class Ours:
    """A process of ours whose heap starts at `heap` and whose files are those of `directory`."""

    def __init__(self, directory: Path, heap: int) -> None:
        self.phys = PhysMemory(1 << 30, poison=True)
        self.heap = heap
        self.directory = directory
        machine = Machine()
        files = FileTable(1024, machine.locks)
        root = os.fsencode(directory)
        fs = FsContext(host_tree([root], Proc), 0o022)
        self.task = LinuxTask.first(machine, AddrSpace(0, 1 << 47, self.phys), files, fs)
        self.task.mm.start_heap(heap)
        # What libc took of the heap there before the sequence began is its neighbour here too.
        self.task.space.map_alloc(heap - PAGE, PAGE, MappingFlags.READ | MappingFlags.WRITE | MappingFlags.USER)
        self.table = LinuxKernel().dispatcher(self.task)
        for i in range(FILES):
            path = root + b"/f%d" % i
            for k, flags in enumerate((os.O_RDWR, os.O_RDONLY, os.O_WRONLY)):
                file = file_of(os.open(path, flags), flags, home=True, mount=fs.mounts.mounts[0])
                files.place(100 + 4 * i + k, file)
        reader, writer = os.pipe()
        files.place(90, file_of(reader, os.O_RDONLY))
        files.place(91, file_of(writer, os.O_WRONLY))
        files.place(92, file_of(os.open(root, os.O_RDONLY), os.O_RDONLY))

    def close(self) -> None:
        self.task.files.close_all()
        self.task.space.clear()
        self.phys._check()

    def run(self, op: Op) -> Answer:
        name, *numbers = op
        words = [translate(n, self.heap) % (1 << 64) for n in numbers]
        if name in CALLS:
            return self.call(name, words)
        result: Answer = getattr(self, name)(*words)
        return result

    def syscall(self, nr: int, *words: int) -> int:
        result = self.table(nr, *words, *[0] * (6 - len(words)))
        assert result is not None
        return result

    def call(self, name: str, words: list[int]) -> Answer:
        place = words.pop() if name in ARGUMENTS else 0
        result = self.syscall(CALLS[name], *words)
        if name in ARGUMENTS and result >= 0 and not ARENA <= result < ARENA_END and not self._in_heap(result):
            size = -(-words[1 if name == "mmap" else 2] // PAGE) * PAGE
            if size > MOST_MOVED:
                self.syscall(11, result, size)
                return Answer(ELSEWHERE, 0, b"")
            return Answer(ELSEWHERE, self.syscall(25, result, size, size, 3, place), b"")
        return Answer(result, 0, b"")

    def _in_heap(self, address: int) -> bool:
        return self.heap <= address < self.heap + 64 * PAGE

    def load(self, address: int) -> Answer:
        fault = self._touch(address, 1, READ)
        return fault or Answer(ConstBytes(address).read_slice(self.task, 1)[0], 0, b"")

    def store(self, address: int, value: int, size: int) -> Answer:
        fault = self._touch(address, size, WRITE)
        if fault is None:
            Bytes(address).write_slice(self.task, value.to_bytes(size, "little"))
        return fault or Answer(0, 0, b"")

    def _touch(self, address: int, size: int, access: MappingFlags) -> Answer | None:
        """Ask for the pages as a CPU does, one after the other (a pointer looks at all of them first)."""
        space = self.task.space
        for at in sorted({address, max(address, (address + size - 1) & -PAGE)}):
            if not 0 <= at < space.size or not space.handle_page_fault(at, access):
                return Answer(-_SIGNALS[space.fault(at, access).reason], at, b"")
        return None

    def check(self) -> Answer:
        return self._check(self.task.space)

    def _check(self, space: AddrSpace) -> Answer:
        space._check()
        lines, sums = [], []
        for line in format_maps(self.task, space).splitlines(keepends=True):
            start, end = (int(n, 16) for n in line.split(" ")[0].split("-"))
            if start == self.heap - PAGE:
                start = self.heap
            if not (ARENA <= start < ARENA_END or self._in_heap(start)) or start == end:
                continue
            lines.append(line)
            for page in range(start, end, PAGE):
                try:
                    sums.append(zlib.crc32(space.read(page, PAGE)))
                except LinuxError:
                    sums.append((1 << 64) - 1)
        text = "".join(lines).encode()
        return Answer(0, 0, struct.pack("<Q", len(text)) + text + struct.pack(f"<{len(sums)}Q", *sums))

    def fork(self) -> Answer:
        twin = self.task.space.try_clone()
        try:
            return self._check(twin)
        finally:
            twin.clear()

    def mincore(self, address: int, length: int, count: int) -> Answer:
        space, scratch = self.task.space, P(SCRATCH)
        space.write(scratch, b"\xee" * count)
        result = self.syscall(27, address, length, scratch)
        data = space.read(scratch, count)
        space.write(scratch, bytes(count))
        return Answer(result, 0, data)

    def disk(self, file: int) -> Answer:
        data, at, to = b"", 0, P(SCRATCH + 15)
        before = self.task.space.read(to, PAGE)
        while True:
            got = self.syscall(17, 100 + 4 * file, to, PAGE, at)
            assert got >= 0
            if got == 0:
                break
            data += self.task.space.read(to, got)
            at += got
        self.task.space.write(to, before)
        return Answer(0, 0, data)

    def synced(self, file: int) -> Answer:
        """What the host has of a file once everything is written back."""
        self.syscall(26, ARENA, ARENA_END - ARENA, 4)
        self.syscall(26, self.heap, 64 * PAGE, 4)
        there = self.task.files.get(100 + 4 * file)
        assert there.host_fd is not None
        return Answer(0, 0, os.pread(there.host_fd, 1 << 20, 0))

    def unlink(self, file: int) -> Answer:
        try:
            (self.directory / f"f{file}").unlink()
        except FileNotFoundError:
            return Answer(-2, 0, b"")
        return Answer(0, 0, b"")
