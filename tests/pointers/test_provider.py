"""One suite for every way to user memory: what the verbs promise, over each kind of provider.

    BASE   +1       +2       +3       +4       +5
     | rw- | rw- | r-- | -w- | hole | rw- |

Kinds: the space itself, `Locked` around it, a `Provider` subclass as a `Task` is one, any object with
`with_addr_space`; and, with none of our code below, a memory of bytes, plain and `Locked`. `Locked` and the plain
object also lead to a space through another plain object, so a chain works too.
"""

from __future__ import annotations

import ctypes
import errno
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    AddrSpaceProvider,
    Copied,
    FaultReason,
    Layout,
    LinuxError,
    Locked,
    MappingFlags,
    PhysMemory,
    Provider,
    UserConstPtr,
    UserFault,
    UserMemory,
    UserPtr,
    check_region_with,
)
from fakes import FakeMemory, PlainProvider

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x40000
RO, WO, HOLE, LAST = (BASE + n * PAGE_SIZE for n in (2, 3, 4, 5))
END = BASE + 6 * PAGE_SIZE
u8, u16, u32, u64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class TaskLike(Provider):
    """A `Provider` subclass with a life of its own, as the kernel framework's `Task` is."""

    def __init__(self, space: AddrSpace) -> None:
        self.name = "init"
        self._set_space(space)


@dataclass
class Way:
    """A provider, and the back door through which a test lays out and inspects the memory."""

    provider: Any
    poke: Callable[[int, bytes], None]
    peek: Callable[[int, int], bytes]
    is_space: bool


KINDS = ["space", "locked", "task", "plain", "locked_plain", "locked_task", "fake", "locked_fake"]


@pytest.fixture(params=KINDS)
def way(request: pytest.FixtureRequest, phys: PhysMemory) -> Iterator[Way]:
    kind: str = request.param
    if "fake" in kind:
        fake = FakeMemory()
        for page, flags in ((BASE, R | W), (BASE + PAGE_SIZE, R | W), (RO, R), (WO, W), (LAST, R | W)):
            fake.map(page, 1, flags)
        yield Way(PlainProvider(fake) if kind == "fake" else Locked(fake), fake.poke, fake.peek, False)
        return
    space = AddrSpace(0x1000, (1 << 47) - 0x2000, phys)
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    space.map_alloc(RO, PAGE_SIZE, R)
    space.map_alloc(WO, PAGE_SIZE, W)
    space.map_alloc(LAST, PAGE_SIZE, R | W)
    provider: Any = {
        "space": lambda: space,
        "locked": lambda: Locked(space),
        "task": lambda: TaskLike(space),
        "plain": lambda: PlainProvider(space),
        "locked_plain": lambda: Locked(PlainProvider(space)),
        "locked_task": lambda: Locked(TaskLike(space)),
    }[kind]()
    yield Way(provider, space.write, space.read, True)
    space._check()
    request.node.funcargs.clear()


def fault_of(call: Callable[[], object]) -> tuple[FaultReason, int, int]:
    """Reason, address and completed bytes of the fault that a call gives."""
    with pytest.raises(UserFault) as caught:
        call()
    assert caught.value.errno == errno.EFAULT
    return caught.value.reason, caught.value.address, caught.value.completed


# -- the protocol ----------------------------------------------------------------------------------------------


def test_every_provider_is_an_addr_space_provider(way: Way) -> None:
    assert isinstance(way.provider, AddrSpaceProvider)


def test_with_addr_space_hands_out_user_memory_and_returns_the_result(way: Way) -> None:
    def look(memory: UserMemory) -> str:
        assert isinstance(memory, UserMemory)
        return "seen"

    assert way.provider.with_addr_space(look) == "seen"


