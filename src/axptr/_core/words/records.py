"""Takes numbers, names and values off a description: what reading a graph from a file spends its time with.

    number   unsigned LEB128
    data     a number of bytes, and these
    name     the number of one that was read before, or the next number and the name as data (UTF-8)
    value    a tag of one byte, and what belongs to it
    node     its kind, class, names and values

Whoever reads one derives from `Records` and says what the rarer tags mean (`rare`), what names lead to (`fitting`,
`listed`) and what else is to be judged (`require_attributes`, `require_call`, `made_of`). Nothing that is read is
believed: a count is no larger than the bytes that are left, a place lies before `limit`.

And `crc32`, by which files are proved.

Not here: what a description is of (`axptr.linux.snapshots.code`), and how one is written.

Failure: `SnapshotError` that says what is wrong.
"""

from zlib import crc32 as _by_table

import cython
from cython.cimports.axptr._core.words.checksum import checksum, checksum_is_fast
from cython.cimports.axptr._core.words.graph import (
    _ARRAY,
    _CALL,
    _DICT,
    _INSTANCE,
    _LEAF,
    _MAPPING,
    _TUPLE,
    Node,
    Place,
)
from cython.cimports.cpython.buffer import PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy

from axptr.errors import SnapshotError

NONE, TRUE, FALSE, POSITIVE, NEGATIVE, FLOAT, BYTES, TEXT, PLACE = range(9)
_NONE = cython.declare(cython.int, 0)
_TRUE = cython.declare(cython.int, 1)
_FALSE = cython.declare(cython.int, 2)
_POSITIVE = cython.declare(cython.int, 3)
_NEGATIVE = cython.declare(cython.int, 4)
_FLOAT = cython.declare(cython.int, 5)
_BYTES = cython.declare(cython.int, 6)
_TEXT = cython.declare(cython.int, 7)
_PLACE = cython.declare(cython.int, 8)
_ITEMS = cython.declare(cython.int, 9)
_deepest = cython.declare(cython.int, 64)  # so many values lie in each other at most
_most_shift = cython.declare(cython.int, 4096)  # bits of the largest number


