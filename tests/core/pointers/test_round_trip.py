"""Every kind of T goes into memory and comes out again: at every offset of a page, across pages, aligned and not, over
every kind of provider, under every data model, so in both byte orders."""

from __future__ import annotations

import ctypes
import enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import (
    ILP32_BIG,
    LP64,
    PAGE_SIZE,
    AddrSpace,
    DataModel,
    Layout,
    UserConstPtr,
    UserFault,
    UserPtr,
    enum_type,
)
from fakes import MODELS, PROVIDERS, over, peek, plain, poke, set_model, set_pages

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment]
try:
    from dissect.cstruct import cstruct
except ImportError:
    cstruct = None

BASE = 0x100000


class Color(enum.IntEnum):
    RED = 1
    BLUE = 2


class Mode(enum.IntFlag):
    R = 4
    W = 2


class Bits(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint32, 5), ("high", ctypes.c_uint32, 27), ("x", ctypes.c_uint64)]


class Packed(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("tag", ctypes.c_uint8), ("x", ctypes.c_uint64)]


class Big(ctypes.BigEndianStructure):
    _fields_ = [("x", ctypes.c_uint32), ("y", ctypes.c_uint16 * 3)]


class Either(ctypes.Union):
    _fields_ = [("byte", ctypes.c_uint8), ("word", ctypes.c_uint64)]


class Nested(ctypes.Structure):
    _fields_ = [("bits", Bits), ("next", ctypes.c_void_p), ("either", Either), ("tail", ctypes.c_int16 * 3)]


_C = ctypes
SIGNED: list[Any] = [_C.c_int8, _C.c_int16, _C.c_int32, _C.c_int64]
UNSIGNED: list[Any] = [_C.c_uint8, _C.c_uint16, _C.c_uint32, _C.c_uint64]
BIG = [T.__ctype_be__ for T in SIGNED[1:] + UNSIGNED[1:]]
CODES = [
    order + code for order in ("", "<", ">", "=") for code in ("b", "H", "i", "Q", "l", "L", "bIq", "4sx?H", "2hx")
]
FLOATS: list[Any] = [_C.c_float, _C.c_double, _C.c_double.__ctype_be__, "e", "d", ">f"]
POINTERS: list[Any] = [
    _C.c_void_p, "P", UserPtr[_C.c_int], UserPtr[UserConstPtr[_C.c_char]], UserConstPtr[UserPtr[UserPtr[Bits]]],
    UserPtr[_C.c_int].under(ILP32_BIG), UserConstPtr.of("<I"),
]  # fmt: skip
TYPES = [
    *SIGNED, *UNSIGNED, *BIG, *FLOATS, *POINTERS, _C.c_bool, _C.c_char, _C.c_wchar,
    Bits, Packed, Big, Either, Nested, _C.c_uint16 * 5, _C.c_uint64 * 2, Big * 2, Nested * 2, _C.c_char * 7,
    *CODES, enum_type(Color, _C.c_uint8), enum_type(Color, ">H"), enum_type(Mode, _C.c_uint32), enum_type(Mode, "<q"),
    enum_type(Color, "L"),
]  # fmt: skip
PADDED: list[Any] = [T for T in CODES if "x" in T or T == "bIq"]  # what stands in padding, no value has
if np is not None:
    RECORD = [("a", "u1"), ("b", ">u4"), ("c", "<i8"), ("d", "<u2", (2, 2)), ("e", "S3")]
    FLOATS += [np.dtype("<f8"), np.dtype(">f4"), np.dtype("<c8")]
    TYPES += FLOATS[-3:]
    TYPES += [
        np.dtype(code) for code in ("u1", "<i2", ">i2", "<u4", ">u4", "<i8", ">u8", "S5", "V3", "<M8[s]", ">m8[D]")
    ]
    TYPES += [np.uint16, np.int64, np.dtype(("<u2", (2, 3))), np.dtype((">i4", 3)), np.dtype(RECORD)]
    PADDED += [np.dtype(RECORD, align=True)]
    TYPES += [PADDED[-1], np.dtype(([("x", ">u2"), ("y", RECORD)], (2,)))]
if cstruct is not None:
    TEXT = """
        enum color : uint16 { RED = 1, BLUE = 2 };
        flag mode : uint32 { R = 1, W = 2 };
        struct point { uint8 a; uint32 b; };
        struct node {
            uint8 tag; color c; mode m; struct point points[2]; uint16 grid[2][3]; struct node *next;
            uint32 low : 3; uint32 high : 29; char name[5]; int24 odd; int64 wide;
        };
        typedef uint16 row[3];
    """
    for endian in "<>":
        for align in (False, True):
            declared = cstruct(endian=endian, pointer="uint32")
            declared.load(TEXT, align=align)
            TYPES += [declared.point, declared.node]
            PADDED += [declared.point, declared.node] if align else []
        TYPES += [declared.color, declared.mode, declared.row, declared.int24, declared.uint64, declared.char]


