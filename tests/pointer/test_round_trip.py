"""Every kind of T goes into memory and comes out again at every offset of a page, across pages, in both byte orders."""

from __future__ import annotations

import ctypes
import enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axptr import PAGE_SIZE, AddrSpace, Layout, MappingFlags, UserConstPtr, UserFault, UserPtr, enum_type
from fakes import FakeMemory, PlainProvider, plain

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


_C = ctypes
SCALARS: list[Any] = [_C.c_int8, _C.c_uint8, _C.c_int16, _C.c_uint16, _C.c_int32, _C.c_uint32, _C.c_int64, _C.c_uint64]
SCALARS += [T.__ctype_be__ for T in SCALARS if _C.sizeof(T) > 1]
CODES = [
    order + code for order in ("", "<", ">", "=") for code in ("b", "H", "i", "Q", "l", "L", "bIq", "4sx?H", "2hx")
]
TYPES = [
    *SCALARS, _C.c_bool, _C.c_char, _C.c_float, _C.c_double, _C.c_double.__ctype_be__, _C.c_void_p,
    UserPtr[_C.c_int], Bits, Packed, Big, Either, _C.c_uint16 * 5, Big * 2,
    *CODES, enum_type(Color, _C.c_uint8), enum_type(Color, ">H"), enum_type(Mode, _C.c_uint32), enum_type(Mode, "<q"),
]  # fmt: skip


@pytest.mark.parametrize("T", TYPES, ids=plain)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_read_is_written_back_the_same_anywhere(space: AddrSpace, T: Any, data: st.DataObject) -> None:
    layout = Layout.of(T)
    edge = PAGE_SIZE - data.draw(st.integers(0, layout.size))
    offset = data.draw(st.sampled_from([edge, data.draw(st.integers(0, PAGE_SIZE - 1))]))
    blob = data.draw(st.binary(min_size=3 * layout.size, max_size=3 * layout.size))
    if T in (_C.c_bool, "4sx?H") or (isinstance(T, str) and "?" in T):
        blob = bytes(byte & 1 for byte in blob)
    if (isinstance(T, str) and "x" in T) or T == "bIq":
        blob = canonical(T, blob)
    if T in (_C.c_float, _C.c_double, _C.c_double.__ctype_be__):
        blob = bytes(byte & 0x3B for byte in blob)  # numbers: what is none need not keep its bits
    if not space.areas():
        space.map_alloc(BASE, 3 * PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    fake = FakeMemory()
    fake.map(BASE, 3, MappingFlags.READ | MappingFlags.WRITE)
    at = BASE + offset
    for provider, poke, peek in [
        (space, space.write, space.read),
        (PlainProvider(fake), fake.poke, fake.peek),
    ]:
        poke(at, blob)
        ptr = UserPtr.of(T)(at)
        value = ptr.read_unaligned(provider)
        poke(at, bytes(len(blob)))
        ptr.write_unaligned(provider, value)
        assert peek(at, layout.size) == blob[: layout.size]
        if at % layout.align:
            for verb in (lambda: ptr.read(provider), lambda: ptr.write(provider, value)):  # noqa: B023
                with pytest.raises(UserFault, match="misaligned"):
                    verb()
            continue
        assert same(UserConstPtr.of(T)(at).read(provider), value)
        poke(at, blob)
        many = ptr.read_slice(provider, 3)
        poke(at, bytes(len(blob)))
        ptr.write_slice(provider, many)
        assert peek(at, len(blob)) == blob
        ptr.write(provider, value)
        assert peek(at, len(blob)) == blob


def same(a: Any, b: Any) -> bool:
    return bytes(a) == bytes(b) if isinstance(a, (_C.Structure, _C.Union, _C.Array)) else bool(a == b)


def canonical(code: str, blob: bytes) -> bytes:
    """The bytes with 0 in the padding, which no value has."""
    size = Layout.of(code).size
    T = UserPtr.of(code)
    fake = FakeMemory()
    fake.map(BASE, 1, MappingFlags.READ | MappingFlags.WRITE)
    for at in range(0, len(blob), size):
        fake.poke(BASE, blob[at : at + size])
        value = T(BASE).read(PlainProvider(fake))
        fake.poke(BASE, bytes(size))
        T(BASE).write(PlainProvider(fake), value)
        blob = blob[:at] + fake.peek(BASE, size) + blob[at + size :]
    return blob
