"""Walks: paths inside a T, arrays that NULL ends, linked lists, from a member to its container."""

from __future__ import annotations

import ctypes
import errno
from itertools import pairwise

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    LinuxError,
    MappingFlags,
    UserConstPtr,
    UserFault,
    UserPtr,
    container_of,
)

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
char, u8, u16, u32, u64 = ctypes.c_char, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class Link(ctypes.Structure):
    _fields_ = [("next", ctypes.c_void_p), ("prev", ctypes.c_void_p)]


class Cell(ctypes.Structure):
    _fields_ = [("b", u16 * 3), ("bits", u16, 4)]


class Side(ctypes.Union):
    _fields_ = [("left", u32), ("right", u64)]


class Node(ctypes.Structure):
    _anonymous_ = ("side",)
    _fields_ = [("a", Cell), ("grid", (Cell * 2) * 3), ("link", Link), ("side", Side), ("signed", ctypes.c_int32)]


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    """Two pages, then a hole."""
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    return space


# -- paths -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [UserPtr, UserConstPtr])
def test_a_path_leads_where_offsetof_does(kind: type) -> None:
    node = kind[Node](BASE)
    for path, offset, T in [
        ("a", 0, Cell),
        ("a.b", 0, u16 * 3),
        ("a.b[2]", 4, u16),
        ("grid[1]", Node.grid.offset + 16, Cell * 2),
        ("grid[1][1].b[2]", Node.grid.offset + 24 + 4, u16),
        ("link.prev", Node.link.offset + 8, ctypes.c_void_p),
        ("left", Node.side.offset, u32),
        ("side.right", Node.side.offset, u64),
    ]:
        found = node.field(path)
        assert (found.address - BASE, found.T, type(found)) == (offset, T, kind), path
    assert kind[u16 * 3](BASE).field("[2]").address == BASE + 4


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("a.c", AttributeError),
        ("a.b[3]", IndexError),
        ("a.b.c", TypeError),
        ("a[0]", TypeError),
        ("a.bits", TypeError),
        ("", ValueError),
        ("a.", ValueError),
        ("a..b", ValueError),
        (".a", ValueError),
        ("a.b[-1]", ValueError),
        ("a.b[ 1]", ValueError),
        ("a.b[1]b", ValueError),
        ("a.b[", ValueError),
        ("a-b", ValueError),
    ],
)
def test_a_path_that_leads_nowhere_says_so(path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        UserPtr[Node](BASE).field(path)


def test_a_member_beyond_the_last_address_is_a_fault() -> None:
    with pytest.raises(UserFault, match="leaves 64 bits"):
        UserPtr[Node]((1 << 64) - 8).field("link.prev")


# -- arrays that NULL ends -------------------------------------------------------------------------------------


def test_each_stops_before_null(memory: AddrSpace) -> None:
    argv = UserConstPtr[UserConstPtr[char]](BASE)
    memory.write(BASE, b"".join(at.to_bytes(8, "little") for at in (0x1111, 0x2222, 0, 0x3333)))
    assert list(argv.each(memory)) == [UserConstPtr[char](0x1111), UserConstPtr[char](0x2222)]
    assert list(argv.each(memory, 2)) == list(argv.each(memory, limit=2))
    assert list(argv[2].each(memory, 0)) == []
    assert list(UserPtr[u64](BASE).each(memory)) == [0x1111, 0x2222]
    assert list(UserPtr.of(">Q")(BASE).each(memory)) == [0x1111 << 48, 0x2222 << 48]


def test_each_beyond_its_limit_is_e2big_after_those_before(memory: AddrSpace) -> None:
    memory.write(BASE, b"\1" * 32)
    walk = UserPtr[u64](BASE).each(memory, 2)
    assert [next(walk), next(walk)] == [0x0101010101010101] * 2
    with pytest.raises(LinuxError) as caught:
        next(walk)
    assert caught.value.errno == errno.E2BIG


def test_each_into_a_hole_is_a_fault_there_and_reads_no_page_ahead(memory: AddrSpace) -> None:
    end = BASE + 2 * PAGE_SIZE
    memory.write(end - 16, b"\1" * 16)
    walk = UserPtr[u64](end - 16).each(memory)
    next(walk)
    next(walk)
    with pytest.raises(UserFault) as caught:
        next(walk)
    assert (caught.value.address, caught.value.reason) == (end, FaultReason.UNMAPPED)


def test_each_needs_elements_that_can_be_null(memory: AddrSpace) -> None:
    for T in (Node, u16 * 3, "<HH", ctypes.c_float, char):
        with pytest.raises(TypeError, match="NULL"):
            UserPtr.of(T)(BASE).each(memory)


# -- linked lists ----------------------------------------------------------------------------------------------


def chain(memory: AddrSpace, *nodes: int) -> None:
    for at, to in pairwise(nodes):
        UserPtr[Node](at).field("link.next").write(memory, to)


def test_follow_gives_the_nodes_up_to_null(memory: AddrSpace) -> None:
    chain(memory, BASE, BASE + 0x200, BASE + 0x100, 0)
    head = UserPtr[Node](BASE)
    assert [node.address for node in head.follow(memory, "link.next", 3)] == [BASE, BASE + 0x200, BASE + 0x100]
    assert {type(node) for node in head.follow(memory, "link.next", limit=3)} == {UserPtr}
    assert list(UserPtr[Node](0).follow(memory, "link.next", 3)) == []


def test_a_circular_list_ends_at_its_head(memory: AddrSpace) -> None:
    chain(memory, BASE, BASE + 0x200, BASE + 0x100, BASE)
    head = UserPtr[Node](BASE)
    assert len(list(head.follow(memory, "link.next", 3, head))) == 3
    assert len(list(head[0].follow(memory, "link.next", 3, end=BASE + 0x100))) == 2


def test_a_loop_ends_with_eloop_at_the_limit(memory: AddrSpace) -> None:
    chain(memory, BASE, BASE + 0x200, BASE + 0x100, BASE + 0x200)
    seen = []
    with pytest.raises(LinuxError, match=r"from 0x100000 has more than 100 nodes, or is a loop") as caught:
        seen.extend(UserPtr[Node](BASE).follow(memory, "link.next", 100))
    assert caught.value.errno == errno.ELOOP
    walk = UserPtr[Node](BASE).follow(memory, "link.next", 2)
    assert [next(walk).address, next(walk).address] == [BASE, BASE + 0x200]
    with pytest.raises(LinuxError):
        next(walk)


@pytest.mark.parametrize("to", [0xDEAD0000, (1 << 64) - 8, BASE + 1])
def test_a_bad_link_is_a_fault_when_it_is_followed(memory: AddrSpace, to: int) -> None:
    chain(memory, BASE, to)
    walk = UserPtr[Node](BASE).follow(memory, "link.next", 10)
    assert [next(walk).address, next(walk).address] == [BASE, to]
    with pytest.raises(UserFault):
        next(walk)


def test_a_negative_link_is_an_address_at_the_top(memory: AddrSpace) -> None:
    UserPtr[Node](BASE).field("signed").write(memory, -8)
    walk = UserPtr[Node](BASE).follow(memory, "signed", 10)
    assert [next(walk).address, next(walk).address] == [BASE, (1 << 64) - 8]
    with pytest.raises(UserFault):
        next(walk)


def test_follow_needs_a_link(memory: AddrSpace) -> None:
    for path in ("a", "a.b"):
        with pytest.raises(TypeError, match="links to nothing"):
            UserPtr[Node](BASE).follow(memory, path, 10)


# -- containers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [UserPtr, UserConstPtr])
def test_container_of_undoes_field(kind: type) -> None:
    node = kind[Node](BASE)
    for path in ("link", "link.prev", "a.b[2]", "grid[2][1]"):
        assert container_of(node.field(path), Node, path) == node
        assert type(container_of(node.field(path), Node, path)) is kind


def test_container_of_wants_the_member_s_type_and_stays_above_zero() -> None:
    with pytest.raises(TypeError, match="points at"):
        container_of(UserPtr[u64](BASE), Node, "link")
    with pytest.raises(UserFault, match="leaves 64 bits"):
        container_of(UserPtr[Link](8), Node, "link")
