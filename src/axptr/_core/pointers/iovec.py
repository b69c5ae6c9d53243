"""Scattered user memory as one stream: `IoVec`, an array of segments copied once, and `IoStream`, the rest of a transfer.

`IoVec.read` is Linux' `import_iovec` (lib/iov_iter.c): the array is copied once and judged once, so that a guest that
changes it meanwhile changes nothing; for a program of 32 bits it is `struct compat_iovec`. `IoStream` is its iov_iter:
it moves on with every byte copied, through the checked copies of the space, stops at the first bad byte, and goes back
if told to.

Not here: files and their calls (`linux.rw`), a run that is known beforehand to be one (`userslice`).

Failure: EINVAL for too many segments or a length no `ssize_t` holds, `UserFault` for the array and for segments past the
end of user space; a stream gives counts, `Copied` with its fault where they are short.
"""

import errno
import struct

import cython
from cython.cimports.axptr._core.mm.provider import Provider, mark_enter, mark_leave, space_of
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.axptr._core.words.codes import FAULT_OK, IOV_MAX, MAX_RW_COUNT, READ, WRITE
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.buffer import PyBuffer_Release
from cython.cimports.cpython.bytes import PyBytes_AS_STRING
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import uint8_t, uint64_t
from cython.cimports.libc.stdlib import free, malloc
from cython.cimports.libc.string import memcpy

from axptr import pointers as _pointers
from axptr._core.pointers.blocks import Copied
from axptr._core.pointers.pointer import Pointer
from axptr.addr import ADDRESS_END, checked_address, checked_size
from axptr.errors import FaultReason, LinuxError, UserFault
from axptr.flags import MappingFlags
from axptr.model import LP64

_ZEROS = bytes(1 << 16)
_MOST = cython.declare(uint64_t, MAX_RW_COUNT)
_SIGN = cython.declare(uint64_t, 1 << 63)


@cython.final
@cython.no_gc
@cython.cclass
class IoVec:
    """Segments `(address, size in bytes)`; immutable, a sequence of such pairs.

    total: bytes in all. Raises `LinuxError(EINVAL)` if a size, or their sum, is no `ssize_t` (readv(2)).
    """

    pairs: cython.pointer(uint64_t)
    count: uint64_t
    total = cython.declare(uint64_t, visibility="readonly")

    def __cinit__(self, segments=()):
        i: cython.Py_ssize_t
        made = [(checked_address(address), checked_size(size)) for address, size in segments]
        self.room(len(made))
        for i in range(len(made)):
            address, size = made[i]
            if size >> 63 or self.total + size >= _SIGN:
                raise LinuxError(errno.EINVAL, f"segments of more bytes than a transfer can have: {size:#x} in one")
            self.pairs[2 * i] = address
            self.pairs[2 * i + 1] = size
            self.total += size

    def __dealloc__(self):
        free(self.pairs)

    @cython.cfunc
    @cython.exceptval(-1)
    def room(self, count: uint64_t) -> cython.int:
        made: cython.p_void = malloc((count + 1) * 16)
        if made == cython.NULL:
            raise MemoryError
        free(self.pairs)
        self.pairs = cython.cast(cython.pointer(uint64_t), made)
        self.count = count
        return 0

    @staticmethod
    def _one(address: uint64_t, size: uint64_t):
        """A single segment, of numbers that have been judged: a register, a count cut to what is transferred at most."""
        made: IoVec = IoVec.__new__(IoVec)
        if size >> 63:
            raise LinuxError(errno.EINVAL, f"a segment of {size:#x} bytes")
        made.room(1)
        made.pairs[0], made.pairs[1] = address, size
        made.total = size
        return made

    @staticmethod
    def read(provider, address, count, access=MappingFlags.READ, *, end=ADDRESS_END):
        """Copy the array of `count` segments at `address` (`struct iovec`, any alignment) out of user memory, once.

        Its entries are as the data model has them: of 8 bytes, with a length of 31 bits, where pointers have 4. access: what the segments are for, told by faults alone. end: one past the last byte of user space.
        Raises `LinuxError(EINVAL)` for more than `IOV_MAX` segments or a negative length, `UserFault` for the array, or
        for a segment that passes `end`, mapped or not. Lengths are cut where they pass `MAX_RW_COUNT` together.
        """
        number = checked_size(count, "count")
        start = checked_address(address)
        limit = checked_size(end, "end")
        if not 0 < limit <= ADDRESS_END:
            raise ValueError(f"user space cannot end at {limit:#x}")
        flags = MappingFlags(access)
        made: IoVec = IoVec()
        if number > IOV_MAX:
            raise LinuxError(errno.EINVAL, f"an array of {number} segments: {IOV_MAX} are allowed")
        if number == 0:
            return made
        model = None if _is_native(provider, address) else _pointers.values.model_at(provider, address)
        entry = 16 if model is None else 2 * model.pointer
        if start + entry * number > limit:
            raise _past(start, entry * number, MappingFlags.READ, "iov")
        try:
            blob: bytes = _pointers.check.load(provider, start, entry * number, 1)
        except UserFault as fault:
            fault.object = f"iov[{fault.completed // entry}]"
            # The host judges each as it comes: a negative length before the bad byte is found first.
            if fault.completed >= entry:
                _refuse_negative(_widened(_pointers.check.load(provider, start, fault.completed & -entry, 1), model))
            raise
        blob = _widened(blob, model)
        _refuse_negative(blob)
        made.room(number)
        memcpy(made.pairs, PyBytes_AS_STRING(blob), 16 * made.count)
        made.judge(limit, flags)
        return made

    @cython.cfunc
    @cython.exceptval(-1)
    def judge(self, end, access) -> cython.int:
        """Every segment within user space, all together cut at MAX_RW_COUNT."""
        i: uint64_t
        size: uint64_t
        address: uint64_t
        room: uint64_t = end & 0xFFFF_FFFF_FFFF_FFFF  # 0: the whole of 2**64
        for i in range(self.count):
            size = self.pairs[2 * i + 1]
            if self.count == 1 and size > _MOST:  # import_ubuf cuts first
                size = _MOST
            address = self.pairs[2 * i]
            # address + size > end, without a sum that wraps
            if (size and (address > room - size or (room and size > room))) or (room and address > room):
                raise _past(int(address), int(size), access, f"iov[{i}].iov_base")
            if size > _MOST - self.total:
                size = _MOST - self.total
            self.pairs[2 * i + 1] = size
            self.total += size
        return 0

    def __len__(self):
        return self.count

    def __getitem__(self, i: cython.Py_ssize_t):
        if i < 0:
            i += self.count
        if i < 0 or cython.cast(uint64_t, i) >= self.count:
            raise IndexError("no such segment")
        return (self.pairs[2 * i], self.pairs[2 * i + 1])

    def __repr__(self):
        return f"IoVec([{', '.join(f'({address:#x}, {size})' for address, size in self)}])"

    def __reduce__(self):
        return IoVec, (list(self),)

    def stream(self, provider):
        """An `IoStream` over the segments in the space that `provider` leads to."""
        return IoStream(provider, self)


