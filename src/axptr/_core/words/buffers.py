"""Buffers that callers hand over, taken as runs of bytes: only those in which nothing is an address in this process.

A buffer of `py_object`, of `c_char_p`, of pointers or of numpy objects is memory that Python follows: a guest's bytes put
there would be dereferenced on the host, and bytes taken from there tell a guest where the host's objects lie. So every
verb that takes a buffer takes it by `borrow` (compiled callers) or by `flat` (others).

What is looked at: the type of a ctypes object, also behind a memoryview, for what it says of its format leaves out
unions; else the format (PEP 3118). `c_void_p` is a number to Python, and how a guest's pointer is spelt: it is allowed.

Not here: types that pointers point at (`axptr.layout`, which refuses the same).

Failure: `TypeError` for such a buffer and for what is none, `BufferError` for one that is read-only or in pieces.
"""

import sys

import cython
from cython.cimports.cpython.buffer import (
    PyBUF_FORMAT,
    PyBUF_ND,
    PyBUF_SIMPLE,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cython.cimports.libc.string import strchr

from axptr.layout import refuse_host_pointers

_of_ctypes = None


def borrow(data, view, writable):
    """Take the bytes of a buffer; the caller releases it. writable: to store bytes there. See the module for what raises."""
    may: cython.int = PyBUF_WRITABLE if writable else PyBUF_SIMPLE
    kind = type(data)
    if kind is bytes or kind is bytearray:
        return PyObject_GetBuffer(data, view, may)
    try:
        PyObject_GetBuffer(data, view, may | PyBUF_ND | PyBUF_FORMAT)
    except (ValueError, BufferError):
        # numpy has no format for dates and the like, and knows whether there are objects among them.
        followed = _has_objects(data)
        if followed is None:
            raise
        if followed:
            raise TypeError(f"the buffer holds pointers of the host ({data.dtype})") from None
        return PyObject_GetBuffer(data, view, may)
    try:
        _demand_plain(data.obj if kind is memoryview else data, view.format)
    except BaseException:
        PyBuffer_Release(view)
        raise
    return 0


@cython.cfunc
@cython.exceptval(-1)
def _is_of_ctypes(owner) -> cython.bint:
    global _of_ctypes
    if _of_ctypes is None:
        ctypes = sys.modules.get("_ctypes")  # whoever has an object of it has loaded it
        if ctypes is None:
            return False
        _of_ctypes = ctypes._SimpleCData.__mro__[1]
    return isinstance(owner, _of_ctypes)


@cython.cfunc
@cython.exceptval(-1)
def _demand_plain(owner, code: cython.p_char) -> cython.int:
    if _is_of_ctypes(owner):
        refuse_host_pointers(type(owner))
    elif code != cython.NULL and _follows(code):
        raise TypeError(f"the buffer holds pointers of the host ({code.decode(errors='replace')!r})")
    return 0


@cython.cfunc
def _has_objects(data):
    """Whether numpy says that there are objects in it; None of what is no array."""
    return getattr(getattr(data, "dtype", None), "hasobject", None)


@cython.cfunc
@cython.exceptval(check=False)
def _follows(p: cython.p_char) -> cython.bint:
    """Whether a format has an item that Python follows: O, z, Z (but Zf, Zd, Zg: complex numbers), X{} or &."""
    named: cython.bint = False
    while p[0]:
        if p[0] == b":":  # around the name of a member
            named = not named
        elif not named and strchr(b"OzZX&", p[0]) != cython.NULL:
            if p[0] != b"Z" or p[1] == 0 or strchr(b"efdgFD", p[1]) == cython.NULL:
                return True
            p += 1
        p += 1
    return False


def plain(data):
    """A memoryview of the buffer, which may lie in pieces. Raises `TypeError` as the module says."""
    try:
        seen = memoryview(data)
    except ValueError:
        if _has_objects(data):
            raise TypeError(f"the buffer holds pointers of the host ({data.dtype})") from None
        raise
    code: bytes = seen.format.encode("utf-8", "surrogateescape")
    _demand_plain(seen.obj, code)
    return seen


def flat(data):
    """A memoryview of the buffer's bytes; `TypeError` if they lie in pieces too."""
    return plain(data).cast("B")
