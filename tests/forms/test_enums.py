"""Enums and flags as T: members, values nobody knows, and what does not fit."""

from __future__ import annotations

import ctypes
import enum
import pickle

import pytest

from axptr import PAGE_SIZE, AddrSpace, Layout, MappingFlags, UserConstPtr, UserPtr, enum_type

BASE = 0x100000


class Color(enum.IntEnum):
    RED = 1
    BLUE = 2


class Mode(enum.IntFlag):
    R = 4
    W = 2


class Strict(enum.IntFlag, boundary=enum.STRICT):
    A = 1


class Conform(enum.IntFlag, boundary=enum.CONFORM):
    A = 1


class Low(enum.IntEnum):
    MINUS = -2


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    space.map_alloc(BASE, 2 * PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    return space


def test_a_member_is_read_as_the_member(memory: AddrSpace) -> None:
    ptr = UserPtr.of(enum_type(Color, ctypes.c_uint16))(BASE + 2)
    ptr.write(memory, Color.BLUE)
    assert memory.read(BASE + 2, 2) == b"\2\0"
    assert ptr.read(memory) is Color.BLUE
    assert ptr.read_unaligned(memory) is Color.BLUE
    ptr.write_slice(memory, [Color.RED, 2, 9])
    assert ptr.read_slice(memory, 3) == (Color.RED, Color.BLUE, 9)


def test_an_unknown_value_is_the_plain_int(memory: AddrSpace) -> None:
    memory.write(BASE, b"\xff\xff\xff\xff")
    for members, T, value in [
        (Color, ctypes.c_uint8, 255),
        (Color, ctypes.c_int8, -1),
        (Strict, ctypes.c_uint8, 255),
        (Conform, ctypes.c_uint8, 255),
        (Mode, ctypes.c_int32, -1),
    ]:
        found = UserPtr.of(enum_type(members, T))(BASE).read(memory)
        assert found == value
        assert type(found) is int


def test_a_flag_keeps_bits_nobody_knows(memory: AddrSpace) -> None:
    memory.write(BASE, b"\x84")
    found = UserPtr.of(enum_type(Mode, ctypes.c_uint8))(BASE).read(memory)
    assert isinstance(found, Mode)
    assert found == 0x84
    assert Mode.R in found


def test_the_underlying_type_gives_size_sign_order_and_alignment(memory: AddrSpace) -> None:
    big = enum_type(Color, ctypes.c_uint32.__ctype_be__)
    assert Layout.of(big) == Layout(4, 4)
    assert Layout.of(enum_type(Color, ">H")) == Layout(2, 1)
    UserPtr.of(big)(BASE).write(memory, Color.BLUE)
    assert memory.read(BASE, 4) == b"\0\0\0\2"
    assert UserPtr.of(enum_type(Color, ">H"))(BASE + 2).read(memory) is Color.BLUE
    low = UserPtr.of(enum_type(Low, ctypes.c_int8))(BASE)
    low.write(memory, Low.MINUS)
    assert memory.read(BASE, 1) == b"\xfe"
    assert low.read(memory) is Low.MINUS


def test_what_does_not_fit_is_refused(memory: AddrSpace) -> None:
    ptr = UserPtr.of(enum_type(Color, ctypes.c_uint8))(BASE)
    with pytest.raises(OverflowError, match=r"256 does not fit in enum_type\(Color, c_ubyte\)"):
        ptr.write(memory, 256)
    with pytest.raises(TypeError, match="needs an integer, not str"):
        ptr.write(memory, "RED")
    with pytest.raises(OverflowError):
        enum_type(Low, ctypes.c_uint8)
    with pytest.raises(TypeError, match=r"use enum_type\(Color, c_int\)"):
        UserPtr[Color]


def test_one_pair_is_one_type() -> None:
    T = enum_type(Color, ctypes.c_uint8)
    assert enum_type(Color, ctypes.c_uint8) is T
    assert UserPtr.of(T) is UserPtr.of(enum_type(Color, ctypes.c_uint8))
    assert UserConstPtr.of(T) is not UserConstPtr.of(enum_type(Color, ctypes.c_uint16))
    ptr = UserPtr.of(T)(BASE)
    assert pickle.loads(pickle.dumps(ptr)) == ptr
    assert repr(ptr) == "UserPtr[enum_type(Color, c_ubyte)](0x100000)"
