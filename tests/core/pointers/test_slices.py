"""Many T at a time: what comes out for which T, whole or nothing, any length; partial copies and their buffers."""

from __future__ import annotations

import array
import ctypes
import errno
from collections.abc import Callable
from typing import Any

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    Copied,
    FaultReason,
    IoVec,
    LinuxError,
    MappingFlags,
    PhysMemory,
    UserConstPtr,
    UserFault,
    UserPtr,
    UserSlice,
)
from fakes import over
from formats import needs_room

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
char, u8, i8, u16, u32, u64 = (
    ctypes.c_char,
    ctypes.c_uint8,
    ctypes.c_int8,
    ctypes.c_uint16,
    ctypes.c_uint32,
    ctypes.c_uint64,
)


class Pair(ctypes.Structure):
    _fields_ = [("a", u16), ("b", u32)]


@pytest.fixture
def memory(space: AddrSpace) -> AddrSpace:
    """Eight pages, then a hole."""
    space.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
    return space


END = BASE + 8 * PAGE_SIZE


# -- what comes out --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [char, u8, ctypes.c_ubyte])
def test_bytes_come_as_bytes(memory: AddrSpace, T: Any) -> None:
    memory.write(BASE, b"abc")
    found = UserConstPtr[T](BASE).read_slice(memory, 3)
    assert found == b"abc"
    assert type(found) is bytes
    assert UserConstPtr[T](BASE).read_slice(memory, 0) == b""


@pytest.mark.parametrize(
    ("T", "values"),
    [
        (i8, (-1, 0, 127)),
        (u16, (1, 65535)),
        (u32, (1, 2, 3, 1 << 31)),
        (ctypes.c_int64, (-1, 1 << 62)),
        (ctypes.c_double, (0.5, -1.25)),
        (ctypes.c_bool, (True, False)),
        (ctypes.c_wchar, ("a", "€")),
        (u32.__ctype_be__, (1, 1 << 31)),
        (UserPtr[char], (UserPtr[char](0x10), UserPtr[char](0))),
    ],
    ids=str,
)
def test_scalars_and_pointers_come_as_a_tuple(memory: AddrSpace, T: Any, values: tuple[Any, ...]) -> None:
    p = UserPtr[T](BASE + PAGE_SIZE - 8)
    p.write_slice(memory, values)
    found = p.read_slice(memory, len(values))
    assert found == values
    assert type(found) is tuple
    assert p.read_slice(memory, 0) == ()


@pytest.mark.parametrize("T", [Pair, u16 * 3])
def test_other_types_come_as_an_array_that_is_a_copy(memory: AddrSpace, T: Any) -> None:
    source = (T * 3)()
    ctypes.memmove(source, bytes(range(ctypes.sizeof(source))), ctypes.sizeof(source))
    p = UserPtr[T](BASE)
    p.write_slice(memory, source)
    found = p.read_slice(memory, 3)
    assert type(found) is T * 3
    assert bytes(found) == bytes(source)
    memory.write(BASE, bytes(64))
    assert bytes(found) == bytes(source)
    assert len(p.read_slice(memory, 0)) == 0


# -- what may be stored ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"abcd", bytearray(b"abcd"), memoryview(b"__abcd__")[2:6], array.array("I", [0x64636261]), (char * 4)(*b"abcd")],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("T", [char, u8])
def test_bytes_may_come_in_any_buffer(memory: AddrSpace, T: Any, data: object) -> None:
    UserPtr[T](BASE + 1).write_slice(memory, data)
    assert memory.read(BASE, 6) == b"\0abcd\0"


def test_elements_may_come_in_any_iterable(memory: AddrSpace) -> None:
    for data in ([1, 2, 3], (1, 2, 3), range(1, 4), iter([1, 2, 3]), {1: 0, 2: 0, 3: 0}, (u16 * 3)(1, 2, 3)):
        memory.write(BASE, bytes(8))
        UserPtr[u16](BASE).write_slice(memory, data)
        assert memory.read(BASE, 8) == b"\1\0\2\0\3\0\0\0"
    UserPtr[u8](BASE).write_slice(memory, [9, 8])
    assert memory.read(BASE, 3) == b"\x09\x08\2"
    UserPtr[Pair](BASE).write_slice(memory, [Pair(1, 2), Pair(3, 4)])
    assert bytes(memory.read(BASE, 16)) == bytes((Pair * 2)(Pair(1, 2), Pair(3, 4)))


