"""The rows of `drgn` that no row above says too: typed reads, members, lists, searches, areas."""

from __future__ import annotations

import ctypes
import errno

import pytest

from axptr import ILP32_BIG, PAGE_SIZE, UserConstPtr, UserFault, UserPtr

from .table import AT, DRGN, HOLE, RO, Bench, Pair, R, Text, W, Word, argv, row, the_row_is_true, u32, u64

test_the_row_is_true = the_row_is_true


class Node(ctypes.Structure):
    """The links, in the middle of what is linked, as C's list_head."""


Node._fields_ = [("next", u64), ("prev", u64)]


class Entry(ctypes.Structure):
    _fields_ = [("value", u64), ("link", Node)]


# -- strings -------------------------------------------------------------------------------------------------------


@row(DRGN, "Program.read_c_string(address)", "Object.string_()")
def _(b: Bench) -> None:
    b.put(b"swapper/0\0")
    assert b.run(p=Text(AT)) == b"swapper/0"
    b.put(b"x" * PAGE_SIZE, RO)
    b.faults(HOLE, p=Text(HOLE - 3))


@row(DRGN, "cmdline(task)")
def _(b: Bench) -> None:
    argv(b)
    assert b.run(at=AT) == [b"ls", b"-l"]


# -- types ---------------------------------------------------------------------------------------------------------


@row(DRGN, "Program.read_u8(address)", "Program.read_u16(address)", "Program.read_u64(address)")
def _(b: Bench) -> None:
    b.put(b"\1\2\3\4\5\6\7\x08")
    assert b.run(at=AT).to_bytes(8, "little") in (b"\1" + bytes(7), b"\1\2" + bytes(6), b"\1\2\3\4\5\6\7\x08")
    b.faults(HOLE, at=HOLE)


@row(DRGN, "Program.read_word(address)")
def _(b: Bench) -> None:
    b.put(b"\1\2\3\4\5\6\7\x08", AT + 4)
    assert b.run(at=AT + 4) == 0x0807060504030201
    b.space.model = ILP32_BIG
    assert b.run(at=AT + 4) == 0x01020304


@row(DRGN, "Object.read_()", "Object.to_bytes_()")
def _(b: Bench) -> None:
    b.put(bytes(Pair(1, 2)))
    assert b.run(p=UserConstPtr[Pair](AT)) == bytes(Pair(1, 2))


@row(DRGN, "Object.member_(name)")
def _(b: Bench) -> None:
    assert b.run(p=UserPtr[Entry](AT), name="link.prev").address == AT + 16
    with pytest.raises(AttributeError):
        b.run(p=UserPtr[Entry](AT), name="no")


@row(DRGN, "Object[i]")
def _(b: Bench) -> None:
    assert b.run(p=Word(AT), n=3).address == AT + 12


@row(DRGN, "Object.address_of_()")
def _(b: Bench) -> None:
    assert b.run(p=Word(AT)) == AT


@row(DRGN, "cast(type, obj)")
def _(b: Bench) -> None:
    assert b.run(p=Text(AT), T=u32) == Word(AT)


@row(DRGN, "reinterpret(type, obj)")
def _(b: Bench) -> None:
    b.put(b"\0\0\x80\x3f", AT + 1)
    assert b.run(p=Word(AT + 1), T=ctypes.c_float) == 1.0


@row(DRGN, "container_of(ptr, type, member)")
def _(b: Bench) -> None:
    assert b.run(p=UserPtr[Node](AT + 8), T=Entry, name="link") == UserPtr[Entry](AT)
    with pytest.raises(TypeError):
        b.run(p=Word(AT + 8), T=Entry, name="link")


@row(DRGN, "sizeof(type_or_obj)")
def _(b: Bench) -> None:
    assert b.run(T=Entry) == 24


@row(DRGN, "offsetof(type, member)")
def _(b: Bench) -> None:
    assert b.run(p=UserPtr[Entry](AT), name="link.prev") == 16


def ring(b: Bench, places: list[int]) -> None:
    """A circular list through `places`, the head first."""
    for here, there in zip(places, [*places[1:], places[0]], strict=True):
        UserPtr[Node](here).field("next").write(b.space, there)


