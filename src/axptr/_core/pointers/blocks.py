"""Runs of bytes and text between the host and whatever memory a provider leads to, without types.

What the verbs of pointers are made of: over an `AddrSpace` its checked copies, over any other memory those of `check`.
`raw` is the space, or NULL for a provider that does not lead to one directly.

A count from a guest is never allocated up front: the range is checked first, a large result grows as it is read, and the
provider's `Budget` is asked before any of it.

Not here: values (`codec`), addresses with types (`pointer`), the checks (`transfer`).

Failure: `UserFault`; `LinuxError(ENOMEM)` where the host or the budget has no room, ENAMETOOLONG and EILSEQ for text.
"""

import errno

import cython
from cython.cimports.axptr._core.mm.mmu import tlb_hit
from cython.cimports.axptr._core.mm.provider import Provider, mark_enter, mark_leave, space_of
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.mm.usermem import axptr_bytes_of, axptr_room
from cython.cimports.axptr._core.phys.coherence import FRAME_CODE
from cython.cimports.axptr._core.words.budget import Budget
from cython.cimports.axptr._core.words.buffers import borrow
from cython.cimports.axptr._core.words.codes import (
    FAULT_OK,
    FAULT_PYTHON,
    FAULT_TOOLONG,
    IN_PAGE,
    PAGE_SHIFT,
    PAGE_SIZE,
    READ,
    WRITE,
)
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_quiet, axptr_unlock
from cython.cimports.cpython.buffer import PyBuffer_Release
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.cimports.cpython.object import PyObject
from cython.cimports.cpython.ref import Py_DECREF, Py_XDECREF
from cython.cimports.cpython.unicode import PyUnicode_DecodeUTF8
from cython.cimports.libc.stdint import uint8_t, uint64_t
from cython.cimports.libc.string import memchr, memcpy

from axptr import pointers as _pointers
from axptr._core.words.budget import budget_of
from axptr.addr import checked_address, checked_size
from axptr.errors import LinuxError
from axptr.flags import MappingFlags

_ENDLESS = cython.declare(uint64_t, cython.cast(uint64_t, -1))


class Copied(int):
    """A count of bytes smaller than asked for, with the `UserFault` that stopped the copy in `.fault`."""

    def __new__(cls, done, fault):
        self = int.__new__(cls, done)
        self.fault = fault
        return self


def block_fetch(provider, raw, addr, buffer, size, align):
    """Copy `size` bytes to the host, all or a `UserFault`."""
    blob: bytes
    host: cython.pointer(uint8_t) = _at_hand(raw, addr, size, align)
    if host != cython.NULL:
        memcpy(buffer, host, size)
        return 0
    if raw == cython.NULL:
        blob = _loaded(provider, addr, size, align)
        memcpy(buffer, PyBytes_AS_STRING(blob), size)
        return 0
    space: SpaceCore = cython.cast(SpaceCore, raw)  # held: its provider may get another while a lock is waited for
    return space.moved(addr, buffer, size, align, READ)


def block_put(provider, raw, addr, buffer, size, align):
    """Copy `size` bytes from the host, all or a `UserFault` and nothing."""
    if raw == cython.NULL:
        _pointers.check.store(
            provider, addr, PyBytes_FromStringAndSize(cython.cast(cython.p_char, buffer), size), align
        )
        return 0
    space: SpaceCore = cython.cast(SpaceCore, raw)
    return space.moved(addr, buffer, size, align, WRITE)


