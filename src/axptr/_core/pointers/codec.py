"""How one value of a type lies in memory, and what it is in Python.

A `Codec` knows the size and alignment of its T and turns bytes into a Python value (`box`) and back (`unbox`). It sees
host memory only.

Codecs of `c_char` are needed by whoever reads paths, and a start has no time for ctypes: those two that `pointertype`
makes of `of_bytes` know their T when somebody asks for it.

Not here: addresses and access (`pointer`), sizes of compound types (`layout`).

Failure: `unbox` raises `TypeError` or `OverflowError` for a value that is no T and then has stored nothing that anybody
uses; `box` raises `LinuxError(EILSEQ)` for what is no character.
"""

import errno

import cython
from cython.cimports.axptr._core.pointers.codec import (
    KIND_BOOL,
    KIND_CHAR,
    KIND_FLOAT,
    KIND_FORM,
    KIND_OBJECT,
    KIND_POINTER,
    KIND_SIGNED,
    KIND_SWAPPED,
    KIND_UNSIGNED,
    KIND_WCHAR,
    axptr_as_u64,
    axptr_from_u64,
    axptr_swapped,
)
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.cimports.cpython.long import (
    PyLong_AsLongLong,
    PyLong_AsUnsignedLongLong,
    PyLong_CheckExact,
    PyLong_FromLongLong,
)
from cython.cimports.cpython.ref import Py_INCREF
from cython.cimports.cpython.tuple import PyTuple_New, PyTuple_SET_ITEM
from cython.cimports.libc.math import isinf
from cython.cimports.libc.stdint import int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy

from axptr.addr import checked_address
from axptr.errors import LinuxError
from axptr.forms.find import OTHER_ORDER, form_of
from axptr.layout import Layout

_SIGNED = "bhilqn"
_UNSIGNED = "BHILQNP"
of_bytes = object()
_untold = cython.declare(list, [])