def test_with_addr_space_lets_an_exception_out(way: Way) -> None:
    with pytest.raises(ZeroDivisionError):
        way.provider.with_addr_space(lambda memory: 1 // 0)


def test_with_addr_space_nests(way: Way) -> None:
    assert way.provider.with_addr_space(lambda m: way.provider.with_addr_space(lambda n: m is n))


def test_check_region_access_wants_every_byte_and_every_flag(way: Way) -> None:
    from axptr import VirtAddrRange

    def look(start: int, end: int, flags: MappingFlags) -> bool:
        return way.provider.with_addr_space(lambda m: m.check_region_access(VirtAddrRange(start, end), flags))

    assert look(BASE, RO, R | W)
    assert look(BASE + 1, RO + PAGE_SIZE, R)
    assert not look(BASE, RO + 1, W)
    assert not look(WO, HOLE + 1, W)
    assert look(HOLE, HOLE, R | W)  # an empty range, mapped or not
    assert not look(HOLE, END, MappingFlags(0))


def test_read_into_and_write_from_stop_at_the_first_bad_byte(way: Way) -> None:
    way.poke(RO, b"r" * PAGE_SIZE)
    buffer = bytearray(b"?" * 2 * PAGE_SIZE)
    done = way.provider.with_addr_space(lambda m: m.read_into(LAST + PAGE_SIZE - 16, buffer))
    assert done == 16
    assert buffer[16:] == b"?" * (2 * PAGE_SIZE - 16)
    done = way.provider.with_addr_space(lambda m: m.write_from(RO - 8, b"w" * 24))
    assert done == 8
    assert way.peek(RO - 8, 24) == b"w" * 8 + b"r" * 16
    assert way.provider.with_addr_space(lambda m: m.read_into(HOLE, bytearray(4))) == 0
    assert way.provider.with_addr_space(lambda m: m.read_into(HOLE, bytearray())) == 0


def test_populate_area_of_a_hole_is_an_error(way: Way) -> None:
    way.provider.with_addr_space(lambda m: m.populate_area(BASE, 2 * PAGE_SIZE, R))
    with pytest.raises(LinuxError):
        way.provider.with_addr_space(lambda m: m.populate_area(WO, 2 * PAGE_SIZE, W))


# -- values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [u8, u16, u32, u64])
def test_a_value_written_is_read_back(way: Way, T: Any) -> None:
    value = (1 << ctypes.sizeof(T) * 8) - 2
    p = UserPtr[T](BASE + 0x40)
    p.write(way.provider, value)
    assert p.read(way.provider) == value
    assert way.peek(BASE + 0x40, 9) == value.to_bytes(ctypes.sizeof(T), "little").ljust(9, b"\0")


def test_a_misaligned_access_is_refused_at_its_own_address(way: Way) -> None:
    expected = FaultReason.MISALIGNED, BASE + 2, 0
    assert fault_of(lambda: UserPtr[u32](BASE + 2).read(way.provider)) == expected
    assert fault_of(lambda: UserPtr[u32](BASE + 2).write(way.provider, 1)) == expected
    assert fault_of(lambda: UserPtr[u32](BASE + 2).read_slice(way.provider, 2)) == expected
    assert fault_of(lambda: UserPtr[u32](BASE + 2).write_slice(way.provider, [1, 2])) == expected
    assert fault_of(lambda: check_region_with(way.provider, BASE + 2, Layout(4, 4), R)) == expected
    assert way.peek(BASE, 16) == bytes(16)


def test_alignment_is_told_before_permission(way: Way) -> None:
    assert fault_of(lambda: UserPtr[u32](HOLE + 2).read(way.provider))[0] is FaultReason.MISALIGNED
    assert fault_of(lambda: UserPtr[u32](RO + 2).write(way.provider, 1))[0] is FaultReason.MISALIGNED


def test_unaligned_verbs_cross_pages(way: Way) -> None:
    p = UserPtr[u32](BASE + PAGE_SIZE - 3)
    p.write_unaligned(way.provider, 0x11223344)
    assert way.peek(BASE + PAGE_SIZE - 3, 4) == b"\x44\x33\x22\x11"
    assert p.read_unaligned(way.provider) == 0x11223344


def test_read_needs_read_and_write_needs_write(way: Way) -> None:
    assert fault_of(lambda: UserPtr[u32](RO).write(way.provider, 1)) == (FaultReason.PROTECTION, RO, 0)
    assert UserConstPtr[u32](RO).read(way.provider) == 0
    assert fault_of(lambda: UserPtr[u32](HOLE).read(way.provider)) == (FaultReason.UNMAPPED, HOLE, 0)
    assert fault_of(lambda: UserPtr[u32](HOLE).write(way.provider, 1)) == (FaultReason.UNMAPPED, HOLE, 0)


def test_write_needs_no_right_to_read(way: Way) -> None:
    # A destination buffer that needs READ although it is only written: seen elsewhere.
    UserPtr[u32](WO).write(way.provider, 7)
    UserPtr[u32](WO + 5).write_unaligned(way.provider, 9)
    UserPtr[u16](WO + 0x10).write_slice(way.provider, [1, 2])
    assert UserPtr[ctypes.c_char](WO + 0x20).copy_out(way.provider, b"text") == 4
    check_region_with(way.provider, WO, Layout(PAGE_SIZE, 8), W)
    assert way.peek(WO, 9) == b"\7\0\0\0\0\x09\0\0\0"


def test_null_is_a_fault_and_not_an_error_of_ours(way: Way) -> None:
    for verb in (lambda: UserPtr[u32](0).read(way.provider), lambda: UserPtr[u32](0).write(way.provider, 1)):
        reason, address, completed = fault_of(verb)
        assert (address, completed) == (0, 0)
        assert reason in (FaultReason.UNMAPPED, FaultReason.OUT_OF_RANGE)


@pytest.mark.parametrize("address", [1 << 47, 0xFFFF800000000000, (1 << 64) - 8])
def test_a_kernel_address_is_a_fault(way: Way, address: int) -> None:
    assert fault_of(lambda: UserPtr[u64](address).read(way.provider))[1:] == (address, 0)
    assert fault_of(lambda: UserPtr[u64](address).write(way.provider, 1))[1:] == (address, 0)
    assert fault_of(lambda: UserConstPtr[ctypes.c_char](address).get_as_str(way.provider))[1:] == (address, 0)


# -- slices ----------------------------------------------------------------------------------------------------


def test_slice_is_read_whole(way: Way) -> None:
    way.poke(BASE + PAGE_SIZE - 4, bytes(range(8)))
    assert UserConstPtr[ctypes.c_char](BASE + PAGE_SIZE - 4).read_slice(way.provider, 8) == bytes(range(8))
    assert UserConstPtr[u16](BASE + PAGE_SIZE - 4).read_slice(way.provider, 4) == (0x100, 0x302, 0x504, 0x706)


def test_slice_that_meets_a_bad_page_names_its_first_byte(way: Way) -> None:
    char = UserConstPtr[ctypes.c_char]
    # ... -w- | hole
    assert fault_of(lambda: char(LAST + PAGE_SIZE - 5).read_slice(way.provider, 6)) == (
        FaultReason.UNMAPPED,
        END,
        5,
    )


def test_slice_that_cannot_be_written_whole_is_not_written_at_all(way: Way) -> None:
    p = UserPtr[ctypes.c_char](RO - 4)
    assert fault_of(lambda: p.write_slice(way.provider, b"x" * 8)) == (FaultReason.PROTECTION, RO, 4)
    assert way.peek(RO - 4, 8) == bytes(8)
    p = UserPtr[ctypes.c_char](HOLE - 4)
    assert fault_of(lambda: p.write_slice(way.provider, b"x" * 8)) == (FaultReason.UNMAPPED, HOLE, 4)
    assert way.peek(HOLE - 4, 4) == bytes(4)


def test_slice_of_nothing_needs_alignment_alone(way: Way) -> None:
    for address in (0, HOLE, RO, 1 << 63):
        assert UserPtr[u32](address).read_slice(way.provider, 0) == ()
        assert UserPtr[ctypes.c_char](address + 1).read_slice(way.provider, 0) == b""
        UserPtr[u32](address).write_slice(way.provider, [])
        check_region_with(way.provider, address, Layout(0, 8), R | W)
        assert fault_of(lambda a=address: UserPtr[u32](a + 1).read_slice(way.provider, 0)) == (
            FaultReason.MISALIGNED,
            address + 1,
            0,
        )
        with pytest.raises(UserFault, match="misaligned"):
            check_region_with(way.provider, address + 1, Layout(0, 8), R | W)


@pytest.mark.parametrize("count", [(1 << 64) - 1, 1 << 63, 1 << 62, 1 << 80])
def test_a_count_whose_bytes_cannot_exist_is_a_fault(way: Way, count: int) -> None:
    reason, address, completed = fault_of(lambda: UserPtr[u32](BASE).read_slice(way.provider, count))
    assert (reason, address, completed) == (FaultReason.OUT_OF_RANGE, BASE, 0)


@pytest.mark.parametrize("count", [(1 << 64) - 1, 1 << 63, (1 << 64) - BASE, (1 << 64) - BASE + 1])
def test_a_huge_count_of_bytes_is_a_fault(way: Way, count: int) -> None:
    with pytest.raises(UserFault):
        UserPtr[ctypes.c_char](BASE).read_slice(way.provider, count)
    with pytest.raises(UserFault):
        check_region_with(way.provider, BASE, Layout(count), R)


def test_check_region_refuses_a_wrap_past_the_top(way: Way) -> None:
    top = (1 << 64) - 8
    assert fault_of(lambda: check_region_with(way.provider, top, Layout(16, 8), R)) == (
        FaultReason.OUT_OF_RANGE,
        top,
        0,
    )


# -- partial copies --------------------------------------------------------------------------------------------


def test_partial_copies_return_the_count_and_the_cause(way: Way) -> None:
    way.poke(LAST + PAGE_SIZE - 6, b"abcdef")
    buffer = bytearray(b"?" * 10)
    done = UserPtr[ctypes.c_char](LAST + PAGE_SIZE - 6).copy_in(way.provider, buffer)
    assert (done, buffer) == (6, b"abcdef????")
    assert isinstance(done, Copied)
    assert (done.fault.reason, done.fault.address, done.fault.completed) == (FaultReason.UNMAPPED, END, 6)
    done = UserPtr[ctypes.c_char](RO - 4).copy_out(way.provider, b"12345678")
    assert done == 4
    assert (done.fault.reason, done.fault.address, done.fault.completed) == (FaultReason.PROTECTION, RO, 4)
    assert way.peek(RO - 4, 8) == b"1234" + bytes(4)


def test_a_whole_partial_copy_is_a_plain_int(way: Way) -> None:
    buffer = bytearray(4)
    assert type(UserPtr[ctypes.c_char](BASE).copy_in(way.provider, buffer)) is int
    assert type(UserPtr[ctypes.c_char](BASE).copy_out(way.provider, buffer)) is int
    assert UserPtr[ctypes.c_char](HOLE).copy_in(way.provider, bytearray()) == 0
    assert UserPtr[ctypes.c_char](HOLE).copy_out(way.provider, b"") == 0


def test_a_partial_copy_that_does_nothing_says_why(way: Way) -> None:
    done = UserPtr[ctypes.c_char](HOLE).copy_in(way.provider, bytearray(4))
    assert done == 0
    assert (done.fault.reason, done.fault.address) == (FaultReason.UNMAPPED, HOLE)


def test_partial_copies_take_any_buffer(way: Way) -> None:
    source = (ctypes.c_uint32 * 2)(0x01020304, 0x05060708)
    assert UserPtr[ctypes.c_char](BASE).copy_out(way.provider, source) == 8
    target = (ctypes.c_uint32 * 2)()
    assert UserPtr[ctypes.c_char](BASE).copy_in(way.provider, target) == 8
    assert list(target) == [0x01020304, 0x05060708]
    assert UserPtr[ctypes.c_char](BASE).copy_out(way.provider, memoryview(b"..ab..")[2:4]) == 2
    assert way.peek(BASE, 2) == b"ab"


# -- text ------------------------------------------------------------------------------------------------------


def test_text_is_read_up_to_its_terminator(way: Way) -> None:
    way.poke(BASE + PAGE_SIZE - 3, "grüß dich".encode() + b"\0tail")
    p = UserConstPtr[ctypes.c_char](BASE + PAGE_SIZE - 3)
    assert p.get_as_str(way.provider) == "grüß dich"
    assert p.read_cstr(way.provider) == "grüß dich".encode()


def test_text_that_ends_on_the_last_byte_before_a_hole_is_valid(way: Way) -> None:
    way.poke(END - 4, b"end\0")
    assert UserConstPtr[ctypes.c_char](END - 4).get_as_str(way.provider) == "end"


def test_text_that_runs_into_a_hole_is_a_fault_there(way: Way) -> None:
    way.poke(END - 3, b"end")
    p = UserConstPtr[ctypes.c_char](END - 3)
    assert fault_of(lambda: p.get_as_str(way.provider)) == (FaultReason.UNMAPPED, END, 3)
    # A limit beyond the hole changes nothing; one before it wins only if it is met first.
    assert fault_of(lambda: p.get_as_str(way.provider, 3)) == (FaultReason.UNMAPPED, END, 3)
    with pytest.raises(LinuxError) as caught:
        p.get_as_str(way.provider, 2)
    assert caught.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize("max_len", [5, 6, 1000, (1 << 64) - 1, 1 << 64, 1 << 70])
def test_limit_excludes_the_terminator(way: Way, max_len: int) -> None:
    way.poke(BASE, b"hello\0")
    assert UserConstPtr[ctypes.c_char](BASE).get_as_str(way.provider, max_len) == "hello"


@pytest.mark.parametrize("max_len", [0, 4])
def test_text_over_the_limit_is_too_long(way: Way, max_len: int) -> None:
    way.poke(BASE, b"hello\0")
    with pytest.raises(LinuxError) as caught:
        UserConstPtr[ctypes.c_char](BASE).read_cstr(way.provider, max_len)
    assert caught.value.errno == errno.ENAMETOOLONG


def test_bytes_that_are_no_utf8_are_eilseq_and_still_bytes(way: Way) -> None:
    way.poke(BASE, b"\xff\xfe\0")
    with pytest.raises(LinuxError) as caught:
        UserConstPtr[ctypes.c_char](BASE).get_as_str(way.provider)
    assert caught.value.errno == errno.EILSEQ
    assert UserConstPtr[ctypes.c_char](BASE).read_cstr(way.provider) == b"\xff\xfe"


# -- live views ------------------------------------------------------------------------------------------------


def test_live_views_need_a_memory_that_can_pin(way: Way) -> None:
    p = UserPtr[u32](BASE)
    if not way.is_space:
        for verb in (lambda: p.get(way.provider), lambda: p.get_as_slice(way.provider, 2)):
            with pytest.raises(BufferError, match="cannot pin"):
                verb()
        return
    p.get(way.provider).value = 5
    assert p.get_as_slice(way.provider, 2).tolist() == [5, 0]
    assert way.peek(BASE, 4) == b"\5\0\0\0"


def test_null_terminated_views_go_through_the_provider(way: Way) -> None:
    way.poke(BASE, b"\1\0\2\0\0\0")
    p = UserPtr[u16](BASE)
    if not way.is_space:
        with pytest.raises(BufferError, match="cannot pin"):
            p.get_as_null_terminated(way.provider)
        return
    assert p.get_as_null_terminated(way.provider).tolist() == [1, 2]


# -- what each kind adds ---------------------------------------------------------------------------------------


def test_locked_holds_its_mutex_for_the_whole_call_and_is_reentrant(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    shared = Locked(space)
    order: list[str] = []
    other = threading.Thread(target=lambda: (UserPtr[u32](BASE).read(shared), order.append("other")))

    def long(memory: AddrSpace) -> None:
        UserPtr[u32](BASE).write(shared, 1)  # the same thread may come back
        other.start()
        other.join(0.1)  # it cannot end: it waits for us
        order.append("long")

    shared.with_addr_space(long)
    other.join()
    assert order == ["long", "other"]


def test_locked_gives_the_mutex_back_after_an_exception(space: AddrSpace) -> None:
    shared = Locked(space)
    with pytest.raises(ZeroDivisionError):
        shared.with_addr_space(lambda memory: 1 // 0)
    done: list[int] = []
    other = threading.Thread(target=lambda: shared.with_addr_space(lambda memory: done.append(1)))
    other.start()
    other.join(10)
    assert done == [1]


def test_a_provider_follows_its_space(phys: PhysMemory) -> None:
    # execve: the task gets another space; pointers see it at once, and the old one goes away.
    first, second = (AddrSpace(0x1000, 1 << 30, phys) for _ in range(2))
    first.map_alloc(BASE, PAGE_SIZE, R | W)
    second.map_alloc(BASE, PAGE_SIZE, R | W)
    first.write(BASE, b"\1")
    second.write(BASE, b"\2")
    task = TaskLike(first)
    p = UserConstPtr[u8](BASE)
    assert p.read(task) == 1
    task._set_space(second)
    assert p.read(task) == 2
    assert task.with_addr_space(lambda space: space is second)
    del first
    assert p.read(task) == 2
    assert phys.data_frames == 1


def test_a_provider_without_a_space_says_so() -> None:
    class Early(Provider):
        pass

    with pytest.raises(RuntimeError, match="no address space yet"):
        Early().with_addr_space(lambda space: None)
    with pytest.raises(RuntimeError, match="no address space yet"):
        UserPtr[u32](BASE).read(Early())
    with pytest.raises(RuntimeError, match="no address space yet"):
        UserPtr[u32](BASE).get(Early())


def test_a_provider_takes_an_address_space_alone() -> None:
    task = Provider()
    for wrong in (None, 5, FakeMemory(), Provider()):
        with pytest.raises(TypeError):
            task._set_space(wrong)


@pytest.mark.parametrize("wrong", [None, 5, b"bytes", FakeMemory()])
def test_what_is_no_provider_is_a_type_error(wrong: object) -> None:
    p = UserPtr[ctypes.c_char](BASE)
    for verb in (
        lambda: p.read(wrong),
        lambda: p.write(wrong, b"x"),
        lambda: p.read_slice(wrong, 2),
        lambda: p.read_slice(wrong, 0),
        lambda: p.write_slice(wrong, b"xy"),
        lambda: p.copy_in(wrong, bytearray(2)),
        lambda: p.copy_out(wrong, b"xy"),
        lambda: p.get_as_str(wrong),
        lambda: p.read_cstr(wrong),
        lambda: p.get(wrong),
        lambda: p.get_as_slice(wrong, 2),
        lambda: p.get_as_slice(wrong, 0),
        lambda: p.get_as_null_terminated(wrong),
        lambda: check_region_with(wrong, BASE, Layout(1), R),
    ):
        with pytest.raises(TypeError, match="AddrSpaceProvider"):
            verb()


def test_locked_takes_a_memory_or_a_provider_alone(space: AddrSpace) -> None:
    Locked(space)
    Locked(FakeMemory())
    Locked(PlainProvider(space))
    for wrong in (None, 5, object()):
        with pytest.raises(TypeError, match="want an address space"):
            Locked(wrong)
