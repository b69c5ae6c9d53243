"""The mark "this thread touches user memory": it nests, an exception takes it back, each thread has its own."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import pytest

from axptr import (
    AddrSpace,
    KernelFault,
    Layout,
    MappingFlags,
    UserConstPtr,
    UserPtr,
    access_user_memory,
    check_null_terminated,
    check_region,
    check_region_with,
    is_accessing_user_memory,
)
from fakes import FakeMemory, PlainProvider

R, W = MappingFlags.READ, MappingFlags.WRITE


def test_no_thread_is_marked_at_first() -> None:
    assert not is_accessing_user_memory()


def test_mark_holds_inside_the_block_alone_and_nests() -> None:
    with access_user_memory():
        assert is_accessing_user_memory()
        with access_user_memory():
            assert is_accessing_user_memory()
        assert is_accessing_user_memory()
    assert not is_accessing_user_memory()


def test_one_object_can_be_entered_twice() -> None:
    mark = access_user_memory()
    with mark, mark:
        pass
    assert not is_accessing_user_memory()


def test_an_exception_takes_the_mark_back_and_passes_on() -> None:
    with pytest.raises(ZeroDivisionError), access_user_memory(), access_user_memory():
        raise ZeroDivisionError
    assert not is_accessing_user_memory()


def test_mark_is_of_this_thread_alone() -> None:
    seen: list[bool] = []

    def look() -> None:
        seen.append(is_accessing_user_memory())
        with access_user_memory():
            inside.set()
            leave.wait(10)

    inside, leave = threading.Event(), threading.Event()
    with access_user_memory():
        other = threading.Thread(target=look)
        other.start()
        inside.wait(10)
    # The other thread is still inside its block: that is not our mark.
    assert not is_accessing_user_memory()
    leave.set()
    other.join()
    assert seen == [False]


class Watching(FakeMemory):
    """Notes whether the mark was set when the memory was touched."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[bool] = []

    def populate_area(self, start: int, size: int, access: MappingFlags) -> None:
        self.marks.append(is_accessing_user_memory())
        super().populate_area(start, size, access)

    def _copy(self, *args: Any) -> int:
        self.marks.append(is_accessing_user_memory())
        return super()._copy(*args)


VERBS: dict[str, Callable[[Any], object]] = {
    "read": lambda p: UserPtr[ctypes.c_uint32](0x10000).read(p),
    "write": lambda p: UserPtr[ctypes.c_uint32](0x10000).write(p, 1),
    "read_unaligned": lambda p: UserPtr[ctypes.c_uint32](0x10001).read_unaligned(p),
    "write_unaligned": lambda p: UserPtr[ctypes.c_uint32](0x10001).write_unaligned(p, 1),
    "read_slice": lambda p: UserPtr[ctypes.c_uint32](0x10000).read_slice(p, 3),
    "write_slice": lambda p: UserPtr[ctypes.c_uint32](0x10000).write_slice(p, [1, 2]),
    "copy_in": lambda p: UserPtr[ctypes.c_char](0x10000).copy_in(p, bytearray(8)),
    "copy_out": lambda p: UserPtr[ctypes.c_char](0x10000).copy_out(p, b"12345678"),
    "get_as_str": lambda p: UserConstPtr[ctypes.c_char](0x10000).get_as_str(p),
    "read_cstr": lambda p: UserConstPtr[ctypes.c_char](0x10000).read_cstr(p),
    "check_region_with": lambda p: check_region_with(p, 0x10000, Layout(8), R),
    "check_region": lambda p: p.with_addr_space(lambda m: check_region(m, 0x10000, Layout(8), R)),
    "check_null_terminated": lambda p: p.with_addr_space(
        lambda m: check_null_terminated(m, 0x10000, ctypes.c_uint16, R)
    ),
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_touches_memory_under_the_mark_and_takes_it_back(verb: str) -> None:
    memory = Watching()
    memory.map(0x10000, 1, R | W)
    VERBS[verb](PlainProvider(memory))
    assert memory.marks
    assert all(memory.marks)
    assert not is_accessing_user_memory()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_fails_takes_its_mark_back(verb: str, space: AddrSpace) -> None:
    for provider in (PlainProvider(Watching()), PlainProvider(space), space):
        try:
            VERBS[verb](provider)
        except OSError:
            pass
        assert not is_accessing_user_memory()


def test_kernel_side_touch_without_the_mark_is_a_bug_in_the_kernel(space: AddrSpace) -> None:
    space.map_alloc(0x10000, 0x1000, R | W)
    with pytest.raises(KernelFault, match="outside access_user_memory"):
        space.handle_page_fault(0x10000, R, user=False)
    assert space.query(0x10000) is None
    with access_user_memory():
        assert space.handle_page_fault(0x10000, R, user=False)
    assert space.query(0x10000) is not None


def test_a_guests_own_fault_needs_no_mark(space: AddrSpace) -> None:
    space.map_alloc(0x10000, 0x1000, R | W)
    assert space.handle_page_fault(0x10000, W)
    assert not is_accessing_user_memory()