class Codec:
    """The way of values of T into memory and out of it. size, align: of one T, in bytes."""

    def __cinit__(self, T, const=False, model=None, seen=None):
        if T is of_bytes:
            self.size = self.align = 1
            self.kind = self.native = KIND_CHAR
            self.format = b"B"
            _untold.append(self)
            return
        form = form_of(T)
        self.own = T if form is None else form.T
        self.model = model
        if model is not None:
            T = seen
            form = form_of(T)
        self.looks = T
        layout = Layout.of(T)
        self.size = layout.size
        self.align = layout.align
        self.within = self.size - 1
        self.kind = KIND_OBJECT
        self.format = b""
        if form is not None:
            T = form.ctype
        self.ctype = T
        if T is None:
            self.kind = KIND_FORM
            self.form = form
            self.load_many = form.load_many
            self.mutable = form.mutable
        elif isinstance(T, Codec):
            self.kind = KIND_POINTER
            self.format = b"Q"
        elif isinstance(T, type) and issubclass(T, _simple()):
            code = T._type_
            swapped: cython.bint = self.size > 1 and getattr(T, OTHER_ORDER, None) is T
            self.boxed = code == "g"
            if code in _SIGNED:
                self.kind = KIND_SIGNED
            elif code in _UNSIGNED:
                self.kind = KIND_UNSIGNED
                code = "Q" if code == "P" else code
            elif code in "fd":
                self.kind = KIND_FLOAT
            elif code == "?":
                self.kind = KIND_BOOL
            elif code == "c":
                self.kind = KIND_CHAR
                code = "B"
            elif code == "u":
                self.kind = KIND_WCHAR
                code = "I" if self.size == 4 else "H"
            else:
                self.boxed = True
            self.native = self.kind
            if self.boxed:
                self.kind = KIND_OBJECT
            elif swapped:
                self.kind = KIND_SWAPPED
            else:
                self.format = code.encode()

    @property
    def T(self):
        return told(self)

    @property
    def seen(self):
        told(self)
        return self.looks

    def box(self, p):
        """The Python value of one T at `p`."""
        kind: cython.int = self.kind
        number: uint64_t = 0
        if kind == KIND_SWAPPED:
            memcpy(cython.address(number), p, self.size)
            number = axptr_swapped(number, self.size)
            p = cython.cast(cython.pointer(cython.const[uint8_t]), cython.address(number))
            kind = self.native
        if kind == KIND_UNSIGNED:
            return _unsigned(p, self.size)
        if kind == KIND_SIGNED:
            return _signed(p, self.size)
        if kind == KIND_FLOAT:
            return _float(p, self.size)
        if kind == KIND_POINTER:
            return self.own(cython.cast(cython.pointer(uint64_t), p)[0])
        if kind == KIND_BOOL:
            return p[0] != 0
        if kind == KIND_CHAR:
            return PyBytes_FromStringAndSize(cython.cast(cython.p_char, p), 1)
        if kind == KIND_WCHAR:
            return _character(_unsigned(p, self.size))
        blob: bytes = PyBytes_FromStringAndSize(cython.cast(cython.p_char, p), self.size)
        if kind == KIND_FORM:
            return self.form.load(blob)
        value = self.ctype.from_buffer_copy(blob)
        return value.value if self.boxed else value

    def box_many(self, p, n):
        """The values of n T side by side, as a tuple."""
        i: cython.Py_ssize_t
        items = PyTuple_New(n)
        if self.kind == KIND_SIGNED and self.size < 8:
            for i in range(n):
                item = _signed(p, self.size)
                Py_INCREF(item)
                PyTuple_SET_ITEM(items, i, item)
                p += self.size
        elif self.kind == KIND_FLOAT:
            for i in range(n):
                item = _float(p, self.size)
                Py_INCREF(item)
                PyTuple_SET_ITEM(items, i, item)
                p += self.size
        else:
            for i in range(n):
                item = self.box(p)
                Py_INCREF(item)
                PyTuple_SET_ITEM(items, i, item)
                p += self.size
        return items

    def unbox(self, value, p):
        """Store a Python value as one T at `p`; `TypeError` or `OverflowError` if it is none."""
        kind: cython.int = self.native if self.kind == KIND_SWAPPED else self.kind
        number: uint64_t = 0
        signed: int64_t
        real: cython.double
        single: cython.float
        whole: bytes
        if kind == KIND_UNSIGNED or kind == KIND_SIGNED:
            if not PyLong_CheckExact(value):
                value = _as_integer(value, self.own)
            if kind == KIND_UNSIGNED:
                number = _to_unsigned(value, self.own)
                if self.size < 8 and number >> (self.size * 8):
                    raise OverflowError(f"{value} does not fit in {name_of(self.own)}")
            else:
                signed = _to_signed(value, self.own)
                if self.size < 8 and signed != (signed << (64 - self.size * 8)) >> (64 - self.size * 8):
                    raise OverflowError(f"{value} does not fit in {name_of(self.own)}")
                number = cython.cast(uint64_t, signed)
        elif kind == KIND_FLOAT:
            if not isinstance(value, (int, float)) and not hasattr(type(value), "__float__"):
                raise TypeError(f"{name_of(self.own)} needs a number, not {type(value).__name__}")
            real = value
            if self.size == 8:
                memcpy(cython.address(number), cython.address(real), 8)
            else:
                single = cython.cast(cython.float, real)
                if isinf(single) and not isinf(real):
                    raise OverflowError(f"{value} does not fit in {name_of(self.own)}")
                memcpy(cython.address(number), cython.address(single), 4)
        elif kind == KIND_POINTER:
            number = as_address(value)
        elif kind == KIND_BOOL:
            if not isinstance(value, (bool, int)):
                raise TypeError(f"c_bool needs a bool, not {type(value).__name__}")
            number = 1 if value else 0
        elif kind == KIND_CHAR:
            if not isinstance(value, (bytes, bytearray)) or len(value) != 1:
                raise TypeError("c_char needs bytes of length 1")
            number = value[0]
        elif kind == KIND_WCHAR:
            if not isinstance(value, str) or len(value) != 1:
                raise TypeError("c_wchar needs a str of length 1")
            number = ord(value)
            if number >> (self.size * 8):
                raise OverflowError(f"{value!r} does not fit in c_wchar")
        else:
            if kind == KIND_FORM:
                whole = self.form.dump(value)
            else:
                if self.boxed:
                    value = _boxed_scalar(self.ctype, value)
                elif self.model is not None and isinstance(self.own, type) and isinstance(value, self.own):
                    from axptr.forms.foreign import converted  # few programs are foreign: not at every start

                    value = converted(value, self.ctype)
                elif not isinstance(value, self.ctype):
                    raise TypeError(f"want an instance of {name_of(self.own)}, not {type(value).__name__}")
                whole = bytes(memoryview(value).cast("B")) if memoryview(value).c_contiguous else bytes(value)
                if self.boxed:  # long double: 80 bits, and what the host's memory had after them
                    whole = whole[:10].ljust(self.size, b"\0")
            memcpy(p, PyBytes_AS_STRING(whole), self.size)
            return 0
        if self.kind == KIND_SWAPPED:
            number = axptr_swapped(number, self.size)
        memcpy(p, cython.address(number), self.size)
        return 0


