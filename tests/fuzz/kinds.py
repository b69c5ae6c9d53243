"""The types that pointers of the fuzzer point at: each with values of it, their bytes, and values that are not."""

from __future__ import annotations

import ctypes
import enum
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from dissect.cstruct import cstruct

from axptr import Layout, UserConstPtr, UserPtr, enum_type
from axptr.model import LP64, DataModel

C = ctypes


class Point(C.Structure):
    _fields_ = [("x", C.c_int32), ("y", C.c_int64)]


class Node(C.Structure):
    _fields_ = [("next", C.c_uint64), ("value", C.c_uint32), ("points", Point * 2)]


class Bits(C.Structure):
    _fields_ = [("low", C.c_uint32, 5), ("high", C.c_uint32, 27), ("x", C.c_uint64)]


class Packed(C.Structure):
    _pack_ = 1
    _fields_ = [("tag", C.c_uint8), ("x", C.c_uint64), ("y", C.c_uint16)]


class Big(C.BigEndianStructure):
    _fields_ = [("x", C.c_uint32), ("y", C.c_uint16 * 3)]


class Either(C.Union):
    _fields_ = [("byte", C.c_uint8), ("word", C.c_uint64), ("point", Point)]


class Outer(C.Structure):
    class _U(C.Union):
        _fields_ = [("inner", C.c_uint16), ("other", C.c_uint8)]

    _anonymous_ = ("u",)
    _fields_ = [("u", _U), ("big", Big), ("text", C.c_char * 7), ("wide", C.c_wchar), ("flag", C.c_bool)]


class Long(C.Structure):
    _fields_ = [("low", C.c_uint64, 40), ("high", C.c_uint64, 24), ("end", C.c_uint8)]


class Color(enum.IntEnum):
    RED = 1
    BLUE = 2


class Mode(enum.IntFlag):
    R = 4
    W = 2


_DECLARED = """
    enum color : uint8 { RED = 1, BLUE = 2 };
    flag mode : uint16 { R = 1, W = 2 };
    struct point { uint8 a; uint32 b; };
    struct node {
        uint8 tag; color c; mode m; struct point points[3]; uint16 grid[2][3];
        struct node *next; uint32 low : 3; uint32 high : 29; wchar w; char name[4];
        union { uint32 word; uint8 byte; };
    };
"""
NATIVE, SWAPPED = cstruct(endian="<", pointer="uint64"), cstruct(endian=">", pointer="uint32")
NATIVE.load(_DECLARED, align=True)
SWAPPED.load(_DECLARED)


class Kind:
    """One T.

    good: values of it, each with its bytes in a little-endian program of 64 bits (None: padding, that nobody knows).
    bad: no values of it, or too large. value: what such bytes are in Python, for comparison; None where that is not
    worth it. text: whether strings of bytes are made of it. walks: whether an array of it may end in NULL. paths: to
    members. links: those that `follow` takes. word: whether it may be an atomic word. plain: whether ctypes has it.
    live: whether the live verbs can show it. foreign: whether it says its
    order and widths itself, so that every data model reads it so. flips: whether it is a number whose bytes a big model
    has the other way round, and nothing else. address: whether it is a user pointer.
    """

    def __init__(
        self,
        T: Any,
        good: Sequence[tuple[Any, bytes | None]],
        bad: list[Any],
        value: Callable[[bytes], Any] | None = None,
        *,
        walks: bool = False,
        paths: tuple[str, ...] = (),
        links: tuple[str, ...] = (),
        word: bool = False,
        text: bool = False,
        live: bool = True,
        foreign: bool = False,
        flips: bool = False,
    ) -> None:
        self.T = T
        self.good = good
        self.bad = bad
        self.value = value
        self.walks, self.paths, self.links, self.word, self.text = walks, paths, links, word, text
        self.live = live
        self.foreign, self.flips = foreign, flips
        self.address = hasattr(T, "ACCESS_FLAGS")
        self.plain = isinstance(T, type) and hasattr(T, "from_buffer_copy")
        self.size, self.align = Layout.of(T)
        self.types = UserPtr.of(T), UserConstPtr.of(T)
        self._layouts: dict[DataModel, Layout | None] = {LP64: Layout(self.size, self.align)}

    def layout(self, model: DataModel) -> Layout | None:
        """As a data model has it; None if it has no form there."""
        if model not in self._layouts:
            try:
                self._layouts[model] = Layout.of(self.T, model)
            except TypeError:
                self._layouts[model] = None
        return self._layouts[model]

    def __repr__(self) -> str:
        return f"Kind({self.T!r})"


_NOT: list[Any] = ["x", None, b"xx", [], 1.5, object]
_WHOLE = (
    0,
    1,
    0x41,
    0x7F,
    -1,
    -0x80,
    0xFF,
    0x1234,
    -0x8000,
    0xFFFF,
    0x7FFF_FFFF,
    0xFFFF_FFFF,
    -(1 << 63),
    (1 << 64) - 1,
)