@cython.no_gc_clear
@cython.cclass
class IoStream:
    """What is left of one transfer through the segments of `iov`, in order. Not for several threads at a time.

    iov: the `IoVec`. provider: what leads to the space. remaining: bytes left.
    """

    iov = cython.declare(IoVec, visibility="readonly")
    index: uint64_t
    at: uint64_t
    remaining = cython.declare(uint64_t, visibility="readonly")
    provider = cython.declare(object, visibility="readonly")

    def __cinit__(self, provider, iov: IoVec, *args):
        if iov is None:
            raise TypeError("want an IoVec, not None")
        if not hasattr(provider, "with_addr_space"):
            raise TypeError(f"want an AddrSpaceProvider, not {type(provider).__name__}")
        self.provider = provider
        self.iov = iov
        self.remaining = iov.total

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def advance(self, count: uint64_t) -> cython.void:
        """Past `count` bytes of the segment in hand."""
        self.at += count
        self.remaining -= count

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def next(self) -> cython.void:
        """To a segment with bytes left; some are."""
        while self.at >= self.iov.pairs[2 * self.index + 1]:
            self.index += 1
            self.at = 0

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def is_past(self) -> cython.bint:
        """Whether the next byte lies past 2**64: a segment says so, and `skip` touches nothing."""
        return self.at > ~self.iov.pairs[2 * self.index]

    @property
    def position(self):
        """Number of the segment in hand, and bytes of it that are done; `(len(iov), 0)` at the end."""
        if self.remaining == 0:
            return (self.iov.count, 0)
        self.next()
        return (self.index, self.at)

    def skip(self, count):
        """Move on by `count` bytes, or to the end if fewer are left, without touching them; how many."""
        most = checked_size(count, "count")
        left: uint64_t = self.remaining if most > self.remaining else most
        done: uint64_t = left
        step: uint64_t
        while left:
            self.next()
            step = self.iov.pairs[2 * self.index + 1] - self.at
            if step > left:
                step = left
            self.advance(step)
            left -= step
        return done

    def revert(self, count):
        """Go back by `count` bytes of those passed, copied or skipped. `ValueError`, and nothing, if fewer are."""
        back = checked_size(count, "count")
        if back > self.iov.total - self.remaining:
            raise ValueError(f"only {self.iov.total - self.remaining} bytes are behind, not {back}")
        left: uint64_t = back
        self.remaining += left
        while left > self.at:
            left -= self.at
            self.index -= 1
            self.at = self.iov.pairs[2 * self.index + 1]
        self.at -= left

    def copy_in(self, buf, /):
        """Fill the writable buffer from the stream until it is full, the stream ends or a byte cannot be read; bytes done.

        Moves on by as many. Needs READ alone. A count that a bad byte cut short is a `Copied` with its `.fault`.
        """
        return self.visit(buf, READ)

    def copy_out(self, data, /):
        """Store the buffer to the stream until it is empty, the stream ends or a byte cannot be written; bytes done.

        Moves on by as many. Needs WRITE alone. A count that a bad byte cut short is a `Copied` with its `.fault`.
        """
        return self.visit(data, WRITE)

    def clear(self, count):
        """Store `count` zero bytes to the stream until the stream ends or a byte cannot be written; bytes done.

        Moves on by as many; in pieces, so no count makes the host allocate it. The rest is as of `copy_out`.
        """
        left = min(checked_size(count, "count"), self.remaining)
        done = 0
        while True:
            got = self.copy_out(memoryview(_ZEROS)[: left - done])
            done += got
            if isinstance(got, Copied):
                return Copied(done, got.fault)
            if done == left or not self.remaining:
                return done

    @cython.cfunc
    def visit(self, buf, access: cython.int) -> object:
        """`over` the provider's memory, which of most is the space that they lead to."""
        raw: cython.pointer(PyObject) = space_of(self.provider)
        if raw == cython.NULL:
            return _pointers.check.visit(self.provider, lambda memory: self.over(memory, buf, access))
        mark_enter()
        try:
            return self.over(cython.cast(object, raw), buf, access)
        finally:
            mark_leave()

    @cython.cfunc
    def over(self, memory: object, buf: object, access: cython.int) -> object:
        view: Py_buffer
        done: uint64_t = 0
        got: uint64_t
        part: uint64_t
        size: uint64_t
        direct: cython.bint = isinstance(memory, SpaceCore)
        borrow(buf, cython.address(view), access == READ)
        try:
            size = view.len
            if size > self.remaining:
                size = self.remaining
            while done < size and self.remaining:
                if direct:
                    got = self.run(memory, cython.cast(cython.pointer(uint8_t), view.buf) + done, size - done, access)
                    done += got
                    if done >= size or not self.remaining:
                        break
                # What is no plain memory, or no AddrSpace: a segment through the memory's own copies.
                self.next()
                if self.is_past():
                    break
                part = self.iov.pairs[2 * self.index + 1] - self.at
                if part > size - done:
                    part = size - done
                address: uint64_t = self.iov.pairs[2 * self.index] + self.at
                piece = memoryview(buf).cast("B")[done : done + part]
                got = _pointers.check.counted(
                    memory,
                    memory.read_into(address, piece) if access == READ else memory.write_from(address, piece),
                    min(part, self.remaining),
                )
                self.advance(got)
                done += got
                if got < part:
                    break
        finally:
            PyBuffer_Release(cython.address(view))
        if done >= size:
            return done
        self.next()
        start = int(self.iov.pairs[2 * self.index])
        bad = min(start + int(self.at), ADDRESS_END)  # 2**64, where a segment goes on past the last byte
        whole: uint64_t = self.iov.pairs[2 * self.index + 1]
        fault = _pointers.check.fault_at(memory, bad, MappingFlags(access), whole, bad - start)
        if self.iov.count != 1:
            fault.object = f"iov[{self.index}].iov_base"
        return Copied(done, fault)

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def run(self, space: SpaceCore, buffer: cython.pointer(uint8_t), size: uint64_t, access: cython.int) -> uint64_t:
        """Segment after segment under one hold of the lock, until something is no plain memory or no memory; bytes done."""
        done: uint64_t = 0
        step: uint64_t = 0
        part: uint64_t
        code: cython.int = FAULT_OK
        space.phys.alive()
        axptr_lock_gil(space.lock)
        while done < size and self.remaining and code == FAULT_OK:
            self.next()
            if self.is_past():
                break
            part = self.iov.pairs[2 * self.index + 1] - self.at
            if part > size - done:
                part = size - done
            code = space.copy(
                self.iov.pairs[2 * self.index] + self.at, buffer + done, part, access, cython.address(step)
            )
            self.advance(step)
            done += step
        axptr_unlock(space.lock)
        return done