@row(DRGN, "list_for_each(head)")
def _(b: Bench) -> None:
    ring(b, [AT, AT + 104, AT + PAGE_SIZE - 8])
    assert [p.address for p in b.run(p=UserPtr[Node](AT), n=10)] == [AT + 104, AT + PAGE_SIZE - 8]
    b.refuses(errno.ELOOP, p=UserPtr[Node](AT), n=2)


@row(DRGN, "list_for_each_entry(type, head, member)")
def _(b: Bench) -> None:
    ring(b, [AT, AT + 104, AT + 208])
    entries = b.run(p=UserPtr[Node](AT), n=10, T=Entry, name="link")
    assert entries == [UserPtr[Entry](AT + 96), UserPtr[Entry](AT + 200)]


# -- search --------------------------------------------------------------------------------------------------------


@row(DRGN, "Program.search_memory(value, alignment=1)")
def _(b: Bench) -> None:
    b.put(b"needle", AT + PAGE_SIZE - 3)
    b.put(b"needle", RO)
    assert b.run(data=b"needle") == [AT + PAGE_SIZE - 3, RO]
    assert b.run(data=b".*") == []


@row(DRGN, "Program.search_memory_u16(*values)", "Program.search_memory_u64(*values)")
def _(b: Bench) -> None:
    b.put(b"\x39\x30\0\0\0\0\0\0", AT + 64)
    b.put(b"\x39\x30\0\0\0\0\0\0", AT + 129)  # not aligned
    assert b.run(values=[5, 0x3039]) == [(AT + 64, 0x3039)]
    assert b.run(values=[(0x3000, 0x3039)]) == [(AT + 64, 0x3039)]
    assert b.run(values=[(0x31, 0x3038), 0x303A]) == []


@row(DRGN, "Program.search_memory_word(*values)")
def _(b: Bench) -> None:
    b.put(b"\0\0\x30\x39\0\0\x30\x39", AT + 64)
    assert b.run(values=[(0x3000, 0x4000)]) == []
    b.space.model = ILP32_BIG
    assert b.run(values=[(0x3000, 0x4000)]) == [(AT + 64, 0x3039), (AT + 68, 0x3039)]


@row(DRGN, "Program.search_memory_u32(*values, ignore_mask=m)")
def _(b: Bench) -> None:
    b.put(b"\x12\x34\x56\x78")
    assert b.run(x=0x78560000, m=0xFFFF0000) == [AT]
    assert b.run(x=0x78560000, m=0xFFFFFFFF) == []


@row(DRGN, "Program.search_memory_regex(pattern)")
def _(b: Bench) -> None:
    b.put(b"panic: 42\0", AT + PAGE_SIZE - 4)
    assert b.run(data=rb"panic: (\d+)") == [(AT + PAGE_SIZE - 4, b"panic: 42", (b"42",))]


@row(DRGN, "Program.add_memory_segment(address, size, read_fn)")
def _(b: Bench) -> None:
    asked: list[int] = []

    def fetch(offset: int) -> bytes:
        asked.append(offset)
        return b"made up"

    b.run(at=HOLE, n=2 * PAGE_SIZE, fetch=fetch)
    assert b.has(8, HOLE + PAGE_SIZE) == b"made up\0"
    assert asked == [PAGE_SIZE]


# -- regions -------------------------------------------------------------------------------------------------------


@row(DRGN, "Program.read(address, size, physical=True)")
def _(b: Bench) -> None:
    b.put(b"there")
    found = b.space.query(AT)
    assert found is not None
    assert b.run(paddr=found[0], n=5) == b"there"
    with pytest.raises(ValueError):
        b.run(paddr=b.space.phys.size, n=1)


@row(DRGN, "follow_phys(mm, addr)")
def _(b: Bench) -> None:
    assert b.run(at=AT) is None
    b.put(b"x", AT)
    paddr, flags, size = b.run(at=AT + 5)
    assert (b.space.phys.read(paddr - 5, 1), flags & (R | W), size) == (b"x", R | W, PAGE_SIZE)


@row(DRGN, "FaultError.address")
def _(b: Bench) -> None:
    with pytest.raises(UserFault) as caught:
        Word(HOLE).read(b.space)
    assert b.run(fault=caught.value) == HOLE