def _integers(low: int, high: int) -> list[int]:
    return [value for value in _WHOLE if low <= value <= high]


def _integer(T: Any, **options: Any) -> Kind:
    size, signed = C.sizeof(T), T(-1).value < 0
    order: Any = "big" if size > 1 and T.__ctype_be__ is T else "little"
    low, high = (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    good = [(value, value.to_bytes(size, order, signed=signed)) for value in _integers(low, high)]
    return Kind(
        T,
        good,
        ["x", None, b"xx", [], 1.5, object, low - 1, high + 1, 1 << 100, -1 << 100],
        lambda raw: int.from_bytes(raw, order, signed=signed),
        walks=order == "little",
        word=size in (4, 8),
        text=size == 1,
        foreign=order == "big",
        flips=order == "little",
        **options,
    )


def _real(T: Any, code: str) -> Kind:
    good = [(value, struct.pack(code, value)) for value in (0.0, -1.5, math.inf, 2.0**100, -0.0)]
    return Kind(
        T,
        good,
        ["x", None, b"xx", [], 1e300] if code[1] == "f" else ["x", None, b"xx", []],
        lambda raw: struct.unpack(code, raw)[0],
        foreign=code[0] == ">",
        flips=code[0] == "<",
    )


def _compound(T: Any, bad: list[Any] | None = None, **options: Any) -> Kind:
    size = C.sizeof(T)
    values = []
    if size < 1 << 20:  # larger ones have no value that a host has room for
        blobs = [bytes(size), (b"\x01\x02\x03\x00AB" * size)[:size], (b"\xff\x7e" * size)[:size]]
        values = [(T.from_buffer_copy(blob), blob) for blob in blobs]
    return Kind(T, values, [1, "x", None, b"", Point if T is not Point else Big, T], bytes, **options)


def _code(code: str, values: list[Any], **options: Any) -> Kind:
    """A struct code whose native padding is trailing only if it is written out."""
    size = Layout.of(code).size
    pack = struct.Struct(code)
    good = [(v, pack.pack(*(v if isinstance(v, tuple) else (v,))).ljust(size, b"\0")) for v in values]

    def value(raw: bytes) -> Any:
        found = pack.unpack(raw[: pack.size])
        return found if len(found) > 1 else found[0]

    return Kind(code, good, [None, [], (1, 2, 3, 4, 5), "xyz", 1 << 99, 1.5j], value, **options)


def _dtype(spec: Any, values: list[Any], **options: Any) -> Kind:
    dtype = np.dtype(spec)
    padded = dtype.isalignedstruct  # what stands in padding numpy does not say
    good = [(value, None if padded else np.array(value, dtype.base).tobytes()) for value in values]
    return Kind(dtype, good, [None, "xyz" * 99, object(), [1] * 77], None, foreign=True, **options)


def _declared(T: Any, **options: Any) -> Kind:
    size = T.size
    blobs = [bytes(size), (b"\x02\x41\x00\x00" * size)[:size]]
    good = [(T(blob), T(blob).dumps()) for blob in blobs]
    return Kind(T, good, [None, "xyz", object()], None, foreign=True, live=False, **options)


def _pointer(T: Any) -> Kind:
    good: list[tuple[Any, bytes]] = [
        (v, (v or 0).to_bytes(8, "little")) for v in (None, 0, 0x1000, (1 << 64) - 1, 1 << 63)
    ]
    good += [(UserPtr[C.c_int](0x77), (0x77).to_bytes(8, "little"))]
    return Kind(T, good, ["x", -1, 1 << 64, 1.5, b""], lambda raw: T(int.from_bytes(raw, "little")), walks=True)


_BIG = [T.__ctype_be__ for T in (C.c_uint16, C.c_uint32, C.c_int64)]
KINDS: list[Kind] = [
    Kind(
        C.c_char,
        [(b"A", b"A"), (b"\0", b"\0"), (bytearray(b"z"), b"z")],
        ["x", None, b"", b"xx", 1],
        bytes,
        text=True,
    ),
    *(_integer(T) for T in (C.c_uint8, C.c_int8, C.c_uint16, C.c_int16, C.c_uint32, C.c_int32, C.c_uint64, C.c_int64)),
    *(_integer(T) for T in _BIG),
    Kind(C.c_bool, [(True, b"\1"), (0, b"\0"), (7, b"\1")], ["x", None, 1.5], lambda raw: raw != b"\0"),
    _real(C.c_float, "<f"),
    _real(C.c_double, "<d"),
    _real(C.c_double.__ctype_be__, ">d"),
    Kind(C.c_longdouble, [(1.5, None), (0, None)], _NOT[:4], None),
    Kind(C.c_wchar, [("A", b"A\0\0\0"), ("\U0001f600", b"\x00\xf6\x01\x00")], ["", "xx", 1, None], None),
    Kind(
        C.c_void_p,
        [(0, bytes(8)), (0x1000, (0x1000).to_bytes(8, "little"))],
        ["x", -1, 1 << 64, 1.5],
        None,
        walks=True,
        word=True,
    ),
    _pointer(UserPtr[C.c_char]),
    _pointer(UserConstPtr[UserPtr[C.c_char]]),
    _pointer(UserPtr[Node]),
    _compound(Point, paths=("x", "y"), links=("x", "y")),
    _compound(Node, paths=("next", "value", "points", "points[1]", "points[1].y"), links=("next", "value")),
    _compound(Bits, paths=("x",), links=("x",)),
    _compound(Packed, paths=("tag", "x", "y"), links=("x", "tag")),
    _compound(Big, paths=("x", "y", "y[2]"), links=("x",)),
    _compound(Either, paths=("byte", "word", "point.y"), links=("word",)),
    _compound(Outer, paths=("inner", "other", "big.y[1]", "text", "text[6]")),
    _compound(C.c_uint16 * 5, paths=("[0]", "[4]")),
    _compound(Point * 3, paths=("[2]", "[1].y"), links=("[1].y",)),
    _compound((C.c_int8 * 3) * 2, paths=("[1][2]", "[1]")),
    _compound(C.c_char * 5),
    _compound(C.c_uint8 * 5000, paths=("[4999]",)),
    _compound(C.c_uint64 * (1 << 40), paths=("[7]",), live=False),
    _code("<I", [0, 7, 0xFFFF_FFFF], foreign=True, word=True),
    _code("<q", [0, -1, 1 << 62], foreign=True, word=True),
    _code(">HH", [(1, 2), (0, 0)], foreign=True, live=False),
    _code("@bIq", [(1, 2, -3)], live=False),
    _code("<4sx?H", [(b"ab", True, 7), (b"abcd", False, 0)], foreign=True, live=False),
    _code("=l", [0, -5], flips=True, word=True),
    _code("@l", [0, -5, 1 << 40], word=True),
    _code("P", [0, 0x1000], word=True),
    _code("<3p", [b"", b"ab"], foreign=True, live=False),
    _code("<e", [0.0, 1.5], foreign=True, live=False),
    _code(">d", [0.0, 1.5], foreign=True),
    _code("c", [b"a"]),
    Kind(
        enum_type(Color, C.c_uint8), [(Color.RED, b"\1"), (0xFE, b"\xfe")], [*_NOT, 256], lambda raw: raw[0], live=False
    ),
    Kind(enum_type(Mode, "<q"), [(Mode.R | Mode.W, (6).to_bytes(8, "little"))], _NOT, None, live=False),
    _dtype("<u4", [0, 7, 0xFFFF_FFFF], walks=True),
    _dtype(">i2", [0, -7], walks=True),
    _dtype("f8", [0.0, -1.5]),
    _dtype("?", [True, False]),
    _dtype("S5", [b"", b"abc"]),
    _dtype("M8[s]", [np.datetime64(0, "s")]),
    _dtype([("a", "<u2"), ("b", ">i4"), ("c", "S3")], [(1, -2, b"xy")], paths=("a", "b", "c"), links=("a", "b")),
    _dtype(np.dtype([("a", "u1"), ("b", "<u8")], align=True), [(1, 2)], paths=("a", "b"), links=("b",)),
    _dtype(("<u2", (2, 3)), [np.arange(6).reshape(2, 3)], paths=("[1]", "[1][2]")),
    _declared(NATIVE.point, paths=("a", "b"), links=("b",)),
    _declared(NATIVE.node, paths=("points[2].b", "grid[1][2]", "next", "name", "word"), links=("next", "word")),
    _declared(SWAPPED.node, paths=("points[2].b", "next", "byte"), links=("next",)),
    Kind(NATIVE.uint24, [(5, b"\5\0\0")], ["x", None, 1 << 24], None, walks=True, foreign=True, live=False),
    Kind(NATIVE.char, [(b"A", b"A")], ["x", None, b"xx"], None, foreign=True, live=False),
    Kind(SWAPPED.wchar, [("A", b"\0A")], ["xx", None, 5], None, foreign=True, live=False),
    _compound(Long),
    _compound(C.c_wchar * 3),
    _code(">Q", [0, 7, (1 << 64) - 1], foreign=True, word=True),
]
"""Ordered: what programs choose by is the index."""

WORDS = [kind for kind in KINDS if kind.word]
NO_TYPES: list[Any] = [
    C.c_char_p, C.POINTER(C.c_int), C.c_void_p * 0, object, int, "", "zz", None, Color, np.dtype("O"), np.dtype("U3"),
    5, C.py_object, C.Structure, "0p", "0s", "<P", type, C.CFUNCTYPE(None), [("a", "u4")], C.c_char_p * 3,
    "99999999999999999999I", np.dtype("S0"), np.dtype([]),
]  # fmt: skip