@pytest.mark.parametrize("T", TYPES, ids=plain)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(PROVIDERS), model=st.sampled_from(MODELS))
def test_what_is_read_is_written_back_the_same_anywhere(
    space: AddrSpace, T: Any, data: st.DataObject, kind: str, model: DataModel
) -> None:
    space.clear()
    provider = over(kind, space)
    set_pages(provider, BASE, "www")
    set_model(provider, model)
    size, align = layout = Layout.of(T, model)
    whose = getattr(T, "model", None) or model  # a T that is fixed to a model is of that one everywhere
    assert UserPtr.of(T).under(whose).size == size
    edge = PAGE_SIZE - data.draw(st.integers(0, size))
    at = BASE + data.draw(st.sampled_from([edge, data.draw(st.integers(0, PAGE_SIZE - 1))]))
    at += -at % data.draw(st.sampled_from([1, align]))
    blob = drawn(T, model, data.draw(st.binary(min_size=3 * size, max_size=3 * size)))
    ptr = UserPtr.of(T)(at)
    assert Layout.array(T, 3, model) == (3 * size, layout.align)

    poke(provider, at, blob)
    if in_list(T, PADDED):
        ptr.write_unaligned(provider, ptr.read_unaligned(provider))
        again = peek(provider, at, size)
        blob = again * 3
        poke(provider, at, blob)
    value = ptr.read_unaligned(provider)
    if (number := integer(T, model)) is not None:
        assert int(value) == int.from_bytes(blob[:size], number[0], signed=number[1])
    poke(provider, at, bytes(len(blob)))
    ptr.write_unaligned(provider, value)
    assert peek(provider, at, size) == blob[:size]
    # fixed to the model, a pointer needs no provider of that model
    fixed = UserConstPtr.of(T).under(whose)(at)
    set_model(provider, LP64 if model != LP64 else ILP32_BIG)
    assert same(fixed.read_unaligned(provider), value)
    set_model(provider, model)
    if at % align:
        for verb in (lambda: ptr.read(provider), lambda: ptr.write(provider, value)):
            with pytest.raises(UserFault, match="misaligned"):
                verb()
        return
    assert same(UserConstPtr.of(T)(at).read(provider), value)
    poke(provider, at, blob)
    many = ptr.read_slice(provider, 3)
    poke(provider, at, bytes(len(blob)))
    ptr.write_slice(provider, many)
    assert peek(provider, at, len(blob)) == blob
    ptr.write(provider, value)
    assert peek(provider, at, len(blob)) == blob


def drawn(T: Any, model: DataModel, blob: bytes) -> bytes:
    """The bytes of a value: those of what has fewer values than bytes, made some that one has."""
    if T is _C.c_bool or (isinstance(T, str) and "?" in T):
        return bytes(byte & 1 for byte in blob)
    if in_list(T, FLOATS):
        return bytes(byte & 0x3B for byte in blob)  # numbers: what is none need not keep its bits
    if T is _C.c_wchar:
        numbers = [int.from_bytes(blob[i : i + 4], model.order) % 0x110000 for i in range(0, len(blob), 4)]
        return b"".join(number.to_bytes(4, model.order) for number in numbers)
    return blob


def integer(T: Any, model: DataModel) -> tuple[Any, bool] | None:
    """The byte order of an integer and whether it is signed, worked out anew; None for what is none."""
    if isinstance(T, str) and len(T.lstrip("<>=")) == 1 and T[-1] in "bHiQlLP":
        order = "big" if T[0] == ">" else "little" if T[0] == "<" else model.order
        return order, T[-1] in "bil"
    if in_list(T, BIG):
        return "big", in_list(T, BIG[:3])
    if in_list(T, SIGNED + UNSIGNED + POINTERS):
        return (getattr(T, "model", None) or model).order, in_list(T, SIGNED)
    return None


def in_list(T: Any, types: list[Any]) -> bool:
    """By identity: a dtype is equal to strings, and to dtypes of another alignment."""
    return any(one is T or (isinstance(T, str) and isinstance(one, str) and one == T) for one in types)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, (_C.Structure, _C.Union, _C.Array)):
        return bytes(a) == bytes(b)
    if np is not None and isinstance(a, (np.ndarray, np.generic)):
        return bool(a.dtype == b.dtype) and a.tobytes() == b.tobytes()
    return bool(a == b)