@cython.cfunc
def _is_native(provider, address) -> cython.bint:
    """Whether the array is quickly known to be one of LP64."""
    raw: cython.pointer(PyObject) = cython.NULL
    if isinstance(provider, Provider):
        raw = cython.cast(Provider, provider).space_ptr
    return raw != cython.NULL and not cython.cast(SpaceCore, raw).foreign and not isinstance(address, Pointer)


@cython.cfunc
def _widened(blob: bytes, model):
    """The entries of another data model as LP64 has them, lengths with their sign."""
    if model is None or model == LP64:
        return blob
    mark = "<" if model.order == "little" else ">"
    count = len(blob) // (2 * model.pointer)
    return struct.pack("<" + "Qq" * count, *struct.unpack(mark + ("Ii" if model.pointer == 4 else "Qq") * count, blob))


@cython.cfunc
@cython.exceptval(-1)
def _refuse_negative(blob: bytes) -> cython.int:
    i: cython.Py_ssize_t
    size: uint64_t = 0
    for i in range(len(blob) // 16):
        memcpy(cython.address(size), PyBytes_AS_STRING(blob) + 16 * i + 8, 8)
        if size & _SIGN:
            raise LinuxError(errno.EINVAL, f"iov[{i}].iov_len is negative: {size:#x}")
    return 0


def _past(address, size, access, what):
    return UserFault(
        "it leaves user space",
        address=address,
        access=access,
        size=size,
        reason=FaultReason.OUT_OF_RANGE,
        object=what,
    )
