"""Struct codes as T: the layout, the values, and what a code refuses."""

from __future__ import annotations

import ctypes
import pickle
import struct
from typing import Any

import pytest

from axptr import PAGE_SIZE, AddrSpace, Layout, MappingFlags, UserConstPtr, UserFault, UserPtr

BASE = 0x100000


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    space.map_alloc(BASE, 2 * PAGE_SIZE, MappingFlags.READ | MappingFlags.WRITE)
    return space


@pytest.mark.parametrize("code", ["<I", ">Hxx I", "=lL", "!q", "<bIq", ">3s2x?", "<e"])
def test_an_explicit_byte_order_has_the_size_of_struct_and_no_alignment(code: str) -> None:
    assert Layout.of(code) == Layout(struct.calcsize(code), 1)


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("I", "I"),
        ("Ib", "Ib"),
        ("bIq", "bIq"),
        ("@qb", "qb"),
        ("3b H", "bbbH"),
        ("bn", "bq"),
        ("Pb", "Pb"),
        ("b0I", "b"),
    ],
)
def test_a_native_code_lies_as_the_structure_in_c(code: str, fields: str) -> None:
    ctype = {"I": ctypes.c_uint32, "b": ctypes.c_int8, "q": ctypes.c_int64, "H": ctypes.c_uint16, "P": ctypes.c_void_p}
    members: list[Any] = [(f"f{i}", ctype[kind]) for i, kind in enumerate(fields)]
    if code == "b0I":
        members.append(("end", ctypes.c_uint32 * 0))
    T = type("T", (ctypes.Structure,), {"_fields_": members})
    assert Layout.of(code) == Layout(ctypes.sizeof(T), ctypes.alignment(T))


def test_a_native_code_must_be_aligned_and_an_explicit_one_need_not(memory: AddrSpace) -> None:
    with pytest.raises(UserFault, match="misaligned"):
        UserPtr.of("I")(BASE + 1).read(memory)
    with pytest.raises(UserFault, match="misaligned"):
        UserPtr.of("I")(BASE + 1).write(memory, 1)
    UserPtr.of("<I")(BASE + PAGE_SIZE - 1).write(memory, 0x01020304)
    assert memory.read(BASE + PAGE_SIZE - 1, 4) == b"\4\3\2\1"
    assert UserPtr.of(">I")(BASE + PAGE_SIZE - 1).read(memory) == 0x04030201


def test_one_code_gives_the_value_and_several_a_tuple(memory: AddrSpace) -> None:
    memory.write(BASE, bytes(range(1, 17)))
    assert UserConstPtr.of("<H")(BASE).read(memory) == 0x0201
    assert UserConstPtr.of(">Hxx I")(BASE).read(memory) == (0x0102, 0x05060708)
    assert UserConstPtr.of("<2H")(BASE).read(memory) == (0x0201, 0x0403)
    assert UserConstPtr.of("4s")(BASE).read(memory) == b"\1\2\3\4"
    assert UserConstPtr.of("4x")(BASE).read(memory) == ()
    assert UserConstPtr.of("3p")(BASE).read(memory) == b"\2"
    assert UserConstPtr.of("<xH")(BASE).read(memory) == 0x0302


def test_slices(memory: AddrSpace) -> None:
    memory.write(BASE, bytes(range(1, 13)))
    assert UserConstPtr.of(">H")(BASE).read_slice(memory, 2) == (0x0102, 0x0304)
    assert UserConstPtr.of("<BH")(BASE).read_slice(memory, 2) == ((1, 0x0302), (4, 0x0605))
    assert UserConstPtr.of("<xH")(BASE).read_slice(memory, 2) == (0x0302, 0x0605)
    assert UserConstPtr.of("B")(BASE).read_slice(memory, 2) == b"\1\2"
    assert UserConstPtr.of("<BH")(BASE).read_slice(memory, 0) == ()
    UserPtr.of(">BH")(BASE).write_slice(memory, [(1, 2), (3, 4)])
    assert memory.read(BASE, 6) == b"\1\0\2\3\0\4"
    UserPtr.of("<H")(BASE).write_slice(memory, [1, 2])
    assert memory.read(BASE, 4) == b"\1\0\2\0"


def test_a_value_that_is_none_is_refused_and_nothing_stored(memory: AddrSpace) -> None:
    for code, value, error in [
        ("<I", -1, OverflowError),
        ("<I", 1.5, TypeError),
        (">I", 1 << 32, OverflowError),
        (">I", "1", TypeError),
        ("<BH", (1, 1 << 16), OverflowError),
        ("<BH", (1, "2"), TypeError),
        ("<BH", (1,), TypeError),
        ("<BH", (1, 2, 3), TypeError),
        ("<BH", 1, TypeError),
        ("2s", b"abc", OverflowError),
        ("2s", "ab", TypeError),
        ("2p", b"ab", OverflowError),
        ("<cB", (b"ab", 1), TypeError),
        ("<?B", ("yes", 1), TypeError),
        ("<fB", ("1", 1), TypeError),
        ("<fB", (1e300, 1), OverflowError),
        ("<e", 1e10, OverflowError),
        ("<e", None, TypeError),
    ]:
        with pytest.raises(error):
            UserPtr.of(code)(BASE).write(memory, value)
        with pytest.raises(error):
            UserPtr.of(code)(BASE).write_slice(memory, [value])
    assert not any(memory.read(BASE, 64))


def test_live_views(memory: AddrSpace) -> None:
    live = UserPtr.of("<I")(BASE).get(memory)
    live.value = 7
    assert UserPtr.of("<I")(BASE).read(memory) == 7
    view = UserPtr.of("<I")(BASE).get_as_slice(memory, 2)
    assert list(view) == [7, 0]
    rows = UserPtr.of("<IH")(BASE).get_as_slice(memory, 2)
    assert rows.shape == (2, 6)
    assert UserPtr.of("<IH")(BASE).get_as_slice(memory, 0).nbytes == 0
    with pytest.raises(TypeError, match="no live form"):
        UserPtr.of("<IH")(BASE).get(memory)


def test_pointers_to_codes_are_pointers_like_others(memory: AddrSpace) -> None:
    ptr = UserPtr.of("<IH")(BASE)
    assert (ptr + 2).address == BASE + 12
    assert ptr == UserConstPtr["<" + "IH"](BASE)
    assert repr(ptr) == "UserPtr['<IH'](0x100000)"
    assert ptr.T == "<IH"
    assert pickle.loads(pickle.dumps(ptr)) == ptr
    assert type(ptr.as_const()) is UserConstPtr
    with pytest.raises(TypeError, match="no fields"):
        ptr.field("x")
    with pytest.raises(TypeError, match="no array"):
        ptr.field("[0]")