def block_take(provider, raw, addr, size, align, mutable):
    """`size` bytes as `bytes`, or as a `bytearray` if `mutable`; checked before anything is allocated."""
    made: cython.pointer(PyObject)
    host: cython.pointer(uint8_t)
    space: SpaceCore
    budget: Budget = _budget(provider, raw)
    if raw == cython.NULL:
        if budget is not None:
            budget.take(size)
        blob = _loaded(provider, addr, size, align)
        return bytearray(blob) if mutable else blob
    space = cython.cast(SpaceCore, raw)
    if budget is not None:
        if size > PAGE_SIZE:
            space.require(addr, size, align, READ)
        budget.take(size)
    if _at_hand(raw, addr, size, align) != cython.NULL:
        made = axptr_room(mutable, size)
        host = _at_hand(raw, addr, size, align)  # room may have been made by giving something up
        if host != cython.NULL:
            memcpy(axptr_bytes_of(made), host, size)
            blob = cython.cast(object, made)
            Py_DECREF(blob)
            return blob
        Py_XDECREF(made)
    return space.load(addr, size, align, mutable)


def block_partial(raw, addr, buf, access, whole):
    """Copy to (access WRITE) or from (READ) a space until a byte fails; bytes done, `*whole` the buffer's."""
    view: Py_buffer
    host: cython.pointer(uint8_t)
    space: SpaceCore = cython.cast(SpaceCore, raw)
    borrow(buf, cython.address(view), access == READ)
    try:
        whole[0] = view.len
        if cython.cast(uint64_t, view.len) <= PAGE_SIZE - (addr & IN_PAGE) and axptr_quiet(space.lock):
            host = tlb_hit(space, addr, access)
            if host != cython.NULL and access == READ:
                memcpy(view.buf, host, view.len)
                return view.len
            if (
                host != cython.NULL
                and not space.frame_flags[cython.cast(uint64_t, host - space.frame_base) >> PAGE_SHIFT] & FRAME_CODE
            ):
                memcpy(host, view.buf, view.len)
                return view.len
        mark_enter()
        try:
            return space.counted(addr, cython.cast(cython.pointer(uint8_t), view.buf), view.len, access)
        finally:
            mark_leave()
    finally:
        PyBuffer_Release(cython.address(view))


def block_stop(raw, addr, access, whole, done):
    """The fault that ended such a copy."""
    # As a Python number: one past the last byte of all is 2**64.
    at: object = cython.cast(object, addr) + done
    return cython.cast(object, raw)._fault_at(at, MappingFlags(access), whole, done)


def block_counted(provider, addr, buf, access):
    """A counted copy over any provider: bytes done, as a `Copied` where they are fewer than the buffer has."""
    whole: uint64_t = 0
    done: uint64_t
    raw: cython.pointer(PyObject) = space_of(provider)
    if raw == cython.NULL:
        count, fault = _pointers.check.partial(provider, addr, buf, MappingFlags(access))
        return count if fault is None else Copied(count, fault)
    done = block_partial(raw, addr, buf, access, cython.address(whole))
    return done if done == whole else Copied(done, block_stop(raw, addr, access, whole, done))


def partial(provider, start, buf, access):
    """Copy until a byte fails: bytes done, and the fault if it is fewer than the buffer has. Over any provider."""
    whole: uint64_t = 0
    done: uint64_t
    raw: cython.pointer(PyObject) = space_of(provider)
    if raw == cython.NULL:
        return _pointers.check.partial(provider, start, buf, access)
    addr: uint64_t = checked_address(start)
    done = block_partial(raw, addr, buf, int(access), cython.address(whole))
    return done, None if done == whole else block_stop(raw, addr, int(access), whole, done)