@pytest.mark.parametrize(
    ("T", "data"), [(char, "text"), (char, 5), (u16, 5), (u16, [1, "x"]), (u32, None), (Pair, [1]), (u8, "ab")], ids=str
)
def test_what_are_no_elements_is_a_type_error_and_stores_nothing(memory: AddrSpace, T: Any, data: Any) -> None:
    with pytest.raises(TypeError):
        UserPtr[T](BASE).write_slice(memory, data)
    assert memory.read(BASE, 32) == bytes(32)


def test_an_iterable_that_raises_lets_its_error_out_and_stores_nothing(memory: AddrSpace) -> None:
    def broken() -> Any:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        UserPtr[u16](BASE).write_slice(memory, broken())
    assert memory.read(BASE, 4) == bytes(4)


# -- length ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1, PAGE_SIZE - 1])
@pytest.mark.parametrize("size", [1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 5 * PAGE_SIZE + 17])
def test_any_length_from_any_place_is_copied_exactly(memory: AddrSpace, offset: int, size: int) -> None:
    data = bytes(i * 7 % 251 for i in range(size))
    UserPtr[char](BASE + offset).write_slice(memory, data)
    assert UserPtr[char](BASE + offset).read_slice(memory, size) == data
    assert memory.read(BASE + offset + size, 64) == bytes(64)
    if offset:
        assert memory.read(BASE + offset - 1, 1) == b"\0"


def test_pages_in_any_order_of_frames_are_copied_exactly(memory: AddrSpace) -> None:
    # Frames side by side are one memcpy: here some are, some are not, one run goes backwards.
    for n in (3, 2, 1, 0, 5, 6, 7, 4):
        memory.write(BASE + n * PAGE_SIZE, bytes([n]))
    data = bytes(i * 13 % 255 for i in range(8 * PAGE_SIZE))
    UserPtr[char](BASE).write_slice(memory, data)
    assert UserPtr[char](BASE).read_slice(memory, 8 * PAGE_SIZE) == data
    for n in range(8):
        assert memory.read(BASE + n * PAGE_SIZE, PAGE_SIZE) == data[n * PAGE_SIZE : (n + 1) * PAGE_SIZE]


def test_a_slice_up_to_the_hole_is_whole_and_one_byte_more_is_a_fault(memory: AddrSpace) -> None:
    assert len(UserPtr[char](END - 9000).read_slice(memory, 9000)) == 9000
    with pytest.raises(UserFault) as caught:
        UserPtr[char](END - 9000).read_slice(memory, 9001)
    assert (caught.value.address, caught.value.completed, caught.value.size) == (END, 9000, 9001)


@pytest.mark.parametrize("n", [1 << 47, (1 << 63) - 1, (1 << 64) - 1, (1 << 64) - BASE])
def test_a_huge_count_is_a_fault_before_anything_is_allocated(memory: AddrSpace, n: int) -> None:
    with pytest.raises(UserFault) as caught:
        UserPtr[char](BASE).read_slice(memory, n)
    assert caught.value.address in (BASE, END)
    assert memory.resident_pages() == []


@pytest.mark.parametrize("n", [1 << 61, 1 << 64, 1 << 100])
def test_a_count_whose_bytes_cannot_exist_is_a_fault_with_every_t(memory: AddrSpace, n: int) -> None:
    for T in (u64, Pair, UserPtr[char]):
        for verb in (
            lambda T=T: UserPtr[T](BASE).read_slice(memory, n),
            lambda T=T: UserPtr[T](BASE).get_as_slice(memory, n),
        ):
            with pytest.raises(UserFault) as caught:
                verb()
            assert caught.value.reason is FaultReason.OUT_OF_RANGE