@cython.cfunc
@cython.inline
def _unsigned(p: cython.pointer(cython.const[uint8_t]), size: uint64_t):
    number: uint64_t = 0
    if size == 4:
        number = cython.cast(cython.pointer(cython.const[uint32_t]), p)[0]
    elif size == 8:
        number = cython.cast(cython.pointer(cython.const[uint64_t]), p)[0]
    elif size == 1:
        number = p[0]
    else:
        number = cython.cast(cython.pointer(cython.const[uint16_t]), p)[0]
    return axptr_from_u64(number)


@cython.cfunc
@cython.inline
def _signed(p: cython.pointer(cython.const[uint8_t]), size: uint64_t):
    number: int64_t = 0
    if size == 4:
        number = cython.cast(cython.pointer(cython.const[int32_t]), p)[0]
    elif size == 8:
        number = cython.cast(cython.pointer(cython.const[int64_t]), p)[0]
    elif size == 1:
        number = cython.cast(cython.pointer(cython.const[int8_t]), p)[0]
    else:
        number = cython.cast(cython.pointer(cython.const[int16_t]), p)[0]
    return PyLong_FromLongLong(number)


@cython.cfunc
@cython.inline
def _float(p: cython.pointer(cython.const[uint8_t]), size: uint64_t):
    if size == 4:
        return cython.cast(cython.double, cython.cast(cython.pointer(cython.const[cython.float]), p)[0])
    return cython.cast(cython.pointer(cython.const[cython.double]), p)[0]


def _character(number):
    try:
        return chr(number)
    except (ValueError, OverflowError):
        raise LinuxError(errno.EILSEQ, f"{number:#x} is no character") from None


def _as_integer(value, T):
    index = getattr(type(value), "__index__", None)
    if index is None:
        raise TypeError(f"{name_of(T)} needs an integer, not {type(value).__name__}")
    return int(index(value))


def _boxed_scalar(T, value):
    if isinstance(value, T):
        return value
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name_of(T)} needs a number, not {type(value).__name__}")
    stored = T(value)
    if isinf(cython.cast(cython.double, stored.value)) and not isinf(cython.cast(cython.double, value)):
        raise OverflowError(f"{value} does not fit in {name_of(T)}")
    return stored


@cython.cfunc
@cython.exceptval(-1, check=True)
def _to_unsigned(value: object, T: object) -> uint64_t:
    try:
        return PyLong_AsUnsignedLongLong(value)
    except OverflowError:
        raise OverflowError(f"{value} does not fit in {name_of(T)}") from None


@cython.cfunc
@cython.exceptval(-1, check=True)
def _to_signed(value: object, T: object) -> int64_t:
    try:
        return PyLong_AsLongLong(value)
    except OverflowError:
        raise OverflowError(f"{value} does not fit in {name_of(T)}") from None


@cython.cfunc
@cython.exceptval(-1, check=True)
def as_address(value: object) -> uint64_t:
    """The address that a pointer value stands for: a pointer, an integer, or None for NULL."""
    number: uint64_t = 0
    if value is None or axptr_as_u64(value, cython.address(number)):
        return number
    return checked_address(value)


@cython.cfunc
def _simple():
    """What numbers of ctypes are made of: who asks has one."""
    from _ctypes import _SimpleCData

    return _SimpleCData


def told(codec):
    """A codec's T."""
    if codec.own is None:
        tell()
    return codec.own


def tell():
    """Tell codecs of bytes what their T is."""
    from ctypes import c_char

    one: Codec
    for one in _untold:
        one.own = one.looks = one.ctype = c_char
    del _untold[:]
    return 0


def name_of(T):
    return getattr(T, "__name__", None) or repr(T)
