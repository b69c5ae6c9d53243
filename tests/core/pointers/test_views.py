"""Live views: what is written on one side is seen on the other; frames stay pinned whatever happens to the space."""

from __future__ import annotations

import ctypes
import errno
import gc
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    LinuxError,
    MappingFlags,
    PhysMemory,
    UserConstPtr,
    UserFault,
    UserPtr,
)

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
char, u8, u16, u32, u64 = ctypes.c_char, ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class Pair(ctypes.Structure):
    _fields_ = [("a", u16), ("b", u32)]


class Wire(ctypes.BigEndianStructure):
    _fields_ = [("a", u16), ("b", u32)]


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    space.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
    return space


def scatter(space: AddrSpace, pages: int = 8) -> None:
    """Let the frames of the first pages lie in no order side by side."""
    for n in [*range(1, pages, 2), *range(0, pages, 2)]:
        space.write(BASE + n * PAGE_SIZE, b"\0")


# -- one T -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("T", "one", "two"),
    [
        (u32, 1, 0xFFFFFFFF),
        (ctypes.c_int8, -1, 5),
        (ctypes.c_double, 0.5, -2.0),
        (ctypes.c_bool, True, False),
        (char, b"x", b"y"),
    ],
)
def test_live_scalar_lands_in_user_memory_and_follows_it(memory: AddrSpace, T: Any, one: Any, two: Any) -> None:
    p = UserPtr[T](BASE + 0x10)
    live = p.get(memory)
    assert type(live) is T
    live.value = one
    assert p.read(memory) == one
    p.write(memory, two)
    assert live.value == two


def test_live_structure_lands_field_by_field(memory: AddrSpace) -> None:
    for T, raw in ((Pair, b"\1\0\0\0\2\0\0\0"), (Wire, b"\0\1\0\0\0\0\0\2")):
        live = UserPtr[T](BASE + 0x40).get(memory)
        live.a, live.b = 1, 2
        assert memory.read(BASE + 0x40, 8) == raw
        memory.write(BASE + 0x40, bytes(8))
        assert (live.a, live.b) == (0, 0)


def test_live_structure_across_scattered_pages(memory: AddrSpace) -> None:
    scatter(memory)
    T = u8 * 5000
    live = UserPtr[T](BASE + PAGE_SIZE - 100).get(memory)
    live[0], live[99], live[100], live[4999] = 1, 2, 3, 4
    assert memory.read(BASE + PAGE_SIZE - 100, 1) == b"\1"
    assert memory.read(BASE + PAGE_SIZE - 1, 2) == b"\2\3"
    assert memory.read(BASE + PAGE_SIZE + 4899, 1) == b"\4"


def test_live_pointer_is_its_number(memory: AddrSpace) -> None:
    live = UserPtr[UserPtr[char]](BASE).get(memory)
    live.value = 0x1234
    assert UserPtr[UserPtr[char]](BASE).read(memory).address == 0x1234


def test_const_get_is_the_value(memory: AddrSpace) -> None:
    memory.write(BASE, b"\7\0\0\0")
    assert UserConstPtr[u32](BASE).get(memory) == 7
    assert bytes(UserConstPtr[Pair](BASE).get(memory)) == b"\7" + bytes(7)
    assert memory.phys.pinned_frames == 0


# -- many ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("T", "format", "values"),
    [
        (char, "B", [1, 255]),
        (u8, "B", [1, 255]),
        (ctypes.c_int8, "b", [-1, 5]),
        (u16, "H", [1, 2]),
        (ctypes.c_int32, "i", [-1, 2]),
        (u32, "I", [1, 2]),
        (u64, "L", [1, 1 << 63]),
        (ctypes.c_int64, "l", [-1, 1]),
        (ctypes.c_double, "d", [0.5, 1.0]),
        (ctypes.c_float, "f", [0.5, 1.0]),
        (ctypes.c_bool, "?", [True, False]),
        (ctypes.c_void_p, "Q", [1, 2]),
        (UserPtr[char], "Q", [1, (1 << 64) - 1]),
    ],
    ids=str,
)
def test_slice_of_scalars_can_be_indexed_both_ways(memory: AddrSpace, T: Any, format: str, values: list[Any]) -> None:
    p = UserPtr[T](BASE + PAGE_SIZE - 8)
    view = p.get_as_slice(memory, 2)
    assert isinstance(view, memoryview)
    assert (view.format, view.shape, view.itemsize, view.readonly) == (format, (2,), p.type.size, False)
    view[0], view[1] = values
    assert view.tolist() == values
    raw = memory.read(BASE + PAGE_SIZE - 8, 2 * p.type.size)
    assert raw == view.tobytes()
    const = UserConstPtr[T](BASE + PAGE_SIZE - 8).get_as_slice(memory, 2)
    assert const.readonly
    assert const.tolist() == values
    with pytest.raises(TypeError, match="read-only"):
        const[0] = values[0]
    view[0] = values[1]
    assert const[0] == values[1]


