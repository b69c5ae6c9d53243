"""Many short strings at a time, for arrays of them: those that end in the page they start in, under one lock.

`gather` is the quick way of `strings.read_string_array` and takes only what can go no other way; at the first string
that crosses a page, is too long, cannot be read or needs a pager it stops, and the caller reads that one as any
string.

Not here: limits and their errors, memories that are no `AddrSpace` (`strings`).
"""

import cython
from cython.cimports.axptr._core.mm.provider import Provider
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.words.codes import FAULT_OK, IN_PAGE, PAGE_SIZE, READ
from cython.cimports.axptr._core.words.lock import axptr_lock_gil, axptr_unlock
from cython.cimports.cpython.bytes import PyBytes_FromStringAndSize
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import uint8_t, uint64_t
from cython.cimports.libc.string import memchr


def gather(provider, pointers: tuple, first: cython.Py_ssize_t, most: uint64_t, left: uint64_t, strings: list):
    """Append to `strings` those of `pointers` from number `first` on, until one is not simple; bytes taken.

    most: bytes that each may have. left: bytes that they may have together.
    """
    host: cython.pointer(uint8_t)
    found: cython.pointer(uint8_t)
    raw: cython.pointer(PyObject) = cython.NULL
    space: SpaceCore
    at: uint64_t
    room: uint64_t
    taken: uint64_t = 0
    i: cython.Py_ssize_t
    if isinstance(provider, Provider):
        raw = cython.cast(Provider, provider).space_ptr
    if raw == cython.NULL:
        return 0
    space = cython.cast(SpaceCore, raw)
    space.phys.alive()
    axptr_lock_gil(space.lock)
    try:
        for i in range(first, len(pointers)):
            at = pointers[i]
            if space.resolve(at, READ, cython.address(host)) != FAULT_OK:
                break
            room = PAGE_SIZE - (at & IN_PAGE)
            if most < room:
                room = most + 1
            if left - taken < room:
                room = left - taken + 1
            found = cython.cast(cython.pointer(uint8_t), memchr(host, 0, room))
            if found == cython.NULL:
                break
            strings.append(PyBytes_FromStringAndSize(cython.cast(cython.p_char, host), found - host))
            taken += found - host
    finally:
        axptr_unlock(space.lock)
    return taken
