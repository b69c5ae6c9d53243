"""A set of objects by where they lie, for one look at many of them: nobody holds them through it, and none leaves it.

What asks by number (`id`) gets the same answer: `id(it) in seen`.

Failure: `MemoryError`.
"""

import cython
from cython.cimports.cpython.long import PyLong_AsVoidPtr
from cython.cimports.libc.stdint import uint64_t
from cython.cimports.libc.stdlib import calloc, free


@cython.final
@cython.cclass
class Seen:
    """Open addressing; `size` is a power of two, and at least half of it is empty."""

    def __cinit__(self, expected: cython.Py_ssize_t):
        self.size = 64
        while self.size < 4 * expected:
            self.size *= 2
        self.table = cython.cast(cython.pointer(cython.p_void), calloc(self.size, cython.sizeof(cython.p_void)))
        self.line = cython.cast(
            cython.pointer(cython.Py_ssize_t), calloc(expected + 1, cython.sizeof(cython.Py_ssize_t))
        )
        if self.table == cython.NULL or self.line == cython.NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.table)
        free(self.line)

    def place(self, it):
        """Where it stands, or would stand."""
        at: uint64_t = (cython.cast(uint64_t, it) * cython.cast(uint64_t, 0x9E3779B97F4A7C15)) >> 32
        while True:
            at &= self.size - 1
            if self.table[at] == it or self.table[at] == cython.NULL:
                return self.table + at
            at += 1

    def enter(self, it):
        """Whether it was not there; it is now."""
        found: cython.pointer(cython.p_void) = self.place(cython.cast(cython.p_void, it))
        if found[0] != cython.NULL:
            return False
        if 2 * (self.count + 1) > self.size:
            self.grow()
            found = self.place(cython.cast(cython.p_void, it))
        found[0] = cython.cast(cython.p_void, it)
        self.count += 1
        return True

    def grow(self):
        i: uint64_t
        size: uint64_t = self.size
        old: cython.pointer(cython.p_void) = self.table
        new: cython.pointer(cython.p_void) = cython.cast(
            cython.pointer(cython.p_void), calloc(2 * size, cython.sizeof(cython.p_void))
        )
        if new == cython.NULL:
            raise MemoryError
        self.table = new
        self.size = 2 * size
        for i in range(size):
            if old[i] != cython.NULL:
                self.place(old[i])[0] = old[i]
        free(old)
        return 0

    def __contains__(self, number: object):
        return self.place(PyLong_AsVoidPtr(number))[0] != cython.NULL

    def __len__(self):
        return self.count