def test_a_count_that_the_host_cannot_hold_is_enomem(space: AddrSpace) -> None:
    needs_room(space)
    # Every byte of it is the guest's to ask for: an area of 64 TiB, none of it present.
    space.map_alloc(1 << 44, 1 << 46, R | W)
    for T in (char, u32, Pair):
        with pytest.raises(LinuxError) as caught:
            UserPtr[T](1 << 44).read_slice(space, (1 << 46) // ctypes.sizeof(T))
        assert caught.value.errno == errno.ENOMEM
    assert space.phys.data_frames == 0


def test_negative_and_wrong_counts_are_the_callers_mistake(memory: AddrSpace) -> None:
    for verb in (UserPtr[u32](BASE).read_slice, UserPtr[u32](BASE).get_as_slice):
        with pytest.raises(ValueError, match="negative"):
            verb(memory, -1)
        for wrong in (1.5, "1", None):
            with pytest.raises(TypeError):
                verb(memory, wrong)


def test_a_strict_write_without_frames_has_written_nothing(make_phys: Any) -> None:
    phys: PhysMemory = make_phys(limit=7 * PAGE_SIZE)
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(BASE, 8 * PAGE_SIZE, R | W)
    with pytest.raises(LinuxError) as caught:
        UserPtr[char](BASE).write_slice(space, b"x" * 8 * PAGE_SIZE)
    assert caught.value.errno == errno.ENOMEM
    assert space.read(BASE, 3 * PAGE_SIZE) == bytes(3 * PAGE_SIZE)


# -- partial copies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("good", [0, 1, 96, PAGE_SIZE, PAGE_SIZE + 96])
def test_partial_copies_do_what_a_regular_file_does(memory: AddrSpace, good: int) -> None:
    # write(fd, p, 200) with 96 good bytes before a hole: a file takes 96.
    size = good + 200
    memory.write(END - PAGE_SIZE - 96, b"g" * (PAGE_SIZE + 96))
    start = END - good
    buffer = bytearray(b"?" * size)
    done = UserPtr[char](start).copy_in(memory, buffer)
    assert done == good
    assert buffer == b"g" * good + b"?" * 200
    assert isinstance(done, Copied)
    assert (done.fault.address, done.fault.completed, done.fault.size) == (END, good, size)
    done = UserPtr[char](start).copy_out(memory, b"h" * size)
    assert (done, done.fault.access) == (good, W)
    assert memory.read(start, good) == b"h" * good


def test_a_copied_is_an_int_to_calculate_with(memory: AddrSpace) -> None:
    done = UserPtr[char](END - 3).copy_in(memory, bytearray(8))
    assert (done + 1, done == 3, int(done), f"{done}") == (4, True, 3, "3")
    assert type(done + 0) is int


def test_partial_copies_need_no_alignment_and_take_any_t(memory: AddrSpace) -> None:
    memory.write(BASE, b"abcdefgh")
    buffer = bytearray(5)
    assert UserConstPtr[u64](BASE + 1).copy_in(memory, buffer) == 5
    assert buffer == b"bcdef"


def test_copy_in_wants_a_writable_buffer_and_copy_out_a_buffer(memory: AddrSpace) -> None:
    for wrong in (b"bytes", memoryview(b"bytes")):
        with pytest.raises(BufferError):
            UserPtr[char](BASE).copy_in(memory, wrong)
    for wrong in (5, None, "text", [1]):
        with pytest.raises(TypeError):
            UserPtr[char](BASE).copy_in(memory, wrong)
        with pytest.raises(TypeError):
            UserPtr[char](BASE).copy_out(memory, wrong)


@pytest.mark.parametrize("kind", ["space", "locked", "plain"])
def test_a_range_past_the_last_address_is_good_up_to_there(make_phys: Callable[..., PhysMemory], kind: str) -> None:
    end = 1 << 64
    top = AddrSpace(end - 16 * PAGE_SIZE, 16 * PAGE_SIZE, make_phys())
    top.map_alloc(end - PAGE_SIZE, PAGE_SIZE, R | W)
    provider = over(kind, top)
    for call in (
        lambda: UserConstPtr[ctypes.c_char](end - 8).read_slice(provider, 9),
        lambda: UserConstPtr[ctypes.c_char](end - 8).read_slice(provider, 1 << 40),
        lambda: UserPtr[ctypes.c_char](end - 8).write_slice(provider, bytes(100)),
        lambda: UserSlice(end - 8, 100).reader(provider).read(9),
        lambda: UserSlice(end - 8, 8).reader(provider).read(9),
    ):
        with pytest.raises(UserFault) as caught:
            call()
        fault = caught.value
        assert (fault.address, fault.completed, fault.reason) == (end, 8, FaultReason.OUT_OF_RANGE)
        assert fault.start == end - 8
    stream = IoVec([(end - 8, 8), (end - 8, 100)]).stream(provider)
    done = stream.copy_in(bytearray(100))
    assert isinstance(done, Copied)
    assert (done, done.fault.address, done.fault.completed) == (16, end, 8)
    top.unmap(end - PAGE_SIZE, PAGE_SIZE)
    with pytest.raises(UserFault) as caught:  # a hole before the end comes first
        UserConstPtr[ctypes.c_char](end - 8).read_slice(provider, 9)
    assert (caught.value.address, caught.value.reason) == (end - 8, FaultReason.UNMAPPED)