@pytest.mark.parametrize("T", [Pair, u16 * 4, u32.__ctype_be__])
def test_slice_of_other_types_is_an_array_or_rows_of_bytes(memory: AddrSpace, T: Any) -> None:
    array = UserPtr[T](BASE).get_as_slice(memory, 3)
    assert type(array) is T * 3
    size = ctypes.sizeof(T)
    ctypes.memmove(array, bytes(range(1, 3 * size + 1)), 3 * size)
    assert memory.read(BASE, 3 * size) == bytes(range(1, 3 * size + 1))
    rows = UserConstPtr[T](BASE).get_as_slice(memory, 3)
    assert (rows.format, rows.shape, rows.readonly) == ("B", (3, size), True)
    assert rows[1, 0] == size + 1
    assert rows.tobytes() == bytes(array)


@pytest.mark.parametrize("T", [char, u32, u64, UserPtr[char], Pair])
def test_slice_of_nothing_is_empty_and_pins_nothing(memory: AddrSpace, T: Any) -> None:
    for address in (BASE, 0, 1 << 62):
        view = UserPtr[T](address).get_as_slice(memory, 0)
        assert len(view) == 0
        assert len(UserConstPtr[T](address).get_as_slice(memory, 0)) == 0
    assert memory.phys.pinned_frames == 0
    if UserPtr[T].align > 1:
        with pytest.raises(UserFault, match="misaligned"):
            UserPtr[T](1).get_as_slice(memory, 0)


def test_view_of_scattered_frames_is_side_by_side_and_live(memory: AddrSpace) -> None:
    scatter(memory)
    view = UserPtr[char](BASE + 10).get_as_slice(memory, 8 * PAGE_SIZE - 20)
    data = bytes(i % 253 for i in range(len(view)))
    view[:] = data
    assert memory.read(BASE + 10, len(data)) == data
    UserPtr[char](BASE + 3 * PAGE_SIZE - 2).write_slice(memory, b"LIVE")
    assert bytes(view[3 * PAGE_SIZE - 12 : 3 * PAGE_SIZE - 8]) == b"LIVE"


def test_two_views_show_the_same_bytes(memory: AddrSpace) -> None:
    scatter(memory)
    wide = UserPtr[char](BASE).get_as_slice(memory, 8 * PAGE_SIZE)
    word = UserPtr[u32](BASE + 2 * PAGE_SIZE).get_as_slice(memory, 1)
    word[0] = 0x01020304
    assert bytes(wide[2 * PAGE_SIZE : 2 * PAGE_SIZE + 4]) == b"\4\3\2\1"


def test_null_terminated_view_ends_before_the_terminator(memory: AddrSpace) -> None:
    memory.write(BASE + PAGE_SIZE - 4, b"\1\0\2\0\3\0\0\0\4\0")
    view = UserPtr[u16](BASE + PAGE_SIZE - 4).get_as_null_terminated(memory)
    assert view.tolist() == [1, 2, 3]
    view[2] = 9
    assert memory.read(BASE + PAGE_SIZE, 2) == b"\x09\0"
    assert UserConstPtr[u16](BASE).get_as_null_terminated(memory).tolist() == []
    with pytest.raises(LinuxError) as caught:
        UserPtr[u16](BASE + PAGE_SIZE - 4).get_as_null_terminated(memory, 2)
    assert caught.value.errno == errno.ENAMETOOLONG
    assert len(UserPtr[u16](BASE + PAGE_SIZE - 4).get_as_null_terminated(memory, 3)) == 3
    argv = UserPtr[UserPtr[char]](BASE + 0x100)
    argv.write_slice(memory, [1, 2, None])
    assert argv.get_as_null_terminated(memory).tolist() == [1, 2]


# -- rights ----------------------------------------------------------------------------------------------------


def test_live_views_need_access_flags(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R)
    for verb in (
        lambda: UserPtr[u32](BASE).get(space),
        lambda: UserPtr[u32](BASE).get_as_slice(space, 2),
        lambda: UserPtr[u32](BASE).get_as_null_terminated(space),
    ):
        with pytest.raises(UserFault) as caught:
            verb()
        assert caught.value.reason is FaultReason.PROTECTION
        assert caught.value.access == R | W
    assert UserConstPtr[u32](BASE).get_as_slice(space, 2).tolist() == [0, 0]


def test_a_view_that_meets_a_hole_pins_nothing(memory: AddrSpace) -> None:
    memory.unmap(BASE + 3 * PAGE_SIZE, PAGE_SIZE)
    with pytest.raises(UserFault) as caught:
        UserPtr[char](BASE + PAGE_SIZE).get_as_slice(memory, 4 * PAGE_SIZE)
    assert (caught.value.address, caught.value.completed) == (BASE + 3 * PAGE_SIZE, 2 * PAGE_SIZE)
    assert memory.phys.pinned_frames == 0


def test_a_view_without_frames_is_enomem_and_pins_nothing(make_phys: Callable[..., PhysMemory]) -> None:
    phys = make_phys(limit=6 * PAGE_SIZE)
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    with pytest.raises(LinuxError) as caught:
        UserPtr[char](BASE).get_as_slice(space, 4 * PAGE_SIZE)
    assert caught.value.errno == errno.ENOMEM
    assert phys.pinned_frames == 0


