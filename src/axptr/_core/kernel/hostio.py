"""Reads and writes of open files that are done in one step: by the host, of its regular files that are mapped nowhere, and
of its pipes, terminals and sockets, which give and take what there is; in the machine's own memory, of files that lie there. All of
that in a few pages that are there.

Each of these is made of the wrapper of its handler, which alone says what the call does: whatever is not so plain is left
to it, before anything has been moved. Of what an open file would wait for the host says EAGAIN, and the handler hears that itself.

Not here: pipes and streams of the machine's own (`quick`), how a descriptor comes not to block (`axptr.linux.fs.host.noblock`).

Source: read(2), write(2), pread(2), readv(2).
"""

import cython
from cython.cimports.axptr._core.kernel.atonce import is_user, there, transfer
from cython.cimports.axptr._core.kernel.filecalls import FileCall
from cython.cimports.axptr._core.kernel.hostio import Part
from cython.cimports.axptr._core.kernel.waiting import Waiting
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.axptr._core.words.codes import READ, WRITE
from cython.cimports.axptr._core.words.conversion import Bound
from cython.cimports.cpython.buffer import PyBuffer_Release
from cython.cimports.libc.errno import EFAULT
from cython.cimports.libc.stdint import int64_t, uint64_t
from cython.cimports.posix.unistd import SEEK_CUR, lseek, pread, pwrite, read, write

NEXT, PLACED, NEXT_PARTS = range(3)
"""Forms: at the file's own position, at one that is given; the first over several parts of memory."""

_placed = cython.declare(cython.int, 1)
_next_parts = cython.declare(cython.int, 2)
_most = cython.declare(uint64_t, 32768)
"""Bytes that are worth going round the handler for."""
_most_parts = cython.declare(uint64_t, 16)
_regular = cython.declare(cython.uint, 0o100000)
_device = cython.declare(cython.uint, 0o020000)
_wronly = cython.declare(cython.int, 1)
_rdwr = cython.declare(cython.int, 2)
_accmode = cython.declare(cython.int, 3)
_append = cython.declare(cython.int, 0o2000)
_not_so = cython.declare(cython.int, 0o10040000)
"""O_PATH, O_DIRECT."""
_max_offset = cython.declare(int64_t, 0x7FFF_FFFF_0000_0000)
_far = cython.declare(int64_t, 1 << 60)
"""Of a file in memory: where ends are near."""
_fsize = cython.declare(object, 1)
"""RLIMIT_FSIZE."""
_infinity = cython.declare(uint64_t, 0xFFFF_FFFF_FFFF_FFFF)


@cython.cclass
class TransferCall(FileCall):
    """opened: the class of an open file of the host's. others: what serves files of all other classes."""

    def __init__(self, plain: Bound, form: cython.int, opened, others):
        FileCall.__init__(self, plain, form)
        self.opened = opened
        self.others = others

    def left(self, task, registers):
        """Of a file of another class."""
        return self.others(task, registers[0], registers[1], registers[2], registers[3], registers[4], registers[5])

    def parts_of(self, task, registers, access, parts):
        """The user's memory, of which each part is there; 0 where that is the handler's to look at, else how many parts."""
        i: uint64_t
        total: uint64_t = 0
        count: uint64_t = 1
        if self.form == _next_parts:
            count = registers[2] & 0xFFFF_FFFF
            if count == 0 or count > _most_parts or not is_user(registers[1], 16 * count):
                return 0
            if not transfer(task._space, registers[1], cython.cast(cython.p_char, parts), 16 * count, READ):
                return 0
        else:
            parts[0].at, parts[0].size = registers[1], registers[2]
        for i in range(count):
            if parts[i].size > _most or not is_user(parts[i].at, parts[i].size):
                return 0
            total += parts[i].size
        if total == 0 or total > _most:
            return 0
        if access == WRITE:
            for i in range(count):
                if not there(task._space, parts[i].at, parts[i].size, WRITE):
                    return 0
        return count

    def descriptor(self, task, file, kind):
        """That of the host by which a file is read and written without waiting; -1 where that takes more than a call."""
        if kind == _regular:
            if file._identity in cython.cast(SpaceCore, task._space).phys.caches.data:
                return -1
            return file.host_fd
        if self.form == _placed:
            return -1
        channel: object = file.channel
        if channel is None or channel.nowait:
            return -1
        if kind == _device:
            console: object = task.machine.console
            if console is not None and console.pgrp != task.group.pgid:
                return -1
        return channel.fd