def block_text(provider, raw, addr, max_len, decoded):
    """The bytes before a NUL, as `bytes` or decoded from UTF-8. max_len: of them, or None."""
    space: SpaceCore
    host: cython.pointer(uint8_t)
    found: cython.pointer(uint8_t)
    most: uint64_t = _ENDLESS - 1
    length: uint64_t = 0
    room: uint64_t
    bad: uint64_t = 0
    code: cython.int
    budget: Budget
    short: cython.bint = False
    if max_len is not None:
        limit = checked_size(max_len, "max_len")
        if limit < most:
            most = limit
    if raw == cython.NULL:
        data = _pointers.check.scan(provider, addr, 1, 1, READ, most)
        return _decode(data) if decoded else data
    space = cython.cast(SpaceCore, raw)
    budget = _budget(provider, raw)
    if budget is not None and budget.left() < most:
        most = budget.left()
        short = True
    axptr_lock_gil(space.lock)
    try:
        host = tlb_hit(space, addr, READ)
        if host != cython.NULL:
            room = PAGE_SIZE - (addr & IN_PAGE)
            if most < room:
                room = most + 1
            found = cython.cast(cython.pointer(uint8_t), memchr(host, 0, room))
            if found != cython.NULL:
                if budget is not None:
                    budget.take(found - host)
                return (
                    _text(host, found - host)
                    if decoded
                    else PyBytes_FromStringAndSize(cython.cast(cython.p_char, host), found - host)
                )
        while True:
            code = space.scan(addr, 1, 1, READ, most, cython.address(length), cython.address(bad))
            if code != FAULT_PYTHON:
                break
            axptr_unlock(space.lock)
            try:
                space.supply_scan(bad, addr, 1, READ, most, length)
            finally:
                axptr_lock_gil(space.lock)
        if code == FAULT_TOOLONG and short:
            budget.take(most + 1)
        if code != FAULT_OK:
            space.fail_scan(code, addr, 1, READ, length, bad)
        if budget is not None:
            budget.take(length)
        if decoded:
            host = space.side_by_side(addr, length)
            if host != cython.NULL:
                return _text(host, length)
        try:
            data = PyBytes_FromStringAndSize(cython.NULL, length)
        except (MemoryError, OverflowError):
            raise LinuxError(errno.ENOMEM, f"the host has no room for {length} bytes") from None
        space.copy(
            addr, cython.cast(cython.pointer(uint8_t), PyBytes_AS_STRING(data)), length, READ, cython.address(bad)
        )
        return _decode(data) if decoded else data
    finally:
        axptr_unlock(space.lock)


@cython.cfunc
def _loaded(provider: object, addr: uint64_t, size: uint64_t, align: uint64_t) -> bytes:
    """`check.load`, whose answer has the size that was asked for."""
    blob: bytes = _pointers.check.load(provider, addr, size, align)
    if blob is None or cython.cast(uint64_t, len(blob)) != size:
        raise RuntimeError(f"{size} bytes were asked for, not {'none' if blob is None else len(blob)}")
    return blob


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def _at_hand(raw: cython.pointer(PyObject), addr: uint64_t, size: uint64_t, align: uint64_t) -> cython.pointer(uint8_t):
    """The host address of bytes in one page that was proved readable, while only the GIL guards the space; else NULL."""
    if (
        raw == cython.NULL
        or addr & (align - 1)
        or size > PAGE_SIZE - (addr & IN_PAGE)
        or not axptr_quiet(cython.cast(SpaceCore, raw).lock)
    ):
        return cython.NULL
    return tlb_hit(cython.cast(SpaceCore, raw), addr, READ)


@cython.cfunc
@cython.inline
def _budget(provider: object, raw: cython.pointer(PyObject)) -> Budget:
    """The provider's budget, or None. A `raw` that is not NULL says that it is a `Provider`."""
    if raw == cython.NULL:
        return budget_of(provider)
    if cython.cast(Provider, provider).own_budget is not None:
        return cython.cast(Provider, provider).own_budget
    return cython.cast(Provider, raw).own_budget


@cython.cfunc
def _text(p: cython.pointer(uint8_t), length: uint64_t):
    try:
        return PyUnicode_DecodeUTF8(cython.cast(cython.p_char, p), length, cython.NULL)
    except UnicodeDecodeError as failure:
        raise _not_utf8(failure) from None


def _decode(data):
    try:
        return data.decode()
    except UnicodeDecodeError as failure:
        raise _not_utf8(failure) from None


def _not_utf8(failure):
    return LinuxError(errno.EILSEQ, f"not UTF-8: {failure.reason} at byte {failure.start}")