def test_misaligned_views_are_refused(memory: AddrSpace) -> None:
    for verb in (lambda: UserPtr[u32](BASE + 2).get(memory), lambda: UserPtr[u32](BASE + 2).get_as_slice(memory, 1)):
        with pytest.raises(UserFault) as caught:
            verb()
        assert caught.value.reason is FaultReason.MISALIGNED


# -- lives longer than what it shows ---------------------------------------------------------------------------


def test_view_outlives_unmap_and_never_shows_another_owners_bytes(memory: AddrSpace) -> None:
    scatter(memory)
    memory.write(BASE, b"mine" * 2 * PAGE_SIZE)
    view = UserPtr[char](BASE).get_as_slice(memory, 8 * PAGE_SIZE)
    live = UserPtr[Pair](BASE + PAGE_SIZE).get(memory)
    memory.unmap(BASE, 8 * PAGE_SIZE)
    memory.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
    for n in range(64):
        memory.map_alloc(BASE + (100 + n) * PAGE_SIZE, PAGE_SIZE, R | W)
        memory.write(BASE + (100 + n) * PAGE_SIZE, b"theirs!!" * 512)
    memory.write(BASE, b"theirs!!" * 8 * 512)
    assert view.tobytes() == b"mine" * 2 * PAGE_SIZE
    view[:4] = b"gone"
    live.b = 7
    assert memory.read(BASE, 4) == b"thei"
    assert UserPtr[u32](BASE + PAGE_SIZE + 4).read(memory) == int.from_bytes(b"rs!!", "little")
    memory.phys._check()


def test_view_outlives_its_space_and_its_memory_object(make_phys: Callable[..., PhysMemory]) -> None:
    phys = PhysMemory(1 << 30)
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    scatter(space, 4)
    views = [UserPtr[char](BASE).get_as_slice(space, 4 * PAGE_SIZE), UserPtr[u32](BASE).get(space)]
    views[0][:5] = b"hello"
    del space
    gc.collect()
    assert phys.data_frames == 4
    del phys
    gc.collect()
    assert bytes(views[0][:5]) == b"hello"
    views[1].value = 5
    assert bytes(views[0][:4]) == b"\5\0\0\0"


def test_last_of_all_that_look_gives_the_frames_back(memory: AddrSpace) -> None:
    view = UserPtr[char](BASE).get_as_slice(memory, 2 * PAGE_SIZE)
    part = view[PAGE_SIZE:]
    array = (u8 * 16).from_buffer(part)
    memory.clear()
    assert memory.phys.data_frames == 2
    del view, part
    gc.collect()
    assert memory.phys.data_frames == 2  # the array looks at the whole view's pins
    array[0] = 1
    del array
    gc.collect()
    assert memory.phys.data_frames == 0


def test_released_view_cannot_be_touched(memory: AddrSpace) -> None:
    view = UserPtr[char](BASE).get_as_slice(memory, 4)
    view.release()
    with pytest.raises(ValueError, match="released"):
        view[0]
    assert memory.phys.pinned_frames == 0


def test_view_survives_protection_and_the_page_stays_its_own(memory: AddrSpace) -> None:
    view = UserPtr[char](BASE).get_as_slice(memory, 4)
    memory.protect(BASE, PAGE_SIZE, MappingFlags(0))
    view[:] = b"kept"  # a view is a right given once
    memory.protect(BASE, PAGE_SIZE, R | W)
    assert UserPtr[char](BASE).read_slice(memory, 4) == b"kept"
    UserPtr[char](BASE).write_slice(memory, b"both")
    assert bytes(view) == b"both"


def test_view_of_fresh_memory_is_not_dirty_until_written_but_live(memory: AddrSpace) -> None:
    # A read-only view first breaks copy-on-write, so that later writes of the guest are seen.
    view = UserConstPtr[u32](BASE).get_as_slice(memory, 1)
    UserPtr[u32](BASE).write(memory, 3)
    assert view[0] == 3


def test_a_view_cannot_be_pickled_or_made_by_hand(memory: AddrSpace) -> None:
    view = UserPtr[char](BASE).get_as_slice(memory, 4)
    with pytest.raises(TypeError):
        pickle.dumps(view.obj)
    with pytest.raises(TypeError):
        memoryview(type(view.obj)())


def test_buffers_of_other_libraries_may_look(memory: AddrSpace) -> None:
    view = UserPtr[char](BASE).get_as_slice(memory, 8)
    view[:] = b"12345678"
    assert bytes(view.obj) == b"12345678"
    assert bytearray(view.obj) == b"12345678"
    assert int.from_bytes(view, "little") == 0x3837363534333231
    with pytest.raises(TypeError, match="not writable"):
        (ctypes.c_char * 8).from_buffer(UserConstPtr[char](BASE).get_as_slice(memory, 8).obj)