@cython.final
@cython.cclass
class ReadCall(TransferCall):
    """read, pread64, readv."""

    def serve(self, task, registers):
        into: cython.char[32768]
        parts: Part[16]
        i: uint64_t
        step: cython.Py_ssize_t
        done: cython.Py_ssize_t
        size: uint64_t = 0
        at: int64_t = cython.cast(int64_t, registers[3])
        form: cython.int = self.form
        file: object = cython.cast(dict, task.files._files, typecheck=True).get(registers[0] & 0xFFFF_FFFF)
        if file is None:
            return self.plain.serve(task, registers)
        flags: cython.int = file.flags
        if type(file) is not self.opened and not file.in_memory:
            file = file.beneath
            if type(file) is not self.opened and (file is None or not file.in_memory):
                return self.left(task, registers)
        if (
            flags & _wronly
            or (flags | cython.cast(cython.int, file.flags)) & _not_so
            or task.machine.watches is not None
        ):
            return self.plain.serve(task, registers)
        if form == _placed and (at < 0 or at > _max_offset):
            return self.plain.serve(task, registers)
        kind: cython.uint = file.kind
        count: uint64_t = self.parts_of(task, registers, WRITE, parts)
        if count and file.in_memory:
            return self.from_memory(task, file, parts, count, at, registers)
        fd: cython.int = self.descriptor(task, file, kind) if count else -1
        if fd < 0:
            return self.plain.serve(task, registers)
        size = _size_of(parts, count)
        with cython.nogil:
            done = pread(fd, into, size, at) if form == _placed else read(fd, into, size)
        if done < 0:
            return self.plain.serve(task, registers)
        size = 0
        for i in range(count):
            step = min(cython.cast(uint64_t, done) - size, parts[i].size)
            if step and not transfer(cython.cast(Waiting, task)._space, parts[i].at, into + size, step, WRITE):
                if kind == _regular:
                    if form != _placed:
                        lseek(fd, -done, SEEK_CUR)
                    return self.plain.serve(task, registers)
                if size == 0:  # it was there a moment ago
                    return -EFAULT
                break
            size += step
        return task.group.io.read(size)

    def from_memory(self, task, file, parts, count, at, registers):
        """What there is, into parts of the user's memory that are there."""
        buffer: Py_buffer
        i: uint64_t
        step: uint64_t
        done: uint64_t = 0
        failed: cython.bint = False
        size: uint64_t = _size_of(parts, count)
        placed: cython.bint = self.form == _placed
        view: object = task.machine.bounce[:size]
        have: uint64_t = file.read_bytes(view, at if placed else None)
        borrow(view, cython.address(buffer), False)
        bytes_read: cython.p_char = cython.cast(cython.p_char, buffer.buf)
        for i in range(count):
            step = min(have - done, parts[i].size)
            if step and not transfer(task._space, parts[i].at, bytes_read + done, step, WRITE):
                failed = True
                break
            done += step
        PyBuffer_Release(cython.address(buffer))
        if failed:  # it was there a moment ago
            if not placed:
                file.pos -= have
            return self.plain.serve(task, registers)
        return task.group.io.read(have)


@cython.final
@cython.cclass
class WriteCall(TransferCall):
    """write, pwrite64, writev. written: called with the task and a regular file to which bytes went. rest: goes on with a write
    of which some went: called with the task, the file, what is left, (address, size) each, and how much that was."""

    def __init__(self, plain: Bound, form: cython.int, opened, others, written, rest):
        TransferCall.__init__(self, plain, form, opened, others)
        self.written = written
        self.rest = rest

    def serve(self, task, registers):
        out: cython.char[32768]
        parts: Part[16]
        i: uint64_t
        done: cython.Py_ssize_t
        size: uint64_t = 0
        at: int64_t = cython.cast(int64_t, registers[3])
        form: cython.int = self.form
        file: object = cython.cast(dict, task.files._files, typecheck=True).get(registers[0] & 0xFFFF_FFFF)
        if file is None:
            return self.plain.serve(task, registers)
        in_memory: cython.bint = file.in_memory
        swallows: cython.bint = file.swallows
        if type(file) is not self.opened and not in_memory and not swallows:
            return self.left(task, registers)
        flags: cython.int = file.flags
        mode: cython.int = flags & _accmode
        if (mode != _wronly and mode != _rdwr) or flags & _not_so or task.machine.watches is not None:
            return self.plain.serve(task, registers)
        if form == _placed and (at < 0 or at > _max_offset):
            return self.plain.serve(task, registers)
        kind: cython.uint = file.kind
        if kind == _regular:
            limit: uint64_t = task.group.limits.get(_fsize)[0]
            if limit != _infinity or (flags & _append and not in_memory and file.shared):
                return self.plain.serve(task, registers)
        if in_memory and (file.inode.seals or file.pos > _far or (form == _placed and at > _far)):
            return self.plain.serve(task, registers)
        count: uint64_t = self.parts_of(task, registers, READ, parts)
        fd: cython.int = -1
        if count and swallows:
            return task.group.io.wrote(_size_of(parts, count))
        if count and not in_memory:
            fd = self.descriptor(task, file, kind)
        if count == 0 or (fd < 0 and not in_memory):
            return self.plain.serve(task, registers)
        for i in range(count):
            if not transfer(cython.cast(Waiting, task)._space, parts[i].at, out + size, parts[i].size, READ):
                return self.plain.serve(task, registers)
            size += parts[i].size
        if in_memory:
            done = file.write_bytes(out[:size], at if form == _placed else None)
            self.written(task, file)
            return task.group.io.wrote(done)
        with cython.nogil:
            done = pwrite(fd, out, size, at) if form == _placed else write(fd, out, size)
        if done < 0:
            return self.plain.serve(task, registers)
        if kind == _regular:
            if done:
                self.written(task, file)
        elif 0 < cython.cast(uint64_t, done) < size:
            return self.rest(task, file, _left(parts, count, done), done)
        return task.group.io.wrote(done)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _size_of(parts: cython.pointer(Part), count: uint64_t) -> uint64_t:
    """Bytes of all parts."""
    i: uint64_t
    size: uint64_t = 0
    for i in range(count):
        size += parts[i].size
    return size


@cython.cfunc
def _left(parts: cython.pointer(Part), count: uint64_t, done: uint64_t) -> tuple:
    """What is left of the user's memory, after so many bytes of it."""
    i: uint64_t
    left: list = []
    for i in range(count):
        if done < parts[i].size:
            left.append((parts[i].at + done, parts[i].size - done))
            done = 0
        else:
            done -= parts[i].size
    return tuple(left)