@cython.cclass
class Records:
    """One description. limit: places before it may be named. known: what names lead to, by themselves and by kinds of
    nodes. alike: names of attributes that were read before."""

    def __cinit__(self, data: bytes):
        self.held = data
        self.size = PyBytes_GET_SIZE(data)
        self.names = []
        self.limit = 0
        self.known = {}
        self.alike = {}

    def number(self):
        value: uint64_t = 0
        shift: cython.int = 0
        at: cython.Py_ssize_t = self.at
        data: cython.pointer(uint8_t) = cython.cast(cython.pointer(uint8_t), PyBytes_AS_STRING(self.held))
        while at < self.size and shift < 63:
            value |= cython.cast(uint64_t, data[at] & 0x7F) << shift
            at += 1
            if data[at - 1] < 0x80:
                self.at = at
                return value
            shift += 7
        return self.large(value, at)

    def large(self, value, at):
        """One of more than 63 bits, which begins with these; or the end of the description."""
        whole: object = value
        shift: cython.int = 63
        data: cython.pointer(uint8_t) = cython.cast(cython.pointer(uint8_t), PyBytes_AS_STRING(self.held))
        while at < self.size:
            whole |= cython.cast(object, data[at] & 0x7F) << shift
            at += 1
            if data[at - 1] < 0x80:
                self.at = at
                return whole
            shift += 7
            if shift > _most_shift:
                raise SnapshotError("a number in it is too long")
        raise SnapshotError("its description ends too early")

    def room(self):
        """A number of things of at least one byte each."""
        count: object = self.number()
        if count > self.size - self.at:
            raise SnapshotError(f"it speaks of {count} things and has no room for them")
        return count

    def data(self):
        size: cython.Py_ssize_t = self.room()
        self.at += size
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(self.held) + (self.at - size), size)

    def text(self):
        try:
            return self.data().decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise SnapshotError("a name in it is no UTF-8") from None

    def name(self):
        number: object = self.number()
        if number < len(self.names):
            return self.names[number]
        if number > len(self.names):
            raise SnapshotError(f"it has no name number {number}")
        text: object = self.text()
        self.names.append(text)
        return text

    def some_names(self):
        """A number of names."""
        count: cython.Py_ssize_t = self.room()
        return tuple([self.name() for _ in range(count)])

    def value(self, depth: cython.int = 0):
        kind: cython.int
        number: object
        if self.at >= self.size:
            raise SnapshotError("its description ends too early")
        kind = cython.cast(cython.pointer(uint8_t), PyBytes_AS_STRING(self.held))[self.at]
        self.at += 1
        if kind == _PLACE:
            number = self.number()
            if number >= self.limit:
                raise SnapshotError(f"it names the object {number} where there is none yet")
            return Place(number)
        if kind == _NONE:
            return None
        if kind == _POSITIVE:
            return self.number()
        if kind == _BYTES:
            return self.data()
        if kind == _TRUE or kind == _FALSE:
            return kind == _TRUE
        if kind == _TEXT:
            return self.text()
        if kind == _NEGATIVE:
            return -1 - self.number()
        if kind == _FLOAT:
            return self.real()
        if kind == _ITEMS and depth < _deepest:
            return self.items(depth)
        return self.rare(kind, depth)

    def items(self, depth):
        """Something like a tuple, whose class stands before."""
        name: object = self.name()
        cls: object = self.known.get(name)
        if cls is None:
            cls = self.known[name] = self.listed(name)
        count: cython.Py_ssize_t = self.room()
        found: list = [self.value(depth + 1) for _ in range(count)]
        return tuple(found) if cls is tuple else self.made_of(cls, found)

    def real(self):
        """A number of eight bytes (IEEE 754, little-endian)."""
        found: cython.double = 0
        if self.size - self.at < 8:
            raise SnapshotError("its description ends too early")
        memcpy(cython.address(found), PyBytes_AS_STRING(self.held) + self.at, 8)
        self.at += 8
        return found

    def values(self):
        """A number of values."""
        count: cython.Py_ssize_t = self.room()
        return tuple([self.value() for _ in range(count)])

    def nodes(self):
        """A number of them."""
        i: cython.Py_ssize_t
        count: cython.Py_ssize_t = self.room()
        found: tuple = tuple([self.node(i, count) for i in range(count)])
        self.limit = count
        return found

    def node(self, index, count):
        kind: cython.int
        number: object = self.number()
        cls: object = None
        names: object = None
        known: object
        values: tuple
        if number > _LEAF:
            raise SnapshotError(f"an object in it is of the kind {number}")
        kind = number
        if kind < _CALL:
            known = (number, self.name())
            cls = self.known.get(known)
            if cls is None:
                cls = self.known[known] = self.fitting(kind, known[1])
        if kind == _INSTANCE:
            known = self.some_names()
            names = self.alike.get(known)
            if names is None:
                self.require_attributes(known)
                names = self.alike[known] = known
        # What cannot change stands behind what it names; the others may name anything.
        self.limit = index if kind >= _TUPLE else count
        values = self.values()
        if kind == _CALL:
            self.require_call(values)
        if names is not None and len(cython.cast(tuple, names)) != len(values):
            raise SnapshotError("an object in it has more names than values")
        if (kind == _DICT or kind == _MAPPING) and len(values) % 2:
            raise SnapshotError("a table in it has a key without a value")
        if kind == _ARRAY and (len(values) != 1 or type(values[0]) is not bytes):
            raise SnapshotError("an array in it is none")
        return Node(kind, cls, names, values)

    def rare(self, kind: cython.int, depth: cython.int):
        """What a tag means that stands not here, whose value lies so many others deep."""
        raise SnapshotError(f"a value in it has the tag {kind}")

    def end(self):
        if self.at != self.size:
            raise SnapshotError("its description goes on after its end")


def crc32(data: object, before: cython.uint = 0):
    """`zlib.crc32` of a buffer that nobody changes, behind what gave `before`. Where the CPU can, a tenth of its time."""
    view: cython.Py_buffer
    count: cython.size_t = 0
    done: uint32_t = before
    PyObject_GetBuffer(data, cython.address(view), PyBUF_SIMPLE)
    try:
        if view.len >= 64 and checksum_is_fast():
            count = view.len & ~cython.cast(cython.size_t, 15)
            with cython.nogil:
                done = checksum(done, cython.cast(cython.pointer(cython.uchar), view.buf), count)
        if count == cython.cast(cython.size_t, view.len):
            return done
    finally:
        PyBuffer_Release(cython.address(view))
    return _by_table(memoryview(data).cast("B")[count:], done)
